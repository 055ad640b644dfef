package column

import (
	"slices"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Append adds the given rows of src, of any encoding, to dst, which is flat and
// still grows. Rows that were frozen before stay as they were.
func Append(dst, src *vector.Vector, rows []uint32) {
	if src.Enc != vector.Flat || src.Nulls != nil {
		for _, r := range rows {
			AppendRow(dst, src, int(r))
		}
		return
	}
	switch dst.Type.Kind.Layout() {
	case schemas.LayoutInt:
		dst.Ints = gather(dst.Ints, src.Ints, rows)
	case schemas.LayoutFloat:
		dst.Floats = gather(dst.Floats, src.Floats, rows)
	case schemas.LayoutInterval:
		dst.Intervals = gather(dst.Intervals, src.Intervals, rows)
	case schemas.LayoutBytes:
		for _, r := range rows {
			dst.Strs.Append(src.Strs.At(int(r)))
		}
	case schemas.LayoutDecimal:
		if dst.Dec != vector.Dec64 || src.Dec != vector.Dec64 || dst.Scale != src.Scale || dst.DScale != nil || src.DScale != nil {
			for _, r := range rows {
				AppendRow(dst, src, int(r))
			}
			return
		}
		dst.Ints = gather(dst.Ints, src.Ints, rows)
	}
	dst.Len += len(rows)
	for dst.Nulls != nil && len(dst.Nulls) < vector.Words(dst.Len) {
		dst.Nulls = append(dst.Nulls, 0)
	}
}

func gather[T any](dst, src []T, rows []uint32) []T {
	dst = slices.Grow(dst, len(rows))
	for _, r := range rows {
		dst = append(dst, src[r])
	}
	return dst
}

// AppendRow adds one row of src, of any encoding, to dst.
func AppendRow(dst, src *vector.Vector, r int) {
	if src.Null(r) {
		dst.AppendNull()
		return
	}
	switch dst.Type.Kind.Layout() {
	case schemas.LayoutInt:
		dst.AppendInt(src.Int(r))
	case schemas.LayoutFloat:
		dst.AppendFloat(src.Float(r))
	case schemas.LayoutBytes:
		dst.AppendBytes(src.Bytes(r))
	case schemas.LayoutInterval:
		if src.Enc == vector.Const {
			r = 0
		}
		dst.AppendValue(schemas.NewInterval(src.Intervals[r].Months, src.Intervals[r].Days, src.Intervals[r].Micros))
	case schemas.LayoutDecimal:
		appendDecimal(dst, src, r)
	}
}

func appendDecimal(dst, src *vector.Vector, r int) {
	var v schemas.Value
	if src.Dec == vector.Dec64 {
		v = src.Value(r)
	} else {
		v = vector.NumericValue(src.AppendDecimalAt(nil, r))
	}
	coef, scale, text, ok := v.Numeric()
	if !ok {
		dst.AppendDecimalText([]byte(text))
		return
	}
	if dst.Dec == vector.Dec64 && dst.Len > 0 && scale > dst.Scale {
		// Raising the scale rewrites the coefficients, which frozen vectors share.
		dst.Ints = slices.Clone(dst.Ints)
	}
	dst.AppendDecimal(coef, scale)
}

// Freeze returns the rows that v holds now as a vector that later appends to v
// do not change.
func Freeze(v *vector.Vector) *vector.Vector {
	f := *v
	f.Nulls = cloneNulls(v)
	f.Ints, f.Floats, f.Wide = slices.Clip(v.Ints), slices.Clip(v.Floats), slices.Clip(v.Wide)
	f.Intervals, f.DScale = slices.Clip(v.Intervals), slices.Clip(v.DScale)
	f.Strs = vector.Strings{Views: slices.Clip(v.Strs.Views), Bufs: slices.Clone(v.Strs.Bufs)}
	return &f
}
