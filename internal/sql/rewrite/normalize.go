package rewrite

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Normalize writes comparisons with constants as scans answer them best: the constant on
// the right, and an integer column in its own width where the constant fits, so that
// 5 < small::integer becomes small > 5::smallint.
func Normalize(n plan.Node) plan.Node {
	n = plan.MapInputs(n, Normalize)
	switch n := n.(type) {
	case *plan.Filter:
		return &plan.Filter{Input: n.Input, Cond: normalize(n.Cond)}
	case *plan.Scan:
		if n.Filter == nil {
			return n
		}
		c := *n
		c.Filter = normalize(n.Filter)
		return &c
	}
	return n
}

func normalize(e expr.Expr) expr.Expr {
	return expr.Map(e, func(x expr.Expr) expr.Expr {
		switch x := x.(type) {
		case *expr.Call:
			return normalizeComparison(x)
		case *expr.In:
			return normalizeIn(x)
		}
		return x
	})
}

func normalizeComparison(c *expr.Call) expr.Expr {
	mirror, ok := flipped[c.Func.Name]
	if !ok || len(c.Args) != 2 {
		return c
	}
	name, left, right := c.Func.Name, c.Args[0], c.Args[1]
	if _, ok := left.(*expr.Const); ok {
		name, left, right = mirror, right, left
	}
	k, ok := right.(*expr.Const)
	if !ok {
		return c
	}
	if arg, ok := widened(left); ok && !k.Value.IsNull() && fits(k.Value.Int(), arg.Type().Kind) {
		left, right = arg, narrowed(k, arg.Type().Kind)
	}
	kind := left.Type().Kind
	f := fn.Builtin().Impl((&expr.Func{Name: name, Args: []schemas.Kind{kind, kind}}).Key())
	if f == nil || right.Type().Kind != kind {
		return c
	}
	return &expr.Call{Node: c.Node, Func: f, Args: []expr.Expr{left, right}}
}

func normalizeIn(e *expr.In) expr.Expr {
	arg, ok := widened(e.Arg)
	if !ok {
		return e
	}
	kind := arg.Type().Kind
	list := make([]schemas.Value, len(e.List))
	for i, v := range e.List {
		if !fits(v.Int(), kind) {
			return e
		}
		list[i] = schemas.NewInt(kind, v.Int())
	}
	c := *e
	c.Arg, c.List = arg, list
	return &c
}

// widened finds x in a cast of x from one integer kind to a wider one.
func widened(e expr.Expr) (expr.Expr, bool) {
	c, ok := e.(*expr.Cast)
	if !ok || !c.Typ.Kind.IsInteger() || !c.Arg.Type().Kind.IsInteger() || c.Arg.Type().Kind >= c.Typ.Kind {
		return nil, false
	}
	return c.Arg, true
}

func narrowed(c *expr.Const, k schemas.Kind) expr.Expr {
	return &expr.Const{Node: expr.Node{Typ: schemas.Type{Kind: k}, At: c.At}, Value: schemas.NewInt(k, c.Value.Int())}
}
