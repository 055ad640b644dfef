package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// CountFromMetadata answers count(*), and count(x) of a column without NULLs, over a whole
// table from its exact number of rows.
func CountFromMetadata(n plan.Node) plan.Node {
	n = plan.MapInputs(n, CountFromMetadata)
	a, ok := n.(*plan.Aggregate)
	if !ok || len(a.GroupBy) > 0 || a.Sets != nil || len(a.Aggs) == 0 {
		return n
	}
	scan, ok := a.Input.(*plan.Scan)
	if !ok || scan.Filter != nil {
		return n
	}
	row := make([]expr.Expr, len(a.Aggs))
	for i, agg := range a.Aggs {
		if agg.Func.Name != "count" || agg.Distinct || agg.Filter != nil || !neverNull(agg.Args, scan) {
			return n
		}
		row[i] = &expr.Const{Node: expr.Node{Typ: agg.Column.Type, At: agg.At}, Value: schemas.NewInt(schemas.Int64, scan.Table.Stats().Rows)}
	}
	return &plan.Values{Out: a.Columns(), Rows: [][]expr.Expr{row}}
}

func neverNull(args []expr.Expr, scan *plan.Scan) bool {
	for _, a := range args {
		c, ok := a.(*expr.Column)
		if !ok {
			return false
		}
		for _, out := range scan.Out {
			if out.ID == c.ID && !out.NotNull {
				return false
			}
		}
	}
	return true
}
