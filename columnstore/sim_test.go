package columnstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// manualClock is time that only tests move.
type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *manualClock { return &manualClock{now: time.Unix(1_700_000_000, 0)} }

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *manualClock) After(time.Duration) <-chan time.Time { return time.After(time.Millisecond) }

// The simulated source has three tables: one with an integer key and a column that
// is sometimes left out, one with a composite text key, one without a key.
var (
	tableA = &schemas.Table{Schema: "public", Name: "a", Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
		{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}, NotNull: true},
		{ID: 2, Name: "amount", Type: schemas.Type{Kind: schemas.Numeric}},
		{ID: 3, Name: "toast", Type: schemas.Type{Kind: schemas.Text}}}}
	tableB = &schemas.Table{Schema: "public", Name: "b", Version: 1, Key: []uint32{4, 9}, Columns: []schemas.Column{
		{ID: 9, Name: "line", Type: schemas.Type{Kind: schemas.Int32}, NotNull: true},
		{ID: 4, Name: "code", Type: schemas.Type{Kind: schemas.Text}, NotNull: true},
		{ID: 5, Name: "n", Type: schemas.Type{Kind: schemas.Int32}}}}
	tableC = &schemas.Table{Schema: "public", Name: "c", Version: 1, Columns: []schemas.Column{
		{ID: 1, Name: "n", Type: schemas.Type{Kind: schemas.Int64}},
		{ID: 2, Name: "note", Type: schemas.Type{Kind: schemas.Varchar, Length: 40}}}}
	simTables = []*schemas.Table{tableA, tableB, tableC}
)

const (
	simPipeline = "pipe"
	simProgress = "progress"
	simParts    = 3
)

// model is the naive state of the source: per table, row by key (the keyless table:
// by position).
type model map[string]map[string]schemas.Row

func (m model) clone() model {
	out := model{}
	for t, rows := range m {
		out[t] = maps.Clone(rows)
	}
	return out
}

// lines gives the rows of a table as sorted text.
func lines(rows []schemas.Row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = fmt.Sprintf("%#v", r)
	}
	sort.Strings(out)
	return out
}

type simChange struct {
	table   *schemas.Table
	op      change.Op
	ordinal uint32
	row     schemas.Row
	absent  vector.Bitmap
	with    int64 // of an old key: one more than the id of the insert that it travels with
}

type simCommit struct {
	lsn      schemas.LSN
	changes  []simChange
	barriers []load.Barrier
}

// message is what stands in a partition.
type message struct {
	batches  []*change.Batch
	begin    *load.Begin
	progress *load.Progress
}

// sim is a source with its capture and partitions, all in memory: what a broker and
// a source would still have after the warehouse crashed.
type sim struct {
	rng     *rand.Rand
	commits []simCommit
	states  map[schemas.LSN]model // after each commit; 0 is empty
	now     model
	serial  int64

	epoch    uint64
	run      load.Run
	emitted  int // commits given to the partitions of the epoch
	last     schemas.LSN
	streams  map[load.Partition][]message
	progress load.Partition
	// noTruncate keeps the source from truncating.
	noTruncate bool
}

func newSim(seed uint64) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 7)), now: model{}, states: map[schemas.LSN]model{}, progress: load.Partition{Topic: simProgress}}
	for _, t := range simTables {
		s.now[t.FullName()] = map[string]schemas.Row{}
	}
	s.states[0] = s.now.clone()
	return s
}

func (s *sim) tip() schemas.LSN {
	if len(s.commits) == 0 {
		return 0
	}
	return s.commits[len(s.commits)-1].lsn
}

// commit makes a transaction at the source.
func (s *sim) commit() {
	c := simCommit{lsn: s.tip() + 1 + schemas.LSN(s.rng.IntN(50))}
	n := 1 + s.rng.IntN(12)
	for i := range n {
		if !s.noTruncate && s.rng.IntN(150) == 0 {
			t := simTables[s.rng.IntN(3)]
			c.barriers = append(c.barriers, load.Barrier{LSN: c.lsn, Ordinal: uint32(2 * i), Table: t.FullName(), Kind: load.BarrierTruncate})
			clear(s.now[t.FullName()])
			continue
		}
		c.changes = append(c.changes, s.change(c.lsn, uint32(2*i))...) // a move takes two places
	}
	s.commits = append(s.commits, c)
	s.states[c.lsn] = s.now.clone()
}

