package kernel

import (
	"math"
	"strings"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

const (
	usPerSecond = int64(1_000_000)
	usPerMinute = 60 * usPerSecond
	usPerHour   = 60 * usPerMinute
)

func infinite(t int64) bool { return t == schemas.InfinityTime || t == schemas.NegInfinityTime }

// dayOf is the date of a timestamp.
func dayOf(us int64) int64 {
	if infinite(us) {
		return us
	}
	return floorDiv(us, usPerDay)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// midnight is the timestamp at which a date begins.
func midnight(day int64) (int64, error) {
	if infinite(day) {
		return day, nil
	}
	us, ok := mulExact(day, usPerDay)
	if !ok || !validTimestamp(us) {
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "date out of range for timestamp")
	}
	return us, nil
}

// The range of PostgreSQL's timestamps in µs since 1970: 4714-11-24 BC to before 294277 AD.
const (
	minTimestamp = -210866803200000000
	endTimestamp = 9223371331200000000
)

func validTimestamp(us int64) bool { return us >= minTimestamp && us < endTimestamp }

func (t table) addTime() {
	t.addPure(eachInt(kDate, func(a *args) (int64, error) { return addDays(a.int(0), a.int(1)) }), "+", kDate, kI32)
	t.addPure(eachInt(kDate, func(a *args) (int64, error) { return addDays(a.int(0), -a.int(1)) }), "-", kDate, kI32)
	t.addPure(eachInt(kI32, func(a *args) (int64, error) {
		if infinite(a.int(0)) || infinite(a.int(1)) {
			return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "cannot subtract infinite dates")
		}
		return a.int(0) - a.int(1), nil
	}), "-", kDate, kDate)
	for _, k := range []schemas.Kind{kTS, kTSTZ} {
		t.addPure(eachInt(k, func(a *args) (int64, error) { return addInterval(a.int(0), a.interval(1), 1) }), "+", k, kIval)
		t.addPure(eachInt(k, func(a *args) (int64, error) { return addInterval(a.int(0), a.interval(1), -1) }), "-", k, kIval)
		t.unitary("date_trunc", func(unit string) kernelFunc { return dateTrunc(k, unit) }, kText, k)
	}
	t.addPure(eachInterval(func(a *args) (vector.Interval, error) { return AddIntervals(a.interval(0), a.interval(1)) }), "+", kIval, kIval)
	for _, k := range []schemas.Kind{kDate, kTS, kTSTZ} {
		t.unitary("extract", func(unit string) kernelFunc { return extract(k, unit) }, kText, k)
	}
}

// unitary registers a function with a kernel for some units, when the unit is constant;
// everything else goes row by row.
func (t table) unitary(name string, make func(unit string) kernelFunc, args ...schemas.Kind) {
	f := &expr.Func{Name: name, Args: args}
	slow, _ := rowwise(f)
	t[f.Key()] = &impl{perValue: true, bind: func(c *compiler, x *expr.Call) (kernelFunc, error) {
		if unit, ok := constant(x.Args[0], c.env); ok && !unit.IsNull() {
			if k := make(strings.ToLower(unit.Bytes())); k != nil {
				return k, nil
			}
		}
		return slow.bind(c, x)
	}}
}

func addDays(day, n int64) (int64, error) {
	if infinite(day) {
		return day, nil
	}
	d := day + n
	if d < minTimestamp/usPerDay || d >= 2147483494-2440588 { // PostgreSQL's DATE_END_JULIAN, from its day 0 to ours
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "date out of range")
	}
	return d, nil
}

// addInterval adds months, then days, then µs, as PostgreSQL does: a month that is too
// short takes its last day.
func addInterval(us int64, x vector.Interval, sign int64) (int64, error) {
	if infinite(us) {
		return us, nil
	}
	tooFar := schemas.Errorf(schemas.CodeOutOfRange, "22008", "timestamp out of range")
	if x.Months != 0 {
		day, rest := floorDiv(us, usPerDay), us-floorDiv(us, usPerDay)*usPerDay
		y, m, d := pgtext.CivilFromDays(day)
		months := int64(y)*12 + int64(m-1) + sign*int64(x.Months)
		y, m = int(floorDiv(months, 12)), int(months-floorDiv(months, 12)*12)+1
		d = min(d, daysIn(y, m))
		if y < -4713 || y > 294277 {
			return 0, tooFar
		}
		us = pgtext.DaysFromCivil(y, m, d)*usPerDay + rest
	}
	us, ok := addExact(us, sign*int64(x.Days)*usPerDay)
	if ok {
		us, ok = addExact(us, sign*x.Micros)
	}
	if !ok || !validTimestamp(us) {
		return 0, tooFar
	}
	return us, nil
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func intervalRange() error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22008", "interval out of range")
}

// AddIntervals adds field by field.
func AddIntervals(a, b vector.Interval) (vector.Interval, error) {
	m, d := int64(a.Months)+int64(b.Months), int64(a.Days)+int64(b.Days)
	us, ok := addExact(a.Micros, b.Micros)
	if !ok || m != int64(int32(m)) || d != int64(int32(d)) {
		return vector.Interval{}, intervalRange()
	}
	return vector.Interval{Months: int32(m), Days: int32(d), Micros: us}, nil
}

