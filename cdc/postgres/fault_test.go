package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

func discard(_ context.Context, f *feed) error           { f.batch.Reset(); return nil }
func discardBarrier(context.Context, load.Barrier) error { return nil }

// refused checks an error's code and that it says what it should.
func refused(t *testing.T, err error, code schemas.Code, retry bool, words ...string) {
	t.Helper()
	var e *schemas.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *schemas.Error", err)
	}
	if e.Code != code || e.Retryable != retry {
		t.Errorf("code %s, retryable %v, want %s, %v: %v", e.Code, e.Retryable, code, retry, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func describe(t *testing.T, o Options) error {
	t.Helper()
	s, err := New(o)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = s.Describe(ctx)
	return err
}

// TestOptions lists every mistake at once.
func TestOptions(t *testing.T) {
	_, err := New(Options{DSN: "postgres://u:sec%ret@host/db", Slot: "Bad Slot", Tables: []string{"orders"}, Exclude: []string{"a.b"}})
	for _, w := range []string{"DSN", "Bad Slot", `"public.orders"`, `"a.b"`} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %s", err, w)
		}
	}
	if strings.Contains(err.Error(), "sec%ret") {
		t.Errorf("the password is shown: %v", err)
	}
}

// TestRefusals: what keeps a source from running is said, with the next step.
func TestRefusals(t *testing.T) {
	t.Parallel()
	t.Run("unreachable", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: "postgres://u:secret@127.0.0.1:1/db?sslmode=disable"}), schemas.CodeSource, true, "127.0.0.1:1", "cannot be reached")
	})
	srv := pgtest.Start(t, pgtest.Options{WALLevel: "replica", Password: "right"})
	t.Run("password", func(t *testing.T) {
		err := describe(t, Options{DSN: srv.DSNFor("postgres", "wrong-one", "postgres")})
		refused(t, err, schemas.CodeUnauthorized, false, "password authentication failed", "pg_hba.conf")
		if strings.Contains(err.Error(), "wrong-one") {
			t.Errorf("the password is shown: %v", err)
		}
	})
	t.Run("database", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: srv.DSNFor("postgres", "right", "nowhere")}), schemas.CodeNotFound, false, "nowhere")
	})
	t.Run("wal_level", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: srv.DSN()}), schemas.CodeSource, false, "wal_level", "ALTER SYSTEM SET wal_level = 'logical'")
	})
	db := pg.Database(t)
	db.Exec("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (id int PRIMARY KEY, p point, a int[], note text); CREATE UNLOGGED TABLE u (id int PRIMARY KEY)")
	t.Run("table", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: db.DSN, Tables: []string{"sales.good"}}), schemas.CodeUnknownTable, false, `did you mean "public.good"`)
	})
	t.Run("type", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: db.DSN, Tables: []string{"public.bad"}}), schemas.CodeUnsupported, false, "public.bad.p has type point", "integer[]", `FOR TABLE "public"."bad" ("id", "note")`)
	})
	t.Run("excluded", func(t *testing.T) {
		if err := describe(t, Options{DSN: db.DSN, Tables: []string{"public.bad"}, Exclude: []string{"public.bad.p", "public.bad.a"}}); err != nil {
			t.Error(err)
		}
		refused(t, describe(t, Options{DSN: db.DSN, Tables: []string{"public.good"}, Exclude: []string{"public.good.id"}}), schemas.CodeInvalid, false, "key cannot be left out")
		refused(t, describe(t, Options{DSN: db.DSN, Tables: []string{"public.good"}, Exclude: []string{"public.good.nme"}}), schemas.CodeUnknownColumn, false, "nme")
	})
	t.Run("column list", func(t *testing.T) {
		db.Exec(`CREATE PUBLICATION listed FOR TABLE "public"."bad" ("id", "note"); INSERT INTO bad VALUES (1, '(1,2)', '{1}', 'n')`)
		s, f := newSource(t, db, "listed", Options{}), newFold()
		running, stop := settle(t, s, f)
		db.Exec("UPDATE bad SET note = 'm', a = NULL; INSERT INTO bad VALUES (2)")
		f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
		stop()
		f.equal(t, db, "public.bad")
		if n := len(f.columns["public.bad"]); n != 2 {
			t.Errorf("%d columns are captured", n)
		}
	})
	t.Run("unlogged", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: db.DSN, Tables: []string{"public.u"}}), schemas.CodeUnsupported, false, "SET LOGGED")
	})
	t.Run("no publication", func(t *testing.T) {
		refused(t, describe(t, Options{DSN: db.DSN, Publication: "missing"}), schemas.CodeSource, false, "missing", "CREATE PUBLICATION")
	})
}

