package segments

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// checked exports the store and compares every table with what DuckDB reads. It
// returns the files and how many rows each table has, and deleted rows in all.
func checked(t *testing.T, db *sql.DB, s *source, tables ...*schemas.Table) (files []columnstore.ExportedSegment, rows map[string]int, deleted map[string]int) {
	t.Helper()
	files, snap, err := s.store.Export(context.Background())
	s.check(err)
	defer snap.Close()
	rows, deleted = map[string]int{}, map[string]int{}
	for _, f := range files {
		deleted[f.Table] += len(f.Deleted)
	}
	for _, tab := range tables {
		rows[tab.FullName()] = compare(t, db, snap, tab, files)
	}
	return files, rows, deleted
}

func compare(t *testing.T, db *sql.DB, snap *columnstore.Snapshot, tab *schemas.Table, files []columnstore.ExportedSegment) int {
	t.Helper()
	own, duck := ownRows(t, snap, tab), duckRows(t, db, tab, files)
	if len(own) != len(duck) {
		t.Errorf("table %s: the query finds %d rows, DuckDB %d", tab.FullName(), len(own), len(duck))
	}
	bad := 0
	for i := range min(len(own), len(duck)) {
		if own[i] == duck[i] {
			continue
		}
		if bad++; bad > 5 {
			break
		}
		a, b := strings.Split(own[i], "\x1f"), strings.Split(duck[i], "\x1f")
		for c := range tab.Columns {
			if a[c] != b[c] {
				t.Errorf("table %s, key %s, column %s: the query finds %q, DuckDB %q", tab.FullName(), a[0], tab.Columns[c].Name, a[c], b[c])
			}
		}
	}
	return len(own)
}

func filesOf(files []columnstore.ExportedSegment, tab *schemas.Table) (paths []string) {
	for _, f := range files {
		if f.Table == tab.FullName() {
			paths = append(paths, f.Path)
		}
	}
	return paths
}

func TestDuckDBReadsTheSegments(t *testing.T) {
	const wideRows, lineRows, eventRows = 3000, 140_000, 500
	wide, lines, events := wideTable(), linesTable(), eventsTable()
	s, db, r := newSource(t, wide, lines, events), openDuck(t), rand.New(rand.NewPCG(1, 2))

	w, l, e := change.New(wide, wideRows), change.New(lines, lineRows), change.New(events, eventRows)
	for i := range int64(wideRows) {
		s.add(w, change.Insert, wideRow(r, i))
	}
	for i := range int64(lineRows) {
		s.add(l, change.Insert, linesRow(i, schemas.NewNumeric(i*3, 2)))
	}
	for i := range int64(eventRows) {
		s.add(e, change.Insert, schemas.Row{schemas.NewInt(schemas.Int64, i%7), schemas.NewText("note")})
	}
	s.commit(w, l, e)
	files, rows, deleted := checked(t, db, s, wide, lines, events)
	if rows["public.wide"] != wideRows || rows["public.lines"] != lineRows || rows["public.events"] != eventRows {
		t.Fatalf("rows: %v", rows)
	}
	if deleted["public.wide"]+deleted["public.lines"] != 0 {
		t.Fatalf("deleted rows before any delete: %v", deleted)
	}
	checkTypes(t, db, filesOf(files, wide))

	// Updates and deletes, in the first row group and the last, and rows that were
	// deleted once already under the same key.
	w, l, e = change.New(wide, wideRows), change.New(lines, lineRows), change.New(events, eventRows)
	goneWide, goneLines := 0, 0
	for i := range int64(wideRows) {
		switch r.IntN(4) {
		case 0:
			s.add(w, change.Delete, wideRow(r, i))
			goneWide++
		case 1:
			s.add(w, change.Update, wideRow(r, i))
		}
	}
	for i := int64(0); i < lineRows; i += 1 + r.Int64N(9) {
		if r.IntN(2) == 0 {
			s.add(l, change.Delete, linesRow(i, schemas.Null))
			goneLines++
			continue
		}
		// NaN makes the column text in the next segment, while it is DECIMAL in the first.
		s.add(l, change.Update, linesRow(i, schemas.NewNumericText("NaN")))
	}
	s.add(e, change.Insert, schemas.Row{schemas.Null, schemas.Null})
	s.commit(w, l, e)
	files, snap, err := s.store.Export(context.Background())
	s.check(err)
	for _, f := range files {
		deleted[f.Table] += len(f.Deleted)
	}
	if deleted["public.wide"] < wideRows/3 || deleted["public.lines"] < lineRows/10 {
		t.Fatalf("deleted rows: %v", deleted)
	}

	// What comes later changes nothing of what was exported: not even a merge, since
	// the snapshot holds the files.
	w = change.New(wide, 100)
	for i := range int64(100) {
		s.add(w, change.Update, wideRow(r, i))
	}
	s.commit(w)
	s.check(s.store.Compact(context.Background()))
	if n := compare(t, db, snap, wide, files); n != wideRows-goneWide {
		t.Errorf("wide has %d rows, not %d", n, wideRows-goneWide)
	}
	if n := compare(t, db, snap, lines, files); n != lineRows-goneLines {
		t.Errorf("lines has %d rows, not %d", n, lineRows-goneLines)
	}
	compare(t, db, snap, events, files)
	checkFilters(t, db, snap, wide, files, "id >= 2990", "f4 > 1e30", "f8 = 0", "f8 <= -1", "f8 = 'NaN'", "money < 0", "narrow = 1.5", "t = ''", "t >= 'x'", "c = 'abcdef'",
		"d = 'infinity'", "d < '0001-01-01'", "ts = '-infinity'", "tz > '9999-01-01 00:00:00+00'", "u = 'ffffffff-ffff-ffff-ffff-ffffffffffff'", "nothing IS NULL", "b IS NULL")
	checkFilters(t, db, snap, lines, files, "line BETWEEN 65530 AND 65540", "line >= 139900", "code = 'code 13'", "code > 'code 9'", "day = '1971-01-01'", "day > '1973-10-01'")
	snap.Close()

	// Merged segments hold no deleted rows.
	if _, _, deleted = checked(t, db, s, wide, lines, events); deleted["public.wide"]+deleted["public.lines"] != 0 {
		t.Errorf("deleted rows after a merge: %v", deleted)
	}
}

