package exec

import (
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

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
