package bind

import (
	"strconv"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// sortItem says which column of the projection orders, and how.
type sortItem struct {
	index int
	by    parse.SortBy
}

// orderBy binds ORDER BY to columns of the projection, adding those that are not in
// the SELECT list.
func (c *core) orderBy(list []parse.SortBy, distinct bool) []plan.SortKey {
	var items []sortItem
	for _, s := range list {
		items = append(items, sortItem{c.sortColumn(s, distinct), s})
	}
	for _, it := range items { // now that no more columns come
		n := &c.project.Exprs[it.index]
		n.Expr = c.settled(n.Expr)
		n.Column.Type = n.Expr.Type()
	}
	var keys []plan.SortKey
	for _, it := range items {
		col := c.project.Exprs[it.index].Column
		if !fn.Comparable(col.Type.Kind) {
			c.refuse(it.by.Expr.Pos(), "ORDER BY over type "+col.Type.String()+" is")
		}
		keys = append(keys, plan.SortKey{Expr: ref(col, it.by.Expr.Pos()), Desc: it.by.Desc, NullsFirst: it.by.NullsFirst})
	}
	return keys
}

// sortColumn is the index in the projection of one key: a position, an output's name,
// or an expression over the input.
func (c *core) sortColumn(s parse.SortBy, distinct bool) int {
	if lit, ok := s.Expr.(*parse.Literal); ok {
		return c.ordinal(lit, "ORDER BY", c.visible)
	}
	if name, ok := s.Expr.(*parse.Column); ok && len(name.Parts) == 1 {
		if o := c.outputNamed(name.Parts[0], "ORDER BY"); o >= 0 {
			return o
		}
	}
	e := c.settled(c.expr(s.Expr, c.ctx))
	for i, n := range c.project.Exprs {
		if expr.Equal(n.Expr, e) {
			return i
		}
	}
	if distinct {
		c.fail(errorAt(s.Expr.Pos(), schemas.CodeInvalid, "42P10", "for SELECT DISTINCT, ORDER BY expressions must appear in select list"))
	}
	c.project.Exprs = append(c.project.Exprs, plan.Named{Column: plan.Column{ID: c.newID(), Name: "?order?", Type: e.Type()}, Expr: e})
	return len(c.project.Exprs) - 1
}

// ordinal resolves a constant in GROUP BY or ORDER BY: only a position is allowed.
func (b *binder) ordinal(lit *parse.Literal, clause string, n int) int {
	i, err := strconv.Atoi(lit.Text)
	if lit.Kind != parse.NumberLiteral || err != nil {
		b.fail(errorAt(lit.Pos(), schemas.CodeSyntax, "42601", "non-integer constant in %s", clause))
	}
	if i < 1 || i > n {
		b.fail(errorAt(lit.Pos(), schemas.CodeInvalid, "42P10", "%s position %d is not in select list", clause, i))
	}
	return i - 1
}

func (b *binder) sorted(n plan.Node, keys []plan.SortKey) plan.Node {
	if len(keys) == 0 {
		return n
	}
	return &plan.Sort{Input: n, Keys: keys, Limit: -1}
}

// limited applies LIMIT and OFFSET: bigint constants or parameters.
func (b *binder) limited(n plan.Node, q *parse.Query) plan.Node {
	count, offset := b.limit(q.Limit, "LIMIT"), b.limit(q.Offset, "OFFSET")
	if count == nil && offset == nil {
		return n
	}
	return &plan.Limit{Input: n, Count: count, Offset: offset}
}

// limit binds one of the two; nil when it is absent or NULL.
func (b *binder) limit(x parse.Expr, clause string) expr.Expr {
	if x == nil {
		return nil
	}
	if c, ok := x.(*parse.Column); ok {
		b.fail(errorAt(c.Pos(), schemas.CodeInvalid, "42P10", "argument of %s must not contain variables", clause))
	}
	e := b.expr(x, &context{scope: &scope{}, clause: clause})
	if k := e.Type().Kind; k != fn.Unknown && fn.CastContext(k, schemas.Int64) > fn.Assignment {
		b.fail(errorAt(x.Pos(), schemas.CodeType, "42804", "argument of %s must be type bigint, not type %s", clause, e.Type()))
	}
	e = b.coerce(e, schemas.Type{Kind: schemas.Int64}, fn.Assignment)
	switch e := e.(type) {
	case *expr.Param:
		return e
	case *expr.Const:
		if e.Value.IsNull() {
			return nil
		}
		if e.Value.Int() < 0 {
			state := "2201W"
			if clause == "OFFSET" {
				state = "2201X"
			}
			b.fail(errorAt(x.Pos(), schemas.CodeInvalid, state, "%s must not be negative", clause))
		}
		return e
	}
	b.refuse(x.Pos(), clause+" of anything but a constant or parameter is")
	return nil
}

// trim removes the columns that only ordered the rows.
func (c *core) trim(n plan.Node) plan.Node {
	if c.visible == len(c.project.Exprs) {
		return n
	}
	out := &plan.Project{Input: n}
	for _, e := range c.project.Exprs[:c.visible] {
		out.Exprs = append(out.Exprs, plan.Named{Column: e.Column, Expr: ref(e.Column, schemas.Pos{})})
	}
	return out
}
