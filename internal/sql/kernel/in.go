package kernel

import (
	"sort"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// in compiles a membership test: a sorted list, searched by halving.
func (c *compiler) in(x *expr.In) (node, error) {
	arg, err := c.compile(x.Arg)
	if err != nil {
		return nil, err
	}
	list := sortedList(x.Arg.Type(), x.List)
	fn := inKernel(list, x.HasNull, x.Negate)
	return &callNode{args: []node{arg}, vecs: make([]*vector.Vector, 1), run: fn, typ: boolean, at: x.At,
		strict: true, infallible: true, perDict: !x.HasNull, owner: c.eval}, nil
}

// sortedList makes a flat, ascending vector of the values of an IN list.
func sortedList(t schemas.Type, list []schemas.Value) *vector.Vector {
	parts := make([]*vector.Vector, len(list))
	for i, x := range list {
		parts[i] = Constant(t, x, 1)
	}
	sort.Slice(parts, func(i, j int) bool { return Compare(parts[i], 0, parts[j], 0) < 0 })
	ps := make([]part, len(parts))
	for i, p := range parts {
		ps[i] = part{vec: p, to: []uint32{uint32(i)}}
	}
	var b Buffer
	return b.assemble(t, len(list), ps)
}

func inKernel(list *vector.Vector, hasNull, negate bool) kernelFunc {
	var mem []int64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		out := b.bools(n)
		if list.Type.Kind.Layout() == schemas.LayoutInt && list.Type.Kind != schemas.Bool && list.Len <= 8 {
			memberInts(out, flat(&mem, v[0], n), list.Ints)
		} else {
			for i := range out {
				out[i] = 0
				if !skip.Get(i) {
					out[i] = b2u(member(list, v[0], i))
				}
			}
		}
		if hasNull {
			var nulls vector.Bitmap
			for i, x := range out {
				if x == 0 {
					nulls = setNull(nulls, i, n)
				}
			}
			b.Vec.Nulls = nulls
		}
		if negate {
			for i := range out {
				out[i] ^= 1
			}
		}
		return nil
	}
}

func memberInts(out []uint8, s, list []int64) {
	fill(out, 0)
	s = s[:len(out)]
	for _, c := range list {
		for i := range out {
			out[i] |= b2u(s[i] == c)
		}
	}
}

func member(list, v *vector.Vector, i int) bool {
	lo, hi := 0, list.Len
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := Compare(list, mid, v, i); {
		case c == 0:
			return true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return false
}
