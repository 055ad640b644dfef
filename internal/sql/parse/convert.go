package parse

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/multigres/multigres/go/common/parser/ast"

	"github.com/millrace/millrace/schemas"
)

// converter turns the grammar's tree into ours, giving every node its position and
// refusing what is not supported: all refusals by name are here.
type converter struct {
	tokens []token
	next   int // first token not claimed
	missed int // tokens that should have been claimed and were not
}

// bail carries an error out of the recursion.
type bail struct{ err error }

func (c *converter) fail(err error) { panic(bail{err}) }

func (c *converter) refuse(what string, pos schemas.Pos) {
	if !pos.Known() {
		pos = c.here()
	}
	c.fail(unsupported(what, pos))
}

func (c *converter) statement(s ast.Stmt) (out *Statement, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case bail:
			out, err = nil, r.err
		default:
			panic(r)
		}
	}()
	switch s := s.(type) {
	case *ast.SelectStmt:
		return &Statement{Query: c.query(s)}, nil
	case *ast.ExplainStmt:
		return c.explain(s), nil
	}
	word := "this statement is"
	if len(c.tokens) > 0 {
		word = strings.ToUpper(c.tokens[0].value) + " statements are"
	}
	c.refuse(word, c.here())
	return nil, nil
}

// explain reads EXPLAIN's options: ANALYZE matters, what only changes the layout is
// accepted when it asks for what there is.
func (c *converter) explain(s *ast.ExplainStmt) *Statement {
	out := &Statement{Explain: true}
	c.keyword("explain")
	for _, n := range items(s.Options) {
		d, ok := n.(*ast.DefElem)
		if !ok {
			continue
		}
		value := defValue(d.Arg)
		on := value == "" || value == "on" || value == "true" || value == "1"
		switch d.Defname {
		case "analyze":
			out.Analyze = on
		case "costs", "verbose", "timing", "summary", "buffers", "settings", "wal":
		case "format":
			if value != "text" {
				c.refuse("EXPLAIN (FORMAT "+strings.ToUpper(value)+") is", schemas.Pos{})
			}
		default:
			c.refuse("EXPLAIN option "+strings.ToUpper(d.Defname)+" is", schemas.Pos{})
		}
	}
	q, ok := s.Query.(*ast.SelectStmt)
	if !ok {
		c.refuse("EXPLAIN of anything but SELECT is", schemas.Pos{})
	}
	for c.next < len(c.tokens) { // the options hold names: go behind them
		if t := &c.tokens[c.next]; t.is("select") || t.is("with") || t.is("values") || t.is("table") {
			break
		}
		c.next++
	}
	out.Query = c.query(q)
	return out
}

func defValue(n ast.Node) string {
	switch v := n.(type) {
	case *ast.String:
		return strings.ToLower(v.SVal)
	case *ast.Integer:
		return fmt.Sprint(v.IVal)
	case *ast.Boolean:
		return fmt.Sprint(v.BoolVal)
	}
	return ""
}

// query converts a SELECT, VALUES or set operation, in the order of the text.
func (c *converter) query(s *ast.SelectStmt) *Query {
	q := &Query{At: c.peek().at}
	if w := s.WithClause; w != nil {
		if w.Recursive {
			c.refuse("WITH RECURSIVE is", c.keyword("recursive"))
		}
		for _, n := range items(w.Ctes) {
			q.With = append(q.With, c.cte(n.(*ast.CommonTableExpr)))
		}
	}
	switch {
	case s.Op != ast.SETOP_NONE:
		q.Union = c.union(s)
	case s.ValuesLists != nil:
		q.Values = c.values(s.ValuesLists)
	default:
		q.Select = c.selectCore(s)
	}
	for _, n := range items(s.SortClause) {
		q.OrderBy = append(q.OrderBy, c.sortBy(n.(*ast.SortBy)))
	}
	c.limits(q, s)
	if len(items(s.LockingClause)) > 0 {
		c.refuse("FOR UPDATE and FOR SHARE are", c.keyword("for"))
	}
	return q
}

func (c *converter) cte(n *ast.CommonTableExpr) CTE {
	out := CTE{Name: c.name(n.Ctename), Columns: c.names(n.Aliascolnames)}
	if n.SearchClause != nil || n.CycleClause != nil {
		c.refuse("SEARCH and CYCLE are", schemas.Pos{})
	}
	q, ok := n.Ctequery.(*ast.SelectStmt)
	if !ok {
		c.refuse("data-modifying statements in WITH are", schemas.Pos{})
	}
	out.Query = c.query(q)
	return out
}

func (c *converter) union(s *ast.SelectStmt) *Union {
	u := &Union{All: s.All, Left: c.query(s.Larg)}
	u.At = c.keyword("union", "intersect", "except")
	switch s.Op {
	case ast.SETOP_INTERSECT:
		c.refuse("INTERSECT is", u.At)
	case ast.SETOP_EXCEPT:
		c.refuse("EXCEPT is", u.At)
	}
	u.Right = c.query(s.Rarg)
	return u
}

func (c *converter) values(lists *ast.NodeList) [][]Expr {
	c.keyword("values")
	var out [][]Expr
	for _, n := range lists.Items {
		out = append(out, c.exprs(n.(*ast.NodeList)))
	}
	return out
}

