package bind_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

var pg pgtest.Shared

func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }

// typeOf is a PostgreSQL function that gives the type of an expression, or ERROR and
// the SQLSTATE.
const typeOf = `create function type_of(e text) returns text language plpgsql as $$
declare t text;
begin
	execute 'select pg_typeof(' || e || ')' into t;
	return t;
exception when others then
	return 'ERROR ' || sqlstate;
end $$`

// oracle compares types of expressions with PostgreSQL's.
type oracle struct {
	t  *testing.T
	db *pgtest.DB
}

func newOracle(t *testing.T) *oracle {
	db := pg.Database(t)
	db.Exec("%s", typeOf)
	return &oracle{t: t, db: db}
}

// types asks PostgreSQL for all expressions at once.
func (o *oracle) types(exprs []string) []string {
	quoted := make([]string, len(exprs))
	for i, e := range exprs {
		quoted[i] = "(" + fmt.Sprint(i) + ",'" + strings.ReplaceAll(e, "'", "''") + "')"
	}
	res := o.db.Query("%s", "select type_of(e) from (values "+strings.Join(quoted, ",")+") v(i, e) order by i")
	out := make([]string, len(exprs))
	for i, row := range res.Rows {
		out[i] = row[0]
	}
	return out
}

// ours is what the binder says.
func ours(expr string) string {
	st, err := bindText(catalogtest.Parse(""), "select "+expr)
	if err != nil {
		return describe(err)
	}
	return st.Root.Columns()[0].Type.Kind.String()
}

// compare reports every expression whose type is not PostgreSQL's; allowed explains
// differences that are meant, "" for none.
func (o *oracle) compare(exprs []string, allowed func(expr, want, got string) string) {
	want := o.types(exprs)
	wrong, excused := 0, map[string]int{}
	for i, e := range exprs {
		got := ours(e)
		bothFail := strings.HasPrefix(want[i], "ERROR") && strings.Contains(got, " at ")
		if got == want[i] || bothFail {
			continue
		}
		if why := allowed(e, want[i], got); why != "" {
			excused[why]++
			continue
		}
		if wrong++; wrong <= 40 {
			o.t.Errorf("%s: PostgreSQL says %s, we say %s", e, want[i], got)
		}
	}
	o.t.Logf("%d expressions, %d wrong, meant to differ: %v", len(exprs), wrong, excused)
}

// samples are a NULL of every kind, and one of unknown type.
func samples() []string {
	out := []string{"null"}
	for k := schemas.Bool; k <= schemas.JSONB; k++ {
		out = append(out, "null::"+k.String())
	}
	return out
}

func TestOperatorTypesAgreeWithPostgres(t *testing.T) {
	o := newOracle(t)
	var exprs []string
	for _, op := range fn.Builtin().OperatorNames() {
		for _, a := range samples() {
			for _, b := range samples() {
				exprs = append(exprs, a+" "+op+" "+b)
			}
			if op == "-" || op == "+" {
				exprs = append(exprs, op+" "+a)
			}
		}
	}
	o.compare(exprs, func(e, want, got string) string {
		switch {
		case strings.Contains(e, "jsonb"):
			return "jsonb has few operators"
		case strings.Contains(e, "bytea") && strings.Contains(e, "~~"):
			return "bytea LIKE"
		case strings.HasPrefix(e, "null ->"), want == "jsonb":
			return "type json, and jsonb - text"
		}
		return ""
	})
}

func TestFunctionTypesAgreeWithPostgres(t *testing.T) {
	o := newOracle(t)
	var exprs []string
	reg := fn.Builtin()
	names := append(reg.FunctionNames(), reg.AggregateNames()...)
	for _, name := range names {
		if name == "greatest" || name == "least" || name == "position" || name == "extract" {
			continue // syntax of their own
		}
		exprs = append(exprs, name+"()")
		for _, a := range samples() {
			exprs = append(exprs, fmt.Sprintf("%s(%s)", name, a))
			for _, b := range samples() {
				exprs = append(exprs, fmt.Sprintf("%s(%s, %s)", name, a, b))
			}
		}
		for _, s := range reg.Function(name) {
			if len(s.Args) > 2 {
				args := make([]string, len(s.Args))
				for i, k := range s.Args {
					args[i] = "null::" + k.String()
				}
				exprs = append(exprs, name+"("+strings.Join(args, ",")+")")
			}
		}
	}
	o.compare(exprs, func(e, want, got string) string {
		name, _, _ := strings.Cut(e, "(")
		return notHere[name+" "+want]
	})
}

// notHere are the forms of registered functions that are left out, by the type that
// PostgreSQL gives them.
var notHere = map[string]string{
	"age interval":                          "age of one argument depends on the clock",
	"btrim bytea":                           "trimming bytea",
	"ltrim bytea":                           "trimming bytea",
	"rtrim bytea":                           "trimming bytea",
	"like_escape bytea":                     "LIKE over bytea",
	"to_timestamp timestamp with time zone": "formats",
	"trunc ERROR 42725":                     "trunc of a MAC address makes it ambiguous",
	"length integer":                        "length in an encoding",
	"substring text":                        "regular expressions",
	"timezone time with time zone":          "time with time zone",
}

func TestCommonTypesAgreeWithPostgres(t *testing.T) {
	o := newOracle(t)
	var exprs []string
	for _, a := range samples() {
		for _, b := range samples() {
			for _, form := range []string{"coalesce(%s, %s)", "greatest(%s, %s)", "case when true then %s else %s end",
				"%s in (%s, null)", "nullif(%s, %s)", "%s is distinct from %s"} {
				exprs = append(exprs, fmt.Sprintf(form, a, b))
			}
			for _, c := range []string{"null::smallint", "null::numeric", "null::real", "null::text", "null::character", "null::date"} {
				exprs = append(exprs, fmt.Sprintf("coalesce(%s, %s, %s)", a, b, c))
			}
		}
	}
	o.compare(exprs, func(e, want, got string) string {
		if strings.Contains(e, "jsonb") {
			return "jsonb is not compared"
		}
		return ""
	})
}

func TestCastsAgreeWithPostgres(t *testing.T) {
	o := newOracle(t)
	var exprs []string
	for _, a := range samples() {
		for k := schemas.Bool; k <= schemas.JSONB; k++ {
			exprs = append(exprs, fmt.Sprintf("cast(%s as %s)", a, k))
		}
		for _, name := range []string{"text", "int4", "date", "bool", "float8", "timestamptz", "varchar"} {
			exprs = append(exprs, fmt.Sprintf("%s(%s)", name, a))
		}
	}
	o.compare(exprs, func(e, want, got string) string {
		if e == "bool(null::smallint)" {
			return "bool(integer) as a function"
		}
		return ""
	})
}
