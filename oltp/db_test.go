package oltp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

var ctx = context.Background()

// small options make flushes, checkpoints and segment changes happen in small tests.
func small(fsys vfs.FS) oltp.Options {
	return oltp.Options{Dir: "/db", FS: fsys, MemoryBytes: 1 << 20, LogSegmentBytes: 32 << 10, CheckpointBytes: 64 << 10}
}

func open(t testing.TB, o oltp.Options) *oltp.DB {
	t.Helper()
	db, err := oltp.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func memory(t testing.TB, tables ...schemas.Table) *oltp.DB {
	t.Helper()
	db := open(t, small(vfstest.NewMem()))
	Create(t, db, tables...)
	return db
}

func TestWritesAndReads(t *testing.T) {
	db := memory(t, Accounts(), Lines())
	lsn, err := db.Update(ctx, func(tx *oltp.Tx) error {
		require.NoError(t, tx.Insert("accounts", Account(1, 100, "ann")))
		require.NoError(t, tx.Insert("public.accounts", Account(2, 200, "")))
		row, err := tx.Get("accounts", ID(2)) // its own write
		require.NoError(t, err)
		require.Equal(t, Account(2, 200, ""), row)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, lsn, db.DurableLSN())

	old, err := db.Begin(ctx, oltp.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	defer old.Rollback()
	_, err = db.Update(ctx, func(tx *oltp.Tx) error {
		require.NoError(t, tx.Update("accounts", Account(1, 150, "ann")))
		require.NoError(t, tx.Delete("accounts", ID(2)))
		require.NoError(t, tx.Upsert("accounts", Account(3, 3, "c")))
		require.NoError(t, tx.Upsert("accounts", Account(3, 33, "c")))
		require.NoError(t, tx.UpdateKey("accounts", []schemas.Value{ID(1)}, Account(9, 150, "ann")))
		return nil
	})
	require.NoError(t, err)
	now := DumpNow(t, db)
	require.Len(t, now["public.accounts"], 2)
	require.Equal(t, Account(9, 150, "ann"), now["public.accounts"]["bigint:9|"])
	require.Equal(t, Account(3, 33, "c"), now["public.accounts"]["bigint:3|"])
	was := Dump(t, db, old)
	require.Len(t, was["public.accounts"], 2, "the old snapshot stands")
	require.Equal(t, Account(1, 100, "ann"), was["public.accounts"]["bigint:1|"])
}

func TestRefusals(t *testing.T) {
	narrow := schemas.Table{Name: "narrow", Key: []uint32{1}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.Type{Kind: schemas.Int16}},
		{Name: "name", Type: schemas.Type{Kind: schemas.Varchar, Length: 3}, NotNull: true},
		{Name: "price", Type: schemas.Type{Kind: schemas.Numeric, Precision: 5, Scale: 2}},
		{Name: "doc", Type: schemas.Type{Kind: schemas.JSONB}},
		{Name: "uid", Type: schemas.Type{Kind: schemas.UUID}},
	}}
	db := memory(t, narrow)
	name := schemas.NewText("abc")
	id := schemas.NewInt(schemas.Int64, 7)
	for what, c := range map[string]struct {
		row   schemas.Row
		state string
	}{
		"too few values":   {schemas.Row{id, name}, "42601"},
		"NULL key":         {schemas.Row{schemas.Null, name, schemas.Null, schemas.Null, schemas.Null}, "23502"},
		"NULL in NOT NULL": {schemas.Row{id, schemas.Null, schemas.Null, schemas.Null, schemas.Null}, "23502"},
		"out of range":     {schemas.Row{schemas.NewInt(schemas.Int64, 40000), name, schemas.Null, schemas.Null, schemas.Null}, "22003"},
		"another type":     {schemas.Row{name, name, schemas.Null, schemas.Null, schemas.Null}, "42804"},
		"too long":         {schemas.Row{id, schemas.NewText("abcd"), schemas.Null, schemas.Null, schemas.Null}, "22001"},
		"bad UTF-8":        {schemas.Row{id, schemas.NewText("\xff"), schemas.Null, schemas.Null, schemas.Null}, "22021"},
		"NUL":              {schemas.Row{id, schemas.NewText("\x00"), schemas.Null, schemas.Null, schemas.Null}, "22021"},
		"digits after":     {schemas.Row{id, name, schemas.NewNumeric(1234, 3), schemas.Null, schemas.Null}, "22003"},
		"digits before":    {schemas.Row{id, name, schemas.NewNumeric(1234, 0), schemas.Null, schemas.Null}, "22003"},
		"infinite":         {schemas.Row{id, name, schemas.NewNumericText("Infinity"), schemas.Null, schemas.Null}, "22003"},
		"no number":        {schemas.Row{id, name, schemas.NewNumericText("12x"), schemas.Null, schemas.Null}, "22P02"},
		"no JSON":          {schemas.Row{id, name, schemas.Null, schemas.NewBytes(schemas.JSONB, "{"), schemas.Null}, "22P02"},
		"no UUID":          {schemas.Row{id, name, schemas.Null, schemas.Null, schemas.NewBytes(schemas.UUID, "x")}, "22P02"},
	} {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("narrow", c.row) })
		var typed *schemas.Error
		require.ErrorAs(t, err, &typed, what)
		require.Equal(t, c.state, typed.SQLState, "%s: %v", what, err)
	}

	ok := schemas.Row{id, name, schemas.NewNumeric(15, 1), schemas.Null, schemas.Null}
	_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("narrow", ok) })
	require.NoError(t, err)
	require.NoError(t, db.View(ctx, func(tx *oltp.Tx) error {
		row, err := tx.Get("narrow", id)
		require.NoError(t, err)
		require.Equal(t, schemas.NewInt(schemas.Int16, 7), row[0])
		require.Equal(t, schemas.NewNumeric(150, 2), row[2], "shown with the column's scale")
		require.Equal(t, oltp.ErrReadOnly, tx.Insert("narrow", ok))
		_, err = tx.Get("narrows", id)
		require.Equal(t, schemas.CodeUnknownTable, schemas.CodeOf(err))
		require.ErrorContains(t, err, "public.narrow")
		_, err = tx.Get("narrow", id, id)
		require.Equal(t, schemas.CodeType, schemas.CodeOf(err))
		return nil
	}))
	_, err = db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("narrow", ok) })
	require.Equal(t, schemas.CodeConstraint, schemas.CodeOf(err))
	require.ErrorContains(t, err, "id=7")
	_, err = db.Update(ctx, func(tx *oltp.Tx) error { return tx.Delete("narrow", schemas.NewInt(schemas.Int16, 8)) })
	require.ErrorIs(t, err, oltp.ErrNotFound)
}

