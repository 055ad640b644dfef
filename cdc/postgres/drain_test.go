package postgres

import (
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"testing"
	"time"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// counting is a sink that only counts, so that a benchmark measures the source.
type counting struct {
	rows int
	to   schemas.LSN
	want schemas.LSN
	end  context.CancelFunc
}

func (c *counting) Changes(_ context.Context, b *change.Batch) error { c.rows += b.Len(); return nil }
func (c *counting) Chunk(context.Context, load.Snapshot) error       { return nil }
func (c *counting) Barrier(context.Context, load.Barrier) error      { return nil }
func (c *counting) Progress(_ context.Context, to schemas.LSN, _ int64) error {
	if c.to = to; to >= c.want && c.want > 0 {
		c.end()
	}
	return nil
}

// BenchmarkDrain copies a table and drains a slot of pgbench-like transactions,
// interleaved with pg_recvlogical on the same slot, which throws its output away.
func BenchmarkDrain(b *testing.B) {
	db := pg.Database(b)
	db.Exec("CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); CREATE TABLE history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))")
	db.Exec("INSERT INTO accounts SELECT g, 1, 0, '' FROM generate_series(1, 100000) g")
	s := newSource(b, db, "drain", Options{Tables: []string{"public.accounts", "public.history"}})
	if _, err := s.Describe(b.Context()); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	at, err := s.Snapshot(b.Context(), &counting{})
	if err != nil {
		b.Fatal(err)
	}
	copied := 100000 / time.Since(began).Seconds()
	// 40,000 transactions of two rows each.
	db.Exec(`DO $$ BEGIN FOR i IN 1..40000 LOOP
		UPDATE accounts SET abalance = abalance + i WHERE aid = 1 + i;
		INSERT INTO history VALUES (1, 1, i, i, now(), NULL); COMMIT; END LOOP; END $$`)
	end, err := schemas.ParseLSN(db.One("SELECT pg_current_wal_lsn()"))
	if err != nil {
		b.Fatal(err)
	}
	var ours, peer time.Duration
	for i := 0; b.Loop(); i++ {
		s.text = i%2 == 1
		ours += drain(b, s, at, end)
		began := time.Now()
		slot := fmt.Sprintf("peer_%d", i)
		db.Exec("SELECT pg_copy_logical_replication_slot('drain', '%s', false)", slot)
		out, err := osexec.Command("pg_recvlogical", "-d", db.DSN, "--slot", slot, "--start", "--endpos", end.String(), "--no-loop", "-f", os.DevNull,
			"-o", "proto_version=1", "-o", "publication_names=drain").CombinedOutput()
		if err != nil {
			b.Logf("pg_recvlogical: %v: %s", err, out)
		}
		peer += time.Since(began)
	}
	n := float64(b.N) * 80000
	b.ReportMetric(copied, "copied-rows/s")
	b.ReportMetric(n/ours.Seconds(), "rows/s")
	b.ReportMetric(n/peer.Seconds(), "pg_recvlogical-rows/s")
}

// drain streams everything after at up to end.
func drain(b *testing.B, s *Source, at, end schemas.LSN) time.Duration {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	sink := &counting{want: end, end: cancel}
	var began time.Time
	for {
		began = time.Now()
		err := s.Stream(ctx, at, sink)
		if ctx.Err() != nil {
			break
		}
		if !retryable(err) {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if sink.rows != 80000 {
		b.Fatalf("%d rows", sink.rows)
	}
	return time.Since(began)
}