func (s *sim) change(lsn schemas.LSN, ordinal uint32) []simChange {
	s.serial++
	switch s.rng.IntN(4) {
	case 0, 1:
		id := s.rng.Int64N(120)
		key := fmt.Sprint(id)
		rows := s.now[tableA.FullName()]
		old, exists := rows[key]
		amount := []schemas.Value{schemas.NewNumeric(s.serial, 2), schemas.NewNumeric(s.serial, 0), schemas.NewNumericText("NaN"),
			schemas.Null, schemas.NewNumericText(strings.Repeat("9", 25) + fmt.Sprint(s.serial))}[s.rng.IntN(5)]
		row := schemas.Row{schemas.NewInt(schemas.Int64, id), amount, schemas.NewText(fmt.Sprintf("some long text number %d", s.serial))}
		c := simChange{table: tableA, op: change.Insert, ordinal: ordinal, row: row}
		switch {
		case exists && s.rng.IntN(3) == 0:
			delete(rows, key)
			c.op, c.row = change.Delete, schemas.Row{row[0], schemas.Null, schemas.Null}
			c.absent = vector.Bitmap{0b110}
			return []simChange{c}
		case exists && s.rng.IntN(3) == 0:
			return s.move(c, old, ordinal)
		case exists && s.rng.IntN(2) == 0:
			c.op, c.absent = change.Update, vector.Bitmap{0b100}
			rows[key] = schemas.Row{row[0], row[1], old[2]}
			c.row = schemas.Row{row[0], row[1], schemas.Null}
			return []simChange{c}
		case exists:
			c.op = change.Update
		}
		rows[key] = row
		return []simChange{c}
	case 2:
		code := []string{"", "x", "a rather long code that is not inline", "zürich"}[s.rng.IntN(4)]
		row := schemas.Row{schemas.NewInt(schemas.Int32, s.rng.Int64N(15)), schemas.NewText(code), schemas.NewInt(schemas.Int32, s.serial)}
		key := fmt.Sprintf("%s/%d", code, row[0].Int())
		rows := s.now[tableB.FullName()]
		if old, exists := rows[key]; exists && s.rng.IntN(2) == 0 {
			delete(rows, key)
			if s.rng.IntN(2) == 0 {
				return []simChange{{table: tableB, op: change.Delete, ordinal: ordinal, row: old}}
			}
			// A change of key: delete and insert, perhaps in another partition.
			moved := schemas.Row{schemas.NewInt(schemas.Int32, 100+s.serial), old[1], old[2]}
			rows[fmt.Sprintf("%s/%d", code, moved[0].Int())] = moved
			return []simChange{{table: tableB, op: change.Delete, ordinal: ordinal, row: old}, {table: tableB, op: change.Insert, ordinal: ordinal, row: moved}}
		}
		before, exists := rows[key]
		rows[key] = row
		if exists {
			return []simChange{{table: tableB, op: change.Before, ordinal: ordinal, row: before}, {table: tableB, op: change.Update, ordinal: ordinal, row: row}}
		}
		return []simChange{{table: tableB, op: change.Insert, ordinal: ordinal, row: row}}
	}
	row := schemas.Row{schemas.NewInt(schemas.Int64, s.serial), schemas.NewBytes(schemas.Varchar, fmt.Sprint("note ", s.serial%7))}
	s.now[tableC.FullName()][fmt.Sprintf("%d/%d", lsn, ordinal)] = row
	return []simChange{{table: tableC, op: change.Insert, ordinal: ordinal, row: row}}
}

// move changes the key of a row of table a, and leaves out what it had: a delete, and an
// insert that comes with its old key. The new key may be one that was just given up.
func (s *sim) move(c simChange, old schemas.Row, ordinal uint32) []simChange {
	rows, key := s.now[tableA.FullName()], fmt.Sprint(old[0].Int())
	id := s.rng.Int64N(120)
	if _, taken := rows[fmt.Sprint(id)]; taken {
		id = 1000 + s.serial
	}
	delete(rows, key)
	gone := simChange{table: tableA, op: change.Delete, ordinal: ordinal, row: schemas.Row{old[0], schemas.Null, schemas.Null}, absent: vector.Bitmap{0b110}}
	before := gone
	before.op, before.ordinal, before.with = change.Before, ordinal+1, id+1
	c.ordinal, c.row, c.absent = ordinal+1, schemas.Row{schemas.NewInt(schemas.Int64, id), c.row[1], schemas.Null}, vector.Bitmap{0b100}
	rows[fmt.Sprint(id)] = schemas.Row{c.row[0], c.row[1], old[2]}
	return []simChange{gone, before, c}
}

func simPipe(version string) load.Pipeline {
	p := load.Pipeline{Name: simPipeline, Version: version, Source: "src"}
	for _, t := range simTables {
		p.Outputs = append(p.Outputs, load.Output{Table: t, Source: t.FullName()})
	}
	return p
}