func TestTablesRefused(t *testing.T) {
	db := memory(t, Accounts())
	for what, c := range map[string]struct {
		table schemas.Table
		code  schemas.Code
	}{
		"exists":       {Accounts(), schemas.CodeConstraint},
		"no key":       {schemas.Table{Name: "x", Columns: Accounts().Columns}, schemas.CodeUnsupported},
		"unknown key":  {schemas.Table{Name: "x", Columns: Accounts().Columns, Key: []uint32{7}}, schemas.CodeInvalid},
		"key twice":    {schemas.Table{Name: "x", Columns: Accounts().Columns, Key: []uint32{1, 1}}, schemas.CodeInvalid},
		"interval key": {schemas.Table{Name: "x", Columns: []schemas.Column{{Name: "i", Type: schemas.Type{Kind: schemas.Interval}}}, Key: []uint32{1}}, schemas.CodeUnsupported},
		"no name":      {schemas.Table{Columns: Accounts().Columns, Key: []uint32{1}}, schemas.CodeInvalid},
	} {
		_, err := db.CreateTable(ctx, c.table)
		require.Equal(t, c.code, schemas.CodeOf(err), "%s: %v", what, err)
	}
}

func TestScanRanges(t *testing.T) {
	db := memory(t, Lines())
	var all []schemas.Row
	_, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for order := int64(-2); order <= 2; order++ {
			for line := int64(1); line <= 3; line++ {
				all = append(all, Line(order, line, "x", order*10+line))
				require.NoError(t, tx.Insert("lines", all[len(all)-1]))
			}
		}
		return nil
	})
	require.NoError(t, err)
	scan := func(tx *oltp.Tx, r oltp.Range) (rows []schemas.Row) {
		for row, err := range tx.Scan("lines", r) {
			require.NoError(t, err)
			rows = append(rows, row)
		}
		return rows
	}
	reversed := func(rows []schemas.Row) []schemas.Row {
		rows = slices.Clone(rows)
		slices.Reverse(rows)
		return rows
	}
	o := func(n int64) schemas.Value { return schemas.NewInt(schemas.Int64, n) }
	l := func(n int64) schemas.Value { return schemas.NewInt(schemas.Int32, n) }
	tx, err := db.Begin(ctx, oltp.TxOptions{})
	require.NoError(t, err)
	defer tx.Rollback()
	check := func() {
		require.Equal(t, all, scan(tx, oltp.Range{}))
		require.Equal(t, reversed(all), scan(tx, oltp.Range{Reverse: true}))
		require.Equal(t, all[6:9], scan(tx, oltp.Prefix(o(0))))
		require.Equal(t, reversed(all[6:9]), scan(tx, oltp.Range{From: []schemas.Value{o(0)}, To: []schemas.Value{o(0)}, Reverse: true}))
		require.Equal(t, all[3:8], scan(tx, oltp.Range{From: []schemas.Value{o(-1)}, To: []schemas.Value{o(0), l(2)}}))
		require.Equal(t, all[6:7], scan(tx, oltp.Range{From: []schemas.Value{o(-1)}, FromExclusive: true, To: []schemas.Value{o(0), l(2)}, ToExclusive: true}))
		require.Equal(t, all[13:], scan(tx, oltp.Range{From: []schemas.Value{o(2), l(1)}, FromExclusive: true}))
		require.Equal(t, all[:2], scan(tx, oltp.Range{Limit: 2}))
		require.Equal(t, all[4:5], scan(tx, oltp.Range{Where: func(r schemas.Row) bool { return r[3] == all[4][3] }}))
		require.Empty(t, scan(tx, oltp.Range{From: []schemas.Value{o(1)}, To: []schemas.Value{o(0)}}))
		require.Empty(t, scan(tx, oltp.Range{From: []schemas.Value{o(1)}, To: []schemas.Value{o(1)}, ToExclusive: true}))
	}
	check()
	// The same rows, some of them now from the transaction's own writes.
	for i, row := range all {
		switch i % 3 {
		case 0:
			require.NoError(t, tx.Delete("lines", row[0], row[1]))
			require.NoError(t, tx.Insert("lines", row))
		case 1:
			row = slices.Clone(row)
			row[2] = schemas.NewText("y")
			require.NoError(t, tx.Update("lines", row))
			all[i] = row
		}
	}
	require.NoError(t, tx.Insert("lines", Line(0, 9, "gone again", 1)))
	require.NoError(t, tx.Delete("lines", o(0), l(9)))
	check()
	require.NoError(t, tx.Truncate("lines"))
	require.Empty(t, scan(tx, oltp.Range{}))
	require.NoError(t, tx.Insert("lines", all[2]))
	all = all[2:3]
	require.Equal(t, all, scan(tx, oltp.Range{}))
	_, err = tx.Commit()
	require.NoError(t, err)
	require.Len(t, DumpNow(t, db)["public.lines"], 1)
}

