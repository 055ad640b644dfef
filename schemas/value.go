package schemas

import (
	"fmt"
	"math"
)

// Value is one value of any kind, for paths that go row by row: transactions,
// snapshots of small things, tests and naive models. Columns of values are
// vectors (internal/vector). The zero Value is NULL. Values are immutable and
// compare with == when they are equal and have the same kind and display scale.
type Value struct {
	kind  Kind   // Invalid means NULL
	scale int16  // numeric held in n: digits after the point
	n     int64  // LayoutInt; float bits; numeric coefficient when s is empty
	s     string // LayoutBytes; numeric as canonical text when it does not fit n; interval: 16 bytes
}

// Null is the NULL of every kind.
var Null Value

// Row is the values of a table's columns, in the order of Table.Columns.
type Row []Value

// NewInt makes a value of a LayoutInt kind.
func NewInt(k Kind, n int64) Value { return Value{kind: k, n: n} }

// NewBool makes a boolean.
func NewBool(b bool) Value {
	if b {
		return Value{kind: Bool, n: 1}
	}
	return Value{kind: Bool}
}

// NewFloat makes a real or double precision; a real is rounded to float32.
func NewFloat(k Kind, f float64) Value {
	if k == Float32 {
		f = float64(float32(f))
	}
	return Value{kind: k, n: int64(math.Float64bits(f))}
}

// NewBytes makes a value of a LayoutBytes kind.
func NewBytes(k Kind, s string) Value { return Value{kind: k, s: s} }

// NewText makes a text.
func NewText(s string) Value { return Value{kind: Text, s: s} }

// NewNumeric makes the numeric coef × 10^-scale, of at most 18 digits, shown with scale digits.
func NewNumeric(coef int64, scale int) Value {
	return Value{kind: Numeric, n: coef, scale: int16(scale)}
}

// NewNumericText makes a numeric from PostgreSQL's text output, for what does
// not fit 18 digits: long numbers, "NaN", "Infinity", "-Infinity".
func NewNumericText(s string) Value { return Value{kind: Numeric, s: s} }

// NewInterval makes an interval.
func NewInterval(months, days int32, micros int64) Value {
	b := make([]byte, 16)
	for i := range 4 {
		b[i], b[4+i] = byte(months>>(8*i)), byte(days>>(8*i))
	}
	for i := range 8 {
		b[8+i] = byte(micros >> (8 * i))
	}
	return Value{kind: Interval, s: string(b)}
}

// Kind is Invalid for NULL.
func (v Value) Kind() Kind { return v.kind }

// IsNull says whether the value is NULL.
func (v Value) IsNull() bool { return v.kind == Invalid }

// Int returns a LayoutInt value.
func (v Value) Int() int64 { return v.n }

// Bool returns a boolean; false for NULL.
func (v Value) Bool() bool { return v.n != 0 }

// Float returns a real or double precision.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.n)) }

// Bytes returns a LayoutBytes value.
func (v Value) Bytes() string { return v.s }

// Numeric returns coefficient and scale when the value fits 18 digits; otherwise
// ok is false and text is PostgreSQL's text output.
func (v Value) Numeric() (coef int64, scale int, text string, ok bool) {
	return v.n, int(v.scale), v.s, v.s == ""
}

// Interval returns the parts of an interval.
func (v Value) Interval() (months, days int32, micros int64) {
	if len(v.s) != 16 {
		return 0, 0, 0
	}
	for i := range 4 {
		months |= int32(v.s[i]) << (8 * i)
		days |= int32(v.s[4+i]) << (8 * i)
	}
	for i := range 8 {
		micros |= int64(v.s[8+i]) << (8 * i)
	}
	return months, days, micros
}

// GoString shows kind and contents for test failures; users see internal/pgtext.
func (v Value) GoString() string {
	switch v.kind.Layout() {
	case LayoutNone:
		return "NULL"
	case LayoutFloat:
		return fmt.Sprintf("%v:%v", v.kind, v.Float())
	case LayoutDecimal:
		if v.s == "" {
			return fmt.Sprintf("numeric:%de-%d", v.n, v.scale)
		}
		return "numeric:" + v.s
	case LayoutInt:
		return fmt.Sprintf("%v:%d", v.kind, v.n)
	}
	return fmt.Sprintf("%v:%q", v.kind, v.s)
}
