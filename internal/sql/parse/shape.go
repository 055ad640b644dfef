package parse

import (
	"hash/fnv"
	"strings"
)

// maxShape bounds a shape, in bytes: beyond it the rest is cut off, and the
// fingerprint in its place keeps different statements apart.
const maxShape = 2000

// Shape returns a statement with its literals and parameters replaced by ?, keywords
// in upper case and white space made uniform, so that statements that differ only in
// their constants have one shape. Text that is no SQL has a shape too.
func Shape(sql string) string {
	if len(sql) > MaxLength {
		return "?"
	}
	tokens, err := scan(sql, 0)
	if err != nil && tokens == nil {
		return "?"
	}
	return shape(tokens)
}

// Normal returns SQL, whole or a part, with keywords and names in one case, comments
// left out and white space made uniform: texts that differ only in these mean the
// same. Text that cannot be cut into tokens comes back as it is.
func Normal(sql string) string {
	tokens, err := scan(sql, 0)
	if err != nil {
		return sql
	}
	out := make([]string, len(tokens))
	for i := range tokens {
		out[i] = tokens[i].uniform()
	}
	return strings.Join(out, " ")
}

// uniform is a token's text, keywords in upper case and plain names folded.
func (t *token) uniform() string {
	switch {
	case t.class == keyword:
		return strings.ToUpper(t.value)
	case t.class == name && !strings.HasPrefix(t.raw, `"`) && !strings.HasPrefix(strings.ToUpper(t.raw), "U&"):
		return t.value
	}
	return t.raw
}

// Fingerprint is a 64-bit hash of a shape.
func Fingerprint(shape string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(shape))
	return h.Sum64()
}

func shape(tokens []token) string {
	var out []string
	for i := range tokens {
		out = appendShape(out, tokens, i)
	}
	s := join(out)
	if len(s) > maxShape {
		cut := maxShape
		for cut > 0 && s[cut]&0xC0 == 0x80 { // not within a character
			cut--
		}
		s = s[:cut] + "… #" + hex(Fingerprint(s))
	}
	return s
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[15-i] = digits[n&15]
		n >>= 4
	}
	return string(b[:])
}

// appendShape adds a token; a list of literals becomes one ?, a list of such lists one
// list, a sign goes with its number.
func appendShape(out []string, tokens []token, i int) []string {
	t := &tokens[i]
	switch {
	case t.punct(";"):
		return out
	case t.class != number && t.class != text && t.class != param:
		return append(out, t.uniform())
	}
	n := len(out)
	if t.class == number && n > 0 && (out[n-1] == "-" || out[n-1] == "+") && (n == 1 || !operand(out[n-2])) {
		out, n = out[:n-1], n-1
	}
	if n > 1 && out[n-1] == "," && out[n-2] == "?" {
		return out[:n-1]
	}
	return append(out, "?")
}

// operand says whether a value may end with this token, so that a following sign is
// an operator.
func operand(s string) bool {
	c := s[0]
	return s == ")" || s == "]" || s == "?" || c == '"' || c == '_' || c >= 'a' && c <= 'z' || c >= 0x80 || s == "END" || s == "NULL"
}

// join puts the tokens together with the usual spacing.
func join(tokens []string) string {
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if i > 0 && spaced(tokens[i-1], t) {
			b.WriteByte(' ')
		}
		b.WriteString(t)
		for t == ")" && i >= 2 && tokens[i-1] == "?" && tokens[i-2] == "(" && // (?), (?), (?) is (?)
			i+4 < len(tokens) && tokens[i+1] == "," && tokens[i+2] == "(" && tokens[i+3] == "?" && tokens[i+4] == ")" {
			i += 4
		}
	}
	return b.String()
}

// spaced says whether a space stands between two tokens.
func spaced(left, right string) bool {
	switch {
	case left == "(" || left == "[" || left == "." || left == "::" || right == "." || right == "::":
		return false
	case right == ")" || right == "]" || right == "," || right == "[":
		return false
	case right == "(":
		return left == "," || strings.ToUpper(left) == left && !calls[left] || strings.Trim(left, "+-*/<>=~!@#%^&|?") == ""
	}
	return true
}

// calls are the keywords that are written like functions.
var calls = map[string]bool{"COALESCE": true, "NULLIF": true, "GREATEST": true, "LEAST": true, "EXTRACT": true,
	"SUBSTRING": true, "POSITION": true, "TRIM": true, "CAST": true, "NUMERIC": true, "DECIMAL": true, "VARCHAR": true,
	"CHAR": true, "CHARACTER": true, "VARYING": true, "TIMESTAMP": true, "TIME": true, "LEFT": true, "RIGHT": true, "REPLACE": true}