// TestEveryType stores random rows of every type, closes, reopens and compares.
func TestEveryType(t *testing.T) {
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	Create(t, db, Everything())
	table, err := db.Table("everything")
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	want := Copy{}
	for range 300 {
		row := RandomRow(r, table)
		_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Upsert("everything", row) })
		require.NoError(t, err)
		want.Put(table, row)
	}
	check := func() {
		// Keys that are equal though written differently (1.0 and 1.00) are one row.
		got := DumpNow(t, db)
		for key, row := range got[table.FullName()] {
			require.Equal(t, want[table.FullName()][key], row)
		}
		require.Greater(t, len(got[table.FullName()]), 250)
	}
	check()
	require.NoError(t, db.Close())
	db = open(t, small(fsys))
	check()
	require.NoError(t, db.Verify(ctx))
}

func TestFirstCommitterWins(t *testing.T) {
	db := memory(t, Accounts())
	_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(1, 1, "")) })
	require.NoError(t, err)
	begin := func() *oltp.Tx {
		tx, err := db.Begin(ctx, oltp.TxOptions{})
		require.NoError(t, err)
		return tx
	}
	conflict := func(tx *oltp.Tx) {
		t.Helper()
		_, err := tx.Commit()
		var typed *schemas.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, "40001", typed.SQLState)
		require.True(t, typed.Retryable)
		_, err = tx.Commit()
		require.ErrorIs(t, err, oltp.ErrTxDone)
	}
	commit := func(tx *oltp.Tx) {
		t.Helper()
		_, err := tx.Commit()
		require.NoError(t, err)
	}
	a, b := begin(), begin()
	require.NoError(t, a.Update("accounts", Account(1, 2, "")))
	require.NoError(t, b.Update("accounts", Account(1, 3, "")))
	commit(b)
	conflict(a)

	a, b = begin(), begin() // both insert one key
	require.NoError(t, a.Insert("accounts", Account(2, 2, "a")))
	require.NoError(t, b.Insert("accounts", Account(2, 2, "b")))
	commit(a)
	conflict(b)

	a, b = begin(), begin() // a lock against a write
	require.NoError(t, a.Lock("accounts", ID(1)))
	require.NoError(t, a.Update("accounts", Account(2, 5, "")))
	require.NoError(t, b.Update("accounts", Account(1, 4, "")))
	commit(b)
	conflict(a)

	a, b = begin(), begin() // TRUNCATE against an insert, both ways
	require.NoError(t, a.Truncate("accounts"))
	require.NoError(t, b.Insert("accounts", Account(7, 7, "")))
	commit(b)
	conflict(a)
	a, b = begin(), begin()
	require.NoError(t, a.Truncate("accounts"))
	require.NoError(t, b.Insert("accounts", Account(8, 7, "")))
	commit(a)
	conflict(b)
	require.Empty(t, DumpNow(t, db)["public.accounts"])
	require.EqualValues(t, 5, db.Stats().Conflicts)
}

