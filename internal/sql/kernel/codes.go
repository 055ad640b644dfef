package kernel

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/internal/vector"
)

// rangeFOR keeps the bits of rows whose value lies in [lo, hi] (outside it, when
// negate is set), by comparing codes.
func rangeFOR(bits vector.Bitmap, v *vector.Vector, n int, lo, hi int64, negate bool) {
	maxCode := uint64(math.MaxUint64)
	if w := v.Codes.Width(); w < 8 {
		maxCode = 1<<(8*uint(w)) - 1
	}
	if hi < v.Base || lo > hi {
		keepAll(bits, negate)
		return
	}
	from := uint64(0)
	if lo > v.Base {
		from = uint64(lo) - uint64(v.Base)
	}
	to := min(uint64(hi)-uint64(v.Base), maxCode)
	if from > maxCode {
		keepAll(bits, negate)
		return
	}
	if from == 0 && to == maxCode {
		keepAll(bits, !negate)
		return
	}
	switch c := &v.Codes; {
	case c.U8 != nil:
		rangeBytes(bits, c.U8[:n], uint8(from), uint8(to-from), negate)
	case c.U16 != nil:
		rangeCodes(bits, c.U16[:n], uint16(from), uint16(to-from), negate)
	case c.U32 != nil:
		rangeCodes(bits, c.U32[:n], uint32(from), uint32(to-from), negate)
	case c.U64 != nil:
		rangeCodes(bits, c.U64[:n], from, to-from, negate)
	default:
		keepAll(bits, (from == 0) != negate)
	}
}

func rangeInts(bits vector.Bitmap, s []int64, lo, hi int64, negate bool) {
	if lo > hi {
		keepAll(bits, negate)
		return
	}
	from, width := uint64(lo), uint64(hi)-uint64(lo)
	var flip uint64
	if negate {
		flip = ^flip
	}
	for w := range bits {
		if bits[w] == 0 {
			continue
		}
		var m uint64
		for j, x := range s[w<<6 : min(w<<6+64, len(s))] {
			m |= uint64(b2u(uint64(x)-from <= width)) << (uint(j) & 63)
		}
		bits[w] &= m ^ flip
	}
}

func keepAll(bits vector.Bitmap, keep bool) {
	if !keep {
		bits.Zero()
	}
}

// rangeCodes keeps the bits of codes in [from, from+width].
func rangeCodes[C uint16 | uint32 | uint64](bits vector.Bitmap, codes []C, from, width C, negate bool) {
	var flip uint64
	if negate {
		flip = ^flip
	}
	for w := range bits {
		if bits[w] == 0 {
			continue
		}
		var m uint64
		for j, x := range codes[w<<6 : min(w<<6+64, len(codes))] {
			m |= uint64(b2u(x-from <= width)) << (uint(j) & 63)
		}
		bits[w] &= m ^ flip
	}
}

// rangeBytes is rangeCodes for one-byte codes: eight at a time, each in its byte of a word
// (the comparison of bytes within a word is from Hacker's Delight, chapter 2-18).
func rangeBytes(bits vector.Bitmap, codes []uint8, from, width uint8, negate bool) {
	const low, high = 0x0101010101010101, 0x8080808080808080
	var flip uint64
	if negate {
		flip = ^flip
	}
	sub, most := uint64(from)*low, uint64(width)*low
	for w := range bits {
		if bits[w] == 0 {
			continue
		}
		part := codes[w<<6 : min(w<<6+64, len(codes))]
		var m uint64
		j := 0
		for ; j+8 <= len(part); j += 8 {
			x := binary.LittleEndian.Uint64(part[j:])
			d := ((x | high) - (sub &^ high)) ^ ((x ^ ^sub) & high) // x - from, by byte
			// The high bit of each byte of over: d > width.
			t := (most | high) - (d &^ high)
			over := (d&^most | ^(d^most)&^t) & high
			m |= (^over & high) >> 7 * 0x0102040810204080 >> 56 << uint(j)
		}
		for ; j < len(part); j++ {
			m |= uint64(b2u(part[j]-from <= width)) << uint(j)
		}
		bits[w] &= m ^ flip
	}
}

// passCodes keeps the bits of rows whose code has a 1 in pass. NULL rows may have any
// code within the table or 0.
func passCodes(bits vector.Bitmap, c *vector.Codes, pass []uint8, n int) {
	switch {
	case c.U8 != nil:
		var full [256]uint8
		copy(full[:], pass)
		passBytes(bits, c.U8[:n], &full)
	case c.U16 != nil:
		passWide(bits, c.U16[:n], pass)
	case c.U32 != nil:
		passWide(bits, c.U32[:n], pass)
	default:
		passWide(bits, c.U64[:n], pass)
	}
}

func passBytes(bits vector.Bitmap, codes []uint8, pass *[256]uint8) {
	for w := range bits {
		if bits[w] == 0 {
			continue
		}
		var m uint64
		for j, x := range codes[w<<6 : min(w<<6+64, len(codes))] {
			m |= uint64(pass[x]) << (uint(j) & 63)
		}
		bits[w] &= m
	}
}

func passWide[C uint16 | uint32 | uint64](bits vector.Bitmap, codes []C, pass []uint8) {
	for w := range bits {
		if bits[w] == 0 {
			continue
		}
		var m uint64
		for j, x := range codes[w<<6 : min(w<<6+64, len(codes))] {
			m |= uint64(pass[x]) << (uint(j) & 63)
		}
		bits[w] &= m
	}
}
