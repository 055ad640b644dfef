package vector

import (
	"fmt"

	"github.com/millrace/millrace/schemas"
)

// New makes an empty flat vector of a type, to be appended to, with room for n rows.
func New(t schemas.Type, n int) *Vector {
	v := &Vector{Type: t}
	switch t.Kind.Layout() {
	case schemas.LayoutInt:
		v.Ints = make([]int64, 0, n)
	case schemas.LayoutFloat:
		v.Floats = make([]float64, 0, n)
	case schemas.LayoutBytes:
		v.Strs.Views = make([]View, 0, n)
	case schemas.LayoutDecimal:
		v.Ints = make([]int64, 0, n)
		v.Scale = int(t.Scale)
	case schemas.LayoutInterval:
		v.Intervals = make([]Interval, 0, n)
	}
	return v
}

// AppendNull adds a NULL to a flat vector.
func (v *Vector) AppendNull() {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		v.Ints = append(v.Ints, 0)
	case schemas.LayoutFloat:
		v.Floats = append(v.Floats, 0)
	case schemas.LayoutBytes:
		v.Strs.Views = append(v.Strs.Views, View{})
	case schemas.LayoutInterval:
		v.Intervals = append(v.Intervals, Interval{})
	case schemas.LayoutDecimal:
		v.appendDecimalNull()
	}
	for len(v.Nulls) < Words(v.Len+1) {
		v.Nulls = append(v.Nulls, 0)
	}
	v.Nulls.Set(v.Len)
	v.Len++
}

// grow keeps the NULL bitmap as long as the rows, once there is one.
func (v *Vector) grow() {
	v.Len++
	if v.Nulls != nil && len(v.Nulls) < Words(v.Len) {
		v.Nulls = append(v.Nulls, 0)
	}
}

// AppendInt adds a value to a flat LayoutInt vector.
func (v *Vector) AppendInt(n int64) {
	v.Ints = append(v.Ints, n)
	v.grow()
}

// AppendFloat adds a value to a flat LayoutFloat vector.
func (v *Vector) AppendFloat(f float64) {
	v.Floats = append(v.Floats, f)
	v.grow()
}

// AppendBytes adds a value to a flat LayoutBytes vector, copying it.
func (v *Vector) AppendBytes(b []byte) {
	v.Strs.Append(b)
	v.grow()
}

// AppendInterval adds a value to a flat interval vector.
func (v *Vector) AppendInterval(x Interval) {
	v.Intervals = append(v.Intervals, x)
	v.grow()
}

// AppendValue adds any value; NULL is allowed, another layout than the vector's
// is a bug of the caller and panics.
func (v *Vector) AppendValue(x schemas.Value) {
	if x.IsNull() {
		v.AppendNull()
		return
	}
	layout := v.Type.Kind.Layout()
	if got := x.Kind().Layout(); got != layout {
		panic(fmt.Sprintf("vector: append %v to %v", x.Kind(), v.Type))
	}
	switch layout {
	case schemas.LayoutInt:
		v.AppendInt(x.Int())
	case schemas.LayoutFloat:
		v.AppendFloat(x.Float())
	case schemas.LayoutBytes:
		v.Strs.Append([]byte(x.Bytes()))
		v.grow()
	case schemas.LayoutInterval:
		m, d, us := x.Interval()
		v.AppendInterval(Interval{m, d, us})
	case schemas.LayoutDecimal:
		coef, scale, text, ok := x.Numeric()
		if ok {
			v.AppendDecimal(coef, scale)
		} else {
			v.AppendDecimalText([]byte(text))
		}
	}
}

// Value returns row i of a vector of any encoding.
func (v *Vector) Value(i int) schemas.Value {
	if v.Null(i) {
		return schemas.Null
	}
	k := v.Type.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		return schemas.NewInt(k, v.Int(i))
	case schemas.LayoutFloat:
		return schemas.NewFloat(k, v.Float(i))
	case schemas.LayoutBytes:
		return schemas.NewBytes(k, string(v.Bytes(i)))
	case schemas.LayoutInterval:
		x := v.Interval(i)
		return schemas.NewInterval(x.Months, x.Days, x.Micros)
	}
	return v.decimalValue(i)
}

// Reset empties a flat vector for reuse.
func (v *Vector) Reset() {
	v.Len, v.Nulls = 0, nil
	v.Ints, v.Floats, v.Wide, v.Intervals = v.Ints[:0], v.Floats[:0], v.Wide[:0], v.Intervals[:0]
	v.Strs.Reset()
	v.DScale = nil
	if v.Type.Kind == schemas.Numeric {
		v.Dec, v.Scale = Dec64, int(v.Type.Scale)
	}
}
