package native_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/cdc/native"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

var ctx = context.Background()

func database(t testing.TB) *oltp.DB {
	t.Helper()
	db, err := oltp.Open(oltp.Options{Dir: "/db", FS: vfstest.NewMem(), MemoryBytes: 1 << 20, LogSegmentBytes: 64 << 10, CheckpointBytes: 64 << 10})
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	Create(t, db, Accounts(), Lines())
	return db
}

func source(t testing.TB, db *oltp.DB, o native.Options) *native.Source {
	t.Helper()
	o.Slot = "warehouse"
	s, err := native.New(db, o)
	require.NoError(t, err)
	return s
}

// sink folds what a source sends and checks the contract of cdc.Sink.
type sink struct {
	t      testing.TB
	copy   Copy
	chunks []load.Snapshot

	mu       sync.Mutex
	lastLSN  map[string]schemas.LSN // of the last change of a table since the last progress
	to       schemas.LSN
	time     int64
	progress int
	largest  int
	rows     int
	stopAt   func(to schemas.LSN) bool
	ops      map[change.Op]int
	barriers int
}

var errStop = errors.New("stop")

func newSink(t testing.TB) *sink {
	return &sink{t: t, copy: Copy{}, lastLSN: map[string]schemas.LSN{}, ops: map[change.Op]int{}, stopAt: func(schemas.LSN) bool { return false }}
}

func (s *sink) Changes(_ context.Context, b *change.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest, s.rows = max(s.largest, b.Len()), s.rows+b.Len()
	last, ordinal := s.lastLSN[b.Table.FullName()], uint32(0)
	for i := range b.Len() {
		s.ops[b.Ops[i]]++
		at := b.At(i)
		if b.LSN[i] <= s.to && len(s.chunks) == 0 || at.Before(schemas.Position{LSN: last, Ordinal: ordinal}) {
			s.t.Errorf("%s/%d comes after progress %s and %s/%d", b.LSN[i], b.Ordinal[i], s.to, last, ordinal)
		}
		last, ordinal = b.LSN[i], b.Ordinal[i]
	}
	s.lastLSN[b.Table.FullName()] = last
	return s.copy.Fold(b)
}

func (s *sink) Barrier(_ context.Context, b load.Barrier) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Kind != load.BarrierTruncate || b.LSN <= s.to || b.LSN < s.lastLSN[b.Table] {
		s.t.Errorf("barrier %+v after %s", b, s.to)
	}
	s.barriers++
	s.copy.Truncate(b)
	return nil
}

func (s *sink) Progress(_ context.Context, to schemas.LSN, micros int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to < s.to || micros < s.time {
		s.t.Errorf("progress %s, %d after %s, %d", to, micros, s.to, s.time)
	}
	for name, lsn := range s.lastLSN {
		if lsn > to {
			s.t.Errorf("%s has a change at %s before progress %s", name, lsn, to)
		}
	}
	clear(s.lastLSN)
	s.to, s.time = to, micros
	s.progress++
	if s.stopAt(to) {
		return errStop
	}
	return nil
}

func (s *sink) Chunk(_ context.Context, c load.Snapshot) error {
	s.chunks = append(s.chunks, c)
	return nil
}

// resumed forgets the snapshot's chunks: streaming begins.
func (s *sink) resumed(at schemas.LSN) *sink {
	s.chunks, s.to = nil, at
	clear(s.lastLSN)
	return s
}

func change1(t testing.TB, db *oltp.DB, fn func(tx *oltp.Tx) error) schemas.LSN {
	t.Helper()
	lsn, err := db.Update(ctx, fn)
	require.NoError(t, err)
	return lsn
}

