package rewrite

import (
	"math"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// LimitSort tells a sort how many rows are wanted of it, so that it keeps no more. A
// projection between the two passes rows on one by one.
func LimitSort(n plan.Node) plan.Node {
	n = plan.MapInputs(n, LimitSort)
	l, ok := n.(*plan.Limit)
	if !ok {
		return n
	}
	want, ok := wanted(l)
	if !ok {
		return n
	}
	return &plan.Limit{Input: limitBelow(l.Input, want), Count: l.Count, Offset: l.Offset}
}

func limitBelow(n plan.Node, want int64) plan.Node {
	switch n := n.(type) {
	case *plan.Project:
		return plan.MapInputs(n, func(in plan.Node) plan.Node { return limitBelow(in, want) })
	case *plan.Sort:
		if n.Limit < 0 || n.Limit > want {
			c := *n
			c.Limit = want
			return &c
		}
	}
	return n
}

// wanted is offset + count when both are constants.
func wanted(l *plan.Limit) (int64, bool) {
	count, ok := l.Count.(*expr.Const)
	if !ok {
		return 0, false
	}
	total := count.Value.Int()
	if l.Offset != nil {
		offset, ok := l.Offset.(*expr.Const)
		if !ok || offset.Value.Int() > math.MaxInt64-total {
			return 0, false
		}
		total += offset.Value.Int()
	}
	return total, true
}
