package bind

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/schemas"
)

// literal gives a constant its initial type, PostgreSQL 4.1.2: a whole number is the
// smallest of integer, bigint and numeric that holds it; a string is unknown.
func (b *binder) literal(x *parse.Literal) expr.Expr {
	switch x.Kind {
	case parse.NullLiteral:
		return &expr.Const{Node: expr.Node{At: x.Pos()}}
	case parse.BoolLiteral:
		return &expr.Const{Node: node(schemas.Bool, x.Pos()), Value: schemas.NewBool(x.Text == "true")}
	case parse.StringLiteral:
		return &expr.Const{Node: expr.Node{At: x.Pos()}, Value: schemas.NewText(x.Text)}
	}
	digits := strings.ReplaceAll(x.Text, "_", "")
	if n, err := strconv.ParseInt(digits, numberBase(digits), 64); err == nil {
		k := schemas.Int64
		if n >= math.MinInt32 && n <= math.MaxInt32 {
			k = schemas.Int32
		}
		return &expr.Const{Node: node(k, x.Pos()), Value: schemas.NewInt(k, n)}
	}
	if numberBase(digits) == 0 {
		b.fail(errorAt(x.Pos(), schemas.CodeUnsupported, "0A000", "a number of this size in another base is not supported"))
	}
	v, err := pgtext.ParseValue(schemas.Type{Kind: schemas.Numeric}, digits)
	if err != nil {
		b.fail(at(err, x.Pos()))
	}
	return &expr.Const{Node: node(schemas.Numeric, x.Pos()), Value: v}
}

// numberBase is 0, "see the prefix", for 0x, 0o and 0b; 0123 is decimal.
func numberBase(s string) int {
	s = strings.TrimPrefix(s, "-")
	if len(s) > 2 && s[0] == '0' && strings.IndexByte("xXoObB", s[1]) >= 0 {
		return 0
	}
	return 10
}

// at gives an error a position, unless it has one.
func at(err error, pos schemas.Pos) error {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return &schemas.Error{Code: schemas.CodeInvalidText, SQLState: "22P02", Message: err.Error(), Pos: pos}
	}
	c := *e
	if !c.Pos.Known() {
		c.Pos = pos
	}
	return &c
}

func (b *binder) param(x *parse.Param) expr.Expr {
	if x.Number < 1 || x.Number > MaxParams {
		b.fail(errorAt(x.Pos(), schemas.CodeInvalid, "42P02", "there is no parameter $%d: numbers go from 1 to %d", x.Number, MaxParams))
	}
	if b.strict {
		b.fail(errorAt(x.Pos(), schemas.CodeUnsupported, "0A000", "parameters are not allowed here"))
	}
	for len(b.params) < x.Number {
		b.params = append(b.params, param{})
	}
	p := &b.params[x.Number-1]
	if !p.at.Known() {
		p.at = x.Pos()
	}
	return &expr.Param{Node: node(p.kind, x.Pos()), Index: x.Number - 1}
}

// cast binds CAST(x AS t).
func (b *binder) cast(x *parse.Cast, c *context) expr.Expr {
	arg := b.expr(x.Arg, c)
	from, pos := arg.Type().Kind, x.Pos()
	if from == fn.Unknown {
		if _, ok := arg.(*expr.Const); ok {
			pos = arg.Pos()
		}
	}
	if from != fn.Unknown && fn.CastContext(from, x.Type.Kind) == fn.NoCast {
		b.fail(errorAt(pos, schemas.CodeType, "42846", "cannot cast type %s to %s", arg.Type().Kind, x.Type))
	}
	return b.coerce(arg, x.Type, fn.Explicit)
}

// coerce makes e of a type, adding a cast where it must. A cast that the context does
// not allow is a type mismatch. A target without modifiers keeps those e has.
func (b *binder) coerce(e expr.Expr, to schemas.Type, in fn.Context) expr.Expr {
	from := e.Type()
	if from.Kind == fn.Unknown {
		e = b.coerceUnknown(e, to)
		from = e.Type()
	}
	bare := schemas.Type{Kind: to.Kind}
	if from.Kind == to.Kind && (to == bare || to == from) {
		if in == fn.Explicit && to == bare && from != bare && to.Kind == schemas.Numeric {
			return e // PostgreSQL relabels: the value stays
		}
		return e
	}
	if ctx := fn.CastContext(from.Kind, to.Kind); ctx == fn.NoCast || ctx > in {
		b.fail(errorAt(e.Pos(), schemas.CodeType, "42804", "%s is required here, not %s", to, from).
			hint("add an explicit cast"))
	}
	return b.fold(&expr.Cast{Node: expr.Node{Typ: to, At: e.Pos()}, Arg: e, Implicit: in != fn.Explicit})
}