func partitionOf(c simChange) load.Partition {
	h := uint32(0)
	if c.with > 0 {
		c.row = schemas.Row{schemas.NewInt(schemas.Int64, c.with-1)}
	}
	for _, ord := range c.table.KeyOrdinals() {
		for _, b := range []byte(fmt.Sprintf("%#v", c.row[ord])) {
			h = h*31 + uint32(b)
		}
	}
	if len(c.table.Key) == 0 {
		h = c.ordinal
	}
	return load.Partition{Topic: "t." + c.table.Name, Index: int32(h % simParts)}
}

func (s *sim) run0(snapshot bool) load.Run {
	return load.Run{Pipeline: simPipeline, Source: "src", Incarnation: "one", Tables: simTables, Progress: simProgress, Snapshot: snapshot,
		Partitions: map[string]int32{simProgress: 1, "t.a": simParts, "t.b": simParts, "t.c": simParts}}
}

// startEpoch asks for an epoch and begins to stream, with a snapshot or from W.
func (s *sim) startEpoch(t testing.TB, st *Store, snapshot bool) {
	s.run = s.run0(snapshot)
	g, err := st.Grant(context.Background(), s.run)
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
	s.epoch, s.streams, s.last = g.Epoch, map[load.Partition][]message{}, g.W
	s.emitted = 0
	for s.emitted < len(s.commits) && s.commits[s.emitted].lsn <= g.W {
		s.emitted++
	}
	s.send(s.progress, message{begin: &load.Begin{Epoch: g.Epoch, From: g.W}})
	if snapshot {
		s.snapshot(g.W)
	}
}

func (s *sim) send(p load.Partition, m message) { s.streams[p] = append(s.streams[p], m) }

// snapshot sends the rows of the tip in chunks, then the record that completes it.
func (s *sim) snapshot(from schemas.LSN) {
	point := s.tip()
	ordinal := uint32(0)
	for _, t := range simTables {
		rows := s.states[point][t.FullName()]
		keys := slices.Sorted(maps.Keys(rows))
		for len(keys) > 0 {
			n := min(len(keys), 1+s.rng.IntN(30))
			touched := map[load.Partition]*change.Batch{}
			for _, k := range keys[:n] {
				c := simChange{table: t, op: change.Insert, ordinal: ordinal, row: rows[k]}
				ordinal++
				s.add(touched, point, c)
			}
			keys = keys[n:]
			s.flushBatches(touched)
			s.send(s.progress, message{progress: &load.Progress{Epoch: s.epoch, From: from, To: from, CommitTime: int64(point), Needs: s.needs(touched),
				Snapshot: &load.Snapshot{Table: t.FullName(), RowsDone: int64(n)}}})
		}
	}
	for s.emitted < len(s.commits) {
		s.emitted++
	}
	s.send(s.progress, message{progress: &load.Progress{Epoch: s.epoch, From: from, To: point, CommitTime: int64(point), Full: true, Needs: s.needs(nil)}})
	s.last = point
}

func (s *sim) add(to map[load.Partition]*change.Batch, lsn schemas.LSN, c simChange) {
	p := partitionOf(c)
	if to[p] == nil {
		to[p] = change.New(c.table, 4)
	}
	to[p].Append(c.op, lsn, c.ordinal, c.row, c.absent)
}

func (s *sim) flushBatches(to map[load.Partition]*change.Batch) {
	for p, b := range to {
		s.send(p, message{batches: []*change.Batch{b}})
	}
}

// needs are the sequences of the touched partitions, or of all.
func (s *sim) needs(touched map[load.Partition]*change.Batch) []load.Need {
	var out []load.Need
	for p, ms := range s.streams {
		if _, ok := touched[p]; (ok || touched == nil) && p != s.progress {
			out = append(out, load.Need{Partition: p, Sequence: uint64(len(ms))})
		}
	}
	return out
}

// stream sends some of the commits that were not sent, and a progress record.
func (s *sim) stream(limit int) {
	touched := map[load.Partition]*change.Batch{}
	all := map[load.Partition]*change.Batch{}
	var barriers []load.Barrier
	to := s.last
	for n := 0; n < limit && s.emitted < len(s.commits); n++ {
		c := s.commits[s.emitted]
		for _, ch := range c.changes {
			s.add(touched, c.lsn, ch)
		}
		barriers = append(barriers, c.barriers...)
		if s.rng.IntN(2) == 0 {
			s.flushBatches(touched)
			maps.Copy(all, touched)
			touched = map[load.Partition]*change.Batch{}
		}
		to = c.lsn
		s.emitted++
	}
	s.flushBatches(touched)
	maps.Copy(all, touched)
	needs, full := s.needs(all), false
	if s.rng.IntN(4) == 0 {
		needs, full = s.needs(nil), true
	}
	if s.rng.IntN(6) == 0 { // the filter dropped a message's rows: the sequence advances
		s.send(load.Partition{Topic: "t.a", Index: 0}, message{})
	}
	s.send(s.progress, message{progress: &load.Progress{Epoch: s.epoch, From: s.last, To: to, CommitTime: int64(to), Needs: needs, Full: full, Barriers: barriers}})
	s.last = to
}

