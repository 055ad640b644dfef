package pgtext

import "github.com/millrace/millrace/schemas"

// Microseconds in larger units.
const (
	usecSecond = int64(1_000_000)
	usecMinute = 60 * usecSecond
	usecHour   = 60 * usecMinute
	usecDay    = 24 * usecHour
)

// The limits of PostgreSQL's date and timestamp, in days and µs since 1970.
// A timestamp ends where int64 microseconds since 1970 end (in year 294247, not
// quite PostgreSQL's 294276): what cannot be held is refused.
const (
	julianEpoch  = 2440588                  // Julian day of 1970-01-01
	minDays      = -julianEpoch             // 4714-11-24 BC, Julian day 0
	maxDays      = 2147483494 - julianEpoch // first day after 5874897-12-31
	minTimestamp = minDays * usecDay
	maxTimestamp = schemas.InfinityTime // exclusive
)

// DaysFromCivil gives the days since 1970-01-01 of a date in the proleptic
// Gregorian calendar. Year 0 is 1 BC; month and day are in their usual range.
// (The algorithm counts eras of 400 years that begin in March.)
func DaysFromCivil(year, month, day int) int64 {
	y := int64(year)
	if month <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := int64((153*((month+9)%12)+2)/5 + day - 1)
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// CivilFromDays is the inverse of DaysFromCivil.
func CivilFromDays(days int64) (year, month, day int) {
	z := days + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	y := yoe + era*400
	if month <= 2 {
		y++
	}
	return int(y), month, day
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// daysInMonth knows leap years; year 0 is 1 BC.
func daysInMonth(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
