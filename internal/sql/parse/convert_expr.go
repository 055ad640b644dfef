package parse

import (
	"strconv"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/schemas"
)

func (c *converter) exprs(l *ast.NodeList) []Expr {
	var out []Expr
	for _, n := range items(l) {
		out = append(out, c.expr(n))
	}
	return out
}

// expr converts an expression.
func (c *converter) expr(n ast.Node) Expr {
	switch n := n.(type) {
	case *ast.ParenExpr:
		return c.expr(n.Expr)
	case *ast.ColumnRef:
		return c.column(n)
	case *ast.A_Const:
		return c.constant(n)
	case *ast.ParamRef:
		return &Param{at: at(c.class(param)), Number: n.Number}
	case *ast.TypeCast:
		return c.cast(n)
	case *ast.A_Expr:
		return c.operator(n)
	case *ast.BoolExpr:
		return c.logic(n)
	case *ast.NullTest:
		out := &IsNull{Arg: c.expr(n.Arg), Negate: n.Nulltesttype == ast.IS_NOT_NULL}
		out.at = at(c.keyword("is", "isnull", "notnull"))
		return out
	case *ast.BooleanTest:
		return c.booleanTest(n)
	case *ast.FuncCall:
		return c.call(n)
	case *ast.CaseExpr:
		return c.caseExpr(n)
	case *ast.CoalesceExpr:
		pos := c.keyword("coalesce")
		return &Coalesce{at: at(pos), Args: c.exprs(n.Args)}
	case *ast.MinMaxExpr:
		pos := c.keyword("greatest", "least")
		return &MinMax{at: at(pos), Least: n.Op == ast.IS_LEAST, Args: c.exprs(n.Args)}
	case *ast.SQLValueFunction:
		return c.current(n)
	}
	c.refuseExpr(n)
	return nil
}

// refuseExpr names what is not supported.
func (c *converter) refuseExpr(n ast.Node) {
	switch n := n.(type) {
	case *ast.SubLink:
		if !isNil(n.Testexpr) {
			c.expr(n.Testexpr)
		}
		c.refuse("subqueries in expressions are", c.keyword("exists", "any", "some", "all", "in", "select", "values", "with", "array"))
	case *ast.ArrayExpr, *ast.A_ArrayExpr:
		c.refuse("arrays are", c.keyword("array"))
	case *ast.RowExpr:
		c.refuse("row values are", schemas.Pos{})
	case *ast.A_Indirection:
		c.refuse("subscripts and field selection are", schemas.Pos{})
	case *ast.CollateClause:
		c.expr(n.Arg)
		c.refuse("COLLATE is", c.keyword("collate"))
	case *ast.GroupingFunc:
		c.refuse("GROUPING is", c.keyword("grouping"))
	case *ast.NamedArgExpr:
		c.refuse("named arguments are", schemas.Pos{})
	case *ast.SetToDefault:
		c.refuse("DEFAULT is", c.keyword("default"))
	case *ast.XmlExpr:
		c.refuse("XML is", schemas.Pos{})
	}
	name := strings.TrimPrefix(strings.TrimPrefix(typeName(n), "*ast."), "Json")
	c.refuse("this expression ("+name+") is", schemas.Pos{})
}

func (c *converter) column(n *ast.ColumnRef) Expr {
	out := &Column{}
	for _, f := range items(n.Fields) {
		switch f := f.(type) {
		case *ast.String:
			out.Parts = append(out.Parts, c.name(f.SVal))
		case *ast.A_Star:
			c.refuse("* as a row value is", c.symbol("*"))
		default:
			c.refuse("subscripts are", schemas.Pos{})
		}
	}
	if len(out.Parts) > 3 {
		c.refuse("a column name of more than three parts is", out.Parts[0].At)
	}
	out.at = at(out.Parts[0].At)
	return out
}

