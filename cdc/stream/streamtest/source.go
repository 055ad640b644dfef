package streamtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// Change is one change of a committed transaction.
type Change struct {
	Table  *schemas.Table
	Op     change.Op
	Row    schemas.Row
	Absent vector.Bitmap
	// Truncate, when set, stands for a TRUNCATE of Table.
	Truncate bool
}

// Txn is a committed transaction. LSN is where its commit record ends.
type Txn struct {
	LSN     schemas.LSN
	Time    time.Time
	Changes []Change
}

// Source is a database in memory whose log holds all that was ever committed.
type Source struct {
	Tables []*schemas.Table
	// BatchRows is how many rows it hands over before a progress point, at least.
	BatchRows int

	mu struct {
		sync.Mutex
		incarnation string
		log         []Txn
		end         schemas.LSN
		confirmed   schemas.LSN
		slot        bool
		more        chan struct{} // closed at a commit
		violations  []string
	}
}

// NewSource makes an empty source with tables of several kinds.
func NewSource() *Source {
	s := &Source{Tables: Tables(), BatchRows: 500}
	s.mu.incarnation, s.mu.end, s.mu.more = "life-1", 1000, make(chan struct{})
	return s
}

// Tables are a table with a number as key, one with a composite key, and one
// without a key.
func Tables() []*schemas.Table {
	col := func(id uint32, name string, k schemas.Kind) schemas.Column {
		return schemas.Column{ID: id, Name: name, Type: schemas.Type{Kind: k}}
	}
	return []*schemas.Table{
		{Schema: "public", Name: "accounts", Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
			col(1, "id", schemas.Int64), col(2, "owner", schemas.Text), col(3, "balance", schemas.Numeric), col(4, "seen", schemas.TimestampTZ)}},
		{Schema: "shop", Name: "items", Version: 4, Key: []uint32{2, 1}, Columns: []schemas.Column{
			col(1, "number", schemas.Int32), col(2, "code", schemas.Text), col(3, "weight", schemas.Float64), col(5, "data", schemas.Bytea)}},
		{Schema: "public", Name: "events", Version: 2, Columns: []schemas.Column{
			col(1, "kind", schemas.Text), col(2, "at", schemas.Timestamp), col(3, "span", schemas.Interval)}},
	}
}

// Commit appends a transaction and returns its LSN.
func (s *Source) Commit(changes ...Change) schemas.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.end += schemas.LSN(40 + 20*len(changes))
	s.mu.log = append(s.mu.log, Txn{LSN: s.mu.end, Time: time.Now(), Changes: changes})
	close(s.mu.more)
	s.mu.more = make(chan struct{})
	return s.mu.end
}

// Idle moves the end of the log without a captured change.
func (s *Source) Idle() schemas.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.end += 64
	return s.mu.end
}

// End is the end of the log.
func (s *Source) End() schemas.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.end
}

// Reincarnate gives the log another life.
func (s *Source) Reincarnate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.incarnation = name
}

// Between returns the transactions that end in (from, to].
func (s *Source) Between(from, to schemas.LSN) (out []Txn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.mu.log {
		if t.LSN > from && t.LSN <= to {
			out = append(out, t)
		}
	}
	return out
}

// Confirmed is the slot's position.
func (s *Source) Confirmed() schemas.LSN {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.confirmed
}

// Violations are the breaches of the contract that were seen.
func (s *Source) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mu.violations...)
}

// Describe implements cdc.Source.
func (s *Source) Describe(context.Context) (cdc.Description, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cdc.Description{Kind: "test", Incarnation: s.mu.incarnation, Tables: s.Tables, Resumable: s.mu.slot, Confirmed: s.mu.confirmed, End: s.mu.end}, nil
}

