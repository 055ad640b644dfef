// Package sql is the front door of the SQL engine: text in, executable plan out, and a
// plan in, rows out.
package sql

import (
	"context"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/sql/rewrite"
	"github.com/millrace/millrace/schemas"
)

// Options of preparing a statement. The zero value works.
type Options struct {
	// ParamKinds are the kinds of $1, $2, … that the client declared; Invalid, or a
	// list too short, leaves a kind to be inferred.
	ParamKinds []schemas.Kind
	// Rewrite chooses the rewrite rules; the zero value takes all.
	Rewrite rewrite.Options
}

// Prepare parses, binds and rewrites one statement over the tables of a catalog. The
// plan is good for this catalog's version only. Errors are *schemas.Error with position
// and SQLSTATE; work is bounded by the length of the text (I9).
func Prepare(ctx context.Context, text string, cat catalog.Catalog, opt Options) (*plan.Statement, error) {
	parsed, err := parse.Parse(text)
	if err != nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	st, err := bind.Statement(parsed, cat, bind.Options{ParamKinds: opt.ParamKinds})
	if err != nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	st.Root = rewrite.Plan(st.Root, opt.Rewrite)
	return st, nil
}

// interrupted turns a context's end into the user's error.
func interrupted(ctx context.Context) error {
	switch ctx.Err() {
	case nil:
		return nil
	case context.DeadlineExceeded:
		return &schemas.Error{Code: schemas.CodeTimeout, SQLState: "57014", Message: "the statement took too long to plan", Retryable: true}
	}
	return &schemas.Error{Code: schemas.CodeCanceled, SQLState: "57014", Message: "the statement was canceled", Err: ctx.Err()}
}

// Shape is a statement with its literals left out, under which latencies are kept. Any
// text has one.
func Shape(text string) string { return parse.Shape(text) }

// Fingerprint is a 64-bit hash of a shape.
func Fingerprint(shape string) uint64 { return parse.Fingerprint(shape) }
