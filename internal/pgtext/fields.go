package pgtext

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/schemas"
)

// fields is a date and time taken apart. parse reads the general forms that
// PostgreSQL's DecodeDateTime takes, in any order of date, time, zone and era.
type fields struct {
	special             special
	hasDate, hasTime    bool
	year, month, day    int   // year as written, 0 before a BC is applied
	micros              int64 // of the day
	twoDigits           bool  // the year was written with at most two digits
	bc, ad              bool
	pm, am              bool
	hasZone             bool
	zone                zone
	haveYear, haveMonth bool
	haveDay             bool
	isoT                bool // a T stands between date and time: digits after it are a time
	julian              bool
	julianDay           int64
}

type special uint8

const (
	specialNone special = iota
	specialEpoch
	specialInfinity
	specialNegInfinity
)

// scanner walks over the text of a date or time.
type scanner struct {
	b   []byte
	pos int
}

func (s *scanner) peek() byte {
	if s.pos < len(s.b) {
		return s.b[s.pos]
	}
	return 0
}

// digits takes a run of digits.
func (s *scanner) digits() []byte {
	start := s.pos
	for s.pos < len(s.b) && isDigit(s.b[s.pos]) {
		s.pos++
	}
	return s.b[start:s.pos]
}

// word takes a run of letters.
func (s *scanner) word() []byte {
	start := s.pos
	for s.pos < len(s.b) && isAlpha(s.b[s.pos]) {
		s.pos++
	}
	return s.b[start:s.pos]
}

// number reads at most nine digits; more are out of every field's range.
func number(d []byte) (int, bool) {
	if len(d) == 0 || len(d) > 9 {
		return 0, false
	}
	n := 0
	for _, c := range d {
		n = n*10 + int(c-'0')
	}
	return n, true
}

// parse reads b; typ is for error messages.
func (f *fields) parse(b []byte, typ string) error {
	s := &scanner{b: trim(b)}
	if len(s.b) == 0 {
		return errDateTime(typ, b)
	}
	if ok := f.parseSpecial(s.b); ok {
		return nil
	}
	timeOnly := typ == "time"
	for s.pos < len(s.b) {
		var err error
		c := s.peek()
		switch {
		case isSpace(c) || c == ',':
			s.pos++
		case isDigit(c):
			err = f.parseNumber(s, b, typ, timeOnly)
		case isAlpha(c):
			err = f.parseWord(s, b, typ)
		case (c == '+' || c == '-') && (f.hasTime || f.hasDate || f.haveDay) && !f.hasZone:
			err = f.parseOffset(s, b, typ)
		case (c == '+' || c == '-') && !timeOnly && s.pos == 0 && len(s.b) > 1 && isDigit(s.b[1]):
			err = errZone(b)
		default:
			err = errDateTime(typ, b)
		}
		if err != nil {
			return err
		}
	}
	return f.finish(b, typ)
}

func (f *fields) parseSpecial(b []byte) bool {
	switch {
	case equalFold(b, "infinity"):
		f.special = specialInfinity
	case equalFold(b, "-infinity"):
		f.special = specialNegInfinity
	case equalFold(b, "epoch"):
		f.special = specialEpoch
	}
	return f.special != specialNone
}

// parseNumber reads a field that begins with a digit: a date, a time or a run
// of digits that stands for one of them.
func (f *fields) parseNumber(s *scanner, b []byte, typ string, timeOnly bool) error {
	start := s.pos
	d := s.digits()
	switch c := s.peek(); {
	case c == ':':
		s.pos = start
		return f.parseClock(s, b, typ)
	case c == '-' || c == '/' || c == '.' && !f.haveDay && !f.isoT && !f.hasDate:
		if !f.dateComplete() && !timeOnly && !f.isoT {
			s.pos = start
			return f.parseDate(s, b, typ)
		}
	}
	return f.parseRun(s, d, b, typ, timeOnly)
}

func (f *fields) dateComplete() bool { return f.haveYear && f.haveMonth && f.haveDay }

// parseDate reads three fields joined by - / or .: the year first when it has
// three digits or more, a month by name anywhere, otherwise month, day, year.
func (f *fields) parseDate(s *scanner, b []byte, typ string) error {
	var part [3][]byte
	var sep byte
	n := 0
	for n < 3 {
		if isAlpha(s.peek()) {
			part[n] = s.word()
		} else {
			part[n] = s.digits()
		}
		if len(part[n]) == 0 {
			return errDateTime(typ, b)
		}
		n++
		c := s.peek()
		if n == 3 || c != '-' && c != '/' && c != '.' {
			break
		}
		if sep != 0 && c != sep {
			return errDateTime(typ, b)
		}
		sep = c
		s.pos++
	}
	if n != 3 {
		return errDateTime(typ, b)
	}
	// order[i] says which of year (0), month (1), day (2) part i is.
	order := [3]int{1, 2, 0}
	switch {
	case isAlpha(part[0][0]):
	case isAlpha(part[1][0]):
		order = [3]int{2, 1, 0} // day, month, year
		if len(part[0]) >= 3 {
			order = [3]int{0, 1, 2}
		}
	case len(part[0]) >= 3:
		order = [3]int{0, 1, 2}
	}
	for i, p := range part {
		if err := f.set(order[i], p, b, typ); err != nil {
			return err
		}
	}
	if c := s.peek(); c == '-' || c == '/' || c == '.' {
		return errDateTime(typ, b)
	}
	return nil
}

