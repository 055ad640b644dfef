package bind

import (
	"slices"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// relation is one entry of FROM with the names its columns go by.
type relation struct {
	schema  string // empty for aliases and derived tables
	name    string
	columns []plan.Column
	key     []expr.ColumnID // primary key, all of it; nil: none
}

// scope is what names may mean in one SELECT.
type scope struct {
	relations []*relation
	// visible are the columns of * and of names without a table, in order. A column
	// joined by USING stands once.
	visible []plan.Column
}

// star expands t.* or *.
func (b *binder) star(s *scope, t parse.Target) []plan.Column {
	if len(t.Table) == 0 {
		if len(s.relations) == 0 {
			b.fail(errorAt(t.At, schemas.CodeSyntax, "42601", "SELECT * with no tables specified is not valid"))
		}
		return s.visible
	}
	return b.relation(s, t.Table).columns
}

// relation finds the relation of t.column or schema.t.column.
func (b *binder) relation(s *scope, path []parse.Ident) *relation {
	last := path[len(path)-1]
	var found *relation
	for _, r := range s.relations {
		if r.name != last.Name || len(path) == 2 && r.schema != path[0].Name {
			continue
		}
		if found != nil {
			b.fail(errorAt(last.At, schemas.CodeAmbiguous, "42P09", "table reference %q is ambiguous", last.Name))
		}
		found = r
	}
	if found == nil {
		var names []string
		for _, r := range s.relations {
			names = append(names, r.name)
		}
		b.fail(errorAt(path[0].At, schemas.CodeUnknownTable, "42P01", "missing FROM-clause entry for table %q", last.Name).
			meant(last.Name, names))
	}
	return found
}

// column finds a column by name.
func (b *binder) column(s *scope, parts []parse.Ident) *expr.Column {
	if c := b.lookup(s, parts); c != nil {
		return c
	}
	last := parts[len(parts)-1]
	if len(parts) > 1 {
		r := b.relation(s, parts[:len(parts)-1])
		b.fail(errorAt(parts[0].At, schemas.CodeUnknownColumn, "42703", "column %s.%s does not exist", r.name, last.Name).
			meant(last.Name, columnNames(r.columns)))
	}
	b.fail(errorAt(last.At, schemas.CodeUnknownColumn, "42703", "column %q does not exist", last.Name).
		meant(last.Name, s.names()))
	return nil
}

// lookup is column, but gives nil where there is no such column.
func (b *binder) lookup(s *scope, parts []parse.Ident) *expr.Column {
	last := parts[len(parts)-1]
	columns := s.visible
	if len(parts) > 1 {
		columns = b.relation(s, parts[:len(parts)-1]).columns
	}
	var found *plan.Column
	for i := range columns {
		if columns[i].Name != last.Name {
			continue
		}
		if found != nil {
			b.fail(errorAt(parts[0].At, schemas.CodeAmbiguous, "42702", "column reference %q is ambiguous", last.Name).
				hint("write the table before it: %s.%s", s.holding(last.Name), last.Name))
		}
		found = &columns[i]
	}
	if found == nil {
		return nil
	}
	return ref(*found, parts[0].At)
}

// ref makes an expression that reads a column.
func ref(c plan.Column, at schemas.Pos) *expr.Column {
	return &expr.Column{Node: expr.Node{Typ: c.Type, At: at}, ID: c.ID, Name: c.Name}
}

// holding names a relation with a column.
func (s *scope) holding(name string) string {
	for _, r := range s.relations {
		for _, c := range r.columns {
			if c.Name == name {
				return r.name
			}
		}
	}
	return ""
}

// names are what could have been meant, those in order of FROM.
func (s *scope) names() []string {
	out := columnNames(s.visible)
	for _, r := range s.relations {
		for _, c := range r.columns {
			if !slices.Contains(out, c.Name) {
				out = append(out, c.Name)
			}
		}
	}
	return out
}

// owner finds the relation that a column belongs to.
func (s *scope) owner(id expr.ColumnID) (*relation, *plan.Column) {
	for _, r := range s.relations {
		for i := range r.columns {
			if r.columns[i].ID == id {
				return r, &r.columns[i]
			}
		}
	}
	return nil, nil
}

func columnNames(columns []plan.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}
