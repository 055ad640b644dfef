package kernel

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Buffer makes vectors again and again in memory of its own: Vec may share slices with
// what it was made from, the buffer never writes to those.
type Buffer struct {
	Vec vector.Vector

	ints      []int64
	floats    []float64
	views     []vector.View
	wide      []vector.Int128
	intervals []vector.Interval
	nulls     vector.Bitmap
	scales    []uint8
	u8        []uint8
	u16       []uint16
	u32       []uint32
	u64       []uint64
	bytes     []byte
}

// resize gives a slice of n elements, in the memory of *s where it suffices.
func resize[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, (n+63)&^63)
	}
	return (*s)[:n]
}

// start empties the vector and gives it a type and n rows.
func (b *Buffer) start(t schemas.Type, n int) *vector.Vector {
	b.Vec = vector.Vector{Type: t, Len: n}
	return &b.Vec
}

// flatInts starts a flat vector of a LayoutInt kind.
func (b *Buffer) flatInts(t schemas.Type, n int) []int64 {
	b.start(t, n).Ints = resize(&b.ints, n)
	return b.Vec.Ints
}

// flatFloats starts a flat vector of a LayoutFloat kind.
func (b *Buffer) flatFloats(t schemas.Type, n int) []float64 {
	b.start(t, n).Floats = resize(&b.floats, n)
	return b.Vec.Floats
}

// bools starts a boolean vector: codes 0 and 1.
func (b *Buffer) bools(n int) []uint8 {
	v := b.start(schemas.Type{Kind: schemas.Bool}, n)
	v.Enc, v.Codes.U8 = vector.FOR, resize(&b.u8, n)
	return v.Codes.U8
}

// decimal64 starts a flat decimal vector of the narrow tier.
func (b *Buffer) decimal64(t schemas.Type, n, scale int) []int64 {
	v := b.start(t, n)
	v.Ints, v.Scale = resize(&b.ints, n), scale
	return v.Ints
}

// decimal128 starts a flat decimal vector of the middle tier.
func (b *Buffer) decimal128(t schemas.Type, n, scale int) []vector.Int128 {
	v := b.start(t, n)
	v.Wide, v.Scale, v.Dec = resize(&b.wide, n), scale, vector.Dec128
	return v.Wide
}

// flatIntervals starts a flat interval vector.
func (b *Buffer) flatIntervals(n int) []vector.Interval {
	v := b.start(schemas.Type{Kind: schemas.Interval}, n)
	v.Intervals = resize(&b.intervals, n)
	return v.Intervals
}

// strings starts a flat vector of strings, to be appended to.
func (b *Buffer) strings(t schemas.Type, n int) *vector.Strings {
	v := b.start(t, n)
	v.Strs.Views = resize(&b.views, n)[:0]
	if b.bytes == nil {
		b.bytes = make([]byte, 0, 4<<10)
	}
	v.Strs.Bufs = [][]byte{b.bytes[:0]}
	return &v.Strs
}

// keepBytes remembers the buffer of strings for the next time.
func (b *Buffer) keepBytes() {
	if bufs := b.Vec.Strs.Bufs; len(bufs) > 0 {
		b.bytes = bufs[len(bufs)-1][:0]
	}
}

// allNull makes the vector of n NULLs.
func (b *Buffer) allNull(t schemas.Type, n int) *vector.Vector {
	v := b.start(t, n)
	constPayload(v)
	v.Nulls = vector.Bitmap{1}
	return v
}

// constPayload makes v a Const whose row 0 is zero.
func constPayload(v *vector.Vector) {
	v.Enc = vector.Const
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt, schemas.LayoutDecimal:
		v.Ints = []int64{0}
	case schemas.LayoutFloat:
		v.Floats = []float64{0}
	case schemas.LayoutBytes:
		v.Strs.Views = []vector.View{{}}
	case schemas.LayoutInterval:
		v.Intervals = []vector.Interval{{}}
	}
}

// Constant makes the vector of n times x.
func Constant(t schemas.Type, x schemas.Value, n int) *vector.Vector {
	v := vector.New(t, 1)
	if t.Kind == schemas.Numeric {
		v.Type.Precision, v.Type.Scale, v.Scale = 0, 0, 0 // as x shows it
	}
	if x.IsNull() {
		v.AppendNull()
	} else {
		v.AppendValue(x)
	}
	v.Type, v.Enc, v.Len = t, vector.Const, n
	return v
}