// set stores one field of a date: 0 year, 1 month, 2 day.
func (f *fields) set(which int, p, b []byte, typ string) error {
	if isAlpha(p[0]) {
		m := monthNamed(p)
		if which != 1 || m == 0 || f.haveMonth {
			return errDateTime(typ, b)
		}
		f.month, f.haveMonth = m, true
		return nil
	}
	n, ok := number(p)
	if !ok {
		return errField(b)
	}
	switch which {
	case 0:
		if f.haveYear {
			return errDateTime(typ, b)
		}
		f.year, f.haveYear, f.twoDigits = n, true, len(p) <= 2
	case 1:
		if f.haveMonth {
			return errDateTime(typ, b)
		}
		f.month, f.haveMonth = n, true
	case 2:
		if f.haveDay {
			return errDateTime(typ, b)
		}
		f.day, f.haveDay = n, true
	}
	return nil
}

// parseClock reads H:M[:S[.fraction]].
func (f *fields) parseClock(s *scanner, b []byte, typ string) error {
	if f.hasTime {
		return errDateTime(typ, b)
	}
	var part [3]int
	n := 0
	for {
		v, ok := number(s.digits())
		if !ok {
			return errDateTime(typ, b)
		}
		part[n] = v
		n++
		if n == 3 || s.peek() != ':' {
			break
		}
		s.pos++
	}
	var frac int64
	if n == 3 && s.peek() == '.' {
		var ok bool
		if frac, ok = s.fraction(); !ok {
			return errDateTime(typ, b)
		}
	}
	return f.setTime(part[0], part[1], part[2], frac, b)
}

// fraction reads ".digits" as µs, rounded as PostgreSQL does: half to even on the
// binary value. It may give a whole second.
func (s *scanner) fraction() (int64, bool) {
	start := s.pos
	s.pos++
	d := s.digits()
	if len(d) <= 6 {
		us, unit := int64(0), usecSecond
		for _, c := range d {
			unit /= 10
			us += int64(c-'0') * unit
		}
		return us, true
	}
	x, err := strconv.ParseFloat(string(s.b[start:s.pos]), 64)
	return int64(math.RoundToEven(x * 1e6)), err == nil
}

// setTime checks and stores a time of day. Second 60 and hour 24 exactly are allowed.
func (f *fields) setTime(h, m, sec int, frac int64, b []byte) error {
	if h > 24 || m > 59 || sec > 60 || h == 24 && (m > 0 || sec > 0 || frac > 0) {
		return errField(b)
	}
	f.micros = int64(h)*usecHour + int64(m)*usecMinute + int64(sec)*usecSecond + frac
	f.hasTime = true
	return nil
}

// parseRun reads a run of digits without separators.
func (f *fields) parseRun(s *scanner, d, b []byte, typ string, timeOnly bool) error {
	if f.isoT || timeOnly || f.dateComplete() {
		return f.parseTimeRun(s, d, b, typ)
	}
	switch {
	case len(d) == 8 && !f.haveYear && !f.haveMonth && !f.haveDay: // YYYYMMDD
		return f.setRun(d[:4], d[4:6], d[6:], b, typ)
	case len(d) == 6 && !f.haveYear && !f.haveMonth && !f.haveDay: // YYMMDD
		return f.setRun(d[:2], d[2:4], d[4:], b, typ)
	case f.haveMonth && !f.haveDay && len(d) <= 2:
		return f.set(2, d, b, typ)
	case f.haveMonth && f.haveDay && !f.haveYear:
		return f.set(0, d, b, typ)
	case f.haveMonth && !f.haveYear && len(d) >= 3:
		return f.set(0, d, b, typ)
	case !f.haveMonth && !f.haveDay && !f.haveYear:
		if len(d) <= 2 {
			return f.set(2, d, b, typ)
		}
		return f.set(0, d, b, typ)
	}
	return errDateTime(typ, b)
}

func (f *fields) setRun(y, m, d, b []byte, typ string) error {
	for i, p := range [...][]byte{y, m, d} {
		if err := f.set(i, p, b, typ); err != nil {
			return err
		}
	}
	return nil
}

// parseTimeRun reads HHMMSS or HHMM.
func (f *fields) parseTimeRun(s *scanner, d, b []byte, typ string) error {
	if f.hasTime {
		return errDateTime(typ, b)
	}
	var frac int64
	if s.peek() == '.' && len(d) == 6 {
		var ok bool
		if frac, ok = s.fraction(); !ok {
			return errDateTime(typ, b)
		}
	}
	switch len(d) {
	case 6:
		return f.setTime(num2(d), num2(d[2:]), num2(d[4:]), frac, b)
	case 4:
		return f.setTime(num2(d), num2(d[2:]), 0, 0, b)
	}
	return errDateTime(typ, b)
}

