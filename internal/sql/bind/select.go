package bind

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// query is a bound query. Until settle, list may hold literals of unknown type, which a
// UNION gives the type of the other side.
type query struct {
	node plan.Node
	list *plan.Project // what makes the columns; nil when their types are settled
	at   []schemas.Pos // where the columns are written
}

// place is where column i is written; of a query without columns, its beginning.
func (q *query) place(i int, otherwise schemas.Pos) schemas.Pos {
	if i < len(q.at) && q.at[i].Known() {
		return q.at[i]
	}
	return otherwise
}

// settle makes literals of unknown type text.
func (q *query) settle(b *binder) {
	if q.list == nil {
		return
	}
	for i := range q.list.Exprs {
		q.retype(b, i, schemas.Type{Kind: schemas.Text}, false)
	}
	q.list = nil
}

// retype gives column i of a query a type, if it has none yet or force says so.
func (q *query) retype(b *binder, i int, t schemas.Type, force bool) {
	n := &q.list.Exprs[i]
	if n.Column.Type.Kind != fn.Unknown && !force {
		return
	}
	n.Expr = b.coerce(n.Expr, t, fn.Implicit)
	n.Column.Type = n.Expr.Type()
}

// query binds SELECT, VALUES or UNION with WITH, ORDER BY and LIMIT.
func (b *binder) query(q *parse.Query, w *with) *query {
	if b.selects++; b.selects > maxSelects {
		b.fail(errorAt(q.At, schemas.CodeTooLarge, "54001", "the statement has more than %d queries, WITH queries counted at each use", maxSelects))
	}
	outer := w
	for _, cte := range q.With {
		for have := w; have != outer; have = have.outer {
			if have.cte.Name.Name == cte.Name.Name {
				b.fail(errorAt(cte.Name.At, schemas.CodeAmbiguous, "42712", "WITH query name %q specified more than once", cte.Name.Name))
			}
		}
		w = &with{cte: cte, outer: w, used: new(bool)}
	}
	var out *query
	switch {
	case q.Select != nil:
		out = b.selectQuery(q, w)
	case q.Values != nil:
		out = b.values(q)
	default:
		out = b.union(q, w)
	}
	for ; w != outer; w = w.outer {
		if !*w.used { // an unused query must be right all the same
			b.query(w.cte.Query, w.outer)
		}
	}
	return out
}

// output is one entry of a SELECT list after stars are expanded.
type output struct {
	name string
	expr parse.Expr  // nil: column
	col  plan.Column // of a star
	at   schemas.Pos
}

// core is the state of binding one SELECT.
type core struct {
	*binder
	scope   *scope
	outputs []output
	aggs    *aggregates
	ctx     *context
	project *plan.Project
	visible int // columns of project that the query asked for; the rest only order it
}

// selectQuery binds SELECT … ORDER BY … LIMIT. The parts are bound in PostgreSQL's order,
// which decides the first error and the types of parameters.
func (b *binder) selectQuery(q *parse.Query, w *with) *query {
	s := q.Select
	n, scope := b.from(s.From, w)
	c := &core{binder: b, scope: scope, aggs: &aggregates{}}
	c.ctx = &context{scope: scope, aggs: c.aggs}
	c.expand(s.List)
	c.project = &plan.Project{}
	for _, o := range c.outputs {
		c.project.Exprs = append(c.project.Exprs, c.named(o))
	}
	c.visible = len(c.project.Exprs)
	if s.Where != nil {
		n = &plan.Filter{Input: n, Cond: b.boolean(s.Where, &context{scope: scope, clause: "WHERE"}, "WHERE")}
	}
	var having expr.Expr
	if s.Having != nil {
		having = b.boolean(s.Having, c.ctx, "HAVING")
	}
	keys := c.orderBy(q.OrderBy, s.Distinct)
	for _, g := range s.GroupBy {
		c.groupBy(g)
	}
	if len(c.aggs.aggs) > 0 || len(s.GroupBy) > 0 || s.Having != nil {
		for i := range c.project.Exprs {
			e := &c.project.Exprs[i]
			e.Expr = b.aboveGroups(e.Expr, c.aggs, scope)
		}
		if having != nil {
			having = b.aboveGroups(having, c.aggs, scope)
		}
		n = &plan.Aggregate{Input: n, GroupBy: c.aggs.groupBy, Aggs: c.aggs.aggs}
		if having != nil {
			n = &plan.Filter{Input: n, Cond: having}
		}
	}
	c.project.Input = n
	out := &query{node: c.project, list: c.project}
	for _, o := range c.outputs {
		out.at = append(out.at, o.at)
	}
	if s.Distinct || len(keys) > 0 {
		out.settle(b)
	}
	if s.Distinct {
		b.comparableColumns(c.project.Columns(), s.At, "DISTINCT")
		out.node = &plan.Distinct{Input: out.node}
	}
	out.node = b.sorted(out.node, keys)
	out.node = b.limited(out.node, q)
	out.node = c.trim(out.node)
	return out
}

