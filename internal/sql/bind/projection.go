package bind

import (
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Mapping is a select list and a condition bound over the rows of one table.
type Mapping struct {
	// Input[i] is column i of the table, by the id that Exprs and Where use.
	Input []plan.Column
	// Exprs make the output columns, whose names are distinct.
	Exprs []plan.Named
	// Where, when not nil, is true for the rows that are kept.
	Where expr.Expr
}

// Projection binds a select list ("id, lower(email) AS email, price * qty AS total",
// "*") and a condition (empty: none) over a table, as transforms use them. Only what
// depends on the row alone is allowed: no aggregates, parameters, now(). Positions of
// errors are within the text they are about; which one Where tells.
func Projection(table *schemas.Table, list, where string) (m *Mapping, err error) {
	b := newBinder(noTables{}, Options{})
	b.strict = true
	defer b.caught(&err)
	rel := &relation{schema: table.Schema, name: table.Name}
	for _, c := range table.Columns {
		rel.columns = append(rel.columns, plan.Column{ID: b.newID(), Name: c.Name, Type: c.Type, NotNull: c.NotNull || table.IsKey(c.ID)})
	}
	s := &scope{relations: []*relation{rel}, visible: rel.columns}
	m = &Mapping{Input: rel.columns}
	if list != "" {
		b.selectList(m, s, list)
	}
	if where != "" {
		x, err := parse.ParseExpr(where)
		if err != nil {
			return nil, err
		}
		m.Where = b.boolean(x, &context{scope: s, clause: "where"}, "where")
	}
	return m, nil
}

// selectList binds the outputs of a mapping.
func (b *binder) selectList(m *Mapping, s *scope, list string) {
	targets, err := parse.ParseList(list)
	if err != nil {
		b.fail(err)
	}
	c := &core{binder: b, scope: s, aggs: &aggregates{}}
	c.ctx = &context{scope: s, clause: "select"}
	c.expand(targets)
	seen := map[string]bool{}
	for _, o := range c.outputs {
		if o.name == "?column?" || o.expr != nil && o.name == "case" {
			b.fail(errorAt(o.at, schemas.CodeInvalid, "42601", "this expression needs a name").hint("add AS and a name after it"))
		}
		if seen[o.name] {
			b.fail(errorAt(o.at, schemas.CodeInvalid, "42701", "column %q stands twice", o.name).hint("give one of them another name with AS"))
		}
		seen[o.name] = true
		n := c.named(o)
		n.Expr = c.settled(n.Expr)
		n.Column.Type = n.Expr.Type()
		m.Exprs = append(m.Exprs, n)
	}
}

// noTables is the catalog of expressions that stand alone.
type noTables struct{}

func (noTables) Table(_, name string) (catalog.Table, error) {
	return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "relation %q does not exist", name)
}

func (noTables) Tables() []string { return nil }
