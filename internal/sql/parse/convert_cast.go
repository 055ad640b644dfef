package parse

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/schemas"
)

// cast converts CAST(x AS t), x::t and t 'literal', which the grammar makes alike.
func (c *converter) cast(n *ast.TypeCast) Expr {
	if lit, ok := n.Arg.(*ast.A_Const); ok && c.typeFirst(lit) {
		typ, pos := c.typeAt(n.TypeName)
		arg := c.constant(lit)
		c.intervalFields(n.TypeName, arg.(*Literal))
		return &Cast{at: at(pos), Arg: arg, Type: typ}
	}
	pos := schemas.Pos{}
	for i := c.next; i < c.ahead(); i++ {
		if c.tokens[i].is("cast") {
			pos = c.keyword("cast")
			break
		}
	}
	arg := c.expr(n.Arg)
	if c.peek().raw == "::" {
		pos = c.symbol("::")
	} else {
		c.keyword("as")
	}
	if !pos.Known() {
		pos = arg.Pos()
	}
	typ, _ := c.typeAt(n.TypeName)
	c.intervalFields(n.TypeName, nil)
	return &Cast{at: at(pos), Arg: arg, Type: typ}
}

// typeFirst says whether a cast of a string constant is written DATE '2024-01-01'.
func (c *converter) typeFirst(lit *ast.A_Const) bool {
	if _, isText := lit.Val.(*ast.String); lit.Isnull || !isText {
		return false
	}
	i := c.ahead()
	if i >= len(c.tokens) || c.tokens[i].class != text {
		return true // the name of a type, or its modifier
	}
	if i == 0 || !c.tokens[i-1].isTypeWord() {
		return false
	}
	// x AT TIME ZONE 'UTC'::text is not TIMESTAMP WITH TIME ZONE '…'
	return !c.tokens[i-1].is("zone") || i > 2 && !c.tokens[i-3].is("at")
}

func (t *token) isTypeWord() bool { return t.class == keyword && typeWords[t.value] }
