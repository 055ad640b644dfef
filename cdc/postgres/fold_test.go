package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/pgtest"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

var pg pgtest.Shared

func TestMain(m *testing.M) { os.Exit(pg.Run(m)) }

// fold is the naive model: it applies what a source hands over, row by row, and
// checks the contract of cdc.Sink on the way.
type fold struct {
	gone    map[string][]string // the row deleted last, by key
	held    []string            // the row that the next insert takes unsent values from
	mu      sync.Mutex
	tables  map[string]map[string][]string // table → key (or position) → values as text
	columns map[string][]string
	keys    map[string][]int
	pending []event
	w       schemas.LSN
	time    int64
	loaded  bool // a snapshot was completed
	chunks  map[string]int
	beats   int // calls of Progress
	changes int
	moved   chan struct{}
	failAt  int // fails the call of that number, to end a run at any point
	calls   int
	before  map[string]int
}

type event struct {
	lsn     schemas.LSN
	ordinal uint32
	table   string
	op      change.Op
	row     []string
	barrier bool
}

const absentValue = "\x00ABSENT"

func newFold() *fold {
	f := &fold{moved: make(chan struct{}, 1), before: map[string]int{}}
	f.clear()
	return f
}

func (f *fold) clear() {
	f.tables, f.columns, f.keys, f.chunks = map[string]map[string][]string{}, map[string][]string{}, map[string][]int{}, map[string]int{}
	f.pending = nil
}

var errInjected = errors.New("the sink fails as the test told it to")

func (f *fold) call() error {
	f.calls++
	if f.failAt > 0 && f.calls >= f.failAt {
		return errInjected
	}
	return nil
}

func (f *fold) Changes(_ context.Context, b *change.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return err
	}
	name := b.Table.FullName()
	f.learn(b.Table)
	for i := range b.Ops {
		e := event{lsn: b.LSN[i], ordinal: b.Ordinal[i], table: name, op: b.Ops[i], row: make([]string, len(b.Cols))}
		for c, v := range b.Cols {
			switch {
			case b.IsAbsent(c, i):
				e.row[c] = absentValue
			case v.Null(i):
				e.row[c] = pgtest.Null
			default:
				e.row[c] = string(pgtext.AppendVector(nil, v, i))
			}
		}
		f.pending = append(f.pending, e)
	}
	f.changes += b.Len()
	return nil
}

func (f *fold) learn(t *schemas.Table) {
	name := t.FullName()
	if f.tables[name] != nil {
		return
	}
	f.tables[name] = map[string][]string{}
	f.keys[name] = t.KeyOrdinals()
	for _, c := range t.Columns {
		f.columns[name] = append(f.columns[name], c.Name)
	}
}

func (f *fold) Barrier(_ context.Context, b load.Barrier) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return err
	}
	f.pending = append(f.pending, event{lsn: b.LSN, ordinal: b.Ordinal, table: b.Table, barrier: true})
	return nil
}

func (f *fold) Chunk(_ context.Context, s load.Snapshot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return err
	}
	f.chunks[s.Table]++
	return f.apply()
}

func (f *fold) Progress(_ context.Context, to schemas.LSN, at int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call(); err != nil {
		return err
	}
	f.beats++
	if age := time.Since(time.UnixMicro(at)); age > time.Hour || age < -time.Minute {
		return fmt.Errorf("progress tells a time %v ago", age)
	}
	if to < f.w {
		return fmt.Errorf("progress goes back from %s to %s", f.w, to)
	}
	for _, e := range f.pending {
		if e.lsn <= f.w || e.lsn > to {
			return fmt.Errorf("a change of %s at %s is outside of (%s, %s]", e.table, e.lsn, f.w, to)
		}
	}
	f.w, f.time = to, at
	select {
	case f.moved <- struct{}{}:
	default:
	}
	return f.apply()
}

// apply folds the pending events in position order.
func (f *fold) apply() error {
	slices.SortStableFunc(f.pending, func(a, b event) int {
		if a.lsn != b.lsn {
			if a.lsn < b.lsn {
				return -1
			}
			return 1
		}
		return int(a.ordinal) - int(b.ordinal)
	})
	for _, e := range f.pending {
		if err := f.one(e); err != nil {
			return err
		}
	}
	f.pending = f.pending[:0]
	return nil
}

