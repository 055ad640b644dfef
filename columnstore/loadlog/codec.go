package loadlog

import (
	"encoding/binary"
	"errors"
	"math"
)

type writer struct {
	b     []byte
	spare []byte // reused for the next nested part
}

func (w *writer) take() []byte {
	s := w.spare
	w.spare = nil
	return s[:0]
}

func (w *writer) byte(x byte)      { w.b = append(w.b, x) }
func (w *writer) uvarint(x uint64) { w.b = binary.AppendUvarint(w.b, x) }
func (w *writer) varint(x int64)   { w.b = binary.AppendVarint(w.b, x) }

func (w *writer) bytes(x []byte) {
	w.uvarint(uint64(len(x)))
	w.b = append(w.b, x...)
}

func (w *writer) str(x string) {
	w.uvarint(uint64(len(x)))
	w.b = append(w.b, x...)
}

// words writes n numbers as the least one and narrow codes above it.
func (w *writer) words(n int, at func(i int) uint64) {
	if n == 0 {
		return
	}
	lo, hi := at(0), at(0)
	for i := 1; i < n; i++ {
		x := at(i)
		lo, hi = min(lo, x), max(hi, x)
	}
	w.uvarint(lo)
	w.codes(n, hi-lo, func(i int) uint64 { return at(i) - lo })
}

func (w *writer) codes(n int, span uint64, at func(i int) uint64) {
	switch {
	case span == 0:
		w.byte(0)
	case span <= math.MaxUint8:
		w.byte(1)
		for i := range n {
			w.b = append(w.b, byte(at(i)))
		}
	case span <= math.MaxUint16:
		w.byte(2)
		for i := range n {
			w.b = binary.LittleEndian.AppendUint16(w.b, uint16(at(i)))
		}
	case span <= math.MaxUint32:
		w.byte(4)
		for i := range n {
			w.b = binary.LittleEndian.AppendUint32(w.b, uint32(at(i)))
		}
	default:
		w.byte(8)
		for i := range n {
			w.b = binary.LittleEndian.AppendUint64(w.b, at(i))
		}
	}
}

// ints writes numbers as words over the least one.
func (w *writer) ints(v []int64) {
	if len(v) == 0 {
		return
	}
	lo, hi := v[0], v[0]
	for _, x := range v {
		lo, hi = min(lo, x), max(hi, x)
	}
	w.varint(lo)
	w.codes(len(v), uint64(hi)-uint64(lo), func(i int) uint64 { return uint64(v[i]) - uint64(lo) })
}

type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = corrupt(errors.New(what))
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("short")
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) varint() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return x
}

// count reads a number of things that take at least a byte each.
func (r *reader) count() int {
	x := r.uvarint()
	if r.err == nil && x > uint64(len(r.b)) {
		r.fail("count over the record's length")
		return 0
	}
	return int(x)
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("short")
		return nil
	}
	x := r.b[:n:n]
	r.b = r.b[n:]
	return x
}

func (r *reader) bytes() []byte { return r.take(r.count()) }
func (r *reader) str() string   { return string(r.bytes()) }

// words reads what writer.words wrote, into dst.
func words[T ~uint64 | ~uint32 | ~int64](r *reader, dst []T) {
	if len(dst) == 0 {
		return
	}
	addCodes(r, dst, T(r.uvarint()))
}

func (r *reader) ints(dst []int64) {
	if len(dst) == 0 {
		return
	}
	addCodes(r, dst, r.varint())
}

func addCodes[T ~uint64 | ~uint32 | ~int64](r *reader, dst []T, base T) {
	width := int(r.byte())
	if width != 0 && width != 1 && width != 2 && width != 4 && width != 8 {
		r.fail("bad code width")
		return
	}
	b := r.take(width * len(dst))
	if r.err != nil {
		return
	}
	switch width {
	case 0:
		for i := range dst {
			dst[i] = base
		}
	case 1:
		for i := range dst {
			dst[i] = base + T(b[i])
		}
	case 2:
		for i := range dst {
			dst[i] = base + T(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case 4:
		for i := range dst {
			dst[i] = base + T(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case 8:
		for i := range dst {
			dst[i] = base + T(binary.LittleEndian.Uint64(b[8*i:]))
		}
	}
}
