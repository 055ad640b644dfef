package parse

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

// unsupported makes the error for what PostgreSQL has and the engine does not.
func unsupported(what string, pos schemas.Pos) error {
	return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Pos: pos,
		Message: what + " not supported", Hint: "docs/SQL.md lists what is supported"}
}

func lexError(err error, pos schemas.Pos) error {
	return &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Message: err.Error(), Pos: pos}
}

// starters are the words that a mistyped word is compared with.
var starters = []string{"select", "from", "where", "group", "having", "order", "limit", "offset", "join", "on",
	"using", "union", "values", "with", "explain", "as", "and", "or", "not", "between", "like", "case", "when", "then", "end", "by", "in", "is"}

// syntaxError turns the grammar's "parse error at position N: syntax error", where N
// is the offset after the token that did not fit, into PostgreSQL's message.
func syntaxError(err error, tokens []token, skip int) error {
	e := &schemas.Error{Code: schemas.CodeSyntax, SQLState: "42601", Message: "syntax error at end of input"}
	rest, ok := strings.CutPrefix(err.Error(), "parse error at position ")
	offset, reason, ok2 := strings.Cut(rest, ": ")
	after, numErr := strconv.Atoi(offset)
	if !ok || !ok2 || numErr != nil {
		e.Message = err.Error()
		return e
	}
	i := len(tokens) - 1
	for i >= 0 && tokens[i].at.Offset >= after-skip {
		i--
	}
	if i < 0 || i == len(tokens)-1 && tokens[i].at.Offset+len(tokens[i].raw) < after-skip {
		e.Pos = endOf(tokens)
		return e
	}
	e.Pos = tokens[i].at
	e.Message = fmt.Sprintf("%s at or near %q", reason, shorten(tokens[i].raw))
	e.Hint = mistyped(tokens, i)
	return e
}

// mistyped looks for a misspelt keyword at the token that did not fit, or just before.
func mistyped(tokens []token, i int) string {
	for _, j := range []int{i, i - 1} {
		if j < 0 || tokens[j].class != name || len(tokens[j].value) < 3 {
			continue
		}
		if s := suggest.Nearest(tokens[j].value, starters); s != "" && len(s) > 2 {
			return fmt.Sprintf("did you mean %s instead of %s?", strings.ToUpper(s), shorten(tokens[j].raw))
		}
	}
	return ""
}

func endOf(tokens []token) schemas.Pos {
	if len(tokens) == 0 {
		return schemas.Pos{Line: 1, Column: 1}
	}
	last := tokens[len(tokens)-1]
	p := placer{sql: last.raw, line: last.at.Line, column: last.at.Column}
	pos := p.to(len(last.raw))
	pos.Offset = last.at.Offset + len(last.raw)
	return pos
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
