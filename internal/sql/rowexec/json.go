package rowexec

import (
	"encoding/json"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// jsonGet is -> and ->> with a field name or an element number. A value holds
// PostgreSQL's own output, so a part of its text is the part's output.
func jsonGet(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	part := jsonField(a[0].Bytes(), a[1])
	if part == nil {
		return schemas.Null, nil
	}
	if f.Result == schemas.JSONB {
		return schemas.NewBytes(schemas.JSONB, string(part)), nil
	}
	switch part[0] {
	case 'n':
		return schemas.Null, nil
	case '"':
		var s string
		if err := json.Unmarshal(part, &s); err != nil {
			return schemas.Null, err
		}
		return text(s)
	}
	return text(string(part))
}

// jsonField returns the text of a field or element, nil when there is none.
func jsonField(doc string, key schemas.Value) json.RawMessage {
	if key.Kind() == schemas.Int32 {
		list := []json.RawMessage{json.RawMessage(doc)} // a scalar counts as its own element
		if doc[0] == '{' || doc[0] == '[' && json.Unmarshal([]byte(doc), &list) != nil {
			return nil
		}
		i := int(key.Int())
		if i < 0 {
			i += len(list)
		}
		if i < 0 || i >= len(list) {
			return nil
		}
		return list[i]
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(doc), &object) != nil {
		return nil
	}
	return object[key.Bytes()]
}
