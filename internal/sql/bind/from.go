package bind

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

// with is a chain of visible WITH queries, the innermost first.
type with struct {
	cte   parse.CTE
	outer *with
	used  *bool
}

func (w *with) find(name string) *with {
	for ; w != nil; w = w.outer {
		if w.cte.Name.Name == name {
			return w
		}
	}
	return nil
}

// from binds the FROM list: commas are cross joins.
func (b *binder) from(list []parse.From, w *with) (plan.Node, *scope) {
	var node plan.Node = &plan.Values{Rows: [][]expr.Expr{{}}}
	s := &scope{}
	for i, f := range list {
		n, one := b.fromItem(f, w)
		b.distinctNames(s, one, f)
		s.relations = append(s.relations, one.relations...)
		s.visible = append(s.visible, one.visible...)
		if i == 0 {
			node = n
			continue
		}
		node = &plan.Join{Kind: plan.Cross, Left: node, Right: n}
	}
	return node, s
}

func (b *binder) fromItem(f parse.From, w *with) (plan.Node, *scope) {
	switch f := f.(type) {
	case *parse.TableRef:
		return b.table(f, w)
	case *parse.Derived:
		q := b.query(f.Query, w)
		q.settle(b)
		return b.named(q.node, f.Alias, f.Columns)
	case *parse.Join:
		return b.join(f, w)
	}
	b.fail(errorAt(schemas.Pos{}, schemas.CodeInternal, "XX000", "unknown entry of FROM %T", f))
	return nil, nil
}

// distinctNames refuses two relations of the same name.
func (b *binder) distinctNames(have, more *scope, f parse.From) {
	for _, r := range more.relations {
		for _, h := range have.relations {
			if h.name == r.name && h.schema == r.schema && r.name != "" {
				b.fail(errorAt(place(f), schemas.CodeAmbiguous, "42712", "table name %q specified more than once", r.name).
					hint("give one of them an alias: %s AS %s2", r.name, r.name))
			}
		}
	}
}

func place(f parse.From) schemas.Pos {
	switch f := f.(type) {
	case *parse.TableRef:
		if f.Alias.Name != "" {
			return f.Alias.At
		}
		return f.Name.At
	case *parse.Derived:
		return f.At
	case *parse.Join:
		return place(f.Right)
	}
	return schemas.Pos{}
}

// table binds a table name: a WITH query hides a table.
func (b *binder) table(f *parse.TableRef, w *with) (plan.Node, *scope) {
	if f.Schema.Name == "" {
		if found := w.find(f.Name.Name); found != nil {
			*found.used = true
			q := b.query(found.cte.Query, found.outer)
			q.settle(b)
			alias := f.Alias
			if alias.Name == "" {
				alias = f.Name
			}
			node, s := b.named(q.node, parse.Ident{Name: found.cte.Name.Name, At: found.cte.Name.At}, found.cte.Columns)
			s.relations[0].name = alias.Name
			b.rename(s, f.Columns, alias)
			return node, s
		}
	}
	t, err := b.cat.Table(f.Schema.Name, f.Name.Name)
	if err != nil {
		b.fail(b.unknownTable(f, err))
	}
	scan := &plan.Scan{Table: t, Alias: f.Name.Name}
	schema := t.Schema()
	rel := &relation{schema: schema.Schema, name: f.Name.Name}
	if f.Alias.Name != "" {
		scan.Alias, rel.schema, rel.name = f.Alias.Name, "", f.Alias.Name
	}
	for i, c := range schema.Columns {
		scan.Out = append(scan.Out, plan.Column{ID: b.newID(), Name: c.Name, Type: c.Type, NotNull: c.NotNull || schema.IsKey(c.ID)})
		scan.Ordinals = append(scan.Ordinals, i)
	}
	for _, ord := range schema.KeyOrdinals() {
		rel.key = append(rel.key, scan.Out[ord].ID)
	}
	rel.columns = append([]plan.Column(nil), scan.Out...)
	s := &scope{relations: []*relation{rel}}
	b.rename(s, f.Columns, f.Alias)
	return scan, s
}

// unknownTable adds position and suggestion to a catalog's error.
func (b *binder) unknownTable(f *parse.TableRef, err error) error {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return err
	}
	at := f.Name.At
	if f.Schema.Name != "" {
		at = f.Schema.At
	}
	c := *e
	if c.Code != schemas.CodeUnknownTable {
		if !c.Pos.Known() {
			c.Pos = at
		}
		return &c
	}
	full := f.Name.Name
	if f.Schema.Name != "" {
		full = f.Schema.Name + "." + full
	}
	out := errorAt(at, schemas.CodeUnknownTable, "42P01", "relation %q does not exist", full)
	if s := nearestTable(full, b.cat.Tables()); s != "" {
		return out.hint("did you mean %s?", s)
	}
	return out.hint("%s", listed(b.cat.Tables()))
}

