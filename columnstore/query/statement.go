package query

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/schemas"
)

// bindParams reads the texts of parameters in the types that the statement has for them.
func bindParams(types []schemas.Type, texts []schemas.Value) ([]schemas.Value, error) {
	if len(types) != len(texts) {
		e := schemas.Errorf(schemas.CodeInvalid, "08P01", "the statement has %d parameters, the request gives %d", len(types), len(texts))
		e.Hint = "give a value for each of $1, $2, … in params"
		return nil, e
	}
	out := make([]schemas.Value, len(texts))
	for i, text := range texts {
		if text.IsNull() {
			continue
		}
		v, err := pgtext.ParseValue(types[i], text.Bytes())
		if err != nil {
			return nil, inParam(i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

// inParam says which parameter an error is about, in the message that clients see.
func inParam(n int, err error) error {
	var known *schemas.Error
	if !errors.As(err, &known) {
		return fmt.Errorf("parameter $%d: %w", n, err)
	}
	e := *known
	e.Message = fmt.Sprintf("parameter $%d: %s", n, known.Message)
	return &e
}
