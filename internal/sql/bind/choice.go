package bind

import (
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

// nullIf is CASE WHEN a = b THEN NULL ELSE a END, of the type that = compares a as.
func (b *binder) nullIf(x *parse.NullIf, c *context) expr.Expr {
	args := []expr.Expr{b.expr(x.Left, c), b.expr(x.Right, c)}
	eq := b.resolveOp("=", args, x.Pos())
	args[0] = b.coerce(args[0], schemas.Type{Kind: eq.Args[0]}, fn.Implicit)
	typ := args[0].Type()
	null := &expr.Const{Node: expr.Node{Typ: typ, At: x.Pos()}}
	return b.fold(&expr.Case{Node: expr.Node{Typ: typ, At: x.Pos()},
		Whens: []expr.When{{Cond: b.apply(eq, args, x.Pos()), Then: null}}, Else: args[0]})
}

func (b *binder) minMax(x *parse.MinMax, c *context) expr.Expr {
	name := "greatest"
	if x.Least {
		name = "least"
	}
	args := b.common(b.exprs(x.Args, c), x.Args, strings.ToUpper(name))
	typ := sameType(args)
	if typ.Kind == schemas.Varchar { // compared as text
		for i := range args {
			args[i] = b.coerce(args[i], schemas.Type{Kind: schemas.Text}, fn.Implicit)
		}
		return b.coerce(b.greatest(name, args, schemas.Type{Kind: schemas.Text}, x.Pos()), schemas.Type{Kind: schemas.Varchar}, fn.Implicit)
	}
	return b.greatest(name, args, typ, x.Pos())
}

// greatest applies GREATEST or LEAST of one type.
func (b *binder) greatest(name string, args []expr.Expr, typ schemas.Type, at schemas.Pos) expr.Expr {
	f := b.reg.Impl((&expr.Func{Name: name, Args: []schemas.Kind{typ.Kind}, Variadic: true}).Key())
	if f == nil {
		b.fail(errorAt(at, schemas.CodeUnknownFunc, "42883", "could not identify a comparison function for type %s", typ))
	}
	return b.fold(&expr.Call{Node: expr.Node{Typ: typ, At: at}, Func: f, Args: args})
}

// caseOf binds both forms of CASE.
func (b *binder) caseOf(x *parse.Case, c *context) expr.Expr {
	out := &expr.Case{}
	var results []parse.Expr // ELSE first: it comes first when types are matched
	var exprs []expr.Expr
	if x.Else != nil {
		results, exprs = append(results, x.Else), append(exprs, b.expr(x.Else, c))
	}
	var arg expr.Expr
	if x.Arg != nil {
		arg = b.typed(x.Arg, c)
	}
	for _, w := range x.Whens {
		var cond expr.Expr
		if arg != nil {
			cond = b.operator("=", arg, b.expr(w.Cond, c), w.Cond.Pos())
		} else {
			cond = b.boolean(w.Cond, c, "CASE/WHEN")
		}
		out.Whens = append(out.Whens, expr.When{Cond: cond})
		results, exprs = append(results, w.Then), append(exprs, b.expr(w.Then, c))
	}
	exprs = b.common(exprs, results, "CASE")
	out.Node = expr.Node{Typ: sameType(exprs), At: x.Pos()}
	if x.Else != nil {
		out.Else, exprs = exprs[0], exprs[1:]
	}
	for i := range out.Whens {
		out.Whens[i].Then = exprs[i]
	}
	return out
}