func TestUpdateRetriesAndGivesUp(t *testing.T) {
	o := small(vfstest.NewMem())
	o.MaxAttempts = 4
	db := open(t, o)
	Create(t, db, Accounts())
	runs := 0
	interfere := func(times int) error {
		runs = 0
		_, err := db.Update(ctx, func(tx *oltp.Tx) error {
			if runs++; runs <= times {
				_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Upsert("accounts", Account(1, int64(runs), "")) })
				require.NoError(t, err)
			}
			return tx.Upsert("accounts", Account(1, -1, ""))
		})
		return err
	}
	require.NoError(t, interfere(3))
	require.Equal(t, 4, runs)
	err := interfere(4)
	require.Equal(t, schemas.CodeConflict, schemas.CodeOf(err))
	require.Equal(t, 4, runs)

	mine := errors.New("mine")
	_, err = db.Update(ctx, func(*oltp.Tx) error { return mine })
	require.ErrorIs(t, err, mine)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = db.Update(canceled, func(*oltp.Tx) error { return nil })
	require.Equal(t, schemas.CodeCanceled, schemas.CodeOf(err))
}

func TestTooLargeTransaction(t *testing.T) {
	o := small(vfstest.NewMem())
	o.MaxTxBytes = 10_000
	db := open(t, o)
	Create(t, db, Accounts())
	_, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for i := range int64(100) {
			if err := tx.Upsert("accounts", Account(i%3, i, strings.Repeat("x", 1000))); err != nil {
				return err
			}
		}
		return nil
	})
	require.Equal(t, schemas.CodeTooLarge, schemas.CodeOf(err))
}

