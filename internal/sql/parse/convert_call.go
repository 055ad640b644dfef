package parse

import (
	"fmt"

	"github.com/multigres/multigres/go/common/parser/ast"
)

func functionName(n *ast.FuncCall) string {
	names := items(n.Funcname)
	if len(names) == 0 {
		return ""
	}
	s, _ := names[len(names)-1].(*ast.String)
	if s == nil {
		return ""
	}
	return s.SVal
}

// call converts a function call, and the special syntax that the grammar makes one of.
func (c *converter) call(n *ast.FuncCall) Expr {
	out := &Call{Name: functionName(n), Star: n.AggStar, Distinct: n.AggDistinct}
	names := items(n.Funcname)
	if len(names) == 2 && names[0].(*ast.String).SVal == "pg_catalog" && !c.aheadIs("pg_catalog") {
		return c.special(n, out)
	}
	for _, part := range names {
		id := c.name(part.(*ast.String).SVal)
		if out.at == (at{}) {
			out.at = at(id.At)
		}
	}
	if len(names) > 2 || len(names) == 2 && names[0].(*ast.String).SVal != "pg_catalog" {
		c.refuse("a function name with a schema is", out.Pos())
	}
	if n.AggStar {
		c.symbol("*")
	}
	if n.FuncVariadic {
		c.refuse("VARIADIC is", c.keyword("variadic"))
	}
	out.Args = c.exprs(n.Args)
	c.aggregateParts(n, out)
	return out
}

func (c *converter) aggregateParts(n *ast.FuncCall, out *Call) {
	if n.AggWithinGroup {
		c.refuse("WITHIN GROUP is", c.keyword("within"))
	}
	if len(items(n.AggOrder)) > 0 {
		c.refuse("ORDER BY in an aggregate is", c.keyword("order"))
	}
	if !isNil(n.AggFilter) {
		c.keyword("filter")
		out.Filter = c.expr(n.AggFilter)
	}
	if n.Over != nil {
		c.refuse("window functions (OVER) are", c.keyword("over"))
	}
}

// special converts EXTRACT, POSITION, SUBSTRING, TRIM, AT TIME ZONE and their like: the
// grammar reorders arguments, positions want the order of the text.
func (c *converter) special(n *ast.FuncCall, out *Call) Expr {
	args := items(n.Args)
	switch {
	case out.Name == "timezone" && len(args) == 2:
		value := c.expr(args[1])
		out.at = at(c.keyword("at"))
		out.Args = []Expr{c.expr(args[0]), value}
		return out
	case out.Name == "extract" && len(args) == 2:
		out.at = at(c.keyword("extract"))
		out.Args = []Expr{c.field(args[0]), c.expr(args[1])}
		return out
	case out.Name == "position" && len(args) == 2:
		out.at = at(c.keyword("position"))
		sub := c.expr(args[1])
		out.Args = []Expr{c.expr(args[0]), sub}
		return out
	case out.Name == "btrim" || out.Name == "ltrim" || out.Name == "rtrim":
		return c.trim(out, args)
	case out.Name == "substring":
		out.at = at(c.keyword("substring"))
		out.Args = c.exprs(n.Args)
		return out
	}
	c.refuse(fmt.Sprintf("the syntax for %s is", out.Name), c.peek().at)
	return nil
}

// trim converts TRIM([BOTH|LEADING|TRAILING] [chars] FROM s) and TRIM(s, chars).
func (c *converter) trim(out *Call, args []ast.Node) Expr {
	out.at = at(c.keyword("trim"))
	if len(args) == 2 && c.fromFollows() {
		chars := c.expr(args[1])
		c.keyword("from")
		out.Args = []Expr{c.expr(args[0]), chars}
		return out
	}
	for _, a := range args {
		out.Args = append(out.Args, c.expr(a))
	}
	return out
}

// fromFollows says whether a FROM stands within the parentheses just opened.
func (c *converter) fromFollows() bool {
	depth := 0
	for i := c.next; i < len(c.tokens); i++ {
		switch t := &c.tokens[i]; {
		case t.punct("("):
			depth++
		case t.punct(")"):
			if depth--; depth <= 0 {
				return false
			}
		case depth == 1 && t.is("from"):
			return true
		}
	}
	return false
}

// field converts the unit of EXTRACT, which is a name or a string.
func (c *converter) field(n ast.Node) Expr {
	s := ""
	switch v := n.(type) {
	case *ast.String:
		s = v.SVal
	case *ast.A_Const:
		if str, ok := v.Val.(*ast.String); ok {
			s = str.SVal
		}
	}
	pos := c.claim(func(t *token) bool { return t.class == name || t.class == keyword || t.class == text })
	return &Literal{at: at(pos), Kind: StringLiteral, Text: s}
}

func typeName(n any) string { return fmt.Sprintf("%T", n) }
