package rowexec

import (
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// Call applies a function to values that have the kinds of its arguments; none is NULL
// unless f.NullCall.
func Call(f *expr.Func, args []schemas.Value, now time.Time) (schemas.Value, error) {
	if impl, ok := clocked[f.Name]; ok {
		return impl(now, f)
	}
	impl, ok := functions[f.Name]
	if !ok {
		return schemas.Null, unsupported(f)
	}
	return impl(f, args)
}

// Has says whether there is a function of that name.
func Has(name string) bool {
	_, ok := functions[name]
	return ok || clocked[name] != nil
}

// Cast converts a value that is not NULL to a type.
func Cast(v schemas.Value, to schemas.Type) (schemas.Value, error) { return cast(v, to) }
