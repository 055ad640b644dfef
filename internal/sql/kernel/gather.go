package kernel

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Gather makes a dense vector of rows of src in the memory of b. Numbers become Flat,
// strings stay in dictionaries, booleans become codes 0 and 1 over base 0 (FOR), and a Const
// stays one. What needs no copy is shared with src.
func (b *Buffer) Gather(src *vector.Vector, rows Rows) *vector.Vector {
	n := rows.Len()
	if src.Enc == vector.Const {
		b.Vec = *src
		b.Vec.Len = n
		return &b.Vec
	}
	v := b.start(src.Type, n)
	v.Dec, v.Scale = src.Dec, src.Scale
	v.Nulls = b.gatherNulls(src.Nulls, rows)
	if src.DScale != nil {
		v.DScale = gatherTo(&b.scales, src.DScale, rows)
	}
	if src.Type.Kind == schemas.Bool {
		b.gatherBool(src, rows)
		return v
	}
	switch src.Enc {
	case vector.Flat:
		b.gatherFlat(src, rows)
	case vector.FOR:
		v.Ints = resize(&b.ints, n)
		decodeFOR(v.Ints, src, rows)
	case vector.Dict:
		b.gatherDict(src, rows)
	}
	return v
}

// gatherTo takes the rows of a slice: shared for a range, else copied into *mem.
func gatherTo[T any](mem *[]T, src []T, rows Rows) []T {
	if rows.Sel == nil {
		return src[rows.Lo : rows.Lo+rows.N]
	}
	dst := resize(mem, len(rows.Sel))
	for i, r := range rows.Sel {
		dst[i] = src[r]
	}
	return dst
}

func (b *Buffer) gatherFlat(src *vector.Vector, rows Rows) {
	v := &b.Vec
	switch {
	case src.Type.Kind.Layout() == schemas.LayoutFloat:
		v.Floats = gatherTo(&b.floats, src.Floats, rows)
	case src.Type.Kind.Layout() == schemas.LayoutInterval:
		v.Intervals = gatherTo(&b.intervals, src.Intervals, rows)
	case src.Type.Kind.Layout() == schemas.LayoutBytes || src.Type.Kind == schemas.Numeric && src.Dec == vector.DecText:
		v.Strs = vector.Strings{Views: gatherTo(&b.views, src.Strs.Views, rows), Bufs: src.Strs.Bufs}
	case src.Type.Kind == schemas.Numeric && src.Dec == vector.Dec128:
		v.Wide = gatherTo(&b.wide, src.Wide, rows)
	default:
		v.Ints = gatherTo(&b.ints, src.Ints, rows)
	}
}

// gatherDict keeps codes for strings and looks up everything else.
func (b *Buffer) gatherDict(src *vector.Vector, rows Rows) {
	v, d := &b.Vec, src.Dict
	switch {
	case src.Type.Kind.Layout() == schemas.LayoutFloat:
		v.Floats = resize(&b.floats, v.Len)
		lookUp(v.Floats, d.Floats, &src.Codes, rows)
	case src.Type.Kind.Layout() == schemas.LayoutInterval:
		v.Intervals = resize(&b.intervals, v.Len)
		lookUp(v.Intervals, d.Intervals, &src.Codes, rows)
	case src.Type.Kind.Layout() == schemas.LayoutBytes && d.Len == 0: // every row is NULL
		v.Strs.Views = resize(&b.views, v.Len)
		clear(v.Strs.Views)
	case src.Type.Kind.Layout() == schemas.LayoutBytes:
		v.Enc, v.Dict, v.Codes = vector.Dict, d, b.gatherCodes(&src.Codes, rows)
	case src.Type.Kind == schemas.Numeric && src.Dec == vector.DecText:
		v.Strs = vector.Strings{Views: resize(&b.views, v.Len), Bufs: d.Strs.Bufs}
		lookUp(v.Strs.Views, d.Strs.Views, &src.Codes, rows)
	case src.Type.Kind == schemas.Numeric && src.Dec == vector.Dec128:
		v.Wide = resize(&b.wide, v.Len)
		lookUp(v.Wide, d.Wide, &src.Codes, rows)
	default:
		v.Ints = resize(&b.ints, v.Len)
		lookUp(v.Ints, d.Ints, &src.Codes, rows)
	}
}