// TestLargeTransaction spans many parts in the log, and is recovered from it whole.
func TestLargeTransaction(t *testing.T) {
	fsys := vfstest.NewMem()
	o := small(fsys)
	o.CheckpointBytes = 1 << 40
	db := open(t, o)
	Create(t, db, Accounts())
	_, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for i := range int64(600) {
			if err := tx.Insert("accounts", Account(i, i, strings.Repeat("y", 8000))); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, err)
	crashed := fsys.CrashClone(0, 0)
	o.FS = crashed
	again := open(t, o)
	require.Empty(t, Diff(DumpNow(t, db), DumpNow(t, again)))
	require.Len(t, DumpNow(t, again)["public.accounts"], 600)
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := open(t, oltp.Options{Dir: dir})
	_, err := oltp.Open(oltp.Options{Dir: dir})
	require.Equal(t, schemas.CodeInUse, schemas.CodeOf(err), "%v", err)
	id := db.LogID()
	Create(t, db, Accounts())
	old, err := db.Begin(ctx, oltp.TxOptions{})
	require.NoError(t, err)
	reader, err := db.ReadLog(0)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	closed := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, oltp.ErrClosed)
	}
	_, err = db.Begin(ctx, oltp.TxOptions{})
	closed(err)
	_, err = old.Get("accounts", ID(1))
	closed(err)
	for _, err := range old.Scan("accounts", oltp.Range{}) {
		closed(err)
	}
	old.Rollback()
	_, _, err = reader.Next(ctx)
	if err == nil { // what was durable may still be read
		_, _, err = reader.Next(ctx)
	}
	closed(err)
	_, err = db.ReadLog(0)
	closed(err)
	_, err = db.CreateSlot(ctx, "s")
	closed(err)
	closed(db.Checkpoint(ctx))
	require.NotPanics(t, func() { db.Stats() })

	_, err = oltp.Open(oltp.Options{Dir: dir, Engine: "btree"})
	require.Equal(t, schemas.CodeUnsupported, schemas.CodeOf(err))
	_, err = oltp.Open(oltp.Options{Dir: t.TempDir(), Engine: "wtree"})
	require.Equal(t, schemas.CodeUnsupported, schemas.CodeOf(err))
	require.ErrorContains(t, err, "engines: lsm")
	_, err = oltp.Open(oltp.Options{SlotPolicy: "x", MaxTxBytes: -1})
	require.ErrorContains(t, err, "no Dir is given")
	require.ErrorContains(t, err, "SlotPolicy")

	db = open(t, oltp.Options{Dir: dir})
	require.Equal(t, id, db.LogID())
	require.NoError(t, db.Close())
	format := filepath.Join(dir, "FORMAT")
	require.NoError(t, vfs.WriteFile(vfs.OS, format, []byte(`{"magic":"millrace-oltp","version":2,"engine":"lsm"}`)))
	_, err = oltp.Open(oltp.Options{Dir: dir})
	require.Equal(t, schemas.CodeUnsupported, schemas.CodeOf(err))
	require.NoError(t, vfs.WriteFile(vfs.OS, format, []byte("what")))
	_, err = oltp.Open(oltp.Options{Dir: dir})
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
}
