package exec

import (
	"math"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// boundCodes leaves out rows past the bound by the codes of the key column, before
// anything is gathered; ok is false when the column is not of a form that allows it.
func (s *sortSink) boundCodes(b *batch) (rows kernel.Rows, ok bool) {
	if !s.bounded || s.op.plain < 0 {
		return b.rows, false
	}
	v := b.cols[s.op.plain]
	if v.Enc != vector.FOR || v.Nulls != nil || s.last.IsNull() || v.Codes.Width() == 0 || v.Type.Kind == schemas.Bool {
		return b.rows, false
	}
	if v.Type.Kind == schemas.Numeric && (v.Dec != vector.Dec64 || v.DScale != nil || s.tier != vector.Dec64 || s.scale != v.Scale) {
		return b.rows, false
	}
	from, to := uint64(0), uint64(math.MaxUint64)
	bound := s.lastInt
	switch desc := s.op.node.Keys[0].Desc; {
	case !desc && bound < v.Base:
		return kernel.Rows{Sel: []uint32{}}, true
	case !desc:
		to = uint64(bound) - uint64(v.Base)
	case bound > v.Base:
		from = uint64(bound) - uint64(v.Base)
	}
	s.abs = s.abs[:0]
	switch c := &v.Codes; {
	case c.U8 != nil:
		s.abs = codesWithin(s.abs, c.U8, b.rows, from, to)
	case c.U16 != nil:
		s.abs = codesWithin(s.abs, c.U16, b.rows, from, to)
	case c.U32 != nil:
		s.abs = codesWithin(s.abs, c.U32, b.rows, from, to)
	default:
		s.abs = codesWithin(s.abs, c.U64, b.rows, from, to)
	}
	return kernel.Rows{Sel: s.abs}, true
}

// codesWithin appends the rows whose code lies in [from, to].
func codesWithin[C uint8 | uint16 | uint32 | uint64](dst []uint32, codes []C, rows kernel.Rows, from, to uint64) []uint32 {
	if rows.Sel == nil {
		for i, c := range codes[rows.Lo : rows.Lo+rows.N] {
			if uint64(c) >= from && uint64(c) <= to {
				dst = append(dst, uint32(rows.Lo+i))
			}
		}
		return dst
	}
	for _, r := range rows.Sel {
		if c := uint64(codes[r]); c >= from && c <= to {
			dst = append(dst, r)
		}
	}
	return dst
}
