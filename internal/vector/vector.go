// Package vector holds columns of values in memory, as the query engine, the
// transforms and the store work on them: typed, narrow where the values allow it,
// with NULLs as a bitmap and no Go pointer per value.
package vector

import (
	"unsafe"

	"github.com/millrace/millrace/schemas"
)

// Encoding is how a vector's payload stands for its values.
type Encoding uint8

// The encodings.
const (
	// Flat holds one value a row in Ints, Floats, Strs, Dec or Intervals, after
	// the layout of the type.
	Flat Encoding = iota
	// Const holds one value, in row 0 of the flat payload, for every row. NULL for
	// every row is a Const with row 0 NULL.
	Const
	// Dict holds a code a row into Dict, a flat vector without NULLs.
	Dict
	// FOR (frame of reference) holds a code a row; the value is Base + code. Only
	// for LayoutInt, and for LayoutDecimal at a fixed scale.
	FOR
)

// Vector is a column of n values. Vectors are lent read-only unless their maker
// says otherwise. A stored row that is NULL holds zero in the payload; a computed
// one may hold anything.
type Vector struct {
	Type  schemas.Type
	Enc   Encoding
	Len   int
	Nulls Bitmap // rows that are NULL; nil when none is

	Ints      []int64    // LayoutInt; LayoutDecimal when Dec is Dec64
	Floats    []float64  // LayoutFloat
	Strs      Strings    // LayoutBytes; LayoutDecimal when Dec is DecText
	Wide      []Int128   // LayoutDecimal when Dec is Dec128
	Intervals []Interval // LayoutInterval

	// Codes is the payload of Dict and FOR.
	Codes Codes
	Base  int64   // FOR
	Dict  *Vector // Dict

	// Dec, Scale and DScale describe LayoutDecimal: a number is the coefficient
	// × 10^-Scale. DScale, when not nil, holds each row's display scale (1.0
	// and 1.00 are equal but differ as text); nil means Scale for every row.
	Dec    DecimalTier
	Scale  int
	DScale []uint8
}

// DecimalTier is how the coefficients of a decimal vector are held.
type DecimalTier uint8

// The tiers, narrow to wide.
const (
	Dec64   DecimalTier = iota // Ints, |coefficient| < 10^18
	Dec128                     // Wide, |coefficient| < 10^38
	DecText                    // Strs: PostgreSQL's text output, NaN and infinities too
)

// Int128 is a two's complement 128-bit number.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Interval is PostgreSQL's: months and days are not a fixed number of µs.
type Interval struct {
	Months, Days int32
	Micros       int64
}

// Codes are unsigned codes of 1, 2, 4 or 8 bytes, in exactly one of the slices.
type Codes struct {
	U8  []uint8
	U16 []uint16
	U32 []uint32
	U64 []uint64
}

// Width is the bytes a code takes: 1, 2, 4 or 8, and 0 for no codes.
func (c *Codes) Width() int {
	switch {
	case c.U8 != nil:
		return 1
	case c.U16 != nil:
		return 2
	case c.U32 != nil:
		return 4
	case c.U64 != nil:
		return 8
	}
	return 0
}

// At returns the code of a row.
func (c *Codes) At(i int) uint64 {
	switch {
	case c.U8 != nil:
		return uint64(c.U8[i])
	case c.U16 != nil:
		return uint64(c.U16[i])
	case c.U32 != nil:
		return uint64(c.U32[i])
	}
	return c.U64[i]
}

// Slice returns the codes of rows [lo, hi).
func (c Codes) Slice(lo, hi int) Codes {
	switch {
	case c.U8 != nil:
		return Codes{U8: c.U8[lo:hi]}
	case c.U16 != nil:
		return Codes{U16: c.U16[lo:hi]}
	case c.U32 != nil:
		return Codes{U32: c.U32[lo:hi]}
	case c.U64 != nil:
		return Codes{U64: c.U64[lo:hi]}
	}
	return c
}

// Null says whether row i is NULL.
func (v *Vector) Null(i int) bool {
	if v.Enc == Const {
		i = 0
	}
	return v.Nulls.Get(i)
}

// Int returns row i of a LayoutInt or Dec64 vector.
func (v *Vector) Int(i int) int64 {
	switch v.Enc {
	case Const:
		return v.Ints[0]
	case Dict:
		return v.Dict.Ints[v.Codes.At(i)]
	case FOR:
		return v.Base + int64(v.Codes.At(i))
	}
	return v.Ints[i]
}

