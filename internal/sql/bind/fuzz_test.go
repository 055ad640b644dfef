package bind_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/internal/sql/explain"
	"github.com/millrace/millrace/internal/sql/rewrite"
	"github.com/millrace/millrace/schemas"
)

const fuzzTables = `t 1000: a integer key, b text, c numeric(10,2), d timestamp without time zone, e boolean, f double precision
u 10: a integer, x character(3), y date, z jsonb`

// FuzzBind sends any text through parsing, binding, rewriting and EXPLAIN: errors are the
// user's, and nothing crashes.
func FuzzBind(f *testing.F) {
	for _, path := range []string{"testdata/select", "testdata/errors", "testdata/types"} {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			for _, name := range []string{"orders", "customers", "lines"} {
				line = strings.ReplaceAll(line, name, "t")
			}
			if strings.HasPrefix(line, "select") || strings.HasPrefix(line, "with") {
				f.Add(line)
			}
		}
	}
	for _, sql := range []string{
		"select a, count(distinct b), sum(c) filter (where e) from t where a in (1,2,null) group by 1 having max(d) > '2024-01-01' order by 2 desc limit 3",
		"select * from t join u using (a) where x like 'a%' union all select * from t, u order by 1",
		"values (1, 'x'), ($1, $2)", "select from t join u using (a)", "select from t union all select from u", "select $1 + 1, $1 || 'x'", "with q as (select * from t) select q.a from q, q r",
	} {
		f.Add(sql)
	}
	cat := catalogtest.Parse(fuzzTables)
	f.Fuzz(func(t *testing.T, sql string) {
		st, err := bindText(cat, sql)
		var e *schemas.Error
		if err != nil {
			if !errors.As(err, &e) || e.Code == schemas.CodeInternal {
				t.Fatalf("%v", err)
			}
			return
		}
		explain.Plan(st.Root)
		before := columns(st.Root.Columns())
		root := rewrite.Plan(st.Root, rewrite.Options{})
		if after := columns(root.Columns()); after != before {
			t.Fatalf("rewriting changed the columns from %s to %s", before, after)
		}
		explain.Plan(root)
		if len(sql) < 200 {
			_, _ = bind.Projection(cat2(t, cat), sql, sql)
		}
	})
}

func cat2(t *testing.T, cat *catalogtest.Catalog) *schemas.Table {
	tab, err := cat.Table("", "t")
	if err != nil {
		t.Fatal(err)
	}
	return tab.Schema()
}

// TestHostileStatements holds that statements made to be expensive end soon.
func TestHostileStatements(t *testing.T) {
	cat := catalogtest.Parse(fuzzTables)
	n := 200_000
	if testing.Short() {
		n = 40_000
	}
	with := "with q00 as (select a from t)"
	for i := 1; i < 30; i++ {
		with += strings.NewReplacer("$i", itoa(i), "$j", itoa(i-1)).Replace(", q$i as (select x.a from q$j x, q$j y)")
	}
	for name, sql := range map[string]string{
		"exponential with": with + " select * from q29",
		"huge in":          "select a in (1" + strings.Repeat(",1", n) + ") from t",
		"huge in, mixed":   "select a in (1" + strings.Repeat(",a", 20_000) + ") from t",
		"many ands":        "select 1 from t where a = 1" + strings.Repeat(" and a = 1", 20_000),
		"many ors":         "select 1 from t where a = 1" + strings.Repeat(" or a = 1", 20_000),
		"many columns":     "select " + strings.Repeat("a,", n/2) + "a from t",
		"many joins":       "select 1 from t t0" + joins(300),
		"many commas":      "select 1 from t t0" + commas(300),
		"many values":      "values (1)" + strings.Repeat(",(1)", n/2),
		"deep from":        "select a from " + strings.Repeat("(select a from ", 120) + "t" + strings.Repeat(") q", 120),
		"many aggregates":  "select 1" + strings.Repeat("+sum(a)", 900) + " from t",
		"many groups":      "select 1 from t group by a" + strings.Repeat(",a", 10_000),
		"many orders":      "select a from t order by a" + strings.Repeat(",a", 2_000),
		"nested case":      "select " + strings.Repeat("case when e then ", 100) + "1" + strings.Repeat(" end", 100) + " from t",
		"long chain":       "select a" + strings.Repeat("+a", 3_900) + " from t",
		"concat":           "select concat(a" + strings.Repeat(",a", 50_000) + ") from t",
		"big repeat":       "select repeat('x', 1000000000)",
		"big power":        "select 10.0 ^ 100000, exp(100000.0)",
		"big round":        "select round(1.5, 2000000000), 1e100000 * 1e100000",
	} {
		start := time.Now()
		st, err := bindText(cat, sql)
		if err == nil {
			explain.Plan(rewrite.Plan(st.Root, rewrite.Options{}))
		}
		took := time.Since(start)
		if took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		t.Logf("%-18s %8v %.100v", name, took.Round(time.Millisecond), err)
	}
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }

func joins(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		r := strings.NewReplacer("$i", itoa(i/10)+itoa(i%10), "$j", itoa((i-1)/10)+itoa((i-1)%10))
		if i == 1 {
			b.WriteString(r.Replace(" join t t$i on t$i.a = t0.a"))
			continue
		}
		b.WriteString(r.Replace(" join t t$i on t$i.a = t$j.a"))
	}
	return b.String()
}

func commas(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(", t t" + itoa(i/10) + itoa(i%10))
	}
	return b.String()
}
