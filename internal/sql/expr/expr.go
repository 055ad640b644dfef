// Package expr defines bound expressions: typed trees over column ids that the
// binder makes, the planner rewrites and the executors run. It holds no behaviour
// beyond walking them.
package expr

import (
	"slices"

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

// Walk calls visit for e and, while it returns true, for everything below it.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, a := range Children(e) {
		Walk(a, visit)
	}
}

// Children lists the direct arguments.
func Children(e Expr) []Expr {
	switch e := e.(type) {
	case *Call:
		return e.Args
	case *Cast:
		return []Expr{e.Arg}
	case *And:
		return e.Args
	case *Or:
		return e.Args
	case *Not:
		return []Expr{e.Arg}
	case *IsNull:
		return []Expr{e.Arg}
	case *In:
		return []Expr{e.Arg}
	case *Coalesce:
		return e.Args
	case *Case:
		var out []Expr
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Then)
		}
		if e.Else != nil {
			out = append(out, e.Else)
		}
		return out
	case *Subquery:
		if e.Arg != nil {
			return []Expr{e.Arg}
		}
	}
	return nil
}

// Columns appends the ids of the columns that e reads, each once.
func Columns(dst []ColumnID, e Expr) []ColumnID {
	Walk(e, func(x Expr) bool {
		if c, ok := x.(*Column); ok {
			for _, id := range dst {
				if id == c.ID {
					return true
				}
			}
			dst = append(dst, c.ID)
		}
		return true
	})
	return dst
}

// Equal says whether two expressions are the same but for their positions, so that
// over the same row they give the same value. Subqueries are never equal.
func Equal(a, b Expr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if a.Type() != b.Type() || !sameNode(a, b) {
		return false
	}
	x, y := Children(a), Children(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// sameNode compares what two nodes hold besides type and children.
func sameNode(a, b Expr) bool {
	switch a := a.(type) {
	case *Const:
		b, ok := b.(*Const)
		return ok && a.Value == b.Value
	case *Column:
		b, ok := b.(*Column)
		return ok && a.ID == b.ID
	case *Param:
		b, ok := b.(*Param)
		return ok && a.Index == b.Index
	case *Call:
		b, ok := b.(*Call)
		return ok && (a.Func == b.Func || a.Func.Key() == b.Func.Key())
	case *Cast:
		_, ok := b.(*Cast)
		return ok
	case *And:
		_, ok := b.(*And)
		return ok
	case *Or:
		_, ok := b.(*Or)
		return ok
	case *Not:
		_, ok := b.(*Not)
		return ok
	case *IsNull:
		b, ok := b.(*IsNull)
		return ok && a.Negate == b.Negate
	case *In:
		b, ok := b.(*In)
		return ok && a.Negate == b.Negate && a.HasNull == b.HasNull && slices.Equal(a.List, b.List)
	case *Case:
		b, ok := b.(*Case)
		return ok && len(a.Whens) == len(b.Whens) && (a.Else == nil) == (b.Else == nil)
	case *Coalesce:
		_, ok := b.(*Coalesce)
		return ok
	}
	return false
}

// Map rebuilds e bottom-up: change gets each node with its arguments already changed
// and returns it or what replaces it. Nodes whose arguments stay are not copied.
func Map(e Expr, change func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	return change(MapChildren(e, func(x Expr) Expr { return Map(x, change) }))
}

// MapChildren rebuilds e over its changed arguments; e itself when none changed.
func MapChildren(e Expr, change func(Expr) Expr) Expr {
	switch x := e.(type) {
	case *Call:
		if args, ok := mapAll(x.Args, change); ok {
			return &Call{Node: x.Node, Func: x.Func, Args: args}
		}
	case *Cast:
		if a := change(x.Arg); a != x.Arg {
			return &Cast{Node: x.Node, Arg: a, Implicit: x.Implicit}
		}
	case *And:
		if args, ok := mapAll(x.Args, change); ok {
			return &And{Node: x.Node, Args: args}
		}
	case *Or:
		if args, ok := mapAll(x.Args, change); ok {
			return &Or{Node: x.Node, Args: args}
		}
	case *Not:
		if a := change(x.Arg); a != x.Arg {
			return &Not{Node: x.Node, Arg: a}
		}
	case *IsNull:
		if a := change(x.Arg); a != x.Arg {
			return &IsNull{Node: x.Node, Arg: a, Negate: x.Negate}
		}
	case *In:
		if a := change(x.Arg); a != x.Arg {
			c := *x
			c.Arg = a
			return &c
		}
	case *Coalesce:
		if args, ok := mapAll(x.Args, change); ok {
			return &Coalesce{Node: x.Node, Args: args}
		}
	case *Case:
		return mapCase(x, change)
	}
	return e
}

func mapAll(args []Expr, change func(Expr) Expr) ([]Expr, bool) {
	out, changed := make([]Expr, len(args)), false
	for i, a := range args {
		out[i] = change(a)
		changed = changed || out[i] != a
	}
	return out, changed
}

func mapCase(x *Case, change func(Expr) Expr) Expr {
	out, changed := &Case{Node: x.Node, Whens: make([]When, len(x.Whens))}, false
	for i, w := range x.Whens {
		out.Whens[i] = When{Cond: change(w.Cond), Then: change(w.Then)}
		changed = changed || out.Whens[i] != w
	}
	if x.Else != nil {
		out.Else = change(x.Else)
		changed = changed || out.Else != x.Else
	}
	if !changed {
		return x
	}
	return out
}
