package bind

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

func (b *binder) op(x *parse.Op, c *context) expr.Expr {
	right := b.expr(x.Right, c)
	if x.Left == nil {
		return b.prefix(x, right)
	}
	return b.operator(x.Name, b.expr(x.Left, c), right, x.Pos())
}

// prefix binds a sign.
func (b *binder) prefix(x *parse.Op, arg expr.Expr) expr.Expr {
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
