package exec

import (
	"math"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// sumFloatAgg is sum and avg of floats. sum(real) adds in single precision, as PostgreSQL
// does.
type sumFloatAgg struct {
	kind  schemas.Kind // Float32: round each sum
	out   schemas.Kind
	avg   bool
	sum   []float64
	count []int64
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
	v := vector.New(schemas.Type{Kind: a.out}, len(a.sum))
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
