package rowexec

import (
	"cmp"
	"math"
	"math/big"
	"strings"

	"github.com/millrace/millrace/schemas"
)

// Compare orders two values that are not NULL as PostgreSQL orders them in
// collation "C": negative, zero or positive. Numbers of different kinds compare
// by value, and so do dates and timestamps. NaN equals itself and is above all.
func Compare(a, b schemas.Value) int {
	switch a.Kind().Layout() {
	case schemas.LayoutInt:
		if b.Kind().Layout() != schemas.LayoutInt {
			return -Compare(b, a)
		}
		return cmp.Compare(instant(a, b.Kind()), instant(b, a.Kind()))
	case schemas.LayoutFloat:
		return compareFloats(a.Float(), toFloat(b))
	case schemas.LayoutDecimal:
		if b.Kind().IsFloat() {
			return compareFloats(toFloat(a), b.Float())
		}
		return toDec(a).cmp(toDec(b))
	case schemas.LayoutInterval:
		return intervalSpan(a).Cmp(intervalSpan(b))
	}
	x, y := a.Bytes(), b.Bytes()
	if a.Kind() == schemas.Char && b.Kind() == schemas.Char {
		x, y = strings.TrimRight(x, " "), strings.TrimRight(y, " ")
	}
	return strings.Compare(x, y)
}

// compareFloats puts NaN above everything.
func compareFloats(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return b2i(math.IsNaN(a)) - b2i(math.IsNaN(b))
	}
	return cmp.Compare(a, b)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// instant gives a date in µs when it meets a timestamp.
func instant(v schemas.Value, other schemas.Kind) int64 {
	if v.Kind() == schemas.Date && (other == schemas.Timestamp || other == schemas.TimestampTZ) {
		n, err := dateMicros(v.Int())
		if err != nil { // beyond every timestamp
			if v.Int() > 0 {
				return schemas.InfinityTime - 1
			}
			return schemas.NegInfinityTime + 1
		}
		return n
	}
	return v.Int()
}

// intervalSpan is how PostgreSQL compares intervals: a month is 30 days, a day 24 hours.
func intervalSpan(v schemas.Value) *big.Int {
	m, d, us := v.Interval()
	n := big.NewInt(int64(m)*30 + int64(d))
	n.Mul(n, big.NewInt(microsPerDay))
	return n.Add(n, big.NewInt(us))
}

// toDec reads a whole number or a numeric.
func toDec(v schemas.Value) dec {
	if v.Kind() == schemas.Numeric {
		return decOf(v)
	}
	return decInt(v.Int())
}

// toFloat reads any number as double precision.
func toFloat(v schemas.Value) float64 {
	switch v.Kind().Layout() {
	case schemas.LayoutFloat:
		return v.Float()
	case schemas.LayoutDecimal:
		f, _ := parseFloat(decOf(v).String(), 64)
		return f
	}
	return float64(v.Int())
}
