package exec

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// extremeNumAgg is min and max of numeric: of coefficients while all have one scale and
// 64 bits, of any numbers from then on.
type extremeNumAgg struct {
	typ   schemas.Type
	fast  extremeIntAgg
	scale int
	any   bool
	slow  *extremeAgg
}

func newExtremeNum(t schemas.Type, sign int) *extremeNumAgg {
	return &extremeNumAgg{typ: t, fast: extremeIntAgg{sign: sign}}
}

func (a *extremeNumAgg) grow(n int) {
	a.fast.grow(n)
	if a.slow != nil {
		a.slow.grow(n)
	}
}

func (a *extremeNumAgg) bytes() int64 {
	if a.slow != nil {
		return a.fast.bytes() + a.slow.bytes()
	}
	return a.fast.bytes()
}

func (a *extremeNumAgg) update(groups []uint32, v *vector.Vector, n int) error {
	if v.Enc == vector.Const && v.Nulls.Get(0) {
		return nil
	}
	if a.slow == nil && v.Dec == vector.Dec64 && v.DScale == nil && (!a.any || a.scale == v.Scale) {
		a.scale, a.any = v.Scale, true
		return a.fast.update(groups, v, n)
	}
	a.leave()
	return a.slow.update(groups, v, n)
}

// leave goes over to numbers of any scale.
func (a *extremeNumAgg) leave() {
	if a.slow != nil {
		return
	}
	a.slow = &extremeAgg{typ: a.typ, sign: a.fast.sign, values: vector.New(a.typ, 0)}
	a.slow.grow(len(a.fast.best))
	known := a.values()
	for g := range a.fast.best {
		if !known.Null(g) {
			a.slow.add(uint32(g), known, g)
		}
	}
}

// values is the result of the fast form.
func (a *extremeNumAgg) values() *vector.Vector {
	return &vector.Vector{Type: a.typ, Len: len(a.fast.best), Ints: a.fast.best, Nulls: unseen(a.fast.seen), Scale: a.scale}
}

func (a *extremeNumAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*extremeNumAgg)
	if b.slow == nil && !b.any {
		return nil
	}
	if a.slow == nil && b.slow == nil && (!a.any || a.scale == b.scale) {
		a.scale, a.any = b.scale, true
		return a.fast.merge(&b.fast, from, to)
	}
	a.leave()
	if b.slow != nil {
		return a.slow.merge(b.slow, from, to)
	}
	known := b.values()
	for i, f := range from {
		if !known.Null(int(f)) {
			a.slow.add(to[i], known, int(f))
		}
	}
	return nil
}

func (a *extremeNumAgg) result() (*vector.Vector, error) {
	if a.slow != nil {
		return a.slow.result()
	}
	return a.values(), nil
}