// parseWord reads a field that begins with a letter: T, a month, a weekday, AM,
// PM, BC, AD, a zone.
func (f *fields) parseWord(s *scanner, b []byte, typ string) error {
	start := s.pos
	w := s.word()
	switch {
	case equalFold(w, "t") && isDigit(s.peek()):
		f.isoT = true
		return nil
	case equalFold(w, "j") && isDigit(s.peek()) && !f.hasDate && !f.haveDay:
		n, ok := number(s.digits())
		if !ok {
			return errField(b)
		}
		f.julian, f.julianDay, f.hasDate = true, int64(n), true
		return nil
	case equalFold(w, "bc"):
		f.bc = true
		return nil
	case equalFold(w, "ad"):
		f.ad = true
		return nil
	case equalFold(w, "am"):
		f.am = true
		return nil
	case equalFold(w, "pm"):
		f.pm = true
		return nil
	case equalFold(w, "allballs") && !f.hasTime:
		f.hasTime, f.hasZone = true, true
		return nil
	case isWeekday(w):
		return nil
	}
	if m := monthNamed(w); m > 0 {
		if f.haveMonth {
			return errDateTime(typ, b)
		}
		if c := s.peek(); c == '-' || c == '/' || c == '.' {
			if next := s.pos + 1; next < len(s.b) && isDigit(s.b[next]) {
				s.pos = start
				return f.parseDate(s, b, typ)
			}
		}
		f.month, f.haveMonth = m, true
		return nil
	}
	if relative(w) && !isDigit(s.peek()) {
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", `"%s" as a %s is not supported`, w, typ)
		e.Hint = "use current_timestamp or current_date"
		return e
	}
	return f.parseZoneName(s, start, b, typ)
}

func relative(w []byte) bool {
	return equalFold(w, "now") || equalFold(w, "today") || equalFold(w, "tomorrow") || equalFold(w, "yesterday")
}

// finish puts the fields together and checks their ranges.
func (f *fields) finish(b []byte, typ string) error {
	if f.am || f.pm {
		if !f.hasTime || f.micros >= 13*usecHour {
			return errField(b)
		}
		noon := f.micros >= 12*usecHour
		if f.am && noon {
			f.micros -= 12 * usecHour
		} else if f.pm && !noon {
			f.micros += 12 * usecHour
		}
	}
	if f.julian {
		if f.haveDay || f.haveMonth || f.haveYear {
			return errDateTime(typ, b)
		}
		return nil
	}
	if !f.haveDay && !f.haveMonth && !f.haveYear {
		return nil
	}
	if !f.dateComplete() {
		return errDateTime(typ, b)
	}
	f.hasDate = true
	switch {
	case f.bc && f.year <= 0, f.year <= 0 && !f.twoDigits:
		return errField(b)
	case f.bc:
		f.year = 1 - f.year
	case f.twoDigits && !f.ad:
		if f.year < 70 {
			f.year += 2000
		} else {
			f.year += 1900
		}
	}
	if f.month < 1 || f.month > 12 || f.day < 1 || f.day > 31 || f.day > daysInMonth(f.year, f.month) {
		return errField(b)
	}
	return nil
}

// days gives the date, and false when it is out of range.
func (f *fields) days() (int64, bool) {
	if f.julian {
		return f.julianDay - julianEpoch, f.julianDay-julianEpoch < maxDays
	}
	if f.year > 5874898 || f.year < -4713 {
		return 0, false
	}
	d := DaysFromCivil(f.year, f.month, f.day)
	return d, d >= minDays && d < maxDays
}

// timestamp gives the µs since 1970 (UTC when zoned), and false when out of range.
func (f *fields) timestamp(zoned bool) (int64, bool) {
	days, ok := f.days()
	if !ok || days > maxTimestamp/usecDay+2 {
		return 0, false
	}
	// In seconds first: a value past the end must not wrap around.
	sec := days*86400 + f.micros/usecSecond
	if zoned && f.hasZone {
		sec -= f.zone.offset(sec)
	}
	us := f.micros % usecSecond
	if sec > maxTimestamp/usecSecond || sec == maxTimestamp/usecSecond && us >= maxTimestamp%usecSecond {
		return 0, false
	}
	us += sec * usecSecond
	return us, us >= minTimestamp
}

var monthNames = [...]string{"january", "february", "march", "april", "may", "june", "july",
	"august", "september", "october", "november", "december"}

// monthNamed gives 1 to 12 for a month's name or abbreviation, else 0.
func monthNamed(w []byte) int {
	for i, name := range monthNames {
		if equalFold(w, name) || equalFold(w, name[:3]) {
			return i + 1
		}
	}
	if equalFold(w, "sept") {
		return 9
	}
	return 0
}

var weekdays = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
	"tues", "weds", "wednes", "thur", "thurs"}

func isWeekday(w []byte) bool {
	for _, name := range weekdays {
		if equalFold(w, name) || equalFold(w, name[:3]) {
			return true
		}
	}
	return equalFold(w, "tu")
}
