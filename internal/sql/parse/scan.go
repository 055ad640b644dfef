package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/multigres/multigres/go/common/parser"

	"github.com/millrace/millrace/schemas"
)

// Limits of a statement. They keep every pass linear and every recursion shallow,
// whatever is sent.
const (
	// MaxLength of a statement, in bytes.
	MaxLength = 1 << 20
	// MaxNesting of parentheses, brackets and CASE.
	MaxNesting = 256
	// MaxOperators that may apply to each other's results. AND and OR do not count,
	// as their chains are flattened.
	MaxOperators = 4000
	// MaxChained joins, and set operations, of one statement.
	MaxChained = 500
)

// class is what a token is to us; the grammar knows more.
type class uint8

const (
	other    class = iota // punctuation
	name                  // identifier
	keyword               // any keyword; may be used as a name
	number                // numeric literal
	text                  // string literal
	param                 // $1
	operator              // symbol
)

// token is a lexical token with its place.
type token struct {
	class class
	value string // identifiers unquoted and folded, keywords in lower case, strings' contents
	raw   string // as written
	at    schemas.Pos
}

func (t *token) is(kw string) bool { return t.class == keyword && t.value == kw }

func (t *token) punct(s string) bool { return t.class == other && t.raw == s }

// scan checks that the text may be parsed at all and cuts it into tokens. skip is the
// length of a made-up beginning that positions do not count.
func scan(sql string, skip int) ([]token, error) {
	if len(sql)-skip > MaxLength {
		return nil, &schemas.Error{Code: schemas.CodeTooLarge, SQLState: "54000",
			Message: "the statement is too long: at most 1 MiB is accepted"}
	}
	p := placer{sql: sql, line: 1, column: 1}
	p.to(skip)
	p.line, p.column, p.base = 1, 1, skip
	if bad := firstInvalid(sql); bad >= 0 {
		return nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "22021", Pos: p.to(bad),
			Message: "the statement is not valid UTF-8, or holds a NUL byte"}
	}
	tokens, err := lex(sql, &p)
	if err != nil {
		return nil, err
	}
	return tokens, checkLimits(tokens)
}

// firstInvalid finds the first byte that is NUL or not UTF-8, or -1.
func firstInvalid(s string) int {
	for i := 0; i < len(s); {
		if s[i] == 0 {
			return i
		}
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// placer turns rising byte offsets into positions, in one pass over the text.
type placer struct {
	sql          string
	base         int // offset that counts as 0
	offset       int
	line, column int
}

func (p *placer) to(offset int) schemas.Pos {
	for p.offset < offset && p.offset < len(p.sql) {
		switch c := p.sql[p.offset]; {
		case c == '\n':
			p.line, p.column = p.line+1, 1
		case utf8.RuneStart(c):
			p.column++
		}
		p.offset++
	}
	return schemas.Pos{Offset: offset - p.base, Line: p.line, Column: p.column}
}

// lex cuts the text with the grammar's own lexer, so that both agree on what a token is.
func lex(sql string, p *placer) ([]token, error) {
	lexer := parser.NewLexer(sql)
	tokens := make([]token, 0, len(sql)/5+4)
	end := 0 // of the last token
	for {
		t := lexer.NextToken()
		if lexer.HasErrors() {
			return nil, lexError(lexer.GetErrors()[0], p.to(nextText(sql, end)))
		}
		if t == nil || t.Type <= 0 {
			return tokens, nil
		}
		if t.Position < end && len(tokens) > 0 || t.Position > len(sql) {
			return nil, &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Message: "syntax error", Pos: p.to(end)}
		}
		tokens = append(tokens, token{class: classify(t), value: t.Value.Str, raw: t.Text, at: p.to(t.Position)})
		end = t.Position + max(len(t.Text), 1)
	}
}

// nextText is the first offset from at that is no white space.
func nextText(sql string, at int) int {
	for at < len(sql) && strings.IndexByte(" \t\r\n\f\v", sql[at]) >= 0 {
		at++
	}
	return at
}

func classify(t *parser.Token) class {
	switch {
	case t.Value.Keyword != "":
		return keyword
	case t.Type == parser.IDENT || t.Type == parser.UIDENT:
		return name
	case t.Type == parser.ICONST || t.Type == parser.FCONST:
		return number
	case t.Type == parser.SCONST || t.Type == parser.USCONST || t.Type == parser.BCONST || t.Type == parser.XCONST:
		return text
	case t.Type == parser.PARAM:
		return param
	case strings.Trim(t.Text, "+-*/<>=~!@#%^&|`?:") == "" && t.Text != ":":
		return operator
	}
	return other
}

// clauses are the keywords that begin a new part of a statement.
var clauses = map[string]bool{"select": true, "from": true, "where": true, "group": true, "having": true,
	"order": true, "limit": true, "offset": true, "on": true, "when": true, "then": true, "else": true,
	"and": true, "or": true, "values": true}

// stacking are the keywords that nest as operators do.
var stacking = map[string]bool{"not": true, "is": true, "isnull": true, "notnull": true, "like": true, "ilike": true,
	"between": true, "in": true, "collate": true, "at": true, "join": true, "union": true, "intersect": true,
	"except": true, "distinct": true, "similar": true}

// checkLimits refuses what would nest too deeply. It counts operators since the last
// comma or clause, per level of brackets, and all open levels together; what stood in
// closed brackets goes on counting as an operand of what follows.
func checkLimits(tokens []token) error {
	runs, total := []int{0}, 0
	joins, setOps := 0, 0 // these chain across clauses
	for i := range tokens {
		t, top := &tokens[i], len(runs)-1
		switch {
		case t.punct("(") || t.punct("[") || t.is("case"):
			runs = append(runs, 0)
		case (t.punct(")") || t.punct("]") || t.is("end")) && top > 0:
			runs[top-1] += runs[top] + 1
			total++
			runs = runs[:top]
		case t.punct(",") || t.class == keyword && clauses[t.value]:
			total -= runs[top]
			runs[top] = 0
		case t.class == operator || t.class == keyword && stacking[t.value]:
			runs[top]++
			total++
		}
		if t.is("join") {
			joins++
		}
		if t.is("union") || t.is("intersect") || t.is("except") {
			setOps++
		}
		if len(runs) > MaxNesting || total > MaxOperators || joins > MaxChained || setOps > MaxChained {
			return &schemas.Error{Code: schemas.CodeTooLarge, SQLState: "54001", Pos: t.at,
				Message: "the statement is nested too deeply",
				Hint:    "split it into simpler statements"}
		}
	}
	return nil
}
