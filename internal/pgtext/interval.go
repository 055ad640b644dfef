package pgtext

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/schemas"
)

// AppendInterval writes an interval in style 'postgres': 1 year 2 mons -3 days 04:05:06.
func AppendInterval(dst []byte, months, days int32, us int64) []byte {
	start, before := len(dst), int64(0)
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if before < 0 && n > 0 {
			dst = append(dst, '+')
		}
		dst = append(strconv.AppendInt(dst, n, 10), unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		before = n
	}
	part(int64(months/12), " year")
	part(int64(months%12), " mon")
	part(int64(days), " day")
	if us == 0 && len(dst) > start {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	u := uint64(us)
	if us < 0 {
		dst, u = append(dst, '-'), -u
	} else if before < 0 {
		dst = append(dst, '+')
	}
	dst = appendPadded(dst, u/uint64(usecHour), 2)
	dst = append(dst, ':')
	dst = append2(dst, int(u/uint64(usecMinute)%60))
	dst = append(dst, ':')
	dst = append2(dst, int(u/uint64(usecSecond)%60))
	return appendFraction(dst, int64(u%uint64(usecSecond)))
}

// ParseInterval reads an interval: PostgreSQL's verbose and short forms, SQL's
// year-month and day-time forms, ISO 8601 with designators and without.
func ParseInterval(b []byte) (months, days int32, us int64, err error) {
	s := trim(b)
	p := intervalParser{scanner: scanner{b: s}, orig: b}
	switch {
	case len(s) == 0:
		err = errDateTime("interval", b)
	case b[0] == 'P':
		err = p.iso()
	default:
		err = p.verbose()
	}
	if err != nil {
		return 0, 0, 0, err
	}
	return p.sum.result(b)
}

// span is an interval being added up, wide enough that no field wraps unseen.
type span struct {
	months, days, us int64
	over             bool // a field does not fit
	tooLong          bool // the years do not fit as months
}

func (a *span) result(b []byte) (int32, int32, int64, error) {
	if a.tooLong {
		return 0, 0, 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "interval out of range")
	}
	if a.over || a.months != int64(int32(a.months)) || a.days != int64(int32(a.days)) {
		return 0, 0, 0, errIntervalField(b)
	}
	return int32(a.months), int32(a.days), a.us, nil
}

func errIntervalField(b []byte) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22015", `interval field value out of range: "%s"`, quoted(b))
}

// units in lower case, and what one of them is.
type unit uint8

const (
	unitNone unit = iota
	unitMicro
	unitMilli
	unitSecond
	unitMinute
	unitHour
	unitDay
	unitWeek
	unitMonth
	unitYear
	unitDecade
	unitCentury
	unitMillennium
)

func unitNamed(w []byte) unit {
	for _, u := range unitNames {
		if equalFold(w, u.name) {
			return u.unit
		}
	}
	return unitNone
}

var unitNames = [...]struct {
	name string
	unit unit
}{
	{"day", unitDay}, {"days", unitDay}, {"d", unitDay},
	{"mon", unitMonth}, {"mons", unitMonth}, {"month", unitMonth}, {"months", unitMonth},
	{"year", unitYear}, {"years", unitYear}, {"y", unitYear}, {"yr", unitYear}, {"yrs", unitYear},
	{"hour", unitHour}, {"hours", unitHour}, {"h", unitHour}, {"hr", unitHour}, {"hrs", unitHour},
	{"minute", unitMinute}, {"minutes", unitMinute}, {"m", unitMinute}, {"min", unitMinute}, {"mins", unitMinute},
	{"second", unitSecond}, {"seconds", unitSecond}, {"s", unitSecond}, {"sec", unitSecond}, {"secs", unitSecond},
	{"millisecond", unitMilli}, {"milliseconds", unitMilli}, {"ms", unitMilli}, {"msec", unitMilli}, {"msecs", unitMilli}, {"msecond", unitMilli}, {"mseconds", unitMilli},
	{"microsecond", unitMicro}, {"microseconds", unitMicro}, {"us", unitMicro}, {"usec", unitMicro}, {"usecs", unitMicro}, {"usecond", unitMicro}, {"useconds", unitMicro},
	{"week", unitWeek}, {"weeks", unitWeek}, {"w", unitWeek},
	{"decade", unitDecade}, {"decades", unitDecade}, {"dec", unitDecade}, {"decs", unitDecade},
	{"century", unitCentury}, {"centuries", unitCentury}, {"c", unitCentury}, {"cent", unitCentury},
	{"millennium", unitMillennium}, {"millennia", unitMillennium}, {"mil", unitMillennium}, {"mils", unitMillennium},
}

