package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// queryTimeout bounds every statement of a test.
const queryTimeout = 2 * time.Minute

// DB is a connection of a test. A failing statement fails the test, except where
// the method returns the error. It has one caller at a time.
type DB struct {
	// DSN is how it connected.
	DSN  string
	t    testing.TB
	conn *pgconn.PgConn
}

// Connect opens a connection as the superuser, closed when the test ends.
func (s *Server) Connect(t testing.TB, database string) *DB {
	t.Helper()
	return Open(t, s.DSNFor("postgres", s.opts.Password, database))
}

// Open connects with a DSN; the connection is closed when the test ends.
func Open(t testing.TB, dsn string) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	db := &DB{DSN: dsn, t: t, conn: conn}
	t.Cleanup(db.Close)
	return db
}

// Close ends the connection. Idempotent.
func (db *DB) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	db.conn.Close(ctx)
}

// Exec runs statements, separated by semicolons.
func (db *DB) Exec(format string, args ...any) {
	db.t.Helper()
	if err := db.TryExec(format, args...); err != nil {
		db.t.Fatal(err)
	}
}

// TryExec is Exec that returns the error.
func (db *DB) TryExec(format string, args ...any) error {
	sql := format
	if len(args) > 0 {
		sql = fmt.Sprintf(format, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	if _, err := db.conn.Exec(ctx, sql).ReadAll(); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// Null stands for NULL in the rows of Query.
const Null = "\x00NULL"

// Result is the answer of a query in PostgreSQL's text output.
type Result struct {
	Columns []string
	OIDs    []uint32
	Rows    [][]string // Null for NULL
}

// Query runs one statement.
func (db *DB) Query(format string, args ...any) Result {
	db.t.Helper()
	r, err := db.TryQuery(format, args...)
	if err != nil {
		db.t.Fatal(err)
	}
	return r
}

// TryQuery is Query that returns the error, a *pgconn.PgError from the server.
func (db *DB) TryQuery(format string, args ...any) (Result, error) {
	sql := format
	if len(args) > 0 {
		sql = fmt.Sprintf(format, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	return collect(db.conn.Exec(ctx, sql))
}

// collect keeps the last statement's result.
func collect(mr *pgconn.MultiResultReader) (out Result, err error) {
	for mr.NextResult() {
		if out, err = read(mr.ResultReader()); err != nil {
			mr.Close()
			return Result{}, err
		}
	}
	return out, mr.Close()
}

func read(r *pgconn.ResultReader) (Result, error) {
	var out Result
	for _, f := range r.FieldDescriptions() {
		out.Columns = append(out.Columns, f.Name)
		out.OIDs = append(out.OIDs, f.DataTypeOID)
	}
	for r.NextRow() {
		row := make([]string, len(r.Values()))
		for i, v := range r.Values() {
			row[i] = Null
			if v != nil {
				row[i] = string(v)
			}
		}
		out.Rows = append(out.Rows, row)
	}
	_, err := r.Close()
	return out, err
}

// Params runs one statement with parameters given as text (nil for NULL), whose
// types PostgreSQL infers.
func (db *DB) Params(sql string, params ...[]byte) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	return read(db.conn.ExecParams(ctx, sql, params, nil, nil, nil))
}

// One returns the single value of a query, Null for NULL.
func (db *DB) One(format string, args ...any) string {
	db.t.Helper()
	r := db.Query(format, args...)
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 {
		db.t.Fatalf("%s: want one value, got %d rows", format, len(r.Rows))
	}
	return r.Rows[0][0]
}