// TestRole: a role with LOGIN, REPLICATION and SELECT is enough once the owner made
// the publication; without one of them the error says what to grant.
func TestRole(t *testing.T) {
	db := pg.Database(t)
	srv := pg.Server(t)
	name := db.One("SELECT current_database()")
	role := "etl_" + name
	db.Exec("CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, v text); INSERT INTO shop.orders VALUES (1, 'a'); CREATE ROLE %s LOGIN", role)
	low := srv.DSNFor(role, "", name)
	o := Options{Tables: []string{"shop.orders"}}
	mk := func() *Source {
		s := newSource(t, db, "role", o)
		s.opts.DSN = low
		return s
	}
	try := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		s := mk()
		defer s.Close()
		if _, err := s.Describe(ctx); err != nil {
			return err
		}
		_, err := s.Snapshot(ctx, newFold())
		return err
	}
	refused(t, try(), schemas.CodeForbidden, false, "CREATE PUBLICATION", `"shop"."orders"`)
	db.Exec("CREATE PUBLICATION role FOR TABLE shop.orders")
	refused(t, try(), schemas.CodeForbidden, false, "may not replicate", "ALTER ROLE")
	db.Exec("ALTER ROLE %s REPLICATION", role)
	refused(t, try(), schemas.CodeForbidden, false, "GRANT SELECT")
	db.Exec("GRANT USAGE ON SCHEMA shop TO %s; GRANT SELECT ON shop.orders TO %s", role, role)
	s, f := mk(), newFold()
	running, stop := settle(t, s, f)
	db.Exec("UPDATE shop.orders SET v = 'b'")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	stop()
	f.equal(t, db, "shop.orders")
	// A policy that hides rows is refused, not obeyed.
	db.Exec("ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY")
	time.Sleep(100 * time.Millisecond)
	for range 50 {
		if err := try(); err != nil && !retryable(err) {
			refused(t, err, schemas.CodeForbidden, false, "row-level security")
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("row-level security is not refused")
}

// TestChangedTable: DDL on a captured table stops the stream with what changed.
func TestChangedTable(t *testing.T) {
	for i, c := range []struct{ ddl, says string }{
		{"ALTER TABLE c ADD COLUMN extra int; INSERT INTO c VALUES (9, 'x', 1)", "column extra is new"},
		{"ALTER TABLE c DROP COLUMN v; INSERT INTO c VALUES (9)", "column v"},
		{"ALTER TABLE c RENAME COLUMN v TO w; INSERT INTO c VALUES (9)", "column"},
		{"ALTER TABLE c ALTER COLUMN v TYPE varchar(7); INSERT INTO c VALUES (9)", "column v was text"},
		{"ALTER TABLE c RENAME TO d; INSERT INTO d VALUES (9)", "renamed"},
		{"DROP TABLE c", "dropped"},
		{"DROP TABLE c; CREATE TABLE c (id int PRIMARY KEY, v text); INSERT INTO c VALUES (9)", "made anew"},
		{"ALTER PUBLICATION SLOT DROP TABLE c", "is not in publication"},
		{"ALTER TABLE c REPLICA IDENTITY FULL; INSERT INTO c VALUES (9)", "replica identity"},
		{"ALTER TABLE c DROP CONSTRAINT c_pkey; ALTER TABLE c ADD PRIMARY KEY (v); INSERT INTO c VALUES (9, 'q')", "key"},
		{"ALTER PUBLICATION SLOT SET (publish = 'insert')", "every kind of change"},
	} {
		t.Run(c.ddl, func(t *testing.T) {
			t.Parallel()
			db := pg.Database(t)
			slot := fmt.Sprintf("changed_%d", i)
			db.Exec("CREATE TABLE c (id int PRIMARY KEY, v text); INSERT INTO c VALUES (1, 'a'); CREATE TABLE calm (id int PRIMARY KEY)")
			s, f := newSource(t, db, slot, Options{Tables: []string{"public.c", "public.calm"}, WatchInterval: 300 * time.Millisecond}), newFold()
			running, stop := settle(t, s, f)
			described, err := s.last()
			if err != nil {
				t.Fatal(err)
			}
			version := described.Tables[0].Version
			f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
			db.Exec("%s", strings.ReplaceAll(c.ddl, "SLOT", slot))
			select {
			case err := <-running:
				refused(t, err, schemas.CodeSource, false, c.says)
			case <-time.After(20 * time.Second):
				stop()
				t.Fatal("the stream goes on")
			}
			// Who describes it again sees that it is another table.
			d, err := s.Describe(t.Context())
			if err == nil && len(d.Tables) == 2 && d.Tables[0].Version == version && !strings.Contains(c.ddl, "PUBLICATION") {
				t.Error("the table's version is the same as before")
			}
		})
	}
}

// TestAppendOnly: a keyless table is loaded under its positions; an update of one
// stops the stream.
func TestAppendOnly(t *testing.T) {
	db := pg.Database(t)
	db.Exec("CREATE TABLE h (v int); INSERT INTO h SELECT generate_series(1, 10000)")
	s, f := newSource(t, db, "appendonly", Options{Tables: []string{"public.h"}}), newFold()
	running, stop := settle(t, s, f)
	db.Exec("INSERT INTO h VALUES (1), (1), (NULL)")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	f.equal(t, db, "public.h")
	db.Exec("TRUNCATE h; INSERT INTO h VALUES (5)")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	f.equal(t, db, "public.h")
	if err := db.TryExec("UPDATE h SET v = 6"); err == nil || !strings.Contains(err.Error(), "replica identity") {
		t.Errorf("PostgreSQL itself should refuse the update of a published table without identity: %v", err)
	}
	stop()

	db.Exec("CREATE TABLE hf (v int); ALTER TABLE hf REPLICA IDENTITY FULL; INSERT INTO hf VALUES (1)")
	s, f = newSource(t, db, "appendonly_full", Options{Tables: []string{"public.hf"}}), newFold()
	running, _ = settle(t, s, f)
	db.Exec("UPDATE hf SET v = 2")
	select {
	case err := <-running:
		refused(t, err, schemas.CodeSource, false, "UPDATE in table public.hf", "ADD PRIMARY KEY")
	case <-time.After(10 * time.Second):
		t.Fatal("the update goes unnoticed")
	}
}

// TestKeyMoved: a key change that leaves a large value unsent names the old key under
// the default identity, and is whole under FULL.
func TestKeyMoved(t *testing.T) {
	db := pg.Database(t)
	db.Exec(`CREATE TABLE k (id int PRIMARY KEY, big text); ALTER TABLE k ALTER big SET STORAGE EXTERNAL;
		CREATE TABLE kf (id int PRIMARY KEY, big text); ALTER TABLE kf ALTER big SET STORAGE EXTERNAL; ALTER TABLE kf REPLICA IDENTITY FULL;
		CREATE TABLE tk (id text PRIMARY KEY, v int); ALTER TABLE tk ALTER id SET STORAGE EXTERNAL;
		INSERT INTO k SELECT g, repeat('a', 5000) FROM generate_series(1, 3) g; INSERT INTO kf TABLE k; INSERT INTO tk VALUES (repeat('key', 800), 1)`)
	s, f := newSource(t, db, "moved", Options{Tables: []string{"public.k", "public.kf", "public.tk"}}), newFold()
	running, _ := settle(t, s, f)
	db.Exec("UPDATE kf SET id = id + 10; UPDATE tk SET v = 2; UPDATE k SET id = 9, big = 'b' WHERE id = 1")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	for _, table := range []string{"public.k", "public.kf", "public.tk"} {
		f.equal(t, db, table)
	}
	db.Exec("UPDATE k SET id = 11 WHERE id = 2; BEGIN; UPDATE k SET id = id + 100; UPDATE k SET id = 3 WHERE id = 103; UPDATE k SET big = 'c' WHERE id = 109; COMMIT")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	f.equal(t, db, "public.k")
	if n := f.before["public.k"]; n != 4 {
		t.Errorf("%d old keys came, not 4", n)
	}
}

// TestSlot: a slot in use, lost, ahead or gone is said, never passed over.
func TestSlot(t *testing.T) {
	db := pg.Database(t)
	db.Exec("CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s VALUES (1)")
	o := Options{Tables: []string{"public.s"}}
	s, f := newSource(t, db, "slots", o), newFold()
	running, stop := settle(t, s, f)
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)

	parent := t // whose cleanup drops the slot, once it is free
	t.Run("in use", func(t *testing.T) {
		pid := db.One("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'slots'")
		other := newFold()
		other.loaded, other.w = true, f.position()
		second := newSource(parent, db, "slots", o)
		refused(t, run(t.Context(), second, other), schemas.CodeInUse, true, "PID "+pid)
		other.loaded = false
		refused(t, run(t.Context(), second, other), schemas.CodeInUse, true, "PID "+pid)
		second.Close()
	})
	at := f.position()
	if err := s.Confirm(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if db.One("SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = 'slots'", at) == "t" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	t.Run("ahead", func(t *testing.T) {
		old := newFold()
		old.loaded, old.w = true, at-1
		for range 100 {
			err := run(t.Context(), s, old)
			if !retryable(err) {
				refused(t, err, schemas.CodeSource, false, "cannot go back", "resync")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the slot stays busy")
	})
	t.Run("cut back", func(t *testing.T) {
		far := newFold()
		far.loaded, far.w = true, 1<<60
		refused(t, run(t.Context(), s, far), schemas.CodeSource, false, "cut back", "resync")
	})
	t.Run("gone", func(t *testing.T) {
		db.Exec("SELECT pg_drop_replication_slot('slots')")
		refused(t, run(t.Context(), s, f), schemas.CodeSource, false, "does not exist any more", "resync")
	})
	t.Run("another plugin", func(t *testing.T) {
		db.Exec("SELECT pg_create_logical_replication_slot('slots', 'test_decoding')")
		refused(t, run(t.Context(), s, newFold()), schemas.CodeSource, false, "somebody else")
	})
}

// TestConfirm: the slot moves to what was confirmed and no further, also over many
// idle seconds of keepalives (I1).
func TestConfirm(t *testing.T) {
	db := pg.Database(t)
	db.Exec("CREATE TABLE s (id int PRIMARY KEY)")
	s, f := newSource(t, db, "confirm", Options{Tables: []string{"public.s"}}), newFold()
	running, stop := settle(t, s, f)
	defer stop()
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	begin := db.One("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'confirm'")
	db.Exec("INSERT INTO s SELECT generate_series(1, 100); CREATE TABLE unrelated AS SELECT generate_series(1, 10000)")
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	time.Sleep(500 * time.Millisecond)
	if now := db.One("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'confirm'"); now != begin {
		t.Errorf("nothing was confirmed, and the slot went from %s to %s", begin, now)
	}
	half := f.position() - 8
	s.Confirm(t.Context(), half)
	s.Confirm(t.Context(), half-100) // never back
	want := half.String()
	for range 100 {
		if db.One("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'confirm'") == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the slot is at %s, not %s", db.One("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'confirm'"), want)
}

// TestIdle: W reaches pg_current_wal_lsn() though nothing that is captured changes,
// and progress tells the present.
func TestIdle(t *testing.T) {
	db := pg.Database(t)
	db.Exec("CREATE TABLE s (id int PRIMARY KEY); CREATE TABLE unrelated (v text)")
	s, f := newSource(t, db, "idle", Options{Tables: []string{"public.s"}}), newFold()
	running, stop := settle(t, s, f)
	defer stop()
	for _, sql := range []string{"SELECT 1", "INSERT INTO unrelated SELECT repeat('x', 900) FROM generate_series(1, 1000)", "SELECT pg_switch_wal()", "CHECKPOINT", "SET synchronous_commit = off; INSERT INTO unrelated VALUES ('y')"} {
		db.Exec("%s", sql)
		began := time.Now()
		f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("after %s W took %v", sql, d)
		}
	}
	time.Sleep(300 * time.Millisecond)
	f.mu.Lock()
	age := time.Since(time.UnixMicro(f.time))
	f.mu.Unlock()
	if age > time.Second {
		t.Errorf("an idle source tells a time %v ago", age)
	}
}

// TestHugeTransaction: a transaction far over the memory budget passes through the
// spill file, which is gone afterwards, and an aborted one leaves nothing.
func TestHugeTransaction(t *testing.T) {
	db := pg.Database(t)
	db.Exec("CREATE TABLE big (id int PRIMARY KEY, v text); CREATE TABLE small (id int PRIMARY KEY)")
	dir := t.TempDir()
	s, f := newSource(t, db, "huge", Options{Tables: []string{"public.big", "public.small"}, TransactionMemory: 64 << 10, SpillDir: dir}), newFold()
	running, stop := settle(t, s, f)
	n := 60000
	if testing.Short() {
		n = 15000
	}
	db.Exec(`BEGIN; INSERT INTO big SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, %d) g; SAVEPOINT a; DELETE FROM big WHERE id %% 2 = 0; ROLLBACK TO a;
		INSERT INTO small SELECT generate_series(1, 100); UPDATE big SET v = v || '!' WHERE id %% 3 = 0; TRUNCATE small; INSERT INTO small VALUES (7); COMMIT;
		BEGIN; DELETE FROM big; ROLLBACK`, n)
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	stop()
	f.equal(t, db, "public.big")
	f.equal(t, db, "public.small")
	if names, err := vfs.OS.List(dir); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// TestRestart: the server is stopped and killed under the stream; the source ends
// with retryable errors and goes on exactly.
func TestRestart(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{Fsync: true})
	db := srv.Connect(t, "postgres")
	db.Exec("CREATE TABLE r (id int PRIMARY KEY, v int)")
	s, f := newSource(t, db, "restart", Options{Tables: []string{"public.r"}}), newFold()
	for i, end := range []func() error{srv.Stop, srv.Kill} {
		running, _ := settle(t, s, f)
		c := srv.Connect(t, "postgres")
		c.Exec("INSERT INTO r SELECT g, 0 FROM generate_series(%d, %d) g", i*100, i*100+50)
		if i == 0 {
			f.await(t, c.One("SELECT pg_current_wal_lsn()"), running)
			s.Confirm(t.Context(), f.position())
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-running:
			refused(t, err, schemas.CodeSource, true)
		case <-time.After(20 * time.Second):
			t.Fatal("the stream does not notice that the server is gone")
		}
		_ = run(t.Context(), s, f) // finds the broken connection
		refused(t, run(t.Context(), s, f), schemas.CodeSource, true, "cannot be reached")
		if err := srv.StartAgain(); err != nil {
			t.Fatal(err)
		}
	}
	running, stop := settle(t, s, f)
	c := srv.Connect(t, "postgres")
	c.Exec("UPDATE r SET v = 1 WHERE id > 20")
	f.await(t, c.One("SELECT pg_current_wal_lsn()"), running)
	stop()
	f.equal(t, c, "public.r")
}

// slowSink holds the first chunk of a snapshot until it is let go.
type slowSink struct {
	*fold
	began, release chan struct{}
	once           sync.Once
}

func (s *slowSink) Chunk(ctx context.Context, c load.Snapshot) error {
	s.once.Do(func() { close(s.began); <-s.release })
	return s.fold.Chunk(ctx, c)
}

// TestTruncateMeanwhile: a TRUNCATE that comes while a snapshot is read waits for
// it, and the tables that are still to be read do not wait for the TRUNCATE.
func TestTruncateMeanwhile(t *testing.T) {
	db := pg.Database(t)
	var tables []string
	for i := range 6 {
		db.Exec("CREATE TABLE m%d (id int PRIMARY KEY); INSERT INTO m%d SELECT generate_series(1, 20000)", i, i)
		tables = append(tables, fmt.Sprintf("public.m%d", i))
	}
	s := newSource(t, db, "meanwhile", Options{Tables: tables})
	f := newFold()
	sink := &slowSink{fold: f, began: make(chan struct{}), release: make(chan struct{})}
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	var at schemas.LSN
	go func() {
		var err error
		at, err = s.Snapshot(t.Context(), sink)
		done <- err
	}()
	<-sink.began
	// Both readers are in their first tables; each of the others gets a TRUNCATE.
	truncated := make(chan error, len(tables))
	for _, name := range tables[2:] {
		other := pgtest.Open(t, db.DSN)
		go func() { truncated <- other.TryExec("TRUNCATE %s", name) }()
	}
	for db.One("SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") != "4" {
		time.Sleep(10 * time.Millisecond)
	}
	began := time.Now()
	close(sink.release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the snapshot took %v", d)
	}
	for range tables[2:] {
		if err := <-truncated; err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range tables {
		if n := len(f.tables[name]); n != 20000 {
			t.Errorf("%s: %d rows of the snapshot", name, n)
		}
	}
	f.loaded, f.w = true, at
	running, stop := settle(t, s, f)
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), running)
	stop()
	for _, name := range tables {
		f.equal(t, db, name)
	}
}

// TestValidate lists what is wrong with SQL that settles it, and nothing of what
// is fine.
func TestValidate(t *testing.T) {
	db := pg.Database(t)
	name := db.One("SELECT current_database()")
	role := "v_" + name
	db.Exec(`CREATE TABLE good (id int PRIMARY KEY, n int); CREATE TABLE big (id int PRIMARY KEY, body text); CREATE TABLE nokey (v int);
		CREATE TABLE odd (id int PRIMARY KEY, p point); CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
		CREATE TABLE gen (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id + 1) STORED);
		CREATE ROLE %s LOGIN`, role)
	o := Options{Tables: []string{"public.good", "public.big", "public.nokey", "public.odd", "public.nothing", "public.gen", "public.lost"}, Before: []string{"public.good"}}
	s := newSource(t, db, "validate", o)
	s.opts.DSN = pg.Server(t).DSNFor(role, "", name)
	found, err := s.Validate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range found {
		fmt.Fprintf(&text, "%s %s: %s -> %s\n", f.Severity, f.Table, f.Message, f.Fix)
	}
	t.Log("\n" + text.String())
	for _, w := range []string{
		"may not replicate -> ALTER ROLE", `error : table "public.lost" does not exist`, "does not own the tables -> CREATE PUBLICATION",
		"error public.good: role", "GRANT SELECT ON \"public\".\"good\"", "error public.good: the pipeline needs the old rows", "REPLICA IDENTITY FULL",
		"warning public.nokey: the table has no primary key", "error public.odd: column public.odd.p has type point",
		"error public.nothing: the table has REPLICA IDENTITY NOTHING", "warning public.gen: column g is generated", "max_slot_wal_keep_size",
	} {
		if !strings.Contains(text.String(), w) {
			t.Errorf("no finding says %q", w)
		}
	}

	fine := newSource(t, db, "fine", Options{Tables: []string{"public.good"}})
	found, err = fine.Validate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity == SeverityError {
			t.Errorf("a table in order has the error %q", f.Message)
		}
	}
	infos, err := fine.Tables(t.Context())
	if err != nil || len(infos) != 6 {
		t.Fatalf("%d tables, %v", len(infos), err)
	}
	for _, i := range infos {
		if i.Name == "public.odd" && i.Unsupported["public.odd.p"] != "point" || i.Name == "public.nokey" && !i.AppendOnly || i.Name == "public.big" && len(i.Toast) != 1 {
			t.Errorf("%+v", i)
		}
	}
}

// TestCommitEnd: the LSN of a change is where its commit ends, which is what the
// source tells right after the commit.
func TestCommitEnd(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{})
	db := srv.Connect(t, "postgres")
	db.Exec("CREATE TABLE e (id int PRIMARY KEY)")
	s := newSource(t, db, "ends", Options{Tables: []string{"public.e"}})
	f := &positions{fold: newFold()}
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := s.Snapshot(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		db.Exec("INSERT INTO e VALUES (%d), (%d)", 2*i, 2*i+1)
		end := db.One("SELECT pg_current_wal_lsn()") + "/0"
		want = append(want, end, strings.TrimSuffix(end, "0")+"1")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	f.learn(s.mu.described.Tables[0])
	f.w = at
	go func() { done <- s.Stream(ctx, at, f) }()
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), done)
	cancel()
	<-done
	if strings.Join(f.seen, " ") != strings.Join(want, " ") {
		t.Errorf("positions are\n%v, not\n%v", f.seen, want)
	}
}