// gatherCodes takes the rows of codes at their width.
func (b *Buffer) gatherCodes(c *vector.Codes, rows Rows) vector.Codes {
	switch {
	case c.U8 != nil:
		return vector.Codes{U8: gatherTo(&b.u8, c.U8, rows)}
	case c.U16 != nil:
		return vector.Codes{U16: gatherTo(&b.u16, c.U16, rows)}
	case c.U32 != nil:
		return vector.Codes{U32: gatherTo(&b.u32, c.U32, rows)}
	}
	return vector.Codes{U64: gatherTo(&b.u64, c.U64, rows)}
}

func lookUp[T any](dst, table []T, c *vector.Codes, rows Rows) {
	switch {
	case len(table) == 0: // every row is NULL
		clear(dst)
	case c.U8 != nil:
		lookUpCodes(dst, table, c.U8, rows)
	case c.U16 != nil:
		lookUpCodes(dst, table, c.U16, rows)
	case c.U32 != nil:
		lookUpCodes(dst, table, c.U32, rows)
	default:
		lookUpCodes(dst, table, c.U64, rows)
	}
}

func lookUpCodes[T any, C uint8 | uint16 | uint32 | uint64](dst, table []T, codes []C, rows Rows) {
	if rows.Sel == nil {
		for i, c := range codes[rows.Lo : rows.Lo+rows.N] {
			dst[i] = table[c]
		}
		return
	}
	for i, r := range rows.Sel {
		dst[i] = table[codes[r]]
	}
}

func decodeFOR(dst []int64, src *vector.Vector, rows Rows) {
	c := &src.Codes
	switch {
	case c.U8 != nil:
		addBase(dst, c.U8, src.Base, rows)
	case c.U16 != nil:
		addBase(dst, c.U16, src.Base, rows)
	case c.U32 != nil:
		addBase(dst, c.U32, src.Base, rows)
	case c.U64 != nil:
		addBase(dst, c.U64, src.Base, rows)
	default: // no codes: every row is Base
		for i := range dst {
			dst[i] = src.Base
		}
	}
}

func addBase[C uint8 | uint16 | uint32 | uint64](dst []int64, codes []C, base int64, rows Rows) {
	if rows.Sel == nil {
		codes = codes[rows.Lo : rows.Lo+rows.N]
		dst = dst[:len(codes)]
		for i, c := range codes {
			dst[i] = base + int64(c)
		}
		return
	}
	dst = dst[:len(rows.Sel)]
	for i, r := range rows.Sel {
		dst[i] = base + int64(codes[r])
	}
}

// gatherBool makes codes 0 and 1 of any encoding.
func (b *Buffer) gatherBool(src *vector.Vector, rows Rows) {
	v := &b.Vec
	v.Enc = vector.FOR
	if src.Enc == vector.FOR && src.Base == 0 && src.Codes.U8 != nil {
		v.Codes.U8 = gatherTo(&b.u8, src.Codes.U8, rows)
		return
	}
	codes := resize(&b.u8, v.Len)
	for i := range codes {
		at := rows.At(i)
		codes[i] = 0
		if !src.Nulls.Get(at) && src.Int(at) != 0 {
			codes[i] = 1
		}
	}
	v.Codes.U8 = codes
}

// gatherNulls takes the rows of a NULL bitmap; nil when none is set.
func (b *Buffer) gatherNulls(src vector.Bitmap, rows Rows) vector.Bitmap {
	if src == nil {
		return nil
	}
	n := rows.Len()
	dst := vector.Bitmap(resize((*[]uint64)(&b.nulls), vector.Words(n)))
	if rows.Sel == nil {
		copyBits(dst, src, rows.Lo, n)
	} else {
		clear(dst)
		for i, r := range rows.Sel {
			dst[i>>6] |= src[r>>6] >> (r & 63) & 1 << (uint(i) & 63)
		}
	}
	if !dst.Any() {
		return nil
	}
	return dst
}

// copyBits copies n bits of src from bit lo on, and clears the rest of dst.
func copyBits(dst, src vector.Bitmap, lo, n int) {
	shift, from := uint(lo)&63, lo>>6
	for i := range dst {
		w := src[from+i] >> shift
		if shift != 0 && from+i+1 < len(src) {
			w |= src[from+i+1] << (64 - shift)
		}
		dst[i] = w
	}
	if r := uint(n) & 63; r != 0 {
		dst[len(dst)-1] &= 1<<r - 1
	}
}
