package column

import (
	"bytes"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/vector"
)

// A dictionary is kept while it stays small beside the rows: at most one distinct
// value in dictShare rows once dictProbe rows were seen.
const (
	dictShare = 4
	dictProbe = 4096
)

// encodeBytes makes a dictionary when few values differ, else one compact buffer.
func encodeBytes(v *vector.Vector) *vector.Vector {
	if out := encodeDict(v); out != nil {
		return out
	}
	out := like(v)
	out.Strs = compact(&v.Strs, v.Len)
	return out
}

// compact copies n strings into a single buffer of the exact size.
func compact(s *vector.Strings, n int) vector.Strings {
	size := 0
	for i := range s.Views[:n] {
		if w := &s.Views[i]; !w.Inline() {
			size += int(w.Len)
		}
	}
	out := vector.Strings{Views: make([]vector.View, n)}
	if size == 0 {
		copy(out.Views, s.Views)
		return out
	}
	buf := make([]byte, 0, size)
	for i := range s.Views[:n] {
		if s.Views[i].Inline() {
			out.Views[i] = s.Views[i]
			continue
		}
		b := s.At(i)
		out.Views[i] = vector.MakeView(b, 0, uint32(len(buf)))
		buf = append(buf, b...)
	}
	out.Bufs = [][]byte{buf}
	return out
}

type dictBuilder struct {
	dict  *vector.Vector
	slots []uint32 // index in dict + 1; 0 is free
	mask  uint64
}

func (d *dictBuilder) code(b []byte) uint32 {
	h := xxhash.Sum64(b)
	for i := h & d.mask; ; i = (i + 1) & d.mask {
		s := d.slots[i]
		if s == 0 {
			d.dict.AppendBytes(b)
			d.slots[i] = uint32(d.dict.Len)
			d.grow()
			return uint32(d.dict.Len - 1)
		}
		if bytes.Equal(d.dict.Strs.At(int(s-1)), b) {
			return s - 1
		}
	}
}

func (d *dictBuilder) grow() {
	if d.dict.Len*2 < len(d.slots) {
		return
	}
	d.slots = make([]uint32, 2*len(d.slots))
	d.mask = uint64(len(d.slots) - 1)
	for k := range d.dict.Len {
		i := xxhash.Sum64(d.dict.Strs.At(k)) & d.mask
		for d.slots[i] != 0 {
			i = (i + 1) & d.mask
		}
		d.slots[i] = uint32(k + 1)
	}
}

// encodeDict returns nil when too many values differ.
func encodeDict(v *vector.Vector) *vector.Vector {
	dict := &vector.Vector{Type: v.Type, Dec: v.Dec}
	d := dictBuilder{dict: dict, slots: make([]uint32, 256), mask: 255}
	codes := make([]uint16, v.Len)
	for i := range codes {
		if v.Nulls.Get(i) {
			continue
		}
		c := d.code(v.Strs.At(i))
		if c > math.MaxUint16 || i > dictProbe && dict.Len*dictShare > i {
			return nil
		}
		codes[i] = uint16(c)
	}
	if dict.Len > 1 && dict.Len*dictShare > v.Len {
		return nil
	}
	out := like(v)
	if dict.Len == 1 && out.Nulls == nil {
		out.Enc, out.Strs = vector.Const, compact(&dict.Strs, 1)
		return out
	}
	if dict.Len == 0 {
		dict.AppendBytes(nil) // a code must stand for something
	}
	dict.Strs = compact(&dict.Strs, dict.Len)
	out.Enc, out.Dict = vector.Dict, dict
	if dict.Len <= 1<<8 {
		narrow := make([]uint8, len(codes))
		for i, c := range codes {
			narrow[i] = uint8(c)
		}
		out.Codes.U8 = narrow
		return out
	}
	out.Codes.U16 = codes
	return out
}