func (c *converter) constant(n *ast.A_Const) Expr {
	if isNullConst(n) {
		return &Literal{at: at(c.keyword("null")), Kind: NullLiteral}
	}
	switch v := n.Val.(type) {
	case *ast.Integer:
		return c.number(strconv.Itoa(v.IVal))
	case *ast.Float:
		return c.number(v.FVal)
	case *ast.String:
		return &Literal{at: at(c.class(text)), Kind: StringLiteral, Text: v.SVal}
	case *ast.Boolean:
		word := "false"
		if v.BoolVal {
			word = "true"
		}
		return &Literal{at: at(c.keyword(word)), Kind: BoolLiteral, Text: word}
	}
	c.refuse("bit string literals are", c.class(text))
	return nil
}

func isNullConst(n *ast.A_Const) bool {
	_, null := n.Val.(*ast.Null)
	return n.Isnull || null
}

// number makes a numeric literal. Its value is the grammar's: tokens only tell the place.
// The grammar has already added the sign in some places, such as after BETWEEN.
func (c *converter) number(value string) Expr {
	if strings.HasPrefix(value, "-") {
		pos := c.symbol("-")
		c.class(number)
		return &Literal{at: at(pos), Kind: NumberLiteral, Text: value}
	}
	return &Literal{at: at(c.class(number)), Kind: NumberLiteral, Text: value}
}

// operator converts everything that the grammar makes an A_Expr of.
func (c *converter) operator(n *ast.A_Expr) Expr {
	switch n.Kind {
	case ast.AEXPR_OP:
		return c.plainOperator(n)
	case ast.AEXPR_DISTINCT, ast.AEXPR_NOT_DISTINCT:
		out := &Distinct{Left: c.expr(n.Lexpr), Negate: n.Kind == ast.AEXPR_NOT_DISTINCT}
		out.at = at(c.keyword("is"))
		out.Right = c.expr(n.Rexpr)
		return out
	case ast.AEXPR_NULLIF:
		pos := c.keyword("nullif")
		return &NullIf{at: at(pos), Left: c.expr(n.Lexpr), Right: c.expr(n.Rexpr)}
	case ast.AEXPR_IN:
		out := &In{Arg: c.expr(n.Lexpr), Negate: operatorName(n) == "<>"}
		out.at = at(c.keyword("in"))
		list, ok := n.Rexpr.(*ast.NodeList)
		if !ok {
			c.refuse("this form of IN is", schemas.Pos{})
		}
		out.List = c.exprs(list)
		return out
	case ast.AEXPR_LIKE, ast.AEXPR_ILIKE:
		return c.like(n)
	case ast.AEXPR_BETWEEN, ast.AEXPR_NOT_BETWEEN, ast.AEXPR_BETWEEN_SYM, ast.AEXPR_NOT_BETWEEN_SYM:
		out := &Between{Arg: c.expr(n.Lexpr)}
		out.at = at(c.keyword("between"))
		out.Negate = n.Kind == ast.AEXPR_NOT_BETWEEN || n.Kind == ast.AEXPR_NOT_BETWEEN_SYM
		out.Symmetric = n.Kind == ast.AEXPR_BETWEEN_SYM || n.Kind == ast.AEXPR_NOT_BETWEEN_SYM
		bounds := items(n.Rexpr.(*ast.NodeList))
		out.Low, out.High = c.expr(bounds[0]), c.expr(bounds[1])
		return out
	case ast.AEXPR_SIMILAR:
		c.expr(n.Lexpr)
		c.refuse("SIMILAR TO is", c.keyword("similar"))
	}
	c.expr(n.Lexpr)
	c.refuse("ANY and ALL over arrays are", c.keyword("any", "some", "all"))
	return nil
}

func (c *converter) plainOperator(n *ast.A_Expr) Expr {
	out := &Op{Name: operatorName(n)}
	if !isNil(n.Lexpr) {
		out.Left = c.expr(n.Lexpr)
	}
	if len(items(n.Name)) > 1 {
		c.refuse("OPERATOR(schema.name) is", c.keyword("operator"))
	}
	out.at = at(c.symbol(out.Name))
	if isNil(n.Rexpr) {
		c.refuse("postfix operators are", out.Pos())
	}
	out.Right = c.expr(n.Rexpr)
	if lit, ok := out.Right.(*Literal); ok && out.Left == nil && out.Name == "-" && lit.Kind == NumberLiteral && !strings.HasPrefix(lit.Text, "-") {
		return &Literal{at: out.at, Kind: NumberLiteral, Text: "-" + lit.Text} // so that -9223372036854775808 is a bigint
	}
	return out
}

