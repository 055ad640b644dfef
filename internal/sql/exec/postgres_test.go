package exec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/sql/rewrite"
	"github.com/millrace/millrace/schemas"
)

var pg pgtest.Shared

func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }

// settings of one run, randomised and printed on failure.
type settings struct {
	opt exec.Options
	raw bool // without rewrite rules
}

func (s settings) String() string {
	return fmt.Sprintf("threads %d, batch %d, groups %d, raw %v", s.opt.Threads, s.opt.BatchRows, s.opt.GroupLimit, s.raw)
}

func randomSettings(r *rand.Rand) settings {
	return settings{opt: exec.Options{
		Threads:    1 + r.IntN(2),
		BatchRows:  []int{1, 2, 7, 1000, 8192}[r.IntN(5)],
		GroupLimit: []int{1, 5, 100, 0}[r.IntN(4)],
		Now:        time.Date(2024, 5, 17, 12, 0, 0, 0, time.UTC),
	}, raw: r.IntN(6) == 0}
}

func prepare(cat catalog.Catalog, sql string, raw bool) (*plan.Statement, error) {
	parsed, err := parse.Parse(sql)
	if err != nil {
		return nil, err
	}
	st, err := bind.Statement(parsed, cat, bind.Options{})
	if err != nil || raw {
		return st, err
	}
	st.Root = rewrite.Plan(st.Root, rewrite.Options{})
	return st, nil
}

// query runs a statement and gives type names and rows as text.
func query(cat catalog.Catalog, sql string, s settings) (types []string, rows [][]string, err error) {
	st, err := prepare(cat, sql, s.raw)
	if err != nil {
		return nil, nil, err
	}
	return collect(st, s.opt)
}

func collect(st *plan.Statement, opt exec.Options) (types []string, rows [][]string, err error) {
	ctx := context.Background()
	res, err := exec.Run(ctx, st, opt)
	if err != nil {
		return nil, nil, err
	}
	defer res.Close()
	for _, c := range res.Columns() {
		types = append(types, schemas.Type{Kind: c.Type.Kind}.String())
	}
	for {
		b, err := res.Next(ctx)
		if err == io.EOF {
			return types, rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range b.Rows {
			row := make([]string, len(b.Vectors))
			for c, v := range b.Vectors {
				row[c] = pgtest.Null
				if !v.Null(i) {
					row[c] = string(pgtext.AppendTyped(nil, res.Columns()[c].Type, v.Value(i)))
				}
			}
			rows = append(rows, row)
		}
	}
}

// oidNames are the kinds of PostgreSQL's type numbers.
var oidNames = map[uint32]schemas.Kind{16: schemas.Bool, 21: schemas.Int16, 23: schemas.Int32, 20: schemas.Int64, 700: schemas.Float32, 701: schemas.Float64,
	1700: schemas.Numeric, 25: schemas.Text, 1043: schemas.Varchar, 1042: schemas.Char, 17: schemas.Bytea, 1082: schemas.Date, 1083: schemas.Time,
	1114: schemas.Timestamp, 1184: schemas.TimestampTZ, 1186: schemas.Interval, 2950: schemas.UUID, 3802: schemas.JSONB}

func sqlstate(err error) string {
	var e *schemas.Error
	if errors.As(err, &e) {
		return e.SQLState
	}
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

// ordered says whether the order of a statement's rows counts.
func ordered(sql string) bool {
	at := strings.LastIndex(strings.ToLower(sql), "order by")
	return at > strings.LastIndex(sql, ")") || at >= 0 && strings.Count(sql[at:], "(") == strings.Count(sql[at:], ")")
}

func flatten(rows [][]string, inOrder bool) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = strings.ReplaceAll(strings.Join(r, " | "), pgtest.Null, "NULL")
	}
	if !inOrder {
		sort.Strings(out)
	}
	return out
}

// compare runs a statement here and in PostgreSQL.
func compare(t *testing.T, db *pgtest.DB, cat catalog.Catalog, sql string, s settings) bool {
	t.Helper()
	want, wantErr := db.TryQuery("%s", sql)
	types, rows, err := query(cat, sql, s)
	if wantErr != nil || err != nil {
		if wantErr == nil || err == nil || sqlstate(err) != sqlstate(wantErr) {
			t.Errorf("%s\n(%v)\n got error %v (%s)\nwant error %v", sql, s, err, sqlstate(err), wantErr)
			return false
		}
		if !strings.HasSuffix(t.Name(), "errors.sql") {
			t.Errorf("%s\nfails in both: %v", sql, err)
		}
		return true
	}
	for i, oid := range want.OIDs {
		if name := oidNames[oid].String(); name != types[i] {
			t.Errorf("%s\ncolumn %d is %s, want %s", sql, i+1, types[i], name)
			return false
		}
	}
	inOrder := ordered(sql)
	got, exp := flatten(rows, inOrder), flatten(want.Rows, inOrder)
	for i := range max(len(got), len(exp)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(exp) {
			w = exp[i]
		}
		if len(got) == len(exp) && strings.HasPrefix(t.Name(), "TestRandom") && sameNumbers(got, exp, inOrder) {
			return true // of equal numbers that differ in scale, any may stand for the group
		}
		if g != w || len(got) != len(exp) {
			t.Errorf("%s\n(%v)\n%d rows, want %d; row %d\n got %s\nwant %s", sql, s, len(got), len(exp), i, g, w)
			return false
		}
	}
	return true
}

var trailingZeros = regexp.MustCompile(`(\.\d*?)0+( |$)`)

// sameNumbers compares answers without the zeros at the end of fractions.
func sameNumbers(a, b []string, inOrder bool) bool {
	trim := func(rows []string) []string {
		out := make([]string, len(rows))
		for i, r := range rows {
			out[i] = strings.ReplaceAll(trailingZeros.ReplaceAllString(r+" ", "$1 "), ". ", " ")
		}
		if !inOrder {
			sort.Strings(out)
		}
		return out
	}
	return slices.Equal(trim(a), trim(b))
}

// TestCorpus runs testdata/*.sql here and in PostgreSQL: same rows, types, display scale
// and SQLSTATE of errors.
func TestCorpus(t *testing.T) {
	db := pg.Database(t)
	db.Exec("SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET DateStyle = 'ISO, MDY'")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	tables := corpusTables(r)
	load(db, tables)
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	times := 6
	if testing.Short() {
		times = 1
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(f), func(t *testing.T) {
			for _, sql := range statements(string(text)) {
				for range times {
					cat := stored(r, tables, []int{10, 100, 1000}[r.IntN(3)])
					if !compare(t, db, cat, sql, randomSettings(r)) {
						break
					}
				}
			}
		})
	}
}

// statements splits a script at semicolons that end a line, and drops comments.
func statements(script string) []string {
	var out []string
	var cur []string
	for _, line := range strings.Split(script, "\n") {
		if strings.HasPrefix(line, "--") || strings.TrimSpace(line) == "" {
			continue
		}
		cur = append(cur, strings.TrimSuffix(line, ";"))
		if strings.HasSuffix(line, ";") {
			out = append(out, strings.Join(cur, "\n"))
			cur = nil
		}
	}
	return out
}

func asError(err error, to **schemas.Error) bool { return errors.As(err, to) }