// positions notes where changes stand.
type positions struct {
	*fold
	seen []string
}

func (p *positions) Changes(ctx context.Context, b *change.Batch) error {
	for i := range b.Ops {
		p.seen = append(p.seen, fmt.Sprintf("%s/%d", b.LSN[i], b.Ordinal[i]))
	}
	return p.fold.Changes(ctx, b)
}

// blocked is a sink that takes its time.
type blocked struct {
	*fold
	wait chan struct{}
}

func (b *blocked) Changes(ctx context.Context, c *change.Batch) error {
	<-b.wait
	return b.fold.Changes(ctx, c)
}

// TestBackPressure: while the sink blocks for longer than wal_sender_timeout, with
// more sent than is buffered here, the server keeps the stream.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	srv := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"wal_sender_timeout": "2s"}})
	db := srv.Connect(t, "postgres")
	db.Exec("CREATE TABLE bp (id int PRIMARY KEY, v text)")
	s := newSource(t, db, "pressure", Options{Tables: []string{"public.bp"}, TransactionMemory: 1 << 20})
	f := &blocked{fold: newFold(), wait: make(chan struct{})}
	d, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.learn(d.Tables[0])
	at, err := s.Snapshot(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	f.w = at
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Stream(ctx, at, f) }()
	for i := range 20 {
		db.Exec("INSERT INTO bp SELECT g, repeat('x', 1000) FROM generate_series(%d, %d) g", i*1000, i*1000+999)
	}
	select {
	case err := <-done:
		t.Fatalf("the stream ended: %v", err)
	case <-time.After(3 * time.Second):
	}
	close(f.wait)
	f.await(t, db.One("SELECT pg_current_wal_lsn()"), done)
	f.equal(t, db, "public.bp")
	cancel()
	<-done
}