// expand replaces stars by columns and names every output.
func (c *core) expand(list []parse.Target) {
	for _, t := range list {
		if t.Star {
			for _, col := range c.star(c.scope, t) {
				c.outputs = append(c.outputs, output{name: col.Name, col: col, at: t.At})
			}
			continue
		}
		name := t.Alias.Name
		if name == "" {
			name, _ = nameOf(t.Expr)
		}
		c.outputs = append(c.outputs, output{name: name, expr: t.Expr, at: start(t.Expr)})
	}
	if len(c.outputs) > maxColumns {
		c.fail(errorAt(list[0].At, schemas.CodeTooLarge, "54011", "target lists can have at most %d entries", maxColumns))
	}
}

// bind binds an output in a context.
func (c *core) bind(o output, ctx *context) expr.Expr {
	if o.expr == nil {
		return ref(o.col, o.at)
	}
	return c.expr(o.expr, ctx)
}

func (c *core) named(o output) plan.Named {
	e := c.bind(o, c.ctx)
	notNull := o.expr == nil && o.col.NotNull
	return plan.Named{Column: plan.Column{ID: c.newID(), Name: o.name, Type: e.Type(), NotNull: notNull || c.notNull(e)}, Expr: e}
}

// notNull says whether an expression is known never to be NULL.
func (c *core) notNull(e expr.Expr) bool {
	switch e := e.(type) {
	case *expr.Const:
		return !e.Value.IsNull()
	case *expr.IsNull:
		return true
	case *expr.Column:
		if _, col := c.scope.owner(e.ID); col != nil {
			return col.NotNull
		}
		for _, a := range c.aggs.aggs {
			if a.Column.ID == e.ID {
				return a.Column.NotNull
			}
		}
	}
	return false
}

// groupBy binds one expression of GROUP BY: a position, an input column, an output's
// name, or any expression.
func (c *core) groupBy(g parse.Expr) {
	ctx := &context{scope: c.scope, clause: "GROUP BY"}
	if lit, ok := g.(*parse.Literal); ok {
		o := c.ordinal(lit, "GROUP BY", len(c.outputs))
		e := c.settled(c.bind(c.outputs[o], ctx))
		c.group(c.aggs, e, c.outputs[o].name)
		return
	}
	if name, ok := g.(*parse.Column); ok && len(name.Parts) == 1 && c.lookup(c.scope, name.Parts) == nil {
		if o := c.outputNamed(name.Parts[0], "GROUP BY"); o >= 0 {
			c.group(c.aggs, c.settled(c.bind(c.outputs[o], ctx)), c.outputs[o].name)
			return
		}
	}
	name, _ := nameOf(g)
	c.group(c.aggs, c.typed(g, ctx), name)
}

func (c *core) settled(e expr.Expr) expr.Expr {
	if e.Type().Kind == fn.Unknown {
		return c.coerce(e, schemas.Type{Kind: schemas.Text}, fn.Implicit)
	}
	return e
}

// outputNamed finds an output by name, -1 for none. Equal expressions of one name are
// not ambiguous.
func (c *core) outputNamed(id parse.Ident, clause string) int {
	found := -1
	for i, o := range c.outputs {
		if o.name != id.Name {
			continue
		}
		if found >= 0 && !expr.Equal(c.bind(o, c.probe()), c.bind(c.outputs[found], c.probe())) {
			c.fail(errorAt(id.At, schemas.CodeAmbiguous, "42702", "%s %q is ambiguous", clause, id.Name))
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// probe is a context in which binding leaves no trace.
func (c *core) probe() *context {
	return &context{scope: c.scope, aggs: &aggregates{}}
}

// comparableColumns refuses columns that cannot be compared.
func (b *binder) comparableColumns(columns []plan.Column, at schemas.Pos, what string) {
	for _, col := range columns {
		if !fn.Comparable(col.Type.Kind) {
			b.refuse(at, what+" over type "+col.Type.String()+" (column "+col.Name+") is")
		}
	}
}
