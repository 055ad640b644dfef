package explain

import (
	"testing"

	"github.com/millrace/millrace/schemas"
)

func TestValue(t *testing.T) {
	for _, c := range []struct {
		kind schemas.Kind
		v    schemas.Value
		want string
	}{
		{schemas.Int32, schemas.NewInt(schemas.Int32, -5), "-5"},
		{schemas.Numeric, schemas.NewNumeric(150, 2), "1.50"},
		{schemas.Numeric, schemas.NewNumericText("NaN"), "'NaN'::numeric"},
		{schemas.Text, schemas.NewText("it's"), "'it''s'::text"},
		{schemas.Bool, schemas.NewBool(true), "true"},
		{schemas.Date, schemas.NewInt(schemas.Date, 0), "'1970-01-01'::date"},
		{schemas.Text, schemas.Null, "NULL::text"},
	} {
		if got := Value(schemas.Type{Kind: c.kind}, c.v); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestIdent(t *testing.T) {
	for name, want := range map[string]string{"abc_1": "abc_1", "Abc": `"Abc"`, "a b": `"a b"`, `a"b`: `"a""b"`, "1a": `"1a"`, "?column?": "?column?", "é": `"é"`} {
		if got := ident(name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
