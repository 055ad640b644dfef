package segments

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // the driver

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/internal/pgtext"
	millsql "github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/schemas"
)

func openDuck(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	return db
}

// duckColumns maps the field ids of a file to the names that its columns have there.
func duckColumns(t *testing.T, db *sql.DB, path string) map[uint32]string {
	t.Helper()
	rows, err := db.Query("SELECT field_id, name FROM parquet_schema($1) WHERE field_id IS NOT NULL", path)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[uint32]string{}
	for rows.Next() {
		var id uint32
		var name string
		if err := rows.Scan(&id, &name); err != nil {
			t.Fatal(err)
		}
		out[id] = name
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// selected is the expression of a column whose text duckText can compare.
func selected(c schemas.Column, in map[uint32]string) string {
	name, ok := in[c.ID]
	if !ok {
		return "NULL::VARCHAR" // the file is older than the column
	}
	name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	switch c.Type.Kind {
	case schemas.Float32, schemas.Float64:
		return name + "::DOUBLE"
	case schemas.Bytea, schemas.Interval:
		return "hex(" + name + ")"
	}
	return name + "::VARCHAR"
}

// duckText puts what DuckDB answered as PostgreSQL prints it.
func duckText(c schemas.Column, v any) (string, error) {
	if v == nil {
		return "NULL", nil
	}
	if f, ok := v.(float64); ok {
		return "=" + string(pgtext.AppendFloat(nil, c.Type.Kind, f)), nil
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("column %s: DuckDB gives a %T", c.Name, v)
	}
	switch c.Type.Kind {
	case schemas.Bool:
		s = s[:1]
	case schemas.Bytea:
		s = `\x` + strings.ToLower(s)
	case schemas.Interval:
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 16 {
			return "", fmt.Errorf("column %s: interval %s", c.Name, s)
		}
		s = string(pgtext.AppendInterval(nil, int32(binary.LittleEndian.Uint32(b)), int32(binary.LittleEndian.Uint32(b[4:])), int64(binary.LittleEndian.Uint64(b[8:]))))
	case schemas.Numeric:
		// DuckDB leaves the zero before the point out where a type has no place for it.
		if digits, neg := strings.CutPrefix(s, "-"); strings.HasPrefix(digits, ".") {
			s = "0" + digits
			if neg {
				s = "-0" + digits
			}
		}
	case schemas.Date, schemas.Timestamp, schemas.TimestampTZ:
		// DuckDB writes years before 1 as "0044-03-15 (BC) 10:00:00+00".
		if strings.Contains(s, " (BC)") {
			s = strings.Replace(s, " (BC)", "", 1) + " BC"
		}
	}
	return "=" + s, nil
}

// duckRows reads the rows of a table from exported files, without the deleted ones,
// that every condition holds for.
func duckRows(t *testing.T, db *sql.DB, tab *schemas.Table, files []columnstore.ExportedSegment, where ...string) []string {
	t.Helper()
	var out []string
	for _, f := range files {
		if f.Table != tab.FullName() {
			continue
		}
		if _, err := db.Exec("CREATE OR REPLACE TEMP TABLE deleted AS SELECT unnest($1::UINTEGER[]) AS row", f.Deleted); err != nil {
			t.Fatal(err)
		}
		in := duckColumns(t, db, f.Path)
		exprs := make([]string, len(tab.Columns))
		for i, c := range tab.Columns {
			exprs[i] = selected(c, in)
		}
		rows, err := db.Query("SELECT "+strings.Join(exprs, ", ")+
			" FROM read_parquet($1, file_row_number = true) AS s WHERE "+
			strings.Join(append(where, "s.file_row_number NOT IN (SELECT row FROM deleted)"), " AND "), f.Path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, readRows(t, tab, rows)...)
	}
	sort.Strings(out)
	return out
}

func readRows(t *testing.T, tab *schemas.Table, rows *sql.Rows) (out []string) {
	t.Helper()
	defer rows.Close()
	vals, ptrs := make([]any, len(tab.Columns)), make([]any, len(tab.Columns))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	fields := make([]string, len(vals))
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		for i, v := range vals {
			s, err := duckText(tab.Columns[i], v)
			if err != nil {
				t.Fatal(err)
			}
			fields[i] = s
		}
		out = append(out, strings.Join(fields, "\x1f"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// ownRows reads a table with the warehouse's SQL, as duckRows does.
func ownRows(t *testing.T, snap *columnstore.Snapshot, tab *schemas.Table, where ...string) (out []string) {
	t.Helper()
	ctx := context.Background()
	names := make([]string, len(tab.Columns))
	for i, c := range tab.Columns {
		names[i] = `"` + c.Name + `"`
	}
	text := "SELECT " + strings.Join(names, ", ") + " FROM " + tab.FullName() + " WHERE " + strings.Join(append(where, "true"), " AND ")
	st, err := millsql.Prepare(ctx, text, snap, millsql.Options{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := millsql.Run(ctx, st, exec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	fields := make([]string, len(names))
	for {
		b, err := res.Next(ctx)
		if err == io.EOF {
			sort.Strings(out)
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			for c, v := range b.Vectors {
				fields[c] = "NULL"
				if !v.Null(i) {
					fields[c] = "=" + string(pgtext.AppendVector(nil, v, i))
				}
			}
			out = append(out, strings.Join(fields, "\x1f"))
		}
	}
}