// Float returns row i of a LayoutFloat vector.
func (v *Vector) Float(i int) float64 {
	switch v.Enc {
	case Const:
		return v.Floats[0]
	case Dict:
		return v.Dict.Floats[v.Codes.At(i)]
	}
	return v.Floats[i]
}

// Interval returns row i of an interval vector.
func (v *Vector) Interval(i int) Interval {
	switch v.Enc {
	case Const:
		return v.Intervals[0]
	case Dict:
		return v.Dict.Intervals[v.Codes.At(i)]
	}
	return v.Intervals[i]
}

// Bytes returns row i of a LayoutBytes or DecText vector, valid as long as the vector.
func (v *Vector) Bytes(i int) []byte {
	switch v.Enc {
	case Const:
		i = 0
	case Dict:
		return v.Dict.Strs.At(int(v.Codes.At(i)))
	}
	return v.Strs.At(i)
}

// View is a string of a Strings: its length and, up to 12 bytes, its bytes;
// otherwise its first 4 bytes, the number of its buffer and the place in it. It
// holds no Go pointer.
type View struct {
	Len uint32
	b   [12]byte // inline bytes, or prefix(4) buffer(4) offset(4), little endian
}

// InlineLen is the longest string that a View holds itself.
const InlineLen = 12

// Strings is a column of byte strings.
type Strings struct {
	Views []View
	Bufs  [][]byte
}

// MakeView makes the view of b, which stands at buf/off in the Strings it is for
// (both unused up to InlineLen bytes).
func MakeView(b []byte, buf, off uint32) View {
	v := View{Len: uint32(len(b))}
	if len(b) <= InlineLen {
		copy(v.b[:], b)
		return v
	}
	copy(v.b[:4], b)
	put32(v.b[4:], buf)
	put32(v.b[8:], off)
	return v
}

func put32(b []byte, x uint32) {
	b[0], b[1], b[2], b[3] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
}

func get32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// Inline says whether the view holds its own bytes.
func (v *View) Inline() bool { return v.Len <= InlineLen }

// Place returns buffer number and offset of a view that is not inline.
func (v *View) Place() (buf, off uint32) { return get32(v.b[4:8]), get32(v.b[8:12]) }

// Prefix returns the first 4 bytes, zero-padded, as a big-endian number: views
// whose prefixes differ compare like them.
func (v *View) Prefix() uint32 {
	return uint32(v.b[0])<<24 | uint32(v.b[1])<<16 | uint32(v.b[2])<<8 | uint32(v.b[3])
}

// At returns string i without copying. Up to InlineLen bytes it points into
// Views: it is valid as long as they are.
func (s *Strings) At(i int) []byte {
	v := &s.Views[i]
	if v.Len <= InlineLen {
		return unsafe.Slice(&v.b[0], InlineLen)[:v.Len:v.Len]
	}
	buf, off := v.Place()
	return s.Bufs[buf][off : off+v.Len : off+v.Len]
}

// Append adds a string, copying its bytes: long ones go to the last buffer, or a
// new one of at least 64 KiB when they do not fit it.
func (s *Strings) Append(b []byte) {
	if len(b) <= InlineLen {
		s.Views = append(s.Views, MakeView(b, 0, 0))
		return
	}
	last := len(s.Bufs) - 1
	if last < 0 || cap(s.Bufs[last])-len(s.Bufs[last]) < len(b) {
		s.Bufs = append(s.Bufs, make([]byte, 0, max(64<<10, len(b))))
		last++
	}
	off := len(s.Bufs[last])
	s.Bufs[last] = append(s.Bufs[last], b...)
	s.Views = append(s.Views, MakeView(b, uint32(last), uint32(off)))
}

// Reset empties the column and keeps its memory where nothing else can see it.
func (s *Strings) Reset() {
	s.Views = s.Views[:0]
	if len(s.Bufs) > 1 {
		s.Bufs = s.Bufs[len(s.Bufs)-1:]
	}
	if len(s.Bufs) == 1 {
		s.Bufs[0] = s.Bufs[0][:0]
	}
}

// Size estimates the bytes of the payload.
func (v *Vector) Size() int64 {
	n := 8*int64(len(v.Ints)+len(v.Floats)+len(v.Nulls)) + 16*int64(len(v.Strs.Views)+len(v.Wide)+len(v.Intervals))
	n += int64(len(v.Codes.U8)+2*len(v.Codes.U16)+4*len(v.Codes.U32)+8*len(v.Codes.U64)) + int64(len(v.DScale))
	for _, b := range v.Strs.Bufs {
		n += int64(len(b))
	}
	if v.Dict != nil {
		n += v.Dict.Size()
	}
	return n
}