func operatorName(n *ast.A_Expr) string {
	names := items(n.Name)
	if len(names) == 0 {
		return ""
	}
	s, _ := names[len(names)-1].(*ast.String)
	if s == nil {
		return ""
	}
	return s.SVal
}

func (c *converter) like(n *ast.A_Expr) Expr {
	out := &Like{Arg: c.expr(n.Lexpr), Fold: n.Kind == ast.AEXPR_ILIKE, Negate: strings.HasPrefix(operatorName(n), "!")}
	out.at = at(c.keyword("like", "ilike"))
	if call, ok := n.Rexpr.(*ast.FuncCall); ok && !c.aheadIs("pg_catalog") && functionName(call) == "like_escape" {
		args := items(call.Args)
		out.Pattern = c.expr(args[0])
		out.Escape = c.expr(args[1])
		return out
	}
	out.Pattern = c.expr(n.Rexpr)
	return out
}

// logic flattens chains of the same connective, without recursion along the chain.
func (c *converter) logic(n *ast.BoolExpr) Expr {
	if n.Boolop == ast.NOT_EXPR {
		pos := c.keyword("not")
		return &Not{at: at(pos), Arg: c.expr(items(n.Args)[0])}
	}
	var chain []ast.Node // the arguments, last first
	left := ast.Node(n)
	for {
		b, ok := left.(*ast.BoolExpr)
		if !ok || b.Boolop != n.Boolop {
			break
		}
		args := items(b.Args)
		for i := len(args) - 1; i > 0; i-- {
			chain = append(chain, args[i])
		}
		left = args[0]
	}
	chain = append(chain, left)
	out := &Logic{at: at(c.peek().at), Or: n.Boolop == ast.OR_EXPR}
	for i := len(chain) - 1; i >= 0; i-- {
		out.Args = append(out.Args, c.expr(chain[i]))
	}
	return out
}

func (c *converter) booleanTest(n *ast.BooleanTest) Expr {
	out := &IsBool{Arg: c.expr(n.Arg)}
	out.at = at(c.keyword("is"))
	switch n.Booltesttype {
	case ast.IS_TRUE, ast.IS_NOT_TRUE:
		out.Want = "true"
	case ast.IS_FALSE, ast.IS_NOT_FALSE:
		out.Want = "false"
	default:
		out.Want = "unknown"
	}
	out.Negate = n.Booltesttype == ast.IS_NOT_TRUE || n.Booltesttype == ast.IS_NOT_FALSE || n.Booltesttype == ast.IS_NOT_UNKNOWN
	return out
}

func (c *converter) caseExpr(n *ast.CaseExpr) Expr {
	out := &Case{at: at(c.keyword("case"))}
	if !isNil(n.Arg) {
		out.Arg = c.expr(n.Arg)
	}
	for _, w := range items(n.Args) {
		when := w.(*ast.CaseWhen)
		out.Whens = append(out.Whens, When{Cond: c.expr(when.Expr), Then: c.expr(when.Result)})
	}
	if !isNil(n.Defresult) {
		out.Else = c.expr(n.Defresult)
	}
	return out
}

// currents are the value functions that there are.
var currents = map[ast.SQLValueFunctionOp]string{
	ast.SVFOP_CURRENT_DATE:      "current_date",
	ast.SVFOP_CURRENT_TIMESTAMP: "current_timestamp",
	ast.SVFOP_LOCALTIME:         "localtime",
	ast.SVFOP_LOCALTIMESTAMP:    "localtimestamp",
}

func (c *converter) current(n *ast.SQLValueFunction) Expr {
	what, ok := currents[n.Op]
	if !ok {
		t := c.peek()
		what := strings.ToUpper(t.raw)
		if strings.HasPrefix(t.value, "current_time") || strings.HasPrefix(t.value, "local") {
			what += " (with this type or precision)"
		}
		c.refuse(what+" is", t.at)
	}
	return &Current{at: at(c.keyword(what)), What: what}
}
