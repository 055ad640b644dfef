package pgtext

import (
	"strings"
	"time"
	_ "time/tzdata" // zone names must mean the same on every machine

	"github.com/millrace/millrace/schemas"
)

// zone is a fixed offset east of UTC in seconds, or a place.
type zone struct {
	seconds int64
	place   *time.Location
}

// offset gives the zone's offset at a local time, in seconds since 1970. Like
// PostgreSQL it reads a time that a change of clocks skips with the offset before
// the change, and one that it repeats with the offset after.
func (z zone) offset(local int64) int64 {
	if z.place == nil {
		return z.seconds
	}
	at := func(utc int64) int64 {
		_, off := time.Unix(utc, 0).In(z.place).Zone()
		return int64(off)
	}
	before, after := at(local-86400), at(local+86400)
	if before == after || at(local-after) == after {
		return after
	}
	return before
}

// The longest offset that PostgreSQL accepts is just under 16 hours.
const maxZoneHours = 15

// parseOffset reads +H, +HH, +HHMM, +HH:MM or +HH:MM:SS, or the same with a minus.
func (f *fields) parseOffset(s *scanner, b []byte, typ string) error {
	neg := s.peek() == '-'
	s.pos++
	d := s.digits()
	var h, m, sec int
	var ok bool
	switch {
	case len(d) == 0 || len(d) > 6:
		return errDateTime(typ, b)
	case len(d) > 4:
		h, _ = number(d[:len(d)-4])
		m, sec = num2(d[len(d)-4:]), num2(d[len(d)-2:])
	case len(d) > 2:
		h, _ = number(d[:len(d)-2])
		m = num2(d[len(d)-2:])
	default:
		h, _ = number(d)
		if s.peek() == ':' {
			s.pos++
			if m, ok = number(s.digits()); !ok {
				return errDateTime(typ, b)
			}
			if s.peek() == ':' {
				s.pos++
				if sec, ok = number(s.digits()); !ok {
					return errDateTime(typ, b)
				}
			}
		}
	}
	if h > maxZoneHours || m > 59 || sec > 59 {
		return errZone(b)
	}
	off := int64(h)*3600 + int64(m)*60 + int64(sec)
	if neg {
		off = -off
	}
	f.zone, f.hasZone = zone{seconds: off}, true
	return nil
}

func errZone(b []byte) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22009", `time zone displacement out of range: "%s"`, quoted(b))
}

// abbreviations are those of PostgreSQL's default set that are in common use, in
// hours east of UTC.
var abbreviations = map[string]float64{
	"z": 0, "zulu": 0, "utc": 0, "ut": 0, "gmt": 0, "uct": 0, "wet": 0, "west": 1, "wetdst": 1,
	"bst": 1, "cet": 1, "cest": 2, "met": 1, "mest": 2, "mez": 1, "mesz": 2, "eet": 2, "eest": 3,
	"msk": 3, "msd": 4, "ist": 2, "idt": 3, "sast": 2,
	"ast": -4, "adt": -3, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7, "mdt": -6,
	"pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "nst": -3.5, "ndt": -2.5,
	"art": -3, "brt": -3, "brst": -2, "pkt": 5, "npt": 5.75, "hkt": 8, "cct": 8, "pht": 8, "sgt": 8,
	"jst": 9, "kst": 9, "awst": 8, "acst": 9.5, "acdt": 10.5, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
}

// parseZoneName reads an abbreviation or a name of the tz database, which starts
// at a letter.
func (f *fields) parseZoneName(s *scanner, start int, b []byte, typ string) error {
	s.pos = start
	for s.pos < len(s.b) && isZoneChar(s.b[s.pos], s.pos > start) {
		s.pos++
	}
	name := string(s.b[start:s.pos])
	if f.hasZone {
		return errDateTime(typ, b)
	}
	key := strings.ToLower(name)
	if hours, ok := abbreviations[key]; ok {
		f.zone, f.hasZone = zone{seconds: int64(hours * 3600)}, true
		return nil
	}
	if key == "local" || !strings.Contains(name, "/") {
		return errDateTime(typ, b)
	}
	for _, n := range [...]string{name, titleZone(key)} {
		if place, err := time.LoadLocation(n); err == nil {
			f.zone, f.hasZone = zone{place: place}, true
			return nil
		}
	}
	return schemas.Errorf(schemas.CodeInvalid, "22023", `time zone "%s" not recognized`, name)
}

func isZoneChar(c byte, later bool) bool {
	return isAlpha(c) || later && (c == '/' || c == '_' || c == '-' || c == '+' || isDigit(c))
}

// titleZone writes america/new_york as America/New_York.
func titleZone(name string) string {
	b := []byte(name)
	up := true
	for i, c := range b {
		if up && c >= 'a' && c <= 'z' {
			b[i] = c - 0x20
		}
		up = !isAlpha(c)
	}
	return string(b)
}