// Snapshot implements cdc.Source.
func (s *Source) Snapshot(ctx context.Context, sink cdc.SnapshotSink) (schemas.LSN, error) {
	s.mu.Lock()
	at := s.mu.end
	s.mu.slot, s.mu.confirmed = true, at
	s.mu.Unlock()
	state := Fold(nil, s.Between(0, at))
	for _, t := range s.Tables {
		b, rows, done := change.New(t, 0), state.Rows(t), 0
		for i, row := range rows {
			b.Append(change.Insert, at, uint32(i), row, nil)
			if b.Len() < 100 && i < len(rows)-1 {
				continue
			}
			if err := sink.Changes(ctx, b); err != nil {
				return 0, err
			}
			done += b.Len()
			b.Reset()
			if err := sink.Chunk(ctx, load.Snapshot{Table: t.FullName(), RowsDone: int64(done), RowsTotal: int64(len(rows))}); err != nil {
				return 0, err
			}
		}
		if len(rows) == 0 {
			if err := sink.Chunk(ctx, load.Snapshot{Table: t.FullName()}); err != nil {
				return 0, err
			}
		}
	}
	return at, nil
}

// Stream implements cdc.Source.
func (s *Source) Stream(ctx context.Context, from schemas.LSN, sink cdc.Sink) error {
	s.mu.Lock()
	if from < s.mu.confirmed {
		s.mu.Unlock()
		return schemas.Errorf(schemas.CodeSource, "55000", "changes after %v are gone, the slot is at %v", from, s.mu.confirmed)
	}
	next := 0
	for next < len(s.mu.log) && s.mu.log[next].LSN <= from {
		next++
	}
	s.mu.Unlock()
	out := newSpout(s, sink)
	for ctx.Err() == nil {
		s.mu.Lock()
		todo, end, more := s.mu.log[next:], s.mu.end, s.mu.more
		s.mu.Unlock()
		if len(todo) == 0 {
			if err := sink.Progress(ctx, end, time.Now().UnixMicro()); err != nil {
				return err
			}
			select {
			case <-more:
			case <-time.After(cdc.HeartbeatInterval):
			case <-ctx.Done():
			}
			continue
		}
		n, err := out.some(ctx, todo)
		if err != nil {
			return err
		}
		next += n
	}
	return ctx.Err()
}

// spout fills batches and hands them over.
type spout struct {
	s       *Source
	sink    cdc.Sink
	batches map[*schemas.Table]*change.Batch
}

func newSpout(s *Source, sink cdc.Sink) *spout {
	p := &spout{s: s, sink: sink, batches: map[*schemas.Table]*change.Batch{}}
	for _, t := range s.Tables {
		p.batches[t] = change.New(t, 0)
	}
	return p
}

// some hands over the first transactions, at least BatchRows rows or all.
func (p *spout) some(ctx context.Context, txns []Txn) (int, error) {
	rows := 0
	for n, t := range txns {
		for i, c := range t.Changes {
			if c.Truncate {
				if err := p.sink.Barrier(ctx, load.Barrier{LSN: t.LSN, Ordinal: uint32(i), Table: c.Table.FullName(), Kind: load.BarrierTruncate}); err != nil {
					return 0, err
				}
				continue
			}
			b := p.batches[c.Table]
			b.Append(c.Op, t.LSN, uint32(i), c.Row, c.Absent)
			if b.Len() >= 2000 {
				if err := p.flush(ctx, b); err != nil {
					return 0, err
				}
			}
		}
		if rows += len(t.Changes); rows < p.s.BatchRows && n < len(txns)-1 {
			continue
		}
		for _, tab := range p.s.Tables {
			if err := p.flush(ctx, p.batches[tab]); err != nil {
				return 0, err
			}
		}
		return n + 1, p.sink.Progress(ctx, t.LSN, t.Time.UnixMicro())
	}
	return 0, nil
}

func (p *spout) flush(ctx context.Context, b *change.Batch) error {
	defer b.Reset()
	return p.sink.Changes(ctx, b)
}

// Confirm implements cdc.Source.
func (s *Source) Confirm(_ context.Context, lsn schemas.LSN) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lsn == 0 || lsn < s.mu.confirmed || lsn > s.mu.end {
		s.mu.violations = append(s.mu.violations, fmt.Sprintf("confirm of %v, confirmed %v, end %v", lsn, s.mu.confirmed, s.mu.end))
	}
	s.mu.confirmed = max(s.mu.confirmed, lsn)
	return nil
}

// Close implements cdc.Source.
func (s *Source) Close() error { return nil }