// request is the load of messages [from,to) under a lease.
func (s *sim) request(l load.Lease, version string, from, to uint64) *load.Load {
	r := &load.Load{Lease: l, Epoch: l.Epoch, Version: version, From: from, To: to, NextOffset: int64(to)}
	for _, m := range s.streams[l.Partition][from:to] {
		r.Batches = append(r.Batches, m.batches...)
		if m.begin != nil {
			r.Begin = m.begin
		}
		if m.progress != nil {
			r.Progress = append(r.Progress, *m.progress)
		}
	}
	return r
}

// scanAll reads every visible row of a table.
func scanAll(t testing.TB, cat catalog.Catalog, name string) ([]schemas.Row, error) {
	tab, err := cat.Table("", name)
	if err != nil {
		return nil, err
	}
	return scanTable(t, tab), nil
}

func scanTable(t testing.TB, tab catalog.Table) []schemas.Row {
	cols := make([]int, len(tab.Schema().Columns))
	for i := range cols {
		cols[i] = i
	}
	sc, err := tab.Scan(cols, nil)
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	defer sc.Close()
	var out []schemas.Row
	var dst catalog.Chunk
	for i := range sc.Morsels() {
		if err := sc.Morsel(context.Background(), i, &dst); err != nil {
			t.Fatalf("morsel %d: %v", i, err)
		}
		for r := range dst.Rows {
			if dst.Visible != nil && !dst.Visible.Get(r) {
				continue
			}
			row := make(schemas.Row, len(cols))
			for c, v := range dst.Columns {
				if v.Len != dst.Rows {
					t.Fatalf("column of %d rows in a morsel of %d", v.Len, dst.Rows)
				}
				row[c] = v.Value(r)
			}
			out = append(out, row)
		}
	}
	if dst.Release != nil {
		dst.Release()
	}
	if int64(len(out)) != tab.Stats().Rows {
		t.Errorf("table %s: %d rows scanned, statistics say %d", tab.Schema().FullName(), len(out), tab.Stats().Rows)
	}
	return out
}

// verify compares a snapshot with the model at its W and returns W.
func (s *sim) verify(t testing.TB, n *Snapshot) schemas.LSN {
	t.Helper()
	w := n.W()
	want := s.states[w]
	if want == nil {
		t.Errorf("W %d is not the end of a commit", w)
		return w
	}
	for _, tb := range simTables {
		rows, err := scanAll(t, n, tb.Name)
		if code := schemas.CodeOf(err); code == schemas.CodeNotReady || code == schemas.CodeUnknownTable && w == 0 {
			continue
		}
		if err != nil {
			t.Errorf("table %s: %v", tb.Name, err)
			return w
		}
		var expect []schemas.Row
		for _, r := range want[tb.FullName()] {
			expect = append(expect, r)
		}
		if got, exp := lines(rows), lines(expect); !slices.Equal(got, exp) {
			t.Errorf("table %s at W %d, version %d: %d rows, want %d: %s", tb.Name, w, n.Version(), len(got), len(exp), firstDifference(got, exp))
			return w
		}
	}
	return w
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("got %s, want %s", a[i], b[i])
		}
	}
	switch {
	case len(a) > len(b):
		return "extra " + a[len(b)]
	case len(b) > len(a):
		return "missing " + b[len(a)]
	}
	return "none"
}

func simOptions(fsys vfs.FS, clk *manualClock) Options {
	return Options{Dir: "/data", FS: fsys, Clock: clk, MemoryBudget: 1 << 20, LogSegmentBytes: 32 << 10, Manual: true,
		Compaction: table.Policy{SmallSegments: 2}}
}

func openSim(t testing.TB, o Options) *Store {
	t.Helper()
	st, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return st
}

// settleAll waits until everything durable is visible.
func settleAll(t testing.TB, st *Store) load.State {
	t.Helper()
	for range 5000 {
		s, err := st.State(canceled(), simPipeline, 0)
		if err != nil {
			t.Fatalf("state: %v", err)
		}
		if s.VisibleW >= s.DurableW && !st.publishable() {
			return s
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("nothing is published any more: %+v", st.Stats())
	return load.State{}
}

func (s *Store) partial() bool {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	return s.ingest.pipes[simPipeline].Partial()
}

// publishable says whether something could be published now.
func (s *Store) publishable() bool {
	_, pub := s.nextPublication()
	return pub != nil
}

func canceled() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the test does not wait"))
	return ctx
}
