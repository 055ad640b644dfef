package sql_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// answer runs a statement and gives its rows as text.
func answer(t *testing.T, cat *sqltest.Catalog, text string) []string {
	t.Helper()
	ctx := context.Background()
	st, err := sql.Prepare(ctx, text, cat, sql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := sql.Run(ctx, st, exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	if want, got := sql.Columns(st), res.Columns(); len(want) != len(got) || want[0].Name != got[0].Name {
		t.Errorf("Columns says %v, the result has %v", want, got)
	}
	var out []string
	for {
		b, err := res.Next(ctx)
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			out = append(out, b.Vectors[0].Value(i).Bytes())
		}
	}
}

func shop() *sqltest.Catalog {
	table := sqltest.NewTable("t", sqltest.Col("a", schemas.Int64), sqltest.Col("b", schemas.Text))
	for i := range 100 {
		table.Append(schemas.Row{schemas.NewInt(schemas.Int64, int64(i)), schemas.NewText(strings.Repeat("x", i%5))})
	}
	return sqltest.New(table)
}

func TestExplain(t *testing.T) {
	got := strings.Join(answer(t, shop(), "explain select b, count(*) from t where a > 10 group by b"), "\n")
	for _, want := range []string{"HashAggregate", "Group Key: t.b", "Scan on t  (rows=100)", "Filter: (t.a > 10)", "Prune: a >= 10"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "Execution Time") {
		t.Errorf("EXPLAIN without ANALYZE ran:\n%s", got)
	}
	got = strings.Join(answer(t, shop(), "explain analyze select a from t where a > 10"), "\n")
	for _, want := range []string{"Scan on t", "Rows: 89", "read=90 skipped=10", "Execution Time"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestPrepareStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := sql.Prepare(ctx, "select 1", catalogtest.Parse(""), sql.Options{})
	if schemas.CodeOf(err) != schemas.CodeCanceled {
		t.Errorf("got %v", err)
	}
}

func TestDeclaredParameterKinds(t *testing.T) {
	cat := catalogtest.Parse("t 1: a bigint key")
	st, err := sql.Prepare(context.Background(), "select $1, a = $2 from t", cat, sql.Options{ParamKinds: []schemas.Kind{schemas.Date}})
	if err != nil {
		t.Fatal(err)
	}
	if st.Params[0].Kind != schemas.Date || st.Params[1].Kind != schemas.Int64 {
		t.Errorf("parameters are %v", st.Params)
	}
}
