package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/schemas"
)

const workloadSchema = `
CREATE DOMAIN money_amount AS numeric(12,2) CHECK (value > -1e9);
CREATE TABLE accounts (id int PRIMARY KEY, owner varchar(40), balance money_amount, note text, at timestamptz DEFAULT now());
CREATE TABLE pairs (a text COLLATE "C", b int, gone int, v float8, d date, PRIMARY KEY (a, b));
ALTER TABLE pairs DROP COLUMN gone;
CREATE TABLE docs (id uuid PRIMARY KEY, body text, extra jsonb, raw bytea);
ALTER TABLE docs ALTER body SET STORAGE EXTERNAL, REPLICA IDENTITY FULL;
CREATE TABLE history (id int, delta int, filler char(22));
CREATE TABLE byindex (serial int, code varchar(10) NOT NULL, v int, PRIMARY KEY (serial));
CREATE UNIQUE INDEX byindex_code ON byindex (code);
ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_code;
CREATE TABLE "Odd ""Name" ("Key ö" int PRIMARY KEY, "select" text, g int GENERATED ALWAYS AS ("Key ö" * 2) STORED);
CREATE TABLE other (x int PRIMARY KEY, big text);
CREATE TABLE part (id int, region int, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1, 2);
CREATE TABLE part_2 (v text, region int NOT NULL, id int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (3, 4);`

var workloadTables = []string{"public.accounts", "public.pairs", "public.docs", "public.history", "public.byindex", `public.Odd "Name`, "public.part"}

// realName is a table's name in SQL.
func realName(full string) string {
	ns, name, _ := strings.Cut(full, ".")
	return quoteIdent(ns) + "." + quoteIdent(name)
}

