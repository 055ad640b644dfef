package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// Simplify drops conditions that always hold, and reads nothing below one that never
// does.
func Simplify(n plan.Node) plan.Node {
	n = plan.MapInputs(n, Simplify)
	f, ok := n.(*plan.Filter)
	if !ok {
		return n
	}
	var keep []expr.Expr
	all := conjuncts(nil, f.Cond)
	for i, c := range all {
		value, isConst := constant(c)
		switch {
		case isConst && value:
		case isConst && i == 0: // conditions before it might fail with an error: those stay
			return &plan.Values{Out: f.Columns()}
		default:
			keep = append(keep, c)
		}
	}
	if len(keep) == 0 {
		return f.Input
	}
	if len(keep) == len(all) {
		return f
	}
	return &plan.Filter{Input: f.Input, Cond: conjunction(keep)}
}
