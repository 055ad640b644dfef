// Package plan defines logical plans: a DAG of relational operators over columns
// with globally unique ids. The binder makes them, rewrite passes change them, the
// executor runs them, EXPLAIN prints them.
package plan

import (
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// Column is an output column of an operator.
type Column struct {
	ID   expr.ColumnID
	Name string
	Type schemas.Type
	// NotNull says that the column is known to hold no NULL.
	NotNull bool
}

// Node is an operator.
type Node interface {
	// Columns are the output columns, in order.
	Columns() []Column
	// Inputs are the operators it reads.
	Inputs() []Node
}

// Statement is a bound statement.
type Statement struct {
	Root Node
	// Params are the types of $1, $2, …
	Params []schemas.Type
	// Explain is set for EXPLAIN, Analyze for EXPLAIN ANALYZE.
	Explain, Analyze bool
	// Shape identifies the statement with its literals left out, as text for
	// people: "SELECT count(*) FROM orders WHERE id = ?".
	Shape string
}

// Named is an expression with the column it makes.
type Named struct {
	Column Column
	Expr   expr.Expr
}

// The operators.
type (
	// Scan reads a table. Out[i] is column Ordinals[i] of the table. Filter, when
	// not nil, was pushed down; Bounds follow from it.
	Scan struct {
		Table    catalog.Table
		Alias    string
		Out      []Column
		Ordinals []int
		Filter   expr.Expr
		Bounds   []catalog.Bound
	}
	// Values is rows of constant expressions; one row of none for SELECT 1.
	Values struct {
		Out  []Column
		Rows [][]expr.Expr
	}
	// Filter keeps the rows for which Cond is true.
	Filter struct {
		Input Node
		Cond  expr.Expr
	}
	// Project computes columns; a plain Column expression passes one on.
	Project struct {
		Input Node
		Exprs []Named
	}
	// Aggregate groups by GroupBy (all rows are one group when it is empty and Sets
	// is nil) and computes Aggs. Sets, when not nil, are grouping sets as
	// indexes into GroupBy.
	Aggregate struct {
		Input   Node
		GroupBy []Named
		Aggs    []Agg
		Sets    [][]int
	}
	// Sort orders rows; Limit, when not negative, is how many the consumer wants.
	Sort struct {
		Input Node
		Keys  []SortKey
		Limit int64
	}
	// Limit skips Offset rows and passes Count (negative: all). Expressions are
	// constants or parameters.
	Limit struct {
		Input         Node
		Count, Offset expr.Expr
	}
	// Join combines two inputs. Keys are pairs that must be equal (left side,
	// right side); Cond is the rest of the condition.
	Join struct {
		Kind        JoinKind
		Left, Right Node
		Keys        []JoinKey
		Cond        expr.Expr
	}
	// Apply is the dependent join: Right may read Left's columns. The
	// decorrelation pass removes it.
	Apply struct {
		Kind        JoinKind
		Left, Right Node
		Cond        expr.Expr
	}
	// Distinct removes duplicate rows; On, when not empty, is DISTINCT ON.
	Distinct struct {
		Input Node
		On    []expr.ColumnID
	}
	// SetOp is UNION, INTERSECT or EXCEPT. Out[i] is made of column i of each side.
	SetOp struct {
		Kind        SetOpKind
		All         bool
		Left, Right Node
		Out         []Column
	}
	// Window computes window functions over partitions.
	Window struct {
		Input Node
		Funcs []WindowFunc
	}
	// CTE shares Def among the CTERefs to it below Body.
	CTE struct {
		ID        int
		Name      string
		Def, Body Node
	}
	// CTERef reads a CTE; Out[i] renames column i of its definition.
	CTERef struct {
		ID  int
		Out []Column
	}
	// RecursiveUnion is WITH RECURSIVE: Step reads the rows of the last round
	// through CTERef ID.
	RecursiveUnion struct {
		ID         int
		All        bool
		Init, Step Node
		Out        []Column
	}
)

// Agg is one aggregate.
type Agg struct {
	Column   Column
	Func     *AggFunc
	Args     []expr.Expr // empty for count(*)
	Distinct bool
	Filter   expr.Expr
	OrderBy  []SortKey
	At       schemas.Pos
}

// AggFunc is a signature of an aggregate function: count, sum, avg, min, max, …
type AggFunc struct {
	Name   string
	Args   []schemas.Kind
	Result schemas.Kind
}

// SortKey is one key of an ordering. PostgreSQL's default is NULLS LAST when
// ascending, FIRST when descending; NullsFirst is always resolved here.
type SortKey struct {
	Expr       expr.Expr
	Desc       bool
	NullsFirst bool
}

// JoinKey is a pair of expressions that must be equal; both have the same kind.
type JoinKey struct {
	Left, Right expr.Expr
}

// JoinKind says which rows a join keeps.
type JoinKind uint8

// The kinds of join.
const (
	Inner JoinKind = iota
	LeftOuter
	RightOuter
	FullOuter
	Semi
	Anti
	Cross
)

// SetOpKind is a set operation.
type SetOpKind uint8

// The set operations.
const (
	Union SetOpKind = iota
	Intersect
	Except
)

// WindowFunc is one window function over one window.
type WindowFunc struct {
	Column      Column
	Name        string
	Args        []expr.Expr
	PartitionBy []expr.Expr
	OrderBy     []SortKey
	At          schemas.Pos
}

func columnsOf(named []Named) []Column {
	out := make([]Column, len(named))
	for i := range named {
		out[i] = named[i].Column
	}
	return out
}

// Columns and Inputs implement Node.
func (n *Scan) Columns() []Column    { return n.Out }
func (n *Scan) Inputs() []Node       { return nil }
func (n *Values) Columns() []Column  { return n.Out }
func (n *Values) Inputs() []Node     { return nil }
func (n *Filter) Columns() []Column  { return n.Input.Columns() }
func (n *Filter) Inputs() []Node     { return []Node{n.Input} }
func (n *Project) Columns() []Column { return columnsOf(n.Exprs) }
func (n *Project) Inputs() []Node    { return []Node{n.Input} }
func (n *Aggregate) Columns() []Column {
	out := columnsOf(n.GroupBy)
	for i := range n.Aggs {
		out = append(out, n.Aggs[i].Column)
	}
	return out
}
func (n *Aggregate) Inputs() []Node { return []Node{n.Input} }
func (n *Sort) Columns() []Column   { return n.Input.Columns() }
func (n *Sort) Inputs() []Node      { return []Node{n.Input} }
func (n *Limit) Columns() []Column  { return n.Input.Columns() }
func (n *Limit) Inputs() []Node     { return []Node{n.Input} }
func (n *Join) Columns() []Column   { return joined(n.Kind, n.Left, n.Right) }
func (n *Join) Inputs() []Node      { return []Node{n.Left, n.Right} }
func (n *Apply) Columns() []Column  { return joined(n.Kind, n.Left, n.Right) }
func (n *Apply) Inputs() []Node     { return []Node{n.Left, n.Right} }

func joined(k JoinKind, left, right Node) []Column {
	out := append([]Column(nil), left.Columns()...)
	if k != Semi && k != Anti {
		out = append(out, right.Columns()...)
	}
	return out
}

func (n *Distinct) Columns() []Column { return n.Input.Columns() }
func (n *Distinct) Inputs() []Node    { return []Node{n.Input} }
func (n *SetOp) Columns() []Column    { return n.Out }
func (n *SetOp) Inputs() []Node       { return []Node{n.Left, n.Right} }
func (n *Window) Columns() []Column {
	out := append([]Column(nil), n.Input.Columns()...)
	for i := range n.Funcs {
		out = append(out, n.Funcs[i].Column)
	}
	return out
}
func (n *Window) Inputs() []Node            { return []Node{n.Input} }
func (n *CTE) Columns() []Column            { return n.Body.Columns() }
func (n *CTE) Inputs() []Node               { return []Node{n.Def, n.Body} }
func (n *CTERef) Columns() []Column         { return n.Out }
func (n *CTERef) Inputs() []Node            { return nil }
func (n *RecursiveUnion) Columns() []Column { return n.Out }
func (n *RecursiveUnion) Inputs() []Node    { return []Node{n.Init, n.Step} }

// MapInputs returns n over changed inputs; n itself when none changed.
func MapInputs(n Node, change func(Node) Node) Node {
	in := n.Inputs()
	out, changed := make([]Node, len(in)), false
	for i := range in {
		out[i] = change(in[i])
		changed = changed || out[i] != in[i]
	}
	if !changed {
		return n
	}
	return withInputs(n, out)
}

// withInputs copies n with other inputs.
func withInputs(n Node, in []Node) Node {
	switch n := n.(type) {
	case *Filter:
		c := *n
		c.Input = in[0]
		return &c
	case *Project:
		c := *n
		c.Input = in[0]
		return &c
	case *Aggregate:
		c := *n
		c.Input = in[0]
		return &c
	case *Sort:
		c := *n
		c.Input = in[0]
		return &c
	case *Limit:
		c := *n
		c.Input = in[0]
		return &c
	case *Distinct:
		c := *n
		c.Input = in[0]
		return &c
	case *Window:
		c := *n
		c.Input = in[0]
		return &c
	case *Join:
		c := *n
		c.Left, c.Right = in[0], in[1]
		return &c
	case *Apply:
		c := *n
		c.Left, c.Right = in[0], in[1]
		return &c
	case *SetOp:
		c := *n
		c.Left, c.Right = in[0], in[1]
		return &c
	case *CTE:
		c := *n
		c.Def, c.Body = in[0], in[1]
		return &c
	case *RecursiveUnion:
		c := *n
		c.Init, c.Step = in[0], in[1]
		return &c
	}
	return n
}
