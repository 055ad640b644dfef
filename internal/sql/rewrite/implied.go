package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
)

// implied adds to conditions that must all hold what follows from them: of a = b and
// a = 5, b = 5. Each side of a join can then leave out blocks.
func implied(conds []expr.Expr) []expr.Expr {
	values := map[expr.ColumnID]*expr.Const{}
	var pairs []*expr.Call
	for _, c := range conds {
		call, ok := c.(*expr.Call)
		if !ok || call.Func.Name != "=" {
			continue
		}
		a, isColumn := call.Args[0].(*expr.Column)
		if !isColumn {
			continue
		}
		switch b := call.Args[1].(type) {
		case *expr.Const:
			values[a.ID] = b
		case *expr.Column:
			pairs = append(pairs, call)
		}
	}
	for len(values) > 0 {
		before := len(values)
		for _, p := range pairs {
			conds = imply(conds, values, p, 0, 1)
			conds = imply(conds, values, p, 1, 0)
		}
		if len(values) == before {
			break
		}
	}
	return conds
}

// imply gives the column on one side of an equality the value of the other side's.
func imply(conds []expr.Expr, values map[expr.ColumnID]*expr.Const, p *expr.Call, from, to int) []expr.Expr {
	a, b := p.Args[from].(*expr.Column), p.Args[to].(*expr.Column)
	v := values[a.ID]
	if v == nil || values[b.ID] != nil {
		return conds
	}
	values[b.ID] = v
	return append(conds, &expr.Call{Node: p.Node, Func: p.Func, Args: []expr.Expr{b, v}})
}
