package rewrite

import (
	"math"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// Selectivities where statistics say nothing, PostgreSQL's (selfuncs.h).
const (
	equalShare = 0.005
	rangeShare = 1.0 / 3
	otherShare = 0.5
)

// estimator estimates rows, each operator once.
type estimator struct {
	rows  map[plan.Node]float64
	stats map[expr.ColumnID]*catalog.ColumnStats
}

// Rows estimates how many rows an operator puts out: at least 1, except for scans of
// empty tables. Only for choosing among plans.
func Rows(n plan.Node) float64 { return newEstimator(n).of(n) }

// newEstimator knows the columns of some plans.
func newEstimator(roots ...plan.Node) *estimator {
	e := &estimator{rows: map[plan.Node]float64{}, stats: map[expr.ColumnID]*catalog.ColumnStats{}}
	for _, n := range roots {
		e.learn(n)
	}
	return e
}

// learn collects the statistics of columns where they are scanned, and under the names
// that projections pass them on.
func (e *estimator) learn(n plan.Node) {
	for _, in := range n.Inputs() {
		e.learn(in)
	}
	switch n := n.(type) {
	case *plan.Scan:
		stats := n.Table.Stats().Columns
		for i, c := range n.Out {
			if n.Ordinals[i] < len(stats) {
				e.stats[c.ID] = &stats[n.Ordinals[i]]
			}
		}
	case *plan.Project:
		for _, x := range n.Exprs {
			if c, ok := x.Expr.(*expr.Column); ok {
				e.stats[x.Column.ID] = e.stats[c.ID]
			}
		}
	}
}

func (e *estimator) of(n plan.Node) float64 {
	if rows, ok := e.rows[n]; ok {
		return rows
	}
	rows := e.estimate(n)
	e.rows[n] = rows
	return rows
}

func (e *estimator) estimate(n plan.Node) float64 {
	switch n := n.(type) {
	case *plan.Scan:
		return float64(n.Table.Stats().Rows) * e.share(n.Filter)
	case *plan.Values:
		return float64(len(n.Rows))
	case *plan.Filter:
		return e.of(n.Input) * e.share(n.Cond)
	case *plan.Aggregate:
		return e.groups(n)
	case *plan.Join:
		return e.join(n)
	case *plan.Limit:
		rows := e.of(n.Input)
		if c, ok := n.Count.(*expr.Const); ok {
			rows = min(rows, float64(c.Value.Int()))
		}
		return rows
	case *plan.SetOp:
		return e.of(n.Left) + e.of(n.Right)
	}
	in := n.Inputs()
	if len(in) == 0 {
		return 1
	}
	return e.of(in[0])
}

func (e *estimator) groups(n *plan.Aggregate) float64 {
	rows, out := e.of(n.Input), 1.0
	for _, g := range n.GroupBy {
		d := e.distinct(g.Expr)
		if d == 0 {
			d = math.Sqrt(rows)
		}
		out *= d
	}
	return max(1, min(out, rows))
}

// join is |L|·|R| over, for each key, the distinct values of the side with more.
func (e *estimator) join(n *plan.Join) float64 {
	left, right := e.of(n.Left), e.of(n.Right)
	rows := left * right
	for _, k := range n.Keys {
		d := max(e.distinct(k.Left), e.distinct(k.Right))
		if d == 0 {
			d = max(left, right)
		}
		rows /= max(1, min(d, max(left, right)))
	}
	return max(1, rows*e.share(n.Cond))
}

// share estimates which part of the rows meets a condition.
func (e *estimator) share(cond expr.Expr) float64 {
	switch c := cond.(type) {
	case nil:
		return 1
	case *expr.And:
		s := 1.0
		for _, a := range c.Args {
			s *= e.share(a)
		}
		return s
	case *expr.Or:
		s := 0.0
		for _, a := range c.Args {
			x := e.share(a)
			s += x - s*x
		}
		return s
	case *expr.Not:
		return 1 - e.share(c.Arg)
	case *expr.In:
		s := min(1, e.equal(c.Arg)*float64(len(c.List)))
		if c.Negate {
			return 1 - s
		}
		return s
	case *expr.Call:
		switch c.Func.Name {
		case "=":
			return e.equal(c.Args[0])
		case "<>":
			return 1 - e.equal(c.Args[0])
		case "<", "<=", ">", ">=":
			return rangeShare
		}
	case *expr.IsNull:
		if c.Negate {
			return 1
		}
		return equalShare
	}
	return otherShare
}

// equal is the share of rows equal to one value.
func (e *estimator) equal(x expr.Expr) float64 {
	if d := e.distinct(x); d > 0 {
		return 1 / d
	}
	return equalShare
}

// distinct is how many values an expression has, 0 when nobody knows.
func (e *estimator) distinct(x expr.Expr) float64 {
	if cast, ok := x.(*expr.Cast); ok {
		return e.distinct(cast.Arg)
	}
	if c, ok := x.(*expr.Column); ok && e.stats[c.ID] != nil {
		return float64(e.stats[c.ID].Distinct)
	}
	return 0
}
