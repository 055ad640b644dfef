package kernel

import (
	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Copy makes a vector of its own of rows of src: flat, or a Const.
func Copy(src *vector.Vector, rows Rows) *vector.Vector {
	n := rows.Len()
	if src.Enc == vector.Const {
		if src.Null(0) {
			return Constant(src.Type, schemas.Null, n)
		}
		return Constant(src.Type, src.Value(0), n)
	}
	dst := vector.New(src.Type, n)
	Append(dst, src, rows)
	return dst
}

// Append adds rows of src, of any encoding, to a flat vector of the same layout.
func Append(dst, src *vector.Vector, rows Rows) {
	appendNulls(dst, src, rows)
	switch dst.Type.Kind.Layout() {
	case schemas.LayoutInt:
		at := len(dst.Ints)
		dst.Ints = extend(dst.Ints, rows.Len())
		copyInts(dst.Ints[at:], src, rows)
	case schemas.LayoutFloat:
		for i := range rows.Len() {
			r := rows.At(i)
			var f float64
			if !src.Null(r) {
				f = src.Float(r)
			}
			dst.Floats = append(dst.Floats, f)
		}
	case schemas.LayoutInterval:
		for i := range rows.Len() {
			r := rows.At(i)
			var x vector.Interval
			if !src.Null(r) {
				x = IntervalAt(src, r)
			}
			dst.Intervals = append(dst.Intervals, x)
		}
	case schemas.LayoutBytes:
		for i := range rows.Len() {
			if r := rows.At(i); src.Null(r) {
				dst.Strs.Append(nil)
			} else {
				dst.Strs.Append(src.Bytes(r))
			}
		}
	case schemas.LayoutDecimal:
		appendDecimals(dst, src, rows)
		return
	}
	dst.Len += rows.Len()
}

// extend adds n elements to a slice, doubling its memory when it must grow.
func extend[T any](s []T, n int) []T {
	if need := len(s) + n; need <= cap(s) {
		return s[:need]
	}
	t := make([]T, len(s)+n, max(2*cap(s), len(s)+n))
	copy(t, s)
	return t
}

func copyInts(dst []int64, src *vector.Vector, rows Rows) {
	switch {
	case src.Enc == vector.Const:
		fill(dst, src.Ints[0])
	case src.Enc == vector.FOR:
		decodeFOR(dst, src, rows)
	case src.Enc == vector.Dict:
		lookUp(dst, src.Dict.Ints, &src.Codes, rows)
	case rows.Sel == nil:
		copy(dst, src.Ints[rows.Lo:rows.Lo+rows.N])
	default:
		for i, r := range rows.Sel {
			dst[i] = src.Ints[r]
		}
	}
}

// appendNulls brings the NULL bitmap of dst to its length after the append; decimals
// keep theirs themselves.
func appendNulls(dst, src *vector.Vector, rows Rows) {
	n := rows.Len()
	if dst.Type.Kind.Layout() == schemas.LayoutDecimal || src.Nulls == nil && dst.Nulls == nil {
		return
	}
	for len(dst.Nulls) < vector.Words(dst.Len+n) {
		dst.Nulls = append(dst.Nulls, 0)
	}
	if src.Nulls == nil {
		return
	}
	for i := range n {
		if src.Null(rows.At(i)) {
			dst.Nulls.Set(dst.Len + i)
		}
	}
}

// appendDecimals copies coefficients where tier and scale agree, else number by number.
func appendDecimals(dst, src *vector.Vector, rows Rows) {
	n := rows.Len()
	if dst.Len == 0 && src.Dec == vector.Dec64 && dst.Dec == vector.Dec64 {
		dst.Scale = src.Scale
	}
	if src.Dec == vector.Dec64 && dst.Dec == vector.Dec64 && src.Scale == dst.Scale && src.DScale == nil && dst.DScale == nil {
		at := len(dst.Ints)
		dst.Ints = extend(dst.Ints, n)
		copyInts(dst.Ints[at:], src, rows)
		if src.Nulls != nil || dst.Nulls != nil {
			appendDecimalNulls(dst, src, rows)
		}
		dst.Len += n
		return
	}
	for i := range n {
		r := rows.At(i)
		switch {
		case src.Null(r):
			dst.AppendNull()
		case src.Dec == vector.DecText:
			appendNum(dst, src.Bytes(r))
		default:
			c, show := wideAt(src, r), showAt(src, r)
			for drop := src.Scale - show; drop > 0; drop -= 18 {
				c, _ = decimal.DivRem(c, uint64(decimal.Pow10(min(drop, 18))))
			}
			dst.AppendWide(c, show)
		}
	}
}

// appendNum adds a number given as text, in a fixed tier where it fits.
func appendNum(dst *vector.Vector, text []byte) {
	if dst.Dec != vector.DecText {
		if n, err := decimal.Parse(text); err == nil {
			if w, scale, ok := n.Wide(); ok {
				dst.AppendWide(w, scale)
				return
			}
		}
	}
	dst.AppendDecimalText(text)
}

func appendDecimalNulls(dst, src *vector.Vector, rows Rows) {
	for len(dst.Nulls) < vector.Words(dst.Len+rows.Len()) {
		dst.Nulls = append(dst.Nulls, 0)
	}
	for i := range rows.Len() {
		if src.Null(rows.At(i)) {
			dst.Nulls.Set(dst.Len + i)
		}
	}
}
