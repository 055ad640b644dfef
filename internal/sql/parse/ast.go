// Package parse turns SQL text in PostgreSQL's dialect into a syntax tree with
// positions, and refuses by name what the engine does not support.
package parse

import (
	"github.com/millrace/millrace/schemas"
)

// Statement is one parsed statement.
type Statement struct {
	Explain, Analyze bool
	Query            *Query
	// Shape is the statement with its literals left out; see Shape.
	Shape string
}

// Ident is a name as written (folded to lower case unless quoted), with its place.
type Ident struct {
	Name string
	At   schemas.Pos
}

// Query is SELECT, VALUES or a set operation, with its ORDER BY and LIMIT. Exactly one
// of Select, Values and Union is set.
type Query struct {
	With    []CTE
	Select  *Select
	Values  [][]Expr
	Union   *Union
	OrderBy []SortBy
	Limit   Expr // nil: none
	Offset  Expr
	At      schemas.Pos
}

// CTE is a WITH query.
type CTE struct {
	Name    Ident
	Columns []Ident
	Query   *Query
}

// Union is UNION [ALL].
type Union struct {
	All         bool
	Left, Right *Query
	At          schemas.Pos
}

// Select is the part of a query between SELECT and ORDER BY.
type Select struct {
	Distinct bool
	List     []Target
	From     []From
	Where    Expr
	GroupBy  []Expr
	Having   Expr
	At       schemas.Pos
}

// Target is one entry of a SELECT list. Star is * or, with Table, t.*.
type Target struct {
	Star  bool
	Table []Ident
	Expr  Expr
	Alias Ident // empty Name: none
	At    schemas.Pos
}

// SortBy is one entry of ORDER BY.
type SortBy struct {
	Expr       Expr
	Desc       bool
	NullsFirst bool // resolved to PostgreSQL's default
}

// From is an entry of FROM: *TableRef, *Derived or *Join.
type From interface{ from() }

// The entries of FROM.
type (
	// TableRef names a table or a CTE.
	TableRef struct {
		Schema  Ident // may be empty
		Name    Ident
		Alias   Ident
		Columns []Ident // AS alias (a, b)
	}
	// Derived is a subquery in FROM.
	Derived struct {
		Query   *Query
		Alias   Ident
		Columns []Ident
		At      schemas.Pos
	}
	// Join is an inner or cross join.
	Join struct {
		Left, Right From
		On          Expr    // nil: USING or cross
		Using       []Ident // nil: ON or cross
		At          schemas.Pos
	}
)

func (*TableRef) from() {}
func (*Derived) from()  {}
func (*Join) from()     {}

// Expr is an expression.
type Expr interface {
	// Pos is where PostgreSQL would point: a name's or literal's first letter, an
	// operator's symbol.
	Pos() schemas.Pos
}

type at schemas.Pos

// Pos implements Expr.
func (a at) Pos() schemas.Pos { return schemas.Pos(a) }

// LiteralKind tells literals apart.
type LiteralKind uint8

// The kinds of literal.
const (
	NullLiteral LiteralKind = iota
	BoolLiteral
	NumberLiteral
	StringLiteral
)

// The expressions.
type (
	// Literal is a constant as written; Text is "true", a number, a string's contents.
	Literal struct {
		at
		Kind LiteralKind
		Text string
	}
	// Column names a column: [schema.][table.]column.
	Column struct {
		at
		Parts []Ident
	}
	// Param is $Number.
	Param struct {
		at
		Number int
	}
	// Call is a function or aggregate call.
	Call struct {
		at
		Name     string
		Args     []Expr
		Star     bool
		Distinct bool
		Filter   Expr
	}
	// Op is an operator; Left is nil for a prefix operator.
	Op struct {
		at
		Name        string
		Left, Right Expr
	}
	// Cast is CAST(arg AS type), arg::type or type 'literal'.
	Cast struct {
		at
		Arg  Expr
		Type schemas.Type
	}
	// Logic is AND or OR of any number of arguments.
	Logic struct {
		at
		Or   bool
		Args []Expr
	}
	// Not negates.
	Not struct {
		at
		Arg Expr
	}
	// IsNull is IS [NOT] NULL.
	IsNull struct {
		at
		Arg    Expr
		Negate bool
	}
	// IsBool is IS [NOT] TRUE, FALSE or UNKNOWN.
	IsBool struct {
		at
		Arg    Expr
		Want   string // "true", "false", "unknown"
		Negate bool
	}
	// Distinct is IS [NOT] DISTINCT FROM.
	Distinct struct {
		at
		Left, Right Expr
		Negate      bool
	}
	// In is [NOT] IN (list).
	In struct {
		at
		Arg    Expr
		List   []Expr
		Negate bool
	}
	// Between is [NOT] BETWEEN [SYMMETRIC].
	Between struct {
		at
		Arg, Low, High    Expr
		Negate, Symmetric bool
	}
	// Like is [NOT] LIKE or ILIKE, with ESCAPE when it is not nil.
	Like struct {
		at
		Arg, Pattern, Escape Expr
		Fold, Negate         bool
	}
	// Case is either form of CASE; Arg is nil in the searched form.
	Case struct {
		at
		Arg   Expr
		Whens []When
		Else  Expr
	}
	// Coalesce is COALESCE.
	Coalesce struct {
		at
		Args []Expr
	}
	// NullIf is NULLIF.
	NullIf struct {
		at
		Left, Right Expr
	}
	// MinMax is GREATEST or LEAST.
	MinMax struct {
		at
		Least bool
		Args  []Expr
	}
	// Current is CURRENT_DATE, CURRENT_TIMESTAMP, LOCALTIME or LOCALTIMESTAMP, in
	// lower case.
	Current struct {
		at
		What string
	}
)

// When is an arm of CASE.
type When struct {
	Cond, Then Expr
}
