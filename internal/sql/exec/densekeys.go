package exec

import (
	"github.com/millrace/millrace/internal/vector"
)

// maxDense is the largest number of combinations of codes that is looked up directly.
const maxDense = 1 << 14

// denseKeys maps the codes of key columns, combined to one number, to groups: no hash and
// no comparison per row. It holds for one chunk, whose dictionaries and bases do not
// change.
type denseKeys struct {
	ready  bool
	usable bool
	sizes  []int    // codes of each column, and one for NULL
	groups []uint32 // group plus 1 by combined code
	codes  []uint32
}

func (d *denseKeys) reset() { d.ready = false }

// assign sets groups[i] for every row of the batch, when all keys are columns of few
// codes.
func (d *denseKeys) assign(s *aggSink, b *batch, keys []*vector.Vector, groups []uint32) bool {
	if !d.ready {
		d.prepare(s.op.plain, b.cols)
	}
	if !d.usable {
		return false
	}
	d.codes = extend(d.codes[:cap(d.codes)], len(groups))
	codes := d.codes[:len(groups)]
	for k, col := range s.op.plain {
		d.combine(codes, b, col, k)
	}
	for i, c := range codes {
		g := d.groups[c]
		if g == 0 {
			g = d.find(s, keys, i, c)
		}
		groups[i] = g - 1
	}
	return true
}

// find makes the group of a combination that is new in this chunk.
func (d *denseKeys) find(s *aggSink, keys []*vector.Vector, row int, code uint32) uint32 {
	s.hashes = extend(s.hashes[:cap(s.hashes)], 1)
	one := make([]*vector.Vector, len(keys))
	for k, v := range keys {
		one[k] = vector.New(v.Type, 1)
		if v.Null(row) {
			one[k].AppendNull()
		} else {
			one[k].AppendValue(v.Value(row))
		}
	}
	s.table.groups.hasher.Hash(s.hashes[:1], one)
	g := s.table.groups.findRow(s.hashes[0], one, 0) + 1
	d.groups[code] = g
	return g
}

func (d *denseKeys) prepare(plain []int, cols []*vector.Vector) {
	d.ready, d.usable, d.sizes = true, false, d.sizes[:0]
	product := 1
	for _, col := range plain {
		if col < 0 {
			return
		}
		n := codeCount(cols[col])
		if n == 0 {
			return
		}
		d.sizes = append(d.sizes, n)
		if product *= n; product > maxDense {
			return
		}
	}
	d.groups = extend(d.groups[:cap(d.groups)], product)
	clear(d.groups)
	d.usable = true
}

// codeCount is the number of codes a column can have, one more for NULL; 0 when they
// are many or there are none.
func codeCount(v *vector.Vector) int {
	switch {
	case v.Enc == vector.Const:
		return 1
	case v.Enc == vector.Dict && v.Dict.Len < maxDense && v.DScale == nil && v.Codes.U64 == nil && v.Codes.U32 == nil:
		return max(v.Dict.Len, 1) + 1
	case v.Enc == vector.FOR && v.Codes.U8 != nil && v.DScale == nil:
		return 257
	}
	return 0
}

// combine adds column k to the combined codes.
func (d *denseKeys) combine(codes []uint32, b *batch, col, k int) {
	v := b.cols[col]
	size := uint32(d.sizes[k])
	switch {
	case v.Enc == vector.Const:
		if k == 0 {
			clear(codes)
		}
	case v.Codes.U8 != nil:
		addCodes(codes, v.Codes.U8, b, k == 0, size)
	default:
		addCodes(codes, v.Codes.U16, b, k == 0, size)
	}
	if v.Nulls == nil || v.Enc == vector.Const {
		return
	}
	for i := range codes {
		if r := b.rows.At(i); v.Nulls.Get(r) {
			codes[i] += size - 1 - uint32(v.Codes.At(r))
		}
	}
}

func addCodes[C uint8 | uint16](codes []uint32, src []C, b *batch, first bool, size uint32) {
	switch {
	case b.rows.Sel == nil && first:
		for i, c := range src[b.rows.Lo : b.rows.Lo+len(codes)] {
			codes[i] = uint32(c)
		}
	case b.rows.Sel == nil:
		for i, c := range src[b.rows.Lo : b.rows.Lo+len(codes)] {
			codes[i] = codes[i]*size + uint32(c)
		}
	case first:
		for i, r := range b.rows.Sel {
			codes[i] = uint32(src[r])
		}
	default:
		for i, r := range b.rows.Sel {
			codes[i] = codes[i]*size + uint32(src[r])
		}
	}
}
