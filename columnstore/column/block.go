// Package column turns columns of up to 64 Ki rows into narrow, immutable blocks
// with the least and greatest value of each, and grows the flat columns that such
// blocks are made from.
package column

import (
	"math"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// MaxRows is the most rows of a block: a row number fits 16 bits.
const MaxRows = 64 << 10

// Block is one column of one chunk of rows. It never changes and may be lent.
type Block struct {
	Vec  *vector.Vector
	Zone Zone
	// Bytes is what Vec holds.
	Bytes int64
}

// NewBlock wraps a vector as it is, without a zone.
func NewBlock(v *vector.Vector) *Block { return &Block{Vec: v, Bytes: v.Size()} }

// Encode makes the narrowest block that holds a flat vector's values. The block
// shares nothing that the vector's maker may still change.
func Encode(v *vector.Vector) *Block {
	out := encode(v)
	b := NewBlock(out)
	b.Zone = zoneOf(v)
	return b
}

func encode(v *vector.Vector) *vector.Vector {
	if v.Enc != vector.Flat {
		return v
	}
	if v.Len > 0 && v.Nulls != nil && v.Nulls.Count() == v.Len {
		return allNull(v.Type, v.Len)
	}
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		return encodeInts(v)
	case schemas.LayoutFloat:
		return encodeFloats(v)
	case schemas.LayoutBytes:
		return encodeBytes(v)
	case schemas.LayoutDecimal:
		switch {
		case v.Dec == vector.Dec64 && v.DScale == nil:
			return encodeInts(v)
		case v.Dec == vector.DecText:
			return encodeBytes(v)
		}
	}
	return clone(v)
}

// AllNull makes a vector of n NULLs.
func AllNull(t schemas.Type, n int) *vector.Vector { return allNull(t, n) }

func allNull(t schemas.Type, n int) *vector.Vector {
	v := vector.New(t, 1)
	v.AppendNull()
	v.Enc, v.Len = vector.Const, n
	return v
}

// like copies what describes a vector, not what it holds.
func like(v *vector.Vector) *vector.Vector {
	return &vector.Vector{Type: v.Type, Len: v.Len, Nulls: cloneNulls(v), Dec: v.Dec, Scale: v.Scale}
}

func cloneNulls(v *vector.Vector) vector.Bitmap {
	if !v.Nulls.Any() {
		return nil
	}
	out := vector.NewBitmap(v.Len)
	copy(out, v.Nulls)
	return out
}

func clone(v *vector.Vector) *vector.Vector {
	out := like(v)
	out.Ints = append([]int64(nil), v.Ints...)
	out.Floats = append([]float64(nil), v.Floats...)
	out.Wide = append([]vector.Int128(nil), v.Wide...)
	out.Intervals = append([]vector.Interval(nil), v.Intervals...)
	out.DScale = append([]uint8(nil), v.DScale...)
	return out
}

// encodeInts picks a constant, or codes of 1, 2 or 4 bytes over the least value.
func encodeInts(v *vector.Vector) *vector.Vector {
	lo, hi := intRange(v)
	out := like(v)
	span := uint64(hi) - uint64(lo)
	if span == 0 && out.Nulls == nil && v.Len > 0 {
		out.Enc, out.Ints = vector.Const, []int64{lo}
		return out
	}
	out.Enc, out.Base = vector.FOR, lo
	switch {
	case span <= math.MaxUint8:
		out.Codes.U8 = codes[uint8](v, lo)
	case span <= math.MaxUint16:
		out.Codes.U16 = codes[uint16](v, lo)
	case span <= math.MaxUint32:
		out.Codes.U32 = codes[uint32](v, lo)
	default:
		out.Enc, out.Base, out.Ints = vector.Flat, 0, append([]int64(nil), v.Ints[:v.Len]...)
	}
	return out
}

func codes[C uint8 | uint16 | uint32](v *vector.Vector, base int64) []C {
	out := make([]C, v.Len)
	ints := v.Ints[:len(out)]
	if v.Nulls == nil {
		for i := range out {
			out[i] = C(ints[i] - base)
		}
		return out
	}
	for i := range out {
		if !v.Nulls.Get(i) {
			out[i] = C(ints[i] - base)
		}
	}
	return out
}

// intRange is the least and greatest value that is not NULL; 0, 0 when all are.
func intRange(v *vector.Vector) (lo, hi int64) {
	lo, hi = math.MaxInt64, math.MinInt64
	if v.Nulls == nil {
		for _, n := range v.Ints[:v.Len] {
			lo, hi = min(lo, n), max(hi, n)
		}
	} else {
		for i, n := range v.Ints[:v.Len] {
			if !v.Nulls.Get(i) {
				lo, hi = min(lo, n), max(hi, n)
			}
		}
	}
	if lo > hi {
		return 0, 0
	}
	return lo, hi
}

func encodeFloats(v *vector.Vector) *vector.Vector {
	out := like(v)
	if out.Nulls == nil && v.Len > 0 {
		first, same := math.Float64bits(v.Floats[0]), true
		for _, f := range v.Floats[1:v.Len] {
			if math.Float64bits(f) != first {
				same = false
				break
			}
		}
		if same {
			out.Enc, out.Floats = vector.Const, []float64{v.Floats[0]}
			return out
		}
	}
	out.Floats = append([]float64(nil), v.Floats[:v.Len]...)
	return out
}