// Workload makes random transactions for a source.
type Workload struct {
	s    *Source
	r    *rand.Rand
	keys map[*schemas.Table]map[string]schemas.Row
	list map[*schemas.Table][]string
}

// NewWorkload makes a workload of a seed.
func NewWorkload(s *Source, seed uint64) *Workload {
	w := &Workload{s: s, r: rand.New(rand.NewPCG(seed, 1)), keys: map[*schemas.Table]map[string]schemas.Row{}, list: map[*schemas.Table][]string{}}
	for _, t := range s.Tables {
		w.keys[t] = map[string]schemas.Row{}
	}
	return w
}

// Commit commits a transaction of n changes.
func (w *Workload) Commit(n int) schemas.LSN {
	changes := make([]Change, 0, n)
	for len(changes) < n {
		changes = append(changes, w.change()...)
	}
	return w.s.Commit(changes...)
}

// Truncate commits a TRUNCATE among other changes.
func (w *Workload) Truncate() schemas.LSN {
	t := w.s.Tables[w.r.IntN(2)]
	changes := w.change()
	w.keys[t], w.list[t] = map[string]schemas.Row{}, nil
	changes = append(changes, Change{Table: t, Truncate: true})
	return w.s.Commit(append(changes, w.change()...)...)
}

func (w *Workload) change() []Change {
	t := w.s.Tables[w.r.IntN(len(w.s.Tables))]
	row := w.row(t)
	if len(t.Key) == 0 {
		return []Change{{Table: t, Op: change.Insert, Row: row}}
	}
	live := w.keys[t]
	if len(live) > 0 && w.r.IntN(3) > 0 {
		key := w.pick(t)
		old := live[key]
		if w.r.IntN(4) == 0 {
			delete(live, key)
			return []Change{{Table: t, Op: change.Delete, Row: old}}
		}
		for _, k := range t.KeyOrdinals() {
			row[k] = old[k]
		}
		live[key] = row
		return []Change{{Table: t, Op: change.Update, Row: row}}
	}
	key := Key(t, row)
	op := change.Insert
	if _, ok := live[key]; ok {
		op = change.Update
	} else {
		w.list[t] = append(w.list[t], key)
	}
	live[key] = row
	return []Change{{Table: t, Op: op, Row: row}}
}

// pick finds a live key.
func (w *Workload) pick(t *schemas.Table) string {
	for range 50 {
		i := w.r.IntN(len(w.list[t]))
		k := w.list[t][i]
		if _, ok := w.keys[t][k]; ok {
			return k
		}
		last := len(w.list[t]) - 1
		w.list[t][i] = w.list[t][last]
		if w.list[t] = w.list[t][:last]; last == 0 {
			break
		}
	}
	for k := range w.keys[t] {
		return k
	}
	return ""
}

func (w *Workload) row(t *schemas.Table) schemas.Row {
	row := make(schemas.Row, len(t.Columns))
	for i, c := range t.Columns {
		if !t.IsKey(c.ID) && w.r.IntN(10) == 0 {
			continue
		}
		switch c.Type.Kind.Layout() {
		case schemas.LayoutInt:
			row[i] = schemas.NewInt(c.Type.Kind, w.r.Int64N(5000))
		case schemas.LayoutFloat:
			row[i] = schemas.NewFloat(c.Type.Kind, w.r.Float64())
		case schemas.LayoutDecimal:
			row[i] = schemas.NewNumeric(w.r.Int64N(1_000_000), w.r.IntN(3))
		case schemas.LayoutInterval:
			row[i] = schemas.NewInterval(1, 2, w.r.Int64N(1000))
		default:
			row[i] = schemas.NewBytes(c.Type.Kind, fmt.Sprintf("value %d", w.r.IntN(1_000_000)>>w.r.IntN(20)))
		}
	}
	return row
}

// SetBack cuts the log, as a restore of an old backup does.
func (s *Source) SetBack(end schemas.LSN) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.end = end
	s.mu.confirmed = min(s.mu.confirmed, end)
}

// DropSlot forgets the slot.
func (s *Source) DropSlot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.slot = false
}
