package bind

import (
	"strconv"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// union binds UNION [ALL]: columns by position, in their common types.
func (b *binder) union(q *parse.Query, w *with) *query {
	u := q.Union
	left, right := b.query(u.Left, w), b.query(u.Right, w)
	lc, rc := left.node.Columns(), right.node.Columns()
	if len(lc) != len(rc) {
		b.fail(errorAt(right.place(0, u.Right.At), schemas.CodeSyntax, "42601", "each UNION query must have the same number of columns: the first has %d, the second %d",
			len(lc), len(rc)))
	}
	out := &plan.SetOp{Kind: plan.Union, All: true}
	types := make([]schemas.Type, len(lc))
	for i := range lc {
		k := fn.CommonKind([]schemas.Kind{lc[i].Type.Kind, rc[i].Type.Kind})
		if k == fn.Unknown {
			b.fail(errorAt(right.place(i, u.Right.At), schemas.CodeType, "42804", "UNION types %s and %s cannot be matched (column %d, %q)",
				lc[i].Type.Kind, rc[i].Type.Kind, i+1, lc[i].Name))
		}
		types[i] = schemas.Type{Kind: k}
		if lc[i].Type == rc[i].Type {
			types[i] = lc[i].Type
		}
		if types[i].Kind == fn.Unknown {
			types[i] = schemas.Type{Kind: schemas.Text}
		}
		out.Out = append(out.Out, plan.Column{ID: b.newID(), Name: lc[i].Name, Type: types[i], NotNull: lc[i].NotNull && rc[i].NotNull})
	}
	out.Left, out.Right = b.side(left, types), b.side(right, types)
	bound := &query{node: out, at: left.at}
	if !u.All {
		b.comparableColumns(out.Out, u.At, "UNION")
		bound.node = &plan.Distinct{Input: out}
	}
	bound.node = b.sorted(bound.node, b.orderByOutput(q.OrderBy, out.Out))
	bound.node = b.limited(bound.node, q)
	return bound
}

// side casts the columns of one side.
func (b *binder) side(q *query, types []schemas.Type) plan.Node {
	if q.list != nil {
		for i, t := range types {
			q.retype(b, i, t, false)
		}
		q.list = nil
	}
	columns := q.node.Columns()
	p, changed := &plan.Project{Input: q.node}, false
	for i, c := range columns {
		e := expr.Expr(ref(c, schemas.Pos{}))
		out := c
		if c.Type.Kind != types[i].Kind {
			e = b.coerce(e, schemas.Type{Kind: types[i].Kind}, fn.Implicit)
			out.ID, out.Type, changed = b.newID(), e.Type(), true
		}
		p.Exprs = append(p.Exprs, plan.Named{Column: out, Expr: e})
	}
	if !changed {
		return q.node
	}
	return p
}

// orderByOutput binds ORDER BY where only output columns may be named.
func (b *binder) orderByOutput(list []parse.SortBy, columns []plan.Column) []plan.SortKey {
	var keys []plan.SortKey
	for _, s := range list {
		i := -1
		switch x := s.Expr.(type) {
		case *parse.Literal:
			i = b.ordinal(x, "ORDER BY", len(columns))
		case *parse.Column:
			for j, c := range columns {
				if len(x.Parts) == 1 && c.Name == x.Parts[0].Name {
					i = j
					break
				}
			}
			if i < 0 {
				last := x.Parts[len(x.Parts)-1]
				b.fail(errorAt(x.Pos(), schemas.CodeUnknownColumn, "42703", "column %q does not exist", last.Name).
					meant(last.Name, columnNames(columns)))
			}
		default:
			b.fail(errorAt(start(x), schemas.CodeUnsupported, "0A000", "invalid UNION or VALUES ORDER BY clause: only result column names can be used").
				hint("put the expression into each SELECT, or the query into a FROM clause"))
		}
		if !fn.Comparable(columns[i].Type.Kind) {
			b.refuse(s.Expr.Pos(), "ORDER BY over type "+columns[i].Type.String()+" is")
		}
		keys = append(keys, plan.SortKey{Expr: ref(columns[i], s.Expr.Pos()), Desc: s.Desc, NullsFirst: s.NullsFirst})
	}
	return keys
}

// values binds VALUES: constant rows, each column in its common type.
func (b *binder) values(q *parse.Query) *query {
	width := len(q.Values[0])
	ctx := &context{scope: &scope{}, clause: "VALUES"}
	v := &plan.Values{Rows: make([][]expr.Expr, len(q.Values))}
	for r, row := range q.Values {
		if len(row) != width {
			b.fail(errorAt(row[0].Pos(), schemas.CodeSyntax, "42601", "VALUES lists must all be the same length"))
		}
		v.Rows[r] = b.exprs(row, ctx)
	}
	for i := range width {
		column := make([]expr.Expr, len(v.Rows))
		written := make([]parse.Expr, len(v.Rows))
		for r := range v.Rows {
			column[r], written[r] = v.Rows[r][i], q.Values[r][i]
		}
		column = b.common(column, written, "VALUES")
		for r := range v.Rows {
			v.Rows[r][i] = column[r]
		}
		v.Out = append(v.Out, plan.Column{ID: b.newID(), Name: "column" + strconv.Itoa(i+1), Type: sameType(column)})
	}
	out := &query{node: v}
	for _, x := range q.Values[0] {
		out.at = append(out.at, start(x))
	}
	out.node = b.sorted(out.node, b.orderByOutput(q.OrderBy, v.Out))
	out.node = b.limited(out.node, q)
	return out
}
