package rowexec

import (
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

const (
	microsPerSecond = int64(1_000_000)
	microsPerDay    = 86_400 * microsPerSecond
)

// The span of timestamps: from PostgreSQL's first day, 4714-11-24 BC, to what an
// int64 of µs since 1970 holds (in the year 294247).
var (
	minTimestamp = time.Date(-4713, 11, 24, 0, 0, 0, 0, time.UTC).UnixMicro()
	endTimestamp = schemas.InfinityTime
	endDate      = time.Date(5874898, 1, 1, 0, 0, 0, 0, time.UTC).Unix() / 86_400
)

func timestampRange() error { return domain("22008", "timestamp out of range") }
func intervalRange() error  { return domain("22008", "interval out of range") }
func dateRange() error      { return domain("22008", "date out of range") }

func infinite(n int64) bool { return n == schemas.InfinityTime || n == schemas.NegInfinityTime }

// civil is the calendar time of µs since 1970 UTC.
func civil(us int64) time.Time { return time.UnixMicro(us).UTC() }

func timestamp(k schemas.Kind, us int64) (schemas.Value, error) {
	if us < minTimestamp || us >= endTimestamp {
		return schemas.Null, timestampRange()
	}
	return schemas.NewInt(k, us), nil
}

// atTime makes a timestamp of a calendar time, which may be far out of range.
func atTime(k schemas.Kind, t time.Time) (schemas.Value, error) {
	if !holds(t) {
		return schemas.Null, timestampRange()
	}
	return timestamp(k, t.UnixMicro())
}

// holds says whether µs can express a time, be it one of PostgreSQL's or not.
func holds(t time.Time) bool {
	return t.Unix() > -endTimestamp/microsPerSecond && t.Unix() < endTimestamp/microsPerSecond
}

// dateMicros is the µs at which a day begins.
func dateMicros(days int64) (int64, error) {
	if infinite(days) {
		return days, nil
	}
	us := days * microsPerDay
	if days < minTimestamp/microsPerDay || days > endTimestamp/microsPerDay {
		return 0, domain("22008", "date out of range for timestamp")
	}
	return us, nil
}

func dateValue(days int64) (schemas.Value, error) {
	if days < minTimestamp/microsPerDay || days >= endDate {
		return schemas.Null, dateRange()
	}
	return schemas.NewInt(schemas.Date, days), nil
}

// temporalArith is + - * / with a date, time, timestamp or interval.
func temporalArith(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	sign := int64(1)
	if f.Name == "-" {
		sign = -1
	}
	switch l, r := f.Args[0], f.Args[1]; {
	case l == schemas.Interval && r == schemas.Interval:
		return addIntervals(a[0], a[1], sign)
	case l == schemas.Interval:
		return scaleInterval(f.Name, a[0], a[1].Float())
	case l == schemas.Date && r == schemas.Int32:
		if infinite(a[0].Int()) {
			return a[0], nil
		}
		return dateValue(a[0].Int() + sign*a[1].Int())
	case l == schemas.Date && r == schemas.Date:
		if infinite(a[0].Int()) || infinite(a[1].Int()) {
			return schemas.Null, domain("22008", "cannot subtract infinite dates")
		}
		return schemas.NewInt(schemas.Int32, a[0].Int()-a[1].Int()), nil
	case l == schemas.Date && r == schemas.Time:
		return dateAndTime(a[0].Int(), a[1].Int())
	case l == schemas.Time && r == schemas.Time:
		return schemas.NewInterval(0, 0, a[0].Int()-a[1].Int()), nil
	case l == schemas.Time && r == schemas.Interval:
		_, _, us := a[1].Interval()
		n := (a[0].Int() + sign*(us%microsPerDay)) % microsPerDay
		return schemas.NewInt(schemas.Time, (n+microsPerDay)%microsPerDay), nil
	case r == schemas.Interval:
		return addToTimestamp(l, a[0].Int(), a[1], sign)
	}
	return subtractTimestamps(a[0].Int(), a[1].Int())
}

func dateAndTime(days, us int64) (schemas.Value, error) {
	start, err := dateMicros(days)
	if err != nil || infinite(start) {
		return schemas.NewInt(schemas.Timestamp, start), err
	}
	return timestamp(schemas.Timestamp, start+us)
}

// addToTimestamp adds months (keeping to the month's last day), then days, then µs.
func addToTimestamp(k schemas.Kind, us int64, span schemas.Value, sign int64) (schemas.Value, error) {
	if infinite(us) {
		return schemas.NewInt(k, us), nil
	}
	months, days, micros := span.Interval()
	t := civil(us)
	if months != 0 {
		t = addMonths(t, int(sign)*int(months))
	}
	t = t.AddDate(0, 0, int(sign)*int(days))
	if !holds(t) {
		return schemas.Null, timestampRange()
	}
	base, add := t.UnixMicro(), sign*micros
	sum := base + add
	if (sum > base) != (add > 0) && add != 0 {
		return schemas.Null, timestampRange()
	}
	return timestamp(k, sum)
}

func addMonths(t time.Time, n int) time.Time {
	month := int(t.Month()) - 1 + n
	first := time.Date(t.Year()+floorDiv(month, 12), time.Month(month-12*floorDiv(month, 12)+1), 1, 0, 0, 0, 0, time.UTC)
	day := min(t.Day(), first.AddDate(0, 1, -1).Day())
	return time.Date(first.Year(), first.Month(), day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// subtractTimestamps gives days and µs of one sign (interval_justify_hours).
func subtractTimestamps(x, y int64) (schemas.Value, error) {
	if infinite(x) || infinite(y) {
		return schemas.Null, domain("22008", "cannot subtract infinite timestamps")
	}
	us := x - y
	if (us < x) != (y > 0) && y != 0 {
		return schemas.Null, intervalRange()
	}
	return schemas.NewInterval(0, int32(us/microsPerDay), us%microsPerDay), nil
}

func addIntervals(x, y schemas.Value, sign int64) (schemas.Value, error) {
	m1, d1, u1 := x.Interval()
	m2, d2, u2 := y.Interval()
	m, d := int64(m1)+sign*int64(m2), int64(d1)+sign*int64(d2)
	us := u1 + sign*u2
	overflow := sign > 0 && (us > u1) != (u2 > 0) && u2 != 0 || sign < 0 && (us < u1) != (u2 > 0) && u2 != 0
	if overflow || m != int64(int32(m)) || d != int64(int32(d)) {
		return schemas.Null, intervalRange()
	}
	return schemas.NewInterval(int32(m), int32(d), us), nil
}

// scaleInterval is interval_mul and interval_div of PostgreSQL 15: fractions of
// months cascade to days, of days to µs.
func scaleInterval(op string, span schemas.Value, factor float64) (schemas.Value, error) {
	scale := func(x float64) float64 { return x * factor }
	if op == "/" {
		if factor == 0 {
			return schemas.Null, divisionByZero()
		}
		scale = func(x float64) float64 { return x / factor }
	}
	m, d, us := span.Interval()
	months, days := scale(float64(m)), scale(float64(d))
	if !fitsInt32(months) || !fitsInt32(days) {
		return schemas.Null, intervalRange()
	}
	round := func(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }
	outMonths, outDays := math.Trunc(months), math.Trunc(days)
	restDays := round((months - outMonths) * 30)
	restSecs := round((days - outDays + restDays - math.Trunc(restDays)) * 86_400)
	if math.Abs(restSecs) >= 86_400 {
		whole := math.Trunc(restSecs / 86_400)
		outDays, restSecs = outDays+whole, restSecs-whole*86_400
	}
	outDays += math.Trunc(restDays)
	micros := math.RoundToEven(scale(float64(us)) + restSecs*1e6)
	if !fitsInt32(outDays) || !(micros >= -0x1p63 && micros < 0x1p63) {
		return schemas.Null, intervalRange()
	}
	return schemas.NewInterval(int32(outMonths), int32(outDays), int64(micros)), nil
}

func fitsInt32(x float64) bool { return x > math.MinInt32-1 && x < math.MaxInt32+1 }

func makeDate(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	days, err := dayOf(a[0].Int(), a[1].Int(), a[2].Int())
	if err != nil {
		return schemas.Null, err
	}
	return dateValue(days)
}

// dayOf checks a calendar date; negative years are BC, year 0 does not exist.
func dayOf(year, month, day int64) (int64, error) {
	bad := schemas.Errorf(schemas.CodeOutOfRange, "22008", "date field value out of range: %d-%02d-%02d", year, month, day)
	if year == 0 || month < 1 || month > 12 || day < 1 || day > 31 {
		return 0, bad
	}
	y := year
	if y < 0 {
		y++
	}
	if y < -4714 || y > 5874898 {
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "date out of range: %d-%02d-%02d", year, month, day)
	}
	t := time.Date(int(y), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
	if int64(t.Day()) != day {
		return 0, bad
	}
	return t.Unix() / 86_400, nil
}

func makeTimestamp(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	days, err := dayOf(a[0].Int(), a[1].Int(), a[2].Int())
	if err != nil {
		return schemas.Null, err
	}
	h, m, sec := a[3].Int(), a[4].Int(), a[5].Float()
	if !(h >= 0 && h <= 24 && m >= 0 && m < 60 && sec >= 0 && sec <= 60) || h == 24 && (m > 0 || sec > 0) {
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22008", "time field value out of range: %d:%02d:%02g", h, m, sec)
	}
	us := (h*60+m)*60*microsPerSecond + int64(math.RoundToEven(sec*1e6))
	start, err := dateMicros(days)
	if err != nil {
		return schemas.Null, timestampRange()
	}
	return timestamp(schemas.Timestamp, start+us)
}

func toTimestamp(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	x := a[0].Float()
	switch {
	case math.IsNaN(x):
		return schemas.Null, domain("22008", "timestamp cannot be NaN")
	case math.IsInf(x, 1):
		return schemas.NewInt(schemas.TimestampTZ, schemas.InfinityTime), nil
	case math.IsInf(x, -1):
		return schemas.NewInt(schemas.TimestampTZ, schemas.NegInfinityTime), nil
	case math.Abs(x) > 1e13:
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22008", "timestamp out of range: \"%g\"", x)
	}
	// float8_timestamptz counts from 2000, and rounds there.
	const from2000 = 946_684_800
	return timestamp(schemas.TimestampTZ, int64(math.RoundToEven((x-from2000)*1e6))+from2000*microsPerSecond)
}

// timezone is AT TIME ZONE with a named zone or an offset.
func timezone(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	us := a[1].Int()
	if infinite(us) {
		return schemas.NewInt(f.Result, us), nil
	}
	if f.Args[0] == schemas.Interval {
		m, d, offset := a[0].Interval()
		if m != 0 || d != 0 {
			return schemas.Null, invalid("interval time zone must not include months or days")
		}
		offset -= offset % microsPerSecond
		if f.Result == schemas.TimestampTZ {
			offset = -offset
		}
		return timestamp(f.Result, us+offset)
	}
	zone, err := location(a[0].Bytes())
	if err != nil {
		return schemas.Null, err
	}
	t := civil(us)
	if f.Result == schemas.TimestampTZ {
		return atTime(f.Result, localTime(t, zone))
	}
	t = t.In(zone)
	return atTime(f.Result, time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC))
}

// localTime reads the fields of t as local time. As PostgreSQL does, it reads a time
// that a change of clocks skips with the offset before the change, and one that it
// repeats with the offset after.
func localTime(t time.Time, zone *time.Location) time.Time {
	offsetAt := func(t time.Time) time.Duration {
		_, seconds := t.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := offsetAt(t.Add(-24*time.Hour)), offsetAt(t.Add(24*time.Hour))
	if late := t.Add(-after); offsetAt(late) == after {
		return late
	}
	return t.Add(-before)
}

// zones remembers locations by name: loading one reads a file.
var zones sync.Map

func location(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, invalid("time zone %q not recognized", name)
	}
	zones.Store(name, zone)
	return zone, nil
}