// listed names some of the tables there are.
func listed(tables []string) string {
	const most = 8
	names := make([]string, 0, most)
	for _, t := range tables[:min(most, len(tables))] {
		names = append(names, strings.TrimPrefix(t, "public."))
	}
	switch {
	case len(tables) == 0:
		return "there are no tables yet"
	case len(tables) > most:
		names = append(names, fmt.Sprintf("and %d more", len(tables)-most))
	}
	return "there are the tables " + strings.Join(names, ", ")
}

// nearestTable compares with and without the schema, and answers as was asked.
func nearestTable(name string, tables []string) string {
	var short []string
	for _, t := range tables {
		if _, bare, ok := strings.Cut(t, "."); ok && !strings.Contains(name, ".") {
			if bare == name {
				return t // the name is right, its schema is another
			}
			if strings.HasPrefix(t, "public.") {
				t = bare
			}
		}
		short = append(short, t)
	}
	return suggest.Nearest(name, short)
}

// named makes a relation of a subquery.
func (b *binder) named(node plan.Node, alias parse.Ident, columns []parse.Ident) (plan.Node, *scope) {
	rel := &relation{name: alias.Name, columns: append([]plan.Column(nil), node.Columns()...)}
	s := &scope{relations: []*relation{rel}}
	b.rename(s, columns, alias)
	return node, s
}

// rename applies AS alias (a, b) and makes the columns visible.
func (b *binder) rename(s *scope, names []parse.Ident, alias parse.Ident) {
	rel := s.relations[0]
	if len(names) > len(rel.columns) {
		b.fail(errorAt(alias.At, schemas.CodeInvalid, "42P10",
			"table %q has %d columns available but %d columns specified", alias.Name, len(rel.columns), len(names)))
	}
	for i, n := range names {
		rel.columns[i].Name = n.Name
	}
	s.visible = rel.columns
}

// join binds JOIN … ON, USING and CROSS JOIN.
func (b *binder) join(f *parse.Join, w *with) (plan.Node, *scope) {
	left, ls := b.fromItem(f.Left, w)
	right, rs := b.fromItem(f.Right, w)
	b.distinctNames(ls, rs, f.Right)
	s := &scope{relations: append(append([]*relation(nil), ls.relations...), rs.relations...)}
	join := &plan.Join{Kind: plan.Cross, Left: left, Right: right}
	if f.Using != nil {
		join.Kind, join.Cond = plan.Inner, b.using(f, ls, rs, s)
		return join, s
	}
	s.visible = append(append([]plan.Column(nil), ls.visible...), rs.visible...)
	if f.On != nil {
		cond := b.boolean(f.On, &context{scope: s, clause: "JOIN conditions"}, "JOIN/ON")
		join.Kind, join.Cond = plan.Inner, cond
	}
	return join, s
}

// using joins by columns of the same name, which then stand once, first.
func (b *binder) using(f *parse.Join, ls, rs, s *scope) expr.Expr {
	var conds []expr.Expr
	merged := map[expr.ColumnID]bool{}
	for _, name := range f.Using {
		l, r := b.lookup(ls, []parse.Ident{name}), b.lookup(rs, []parse.Ident{name})
		b.inUsing(l, name, "left")
		b.inUsing(r, name, "right")
		conds = append(conds, b.operator("=", l, r, name.At))
		merged[l.ID], merged[r.ID] = true, true
		for _, c := range ls.visible {
			if c.ID == l.ID {
				s.visible = append(s.visible, c)
			}
		}
	}
	for _, side := range []*scope{ls, rs} {
		for _, c := range side.visible {
			if !merged[c.ID] {
				s.visible = append(s.visible, c)
			}
		}
	}
	return and(conds)
}

func (b *binder) inUsing(c *expr.Column, name parse.Ident, side string) {
	if c == nil {
		b.fail(errorAt(name.At, schemas.CodeUnknownColumn, "42703",
			"column %q specified in USING clause does not exist in %s table", name.Name, side))
	}
}

// and joins conditions; nil for none.
func and(conds []expr.Expr) expr.Expr {
	switch len(conds) {
	case 0:
		return nil
	case 1:
		return conds[0]
	}
	return &expr.And{Node: expr.Node{Typ: schemas.Type{Kind: schemas.Bool}, At: conds[0].Pos()}, Args: conds}
}