func churn(t testing.TB, db *oltp.DB, seed uint64, commits int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range commits {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error {
			for range 1 + r.IntN(4) {
				id := r.Int64N(50)
				var err error
				switch r.IntN(10) {
				case 0:
					err = tx.Delete("accounts", ID(id))
				case 1:
					err = tx.UpdateKey("accounts", []schemas.Value{ID(id)}, Account(r.Int64N(50), id, ""))
				case 2, 3:
					err = tx.Upsert("lines", Line(id, r.Int64N(3), "line", id))
				case 4:
					if r.IntN(10) == 0 {
						err = tx.Truncate("lines")
					}
				default:
					err = tx.Upsert("accounts", Account(id, r.Int64N(100), strings.Repeat("o", r.IntN(50))))
				}
				if c := schemas.CodeOf(err); err != nil && c != schemas.CodeNotFound && c != schemas.CodeConstraint {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestCopyEqualsSource takes a snapshot beside a busy database, follows it, is
// stopped and resumed from the last progress again and again, and ends equal.
func TestCopyEqualsSource(t *testing.T) {
	commits := 1500
	if testing.Short() {
		commits = 300
	}
	db := database(t)
	churn(t, db, 1, 100)
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() { churn(t, db, uint64(w+2), commits) })
	}
	src := source(t, db, native.Options{Before: []string{"public.accounts"}, ConfirmInterval: -1})
	d, err := src.Describe(ctx)
	require.NoError(t, err)
	require.False(t, d.Resumable)
	require.Len(t, d.Tables, 2)
	require.Equal(t, db.LogID(), d.Incarnation)
	s := newSink(t)
	at, err := src.Snapshot(ctx, s)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(s.chunks), 2)
	s.resumed(at)

	r := rand.New(rand.NewPCG(9, 9))
	for {
		n := s.progress + 1 + r.IntN(20)
		s.stopAt = func(schemas.LSN) bool { return s.progress >= n }
		require.ErrorIs(t, src.Stream(ctx, s.to, s), errStop)
		require.NoError(t, src.Confirm(ctx, s.to))
		d, err := src.Describe(ctx)
		require.NoError(t, err)
		require.True(t, d.Resumable)
		require.Equal(t, s.to, d.Confirmed)
		require.LessOrEqual(t, d.Confirmed, d.End)
		if s.rows > 2*commits {
			break
		}
	}
	writers.Wait()
	end := db.DurableLSN()
	s.stopAt = func(to schemas.LSN) bool { return to >= end }
	require.ErrorIs(t, src.Stream(ctx, s.to, s), errStop)
	require.Empty(t, Diff(DumpNow(t, db), s.copy))
	require.Positive(t, s.ops[change.Before])
	require.Positive(t, s.ops[change.Delete])
	require.Positive(t, s.barriers)
	require.NoError(t, src.Close())
	require.NoError(t, src.Close())
}

// TestIdleAdvances demands heartbeats, and progress past commits of tables that are
// not captured.
func TestIdleAdvances(t *testing.T) {
	db := database(t)
	src := source(t, db, native.Options{Tables: []string{"public.lines"}})
	s := newSink(t)
	at, err := src.Snapshot(ctx, s)
	require.NoError(t, err)
	s.resumed(at)
	streaming, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- src.Stream(streaming, at, s) }()
	reached := func(lsn schemas.LSN, at time.Time) {
		t.Helper()
		require.Eventually(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.to >= lsn && s.time >= at.UnixMicro()
		}, 5*time.Second, time.Millisecond)
	}
	lsn := change1(t, db, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(1, 1, "")) })
	reached(lsn, time.Time{})
	reached(lsn, time.Now().Add(2*cdc.HeartbeatInterval))
	// A new table does not disturb a source that names its tables.
	Create(t, db, Everything())
	lsn = change1(t, db, func(tx *oltp.Tx) error { return tx.Insert("lines", Line(1, 1, "x", 5)) })
	reached(lsn, time.Time{})
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Len(t, s.copy["public.lines"], 1)
	require.Empty(t, s.copy["public.accounts"])
}

// TestWakesWithoutPolling measures from the commit's acknowledgement to the sink.
func TestWakesWithoutPolling(t *testing.T) {
	db := database(t)
	src := source(t, db, native.Options{})
	s := newSink(t)
	at, err := src.Snapshot(ctx, s)
	require.NoError(t, err)
	s.resumed(at)
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- src.Stream(streaming, at, s) }()
	slow := 0
	for i := range int64(50) {
		lsn := change1(t, db, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(i, 1, "")) })
		for began := time.Now(); ; time.Sleep(50 * time.Microsecond) {
			s.mu.Lock()
			arrived := s.to >= lsn
			s.mu.Unlock()
			if arrived {
				break
			}
			if time.Since(began) > 30*time.Millisecond {
				slow++
				break
			}
		}
	}
	require.Less(t, slow, 10, "commits wait for something like a heartbeat")
	cancel()
	<-ended
}

// TestLargeTransactionPassesInBatches sends one transaction in bounded batches.
func TestLargeTransactionPassesInBatches(t *testing.T) {
	db := database(t)
	src := source(t, db, native.Options{})
	s := newSink(t)
	at, err := src.Snapshot(ctx, s)
	require.NoError(t, err)
	s.resumed(at)
	const rows = 20_000
	end := change1(t, db, func(tx *oltp.Tx) error {
		for i := range int64(rows) {
			if err := tx.Insert("accounts", Account(i, i, strings.Repeat("w", 200))); err != nil {
				return err
			}
		}
		return nil
	})
	s.stopAt = func(to schemas.LSN) bool { return to >= end }
	require.ErrorIs(t, src.Stream(ctx, at, s), errStop)
	require.Len(t, s.copy["public.accounts"], rows)
	require.LessOrEqual(t, s.largest, 4096)
	require.Less(t, s.progress, 5, "progress stands only where a commit ends")
}

