package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
)

// PruneColumns removes what no operator above reads: columns of scans, expressions,
// aggregates.
func PruneColumns(n plan.Node) plan.Node { return prune(n, columnsOf(n)) }

// prune keeps of n's columns those in need.
func prune(n plan.Node, need columnSet) plan.Node {
	switch n := n.(type) {
	case *plan.Scan:
		return pruneScan(n, need)
	case *plan.Project:
		out := &plan.Project{}
		below := columnSet{}
		for _, e := range n.Exprs {
			if need[e.Column.ID] {
				out.Exprs = append(out.Exprs, e)
				below.add(e.Expr)
			}
		}
		out.Input = prune(n.Input, below)
		if len(out.Exprs) == 0 && len(n.Exprs) > 0 {
			return out.Input // only the number of rows is asked for
		}
		return out
	case *plan.Filter:
		need = need.with(n.Cond)
		return &plan.Filter{Input: prune(n.Input, need), Cond: n.Cond}
	case *plan.Sort:
		for _, k := range n.Keys {
			need = need.with(k.Expr)
		}
		c := *n
		c.Input = prune(n.Input, need)
		return &c
	case *plan.Limit:
		c := *n
		c.Input = prune(n.Input, need)
		return &c
	case *plan.Join:
		need = need.with(n.Cond)
		for _, k := range n.Keys {
			need = need.with(k.Left).with(k.Right)
		}
		c := *n
		c.Left, c.Right = prune(n.Left, need), prune(n.Right, need)
		return &c
	case *plan.Aggregate:
		return pruneAggregate(n, need)
	}
	// The columns of the others are counted by position, or all compared.
	return plan.MapInputs(n, PruneColumns)
}

// with is the set and what an expression reads; the set itself is shared, so copied.
func (s columnSet) with(e expr.Expr) columnSet {
	out := columnSet{}
	for id := range s {
		out[id] = true
	}
	if e != nil {
		out.add(e)
	}
	return out
}

func pruneScan(n *plan.Scan, need columnSet) plan.Node {
	need = need.with(n.Filter)
	c := *n
	c.Out, c.Ordinals = nil, nil
	for i, col := range n.Out {
		if need[col.ID] {
			c.Out, c.Ordinals = append(c.Out, col), append(c.Ordinals, n.Ordinals[i])
		}
	}
	return &c
}

// pruneAggregate drops aggregates; keys make the groups and stay.
func pruneAggregate(n *plan.Aggregate, need columnSet) plan.Node {
	c := *n
	c.Aggs = nil
	below := columnSet{}
	for _, g := range n.GroupBy {
		below.add(g.Expr)
	}
	for _, a := range n.Aggs {
		if !need[a.Column.ID] {
			continue
		}
		c.Aggs = append(c.Aggs, a)
		for _, arg := range a.Args {
			below.add(arg)
		}
		if a.Filter != nil {
			below.add(a.Filter)
		}
		for _, k := range a.OrderBy {
			below.add(k.Expr)
		}
	}
	c.Input = prune(n.Input, below)
	return &c
}
