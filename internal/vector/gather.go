package vector

import "github.com/millrace/millrace/schemas"

// AppendRows adds the given rows of src, a vector of the same kind in any
// encoding, to a flat vector, copying them.
func (v *Vector) AppendRows(src *Vector, rows []uint32) {
	if v.Type.Kind.Layout() == schemas.LayoutDecimal {
		v.appendDecimalRows(src, rows)
		return
	}
	for _, r := range rows {
		i := int(r)
		if src.Null(i) {
			v.AppendNull()
			continue
		}
		switch v.Type.Kind.Layout() {
		case schemas.LayoutInt:
			v.Ints = append(v.Ints, src.Int(i))
		case schemas.LayoutFloat:
			v.Floats = append(v.Floats, src.Float(i))
		case schemas.LayoutBytes:
			v.Strs.Append(src.Bytes(i))
		case schemas.LayoutInterval:
			v.Intervals = append(v.Intervals, src.Interval(i))
		}
		v.grow()
	}
}

// appendDecimalRows keeps the display scale of every number.
func (v *Vector) appendDecimalRows(src *Vector, rows []uint32) {
	var text []byte
	for _, r := range rows {
		i := int(r)
		switch {
		case src.Null(i):
			v.AppendNull()
		case src.Dec == Dec64:
			coef, scale, _, _ := src.decimalValue(i).Numeric()
			v.AppendDecimal(coef, scale)
		default:
			text = src.AppendDecimalAt(text[:0], i)
			v.AppendDecimalText(text)
		}
	}
}