func TestWhatCannotBeFollowed(t *testing.T) {
	db := database(t)
	src := source(t, db, native.Options{ConfirmInterval: -1})
	refused := func(err error, text string) {
		t.Helper()
		var typed *schemas.Error
		require.ErrorAs(t, err, &typed)
		require.Equal(t, schemas.CodeSource, typed.Code, "%v", err)
		require.False(t, typed.Retryable)
		require.NotEmpty(t, typed.Hint)
		require.ErrorContains(t, err, text)
	}
	refused(src.Stream(ctx, 0, newSink(t)), "slot")
	at, err := src.Snapshot(ctx, newSink(t))
	require.NoError(t, err)
	lsn := change1(t, db, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(1, 1, "")) })
	require.NoError(t, src.Confirm(ctx, lsn))
	require.NoError(t, src.Confirm(ctx, at), "an older position is passed over")
	refused(src.Stream(ctx, at, newSink(t)), "cannot go back")
	refused(src.Stream(ctx, lsn+1000, newSink(t)), "beyond the end")

	// A second snapshot replaces the slot.
	at, err = src.Snapshot(ctx, newSink(t))
	require.NoError(t, err)
	require.GreaterOrEqual(t, at, lsn)
	Create(t, db, Everything())
	refused(src.Stream(ctx, at, newSink(t).resumed(at)), "everything")
	again := source(t, db, native.Options{})
	s := newSink(t).resumed(at)
	s.stopAt = func(schemas.LSN) bool { return true }
	require.ErrorIs(t, again.Stream(ctx, at, s), errStop, "a new source follows the new table")

	require.NoError(t, db.DropSlot(ctx, "warehouse"))
	refused(again.Stream(ctx, at, newSink(t)), "slot")
	_, err = native.New(db, native.Options{Slot: "s", Tables: []string{"public.nothing"}})
	require.Equal(t, schemas.CodeUnknownTable, schemas.CodeOf(err))
	_, err = native.New(db, native.Options{Slot: "s", Before: []string{"public.nothing"}})
	require.Equal(t, schemas.CodeUnknownTable, schemas.CodeOf(err))
	_, err = native.New(db, native.Options{})
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
	require.Error(t, again.Confirm(ctx, at+1))
}

// TestLostSlot needs a new snapshot, and says so.
func TestLostSlot(t *testing.T) {
	db, err := oltp.Open(oltp.Options{Dir: "/db", FS: vfstest.NewMem(), LogSegmentBytes: 16 << 10, CheckpointBytes: 32 << 10,
		SlotMaxBytes: 20 << 10, SlotPolicy: oltp.SlotLose})
	require.NoError(t, err)
	defer db.Close()
	Create(t, db, Accounts())
	src := source(t, db, native.Options{})
	at, err := src.Snapshot(ctx, newSink(t))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		change1(t, db, func(tx *oltp.Tx) error { return tx.Upsert("accounts", Account(1, 1, strings.Repeat("x", 1000))) })
		return db.Slots()[0].State == "lost"
	}, 5*time.Second, time.Millisecond)
	d, err := src.Describe(ctx)
	require.NoError(t, err)
	require.False(t, d.Resumable)
	err = src.Stream(ctx, at, newSink(t))
	require.Equal(t, schemas.CodeSource, schemas.CodeOf(err), "%v", err)
	_, err = src.Snapshot(ctx, newSink(t))
	require.NoError(t, err, "a snapshot makes the slot anew")
}

func BenchmarkStream(b *testing.B) {
	db, err := oltp.Open(oltp.Options{Dir: b.TempDir()})
	require.NoError(b, err)
	defer db.Close()
	Create(b, db, Accounts())
	src := source(b, db, native.Options{})
	at, err := src.Snapshot(ctx, newSink(b))
	require.NoError(b, err)
	var writers sync.WaitGroup
	for w := range int64(32) {
		writers.Go(func() {
			for i := int64(0); i < int64(b.N)/32; i += 4 {
				_, err := db.Update(ctx, func(tx *oltp.Tx) error {
					for j := range int64(4) {
						if err := tx.Insert("accounts", Account(w<<40+i+j, 1, fmt.Sprintf("%080d", i))); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	writers.Wait()
	end := db.DurableLSN()
	if end == at {
		return
	}
	b.ReportAllocs()
	b.ResetTimer()
	count := &counting{end: end}
	require.ErrorIs(b, src.Stream(ctx, at, count), errStop)
	b.ReportMetric(float64(count.rows)/b.Elapsed().Seconds(), "changes/s")
}

// counting throws changes away.
type counting struct {
	rows int
	end  schemas.LSN
}

func (c *counting) Changes(_ context.Context, b *change.Batch) error {
	c.rows += b.Len()
	return nil
}
func (c *counting) Barrier(context.Context, load.Barrier) error { return nil }
func (c *counting) Progress(_ context.Context, to schemas.LSN, _ int64) error {
	if to >= c.end {
		return errStop
	}
	return nil
}
