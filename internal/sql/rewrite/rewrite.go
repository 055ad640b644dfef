// Package rewrite makes bound plans cheaper without changing what they answer: a list of
// rules, each a pass over the whole plan.
package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Rule is one pass.
type Rule struct {
	Name  string
	Apply func(plan.Node) plan.Node
}

// Rules are all rules in the order in which they run.
func Rules() []Rule {
	return []Rule{
		{"simplify", Simplify},
		{"normalize", Normalize},
		{"count_from_metadata", CountFromMetadata},
		{"push_filters", PushFilters},
		{"order_joins", OrderJoins},
		{"merge_projects", MergeProjects},
		{"split_distinct_aggregates", SplitDistinct},
		{"limit_sort", LimitSort},
		{"prune_columns", PruneColumns},
		{"bound_scans", BoundScans},
	}
}

// Options choose the rules; the zero value takes all.
type Options struct {
	// Off names rules to leave out, for tests and for finding a rule at fault.
	Off map[string]bool
	// After, when not nil, sees the plan after each rule.
	After func(rule string, root plan.Node)
}

// Plan applies the rules.
func Plan(root plan.Node, opt Options) plan.Node {
	for _, r := range Rules() {
		if opt.Off[r.Name] {
			continue
		}
		root = r.Apply(root)
		if opt.After != nil {
			opt.After(r.Name, root)
		}
	}
	return root
}

// conjuncts appends the parts of a condition that must all hold.
func conjuncts(dst []expr.Expr, e expr.Expr) []expr.Expr {
	if e == nil {
		return dst
	}
	if a, ok := e.(*expr.And); ok {
		for _, x := range a.Args {
			dst = conjuncts(dst, x)
		}
		return dst
	}
	return append(dst, e)
}

// conjunction is the condition that all hold; nil for none.
func conjunction(conds []expr.Expr) expr.Expr {
	switch len(conds) {
	case 0:
		return nil
	case 1:
		return conds[0]
	}
	return &expr.And{Node: expr.Node{Typ: schemas.Type{Kind: schemas.Bool}, At: conds[0].Pos()}, Args: conds}
}

// columnSet is a set of column ids.
type columnSet map[expr.ColumnID]bool

// columnsOf collects the output columns of n, without the copies that Columns makes at
// every level of a chain of joins.
func columnsOf(n plan.Node) columnSet {
	s := columnSet{}
	s.collect(n)
	return s
}

func (s columnSet) collect(n plan.Node) {
	switch n := n.(type) {
	case *plan.Filter, *plan.Sort, *plan.Limit, *plan.Distinct:
		s.collect(n.Inputs()[0])
	case *plan.Join:
		s.collect(n.Left)
		if n.Kind != plan.Semi && n.Kind != plan.Anti {
			s.collect(n.Right)
		}
	default:
		for _, c := range n.Columns() {
			s[c.ID] = true
		}
	}
}

// covers says whether an expression reads only these columns.
func (s columnSet) covers(e expr.Expr) bool {
	all := true
	expr.Walk(e, func(x expr.Expr) bool {
		if c, ok := x.(*expr.Column); ok && !s[c.ID] {
			all = false
		}
		return all
	})
	return all
}

// add adds the columns that e reads.
func (s columnSet) add(e expr.Expr) {
	for _, id := range expr.Columns(nil, e) {
		s[id] = true
	}
}

// substitute replaces columns by the expressions that make them.
func substitute(e expr.Expr, by map[expr.ColumnID]expr.Expr) expr.Expr {
	return expr.Map(e, func(x expr.Expr) expr.Expr {
		if c, ok := x.(*expr.Column); ok {
			if made, ok := by[c.ID]; ok {
				return made
			}
		}
		return x
	})
}

// made maps the columns of a list to their expressions.
func made(list []plan.Named) map[expr.ColumnID]expr.Expr {
	m := make(map[expr.ColumnID]expr.Expr, len(list))
	for _, n := range list {
		m[n.Column.ID] = n.Expr
	}
	return m
}

// constant says whether e is a boolean constant, and which: NULL counts as false, as
// it does in a condition.
func constant(e expr.Expr) (value, ok bool) {
	c, ok := e.(*expr.Const)
	if !ok {
		return false, false
	}
	return !c.Value.IsNull() && c.Value.Bool(), true
}