func (f *fold) one(e event) error {
	rows := f.tables[e.table]
	if e.barrier {
		f.tables[e.table] = map[string][]string{}
		return nil
	}
	var parts []string
	for _, k := range f.keys[e.table] {
		if e.row[k] == absentValue || e.row[k] == pgtest.Null {
			return fmt.Errorf("%v of %s at %s/%d has no key", e.op, e.table, e.lsn, e.ordinal)
		}
		parts = append(parts, e.row[k])
	}
	key := strings.Join(parts, "\x00")
	if len(parts) == 0 {
		key = fmt.Sprintf("%d/%d", e.lsn, e.ordinal)
	}
	switch e.op {
	case change.Insert:
		if rows[key] != nil {
			return fmt.Errorf("insert of a row that exists: %s %q at %s/%d", e.table, key, e.lsn, e.ordinal)
		}
		for i := range e.row {
			if e.row[i] != absentValue {
				continue
			}
			if f.held == nil {
				return fmt.Errorf("insert with an absent value: %s %q", e.table, key)
			}
			e.row[i] = f.held[i]
		}
		rows[key], f.held = e.row, nil
	case change.Update:
		f.held = nil
		old := rows[key]
		if old == nil {
			return fmt.Errorf("update of a row that does not exist: %s %q at %s/%d", e.table, key, e.lsn, e.ordinal)
		}
		for i := range e.row {
			if e.row[i] == absentValue {
				e.row[i] = old[i]
			}
		}
		rows[key] = e.row
	case change.Delete, change.Before:
		old := rows[key]
		if old == nil && e.op == change.Before {
			old = f.gone[key] // the key that the next insert's row had
		}
		if old == nil {
			return fmt.Errorf("%v of a row that does not exist: %s %q at %s/%d", e.op, e.table, key, e.lsn, e.ordinal)
		}
		for i := range e.row {
			if e.row[i] != absentValue && e.row[i] != old[i] {
				return fmt.Errorf("%v of %s %q tells %q, the row had %q", e.op, e.table, key, e.row[i], old[i])
			}
		}
		if e.op == change.Delete {
			delete(rows, key)
			f.gone = map[string][]string{key: old}
		} else {
			f.before[e.table]++
			f.held = old
		}
	}
	return nil
}

func (f *fold) position() schemas.LSN {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.w
}

// await waits until W reaches lsn.
func (f *fold) await(t *testing.T, lsn string, running <-chan error) {
	t.Helper()
	want, err := schemas.ParseLSN(lsn)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(60 * time.Second)
	for f.position() < want {
		select {
		case <-f.moved:
		case err := <-running:
			t.Fatalf("the stream ended: %v", err)
		case <-deadline:
			t.Fatalf("W stays at %s and does not reach %s", f.position(), want)
		}
	}
}

// equal compares a folded table with the real one.
func (f *fold) equal(t *testing.T, db *pgtest.DB, table string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for _, c := range f.columns[table] {
		names = append(names, quoteIdent(c))
	}
	if len(names) == 0 {
		if n := db.One("SELECT count(*) FROM %s", table); n != "0" {
			t.Errorf("%s: nothing was handed over of %s rows", table, n)
		}
		return
	}
	r := db.Query("SELECT %s FROM %s", strings.Join(names, ", "), table)
	var want, got []string
	for _, row := range r.Rows {
		want = append(want, strings.Join(row, "|"))
	}
	for _, row := range f.tables[table] {
		got = append(got, strings.Join(row, "|"))
	}
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: folded %d rows, the table has %d", table, len(got), len(want))
	shown := 0
	for i := 0; i < max(len(got), len(want)) && shown < 5; i++ {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			shown++
			t.Errorf("%s:\n  folded %.300q\n  table  %.300q", table, g, w)
		}
	}
}

// newSource makes a source on a test's database; slots are dropped at its end.
func newSource(t testing.TB, db *pgtest.DB, slot string, o Options) *Source {
	t.Helper()
	o.DSN, o.Slot, o.Publication = db.DSN, slot, slot
	if o.SpillDir == "" {
		o.SpillDir = t.TempDir()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		admin := pgtest.Open(t, db.DSN)
		for range 100 {
			if admin.TryExec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '%s'", slot) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return s
}

// run describes, loads what was never loaded, and streams until the context ends
// or something fails.
func run(ctx context.Context, s *Source, f *fold) error {
	d, err := s.Describe(ctx)
	if err != nil {
		return err
	}
	if !f.loaded {
		f.mu.Lock()
		f.clear()
		for _, t := range d.Tables {
			f.learn(t)
		}
		f.mu.Unlock()
		at, err := s.Snapshot(ctx, f)
		if err != nil {
			return err
		}
		f.mu.Lock()
		if len(f.chunks) != len(d.Tables) {
			err = fmt.Errorf("chunks of %d tables, not %d", len(f.chunks), len(d.Tables))
		}
		f.w, f.loaded = at, true
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.pending = nil // what an ended run did not close is handed over again
	f.mu.Unlock()
	return s.Stream(ctx, f.position(), f)
}

// start runs a source beside the test. The function ends it and returns its error.
func start(s *Source, f *fold) (running <-chan error, stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, s, f) }()
	return done, func() error {
		cancel()
		return <-done
	}
}

// streams waits until progress was told again, or the run ended.
func (f *fold) streams(running <-chan error, beats int) error {
	for {
		select {
		case err := <-running:
			return err
		case <-time.After(5 * time.Millisecond):
		}
		f.mu.Lock()
		now := f.beats
		f.mu.Unlock()
		if now > beats {
			return nil
		}
	}
}

// settle retries, as the stream does, until the slot of an ended run is free.
func settle(t *testing.T, s *Source, f *fold) (running <-chan error, stop func() error) {
	t.Helper()
	for range 500 {
		f.mu.Lock()
		beats := f.beats
		f.mu.Unlock()
		running, stop = start(s, f)
		err := f.streams(running, beats)
		if err == nil {
			return running, stop
		}
		if !retryable(err) {
			t.Fatalf("the stream ended: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the slot does not get free")
	return nil, nil
}
