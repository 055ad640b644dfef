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

// Rows estimates how many rows an operator puts out: at least 1, except for scans of
// empty tables. Only for choosing among plans.
func Rows(n plan.Node) float64 {
	switch n := n.(type) {
	case *plan.Scan:
		return float64(n.Table.Stats().Rows) * share(n.Filter, n)
	case *plan.Values:
		return float64(len(n.Rows))
	case *plan.Filter:
		return Rows(n.Input) * share(n.Cond, n.Input)
	case *plan.Aggregate:
		return groups(n)
	case *plan.Join:
		return joinRows(n)
	case *plan.Limit:
		rows := Rows(n.Input)
		if c, ok := n.Count.(*expr.Const); ok {
			rows = min(rows, float64(c.Value.Int()))
		}
		return rows
	case *plan.SetOp:
		return Rows(n.Left) + Rows(n.Right)
	}
	in := n.Inputs()
	if len(in) == 0 {
		return 1
	}
	return Rows(in[0])
}

func groups(n *plan.Aggregate) float64 {
	rows, out := Rows(n.Input), 1.0
	for _, g := range n.GroupBy {
		d := distinct(g.Expr, n.Input)
		if d == 0 {
			d = math.Sqrt(rows)
		}
		out *= d
	}
	return max(1, min(out, rows))
}

// joinRows is |L|·|R| over, for each key, the distinct values of the side with more.
func joinRows(n *plan.Join) float64 {
	left, right := Rows(n.Left), Rows(n.Right)
	rows := left * right
	for _, k := range n.Keys {
		d := max(distinct(k.Left, n.Left), distinct(k.Right, n.Right))
		if d == 0 {
			d = max(left, right)
		}
		rows /= max(1, min(d, max(left, right)))
	}
	return max(1, rows*share(n.Cond, n))
}

// share estimates which part of the rows meets a condition.
func share(e expr.Expr, in plan.Node) float64 {
	switch e := e.(type) {
	case nil:
		return 1
	case *expr.And:
		s := 1.0
		for _, a := range e.Args {
			s *= share(a, in)
		}
		return s
	case *expr.Or:
		s := 0.0
		for _, a := range e.Args {
			x := share(a, in)
			s += x - s*x
		}
		return s
	case *expr.Not:
		return 1 - share(e.Arg, in)
	case *expr.In:
		s := min(1, equal(e.Arg, in)*float64(len(e.List)))
		if e.Negate {
			return 1 - s
		}
		return s
	case *expr.Call:
		switch e.Func.Name {
		case "=":
			return max(equal(e.Args[0], in), 0)
		case "<>":
			return 1 - equal(e.Args[0], in)
		case "<", "<=", ">", ">=":
			return rangeShare
		}
	case *expr.IsNull:
		if e.Negate {
			return 1
		}
		return equalShare
	}
	return otherShare
}

// equal is the share of rows equal to one value.
func equal(e expr.Expr, in plan.Node) float64 {
	if d := distinct(e, in); d > 0 {
		return 1 / d
	}
	return equalShare
}

// distinct is how many values an expression has, 0 when nobody knows.
func distinct(e expr.Expr, in plan.Node) float64 {
	if cast, ok := e.(*expr.Cast); ok {
		return distinct(cast.Arg, in)
	}
	c, ok := e.(*expr.Column)
	if !ok {
		return 0
	}
	if s := statsOf(c.ID, in); s != nil {
		return float64(s.Distinct)
	}
	return 0
}

// statsOf finds the statistics of a column where it is scanned.
func statsOf(id expr.ColumnID, n plan.Node) *catalog.ColumnStats {
	switch n := n.(type) {
	case *plan.Scan:
		stats := n.Table.Stats().Columns
		for i, c := range n.Out {
			if c.ID == id && n.Ordinals[i] < len(stats) {
				return &stats[n.Ordinals[i]]
			}
		}
		return nil
	case *plan.Project:
		for _, e := range n.Exprs {
			if c, ok := e.Expr.(*expr.Column); ok && e.Column.ID == id {
				return statsOf(c.ID, n.Input)
			}
		}
		return nil
	}
	for _, in := range n.Inputs() {
		if s := statsOf(id, in); s != nil {
			return s
		}
	}
	return nil
}