// Field ids find a column that was renamed, though another one has its name now.
func TestDuckDBFollowsColumnsByFieldID(t *testing.T) {
	lines := linesTable()
	s, db := newSource(t, lines), openDuck(t)
	b := change.New(lines, 1000)
	for i := range int64(1000) {
		s.add(b, change.Insert, linesRow(i, schemas.NewNumeric(i, 2)))
	}
	s.commit(b)
	s.check(s.store.Flush(context.Background()))

	next := linesTable()
	next.Version = 2
	next.Columns[1].Name = "amount"
	next.Columns = append(next.Columns, column(9, "price", kind(schemas.Float64))) // a name that was another column's
	s.check(s.loader.Begin(context.Background(), "2", true, next))
	b = change.New(next, 1000)
	for i := range int64(1000) {
		s.add(b, change.Insert, append(linesRow(i, schemas.NewNumeric(i, 2)), schemas.NewFloat(schemas.Float64, 0.5)))
	}
	s.commit(b)
	s.check(s.store.Flush(context.Background()))
	b = change.New(next, 300)
	for i := int64(0); i < 1200; i += 4 {
		s.add(b, change.Update, append(linesRow(i, schemas.NewNumeric(-i, 2)), schemas.NewFloat(schemas.Float64, 0.1)))
	}
	s.commit(b)
	files, rows, deleted := checked(t, db, s, next)
	if len(filesOf(files, next)) < 2 || rows["public.lines"] != 1050 || deleted["public.lines"] != 250 {
		t.Errorf("%d files, rows %v, deleted %v", len(files), rows, deleted)
	}

	s.reopen()
	if _, rows, deleted = checked(t, db, s, next); rows["public.lines"] != 1050 || deleted["public.lines"] != 250 {
		t.Errorf("after a restart: rows %v, deleted %v", rows, deleted)
	}
}

// checkFilters counts the rows that conditions hold for. DuckDB leaves out what the
// statistics of the files exclude, so that a wrong bound there loses rows.
func checkFilters(t *testing.T, db *sql.DB, snap *columnstore.Snapshot, tab *schemas.Table, files []columnstore.ExportedSegment, conditions ...string) {
	t.Helper()
	for _, where := range conditions {
		own, duck := ownRows(t, snap, tab, where), duckRows(t, db, tab, files, where)
		if len(own) == 0 || len(own) != len(duck) {
			t.Errorf("table %s, where %s: the query finds %d rows, DuckDB %d", tab.FullName(), where, len(own), len(duck))
		}
	}
}

// checkTypes compares DuckDB's types of the wide table with those that
// docs/formats/segment.md promises.
func checkTypes(t *testing.T, db *sql.DB, paths []string) {
	t.Helper()
	if len(paths) != 1 {
		t.Fatalf("%d files, not one", len(paths))
	}
	want := map[string]string{"id": "BIGINT"}
	for _, c := range wideColumns() {
		want[c.Name] = c.duck
	}
	rows, err := db.Query("SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet($1))", paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			t.Fatal(err)
		}
		if found++; typ != want[name] {
			t.Errorf("column %s is %s to DuckDB, not %s", name, typ, want[name])
		}
	}
	if err := rows.Err(); err != nil || found != len(want) {
		t.Errorf("%d columns, not %d: %v", found, len(want), err)
	}
}