// add adds n + frac of a unit. Fractions of a year go to months, of a month to
// days (30 a month), of a day to time; fractions of years are rounded to months.
func (a *span) add(u unit, n int64, frac float64) {
	switch u {
	case unitMicro:
		a.addMicros(n, 1, frac)
	case unitMilli:
		a.addMicros(n, 1000, frac)
	case unitSecond:
		a.addMicros(n, usecSecond, frac)
	case unitMinute:
		a.addMicros(n, usecMinute, frac)
	case unitHour:
		a.addMicros(n, usecHour, frac)
	case unitDay:
		a.addDays(n)
		a.addMicros(0, usecDay, frac)
	case unitWeek:
		a.addDays(mulSmall(n, 7, &a.over))
		a.addDayFraction(frac * 7)
	case unitMonth:
		a.addMonths(n)
		a.addDayFraction(frac * 30)
	default:
		years := [...]int64{1, 10, 100, 1000}[u-unitYear]
		months := mulSmall(n, 12*years, &a.over) + int64(math.RoundToEven(frac*12*float64(years)))
		if months != int64(int32(months)) {
			a.tooLong = true
			return
		}
		a.addMonths(months)
	}
}

func mulSmall(n, by int64, over *bool) int64 {
	if n > math.MaxInt32 || n < math.MinInt32 {
		*over = true
		return 0
	}
	return n * by
}

func (a *span) addDays(n int64) {
	a.days += n
	a.over = a.over || a.days != int64(int32(a.days))
}

func (a *span) addMonths(n int64) {
	a.months += n
	a.over = a.over || a.months != int64(int32(a.months))
}

// addDayFraction adds whole days and the rest as time.
func (a *span) addDayFraction(days float64) {
	whole := math.Trunc(days)
	a.addDays(int64(whole))
	a.addMicros(0, usecDay, days-whole)
}

func (a *span) addMicros(n, each int64, frac float64) {
	hi := n * each
	if n != 0 && (hi/each != n || n == math.MinInt64 && each != 1) {
		a.over = true
		return
	}
	for _, us := range [...]int64{hi, wholeMicros(frac * float64(each))} {
		sum := a.us + us
		if us > 0 && sum < a.us || us < 0 && sum > a.us {
			a.over = true
		}
		a.us = sum
	}
}

// A second with a fraction, and a clock, speak for all smaller units.
const (
	secondUnits = 1<<unitSecond | 1<<unitMilli | 1<<unitMicro
	clockUnits  = 1<<unitHour | 1<<unitMinute | secondUnits
)

// wholeMicros rounds to nearest, half towards zero, as PostgreSQL does here.
func wholeMicros(us float64) int64 {
	n := math.Trunc(us)
	switch rest := us - n; {
	case rest > 0.5:
		n++
	case rest < -0.5:
		n--
	}
	return int64(n)
}

type intervalParser struct {
	scanner
	orig []byte
	sum  span
	seen uint32 // units, one bit each
}

func (p *intervalParser) bad() error { return errDateTime("interval", p.orig) }

// add adds a value once per unit: naming one twice is bad syntax.
func (p *intervalParser) add(u unit, n int64, frac float64) error {
	mask := uint32(1) << u
	if u == unitSecond && frac != 0 {
		mask = secondUnits
	}
	if u == unitNone || p.seen&mask != 0 {
		return p.bad()
	}
	p.seen |= mask
	p.sum.add(u, n, frac)
	if p.sum.over {
		return errIntervalField(p.orig)
	}
	return nil
}

// quantity reads a sign, digits and a fraction. frac carries the sign, and neg
// says it for a zero.
func (p *intervalParser) quantity() (n int64, frac float64, neg bool, err error) {
	sign := p.pos
	if c := p.peek(); c == '-' || c == '+' {
		neg = c == '-'
		p.pos++
	}
	start := p.pos
	if d := p.digits(); len(d) > 0 {
		if n, err = strconv.ParseInt(string(p.b[sign:p.pos]), 10, 64); err != nil {
			return 0, 0, false, errIntervalField(p.orig)
		}
	}
	if p.peek() == '.' {
		at := p.pos
		p.pos++
		f := p.digits()
		if len(f) > 0 {
			frac, _ = strconv.ParseFloat(string(p.b[at:p.pos]), 64)
		}
	}
	if p.pos == start || p.pos == start+1 && p.b[start] == '.' {
		return 0, 0, false, p.bad()
	}
	if neg {
		frac = -frac
	}
	return n, frac, neg, nil
}

// verbose reads [@] quantity unit ... [ago], with clock and year-month fields.
func (p *intervalParser) verbose() error {
	ago, fields := false, 0
	if p.peek() == '@' {
		p.pos++
	}
	for {
		for isSpace(p.peek()) || p.peek() == ',' {
			p.pos++
		}
		if p.pos >= len(p.b) {
			break
		}
		if ago {
			return p.bad()
		}
		if isAlpha(p.peek()) {
			if w := p.word(); !equalFold(w, "ago") || fields == 0 {
				return p.bad()
			}
			ago = true
			continue
		}
		if err := p.field(); err != nil {
			return err
		}
		fields++
	}
	if fields == 0 {
		return p.bad()
	}
	if ago {
		s := &p.sum
		s.over = s.over || s.us == math.MinInt64
		s.months, s.days, s.us = -s.months, -s.days, -s.us
	}
	return nil
}

