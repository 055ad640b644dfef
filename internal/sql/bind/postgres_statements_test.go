package bind_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/schemas"
)

// kindOfOID are the kinds of PostgreSQL's type numbers.
var kindOfOID = map[uint32]schemas.Kind{16: schemas.Bool, 21: schemas.Int16, 23: schemas.Int32, 20: schemas.Int64,
	700: schemas.Float32, 701: schemas.Float64, 1700: schemas.Numeric, 25: schemas.Text, 1043: schemas.Varchar, 1042: schemas.Char,
	17: schemas.Bytea, 1082: schemas.Date, 1083: schemas.Time, 1114: schemas.Timestamp, 1184: schemas.TimestampTZ,
	1186: schemas.Interval, 2950: schemas.UUID, 3802: schemas.JSONB}

// TestStatementsAgreeWithPostgres describes every statement of testdata_postgres.sql and
// of the scripts to PostgreSQL: names and types of columns and parameters must be the
// same, or SQLSTATE and position of the error. A line of testdata_postgres.sql that begins with
// "-- differs:" excuses the next one.
func TestStatementsAgreeWithPostgres(t *testing.T) {
	srv := pg.Server(t)
	ctx := context.Background()
	conn, err := pgconn.Connect(ctx, srv.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	tables, statements, excused := statementsOf(t)
	cat := catalogtest.Parse(tables)
	if _, err := conn.Exec(ctx, createTables(t, cat)).ReadAll(); err != nil {
		t.Fatal(err)
	}
	differ := 0
	for _, sql := range statements {
		want := describedByPostgres(ctx, conn, sql)
		got := describedByUs(cat, sql)
		switch {
		case got == want || excused[sql] != "":
		case strings.HasSuffix(want, " at 0") && strings.HasPrefix(got, strings.TrimSuffix(want, "0")): // no position there
		case strings.HasPrefix(got, "0A000"):
			differ++
		default:
			t.Errorf("%s\n  PostgreSQL: %s\n  we:         %s", sql, want, got)
		}
	}
	t.Logf("%d statements, %d not supported here, %d meant to differ", len(statements), differ, len(excused))
}

// statementsOf reads the tables and all statements on one line.
func statementsOf(t *testing.T) (tables string, statements []string, excused map[string]string) {
	excused = map[string]string{}
	for _, path := range []string{"testdata_postgres.sql", "testdata/select", "testdata/types", "testdata/errors"} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		why := ""
		for i, line := range strings.Split(string(b), "\n") {
			word, _, _ := strings.Cut(line, " ")
			switch {
			case strings.HasPrefix(line, "-- differs:"):
				why = line
			case strings.Contains(line, " key, ") && tables == "" && i < 3:
				tables = strings.Join(strings.Split(string(b), "\n")[i:i+4], "\n")
			case (word == "select" || word == "values" || word == "with") && !slices.Contains(statements, line):
				statements = append(statements, line)
				if why != "" {
					excused[line], why = why, ""
				}
			}
		}
	}
	return tables, statements, excused
}

func createTables(t *testing.T, cat *catalogtest.Catalog) string {
	b := &strings.Builder{}
	for _, name := range cat.Tables() {
		schema, bare, _ := strings.Cut(name, ".")
		tab, err := cat.Table(schema, bare)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "create schema if not exists %s; create table %s (", schema, name)
		var key []string
		for _, c := range tab.Schema().Columns {
			fmt.Fprintf(b, "%s %s, ", c.Name, c.Type)
			if tab.Schema().IsKey(c.ID) {
				key = append(key, c.Name)
			}
		}
		fmt.Fprintf(b, "primary key (%s));\n", strings.Join(key, ", "))
	}
	return b.String()
}

func describedByPostgres(ctx context.Context, conn *pgconn.PgConn, sql string) string {
	d, err := conn.Prepare(ctx, "", sql, nil)
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return fmt.Sprintf("%s at %d", e.Code, e.Position)
	}
	if err != nil {
		return err.Error()
	}
	var cols []string
	for _, f := range d.Fields {
		cols = append(cols, fmt.Sprintf("%s %s", f.Name, kindOfOID[f.DataTypeOID]))
	}
	out := strings.Join(cols, ", ")
	for i, oid := range d.ParamOIDs {
		out += fmt.Sprintf(" $%d %s", i+1, kindOfOID[oid])
	}
	return out
}

func describedByUs(cat *catalogtest.Catalog, sql string) string {
	st, err := bindText(cat, sql)
	var e *schemas.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s at %d", e.SQLState, e.Pos.Column)
	}
	var cols []string
	for _, c := range st.Root.Columns() {
		cols = append(cols, fmt.Sprintf("%s %s", c.Name, c.Type.Kind))
	}
	out := strings.Join(cols, ", ")
	for i, p := range st.Params {
		out += fmt.Sprintf(" $%d %s", i+1, p.Kind)
	}
	return out
}
