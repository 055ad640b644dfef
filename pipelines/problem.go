package pipelines

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/millrace/millrace/schemas"
)

// Problem is one mistake in a pipeline file.
type Problem struct {
	File string
	// Pos is the place in the file; unknown for what concerns all of it.
	Pos     schemas.Pos
	Message string
	Hint    string
	// Excerpt is the line at Pos, passwords removed.
	Excerpt string
	Code    schemas.Code
	// hidden says that a password was removed, so that columns of Excerpt shifted.
	hidden bool
}

// String gives file:line:column, message, excerpt and hint.
func (p *Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Pos.Known() {
		fmt.Fprintf(&b, ":%d:%d", p.Pos.Line, p.Pos.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Excerpt != "" && p.Pos.Known() {
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, string([]rune(p.Excerpt)[:min(p.Pos.Column-1, len([]rune(p.Excerpt)))]))
		fmt.Fprintf(&b, "\n%5d | %s", p.Pos.Line, p.Excerpt)
		if !p.hidden {
			fmt.Fprintf(&b, "\n      | %s^", pad)
		}
	}
	if p.Hint != "" {
		b.WriteString("\n        " + strings.ReplaceAll(p.Hint, "\n", "\n        "))
	}
	return b.String()
}

// Errors are all mistakes of a pipeline file, in the order of the file. Commands
// print them and exit with 2.
type Errors struct {
	Problems []*Problem
}

// Error lists every problem.
func (e *Errors) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.String()
	}
	return strings.Join(parts, "\n")
}

// Unwrap gives each problem as an error with its code.
func (e *Errors) Unwrap() []error {
	out := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		out[i] = &schemas.Error{Code: p.Code, SQLState: "42601", Message: p.File + ": " + p.Message, Hint: p.Hint, Pos: p.Pos}
	}
	return out
}

// orNil returns nil when there is no problem.
func (e *Errors) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	sort.SliceStable(e.Problems, func(i, j int) bool {
		a, b := e.Problems[i].Pos, e.Problems[j].Pos
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
	return e
}

var (
	urlPassword = regexp.MustCompile(`(://[^:@/\s]*:)[^@\s]*@`)
	keyPassword = regexp.MustCompile(`(?i)(password\s*=\s*)('[^']*'|\S+)`)
)

// hidePasswords removes passwords from connection strings.
func hidePasswords(s string) string {
	s = urlPassword.ReplaceAllString(s, "${1}***@")
	return keyPassword.ReplaceAllString(s, "${1}***")
}
