package rowexec

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

var pg pgtest.Shared

func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }

// attempt is a PostgreSQL function that turns an error into its SQLSTATE.
const attempt = `SET TimeZone = 'UTC';
CREATE FUNCTION attempt(q text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
	EXECUTE 'SELECT (' || q || ')::text' INTO r;
	RETURN r;
EXCEPTION WHEN OTHERS THEN
	RETURN 'ERROR ' || SQLSTATE;
END $$`

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// oracle evaluates expressions by PostgreSQL.
func oracle(db *pgtest.DB, exprs []string) []string {
	quoted := make([]string, len(exprs))
	for i, e := range exprs {
		quoted[i] = quote(e)
	}
	var out []string
	for len(quoted) > 0 {
		n := min(len(quoted), 500)
		res := db.Query("%s", "SELECT attempt(q) FROM unnest(ARRAY["+strings.Join(quoted[:n], ",")+"]::text[]) WITH ORDINALITY AS u(q, o) ORDER BY o")
		for _, r := range res.Rows {
			out = append(out, r[0])
		}
		quoted = quoted[n:]
	}
	return out
}

// shown is a result as attempt shows it.
func shown(v schemas.Value, err error) string {
	var e *schemas.Error
	switch {
	case errors.As(err, &e):
		return "ERROR " + e.SQLState
	case err != nil:
		return err.Error()
	case v.IsNull():
		return pgtest.Null
	}
	return textOf(v, schemas.Text)
}

// sqlCall writes a call as PostgreSQL reads it.
func sqlCall(f *expr.Func, args []string) string {
	for i := range args {
		kind := argKind(f, i).String()
		if kind == "character" { // which is character(1)
			kind = "bpchar"
		}
		args[i] = quote(args[i]) + "::" + kind
	}
	if f.Name[0] < 'a' || f.Name[0] > 'z' || strings.HasPrefix(f.Name, "is ") {
		if len(args) == 1 {
			return f.Name + " (" + args[0] + ")"
		}
		return args[0] + " " + strings.ToUpper(f.Name) + " " + args[1]
	}
	return f.Name + "(" + strings.Join(args, ", ") + ")"
}

// notInSQL are functions that PostgreSQL reaches through syntax of their own, or
// that differ on purpose.
func notInSQL(f *expr.Func) bool { return f.Name == "now" || f.Name == "extract" }

func TestFunctionsAgainstPostgreSQL(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", attempt)
	for _, f := range fn.Builtin().Impls() {
		if notInSQL(f) {
			continue
		}
		var sqls, got []string
		combinations(f, func(args []string) {
			call := &expr.Call{Func: f}
			for i, s := range args {
				call.Args = append(call.Args, typed(argKind(f, i), value(t, argKind(f, i), s)))
			}
			got = append(got, shown(scope.Eval(call, nil)))
			sqls = append(sqls, sqlCall(f, args))
		})
		bad := 0
		for i, want := range oracle(db, sqls) {
			if !same(f.Result, got[i], want) && !apart(sqls[i], got[i], want) {
				if bad++; bad <= 5 {
					t.Errorf("%s: %q, PostgreSQL has %q", sqls[i], got[i], want)
				}
			}
		}
	}
}

func TestExtractAgainstPostgreSQL(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", attempt)
	for _, k := range []schemas.Kind{schemas.Date, schemas.Time, schemas.Timestamp, schemas.TimestampTZ, schemas.Interval} {
		f := &expr.Func{Name: "extract", Args: []schemas.Kind{schemas.Text, k}, Result: schemas.Numeric}
		var sqls, got []string
		for unit := range unitNames {
			for _, s := range samples[k] {
				call := &expr.Call{Func: f, Args: []expr.Expr{typed(schemas.Text, schemas.NewText(unit)), typed(k, value(t, k, s))}}
				got = append(got, shown(scope.Eval(call, nil)))
				sqls = append(sqls, fmt.Sprintf("extract('%s' from %s::%s)", unit, quote(s), k))
			}
		}
		for i, want := range oracle(db, sqls) {
			if got[i] != want {
				t.Errorf("%s: %q, PostgreSQL has %q", sqls[i], got[i], want)
			}
		}
	}
}

func TestTruncationAgainstPostgreSQL(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", attempt)
	for _, k := range []schemas.Kind{schemas.Timestamp, schemas.TimestampTZ, schemas.Interval} {
		f := fn.Builtin().Impl("date_trunc(text," + k.String() + ")")
		for unit := range unitNames {
			var sqls, got []string
			for _, s := range samples[k] {
				got = append(got, shown(scope.Eval(&expr.Call{Func: f, Args: []expr.Expr{typed(schemas.Text, schemas.NewText(unit)), typed(k, value(t, k, s))}}, nil)))
				sqls = append(sqls, sqlCall(f, []string{unit, s}))
			}
			for i, want := range oracle(db, sqls) {
				if got[i] != want && !apart(sqls[i], got[i], want) {
					t.Errorf("%s: %q, PostgreSQL has %q", sqls[i], got[i], want)
				}
			}
		}
	}
}

func TestCastsAgainstPostgreSQL(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", attempt)
	for _, c := range fn.Casts() {
		types := []schemas.Type{{Kind: c.To}}
		switch c.To {
		case schemas.Numeric:
			types = append(types, schemas.Type{Kind: c.To, Precision: 6, Scale: 2}, schemas.Type{Kind: c.To, Precision: 3, Scale: 0})
		case schemas.Char:
			types = []schemas.Type{{Kind: c.To, Length: 3}}
		case schemas.Varchar:
			types = append(types, schemas.Type{Kind: c.To, Length: 3})
		}
		for _, to := range types {
			var sqls, got []string
			for _, s := range samples[c.From] {
				got = append(got, shown(scope.Eval(&expr.Cast{Node: expr.Node{Typ: to}, Arg: typed(c.From, value(t, c.From, s))}, nil)))
				from := c.From.String()
				if c.From == schemas.Char {
					from = "bpchar"
				}
				sqls = append(sqls, fmt.Sprintf("%s::%s::%s", quote(s), from, to))
			}
			for i, want := range oracle(db, sqls) {
				if got[i] != want {
					t.Errorf("%s: %q, PostgreSQL has %q", sqls[i], got[i], want)
				}
			}
		}
	}
}

// apart are differences that are meant: refusals where PostgreSQL computes with what
// it holds for infinity, reads POSIX zone names, or overflows; other SQLSTATEs for
// a unit or encoding that is refused all the same.
func apart(sql, got, want string) bool {
	refusal := got == "ERROR 22008" || got == "ERROR 22023" || got == "ERROR 0A000"
	return refusal && (strings.HasPrefix(want, "ERROR 22023") || strings.HasPrefix(want, "ERROR 0A000")) ||
		strings.HasPrefix(sql, "age(") && strings.Contains(sql, "infinity") ||
		strings.HasPrefix(sql, "timezone('5'") && got == "ERROR 22023" ||
		strings.HasPrefix(sql, "right(") && strings.Contains(sql, "-2147483648")
}

// same compares results; floats may differ in the last digits, where PostgreSQL
// uses another mathematics library.
func same(k schemas.Kind, got, want string) bool {
	if got == want || !k.IsFloat() {
		return got == want
	}
	a, err1 := strconv.ParseFloat(got, 64)
	b, err2 := strconv.ParseFloat(want, 64)
	return err1 == nil && err2 == nil && math.Abs(a-b) <= 1e-14*math.Abs(b)
}
