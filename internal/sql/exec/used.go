package exec

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// usedColumns finds the columns of a plan that something reads, so that scans and joins
// need not produce the others.
func usedColumns(root plan.Node) map[expr.ColumnID]bool {
	used := map[expr.ColumnID]bool{}
	markAll(used, root.Columns())
	markNode(used, root)
	return used
}

func markAll(used map[expr.ColumnID]bool, cols []plan.Column) {
	for _, c := range cols {
		used[c.ID] = true
	}
}

func markNode(used map[expr.ColumnID]bool, n plan.Node) {
	mark := func(xs ...expr.Expr) {
		for _, x := range xs {
			for _, id := range expr.Columns(nil, x) {
				used[id] = true
			}
		}
	}
	switch n := n.(type) {
	case *plan.Scan:
		mark(n.Filter)
	case *plan.Filter:
		mark(n.Cond)
	case *plan.Project:
		for i := range n.Exprs {
			mark(n.Exprs[i].Expr)
		}
	case *plan.Aggregate:
		for i := range n.GroupBy {
			mark(n.GroupBy[i].Expr)
		}
		for i := range n.Aggs {
			mark(n.Aggs[i].Args...)
			mark(n.Aggs[i].Filter)
		}
	case *plan.Sort:
		for _, k := range n.Keys {
			mark(k.Expr)
		}
	case *plan.Join:
		mark(n.Cond)
		for _, k := range n.Keys {
			mark(k.Left, k.Right)
		}
	case *plan.Distinct:
		markAll(used, n.Input.Columns())
	case *plan.SetOp:
		markAll(used, n.Left.Columns())
		markAll(used, n.Right.Columns())
	}
	for _, in := range n.Inputs() {
		markNode(used, in)
	}
}
