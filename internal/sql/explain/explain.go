// Package explain prints logical plans as indented text, in the manner of PostgreSQL's
// EXPLAIN without costs.
package explain

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Plan prints a plan, a line an operator or a property of it. The same plan gives the
// same text.
func Plan(root plan.Node) string {
	p := &printer{names: map[expr.ColumnID]string{}}
	p.name(root)
	p.node(root, 0)
	return strings.TrimSuffix(p.b.String(), "\n")
}

type printer struct {
	b strings.Builder
	// names are what columns are called: as they are written where they come from.
	names map[expr.ColumnID]string
}

// name learns the names of all columns below n: alias.column where a scan makes it,
// the expression where an operator computes it.
func (p *printer) name(n plan.Node) {
	for _, in := range n.Inputs() {
		p.name(in)
	}
	switch n := n.(type) {
	case *plan.Scan:
		for _, c := range n.Out {
			name := c.Name
			if i := n.Table.Schema(); i != nil {
				name = scanName(n, c)
			}
			p.names[c.ID] = ident(n.Alias) + "." + ident(name)
		}
	case *plan.Project:
		for _, e := range n.Exprs {
			if _, known := p.names[e.Column.ID]; !known {
				p.names[e.Column.ID] = p.expr(e.Expr)
			}
		}
	case *plan.Aggregate:
		for _, g := range n.GroupBy {
			p.names[g.Column.ID] = p.expr(g.Expr)
		}
		for i := range n.Aggs {
			p.names[n.Aggs[i].Column.ID] = p.aggregate(&n.Aggs[i])
		}
	case *plan.Join, *plan.Filter, *plan.Sort, *plan.Limit, *plan.Distinct: // pass columns on
	default:
		for _, c := range n.Columns() {
			if _, known := p.names[c.ID]; !known {
				p.names[c.ID] = ident(c.Name)
			}
		}
	}
}

// scanName is the table's own name of a scanned column.
func scanName(n *plan.Scan, c plan.Column) string {
	for i := range n.Out {
		if n.Out[i].ID == c.ID {
			return n.Table.Schema().Columns[n.Ordinals[i]].Name
		}
	}
	return c.Name
}

