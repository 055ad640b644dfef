package kernel

import (
	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// args gives the arguments of one row at a time, for functions that are not worth a loop
// of their own.
type args struct {
	vecs []*vector.Vector
	row  int
}

func (a *args) int(k int) int64     { return a.vecs[k].Int(a.row) }
func (a *args) float(k int) float64 { return a.vecs[k].Float(a.row) } //nolint:unparam // as its siblings
func (a *args) bytes(k int) []byte  { return a.vecs[k].Bytes(a.row) }
func (a *args) num(k int) decimal.Num {
	return NumAt(a.vecs[k], a.row)
}
func (a *args) interval(k int) vector.Interval { return IntervalAt(a.vecs[k], a.row) }

// IntervalAt returns row i of an interval vector that is Flat, Const or Dict.
func IntervalAt(v *vector.Vector, i int) vector.Interval {
	switch v.Enc {
	case vector.Const:
		return v.Intervals[0]
	case vector.Dict:
		return v.Dict.Intervals[v.Codes.At(i)]
	}
	return v.Intervals[i]
}

// The adaptors below run f for each row that is not skipped.

func eachInt(t schemas.Kind, f func(a *args) (int64, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		out, a := b.flatInts(schemas.Type{Kind: t}, n), args{vecs: vecs}
		for i := range n {
			if skip.Get(i) {
				out[i] = 0
				continue
			}
			a.row = i
			x, err := f(&a)
			if err != nil {
				return &rowAt{i, err}
			}
			out[i] = x
		}
		return nil
	}
}

func eachBool(f func(a *args) (bool, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		out, a := b.bools(n), args{vecs: vecs}
		for i := range n {
			out[i] = 0
			if skip.Get(i) {
				continue
			}
			a.row = i
			x, err := f(&a)
			if err != nil {
				return &rowAt{i, err}
			}
			if x {
				out[i] = 1
			}
		}
		return nil
	}
}

func eachFloat(t schemas.Kind, f func(a *args) (float64, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		out, a := b.flatFloats(schemas.Type{Kind: t}, n), args{vecs: vecs}
		for i := range n {
			if skip.Get(i) {
				out[i] = 0
				continue
			}
			a.row = i
			x, err := f(&a)
			if err != nil {
				return &rowAt{i, err}
			}
			out[i] = x
		}
		return nil
	}
}

// eachBytes lets f append to dst; it may return other bytes than dst, too. Returning nil
// makes a NULL.
func eachBytes(t schemas.Kind, f func(dst []byte, a *args) ([]byte, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		out, a := b.strings(schemas.Type{Kind: t}, n), args{vecs: vecs}
		scratch := make([]byte, 0, 64)
		var nulls vector.Bitmap
		for i := range n {
			if skip.Get(i) {
				out.Append(nil)
				continue
			}
			a.row = i
			x, err := f(scratch[:0], &a)
			if err != nil {
				return &rowAt{i, err}
			}
			if x == nil {
				nulls = setNull(nulls, i, n)
			}
			out.Append(x)
			if cap(x) > cap(scratch) && cap(x) <= 1<<20 {
				scratch = x
			}
		}
		b.keepBytes()
		b.Vec.Nulls = nulls
		return nil
	}
}

func setNull(nulls vector.Bitmap, i, n int) vector.Bitmap {
	if nulls == nil {
		nulls = vector.NewBitmap(n)
	}
	nulls.Set(i)
	return nulls
}

func eachInterval(f func(a *args) (vector.Interval, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		out, a := b.flatIntervals(n), args{vecs: vecs}
		for i := range n {
			if skip.Get(i) {
				out[i] = vector.Interval{}
				continue
			}
			a.row = i
			x, err := f(&a)
			if err != nil {
				return &rowAt{i, err}
			}
			out[i] = x
		}
		return nil
	}
}

func eachNum(f func(a *args) (decimal.Num, error)) kernelFunc {
	return func(b *Buffer, vecs []*vector.Vector, n int, skip vector.Bitmap) error {
		a := args{vecs: vecs}
		return buildNums(b, n, skip, func(out *numBuilder, i int) error {
			a.row = i
			x, err := f(&a)
			if err != nil {
				return err
			}
			out.add(x)
			return nil
		})
	}
}
