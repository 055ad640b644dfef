package kernel

import (
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// rowwise runs a function that has no kernel of its own value by value.
func rowwise(f *expr.Func) (*impl, bool) {
	if !rowexec.Has(f.Name) {
		return nil, false
	}
	return &impl{bind: func(c *compiler, x *expr.Call) (kernelFunc, error) {
		return callValues(x.Func, x.Typ, c.env.Now), nil
	}, perValue: f.Volatility == expr.Immutable}, true
}

func callValues(f *expr.Func, t schemas.Type, now time.Time) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		args := make([]schemas.Value, len(vecs))
		return b.values(t, n, skip, func(i int) (schemas.Value, error) {
			for k, v := range vecs {
				args[k] = v.Value(i)
			}
			return rowexec.Call(f, args, now)
		})
	}
}

// castValues converts value by value.
func castValues(to schemas.Type) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		return b.values(to, n, skip, func(i int) (schemas.Value, error) {
			return rowexec.Cast(vecs[0].Value(i), to)
		})
	}
}

// values makes a vector of the results of f, which may be NULL.
func (b *Buffer) values(t schemas.Type, n int, skip vector.Bitmap, f func(i int) (schemas.Value, error)) error {
	out := vector.New(schemas.Type{Kind: t.Kind}, n)
	for i := range n {
		if skip.Get(i) {
			out.AppendNull()
			continue
		}
		x, err := f(i)
		if err != nil {
			return &rowAt{i, err}
		}
		out.AppendValue(x)
	}
	b.Vec = *out
	if t.Kind == schemas.Bool {
		ints := out.Ints
		nulls := out.Nulls
		codes := b.bools(n)
		for i, x := range ints {
			codes[i] = uint8(x)
		}
		b.Vec.Nulls = nulls
	}
	return nil
}
