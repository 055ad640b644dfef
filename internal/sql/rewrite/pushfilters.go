package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// PushFilters moves each condition as far down as it can be answered: through projections
// by substitution, to the sides of joins, below groups when it reads only keys, and
// into scans. Conditions keep their order, so that one that guards another from an
// error still stands before it.
func PushFilters(n plan.Node) plan.Node { return push(n, nil) }

// push returns n with conds applied as far down as possible.
func push(n plan.Node, conds []expr.Expr) plan.Node {
	switch n := n.(type) {
	case *plan.Filter:
		return push(n.Input, append(conjuncts(nil, n.Cond), conds...))
	case *plan.Project:
		below := make([]expr.Expr, len(conds))
		for i, c := range conds {
			below[i] = substitute(c, made(n.Exprs))
		}
		return &plan.Project{Input: push(n.Input, below), Exprs: n.Exprs}
	case *plan.Scan:
		return pushScan(n, conds)
	case *plan.Join:
		if n.Kind == plan.Inner || n.Kind == plan.Cross {
			return pushJoin(n, conds)
		}
	case *plan.Aggregate:
		return pushAggregate(n, conds)
	case *plan.Sort:
		if n.Limit < 0 {
			c := *n
			c.Input = push(n.Input, conds)
			return &c
		}
	case *plan.Distinct:
		if len(n.On) == 0 {
			return &plan.Distinct{Input: push(n.Input, conds)}
		}
	case *plan.SetOp:
		return pushSetOp(n, conds)
	}
	return filtered(plan.MapInputs(n, PushFilters), conds)
}

func filtered(n plan.Node, conds []expr.Expr) plan.Node {
	if len(conds) == 0 {
		return n
	}
	return &plan.Filter{Input: n, Cond: conjunction(conds)}
}

func pushScan(n *plan.Scan, conds []expr.Expr) plan.Node {
	if len(conds) == 0 {
		return n
	}
	c := *n
	c.Filter = conjunction(append(conjuncts(nil, n.Filter), conds...))
	return &c
}

// pushJoin gives each side what reads only it, or follows for it; the rest joins.
func pushJoin(n *plan.Join, conds []expr.Expr) plan.Node {
	all := implied(append(conjuncts(nil, n.Cond), conds...))
	leftColumns, rightColumns := columnsOf(n.Left), columnsOf(n.Right)
	var left, right, both []expr.Expr
	for _, c := range all {
		reads := expr.Columns(nil, c)
		switch {
		case len(reads) > 0 && leftColumns.covers(c):
			left = append(left, c)
		case len(reads) > 0 && rightColumns.covers(c):
			right = append(right, c)
		default:
			both = append(both, c)
		}
	}
	out := &plan.Join{Kind: plan.Inner, Left: push(n.Left, left), Right: push(n.Right, right), Keys: n.Keys, Cond: conjunction(both)}
	if len(both) == 0 && len(n.Keys) == 0 {
		out.Kind = plan.Cross
	}
	return out
}

// pushAggregate lets conditions on group keys filter the rows instead of the groups.
// Without keys there is one group even of no rows, so nothing may pass.
func pushAggregate(n *plan.Aggregate, conds []expr.Expr) plan.Node {
	keys := columnSet{}
	for _, g := range n.GroupBy {
		keys[g.Column.ID] = true
	}
	var below, above []expr.Expr
	for _, c := range conds {
		if len(n.GroupBy) > 0 && n.Sets == nil && keys.covers(c) {
			below = append(below, substitute(c, made(n.GroupBy)))
		} else {
			above = append(above, c)
		}
	}
	c := *n
	c.Input = push(n.Input, below)
	return filtered(&c, above)
}

// pushSetOp filters both sides, each by its own columns.
func pushSetOp(n *plan.SetOp, conds []expr.Expr) plan.Node {
	side := func(in plan.Node) plan.Node {
		by := map[expr.ColumnID]expr.Expr{}
		for i, c := range in.Columns() {
			by[n.Out[i].ID] = &expr.Column{Node: expr.Node{Typ: c.Type}, ID: c.ID, Name: c.Name}
		}
		below := make([]expr.Expr, len(conds))
		for i, c := range conds {
			below[i] = substitute(c, by)
		}
		return push(in, below)
	}
	c := *n
	c.Left, c.Right = side(n.Left), side(n.Right)
	return &c
}
