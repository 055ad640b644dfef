package stream

import (
	"bytes"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// hash fills r.hashes with each row's hash: of its key, so that a key's changes
// keep to one partition, or of its position where there is no key. Equal keys of
// unequal form (1.0 and 1.00) hash alike.
func (r *route) hash(b *change.Batch) {
	n := b.Len()
	if cap(r.hashes) < n {
		r.hashes = make([]uint64, n)
	}
	r.hashes = r.hashes[:n]
	if len(r.keys) == 0 {
		for i := range r.hashes {
			r.hashes[i] = mix(uint64(b.LSN[i]), uint64(b.Ordinal[i]))
		}
		return
	}
	clear(r.hashes)
	for _, k := range r.keys {
		hashColumn(r.hashes, b.Cols[k])
	}
	for i := 1; i < n; i++ {
		if b.Ops[i-1] == change.Before && b.Moved(i) {
			r.hashes[i-1] = r.hashes[i] // an old key travels with its row
		}
	}
}

// mix folds x into h.
func mix(h, x uint64) uint64 {
	h = (h ^ x) * 0x9E3779B97F4A7C15
	return h ^ h>>32
}

func hashColumn(hashes []uint64, v *vector.Vector) {
	var text []byte
	for i := range hashes {
		var x uint64
		switch {
		case v.Null(i):
		case v.Type.Kind.Layout() == schemas.LayoutInt:
			x = uint64(v.Int(i))
		case v.Type.Kind.Layout() == schemas.LayoutFloat:
			x = hashFloat(v.Float(i))
		case v.Type.Kind.Layout() == schemas.LayoutDecimal:
			text = v.AppendDecimalAt(text[:0], i)
			x = xxhash.Sum64(trimZeros(text))
		case v.Type.Kind.Layout() == schemas.LayoutInterval:
			s := v.Interval(i)
			x = uint64(s.Micros) + 86_400_000_000*(uint64(s.Days)+30*uint64(s.Months)) // PostgreSQL's equality
		case v.Type.Kind == schemas.Char:
			x = xxhash.Sum64(bytes.TrimRight(v.Bytes(i), " "))
		default:
			x = xxhash.Sum64(v.Bytes(i))
		}
		hashes[i] = mix(hashes[i], x)
	}
}

// hashFloat takes the zeros as one, and the NaNs.
func hashFloat(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return 1
	}
	return math.Float64bits(f)
}

// trimZeros drops a number's trailing zeros after the point.
func trimZeros(text []byte) []byte {
	if bytes.IndexByte(text, '.') < 0 {
		return text
	}
	return bytes.TrimRight(bytes.TrimRight(text, "0"), ".")
}
