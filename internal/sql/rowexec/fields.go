package rowexec

import (
	"math/big"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// unitNames are the spellings of date_trunc's and extract's fields.
var unitNames = map[string]string{
	"us": "microseconds", "usec": "microseconds", "usecs": "microseconds", "usecond": "microseconds", "useconds": "microseconds", "microsecond": "microseconds", "microseconds": "microseconds",
	"ms": "milliseconds", "msec": "milliseconds", "msecs": "milliseconds", "msecond": "milliseconds", "mseconds": "milliseconds", "millisecond": "milliseconds", "milliseconds": "milliseconds", "millisecon": "milliseconds",
	"s": "second", "sec": "second", "secs": "second", "second": "second", "seconds": "second",
	"m": "minute", "min": "minute", "mins": "minute", "minute": "minute", "minutes": "minute",
	"h": "hour", "hr": "hour", "hrs": "hour", "hour": "hour", "hours": "hour",
	"d": "day", "day": "day", "days": "day", "w": "week", "week": "week", "weeks": "week",
	"mon": "month", "mons": "month", "month": "month", "months": "month", "qtr": "quarter", "quarter": "quarter",
	"y": "year", "yr": "year", "yrs": "year", "year": "year", "years": "year",
	"c": "century", "cent": "century", "century": "century", "centuries": "century",
	"dec": "decade", "decs": "decade", "decade": "decade", "decades": "decade",
	"mil": "millennium", "mils": "millennium", "millennium": "millennium", "millennia": "millennium",
	"dow": "dow", "isodow": "isodow", "doy": "doy", "isoyear": "isoyear", "julian": "julian", "jd": "julian", "epoch": "epoch",
	"timezone": "timezone", "timezone_h": "timezone_hour", "timezone_hour": "timezone_hour", "timezone_m": "timezone_minute", "timezone_minute": "timezone_minute",
}

func badUnit(unit string, k schemas.Kind) error {
	if _, known := unitNames[strings.ToLower(unit)]; known {
		return schemas.Errorf(schemas.CodeUnsupported, "0A000", "unit %q not supported for type %s", unit, k)
	}
	return invalid("unit %q not recognized for type %s", unit, k)
}

func dateTrunc(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	unit := unitNames[strings.ToLower(a[0].Bytes())]
	if f.Result == schemas.Interval {
		return truncInterval(a[0].Bytes(), unit, a[1])
	}
	if infinite(a[1].Int()) { // whatever the unit
		return a[1], nil
	}
	if truncTime(time.Unix(0, 0).UTC(), unit).IsZero() {
		return schemas.Null, badUnit(a[0].Bytes(), f.Result)
	}
	t := civil(a[1].Int())
	if len(a) == 2 {
		return atTime(f.Result, truncTime(t, unit))
	}
	zone, err := location(a[2].Bytes())
	if err != nil {
		return schemas.Null, err
	}
	l := t.In(zone)
	switch unit {
	case "microseconds", "milliseconds", "second", "minute", "hour":
		_, offset := l.Zone()
		shifted := t.Add(time.Duration(offset) * time.Second)
		return atTime(f.Result, truncTime(shifted, unit).Add(-time.Duration(offset)*time.Second))
	}
	l = time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
	return atTime(f.Result, localTime(truncTime(l, unit), zone))
}

// truncTime truncates a UTC time; the zero time says that the unit has no meaning here.
func truncTime(t time.Time, unit string) time.Time {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	since := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	switch unit {
	case "microseconds":
		return t
	case "milliseconds":
		return day.Add(since.Truncate(time.Millisecond))
	case "second":
		return day.Add(since.Truncate(time.Second))
	case "minute":
		return day.Add(since.Truncate(time.Minute))
	case "hour":
		return day.Add(since.Truncate(time.Hour))
	case "day":
		return day
	case "week":
		return day.AddDate(0, 0, -(int(t.Weekday())+6)%7)
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case "quarter":
		return time.Date(t.Year(), (t.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	case "year":
		return year(t.Year())
	case "decade":
		return year(floorDiv(t.Year(), 10) * 10)
	case "century":
		return year(floorDiv(t.Year()-1, 100)*100 + 1)
	case "millennium":
		return year(floorDiv(t.Year()-1, 1000)*1000 + 1)
	}
	return time.Time{}
}

func truncInterval(name, unit string, v schemas.Value) (schemas.Value, error) {
	m, d, us := v.Interval()
	months := map[string]int32{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
	if n, ok := months[unit]; ok {
		return schemas.NewInterval(m/n*n, 0, 0), nil
	}
	micros := map[string]int64{"microseconds": 1, "milliseconds": 1000, "second": 1e6, "minute": 60e6, "hour": 3600e6}
	if n, ok := micros[unit]; ok {
		return schemas.NewInterval(m, d, us/n*n), nil
	}
	if unit == "day" {
		return schemas.NewInterval(m, d, 0), nil
	}
	return schemas.Null, badUnit(name, schemas.Interval)
}

// extract gives a numeric: whole, or with the digits of its unit.
func extract(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	d, null, err := field(a[0].Bytes(), a[1])
	if err != nil || null {
		return schemas.Null, err
	}
	return d.value(), nil
}

// datePart is extract in double precision. Parts of a minute are added as floats
// by PostgreSQL, which shows in the last digit.
func datePart(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	d, null, err := field(a[0].Bytes(), a[1])
	if err != nil || null {
		return schemas.Null, err
	}
	x := toFloat(d.value())
	switch unitNames[strings.ToLower(a[0].Bytes())] {
	case "milliseconds":
		us := d.coef.Int64()
		x = float64(us/1e6)*1000 + float64(us%1e6)/1000
	case "second":
		us := d.coef.Int64()
		x = float64(us/1e6) + float64(us%1e6)/1e6
	}
	return schemas.NewFloat(schemas.Float64, x), nil
}

func micros(us int64, scale int) dec { return dec{coef: big.NewInt(us), scale: scale} }

func field(name string, v schemas.Value) (d dec, null bool, err error) {
	unit := unitNames[strings.ToLower(name)]
	var ok bool
	switch v.Kind() {
	case schemas.Interval:
		d, ok = intervalField(unit, v)
	case schemas.Time:
		switch unit {
		case "epoch":
			d, ok = micros(v.Int(), 6), true
		default:
			d, ok = clockField(unit, v.Int())
		}
	case schemas.Date:
		if infinite(v.Int()) {
			return infiniteField(name, unit, v)
		}
		d, ok = calendarField(unit, time.Unix(v.Int()*86_400, 0).UTC())
		switch unit {
		case "epoch":
			d, ok = decInt(v.Int()*86_400), true
		case "julian":
			d, ok = decInt(v.Int()+julian1970), true
		}
	default:
		if infinite(v.Int()) {
			return infiniteField(name, unit, v)
		}
		d, ok = timestampField(unit, v)
	}
	if !ok {
		return dec{}, false, badUnit(name, v.Kind())
	}
	return d, false, nil
}

// infiniteField: units that only grow are infinite, the others NULL.
func infiniteField(name, unit string, v schemas.Value) (dec, bool, error) {
	switch unit {
	case "year", "decade", "century", "millennium", "isoyear", "julian", "epoch":
		if v.Int() > 0 {
			return decInf, false, nil
		}
		return decNegInf, false, nil
	case "timezone", "timezone_hour", "timezone_minute":
		if v.Kind() == schemas.Timestamp {
			return dec{}, true, nil
		}
	}
	_, _, err := field(name, schemas.NewInt(v.Kind(), 0))
	return dec{}, true, err
}

// julian1970 is the Julian day of 1970-01-01.
const julian1970 = 2440588

func clockField(unit string, us int64) (dec, bool) {
	switch unit {
	case "microseconds":
		return decInt(us % 60e6), true
	case "milliseconds":
		return micros(us%60e6, 3), true
	case "second":
		return micros(us%60e6, 6), true
	case "minute":
		return decInt(us / 60e6 % 60), true
	case "hour":
		return decInt(us / 3600e6), true
	}
	return dec{}, false
}

func timestampField(unit string, v schemas.Value) (dec, bool) {
	t := civil(v.Int())
	clock := v.Int() - truncTime(t, "day").UnixMicro()
	switch unit {
	case "epoch":
		return micros(v.Int(), 6), true
	case "julian":
		day := decInt((v.Int()-clock)/microsPerDay + julian1970)
		part, err := decInt(clock).div(decInt(microsPerDay))
		return day.add(part), err == nil
	case "timezone", "timezone_hour", "timezone_minute":
		return decInt(0), v.Kind() == schemas.TimestampTZ
	}
	if d, ok := clockField(unit, clock); ok {
		return d, true
	}
	return calendarField(unit, t)
}

// calendarField counts years as PostgreSQL shows them: no year 0.
func calendarField(unit string, t time.Time) (dec, bool) {
	year := int64(t.Year())
	shown := func(y int64) int64 {
		if y <= 0 {
			y--
		}
		return y
	}
	part := func(n int64) int64 { // centuries and millennia begin with year 1
		if year > 0 {
			return (year + n - 1) / n
		}
		return -((n - 1 - (year - 1)) / n)
	}
	iso, week := t.ISOWeek()
	switch unit {
	case "day":
		return decInt(int64(t.Day())), true
	case "month":
		return decInt(int64(t.Month())), true
	case "quarter":
		return decInt(int64(t.Month()-1)/3 + 1), true
	case "year":
		return decInt(shown(year)), true
	case "decade":
		return decInt(int64(floorDiv(int(year), 10))), true
	case "century":
		return decInt(part(100)), true
	case "millennium":
		return decInt(part(1000)), true
	case "week":
		return decInt(int64(week)), true
	case "isoyear":
		return decInt(shown(int64(iso))), true
	case "dow":
		return decInt(int64(t.Weekday())), true
	case "isodow":
		return decInt(int64(t.Weekday()+6)%7 + 1), true
	case "doy":
		return decInt(int64(t.YearDay())), true
	}
	return dec{}, false
}

func intervalField(unit string, v schemas.Value) (dec, bool) {
	m, d, us := v.Interval()
	months := int64(m)
	switch unit {
	case "microseconds", "milliseconds", "second", "minute", "hour":
		return clockField(unit, us)
	case "day":
		return decInt(int64(d)), true
	case "month":
		return decInt(months % 12), true
	case "quarter":
		return decInt(months%12/3 + 1), true
	case "year":
		return decInt(months / 12), true
	case "decade":
		return decInt(months / 120), true
	case "century":
		return decInt(months / 1200), true
	case "millennium":
		return decInt(months / 12000), true
	case "epoch": // a year is 365.25 days, a month 30
		secs := new(big.Int).Mul(big.NewInt(months/12), big.NewInt(31_557_600))
		secs.Add(secs, new(big.Int).Mul(big.NewInt(months%12), big.NewInt(30*86_400)))
		secs.Add(secs, new(big.Int).Mul(big.NewInt(int64(d)), big.NewInt(86_400)))
		n := secs.Mul(secs, big.NewInt(microsPerSecond))
		return dec{coef: n.Add(n, big.NewInt(us)), scale: 6}, true
	}
	return dec{}, false
}

// age is the symbolic difference: years and months, days, then time.
func age(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	x, y := a[0].Int(), a[1].Int()
	if infinite(x) || infinite(y) {
		return schemas.Null, timestampRange()
	}
	sign := 1
	if x < y {
		x, y, sign = y, x, -1
	}
	t, u := civil(x), civil(y)
	us := (x - truncTime(t, "day").UnixMicro()) - (y - truncTime(u, "day").UnixMicro())
	days, months := t.Day()-u.Day(), int(t.Month())-int(u.Month())+12*(t.Year()-u.Year())
	if us < 0 {
		us += microsPerDay
		days--
	}
	if days < 0 {
		// The days of the month of the earlier end.
		days += time.Date(u.Year(), u.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
		months--
	}
	return schemas.NewInterval(int32(sign*months), int32(sign*days), int64(sign)*us), nil
}
