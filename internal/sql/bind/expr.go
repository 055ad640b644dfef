package bind

import (
	"slices"
	"strings"

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

func (b *binder) op(x *parse.Op, c *context) expr.Expr {
	right := b.expr(x.Right, c)
	if x.Left == nil {
		return b.prefix(x, right)
	}
	return b.operator(x.Name, b.expr(x.Left, c), right, x.Pos())
}

// prefix binds a sign. The sign of a number literal is part of it, so that
// -9223372036854775808 is a bigint.
func (b *binder) prefix(x *parse.Op, arg expr.Expr) expr.Expr {
	lit, ok := x.Right.(*parse.Literal)
	if ok && x.Name == "-" && lit.Kind == parse.NumberLiteral && numberBase(lit.Text) == 10 {
		negative := *lit
		negative.Text = "-" + lit.Text
		return b.literal(&negative)
	}
	if k := arg.Type().Kind; x.Name == "+" && k.IsNumber() {
		return arg
	} else if x.Name == "+" && k == fn.Unknown {
		return b.coerce(arg, schemas.Type{Kind: schemas.Float64}, fn.Implicit)
	}
	return b.apply(b.resolveOp(x.Name, []expr.Expr{arg}, x.Pos()), []expr.Expr{arg}, x.Pos())
}

// operator applies an infix operator.
func (b *binder) operator(name string, left, right expr.Expr, at schemas.Pos) expr.Expr {
	if name == "||" {
		left, right = b.concatSides(left, right)
	}
	args := []expr.Expr{left, right}
	return b.apply(b.resolveOp(name, args, at), args, at)
}

// concatSides turns one side of || into text when the other is text: PostgreSQL has
// text || anynonarray.
func (b *binder) concatSides(left, right expr.Expr) (expr.Expr, expr.Expr) {
	l, r := left.Type().Kind, right.Type().Kind
	textual := func(k schemas.Kind) bool { return k.IsText() || k == fn.Unknown }
	other := func(k schemas.Kind) bool { return !textual(k) && k != schemas.Bytea && k != schemas.JSONB }
	switch {
	case textual(l) && other(r) || l.IsText() && !textual(r):
		return left, b.output(right)
	case textual(r) && other(l) || r.IsText() && !textual(l):
		return b.output(left), right
	}
	return left, right
}

func (b *binder) resolveOp(name string, args []expr.Expr, at schemas.Pos) *fn.Signature {
	kinds := kindsOf(args)
	s, ambiguous := b.reg.ResolveOperator(name, kinds)
	if s != nil {
		return s
	}
	shown := strings.ToUpper(name)
	if len(args) == 1 {
		shown += " " + kindNames(kinds)
	} else {
		shown = kindNames(kinds[:1]) + " " + shown + " " + kindNames(kinds[1:])
	}
	if ambiguous {
		b.fail(errorAt(at, schemas.CodeAmbiguous, "42725", "operator is not unique: %s", shown).
			hint("could not choose a best candidate operator; add explicit type casts"))
	}
	if slices.Contains(kinds, schemas.JSONB) && (len(args) == 1 || kinds[0] == kinds[1] || slices.Contains(kinds, fn.Unknown)) {
		b.refuse(at, "operator "+strings.ToUpper(name)+" over jsonb is")
	}
	if len(b.reg.Operator(name)) == 0 {
		b.fail(errorAt(at, schemas.CodeUnsupported, "0A000", "operator %s is not supported", name).
			hint("docs/SQL.md lists what is supported"))
	}
	b.fail(errorAt(at, schemas.CodeUnknownFunc, "42883", "operator does not exist: %s", shown).
		hint("no operator matches the given name and argument types; you might need to add explicit type casts"))
	return nil
}

func kindsOf(args []expr.Expr) []schemas.Kind {
	out := make([]schemas.Kind, len(args))
	for i, a := range args {
		out[i] = a.Type().Kind
	}
	return out
}

// apply makes the call that a signature resolved to: coerced, swapped, completed.
func (b *binder) apply(s *fn.Signature, args []expr.Expr, at schemas.Pos) expr.Expr {
	in := make([]expr.Expr, 0, len(args)+len(s.Extra))
	for i, k := range s.Params(len(args)) {
		in = append(in, b.coerce(args[i], schemas.Type{Kind: k}, fn.Implicit))
	}
	if s.Swap {
		in[0], in[1] = in[1], in[0]
	}
	for _, v := range s.Extra {
		in = append(in, &expr.Const{Node: node(v.Kind(), at), Value: v})
	}
	impl := &fn.Signature{Args: s.Impl.Args}
	for i, k := range impl.Params(len(in)) {
		in[i] = b.coerce(in[i], schemas.Type{Kind: k}, fn.Explicit)
	}
	if b.strict && s.Impl.Volatility != expr.Immutable {
		b.fail(errorAt(at, schemas.CodeUnsupported, "0A000", "%s() is not allowed here: its result does not depend on the row alone", s.Name).
			hint("a replayed change must give the same row again; use a column of the source instead"))
	}
	return b.fold(&expr.Call{Node: node(s.Impl.Result, at), Func: s.Impl, Args: in})
}

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
