package vector

import "math/bits"

// Bitmap is a set of rows, 64 to a word, bit i%64 of word i/64. A nil Bitmap is
// empty; bits past the length it is used with are zero.
type Bitmap []uint64

// NewBitmap makes an empty bitmap for n rows.
func NewBitmap(n int) Bitmap { return make(Bitmap, Words(n)) }

// Words is the number of words that n rows take.
func Words(n int) int { return (n + 63) >> 6 }

// Get says whether row i is in the set. A nil bitmap has no rows.
func (b Bitmap) Get(i int) bool { return b != nil && b[i>>6]>>(uint(i)&63)&1 != 0 }

// Set adds row i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (uint(i) & 63) }

// Clear removes row i.
func (b Bitmap) Clear(i int) { b[i>>6] &^= 1 << (uint(i) & 63) }

// Fill adds rows [0, n) and removes the rest.
func (b Bitmap) Fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	b.trim(n)
}

func (b Bitmap) trim(n int) {
	w := n >> 6
	if r := uint(n) & 63; r != 0 && w < len(b) {
		b[w] &= 1<<r - 1
		w++
	}
	for ; w < len(b); w++ {
		b[w] = 0
	}
}

// Zero empties the set.
func (b Bitmap) Zero() { clear(b) }

// Count is the number of rows in the set.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Any says whether the set has a row.
func (b Bitmap) Any() bool {
	for _, w := range b {
		if w != 0 {
			return true
		}
	}
	return false
}

// And keeps the rows that are in o too; a nil o is empty.
func (b Bitmap) And(o Bitmap) {
	if o == nil {
		clear(b)
		return
	}
	for i := range b {
		b[i] &= o[i]
	}
}

// AndNot removes the rows of o.
func (b Bitmap) AndNot(o Bitmap) {
	for i := range o[:min(len(o), len(b))] {
		b[i] &^= o[i]
	}
}

// Or adds the rows of o.
func (b Bitmap) Or(o Bitmap) {
	for i := range o[:min(len(o), len(b))] {
		b[i] |= o[i]
	}
}

// AppendRows appends the rows of the set to sel, ascending.
func (b Bitmap) AppendRows(sel []uint32) []uint32 {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			sel = append(sel, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return sel
}
