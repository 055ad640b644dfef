package exec

import (
	"hash/maphash"
	"math"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// sumFloatAgg is sum and avg of floats. sum(real) adds in single precision, as PostgreSQL
// does.
type sumFloatAgg struct {
	kind    schemas.Kind // Float32: round each sum
	result_ schemas.Kind
	avg     bool
	sum     []float64
	count   []int64
}

func (a *sumFloatAgg) grow(n int)   { a.sum, a.count = extend(a.sum, n), extend(a.count, n) }
func (a *sumFloatAgg) bytes() int64 { return 16 * int64(cap(a.sum)) }

func (a *sumFloatAgg) update(groups []uint32, v *vector.Vector, n int) error {
	for i := range n {
		if v.Null(i) {
			continue
		}
		if err := a.add(groupAt(groups, i), v.Float(i), 1); err != nil {
			return err
		}
	}
	return nil
}

func (a *sumFloatAgg) add(g uint32, x float64, count int64) error {
	s := a.sum[g] + x
	if a.kind == schemas.Float32 {
		s = float64(float32(s))
	}
	if math.IsInf(s, 0) && !math.IsInf(x, 0) && !math.IsInf(a.sum[g], 0) {
		return schemas.Errorf(schemas.CodeOutOfRange, "22003", "value out of range: overflow")
	}
	a.sum[g] = s
	a.count[g] += count
	return nil
}

func (a *sumFloatAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*sumFloatAgg)
	for i, f := range from {
		if b.count[f] > 0 {
			if err := a.add(to[i], b.sum[f], b.count[f]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *sumFloatAgg) result() (*vector.Vector, error) {
	v := vector.New(schemas.Type{Kind: a.result_}, len(a.sum))
	for g, s := range a.sum {
		switch {
		case a.count[g] == 0:
			v.AppendNull()
		case a.avg:
			v.AppendFloat(s / float64(a.count[g]))
		default:
			v.AppendFloat(s)
		}
	}
	return v, nil
}

// intervalAgg is sum and avg of intervals.
type intervalAgg struct {
	avg   bool
	sum   []vector.Interval
	count []int64
}

func (a *intervalAgg) grow(n int)   { a.sum, a.count = extend(a.sum, n), extend(a.count, n) }
func (a *intervalAgg) bytes() int64 { return 24 * int64(cap(a.sum)) }

func (a *intervalAgg) update(groups []uint32, v *vector.Vector, n int) error {
	for i := range n {
		if !v.Null(i) {
			if err := a.add(groupAt(groups, i), kernel.IntervalAt(v, i), 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *intervalAgg) add(g uint32, x vector.Interval, count int64) error {
	s, err := kernel.AddIntervals(a.sum[g], x)
	a.sum[g] = s
	a.count[g] += count
	return err
}

func (a *intervalAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*intervalAgg)
	for i, f := range from {
		if b.count[f] > 0 {
			if err := a.add(to[i], b.sum[f], b.count[f]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *intervalAgg) result() (*vector.Vector, error) {
	v := vector.New(schemas.Type{Kind: schemas.Interval}, len(a.sum))
	for g, s := range a.sum {
		if a.count[g] == 0 {
			v.AppendNull()
			continue
		}
		if a.avg {
			var err error
			if s, err = kernel.DivInterval(s, float64(a.count[g])); err != nil {
				return nil, err
			}
		}
		v.AppendValue(schemas.NewInterval(s.Months, s.Days, s.Micros))
	}
	return v, nil
}

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

// distinctAgg feeds each value of a group once to an inner aggregator.
type distinctAgg struct {
	inner  aggregator
	pairs  *groupTable // (group, value)
	hashes []uint64
	found  []uint32
	memory []int64
}

func newDistinctAgg(a *plan.Agg, inner aggregator, seed maphash.Seed) aggregator {
	keys := []plan.Column{{Type: schemas.Type{Kind: schemas.Int64}}, {Type: a.Args[0].Type()}}
	return &distinctAgg{inner: inner, pairs: newGroupTable(keys, seed)}
}

func (a *distinctAgg) grow(n int)   { a.inner.grow(n) }
func (a *distinctAgg) bytes() int64 { return a.pairs.bytes() + a.inner.bytes() }

func (a *distinctAgg) update(groups []uint32, v *vector.Vector, n int) error {
	a.memory = extend(a.memory, n)
	ints := a.memory[:n]
	clear(ints)
	for i, g := range groups {
		ints[i] = int64(g)
	}
	return a.addPairs(ints, v, n)
}

func (a *distinctAgg) addPairs(groups []int64, v *vector.Vector, n int) error {
	a.hashes, a.found = extend(a.hashes, n), extend(a.found, n)
	cols := []*vector.Vector{{Type: schemas.Type{Kind: schemas.Int64}, Len: n, Ints: groups}, v}
	before := a.pairs.groups()
	a.pairs.find(a.found[:n], a.hashes[:n], cols)
	fresh := a.pairs.groups() - before
	if fresh == 0 {
		return nil
	}
	values := kernel.Copy(a.pairs.keys[1], kernel.Rows{Lo: before, N: fresh})
	to := make([]uint32, fresh)
	for i := range to {
		to[i] = uint32(a.pairs.keys[0].Ints[before+i])
	}
	return a.inner.update(to, values, fresh)
}

func (a *distinctAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*distinctAgg)
	most := uint32(0)
	for _, f := range from {
		most = max(most, f)
	}
	target := make([]int64, int(most)+1)
	for i := range target {
		target[i] = -1
	}
	for i, f := range from {
		target[f] = int64(to[i])
	}
	groups := make([]int64, 0, b.pairs.groups())
	var rows []uint32
	for p, g := range b.pairs.keys[0].Ints {
		if int(g) < len(target) && target[g] >= 0 {
			groups, rows = append(groups, target[g]), append(rows, uint32(p))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return a.addPairs(groups, kernel.Copy(b.pairs.keys[1], kernel.Rows{Sel: rows}), len(rows))
}

func (a *distinctAgg) result() (*vector.Vector, error) { return a.inner.result() }
