package bind

import (
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

func (b *binder) logic(x *parse.Logic, c *context) expr.Expr {
	what := "AND"
	if x.Or {
		what = "OR"
	}
	args := make([]expr.Expr, len(x.Args))
	for i, a := range x.Args {
		args[i] = b.boolean(a, c, what)
	}
	if x.Or {
		return &expr.Or{Node: node(schemas.Bool, x.Pos()), Args: args}
	}
	return &expr.And{Node: node(schemas.Bool, x.Pos()), Args: args}
}

// isBool is x IS [NOT] TRUE, FALSE, UNKNOWN in terms of NULL tests and COALESCE.
func (b *binder) isBool(x *parse.IsBool, c *context) expr.Expr {
	arg := b.boolean(x.Arg, c, "IS "+strings.ToUpper(x.Want))
	at := x.Pos()
	if x.Want == "unknown" {
		return b.fold(&expr.IsNull{Node: node(schemas.Bool, at), Arg: arg, Negate: x.Negate})
	}
	if x.Want == "false" {
		arg = &expr.Not{Node: node(schemas.Bool, at), Arg: arg}
	}
	no := &expr.Const{Node: node(schemas.Bool, at), Value: schemas.NewBool(false)}
	var out expr.Expr = &expr.Coalesce{Node: node(schemas.Bool, at), Args: []expr.Expr{arg, no}}
	if x.Negate {
		out = &expr.Not{Node: node(schemas.Bool, at), Arg: out}
	}
	return b.fold(out)
}

func (b *binder) between(x *parse.Between, c *context) expr.Expr {
	within := func(arg, low, high parse.Expr) expr.Expr {
		a := b.expr(arg, c)
		ge := b.operator(">=", a, b.expr(low, c), x.Pos())
		le := b.operator("<=", a, b.expr(high, c), x.Pos())
		return &expr.And{Node: node(schemas.Bool, x.Pos()), Args: []expr.Expr{ge, le}}
	}
	out := within(x.Arg, x.Low, x.High)
	if x.Symmetric {
		out = &expr.Or{Node: node(schemas.Bool, x.Pos()), Args: []expr.Expr{out, within(x.Arg, x.High, x.Low)}}
	}
	if x.Negate {
		out = &expr.Not{Node: node(schemas.Bool, x.Pos()), Arg: out}
	}
	return out
}

// like binds LIKE and ILIKE. character(n) is matched with its padding.
func (b *binder) like(x *parse.Like, c *context) expr.Expr {
	name := "~~"
	if x.Fold {
		name = "~~*"
	}
	arg, pattern := b.expr(x.Arg, c), b.expr(x.Pattern, c)
	if arg.Type().Kind == schemas.Char {
		arg = b.output(arg)
	}
	if x.Escape != nil {
		pattern = b.function("like_escape", []expr.Expr{pattern, b.expr(x.Escape, c)}, x.Pos())
	}
	out := b.operator(name, arg, pattern, x.Pos())
	if x.Negate {
		return b.fold(&expr.Not{Node: node(schemas.Bool, x.Pos()), Arg: out})
	}
	return out
}

// in binds IN over a list: constants of one type become a set, the rest comparisons.
func (b *binder) in(x *parse.In, c *context) expr.Expr {
	arg := b.expr(x.Arg, c)
	list := b.exprs(x.List, c)
	kinds := append(kindsOf(list), arg.Type().Kind)
	common := fn.CommonKind(kinds)
	if common == schemas.Varchar {
		common = schemas.Text
	}
	if common == fn.Unknown || !fn.Comparable(common) {
		return b.inByOperators(x, arg, list)
	}
	set := &expr.In{Node: node(schemas.Bool, x.Pos()), Arg: b.coerce(arg, schemas.Type{Kind: common}, fn.Implicit), Negate: x.Negate}
	var rest []expr.Expr
	for _, e := range list {
		e = b.coerce(e, schemas.Type{Kind: common}, fn.Implicit)
		if k, ok := e.(*expr.Const); !ok {
			rest = append(rest, e)
		} else if k.Value.IsNull() {
			set.HasNull = true
		} else {
			set.List = append(set.List, k.Value)
		}
	}
	if len(rest) == 0 {
		return b.fold(set)
	}
	var either []expr.Expr
	if len(set.List) > 0 || set.HasNull {
		plain := *set
		plain.Negate = false
		either = append(either, &plain)
	}
	return b.either(x, set.Arg, rest, either)
}

func (b *binder) inByOperators(x *parse.In, arg expr.Expr, list []expr.Expr) expr.Expr {
	return b.either(x, arg, list, nil)
}

// either is x = a OR x = b OR …, negated for NOT IN.
func (b *binder) either(x *parse.In, arg expr.Expr, list, either []expr.Expr) expr.Expr {
	for _, e := range list {
		either = append(either, b.operator("=", arg, e, x.Pos()))
	}
	out := either[0]
	if len(either) > 1 {
		out = &expr.Or{Node: node(schemas.Bool, x.Pos()), Args: either}
	}
	if x.Negate {
		return &expr.Not{Node: node(schemas.Bool, x.Pos()), Arg: out}
	}
	return out
}
