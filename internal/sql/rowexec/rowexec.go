// Package rowexec evaluates bound expressions one row at a time by walking their
// tree: exact, held to PostgreSQL by a test of every function and cast, and written
// apart from the vector kernels, so that it is their oracle and the demo's. Kernels
// call its functions for what has no loop of its own.
package rowexec

import (
	"errors"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// Scope is what an expression may read besides constants. The zero Scope serves
// expressions without columns and parameters.
type Scope struct {
	// Columns tells where in a row each column stands.
	Columns map[expr.ColumnID]int
	// Params are the values of $1, $2, …
	Params []schemas.Value
	// Now is the start of the statement, for now() and its kin.
	Now time.Time
}

// Eval gives the value of an expression over a row. Errors are *schemas.Error with
// PostgreSQL's SQLSTATE and the position of the failing expression.
func (s *Scope) Eval(e expr.Expr, row schemas.Row) (schemas.Value, error) {
	v, err := s.eval(e, row)
	if err != nil {
		return schemas.Null, placed(err, e.Pos())
	}
	return v, nil
}

// Matches says whether a condition is true, which NULL is not. A nil condition
// always holds.
func (s *Scope) Matches(cond expr.Expr, row schemas.Row) (bool, error) {
	if cond == nil {
		return true, nil
	}
	v, err := s.Eval(cond, row)
	return v.Bool(), err
}

// placed gives an error the position of the innermost expression that has one.
func placed(err error, at schemas.Pos) error {
	var e *schemas.Error
	if errors.As(err, &e) && !e.Pos.Known() && at.Known() {
		c := *e
		c.Pos = at
		return &c
	}
	return err
}

func (s *Scope) eval(e expr.Expr, row schemas.Row) (schemas.Value, error) {
	switch e := e.(type) {
	case *expr.Const:
		return e.Value, nil
	case *expr.Column:
		return s.column(e, row)
	case *expr.Param:
		if e.Index >= len(s.Params) {
			return schemas.Null, schemas.Errorf(schemas.CodeInvalid, "08P01", "no value was given for $%d", e.Index+1)
		}
		return s.Params[e.Index], nil
	case *expr.Call:
		return s.call(e, row)
	case *expr.Cast:
		v, err := s.Eval(e.Arg, row)
		if err != nil || v.IsNull() {
			return schemas.Null, err
		}
		return cast(v, e.Typ)
	case *expr.And:
		return s.connect(e.Args, row, false)
	case *expr.Or:
		return s.connect(e.Args, row, true)
	case *expr.Not:
		v, err := s.Eval(e.Arg, row)
		if err != nil || v.IsNull() {
			return schemas.Null, err
		}
		return schemas.NewBool(!v.Bool()), nil
	case *expr.IsNull:
		v, err := s.Eval(e.Arg, row)
		return schemas.NewBool(v.IsNull() != e.Negate), err
	case *expr.In:
		return s.in(e, row)
	case *expr.Case:
		return s.choose(e, row)
	case *expr.Coalesce:
		for _, a := range e.Args {
			v, err := s.Eval(a, row)
			if err != nil || !v.IsNull() {
				return v, err
			}
		}
		return schemas.Null, nil
	}
	return schemas.Null, schemas.Errorf(schemas.CodeUnsupported, "0A000", "a row cannot evaluate %T", e)
}

func (s *Scope) column(e *expr.Column, row schemas.Row) (schemas.Value, error) {
	i, ok := s.Columns[e.ID]
	if !ok || i >= len(row) {
		return schemas.Null, schemas.Errorf(schemas.CodeInternal, "XX000", "column %s (id %d) is not in the row", e.Name, e.ID)
	}
	return row[i], nil
}

// call evaluates every argument, as PostgreSQL does, before it looks for NULLs.
func (s *Scope) call(e *expr.Call, row schemas.Row) (schemas.Value, error) {
	args, null := make([]schemas.Value, len(e.Args)), false
	for i, a := range e.Args {
		v, err := s.Eval(a, row)
		if err != nil {
			return schemas.Null, err
		}
		args[i] = v
		null = null || v.IsNull()
	}
	if null && !e.Func.NullCall {
		return schemas.Null, nil
	}
	return Call(e.Func, args, s.Now)
}

// connect is AND (until false) and OR (until true) with three-valued logic.
func (s *Scope) connect(args []expr.Expr, row schemas.Row, decides bool) (schemas.Value, error) {
	null := false
	for _, a := range args {
		v, err := s.Eval(a, row)
		if err != nil {
			return schemas.Null, err
		}
		if v.IsNull() {
			null = true
		} else if v.Bool() == decides {
			return v, nil
		}
	}
	if null {
		return schemas.Null, nil
	}
	return schemas.NewBool(!decides), nil
}

func (s *Scope) in(e *expr.In, row schemas.Row) (schemas.Value, error) {
	v, err := s.Eval(e.Arg, row)
	if err != nil || v.IsNull() {
		return schemas.Null, err
	}
	for _, x := range e.List {
		if Compare(v, x) == 0 {
			return schemas.NewBool(!e.Negate), nil
		}
	}
	if e.HasNull {
		return schemas.Null, nil
	}
	return schemas.NewBool(e.Negate), nil
}

func (s *Scope) choose(e *expr.Case, row schemas.Row) (schemas.Value, error) {
	for _, w := range e.Whens {
		ok, err := s.Matches(w.Cond, row)
		if err != nil {
			return schemas.Null, err
		}
		if ok {
			return s.Eval(w.Then, row)
		}
	}
	if e.Else == nil {
		return schemas.Null, nil
	}
	return s.Eval(e.Else, row)
}

func unsupported(f *expr.Func) error {
	return schemas.Errorf(schemas.CodeUnsupported, "0A000", "a row cannot evaluate %s", f.Key())
}
