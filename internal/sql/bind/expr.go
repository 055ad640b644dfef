package bind

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

// context is where an expression stands.
type context struct {
	scope *scope
	// aggs collects aggregates; nil where they are not allowed, as clause says.
	aggs   *aggregates
	clause string
	// inAggregate is set within the arguments of one.
	inAggregate bool
}

var boolean = schemas.Type{Kind: schemas.Bool}

func node(k schemas.Kind, at schemas.Pos) expr.Node {
	return expr.Node{Typ: schemas.Type{Kind: k}, At: at}
}

// typed is expr, with a literal of unknown type made text.
func (b *binder) typed(x parse.Expr, c *context) expr.Expr {
	e := b.expr(x, c)
	if e.Type().Kind == fn.Unknown {
		return b.coerce(e, schemas.Type{Kind: schemas.Text}, fn.Implicit)
	}
	return e
}

// boolean binds a condition; what names it in errors.
func (b *binder) boolean(x parse.Expr, c *context, what string) expr.Expr {
	e := b.expr(x, c)
	if k := e.Type().Kind; k != schemas.Bool && k != fn.Unknown {
		b.fail(errorAt(start(x), schemas.CodeType, "42804", "argument of %s must be type boolean, not type %s", what, e.Type()))
	}
	return b.coerce(e, boolean, fn.Implicit)
}

// start is where an expression begins in the text, as far as its nodes know.
func start(x parse.Expr) schemas.Pos {
	pos := x.Pos()
	var left parse.Expr
	switch x := x.(type) {
	case *parse.Op:
		left = x.Left
	case *parse.IsNull:
		left = x.Arg
	case *parse.Like:
		left = x.Arg
	case *parse.In:
		left = x.Arg
	case *parse.Between:
		left = x.Arg
	case *parse.Distinct:
		left = x.Left
	}
	if left == nil {
		return pos
	}
	return start(left)
}

// expr binds an expression. A string, NULL or parameter whose type is not known yet
// has kind fn.Unknown until something coerces it.
func (b *binder) expr(x parse.Expr, c *context) expr.Expr {
	switch x := x.(type) {
	case *parse.Literal:
		return b.literal(x)
	case *parse.Column:
		return b.column(c.scope, x.Parts)
	case *parse.Param:
		return b.param(x)
	case *parse.Op:
		return b.op(x, c)
	case *parse.Cast:
		return b.cast(x, c)
	case *parse.Logic:
		return b.logic(x, c)
	case *parse.Not:
		return &expr.Not{Node: node(schemas.Bool, x.Pos()), Arg: b.boolean(x.Arg, c, "NOT")}
	case *parse.IsNull:
		return b.fold(&expr.IsNull{Node: node(schemas.Bool, x.Pos()), Arg: b.typed(x.Arg, c), Negate: x.Negate})
	case *parse.IsBool:
		return b.isBool(x, c)
	case *parse.Distinct:
		name := fn.DistinctFrom
		if x.Negate {
			name = fn.NotDistinctFrom
		}
		return b.operator(name, b.expr(x.Left, c), b.expr(x.Right, c), x.Pos())
	case *parse.In:
		return b.in(x, c)
	case *parse.Between:
		return b.between(x, c)
	case *parse.Like:
		return b.like(x, c)
	case *parse.Case:
		return b.caseOf(x, c)
	case *parse.Coalesce:
		args := b.common(b.exprs(x.Args, c), x.Args, "COALESCE")
		return b.fold(&expr.Coalesce{Node: expr.Node{Typ: sameType(args), At: x.Pos()}, Args: args})
	case *parse.NullIf:
		return b.nullIf(x, c)
	case *parse.MinMax:
		return b.minMax(x, c)
	case *parse.Current:
		return b.current(x)
	case *parse.Call:
		return b.call(x, c)
	}
	b.fail(errorAt(x.Pos(), schemas.CodeInternal, "XX000", "unknown expression %T", x))
	return nil
}

func (b *binder) exprs(xs []parse.Expr, c *context) []expr.Expr {
	out := make([]expr.Expr, len(xs))
	for i, x := range xs {
		out[i] = b.expr(x, c)
	}
	return out
}

// current binds CURRENT_DATE and its like as casts of now().
func (b *binder) current(x *parse.Current) expr.Expr {
	now := b.function("now", nil, x.Pos())
	switch x.What {
	case "current_date":
		return b.coerce(now, schemas.Type{Kind: schemas.Date}, fn.Explicit)
	case "localtime":
		return b.coerce(now, schemas.Type{Kind: schemas.Time}, fn.Explicit)
	case "localtimestamp":
		return b.coerce(now, schemas.Type{Kind: schemas.Timestamp}, fn.Explicit)
	}
	return now
}