func (p *printer) line(depth int, format string, args ...any) {
	p.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func (p *printer) node(n plan.Node, depth int) {
	in := depth + 2 // properties stand deeper than the inputs' arrows
	title := func(format string, args ...any) {
		if depth == 0 {
			p.line(0, format, args...)
			return
		}
		p.line(depth, "->  "+format, args...)
	}
	switch n := n.(type) {
	case *plan.Scan:
		p.scan(n, title, in)
	case *plan.Values:
		if len(n.Rows) == 1 && len(n.Out) == 0 {
			title("Result")
			return
		}
		title("Values  (rows=%d)", len(n.Rows))
	case *plan.Filter:
		title("Filter")
		p.line(in, "Filter: %s", p.expr(n.Cond))
	case *plan.Project:
		title("Project")
		p.line(in, "Output: %s", p.named(n.Exprs))
	case *plan.Aggregate:
		p.aggregateNode(n, title, in)
	case *plan.Sort:
		if n.Limit >= 0 {
			title("Top-N Sort  (limit=%d)", n.Limit)
		} else {
			title("Sort")
		}
		p.line(in, "Sort Key: %s", p.keys(n.Keys))
	case *plan.Limit:
		title("Limit")
		if n.Count != nil {
			p.line(in, "Count: %s", p.expr(n.Count))
		}
		if n.Offset != nil {
			p.line(in, "Offset: %s", p.expr(n.Offset))
		}
	case *plan.Join:
		p.join(n, title, in)
	case *plan.Distinct:
		title("Distinct")
	case *plan.SetOp:
		if n.All {
			title("Append")
		} else {
			title("Union")
		}
	default:
		title("%s", strings.TrimPrefix(fmt.Sprintf("%T", n), "*plan."))
	}
	for _, input := range n.Inputs() {
		p.node(input, depth+1)
	}
}

func (p *printer) scan(n *plan.Scan, title func(string, ...any), in int) {
	s := n.Table.Schema()
	name := ident(s.Name)
	if s.Schema != "public" {
		name = ident(s.Schema) + "." + name
	}
	if n.Alias != s.Name {
		name += " " + ident(n.Alias)
	}
	title("Scan on %s  (rows=%d)", name, n.Table.Stats().Rows)
	var out []string
	for _, c := range n.Out {
		out = append(out, ident(scanName(n, c)))
	}
	if len(out) > 0 {
		p.line(in, "Columns: %s", strings.Join(out, ", "))
	}
	if n.Filter != nil {
		p.line(in, "Filter: %s", p.expr(n.Filter))
	}
	for _, b := range n.Bounds {
		c := s.Columns[b.Column]
		p.line(in, "Prune: %s", bound(ident(c.Name), c.Type, b.Min, b.Max))
	}
}

func bound(name string, t schemas.Type, lo, hi schemas.Value) string {
	switch {
	case lo.IsNull():
		return fmt.Sprintf("%s <= %s", name, Value(t, hi))
	case hi.IsNull():
		return fmt.Sprintf("%s >= %s", name, Value(t, lo))
	case lo == hi:
		return fmt.Sprintf("%s = %s", name, Value(t, lo))
	}
	return fmt.Sprintf("%s BETWEEN %s AND %s", name, Value(t, lo), Value(t, hi))
}

func (p *printer) aggregateNode(n *plan.Aggregate, title func(string, ...any), in int) {
	if len(n.GroupBy) == 0 {
		title("Aggregate")
	} else {
		title("HashAggregate")
		var keys []string
		for _, g := range n.GroupBy {
			keys = append(keys, p.expr(g.Expr))
		}
		p.line(in, "Group Key: %s", strings.Join(keys, ", "))
	}
	var aggs []string
	for i := range n.Aggs {
		aggs = append(aggs, p.aggregate(&n.Aggs[i]))
	}
	if len(aggs) > 0 {
		p.line(in, "Aggregates: %s", strings.Join(aggs, ", "))
	}
}

func (p *printer) aggregate(a *plan.Agg) string {
	args := "*"
	if len(a.Args) > 0 {
		args = p.list(a.Args)
	}
	if a.Distinct {
		args = "DISTINCT " + args
	}
	s := a.Func.Name + "(" + args + ")"
	if a.Filter != nil {
		s += " FILTER (WHERE " + p.expr(a.Filter) + ")"
	}
	return s
}

func (p *printer) join(n *plan.Join, title func(string, ...any), in int) {
	switch {
	case n.Kind == plan.Cross || len(n.Keys) == 0:
		title("Nested Loop")
	default:
		title("Hash Join")
	}
	if len(n.Keys) > 0 {
		var conds []string
		for _, k := range n.Keys {
			conds = append(conds, fmt.Sprintf("(%s = %s)", p.expr(k.Left), p.expr(k.Right)))
		}
		p.line(in, "Hash Cond: %s", strings.Join(conds, " AND "))
	}
	if n.Cond != nil {
		p.line(in, "Join Filter: %s", p.expr(n.Cond))
	}
}

func (p *printer) keys(keys []plan.SortKey) string {
	var out []string
	for _, k := range keys {
		s := p.expr(k.Expr)
		if k.Desc {
			s += " DESC"
		}
		if k.NullsFirst != k.Desc {
			if k.NullsFirst {
				s += " NULLS FIRST"
			} else {
				s += " NULLS LAST"
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func (p *printer) named(list []plan.Named) string {
	var out []string
	for _, n := range list {
		s := p.expr(n.Expr)
		if c, ok := n.Expr.(*expr.Column); !ok || !strings.HasSuffix(p.names[c.ID], ident(n.Column.Name)) {
			s += " AS " + ident(n.Column.Name)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}