// coerceUnknown decides the type of a string, NULL or parameter.
func (b *binder) coerceUnknown(e expr.Expr, to schemas.Type) expr.Expr {
	bare := schemas.Type{Kind: to.Kind}
	if p, ok := e.(*expr.Param); ok {
		slot := &b.params[p.Index]
		if slot.kind == fn.Unknown {
			slot.kind = to.Kind
		}
		return &expr.Param{Node: node(slot.kind, p.At), Index: p.Index}
	}
	c := e.(*expr.Const)
	if c.Value.IsNull() {
		return &expr.Const{Node: expr.Node{Typ: to, At: c.At}}
	}
	v, err := pgtext.ParseValue(bare, c.Value.Bytes())
	if err != nil {
		b.fail(at(err, c.At))
	}
	if to.Kind == schemas.Char {
		v = schemas.NewBytes(schemas.Char, v.Bytes())
	}
	return &expr.Const{Node: expr.Node{Typ: bare, At: c.At}, Value: v}
}

// common coerces arguments to their common type; what is for errors.
func (b *binder) common(args []expr.Expr, written []parse.Expr, what string) []expr.Expr {
	kinds := kindsOf(args)
	k := fn.CommonKind(kinds)
	if k == fn.Unknown {
		b.mismatch(kinds, func(i int) schemas.Pos { return start(written[i]) }, what)
	}
	out := make([]expr.Expr, len(args))
	for i, a := range args {
		out[i] = b.coerce(a, schemas.Type{Kind: k}, fn.Implicit)
	}
	return out
}

// mismatch reports the first argument that does not go with those before it.
func (b *binder) mismatch(kinds []schemas.Kind, pos func(int) schemas.Pos, what string) {
	for i := range kinds {
		if i > 0 && fn.CommonKind(kinds[:i+1]) == fn.Unknown {
			b.fail(errorAt(pos(i), schemas.CodeType, "42804", "%s types %s and %s cannot be matched",
				what, kindNames([]schemas.Kind{fn.CommonKind(kinds[:i])}), kindNames(kinds[i:i+1])).
				hint("add explicit casts to one type"))
		}
	}
	b.fail(errorAt(pos(0), schemas.CodeType, "42804", "%s types cannot be matched", what))
}

// sameType is the type of a choice among arguments of one kind: with modifiers when
// all have the same.
func sameType(args []expr.Expr) schemas.Type {
	t := args[0].Type()
	for _, a := range args[1:] {
		if a.Type() != t {
			return schemas.Type{Kind: t.Kind}
		}
	}
	return t
}

// output turns a value into text as PostgreSQL's output does: a cast, except that
// character(n) keeps its padding.
func (b *binder) output(e expr.Expr) expr.Expr {
	text := schemas.Type{Kind: schemas.Text}
	typ := e.Type()
	if typ.Kind == fn.Unknown {
		return b.coerce(e, text, fn.Implicit)
	}
	out := b.coerce(e, text, fn.Explicit)
	if typ.Kind == schemas.Char && typ.Length > 0 {
		width := &expr.Const{Node: node(schemas.Int32, e.Pos()), Value: schemas.NewInt(schemas.Int32, int64(typ.Length))}
		return b.function("rpad", []expr.Expr{out, width}, e.Pos())
	}
	return out
}

// maxFolded bounds what is computed while binding, in bytes of the arguments: a
// statement may hold thousands of constant expressions.
const maxFolded = 1 << 10

// growing says whether a function's cost is not bounded by the size of its arguments.
func growing(f *expr.Func) bool {
	switch f.Name {
	case "repeat", "lpad", "rpad":
		return true
	case "power", "exp", "ln", "log", "sqrt", "round", "trunc", "div":
		return f.Result == schemas.Numeric
	}
	return false
}

// fold evaluates an expression of constants. One that fails stays, to fail when, and
// only if, a row needs it; so does one that might cost much.
func (b *binder) fold(e expr.Expr) expr.Expr {
	args := expr.Children(e)
	if call, ok := e.(*expr.Call); ok && (call.Func.Volatility != expr.Immutable || growing(call.Func)) {
		return e
	}
	size := 0
	for _, a := range args {
		c, ok := a.(*expr.Const)
		if !ok {
			return e
		}
		_, _, text, _ := c.Value.Numeric()
		size += len(text)
	}
	if size > maxFolded && len(args) > 1 {
		return e
	}
	v, err := (&rowexec.Scope{}).Eval(e, nil)
	if err != nil {
		return e
	}
	return &expr.Const{Node: expr.Node{Typ: e.Type(), At: e.Pos()}, Value: v}
}
