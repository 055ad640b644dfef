package kernel

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// compiler turns expressions into nodes. Unbound, it only checks: parameters have no
// values then.
type compiler struct {
	input map[expr.ColumnID]int
	env   Env
	bound bool
	eval  *Eval
}

func (c *compiler) compile(x expr.Expr) (node, error) {
	switch x := x.(type) {
	case *expr.Const:
		return newConst(x.Typ, x.Value), nil
	case *expr.Param:
		return c.param(x)
	case *expr.Column:
		i, ok := c.input[x.ID]
		if !ok {
			return nil, internalf("column %s (id %d) is not in the input", x.Name, x.ID)
		}
		return &columnNode{col: i}, nil
	case *expr.Call:
		return c.call(x)
	case *expr.Cast:
		return c.cast(x)
	case *expr.And:
		return c.logic(x.Args, false)
	case *expr.Or:
		return c.logic(x.Args, true)
	case *expr.Not:
		arg, err := c.compile(x.Arg)
		return &notNode{arg: arg}, err
	case *expr.IsNull:
		arg, err := c.compile(x.Arg)
		return &isNullNode{arg: arg, negate: x.Negate}, err
	case *expr.In:
		return c.in(x)
	case *expr.Case:
		return c.caseOf(x)
	case *expr.Coalesce:
		return c.coalesce(x)
	case *expr.Subquery:
		return nil, unsupported(x.At, "a subquery inside an expression")
	}
	return nil, internalf("expression %T has no kernel", x)
}

func unsupported(at schemas.Pos, what string) error {
	return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Message: what + " is not supported", Pos: at}
}

func (c *compiler) all(xs []expr.Expr) ([]node, error) {
	out := make([]node, len(xs))
	for i, x := range xs {
		n, err := c.compile(x)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

func (c *compiler) param(x *expr.Param) (node, error) {
	if !c.bound {
		return newConst(x.Typ, schemas.Null), nil
	}
	if x.Index >= len(c.env.Params) {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "08P01", Pos: x.At,
			Message: "a parameter has no value", Hint: "pass as many values as the statement has parameters"}
	}
	return newConst(x.Typ, c.env.Params[x.Index]), nil
}

// frame makes a frame for rows of another one.
func (c *compiler) frame() *frame {
	f := &frame{}
	f.init(len(c.input))
	return f
}

type constNode struct{ vec *vector.Vector }

func newConst(t schemas.Type, x schemas.Value) *constNode { return &constNode{vec: Constant(t, x, 1)} }

func (n *constNode) safe() bool { return true }
func (n *constNode) eval(f *frame) (*vector.Vector, error) {
	n.vec.Len = f.n
	return n.vec, nil
}

type columnNode struct{ col int }

func (n *columnNode) safe() bool                            { return true }
func (n *columnNode) eval(f *frame) (*vector.Vector, error) { return f.load(n.col), nil }

// call compiles a function or operator by its key.
func (c *compiler) call(x *expr.Call) (node, error) {
	args, err := c.all(x.Args)
	if err != nil {
		return nil, err
	}
	impl, ok := find(x.Func)
	if !ok {
		return nil, &schemas.Error{Code: schemas.CodeUnknownFunc, SQLState: "42883", Pos: x.At, Message: "function " + x.Func.Key() + " has no implementation"}
	}
	run, err := impl.bind(c, x)
	if err != nil {
		return nil, err
	}
	n := &callNode{args: args, vecs: make([]*vector.Vector, len(args)), run: run, typ: x.Typ, at: x.At,
		strict: !x.Func.NullCall, infallible: impl.safe, owner: c.eval}
	n.perDict = impl.perValue && !x.Func.NullCall
	return n, nil
}
