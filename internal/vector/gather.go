package vector

import "github.com/millrace/millrace/schemas"

// AppendRows adds the given rows of src, a vector of the same kind in any
// encoding, to a flat vector, copying them.
func (v *Vector) AppendRows(src *Vector, rows []uint32) {
	layout := v.Type.Kind.Layout()
	switch {
	case layout == schemas.LayoutDecimal:
		v.appendDecimalRows(src, rows)
	case src.Enc == Flat && src.Nulls == nil:
		v.appendFlatRows(src, rows, layout)
	default:
		v.appendAnyRows(src, rows, layout)
	}
}

// appendFlatRows is for the usual source: one value a row, no NULL.
func (v *Vector) appendFlatRows(src *Vector, rows []uint32, layout schemas.Layout) {
	switch layout {
	case schemas.LayoutInt:
		for _, r := range rows {
			v.Ints = append(v.Ints, src.Ints[r])
		}
	case schemas.LayoutFloat:
		for _, r := range rows {
			v.Floats = append(v.Floats, src.Floats[r])
		}
	case schemas.LayoutBytes:
		for _, r := range rows {
			v.Strs.appendFrom(&src.Strs, int(r))
		}
	case schemas.LayoutInterval:
		for _, r := range rows {
			v.Intervals = append(v.Intervals, src.Intervals[r])
		}
	}
	v.growBy(len(rows))
}

// growBy counts rows that were added without a NULL.
func (v *Vector) growBy(n int) {
	v.Len += n
	for v.Nulls != nil && len(v.Nulls) < Words(v.Len) {
		v.Nulls = append(v.Nulls, 0)
	}
}

// appendFrom adds string i of another column. A string that its view holds whole
// is copied with it.
func (s *Strings) appendFrom(src *Strings, i int) {
	if view := &src.Views[i]; view.Inline() {
		s.Views = append(s.Views, *view)
		return
	}
	s.Append(src.At(i))
}

func (v *Vector) appendAnyRows(src *Vector, rows []uint32, layout schemas.Layout) {
	for _, r := range rows {
		i := int(r)
		if src.Null(i) {
			v.AppendNull()
			continue
		}
		switch layout {
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
	if src.Enc == Flat && src.Nulls == nil && src.Dec == Dec64 && src.DScale == nil &&
		v.Dec == Dec64 && v.DScale == nil && (v.Scale == src.Scale || v.Len == 0 && v.Type.Precision == 0) {
		v.Scale = src.Scale
		for _, r := range rows {
			v.Ints = append(v.Ints, src.Ints[r])
		}
		v.growBy(len(rows))
		return
	}
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