func (c *converter) selectCore(s *ast.SelectStmt) *Select {
	out := &Select{At: c.keyword("select", "table")}
	if c.next > 0 && c.tokens[c.next-1].is("table") { // TABLE t is SELECT * FROM t
		out.List = []Target{{Star: true, At: out.At}}
		s.TargetList = nil
	}
	if s.DistinctClause != nil {
		if on := items(s.DistinctClause); len(on) > 0 && !isNil(on[0]) {
			c.refuse("DISTINCT ON is", c.keyword("distinct"))
		}
		out.Distinct = true
	}
	if s.IntoClause != nil {
		c.refuse("SELECT INTO is", schemas.Pos{})
	}
	for _, n := range items(s.TargetList) {
		out.List = append(out.List, c.target(n.(*ast.ResTarget)))
	}
	for _, n := range items(s.FromClause) {
		out.From = append(out.From, c.from(n))
	}
	if !isNil(s.WhereClause) {
		out.Where = c.expr(s.WhereClause)
	}
	for _, n := range items(s.GroupClause) {
		if _, ok := n.(*ast.GroupingSet); ok {
			c.refuse("grouping sets (ROLLUP, CUBE, GROUPING SETS) are", c.peek().at)
		}
		out.GroupBy = append(out.GroupBy, c.expr(n))
	}
	if s.GroupDistinct {
		c.refuse("GROUP BY DISTINCT is", schemas.Pos{})
	}
	if !isNil(s.HavingClause) {
		out.Having = c.expr(s.HavingClause)
	}
	if len(items(s.WindowClause)) > 0 {
		c.refuse("the WINDOW clause is", c.keyword("window"))
	}
	return out
}

func (c *converter) target(n *ast.ResTarget) Target {
	t := Target{At: c.peek().at}
	if ref, ok := n.Val.(*ast.ColumnRef); ok {
		fields := items(ref.Fields)
		if _, star := fields[len(fields)-1].(*ast.A_Star); star {
			for _, f := range fields[:len(fields)-1] {
				t.Table = append(t.Table, c.name(f.(*ast.String).SVal))
			}
			t.Star, t.At = true, c.symbol("*")
			if len(t.Table) > 0 {
				t.At = t.Table[0].At
			}
			return t
		}
	}
	if len(items(n.Indirection)) > 0 {
		c.refuse("subscripts and field selection are", schemas.Pos{})
	}
	t.Expr = c.expr(n.Val)
	if n.Name != "" {
		t.Alias = c.name(n.Name)
	}
	return t
}

func (c *converter) sortBy(n *ast.SortBy) SortBy {
	out := SortBy{Expr: c.expr(n.Node), Desc: n.SortbyDir == ast.SORTBY_DESC}
	if n.SortbyDir == ast.SORTBY_USING {
		c.refuse("ORDER BY … USING is", schemas.Pos{})
	}
	out.NullsFirst = out.Desc
	if n.SortbyNulls != ast.SORTBY_NULLS_DEFAULT {
		out.NullsFirst = n.SortbyNulls == ast.SORTBY_NULLS_FIRST
	}
	return out
}

// limits converts LIMIT and OFFSET, which stand in either order.
func (c *converter) limits(q *Query, s *ast.SelectStmt) {
	count := func() {
		if isNil(s.LimitCount) {
			return
		}
		if s.LimitOption == ast.LIMIT_OPTION_WITH_TIES {
			c.refuse("FETCH … WITH TIES is", c.keyword("fetch"))
		}
		c.keyword("limit", "fetch")
		q.Limit = c.count(s.LimitCount)
	}
	offset := func() {
		if !isNil(s.LimitOffset) {
			c.keyword("offset")
			q.Offset = c.expr(s.LimitOffset)
		}
	}
	if !isNil(s.LimitOffset) && c.firstOf("limit", "fetch", "offset") == "offset" {
		offset()
		count()
		return
	}
	count()
	offset()
}

// count converts the argument of LIMIT or FETCH: nil for ALL, and a 1 that is not
// written in FETCH FIRST ROW ONLY.
func (c *converter) count(n ast.Node) Expr {
	k, ok := n.(*ast.A_Const)
	if ok && isNullConst(k) {
		c.keyword("all", "null")
		return nil
	}
	var one *ast.Integer
	if ok {
		one, ok = k.Val.(*ast.Integer)
	}
	if ok && c.next+1 < len(c.tokens) && (c.tokens[c.next+1].is("row") || c.tokens[c.next+1].is("rows")) && c.tokens[c.next].class == keyword {
		return &Literal{at: at(c.here()), Kind: NumberLiteral, Text: strconv.Itoa(one.IVal)}
	}
	return c.expr(n)
}

func items(l *ast.NodeList) []ast.Node {
	if l == nil {
		return nil
	}
	return l.Items
}

func (c *converter) names(l *ast.NodeList) []Ident {
	var out []Ident
	for _, n := range items(l) {
		if s, ok := n.(*ast.String); ok {
			out = append(out, c.name(s.SVal))
		}
	}
	return out
}

// isNil sees through the grammar's typed nils.
func isNil(n any) bool {
	if n == nil {
		return true
	}
	v := reflect.ValueOf(n)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
