package exec

import (
	"fmt"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

func ids(cols []plan.Column) []expr.ColumnID {
	out := make([]expr.ColumnID, len(cols))
	for i, c := range cols {
		out[i] = c.ID
	}
	return out
}

// compile makes the operators of a plan.
func (q *query) compile(n plan.Node) (operator, error) {
	switch n := n.(type) {
	case *plan.Scan:
		return q.compileScan(n)
	case *plan.Values:
		return q.compileValues(n)
	case *plan.Filter:
		return q.compileFilter(n)
	case *plan.Project:
		return q.compileProject(n)
	case *plan.Limit:
		return q.compileLimit(n)
	case *plan.Aggregate:
		return q.compileAggregate(n)
	case *plan.Distinct:
		return q.compileDistinct(n)
	case *plan.Sort:
		return q.compileSort(n)
	case *plan.Join:
		return q.compileJoin(n)
	case *plan.SetOp:
		return q.compileSetOp(n)
	case *plan.Apply:
		return nil, unsupported("a correlated subquery")
	case *plan.Window:
		return nil, unsupported("a window function")
	case *plan.CTE, *plan.CTERef:
		return nil, unsupported("WITH that is not inlined")
	case *plan.RecursiveUnion:
		return nil, unsupported("WITH RECURSIVE")
	}
	return nil, unsupported(fmt.Sprintf("the operator %T", n))
}

func unsupported(what string) error {
	return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Message: what + " is not supported"}
}

// compileExprs checks expressions over the columns of a node.
func compileExprs(in plan.Node, exprs []expr.Expr) (*kernel.Program, error) {
	return kernel.Compile(exprs, ids(in.Columns()))
}

// plainColumns says, for each expression, which input column it passes on; ok is false
// when one computes something.
func plainColumns(in plan.Node, exprs []expr.Expr) (from []int, ok bool) {
	at := map[expr.ColumnID]int{}
	for i, c := range in.Columns() {
		at[c.ID] = i
	}
	from = make([]int, len(exprs))
	for i, x := range exprs {
		c, is := x.(*expr.Column)
		if !is {
			return nil, false
		}
		from[i] = at[c.ID]
	}
	return from, true
}
