package rowexec

import (
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// like is LIKE (~~) and ILIKE (~~*), with backslash as the escape.
func like(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, pattern := a[0].Bytes(), a[1].Bytes()
	if f.Name == "~~*" {
		s, pattern = mapBytes(s, lowerByte), mapBytes(pattern, lowerByte)
	}
	ok, err := matches([]rune(s), []rune(pattern))
	return schemas.NewBool(ok), err
}

// matches tries every place of each % in turn. A trailing escape is an error only
// where the match gets to it, as in PostgreSQL.
func matches(s, p []rune) (bool, error) {
	for ; len(p) > 0; p = p[1:] {
		if p[0] == '%' {
			return matchesAnywhere(s, p)
		}
		if len(s) == 0 {
			return false, nil
		}
		want := p[0]
		if want == '\\' {
			if p = p[1:]; len(p) == 0 {
				return false, schemas.Errorf(schemas.CodeInvalid, "22025", "LIKE pattern must not end with escape character")
			}
			want = p[0]
		} else if want == '_' {
			want = s[0]
		}
		if s[0] != want {
			return false, nil
		}
		s = s[1:]
	}
	return len(s) == 0, nil
}

// matchesAnywhere matches a pattern that starts with a percent sign.
func matchesAnywhere(s, p []rune) (bool, error) {
	for len(p) > 0 && p[0] == '%' {
		p = p[1:]
	}
	if len(p) == 0 {
		return true, nil
	}
	if len(p) == 1 && p[0] == '\\' {
		return matches([]rune{' '}, p)
	}
	for i := 0; i <= len(s); i++ {
		if ok, err := matches(s[i:], p); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// likeEscape rewrites a pattern with another escape character to backslashes.
func likeEscape(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	escape := []rune(a[1].Bytes())
	if len(escape) > 1 {
		return schemas.Null, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22025", Message: "invalid escape string", Hint: "Escape string must be empty or one character."}
	}
	if len(escape) == 1 && escape[0] == '\\' {
		return a[0], nil
	}
	var out strings.Builder
	after := false
	for _, r := range a[0].Bytes() {
		switch {
		case len(escape) == 1 && r == escape[0] && !after:
			out.WriteByte('\\')
			after = true
			continue
		case r == '\\' && !after:
			out.WriteString(`\\`)
		default:
			out.WriteRune(r)
		}
		after = false
	}
	return text(out.String())
}
