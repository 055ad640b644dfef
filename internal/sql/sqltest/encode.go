package sqltest

import (
	"math/rand/v2"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Narrow gives a flat column the narrowest encoding there is for it.
func Narrow(v *vector.Vector) *vector.Vector {
	if out := FrameOfReference(v); out != nil {
		return out
	}
	if v.Type.Kind.Layout() == schemas.LayoutBytes || v.Type.Kind.Layout() == schemas.LayoutFloat {
		if out := Dictionary(v, max(256, v.Len/4)); out != nil {
			return out
		}
	}
	return v
}

// Random gives a flat column any encoding that can hold it.
func Random(r *rand.Rand) func(v *vector.Vector) *vector.Vector {
	return func(v *vector.Vector) *vector.Vector {
		var out *vector.Vector
		switch r.IntN(4) {
		case 0:
			out = FrameOfReference(v)
		case 1:
			out = Dictionary(v, 1<<16)
		case 2:
			out = constant(v)
		}
		if out == nil {
			return v
		}
		return out
	}
}

// constant encodes a column whose rows are all alike.
func constant(v *vector.Vector) *vector.Vector {
	for i := 1; i < v.Len; i++ {
		if v.Value(i) != v.Value(0) {
			return nil
		}
	}
	if v.Len == 0 {
		return nil
	}
	return kernel.Constant(v.Type, v.Value(0), v.Len)
}

// FrameOfReference encodes whole numbers and decimals of one scale whose range takes at
// most 32 bits; nil for others.
func FrameOfReference(v *vector.Vector) *vector.Vector {
	layout := v.Type.Kind.Layout()
	if layout != schemas.LayoutInt && (layout != schemas.LayoutDecimal || v.Dec != vector.Dec64 || v.DScale != nil) {
		return nil
	}
	lo, hi, some := int64(0), int64(0), false
	for i, x := range v.Ints {
		if v.Nulls.Get(i) {
			continue
		}
		if !some {
			lo, hi, some = x, x, true
		}
		lo, hi = min(lo, x), max(hi, x)
	}
	span := uint64(hi) - uint64(lo)
	if span >= 1<<32 {
		return nil
	}
	out := &vector.Vector{Type: v.Type, Enc: vector.FOR, Len: v.Len, Nulls: v.Nulls, Base: lo, Scale: v.Scale}
	code := func(i int) uint64 {
		if v.Nulls.Get(i) {
			return 0
		}
		return uint64(v.Ints[i] - lo)
	}
	out.Codes = makeCodes(v.Len, span, code)
	return out
}

// makeCodes packs codes up to a largest one.
func makeCodes(n int, largest uint64, code func(i int) uint64) vector.Codes {
	var c vector.Codes
	switch {
	case largest < 1<<8:
		c.U8 = make([]uint8, n)
		for i := range c.U8 {
			c.U8[i] = uint8(code(i))
		}
	case largest < 1<<16:
		c.U16 = make([]uint16, n)
		for i := range c.U16 {
			c.U16[i] = uint16(code(i))
		}
	default:
		c.U32 = make([]uint32, n)
		for i := range c.U32 {
			c.U32[i] = uint32(code(i))
		}
	}
	return c
}

// Dictionary encodes a column of at most limit distinct values; nil for more, and for
// decimals that are not of one scale.
func Dictionary(v *vector.Vector, limit int) *vector.Vector {
	if v.Type.Kind == schemas.Numeric && (v.Dec != vector.Dec64 || v.DScale != nil) {
		return nil
	}
	seen := map[schemas.Value]uint64{}
	dict := vector.New(v.Type, 0)
	dict.Scale = v.Scale
	codes := make([]uint64, v.Len)
	for i := range v.Len {
		if v.Null(i) {
			continue
		}
		x := v.Value(i)
		c, ok := seen[x]
		if !ok {
			c = uint64(len(seen))
			if seen[x] = c; len(seen) > limit {
				return nil
			}
			dict.AppendValue(x)
		}
		codes[i] = c
	}
	out := &vector.Vector{Type: v.Type, Enc: vector.Dict, Len: v.Len, Nulls: v.Nulls, Dict: dict, Dec: v.Dec, Scale: v.Scale}
	out.Codes = makeCodes(v.Len, uint64(len(seen)), func(i int) uint64 { return codes[i] })
	return out
}
