package exec

import (
	"fmt"
	"hash/maphash"

	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// aggregator holds the state of one aggregate for every group.
type aggregator interface {
	// grow makes room for groups 0..n-1; new ones have seen no row.
	grow(n int)
	// update adds row i of v, dense, to group groups[i]; nil groups: all to group 0.
	// v is nil for count(*), which counts n rows.
	update(groups []uint32, v *vector.Vector, n int) error
	// merge adds group from[i] of another aggregator of the same kind to group to[i].
	merge(o aggregator, from, to []uint32) error
	// result makes the values of all groups.
	result() (*vector.Vector, error)
	// bytes estimates the memory held.
	bytes() int64
}

// newAggregator makes the state of an aggregate, or fails with code unsupported.
func newAggregator(a *plan.Agg, seed maphash.Seed) (aggregator, error) {
	if a.Distinct && a.Func.Name != "min" && a.Func.Name != "max" {
		inner := *a
		inner.Distinct = false
		in, err := newAggregator(&inner, seed)
		if err != nil {
			return nil, err
		}
		return newDistinctAgg(a, in, seed), nil
	}
	var arg schemas.Type
	if len(a.Args) > 0 {
		arg = a.Args[0].Type()
	}
	switch a.Func.Name {
	case "count":
		return &countAgg{}, nil
	case "sum":
		switch {
		case arg.Kind == schemas.Int16 || arg.Kind == schemas.Int32:
			return &sumIntAgg{}, nil
		case arg.Kind == schemas.Int64 || arg.Kind == schemas.Numeric:
			return &sumNumAgg{}, nil
		case arg.Kind.IsFloat():
			return &sumFloatAgg{kind: arg.Kind, out: a.Func.Result}, nil
		case arg.Kind == schemas.Interval:
			return &intervalAgg{}, nil
		}
	case "avg":
		switch {
		case arg.Kind.IsInteger() || arg.Kind == schemas.Numeric:
			return &sumNumAgg{avg: true}, nil
		case arg.Kind.IsFloat():
			return &sumFloatAgg{kind: schemas.Float64, out: a.Func.Result, avg: true}, nil
		case arg.Kind == schemas.Interval:
			return &intervalAgg{avg: true}, nil
		}
	case "min", "max":
		sign := 1
		if a.Func.Name == "min" {
			sign = -1
		}
		switch arg.Kind.Layout() {
		case schemas.LayoutInt:
			return &extremeIntAgg{typ: a.Column.Type, sign: sign}, nil
		case schemas.LayoutDecimal:
			return newExtremeNum(a.Column.Type, sign), nil
		case schemas.LayoutNone:
		default:
			return &extremeAgg{typ: a.Column.Type, sign: sign, values: vector.New(a.Column.Type, 0)}, nil
		}
	}
	return nil, &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Pos: a.At,
		Message: fmt.Sprintf("the aggregate %s(%v) is not supported", a.Func.Name, arg)}
}

// extend grows s to n elements.
func extend[T any](s []T, n int) []T {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		return s[:n]
	}
	t := make([]T, n, max(n, 2*cap(s)))
	copy(t, s)
	return t
}

// countAgg is count(*) and count(x).
type countAgg struct{ n []int64 }

func (a *countAgg) grow(n int)   { a.n = extend(a.n, n) }
func (a *countAgg) bytes() int64 { return 8 * int64(cap(a.n)) }

func (a *countAgg) update(groups []uint32, v *vector.Vector, n int) error {
	switch {
	case v != nil && v.Nulls != nil:
		for i := range n {
			if !v.Null(i) {
				a.n[groupAt(groups, i)]++
			}
		}
	case groups == nil:
		a.n[0] += int64(n)
	default:
		for _, g := range groups {
			a.n[g]++
		}
	}
	return nil
}

func groupAt(groups []uint32, i int) uint32 {
	if groups == nil {
		return 0
	}
	return groups[i]
}

func (a *countAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*countAgg)
	for i, f := range from {
		a.n[to[i]] += b.n[f]
	}
	return nil
}

func (a *countAgg) result() (*vector.Vector, error) {
	return &vector.Vector{Type: schemas.Type{Kind: schemas.Int64}, Len: len(a.n), Ints: a.n}, nil
}

// sumIntAgg is sum(smallint) and sum(integer), a bigint.
type sumIntAgg struct {
	sum  []int64
	seen []bool
}

func (a *sumIntAgg) grow(n int)   { a.sum, a.seen = extend(a.sum, n), extend(a.seen, n) }
func (a *sumIntAgg) bytes() int64 { return 9 * int64(cap(a.sum)) }

func (a *sumIntAgg) update(groups []uint32, v *vector.Vector, n int) error {
	switch {
	case v.Enc == vector.Flat && v.Nulls == nil && groups == nil:
		var s int64
		for _, x := range v.Ints[:n] {
			s += x
		}
		a.sum[0] += s
		a.seen[0] = a.seen[0] || n > 0
	case v.Enc == vector.Flat && v.Nulls == nil:
		ints := v.Ints[:len(groups)]
		for i, g := range groups {
			a.sum[g] += ints[i]
			a.seen[g] = true
		}
	default:
		for i := range n {
			if !v.Null(i) {
				g := groupAt(groups, i)
				a.sum[g] += v.Int(i)
				a.seen[g] = true
			}
		}
	}
	return nil
}

func (a *sumIntAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*sumIntAgg)
	for i, f := range from {
		if b.seen[f] {
			a.sum[to[i]] += b.sum[f]
			a.seen[to[i]] = true
		}
	}
	return nil
}

func (a *sumIntAgg) result() (*vector.Vector, error) {
	return &vector.Vector{Type: schemas.Type{Kind: schemas.Int64}, Len: len(a.sum), Ints: a.sum, Nulls: unseen(a.seen)}, nil
}

// unseen is the NULLs of groups that saw no value.
func unseen(seen []bool) vector.Bitmap {
	var nulls vector.Bitmap
	for i, s := range seen {
		if !s {
			if nulls == nil {
				nulls = vector.NewBitmap(len(seen))
			}
			nulls.Set(i)
		}
	}
	return nulls
}
