package pipelines

import (
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// bind binds an entry's SQL over its table. It returns nil when there were problems,
// after looking at both texts.
func (p *planner) bind(t *schemas.Table, entry *Transform) *bound {
	list, err1 := bind.Projection(t, entry.Select, "")
	if err1 != nil {
		p.sqlProblem(entry, "select", err1)
	}
	cond, err2 := bind.Projection(t, "", entry.Where)
	if err2 != nil {
		p.sqlProblem(entry, "where", err2)
	}
	if err1 != nil || err2 != nil {
		return nil
	}
	// Each binding numbers the table's columns in their order, from the same id on.
	b := &bound{named: list.Exprs, where: cond.Where}
	for _, c := range list.Input {
		b.input = append(b.input, c.ID)
	}
	return b
}

// sqlProblem puts an error of SQL at its place in the file.
func (p *planner) sqlProblem(entry *Transform, key string, err error) {
	var e *schemas.Error
	if !errors.As(err, &e) {
		p.doc.bad(entry.place(key), "", "%s: %v", key, err)
		return
	}
	at, message := entry.place(key), e.Message
	if v := entry.at.get(key); v != nil && e.Pos.Known() {
		at = v.place(offset(v.text, e.Pos))
		if v.places == nil {
			message = (&schemas.Error{Message: message, Pos: e.Pos}).Error()
		}
	}
	p.doc.bad(at, e.Hint, "%s: %s", key, message).Code = e.Code
}

// offset is the place of a line and column, in bytes.
func offset(text string, at schemas.Pos) int {
	n := 0
	for range at.Line - 1 {
		i := strings.IndexByte(text[n:], '\n')
		if i < 0 {
			return len(text)
		}
		n += i + 1
	}
	for i := range text[n:] {
		if at.Column--; at.Column <= 0 {
			return n + i
		}
	}
	return len(text)
}

// place is where a key's value begins in the file, or the entry when it is left out.
func (t *Transform) place(key string) schemas.Pos {
	if v := t.at.get(key); v != nil {
		return v.pos
	}
	return t.at.pos
}

// selectAt is where an expression of the select list stands in the file.
func (t *Transform) selectAt(e expr.Expr) schemas.Pos {
	if v := t.at.get("select"); v != nil && e.Pos().Known() {
		return v.place(offset(v.text, e.Pos()))
	}
	return t.place("select")
}

// splitName splits a full name at its first point.
func splitName(full string) (schema, name string) {
	schema, name, _ = strings.Cut(full, ".")
	return schema, name
}
