package exec

import (
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// extremeIntAgg is min and max of what is held in integers.
type extremeIntAgg struct {
	typ  schemas.Type
	sign int // 1: max, -1: min
	best []int64
	seen []bool
}

func (a *extremeIntAgg) grow(n int)   { a.best, a.seen = extend(a.best, n), extend(a.seen, n) }
func (a *extremeIntAgg) bytes() int64 { return 9 * int64(cap(a.best)) }

func (a *extremeIntAgg) update(groups []uint32, v *vector.Vector, n int) error {
	if v.Enc == vector.Flat && v.Nulls == nil && groups == nil && n > 0 {
		a.add(0, extremeOf(v.Ints[:n], a.sign))
		return nil
	}
	if v.Enc == vector.Flat && v.Nulls == nil {
		ints := v.Ints[:len(groups)]
		for i, g := range groups {
			a.add(g, ints[i])
		}
		return nil
	}
	for i := range n {
		if !v.Null(i) {
			a.add(groupAt(groups, i), v.Int(i))
		}
	}
	return nil
}

func extremeOf(s []int64, sign int) int64 {
	best := s[0]
	if sign > 0 {
		for _, x := range s {
			best = max(best, x)
		}
		return best
	}
	for _, x := range s {
		best = min(best, x)
	}
	return best
}

func (a *extremeIntAgg) add(g uint32, x int64) {
	if !a.seen[g] || a.sign > 0 && x > a.best[g] || a.sign < 0 && x < a.best[g] {
		a.best[g], a.seen[g] = x, true
	}
}

func (a *extremeIntAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*extremeIntAgg)
	for i, f := range from {
		if b.seen[f] {
			a.add(to[i], b.best[f])
		}
	}
	return nil
}

func (a *extremeIntAgg) result() (*vector.Vector, error) {
	return &vector.Vector{Type: a.typ, Len: len(a.best), Ints: a.best, Nulls: unseen(a.seen)}, nil
}

// extremeAgg is min and max of everything else: the best value of each group stands in
// a flat vector, at row at[g]-1. Values that were beaten stay until the vector is
// rewritten, so that none is changed in place.
type extremeAgg struct {
	typ    schemas.Type
	sign   int
	at     []uint32
	values *vector.Vector
	live   int
}

func (a *extremeAgg) grow(n int) { a.at = extend(a.at, n) }

func (a *extremeAgg) bytes() int64 { return 4*int64(cap(a.at)) + a.values.Size() }

func (a *extremeAgg) update(groups []uint32, v *vector.Vector, n int) error {
	for i := range n {
		if !v.Null(i) {
			a.add(groupAt(groups, i), v, i)
		}
	}
	return nil
}

func (a *extremeAgg) add(g uint32, v *vector.Vector, i int) {
	if a.at[g] == 0 {
		a.live++
	} else if a.sign*kernel.Compare(v, i, a.values, int(a.at[g]-1)) <= 0 {
		return
	}
	kernel.Append(a.values, v, kernel.Rows{Lo: i, N: 1})
	a.at[g] = uint32(a.values.Len)
	if a.values.Len > 2*a.live+1024 {
		a.compact()
	}
}

// compact drops the values that were beaten.
func (a *extremeAgg) compact() {
	fresh := vector.New(a.typ, a.live)
	for g, at := range a.at {
		if at > 0 {
			kernel.Append(fresh, a.values, kernel.Rows{Lo: int(at - 1), N: 1})
			a.at[g] = uint32(fresh.Len)
		}
	}
	a.values = fresh
}

func (a *extremeAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*extremeAgg)
	for i, f := range from {
		if b.at[f] > 0 {
			a.add(to[i], b.values, int(b.at[f]-1))
		}
	}
	return nil
}

func (a *extremeAgg) result() (*vector.Vector, error) {
	v := vector.New(a.typ, len(a.at))
	for _, at := range a.at {
		if at == 0 {
			v.AppendNull()
		} else {
			kernel.Append(v, a.values, kernel.Rows{Lo: int(at - 1), N: 1})
		}
	}
	return v, nil
}
