package pipelines

import (
	"regexp"
	"strings"
)

// variable is ${NAME}, ${NAME:default} or, for a literal ${X}, the escape ${{X}}.
var variable = regexp.MustCompile(`\$\{(\{[^{}]*\}|[^{}]*)\}`)

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// expand replaces variables. bad is called with the offset and the problem of each
// that cannot be replaced.
func expand(s string, env func(string) (string, bool), bad func(offset int, message, hint string)) string {
	var out strings.Builder
	last := 0
	for _, m := range variable.FindAllStringSubmatchIndex(s, -1) {
		out.WriteString(s[last:m[0]])
		last = m[1]
		inner := s[m[2]:m[3]]
		if strings.HasPrefix(inner, "{") {
			out.WriteString("$" + inner)
			continue
		}
		name, fallback, hasDefault := strings.Cut(inner, ":")
		switch v, set := env(name); {
		case !variableName.MatchString(name):
			bad(m[0], "${"+inner+"} does not name a variable", "write ${NAME} or ${NAME:default}, and ${{X}} for a literal ${X}")
		case set:
			out.WriteString(v)
		case hasDefault:
			out.WriteString(fallback)
		default:
			bad(m[0], "the environment variable "+name+" is not set", "export "+name+"=…, or give a default: ${"+name+":default}")
		}
	}
	out.WriteString(s[last:])
	return out.String()
}
