package pgtext

import (
	"testing"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

var fuzzTypes = append(kindsOf(schemas.Bool, schemas.Int16, schemas.Int32, schemas.Int64, schemas.Float32, schemas.Float64, schemas.Numeric,
	schemas.Text, schemas.Varchar, schemas.Bytea, schemas.Date, schemas.Time, schemas.Timestamp, schemas.TimestampTZ, schemas.Interval, schemas.UUID, schemas.JSONB),
	schemas.Type{Kind: schemas.Numeric, Precision: 10, Scale: 3}, schemas.Type{Kind: schemas.Numeric, Precision: 5, Scale: -3},
	schemas.Type{Kind: schemas.Varchar, Length: 4}, schemas.Type{Kind: schemas.Char, Length: 4})

// FuzzParse: no input panics, and what was read prints to something that reads
// back as the same value.
func FuzzParse(f *testing.F) {
	for i := range fuzzTypes {
		for _, s := range []string{"", "1", "-1.5e3", "NaN", "2024-02-29 12:34:56.789+05:30 BC", "1 year 2 mons -3 days 04:05:06", "P1Y2M3DT4H", `{"a":[1,2.50,{"b":null}],"a":"\u00e9"}`, `\x00ff`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "Jan 8, 1999 3:04 PM EST", "J2451187", "T", "1e-16383", "99999999999999999999"} {
			f.Add(byte(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		typ := fuzzTypes[int(which)%len(fuzzTypes)]
		v, err := ParseValue(typ, text)
		vec := vector.New(typ, 0)
		if err2 := AppendTo(vec, text); (err == nil) != (err2 == nil) {
			t.Fatalf("%v %q: ParseValue says %v, AppendTo says %v", typ, text, err, err2)
		}
		if err != nil {
			return
		}
		out := AppendTyped(nil, typ, v)
		if again := AppendVector(nil, vec, 0); string(again) != string(out) {
			t.Fatalf("%v %q: prints %q and %q", typ, text, out, again)
		}
		back, err := ParseValue(typ, out)
		if err != nil || back != v {
			t.Fatalf("%v %q: its output %q reads as %#v (%v), not %#v", typ, text, out, back, err, v)
		}
	})
}

// TestNoAllocation: what PostgreSQL prints is read and printed without allocating.
func TestNoAllocation(t *testing.T) {
	dst := make([]byte, 0, 256)
	for _, c := range []struct {
		typ  schemas.Type
		text string
	}{
		{schemas.Type{Kind: schemas.Bool}, "t"},
		{schemas.Type{Kind: schemas.Int64}, "-9223372036854775808"},
		{schemas.Type{Kind: schemas.Float64}, "1.2345678901234567e+100"},
		{schemas.Type{Kind: schemas.Numeric}, "-12345678.90"},
		{schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}, "12345678.90"},
		{schemas.Type{Kind: schemas.Date}, "2024-02-29"},
		{schemas.Type{Kind: schemas.Time}, "12:34:56.789"},
		{schemas.Type{Kind: schemas.Timestamp}, "2024-02-29 12:34:56.789"},
		{schemas.Type{Kind: schemas.TimestampTZ}, "2024-02-29 12:34:56.789+00"},
		{schemas.Type{Kind: schemas.Interval}, "1 year 2 mons 3 days 04:05:06"},
		{schemas.Type{Kind: schemas.UUID}, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{schemas.Type{Kind: schemas.Bytea}, `\x00112233445566778899aabbccddeeff`},
		{schemas.Type{Kind: schemas.JSONB}, `{"a": [1, 2.5], "b": "text"}`},
		{schemas.Type{Kind: schemas.Text}, "a text longer than an inline view"},
	} {
		v := vector.New(c.typ, 1)
		text := []byte(c.text)
		if err := AppendTo(v, text); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendVector(nil, v, 0)); got != c.text {
			t.Errorf("%v: %q prints as %q", c.typ, c.text, got)
		}
		n := testing.AllocsPerRun(100, func() {
			v.Reset()
			if err := AppendTo(v, text); err != nil {
				t.Fatal(err)
			}
			dst = AppendVector(dst[:0], v, 0)
		})
		pooled := c.typ.Kind == schemas.JSONB || c.typ.Kind == schemas.Bytea
		if n > 0 && !(raceEnabled && pooled) {
			t.Errorf("%v %q: %v allocations", c.typ, c.text, n)
		}
	}
}

// TestHostileJSON: deep nesting is an error, not a stack overflow.
func TestHostileJSON(t *testing.T) {
	deep := make([]byte, 1<<20)
	for i := range deep {
		deep[i] = '['
	}
	if _, err := AppendJSONB(nil, deep); schemas.CodeOf(err) != schemas.CodeTooLarge {
		t.Fatalf("got %v", err)
	}
}
