package kernel

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// part is rows of one vector on their way into another: row from[i] of vec becomes
// row to[i]. from nil means 0, 1, 2, …
type part struct {
	vec  *vector.Vector
	from []uint32
	to   []uint32
}

func (p *part) source(i int) int {
	if p.from == nil {
		return i
	}
	return int(p.from[i])
}

// assemble puts parts together to a flat vector of n rows; rows that no part has are
// NULL.
func (b *Buffer) assemble(t schemas.Type, n int, parts []part) *vector.Vector {
	nulls := vector.NewBitmap(n)
	nulls.Fill(n)
	for k := range parts {
		p := &parts[k]
		for i, to := range p.to {
			if p.vec.Nulls == nil || !p.vec.Null(p.source(i)) {
				nulls.Clear(int(to))
			}
		}
	}
	switch t.Kind.Layout() {
	case schemas.LayoutInt:
		b.assembleInts(t, n, parts)
	case schemas.LayoutFloat:
		place(b.flatFloats(t, n), parts, func(v *vector.Vector, i int) float64 { return v.Float(i) })
	case schemas.LayoutInterval:
		place(b.flatIntervals(n), parts, IntervalAt)
	case schemas.LayoutBytes:
		b.assembleBytes(t, n, parts, nulls)
	case schemas.LayoutDecimal:
		b.assembleDecimals(n, parts, nulls)
	}
	b.Vec.Type = t
	b.Vec.Nulls = nil
	if nulls.Any() {
		b.Vec.Nulls = nulls
	}
	return &b.Vec
}

func place[T any](out []T, parts []part, at func(v *vector.Vector, i int) T) {
	var zero T
	fill(out, zero)
	for k := range parts {
		p := &parts[k]
		for i, to := range p.to {
			if j := p.source(i); !p.vec.Null(j) {
				out[to] = at(p.vec, j)
			}
		}
	}
}

func (b *Buffer) assembleInts(t schemas.Type, n int, parts []part) {
	if t.Kind == schemas.Bool {
		place(b.bools(n), parts, func(v *vector.Vector, i int) uint8 { return uint8(v.Int(i)) })
		return
	}
	out := b.flatInts(t, n)
	fill(out, 0)
	for k := range parts {
		placeInts(out, &parts[k])
	}
}

func placeInts(out []int64, p *part) {
	switch {
	case len(p.to) == 0:
	case p.vec.Enc == vector.Const:
		c := p.vec.Ints[0]
		for _, to := range p.to {
			out[to] = c
		}
	case p.vec.Enc != vector.Flat:
		for i, to := range p.to {
			if j := p.source(i); !p.vec.Null(j) {
				out[to] = p.vec.Int(j)
			}
		}
	case p.from == nil:
		src := p.vec.Ints[:len(p.to)]
		for i, to := range p.to {
			out[to] = src[i]
		}
	default:
		for i, to := range p.to {
			out[to] = p.vec.Ints[p.from[i]]
		}
	}
}

func (b *Buffer) assembleBytes(t schemas.Type, n int, parts []part, nulls vector.Bitmap) {
	which, row := make([]uint16, n), make([]uint32, n)
	for k := range parts {
		for i, to := range parts[k].to {
			which[to], row[to] = uint16(k), uint32(parts[k].source(i))
		}
	}
	out := b.strings(t, n)
	for i := range n {
		if nulls.Get(i) {
			out.Append(nil)
			continue
		}
		out.Append(parts[which[i]].vec.Bytes(int(row[i])))
	}
	b.keepBytes()
}

// assembleDecimals keeps the narrow tier when every part has it at one scale.
func (b *Buffer) assembleDecimals(n int, parts []part, nulls vector.Bitmap) {
	scale, same := 0, true
	first := true
	for k := range parts {
		p := &parts[k]
		if len(p.to) == 0 || p.vec.Enc == vector.Const && p.vec.Nulls.Get(0) {
			continue
		}
		if p.vec.Dec != vector.Dec64 || p.vec.DScale != nil || !first && p.vec.Scale != scale {
			same = false
			break
		}
		scale, first = p.vec.Scale, false
	}
	if same {
		out := b.decimal64(numeric, n, scale)
		fill(out, 0)
		for k := range parts {
			placeInts(out, &parts[k])
		}
		return
	}
	which, row := make([]*vector.Vector, n), make([]uint32, n)
	for k := range parts {
		for i, to := range parts[k].to {
			which[to], row[to] = parts[k].vec, uint32(parts[k].source(i))
		}
	}
	_ = buildNums(b, n, nulls, func(out *numBuilder, i int) error {
		v, j := which[i], int(row[i])
		if v.Dec != vector.DecText && v.DScale == nil && v.Scale <= 255 {
			out.addWide(wideAt(v, j), v.Scale)
		} else {
			out.add(NumAt(v, j))
		}
		return nil
	})
}
