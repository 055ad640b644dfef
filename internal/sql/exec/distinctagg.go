package exec

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

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
