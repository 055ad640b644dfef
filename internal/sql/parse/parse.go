package parse

import (
	"fmt"

	"github.com/multigres/multigres/go/common/parser"
	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/schemas"
)

// Parse parses exactly one statement: SELECT, VALUES, or EXPLAIN of one. Errors are
// *schemas.Error with a position.
func Parse(sql string) (*Statement, error) {
	c, stmt, err := parseOne(sql, 0)
	if err != nil {
		return nil, err
	}
	out, err := c.statement(stmt)
	if err != nil {
		return nil, err
	}
	out.Shape = shape(c.tokens)
	return out, nil
}

// listPrefix makes a statement of a bare SELECT list or expression.
const listPrefix = "SELECT "

// ParseList parses what may stand between SELECT and FROM, and nothing more.
func ParseList(list string) ([]Target, error) {
	c, stmt, err := parseOne(listPrefix+list, len(listPrefix))
	if err != nil {
		return nil, err
	}
	out, err := c.statement(stmt)
	if err != nil {
		return nil, err
	}
	q := out.Query
	if s := q.Select; s == nil || s.Distinct || s.From != nil || s.Where != nil || s.GroupBy != nil || s.Having != nil ||
		q.OrderBy != nil || q.Limit != nil || q.Offset != nil || out.Explain {
		return nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Pos: c.firstClause(),
			Message: "only a list of expressions is allowed here",
			Hint:    "write the part between SELECT and FROM: id, lower(email) AS email"}
	}
	if len(q.Select.List) == 0 {
		return nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Pos: schemas.Pos{Line: 1, Column: 1},
			Message: "the list of expressions is empty"}
	}
	return q.Select.List, nil
}

// ParseExpr parses one expression.
func ParseExpr(text string) (Expr, error) {
	list, err := ParseList(text)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 || list[0].Star || list[0].Alias.Name != "" {
		return nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Pos: list[len(list)-1].At,
			Message: "exactly one expression without a name is allowed here"}
	}
	return list[0].Expr, nil
}

// parseOne scans and parses one statement, of which the first skip bytes are made up.
func parseOne(sql string, skip int) (c *converter, stmt ast.Stmt, err error) {
	tokens, err := scan(sql, skip)
	if err != nil {
		return nil, nil, err
	}
	stmts, err := grammar(sql + " ") // so that the end of the text is not the end of its last token
	if err != nil {
		return nil, nil, syntaxError(err, tokens, skip)
	}
	var found []ast.Stmt
	for _, s := range stmts {
		if s != nil {
			found = append(found, s)
		}
	}
	switch c = (&converter{tokens: tokens}); len(found) {
	case 0:
		return nil, nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Message: "there is no statement",
			Pos: schemas.Pos{Line: 1, Column: 1}}
	case 1:
		return c, found[0], nil
	}
	return nil, nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Pos: c.afterSemicolon(),
		Message: "only one statement is allowed at a time"}
}

// grammar calls the parser. It is code that we do not own and that sees hostile
// text: a panic in it is an error of this statement (I9).
func grammar(sql string) (stmts []ast.Stmt, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser gave up on this statement: %v", r)
		}
	}()
	return parser.ParseSQL(sql)
}