// DivInterval is interval_div of PostgreSQL: what does not divide goes down to the next
// smaller field, a month having 30 days.
func DivInterval(x vector.Interval, by float64) (vector.Interval, error) {
	if by == 0 {
		return vector.Interval{}, divisionByZero()
	}
	months, days := float64(x.Months)/by, float64(x.Days)/by
	out := vector.Interval{Months: int32(months), Days: int32(days)}
	monthDays := roundMicro((months - float64(out.Months)) * daysPerMonth)
	sec := roundMicro((days - float64(out.Days) + monthDays - math.Trunc(monthDays)) * 86400)
	if math.Abs(sec) >= 86400 {
		out.Days += int32(sec / 86400)
		sec -= math.Trunc(sec/86400) * 86400
	}
	out.Days += int32(monthDays)
	us := math.RoundToEven(float64(x.Micros)/by + sec*1e6)
	if math.IsNaN(us) || us < -9.3e18 || us > 9.2e18 {
		return vector.Interval{}, intervalRange()
	}
	out.Micros = int64(us)
	return out, nil
}

// roundMicro is PostgreSQL's TSROUND.
func roundMicro(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// dateTrunc cuts timestamps to a unit that is a fixed span or a part of the calendar.
func dateTrunc(k schemas.Kind, unit string) kernelFunc {
	var cut func(us int64) int64
	switch unit {
	case "microsecond", "microseconds":
		cut = func(us int64) int64 { return us }
	case "millisecond", "milliseconds":
		cut = span(1000)
	case "second":
		cut = span(usPerSecond)
	case "minute":
		cut = span(usPerMinute)
	case "hour":
		cut = span(usPerHour)
	case "day":
		cut = span(usPerDay)
	case "week":
		cut = func(us int64) int64 {
			day := floorDiv(us, usPerDay)
			return (day - (day + 3 - 7*floorDiv(day+3, 7))) * usPerDay // 1970-01-01 was a Thursday
		}
	case "month":
		cut = func(us int64) int64 {
			day := floorDiv(us, usPerDay)
			_, _, d := pgtext.CivilFromDays(day)
			return (day - int64(d-1)) * usPerDay
		}
	case "quarter":
		cut = func(us int64) int64 {
			y, m, _ := pgtext.CivilFromDays(floorDiv(us, usPerDay))
			return pgtext.DaysFromCivil(y, (m-1)/3*3+1, 1) * usPerDay
		}
	case "year":
		cut = func(us int64) int64 {
			y, _, _ := pgtext.CivilFromDays(floorDiv(us, usPerDay))
			return pgtext.DaysFromCivil(y, 1, 1) * usPerDay
		}
	default:
		return nil
	}
	var mem []int64
	return func(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
		src := flat(&mem, v[1], n)
		out := b.flatInts(schemas.Type{Kind: k}, n)
		for i, us := range src {
			if infinite(us) {
				out[i] = us
			} else {
				out[i] = cut(us)
			}
		}
		return nil
	}
}

func span(width int64) func(int64) int64 {
	return func(us int64) int64 { return floorDiv(us, width) * width }
}

// extract gives the whole fields of dates and timestamps; nil for others.
func extract(k schemas.Kind, unit string) kernelFunc {
	var field func(day, us int64) int64
	switch unit {
	case "year":
		field = func(day, _ int64) int64 {
			y, _, _ := pgtext.CivilFromDays(day)
			if y <= 0 {
				y-- // there is no year 0
			}
			return int64(y)
		}
	case "month":
		field = func(day, _ int64) int64 { _, m, _ := pgtext.CivilFromDays(day); return int64(m) }
	case "quarter":
		field = func(day, _ int64) int64 { _, m, _ := pgtext.CivilFromDays(day); return int64((m-1)/3 + 1) }
	case "day":
		field = func(day, _ int64) int64 { _, _, d := pgtext.CivilFromDays(day); return int64(d) }
	case "dow":
		field = func(day, _ int64) int64 { return day + 4 - 7*floorDiv(day+4, 7) }
	case "isodow":
		field = func(day, _ int64) int64 { return day + 3 - 7*floorDiv(day+3, 7) + 1 }
	case "hour":
		field = func(_, us int64) int64 { return us / usPerHour }
	case "minute":
		field = func(_, us int64) int64 { return us / usPerMinute % 60 }
	default:
		return nil
	}
	if k == kDate && (unit == "hour" || unit == "minute") {
		return nil
	}
	var mem []int64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		src := flat(&mem, v[1], n)
		out := b.decimal64(numeric, n, 0)
		var nulls vector.Bitmap
		for i, t := range src {
			day, us := t, int64(0)
			if infinite(t) { // fields that come round have no value; the year is infinite
				if unit == "year" && !skip.Get(i) {
					return infiniteYears(b, src, skip, field, k)
				}
				nulls, out[i] = setNull(nulls, i, n), 0
				continue
			}
			if k != kDate {
				day = floorDiv(t, usPerDay)
				us = t - day*usPerDay
			}
			out[i] = field(day, us)
		}
		b.Vec.Nulls = nulls
		return nil
	}
}

// infiniteYears is extract(year) where some are infinite.
func infiniteYears(b *Buffer, src []int64, skip vector.Bitmap, field func(day, us int64) int64, k schemas.Kind) error {
	return buildNums(b, len(src), skip, func(out *numBuilder, i int) error {
		switch t := src[i]; {
		case t == schemas.InfinityTime:
			out.add(decimal.Inf)
		case t == schemas.NegInfinityTime:
			out.add(decimal.NegInf)
		case k == kDate:
			out.add(decimal.FromInt(field(t, 0), 0))
		default:
			out.add(decimal.FromInt(field(floorDiv(t, usPerDay), 0), 0))
		}
		return nil
	})
}