// workload runs random transactions until stop is set.
func workload(t *testing.T, db *pgtest.DB, seed uint64, stop *atomic.Bool, limit int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := 0; i < limit && !stop.Load(); i++ {
		var sql []string
		sql = append(sql, "BEGIN")
		for range 1 + rng.IntN(8) {
			sql = append(sql, statement(rng))
		}
		if rng.IntN(3) == 0 {
			sql = append(sql, "SAVEPOINT s", statement(rng), statement(rng), []string{"ROLLBACK TO s", "RELEASE s"}[rng.IntN(2)], statement(rng))
		}
		if rng.IntN(60) == 0 {
			sql = append(sql, "TRUNCATE "+[]string{"accounts, docs", "pairs", "history", "part", `"Odd ""Name", byindex`}[rng.IntN(5)], statement(rng))
		}
		sql = append(sql, []string{"COMMIT", "COMMIT", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[rng.IntN(6)])
		// Conflicts and deadlocks with the other workers end a transaction; that
		// is part of the workload.
		if db.TryExec("%s", strings.Join(sql, ";\n")) != nil {
			_ = db.TryExec("ROLLBACK")
		}
	}
}

func statement(rng *rand.Rand) string {
	id := rng.IntN(60)
	text := func() string {
		switch rng.IntN(6) {
		case 0:
			return "NULL"
		case 1:
			return "''"
		case 2:
			return fmt.Sprintf("repeat('%x-ä', %d)", rng.Uint64(), 200+rng.IntN(2000))
		}
		return fmt.Sprintf("'v%d \\ | 日本'", rng.IntN(1000))
	}
	number := func(forms ...string) string { return forms[rng.IntN(len(forms))] }
	switch rng.IntN(22) {
	case 0, 1, 2:
		return fmt.Sprintf("INSERT INTO accounts VALUES (%d, left(%s, 40), %s, %s) ON CONFLICT DO NOTHING", id, text(), number("NULL", "0", "12.345", "-999999999.99", "'NaN'"), text())
	case 3, 4:
		return fmt.Sprintf("UPDATE accounts SET balance = balance + 1.25 WHERE id = %d", id)
	case 5:
		return fmt.Sprintf("UPDATE accounts SET note = %s, owner = NULL WHERE id < %d", text(), id/4)
	case 6:
		// A key change that leaves a TOASTed note unsent would need FULL.
		return fmt.Sprintf("UPDATE accounts SET id = %d, note = %s WHERE id = %d AND NOT EXISTS (SELECT FROM accounts WHERE id = %d)", id, text(), rng.IntN(60), id)
	case 7:
		return fmt.Sprintf("DELETE FROM accounts WHERE id = %d", id)
	case 8, 9:
		return fmt.Sprintf("INSERT INTO pairs VALUES (coalesce(left(%s, 30), '-'), %d, %s, %s) ON CONFLICT (a, b) DO UPDATE SET v = excluded.v", text(), rng.IntN(3),
			number("NULL", "'NaN'", "'-Infinity'", "1e308", "-0.0", "0.1"), number("NULL", "'infinity'", "'0044-03-15 BC'", "'2024-02-29'", "'5874897-12-31'"))
	case 10:
		return fmt.Sprintf("UPDATE pairs SET a = a || 'x', b = b + 1 WHERE b = %d AND length(a) < 60", rng.IntN(4))
	case 11:
		return fmt.Sprintf("DELETE FROM pairs WHERE b = %d", rng.IntN(5))
	case 12, 13:
		return fmt.Sprintf("INSERT INTO docs VALUES (md5('%d')::uuid, %s, %s, decode('%x', 'hex')) ON CONFLICT DO NOTHING", id, text(), number("NULL", `'{"b":1.50,"a":[1,{"c":null}]}'`, "'3'"), rng.Uint64())
	case 14:
		return fmt.Sprintf(`UPDATE docs SET extra = jsonb_build_object('n', %d) WHERE id = md5('%d')::uuid`, rng.IntN(100), id)
	case 15:
		return fmt.Sprintf("UPDATE docs SET id = md5('%d')::uuid WHERE id = md5('%d')::uuid AND NOT EXISTS (SELECT FROM docs WHERE id = md5('%d')::uuid)", id, rng.IntN(60), id)
	case 16:
		return fmt.Sprintf("DELETE FROM docs WHERE id = md5('%d')::uuid", id)
	case 17:
		return fmt.Sprintf("INSERT INTO history SELECT g, %d, %s FROM generate_series(1, %d) g", rng.IntN(10), number("NULL", "'x'", "''", "' lead'"), 1+rng.IntN(4))
	case 18:
		return fmt.Sprintf("INSERT INTO byindex VALUES (%d, 'c%d', 1) ON CONFLICT (serial) DO UPDATE SET v = byindex.v + 1; UPDATE byindex SET serial = serial + 1000 WHERE serial = %d AND NOT EXISTS (SELECT FROM byindex b WHERE b.serial = %d); DELETE FROM byindex WHERE code = 'c%d'",
			id, id, rng.IntN(60), rng.IntN(60)+1000, rng.IntN(60))
	case 19:
		return fmt.Sprintf(`INSERT INTO "Odd ""Name" ("Key ö", "select") VALUES (%d, %s) ON CONFLICT ("Key ö") DO UPDATE SET "select" = excluded."select"`, id, text())
	case 20:
		return fmt.Sprintf("INSERT INTO part VALUES (%d, %d, %s) ON CONFLICT DO NOTHING; UPDATE part SET region = %d, v = 'moved' WHERE id = %d AND NOT EXISTS (SELECT FROM part p WHERE p.id = part.id AND p.region = %d)", id, 1+rng.IntN(4), text(), 1+rng.IntN(4), rng.IntN(60), 4)
	}
	return fmt.Sprintf("INSERT INTO other VALUES (%d, %s) ON CONFLICT (x) DO UPDATE SET big = excluded.big", id, text())
}

// TestExact runs a random workload beside snapshot and stream, ends the capture at
// random points and starts it again: in the end the fold of what was handed over
// equals the tables (I2, I5).
func TestExact(t *testing.T) {
	db := pg.Database(t)
	db.Exec("%s", workloadSchema)
	var stop atomic.Bool
	seedDB := pgtest.Open(t, db.DSN)
	workload(t, seedDB, 99, &stop, 150)

	s := newSource(t, db, "exact", Options{Tables: workloadTables, Before: []string{"public.docs"}, TransactionMemory: 16 << 10, WatchInterval: 200 * time.Millisecond})
	f := newFold()
	var wg sync.WaitGroup
	for w := range 3 {
		conn := pgtest.Open(t, db.DSN)
		wg.Go(func() { workload(t, conn, uint64(w), &stop, 1<<30) })
	}
	rng := rand.New(rand.NewPCG(3, 4))
	restarts := 12
	if testing.Short() {
		restarts = 5
	}
	for range restarts {
		f.mu.Lock()
		f.calls, f.failAt = 0, 1+rng.IntN(60)
		f.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		err := run(ctx, s, f)
		cancel()
		if err != nil && !errors.Is(err, errInjected) {
			if retryable(err) {
				time.Sleep(30 * time.Millisecond)
				continue
			}
			t.Fatal(err)
		}
		if f.loaded && rng.IntN(2) == 0 {
			s.Confirm(context.Background(), f.position())
		}
	}
	f.mu.Lock()
	f.failAt = 0
	f.mu.Unlock()
	running, stopRun := settle(t, s, f)
	time.Sleep(500 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	if err := stopRun(); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, name := range workloadTables {
		f.mu.Lock()
		f.tables[realName(name)], f.columns[realName(name)] = f.tables[name], f.columns[name]
		f.mu.Unlock()
		f.equal(t, db, realName(name))
	}
	t.Logf("%d changes handed over, %d old rows, %d progress calls", f.changes, f.before["public.docs"], f.beats)
	if f.changes < 500 || f.before["public.docs"] == 0 {
		t.Error("the workload did too little to show anything")
	}
}

func retryable(err error) bool {
	var e *schemas.Error
	return errors.As(err, &e) && e.Retryable
}
