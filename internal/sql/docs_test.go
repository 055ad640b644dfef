package sql_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

var writeDocs = flag.Bool("docs", false, "write docs/SQL.md anew")

const docsPath = "../../docs/SQL.md"

// TestDocs holds docs/SQL.md to the registry: go test ./internal/sql -run TestDocs -docs
// writes it.
func TestDocs(t *testing.T) {
	intro, err := os.ReadFile("testdata/docs_intro.md")
	if err != nil {
		t.Fatal(err)
	}
	want := string(intro) + registryDocs(fn.Builtin())
	if *writeDocs {
		if err := os.WriteFile(docsPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docsPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/SQL.md is not what the registry says: run go test ./internal/sql -run TestDocs -docs")
	}
}

func registryDocs(r *fn.Registry) string {
	var b strings.Builder
	b.WriteString("## Operators\n\n| operator | arguments → result |\n|---|---|\n")
	for _, name := range r.OperatorNames() {
		var forms []string
		for _, s := range r.Operator(name) {
			form := short(s.Args[len(s.Args)-1])
			if len(s.Args) == 2 {
				form = short(s.Args[0]) + " " + strings.ToUpper(name) + " " + form
			} else {
				form = name + " " + form
			}
			forms = append(forms, form+" → "+short(s.Result))
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", cell(strings.ToUpper(name)), cell(strings.Join(forms, ", ")))
	}
	b.WriteString("\n`LIKE` is `~~` and `ILIKE` is `~~*`. Either side of `||` may be of any type when the other is text.\n")
	b.WriteString("\n## Functions\n\n| function | arguments → result |\n|---|---|\n")
	for _, name := range r.FunctionNames() {
		var forms []string
		for _, s := range r.Function(name) {
			args := make([]string, len(s.Args))
			for i, k := range s.Args {
				args[i] = short(k)
			}
			list := strings.Join(args, ", ")
			if s.Variadic {
				list += ", …"
			}
			forms = append(forms, "("+list+") → "+short(s.Result))
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(forms, ", "))
	}
	b.WriteString("\n## Aggregates\n\n| aggregate | argument → result |\n|---|---|\n")
	for _, name := range r.AggregateNames() {
		var forms []string
		for _, a := range r.Aggregate(name) {
			switch {
			case name == "count" && len(a.Args) == 0:
				forms = append(forms, "`*` or any type → bigint")
			case name != "count":
				forms = append(forms, short(a.Args[0])+" → "+short(a.Result))
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.Join(forms, ", "))
	}
	b.WriteString("\n`DISTINCT` and `FILTER (WHERE …)` go with each.\n")
	castDocs(&b)
	return b.String()
}

// castDocs lists, for each type, what it becomes and where.
func castDocs(b *strings.Builder) {
	b.WriteString("\n## Casts\n\nImplicit casts happen anywhere, the others are written: `CAST(x AS type)`, `x::type`, `type 'literal'`, `type(x)`.\n\n")
	b.WriteString("| from | implicitly to | explicitly to |\n|---|---|---|\n")
	for from := schemas.Bool; from <= schemas.JSONB; from++ {
		var implicit, explicit []string
		for to := schemas.Bool; to <= schemas.JSONB; to++ {
			switch c := fn.CastContext(from, to); {
			case from == to || c == fn.NoCast:
			case c == fn.Implicit:
				implicit = append(implicit, short(to))
			default:
				explicit = append(explicit, short(to))
			}
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", from, strings.Join(implicit, ", "), strings.Join(explicit, ", "))
	}
}

// short is a type's name as most people write it.
func short(k schemas.Kind) string {
	names := map[schemas.Kind]string{schemas.Float64: "double", schemas.Varchar: "varchar", schemas.Char: "char",
		schemas.Time: "time", schemas.Timestamp: "timestamp", schemas.TimestampTZ: "timestamptz"}
	if s := names[k]; s != "" {
		return s
	}
	return k.String()
}

// cell escapes what ends a cell of a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// TestEveryNameIsLookedUp holds the registry's lists and its lookups together.
func TestEveryNameIsLookedUp(t *testing.T) {
	r := fn.Builtin()
	for _, name := range r.FunctionNames() {
		for _, s := range r.Function(name) {
			if s.Impl == nil || r.Impl(s.Impl.Key()) != s.Impl {
				t.Errorf("%s%v has no implementation in the list", name, s.Args)
			}
		}
	}
	for _, name := range r.OperatorNames() {
		for _, s := range r.Operator(name) {
			if s.Impl == nil || r.Impl(s.Impl.Key()) != s.Impl {
				t.Errorf("%s%v has no implementation in the list", name, s.Args)
			}
		}
	}
	keys := []string{}
	for _, f := range r.Impls() {
		keys = append(keys, f.Key())
	}
	if !slices.IsSorted(keys) || len(keys) != len(slices.Compact(slices.Clone(keys))) {
		t.Error("the implementations are not sorted and distinct")
	}
}
