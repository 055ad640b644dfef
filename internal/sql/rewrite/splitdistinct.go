package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// SplitDistinct turns aggregates over DISTINCT x, when there are no others, into plain
// aggregates over the groups by x: count(DISTINCT x) needs no set per group then.
func SplitDistinct(root plan.Node) plan.Node {
	last := lastID(root)
	return splitDistinct(root, &last)
}

func splitDistinct(n plan.Node, last *expr.ColumnID) plan.Node {
	n = plan.MapInputs(n, func(in plan.Node) plan.Node { return splitDistinct(in, last) })
	a, ok := n.(*plan.Aggregate)
	if !ok || a.Sets != nil || len(a.Aggs) == 0 {
		return n
	}
	arg := a.Aggs[0].Args
	for _, agg := range a.Aggs {
		if !agg.Distinct || agg.Filter != nil || len(agg.Args) != 1 || !expr.Equal(agg.Args[0], arg[0]) {
			return n
		}
	}
	*last++
	value := plan.Named{Column: plan.Column{ID: *last, Name: "distinct", Type: arg[0].Type()}, Expr: arg[0]}
	below := &plan.Aggregate{Input: a.Input, GroupBy: append(append([]plan.Named(nil), a.GroupBy...), value)}
	above := &plan.Aggregate{Input: below}
	for i, g := range a.GroupBy {
		// The key keeps its id above, so below it needs another.
		*last++
		inner := g.Column
		inner.ID = *last
		below.GroupBy[i].Column = inner
		above.GroupBy = append(above.GroupBy, plan.Named{Column: g.Column, Expr: column(inner)})
	}
	for _, agg := range a.Aggs {
		agg.Distinct, agg.Args = false, []expr.Expr{column(value.Column)}
		above.Aggs = append(above.Aggs, agg)
	}
	return above
}

func column(c plan.Column) *expr.Column {
	return &expr.Column{Node: expr.Node{Typ: c.Type}, ID: c.ID, Name: c.Name}
}

// lastID is the highest column id of a plan.
func lastID(n plan.Node) expr.ColumnID {
	var last expr.ColumnID
	if _, passes := n.(*plan.Join); !passes {
		for _, c := range n.Columns() {
			last = max(last, c.ID)
		}
	}
	for _, in := range n.Inputs() {
		last = max(last, lastID(in))
	}
	return last
}
