package bind

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

// fault is a *schemas.Error in the making.
type fault schemas.Error

func errorAt(at schemas.Pos, code schemas.Code, sqlstate, format string, args ...any) *fault {
	return &fault{Code: code, SQLState: sqlstate, Pos: at, Message: fmt.Sprintf(format, args...)}
}

func (f *fault) hint(format string, args ...any) *fault {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// meant adds the nearest of the candidates as a hint.
func (f *fault) meant(name string, candidates []string) *fault {
	if s := suggest.Nearest(name, candidates); s != "" {
		f.Hint = fmt.Sprintf("did you mean %s?", s)
	}
	return f
}

// Error makes a fault an error until fail unwraps it.
func (f *fault) Error() string { return (*schemas.Error)(f).Error() }

func (b *binder) refuse(at schemas.Pos, what string) {
	b.fail(errorAt(at, schemas.CodeUnsupported, "0A000", "%s not supported", what).hint("docs/SQL.md lists what is supported"))
}

// kindNames lists kinds for a message.
func kindNames(kinds []schemas.Kind) string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = k.String()
		if k == schemas.Invalid {
			out[i] = "unknown"
		}
	}
	return strings.Join(out, ", ")
}
