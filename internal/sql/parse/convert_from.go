package parse

import (
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/schemas"
)

// from converts one entry of FROM.
func (c *converter) from(n ast.Node) From {
	switch n := n.(type) {
	case *ast.RangeVar:
		return c.table(n)
	case *ast.RangeSubselect:
		return c.derived(n)
	case *ast.JoinExpr:
		return c.join(n)
	case *ast.ParenExpr:
		return c.from(n.Expr)
	case *ast.RangeFunction:
		c.refuse("functions in FROM are", c.peek().at)
	case *ast.RangeTableSample:
		c.refuse("TABLESAMPLE is", c.peek().at)
	}
	c.refuse("this kind of table expression is", c.peek().at)
	return nil
}

func (c *converter) table(n *ast.RangeVar) From {
	out := &TableRef{}
	if n.CatalogName != "" {
		c.refuse("a database name before a table name is", c.name(n.CatalogName).At)
	}
	if n.SchemaName != "" {
		out.Schema = c.name(n.SchemaName)
	}
	out.Name = c.name(n.RelName)
	out.Alias, out.Columns = c.alias(n.Alias)
	return out
}

func (c *converter) derived(n *ast.RangeSubselect) From {
	out := &Derived{At: c.peek().at}
	if n.Lateral {
		c.refuse("LATERAL is", c.keyword("lateral"))
	}
	q, ok := n.Subquery.(*ast.SelectStmt)
	if !ok {
		c.refuse("this kind of subquery is", schemas.Pos{})
	}
	out.Query = c.query(q)
	out.Alias, out.Columns = c.alias(n.Alias)
	return out
}

func (c *converter) alias(a *ast.Alias) (Ident, []Ident) {
	if a == nil {
		return Ident{}, nil
	}
	return c.name(a.AliasName), c.names(a.ColNames)
}

func (c *converter) join(n *ast.JoinExpr) From {
	out := &Join{Left: c.from(n.Larg)}
	if n.IsNatural {
		c.refuse("NATURAL JOIN is", c.keyword("natural"))
	}
	if n.Jointype != ast.JOIN_INNER {
		c.refuse("outer joins are", c.keyword("left", "right", "full"))
	}
	out.At = c.keyword("join")
	out.Right = c.from(n.Rarg)
	out.Using = c.names(n.UsingClause)
	if !isNil(n.Quals) {
		out.On = c.expr(n.Quals)
	}
	if n.Alias != nil || n.JoinUsingAlias != nil {
		c.refuse("an alias of a join is", schemas.Pos{})
	}
	return out
}
