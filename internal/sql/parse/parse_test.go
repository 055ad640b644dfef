package parse

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/schemas"
)

func TestParse(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "parse":
				s, err := Parse(d.Input)
				if err != nil {
					return describe(err)
				}
				return dump(s.Query) + "\n"
			case "errors":
				var b strings.Builder
				for _, sql := range strings.Split(d.Input, "\n") {
					_, err := Parse(sql)
					fmt.Fprintf(&b, "%s\n  %s", sql, describe(err))
				}
				return b.String()
			case "shape":
				var b strings.Builder
				for _, sql := range strings.Split(d.Input, "\n") {
					fmt.Fprintln(&b, Shape(sql))
				}
				return b.String()
			case "list":
				list, err := ParseList(d.Input)
				if err != nil {
					return describe(err)
				}
				return dump(list) + "\n"
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func describe(err error) string {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return fmt.Sprintf("not a schemas.Error: %v\n", err)
	}
	s := fmt.Sprintf("%s %s at %d:%d: %s", e.Code, e.SQLState, e.Pos.Line, e.Pos.Column, e.Message)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s + "\n"
}

// dump shows a tree with positions, leaving out what is empty.
func dump(v any) string { return dumpValue(reflect.ValueOf(v)) }

func dumpValue(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return dumpValue(v.Elem())
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, dumpValue(v.Index(i)))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[schemas.Pos]() || v.Type() == reflect.TypeFor[at]() {
			return fmt.Sprintf("@%d:%d", v.FieldByName("Line").Int(), v.FieldByName("Column").Int())
		}
		if v.Type() == reflect.TypeFor[schemas.Type]() {
			return v.Interface().(schemas.Type).String()
		}
		if v.Type() == reflect.TypeFor[Ident]() {
			id := v.Interface().(Ident)
			return fmt.Sprintf("%s@%d:%d", id.Name, id.At.Line, id.At.Column)
		}
		var parts []string
		for i := range v.NumField() {
			if f := v.Field(i); !f.IsZero() {
				if n := v.Type().Field(i).Name; n == "at" || n == "At" {
					parts = append(parts, dumpValue(f))
				} else {
					parts = append(parts, n+":"+dumpValue(f))
				}
			}
		}
		return v.Type().Name() + "{" + strings.Join(parts, " ") + "}"
	}
	return fmt.Sprint(v)
}

// accepted is statements of every supported form, one a line.
func accepted(t testing.TB) []string {
	b, err := os.ReadFile("testdata_accepted.sql")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

// TestPositionsAreExact holds the soundness of positions: every name, literal and
// operator of the text is claimed by exactly one node, in order. A name that was
// found at a wrong place would leave its own token over, or skip another.
func TestPositionsAreExact(t *testing.T) {
	for _, sql := range accepted(t) {
		for _, text := range []string{sql, strings.ReplaceAll(sql, " ", "\n /* é */ ")} {
			c, stmt, err := parseOne(text, 0)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if _, err := c.statement(stmt); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for ; c.next < len(c.tokens); c.next++ {
				if k := c.tokens[c.next].class; k != other && k != keyword {
					c.missed++
				}
			}
			if c.missed > 0 {
				t.Errorf("%d names, literals or operators not claimed: %s", c.missed, text)
			}
		}
	}
}

// TestHostile holds that no text crashes the parser or takes long.
func TestHostile(t *testing.T) {
	n := 200_000
	if testing.Short() {
		n = 40_000
	}
	deep := func(open, inner, close string, n int) string {
		return "select " + strings.Repeat(open, n) + inner + strings.Repeat(close, n)
	}
	for name, sql := range map[string]string{
		"parens":       deep("(", "1", ")", n),
		"open parens":  deep("(", "", "", n),
		"not":          deep("not ", "true", "", n),
		"minus":        deep("- ", "1", "", n),
		"plus chain":   "select 1" + strings.Repeat("+1", n),
		"and chain":    "select true" + strings.Repeat(" and true", n/2),
		"or chain":     "select true" + strings.Repeat(" or true", n/2),
		"casts":        "select 1" + strings.Repeat("::int", n),
		"is null":      "select 1" + strings.Repeat(" is null", n/2),
		"case":         deep("case when ", "true", " then 1 end", n/10),
		"in list":      "select 1 in (1" + strings.Repeat(",1", n) + ")",
		"joins":        "select 1 from a" + strings.Repeat(" cross join a", n/4),
		"unions":       "select 1" + strings.Repeat(" union all select 1", n/5),
		"subqueries":   deep("(select ", "1", ")", n/10),
		"from":         "select * from " + strings.Repeat("(select * from ", n/20) + "a" + strings.Repeat(") a", n/20),
		"functions":    deep("f(", "1", ")", n/4),
		"indirection":  "select a" + strings.Repeat(".a", n),
		"subscripts":   "select a" + strings.Repeat("[1]", n/4),
		"commas":       "select 1" + strings.Repeat(",1", n),
		"comments":     "select 1 " + strings.Repeat("/*", n),
		"statements":   strings.Repeat("select 1;", n/10),
		"semicolons":   strings.Repeat(";", n),
		"too long":     "select '" + strings.Repeat("x", 2<<20) + "'",
		"long literal": "select '" + strings.Repeat("x", 1<<20-20) + "'",
		"long name":    "select " + strings.Repeat("x", 1<<20-20),
		"nul":          "select \x00",
		"utf8":         "select '\xff\xfe'",
		"nothing":      "",
		"comment":      "-- x",
		"quote":        "select '",
		"dollar":       "select $$",
		"unicode":      `select U&'\+FFFFFF'`,
		"surrogate":    `select E'\uD800'`,
		"big param":    "select $99999999999999999999",
		"big int":      "select 99999999999999999999999999",
		"collate":      "select a" + strings.Repeat(" collate x", n/10),
		"zones":        "select a" + strings.Repeat(" at time zone 'x'", n/10),
		"like":         "select a" + strings.Repeat(" like a", n/10),
		"between":      "select a" + strings.Repeat(" between a and a", n/10),
		"values":       "values (1)" + strings.Repeat(",(1)", n/2),
		"with":         "with " + strings.Repeat("a as (select 1), ", n/20) + "b as (select 1) select 1",
	} {
		start := time.Now()
		_, err := Parse(sql)
		Shape(sql)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		var e *schemas.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%s: %v is no schemas.Error", name, err)
		}
		t.Logf("%-14s %8v %.80v", name, time.Since(start).Round(time.Millisecond), err)
	}
}

func FuzzParse(f *testing.F) {
	for _, sql := range accepted(f) {
		f.Add(sql)
	}
	for _, sql := range []string{"select \x00", "select '\xff'", "select ((((", "select $$a", "x", ";", "select 1;;select 2",
		"explain (format json) select 1", "select interval '1' year to month", "select a.b.c.d.e", "select U&\"x\"", "select e'\\"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s, err := Parse(sql)
		var e *schemas.Error
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%v is no schemas.Error", err)
		}
		if err == nil && s.Query == nil {
			t.Fatal("no query and no error")
		}
		if e != nil && (e.Pos.Offset < 0 || e.Pos.Offset > len(sql)) {
			t.Fatalf("position %+v outside the text", e.Pos)
		}
		Shape(sql)
		_, _ = ParseList(sql)
		_, _ = ParseExpr(sql)
	})
}
