package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// MergeProjects computes in one projection what two would, and drops those that change
// nothing. An expression is moved up only when it is read once, or costs nothing.
func MergeProjects(n plan.Node) plan.Node {
	n = plan.MapInputs(n, MergeProjects)
	p, ok := n.(*plan.Project)
	if !ok {
		return n
	}
	if below, ok := p.Input.(*plan.Project); ok && mergeable(p, below) {
		by := made(below.Exprs)
		merged := &plan.Project{Input: below.Input}
		for _, e := range p.Exprs {
			merged.Exprs = append(merged.Exprs, plan.Named{Column: e.Column, Expr: substitute(e.Expr, by)})
		}
		p = merged
	}
	if changesNothing(p) {
		return p.Input
	}
	return p
}

// changesNothing says whether a projection passes on its input as it is. Names do not
// count below the root, and the root's are those of its columns.
func changesNothing(p *plan.Project) bool {
	in := p.Input.Columns()
	if len(in) != len(p.Exprs) {
		return false
	}
	for i, e := range p.Exprs {
		if c, ok := e.Expr.(*expr.Column); !ok || c.ID != in[i].ID || e.Column.ID != c.ID {
			return false
		}
	}
	return true
}

func mergeable(p, below *plan.Project) bool {
	uses := map[expr.ColumnID]int{}
	for _, e := range p.Exprs {
		expr.Walk(e.Expr, func(x expr.Expr) bool {
			if c, ok := x.(*expr.Column); ok {
				uses[c.ID]++
			}
			return true
		})
	}
	for _, e := range below.Exprs {
		switch e.Expr.(type) {
		case *expr.Column, *expr.Const, *expr.Param:
		default:
			if uses[e.Column.ID] > 1 {
				return false
			}
		}
	}
	return true
}
