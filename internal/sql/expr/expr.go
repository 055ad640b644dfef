// Package expr defines bound expressions: typed trees over column ids that the
// binder makes, the planner rewrites and the executors run. It holds no behaviour
// beyond walking them.
package expr

import (
	"github.com/millrace/millrace/schemas"
)

// ColumnID names one column of one plan, globally unique within it: never a
// position, so that rewriting a plan does not renumber anything.
type ColumnID uint32

// Expr is a bound expression. Every function and operator is resolved to a
// signature and every implicit cast is explicit.
type Expr interface {
	// Type of the result.
	Type() schemas.Type
	// Pos is where the expression stands in the statement; zero for made ones.
	Pos() schemas.Pos
}

// Node carries what all expressions have.
type Node struct {
	Typ schemas.Type
	At  schemas.Pos
}

// Type implements Expr.
func (n *Node) Type() schemas.Type { return n.Typ }

// Pos implements Expr.
func (n *Node) Pos() schemas.Pos { return n.At }

// The expressions. AND, OR, CASE and COALESCE evaluate an argument only for the rows
// that still need it, so that an excluded row never raises an error.
type (
	// Const is a literal; NULL has the type it is used as.
	Const struct {
		Node
		Value schemas.Value
	}
	// Column reads a column of the input.
	Column struct {
		Node
		ID   ColumnID
		Name string // for people
	}
	// Param is a statement parameter, $1 is Index 0.
	Param struct {
		Node
		Index int
	}
	// Call applies a scalar function or operator. Func.Key finds its kernel.
	Call struct {
		Node
		Func *Func
		Args []Expr
	}
	// Cast converts; Implicit is for display only.
	Cast struct {
		Node
		Arg      Expr
		Implicit bool
	}
	// And and Or are n-ary with three-valued logic.
	And struct {
		Node
		Args []Expr
	}
	Or struct {
		Node
		Args []Expr
	}
	Not struct {
		Node
		Arg Expr
	}
	// IsNull tests for NULL; Negate is IS NOT NULL.
	IsNull struct {
		Node
		Arg    Expr
		Negate bool
	}
	// In tests membership in a list of constants of Arg's type (no NULLs; HasNull
	// tells that the list held one).
	In struct {
		Node
		Arg     Expr
		List    []schemas.Value
		HasNull bool
		Negate  bool
	}
	// Case is the searched form; Else may be nil (NULL).
	Case struct {
		Node
		Whens []When
		Else  Expr
	}
	// Coalesce returns the first argument that is not NULL.
	Coalesce struct {
		Node
		Args []Expr
	}
	// Subquery stands for a plan inside an expression until the decorrelation pass
	// removes it. Plan is a plan.Node (held as any to keep imports downward).
	Subquery struct {
		Node
		Kind SubqueryKind
		Plan any
		Arg  Expr // left side of IN, ANY, ALL
		Op   *Func
	}
)

// When is one arm of a Case.
type When struct {
	Cond, Then Expr
}

// SubqueryKind is how a subquery's rows become a value.
type SubqueryKind uint8

// The kinds of subquery.
const (
	Scalar SubqueryKind = iota
	Exists
	Any // with Op; IN is Any with =
	All
)

// Func is a signature of a scalar function or operator.
type Func struct {
	// Name as PostgreSQL has it: "+", "=", "lower".
	Name string
	Args []schemas.Kind
	// Variadic says that the last kind may repeat.
	Variadic bool
	Result   schemas.Kind
	// Volatility: an Immutable function may be folded, a Stable one is the same
	// within a statement, a Volatile one is refused in transforms.
	Volatility Volatility
	// NullCall says that the function is called with NULLs; otherwise a NULL
	// argument makes a NULL result without a call.
	NullCall bool
}

// Volatility of a function.
type Volatility uint8

// The volatilities.
const (
	Immutable Volatility = iota
	Stable
	Volatile
)

// Key is the signature as text, "+(bigint,bigint)", by which executors find the
// implementation.
func (f *Func) Key() string {
	s := f.Name + "("
	for i, k := range f.Args {
		if i > 0 {
			s += ","
		}
		s += k.String()
	}
	if f.Variadic {
		s += "..."
	}
	return s + ")"
}
