// Package bind turns syntax trees into logical plans: it finds tables, columns and
// functions, gives every expression its PostgreSQL type and makes casts explicit.
package bind

import (
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Limits of one statement.
const (
	// MaxParams is PostgreSQL's limit of parameters.
	MaxParams = 65535
	// maxSelects bounds the queries of a statement, WITH queries counted at each use.
	maxSelects = 2000
	// maxColumns is PostgreSQL's limit of entries in a target list.
	maxColumns = 1664
)

// Options of binding. The zero value works.
type Options struct {
	// ParamKinds are the kinds of $1, $2, … that the client declared; Invalid, or a
	// list too short, leaves one to be inferred from its use.
	ParamKinds []schemas.Kind
}

// Statement binds a statement against a catalog. Errors are *schemas.Error with
// PostgreSQL's SQLSTATE and the position in the text.
func Statement(s *parse.Statement, cat catalog.Catalog, opt Options) (out *plan.Statement, err error) {
	b := newBinder(cat, opt)
	defer b.caught(&err)
	q := b.query(s.Query, nil)
	q.settle(b)
	root := q.node
	return &plan.Statement{Root: root, Params: b.paramTypes(), Explain: s.Explain, Analyze: s.Analyze, Shape: s.Shape}, nil
}

// binder holds the state of binding one statement.
type binder struct {
	reg     *fn.Registry
	cat     catalog.Catalog
	lastID  expr.ColumnID
	params  []param
	selects int
	// strict refuses what is not determined by the row alone, as in transforms.
	strict bool
}

type param struct {
	kind schemas.Kind
	at   schemas.Pos // of its first use
}

func newBinder(cat catalog.Catalog, opt Options) *binder {
	b := &binder{reg: fn.Builtin(), cat: cat}
	for _, k := range opt.ParamKinds {
		b.params = append(b.params, param{kind: k})
	}
	return b
}

// bail carries an error out of the recursion.
type bail struct{ err error }

func (b *binder) fail(err error) {
	if f, ok := err.(*fault); ok { //nolint:errorlint // never wrapped
		err = (*schemas.Error)(f)
	}
	panic(bail{err})
}

// caught turns a bail into the error of the function that defers it.
func (b *binder) caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case bail:
		*err = r.err
	default:
		panic(r)
	}
}

func (b *binder) newID() expr.ColumnID {
	b.lastID++
	return b.lastID
}

// paramTypes are the inferred types; a parameter whose type nothing tells is refused, and
// so is one that is left out before another.
func (b *binder) paramTypes() []schemas.Type {
	var out []schemas.Type
	for i, p := range b.params {
		if p.kind == fn.Unknown {
			b.fail(errorAt(p.at, schemas.CodeType, "42P18", "could not determine data type of parameter $%d", i+1).
				hint("add a cast: $%d::integer", i+1))
		}
		out = append(out, schemas.Type{Kind: p.kind})
	}
	return out
}
