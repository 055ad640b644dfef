package pgtext

import (
	"github.com/millrace/millrace/schemas"
)

// ParseDate reads a date: days since 1970-01-01, ±infinity at the int64 extremes.
func ParseDate(b []byte) (int64, error) {
	if len(b) == 10 && b[4] == '-' && b[7] == '-' {
		if y, m, d, ok := isoDate(b); ok {
			return DaysFromCivil(y, m, d), nil
		}
	}
	var f fields
	if err := f.parse(b, "date"); err != nil {
		return 0, err
	}
	switch f.special {
	case specialEpoch:
		return 0, nil
	case specialInfinity:
		return schemas.InfinityTime, nil
	case specialNegInfinity:
		return schemas.NegInfinityTime, nil
	}
	if !f.hasDate {
		return 0, errDateTime("date", b)
	}
	days, ok := f.days()
	if !ok {
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", `date out of range: "%s"`, quoted(b))
	}
	return days, nil
}

// ParseTime reads a time of day: µs since midnight, 24:00:00 included.
func ParseTime(b []byte) (int64, error) {
	if len(b) >= 8 {
		if us, n, ok := isoTime(b); ok && n == len(b) {
			return us, nil
		}
	}
	var f fields
	if err := f.parse(b, "time"); err != nil {
		return 0, err
	}
	if f.special != specialNone || !f.hasTime {
		return 0, errDateTime("time", b)
	}
	return f.micros, nil
}

// ParseTimestamp reads a timestamp without time zone: µs since 1970, a zone in
// the text is ignored.
func ParseTimestamp(b []byte) (int64, error) { return parseTimestamp(b, false) }

// ParseTimestampTZ reads a timestamp with time zone: µs since 1970 UTC. Without a
// zone in the text it is taken as UTC.
func ParseTimestampTZ(b []byte) (int64, error) { return parseTimestamp(b, true) }

func parseTimestamp(b []byte, zoned bool) (int64, error) {
	if us, ok := isoTimestamp(b, zoned); ok {
		return us, nil
	}
	typ := "timestamp"
	if zoned {
		typ = "timestamp with time zone"
	}
	var f fields
	if err := f.parse(b, typ); err != nil {
		return 0, err
	}
	switch f.special {
	case specialEpoch:
		return 0, nil
	case specialInfinity:
		return schemas.InfinityTime, nil
	case specialNegInfinity:
		return schemas.NegInfinityTime, nil
	}
	if !f.hasDate {
		return 0, errDateTime(typ, b)
	}
	us, ok := f.timestamp(zoned)
	if !ok {
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", `timestamp out of range: "%s"`, quoted(b))
	}
	return us, nil
}

func errDateTime(typ string, b []byte) error {
	return schemas.Errorf(schemas.CodeInvalidText, "22007", `invalid input syntax for type %s: "%s"`, typ, quoted(b))
}

func errField(b []byte) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22008", `date/time field value out of range: "%s"`, quoted(b))
}

// isoTimestamp reads the form PostgreSQL prints for four-digit years AD:
// 2024-02-29 13:14:15.678901, with +00 when zoned.
func isoTimestamp(b []byte, zoned bool) (int64, bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != ' ' && b[10] != 'T' {
		return 0, false
	}
	y, m, d, ok := isoDate(b)
	if !ok {
		return 0, false
	}
	us, n, ok := isoTime(b[11:])
	if !ok {
		return 0, false
	}
	rest := b[11+n:]
	if len(rest) > 0 && !(zoned && len(rest) == 3 && rest[0] == '+' && rest[1] == '0' && rest[2] == '0') {
		return 0, false
	}
	return DaysFromCivil(y, m, d)*usecDay + us, true
}

// isoDate reads YYYY-MM-DD from the start of b, which has the hyphens.
func isoDate(b []byte) (y, m, d int, ok bool) {
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		if !isDigit(b[i]) {
			return 0, 0, 0, false
		}
	}
	y = num2(b)*100 + num2(b[2:])
	m, d = num2(b[5:]), num2(b[8:])
	ok = y > 0 && m >= 1 && m <= 12 && d >= 1 && d <= daysInMonth(y, m)
	return y, m, d, ok
}

func num2(b []byte) int { return int(b[0]-'0')*10 + int(b[1]-'0') }

// isoTime reads HH:MM:SS with up to six fraction digits and says how long it was.
func isoTime(b []byte) (us int64, n int, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, 0, false
	}
	for _, i := range [...]int{0, 1, 3, 4, 6, 7} {
		if !isDigit(b[i]) {
			return 0, 0, false
		}
	}
	h, m, s := num2(b), num2(b[3:]), num2(b[6:])
	if h > 23 || m > 59 || s > 59 {
		return 0, 0, false
	}
	us = int64(h)*usecHour + int64(m)*usecMinute + int64(s)*usecSecond
	n = 8
	if n < len(b) && b[n] == '.' {
		n++
		unit := usecSecond
		for n < len(b) && isDigit(b[n]) {
			if unit /= 10; unit == 0 {
				return 0, 0, false
			}
			us += int64(b[n]-'0') * unit
			n++
		}
	}
	return us, n, true
}

// AppendDate writes a date.
func AppendDate(dst []byte, days int64) []byte {
	switch days {
	case schemas.InfinityTime:
		return append(dst, "infinity"...)
	case schemas.NegInfinityTime:
		return append(dst, "-infinity"...)
	}
	y, m, d := CivilFromDays(days)
	return appendEra(appendYMD(dst, y, m, d), y)
}

func appendYMD(dst []byte, y, m, d int) []byte {
	if y <= 0 {
		y = 1 - y
	}
	dst = appendPadded(dst, uint64(y), 4)
	dst = append(dst, '-', byte('0'+m/10), byte('0'+m%10), '-')
	return append(dst, byte('0'+d/10), byte('0'+d%10))
}

func appendEra(dst []byte, y int) []byte {
	if y <= 0 {
		return append(dst, " BC"...)
	}
	return dst
}

// AppendTime writes a time of day.
func AppendTime(dst []byte, us int64) []byte {
	dst = append2(dst, int(us/usecHour))
	dst = append(dst, ':')
	dst = append2(dst, int(us/usecMinute%60))
	dst = append(dst, ':')
	dst = append2(dst, int(us/usecSecond%60))
	return appendFraction(dst, us%usecSecond)
}

// appendFraction writes a fraction of a second without trailing zeros.
func appendFraction(dst []byte, us int64) []byte {
	if us == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), uint64(us), 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// AppendTimestamp writes a timestamp without time zone.
func AppendTimestamp(dst []byte, us int64) []byte { return appendTimestamp(dst, us, "") }

// AppendTimestampTZ writes a timestamp with time zone, in UTC.
func AppendTimestampTZ(dst []byte, us int64) []byte { return appendTimestamp(dst, us, "+00") }

func appendTimestamp(dst []byte, us int64, zone string) []byte {
	switch us {
	case schemas.InfinityTime:
		return append(dst, "infinity"...)
	case schemas.NegInfinityTime:
		return append(dst, "-infinity"...)
	}
	days := floorDiv(us, usecDay)
	y, m, d := CivilFromDays(days)
	dst = append(appendYMD(dst, y, m, d), ' ')
	dst = AppendTime(dst, us-days*usecDay)
	return appendEra(append(dst, zone...), y)
}