// field reads one quantity with its unit, a clock or a year-month pair.
func (p *intervalParser) field() error {
	start := p.pos
	n, frac, neg, err := p.quantity()
	if err != nil {
		return err
	}
	switch c := p.peek(); {
	case c == ':' && frac == 0:
		return p.clock(n, neg)
	case c == '-' && frac == 0 && p.pos+1 < len(p.b) && isDigit(p.b[p.pos+1]):
		p.pos++
		m, ok := number(p.digits())
		if !ok || m > 11 {
			return errIntervalField(p.orig)
		}
		if neg {
			m = -m
		}
		if err := p.add(unitYear, n, 0); err != nil {
			return err
		}
		return p.add(unitMonth, int64(m), 0)
	}
	for isSpace(p.peek()) {
		p.pos++
	}
	switch c := p.peek(); {
	case isAlpha(c):
		at := p.pos
		w := p.word()
		if equalFold(w, "ago") {
			p.pos = at
			return p.add(unitSecond, n, frac)
		}
		return p.add(unitNamed(w), n, frac)
	case c == 0:
		return p.add(unitSecond, n, frac)
	case p.clockAhead():
		// SQL's "days clock": a number before a time is days.
		return p.add(unitDay, n, frac)
	}
	p.pos = start
	return p.bad()
}

// clockAhead says whether [sign] digits ':' follows.
func (p *intervalParser) clockAhead() bool {
	i := p.pos
	if i < len(p.b) && (p.b[i] == '-' || p.b[i] == '+') {
		i++
	}
	for i < len(p.b) && isDigit(p.b[i]) {
		i++
	}
	return i > p.pos && i < len(p.b) && p.b[i] == ':'
}

// clock reads :MM[:SS[.fraction]] after the hours; MM:SS.fraction when there are
// two fields and a fraction.
func (p *intervalParser) clock(h int64, neg bool) error {
	if p.seen&clockUnits != 0 {
		return p.bad()
	}
	p.seen |= clockUnits
	p.pos++
	m, ok := number(p.digits())
	if !ok {
		return p.bad()
	}
	sec, frac := 0, int64(0)
	three := p.peek() == ':'
	if three {
		p.pos++
		if sec, ok = number(p.digits()); !ok {
			return p.bad()
		}
	}
	if p.peek() == '.' {
		if frac, ok = p.fraction(); !ok {
			return p.bad()
		}
		if !three {
			h, m, sec = 0, int(h), m
			if neg {
				m = -m
			}
		}
	}
	if m > 59 || m < 0 || sec > 60 {
		return errIntervalField(p.orig)
	}
	us := int64(m)*usecMinute + int64(sec)*usecSecond + frac
	if neg {
		us = -us
	}
	p.sum.addMicros(h, usecHour, 0)
	p.sum.addMicros(us, 1, 0)
	if p.sum.over {
		return errIntervalField(p.orig)
	}
	return nil
}

// iso reads P1Y2M3W4DT5H6M7S and P0001-02-03T04:05:06.
func (p *intervalParser) iso() error {
	p.pos = 1
	inTime, fields := false, 0
	for p.pos < len(p.b) {
		if p.peek() == 'T' && !inTime {
			inTime = true
			p.pos++
			continue
		}
		n, frac, neg, err := p.quantity()
		if err != nil {
			return err
		}
		fields++
		c := p.peek()
		switch {
		case !inTime && fields == 1 && c == '-':
			if err := p.isoDate(n); err != nil {
				return err
			}
			continue
		case inTime && c == ':' && frac == 0:
			if err := p.clock(n, neg); err != nil {
				return err
			}
			continue
		}
		p.pos++
		u := isoUnit(c, inTime)
		if u == unitNone {
			return p.bad()
		}
		p.sum.add(u, n, frac)
		if p.sum.over {
			return errIntervalField(p.orig)
		}
	}
	if fields == 0 {
		return p.bad()
	}
	return nil
}

func isoUnit(c byte, inTime bool) unit {
	switch {
	case inTime && c == 'H':
		return unitHour
	case inTime && c == 'M':
		return unitMinute
	case inTime && c == 'S':
		return unitSecond
	case inTime:
		return unitNone
	case c == 'Y':
		return unitYear
	case c == 'M':
		return unitMonth
	case c == 'W':
		return unitWeek
	case c == 'D':
		return unitDay
	}
	return unitNone
}

// isoDate reads -MM-DD after the years.
func (p *intervalParser) isoDate(years int64) error {
	p.sum.add(unitYear, years, 0)
	for _, u := range [...]unit{unitMonth, unitDay} {
		if p.peek() != '-' {
			return p.bad()
		}
		p.pos++
		n, ok := number(p.digits())
		if !ok {
			return p.bad()
		}
		p.sum.add(u, int64(n), 0)
	}
	return nil
}
