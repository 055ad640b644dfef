package streamtest

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Warehouse is the load protocol's server in memory. It compares every interval it
// publishes with the source's log.
type Warehouse struct {
	source *Source

	mu struct {
		sync.Mutex
		run      load.Run
		epoch    uint64
		w        schemas.LSN
		down     bool
		replay   string
		parts    map[load.Partition]*part
		offsets  map[load.Partition]int64 // of the last epoch: hints
		begin    *load.Begin
		pending  []load.Progress
		needs    map[load.Partition]uint64
		staged   []staged
		barriers []load.Barrier
		state    State
		changed  chan struct{}
		records  []load.Progress
		bad      []string
		lost     []string
		chunks   int
		token    uint64
	}
}

type part struct {
	next   uint64
	offset int64
	token  uint64
	worker string
}

// staged is a row that waits for its interval.
type staged struct {
	change  Change
	lsn     schemas.LSN
	ordinal uint32
}

// NewWarehouse makes an empty warehouse that checks itself against a source.
func NewWarehouse(s *Source) *Warehouse {
	w := &Warehouse{source: s}
	w.mu.changed, w.mu.state, w.mu.offsets = make(chan struct{}), State{}, map[load.Partition]int64{}
	return w
}

// Register implements load.Warehouse.
func (w *Warehouse) Register(context.Context, load.Pipeline) error { return nil }

// Grant implements load.Warehouse: what an epoch left unpublished is dropped.
func (w *Warehouse) Grant(_ context.Context, run load.Run) (load.Grant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.down {
		return load.Grant{}, errDown
	}
	for p, q := range w.mu.parts {
		w.mu.offsets[p] = q.offset
	}
	w.mu.epoch++
	w.mu.run, w.mu.replay, w.mu.begin = run, "", nil
	w.mu.pending, w.mu.staged, w.mu.barriers, w.mu.needs = nil, nil, nil, map[load.Partition]uint64{}
	w.mu.parts = map[load.Partition]*part{}
	for topic, n := range run.Partitions {
		for i := range n {
			p := load.Partition{Topic: topic, Index: i}
			w.mu.parts[p] = &part{offset: w.mu.offsets[p]}
		}
	}
	w.notify()
	return load.Grant{Epoch: w.mu.epoch, W: w.mu.w, History: "test"}, nil
}

var errDown = schemas.Errorf(schemas.CodeNotReady, "57P03", "the warehouse is down")

// Down makes every call fail until it is called with false.
func (w *Warehouse) Down(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.down = down
	w.notify()
}

func (w *Warehouse) notify() {
	close(w.mu.changed)
	w.mu.changed = make(chan struct{})
}

// Acquire implements load.Warehouse.
func (w *Warehouse) Acquire(_ context.Context, pipeline, worker string, max int) ([]load.Lease, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.down {
		return nil, errDown
	}
	var all []load.Partition
	for p := range w.mu.parts {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].Topic < all[j].Topic || all[i].Topic == all[j].Topic && all[i].Index < all[j].Index
	})
	var out []load.Lease
	for _, p := range all {
		q := w.mu.parts[p]
		if q.worker == "" && len(out) < max {
			w.mu.token++
			q.worker, q.token = worker, w.mu.token
		}
		if q.worker == worker {
			out = append(out, load.Lease{Pipeline: pipeline, Source: w.mu.run.Source, Partition: p, Worker: worker, Token: q.token,
				Epoch: w.mu.epoch, NextSequence: q.next, Offset: q.offset, Run: w.mu.run})
		}
	}
	return out, nil
}

// Release implements load.Warehouse.
func (w *Warehouse) Release(_ context.Context, leases []load.Lease) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range leases {
		if q := w.mu.parts[l.Partition]; q != nil && q.token == l.Token {
			q.worker = ""
		}
	}
	return nil
}

// Load implements load.Warehouse.
func (w *Warehouse) Load(_ context.Context, l *load.Load) (load.Reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.mu.parts[l.Lease.Partition]
	switch {
	case w.mu.down:
		return load.Reply{}, errDown
	case q == nil || l.Epoch != w.mu.epoch || q.token != l.Lease.Token:
		return load.Reply{}, schemas.Errorf(schemas.CodeFenced, "55000", "lease of epoch %d", l.Epoch)
	case l.From != q.next || l.To <= l.From:
		w.mu.bad = append(w.mu.bad, fmt.Sprintf("load [%d,%d) of %v where %d is next", l.From, l.To, l.Lease.Partition, q.next))
		return load.Reply{}, schemas.Errorf(schemas.CodeConflict, "40001", "sequence")
	}
	for _, b := range l.Batches {
		for i := range b.Len() {
			w.mu.staged = append(w.mu.staged, staged{Change{Table: b.Table, Op: b.Ops[i], Row: b.Row(i)}, b.LSN[i], b.Ordinal[i]})
		}
	}
	if l.Begin != nil {
		w.mu.begin = l.Begin
	}
	w.mu.pending = append(w.mu.pending, l.Progress...)
	w.mu.records = append(w.mu.records, l.Progress...)
	q.next, q.offset = l.To, l.NextOffset
	w.publish()
	return load.Reply{DurableW: w.mu.w, VisibleW: w.mu.w, Credit: 1 << 30}, nil
}

// publish merges every interval whose needs are loaded.
func (w *Warehouse) publish() {
	for len(w.mu.pending) > 0 {
		p := w.mu.pending[0]
		if w.mu.begin == nil || p.Epoch != w.mu.epoch {
			w.mu.bad = append(w.mu.bad, fmt.Sprintf("progress of epoch %d before the begin record of %d", p.Epoch, w.mu.epoch))
			return
		}
		for _, n := range p.Needs {
			if w.mu.needs[n.Partition] > n.Sequence {
				w.mu.bad = append(w.mu.bad, fmt.Sprintf("the need of %v goes back to %d", n.Partition, n.Sequence))
			}
			w.mu.needs[n.Partition] = n.Sequence
		}
		for part, need := range w.mu.needs {
			if w.mu.parts[part].next < need {
				return
			}
		}
		w.mu.pending = w.mu.pending[1:]
		w.interval(p)
	}
}

// interval merges (From, To] and compares it with the source's log.
func (w *Warehouse) interval(p load.Progress) {
	w.mu.barriers = append(w.mu.barriers, p.Barriers...)
	if p.Snapshot != nil {
		w.mu.chunks++
		if p.From != p.To || w.mu.w != p.From {
			w.mu.bad = append(w.mu.bad, fmt.Sprintf("snapshot chunk (%v,%v] at W %v", p.From, p.To, w.mu.w))
		}
		return
	}
	if p.To <= w.mu.w {
		return
	}
	if p.From > w.mu.w {
		w.mu.bad = append(w.mu.bad, fmt.Sprintf("interval (%v,%v] follows W %v", p.From, p.To, w.mu.w))
		return
	}
	got := w.due(p.To)
	if w.mu.w == 0 {
		for _, s := range got {
			w.mu.state.Apply(s.change, s.lsn, s.ordinal)
		}
		if d := Diff(w.source.Tables, Fold(nil, w.source.Between(0, p.To)), w.mu.state); d != "" {
			w.mu.bad = append(w.mu.bad, "snapshot: "+d)
		}
	} else {
		w.compare(got, p)
		for _, s := range got {
			w.mu.state.Apply(s.change, s.lsn, s.ordinal)
		}
	}
	w.mu.w = p.To
	w.notify()
}

// due takes the staged changes in (W, to], in order of their positions.
func (w *Warehouse) due(to schemas.LSN) (out []staged) {
	left := w.mu.staged[:0:0]
	for _, s := range w.mu.staged {
		switch {
		case s.lsn <= w.mu.w:
		case s.lsn <= to:
			out = append(out, s)
		default:
			left = append(left, s)
		}
	}
	w.mu.staged = left
	rest := w.mu.barriers[:0:0]
	for _, b := range w.mu.barriers {
		if b.LSN > to {
			rest = append(rest, b)
		} else if b.LSN > w.mu.w {
			for _, t := range w.source.Tables {
				if t.FullName() == b.Table {
					out = append(out, staged{Change{Table: t, Truncate: true}, b.LSN, b.Ordinal})
				}
			}
		}
	}
	w.mu.barriers = rest
	sort.SliceStable(out, func(i, j int) bool {
		return out[i].lsn < out[j].lsn || out[i].lsn == out[j].lsn && out[i].ordinal < out[j].ordinal
	})
	return out
}

// compare checks that an interval holds each of the source's changes once.
func (w *Warehouse) compare(got []staged, p load.Progress) {
	i := 0
	for _, t := range w.source.Between(w.mu.w, p.To) {
		for ord, c := range t.Changes {
			if i >= len(got) || got[i].lsn != t.LSN || got[i].ordinal != uint32(ord) {
				w.mu.bad = append(w.mu.bad, fmt.Sprintf("interval (%v,%v]: change %v.%d of %s is not there", w.mu.w, p.To, t.LSN, ord, c.Table.FullName()))
				return
			}
			g := got[i].change
			if g.Table.FullName() != c.Table.FullName() || g.Op != c.Op || g.Truncate != c.Truncate || fmt.Sprintf("%#v", g.Row) != fmt.Sprintf("%#v", c.Row) {
				w.mu.bad = append(w.mu.bad, fmt.Sprintf("interval (%v,%v]: change %v.%d is %v, want %v", w.mu.w, p.To, t.LSN, ord, g, c))
			}
			i++
		}
	}
	if i != len(got) {
		w.mu.bad = append(w.mu.bad, fmt.Sprintf("interval (%v,%v]: %d changes too many", w.mu.w, p.To, len(got)-i))
	}
}

// Lost implements load.Warehouse.
func (w *Warehouse) Lost(_ context.Context, l load.Lease, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.Epoch == w.mu.epoch {
		w.mu.replay = reason
		w.mu.lost = append(w.mu.lost, reason)
		w.notify()
	}
	return nil
}

// State implements load.Warehouse.
func (w *Warehouse) State(ctx context.Context, _ string, after schemas.LSN) (load.State, error) {
	for {
		w.mu.Lock()
		s := load.State{Source: w.mu.run.Source, Incarnation: w.mu.run.Incarnation, Epoch: w.mu.epoch, DurableW: w.mu.w, VisibleW: w.mu.w, Replay: w.mu.replay}
		for p, q := range w.mu.parts {
			s.Leases = append(s.Leases, load.Lease{Partition: p, Epoch: w.mu.epoch, NextSequence: q.next, Offset: q.offset})
		}
		down, changed := w.mu.down, w.mu.changed
		w.mu.Unlock()
		if down {
			return load.State{}, errDown
		}
		if s.DurableW > after || s.Replay != "" {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, nil
		}
	}
}

// Seen is what a test asks of the warehouse.
type Seen struct {
	W          schemas.LSN
	Epoch      uint64
	Chunks     int
	Records    []load.Progress
	Violations []string
	Lost       []string
}

// Seen tells what happened so far.
func (w *Warehouse) Seen() Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Seen{w.mu.w, w.mu.epoch, w.mu.chunks, append([]load.Progress(nil), w.mu.records...), append([]string(nil), w.mu.bad...), append([]string(nil), w.mu.lost...)}
}

// Waiting says what keeps the next interval from being published.
func (w *Warehouse) Waiting() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := fmt.Sprintf("begin %v, %d records pending", w.mu.begin, len(w.mu.pending))
	for p, q := range w.mu.parts {
		s += fmt.Sprintf("; %s/%d next %d need %d offset %d", p.Topic, p.Index, q.next, w.mu.needs[p], q.offset)
	}
	return s
}

// Difference compares the tables with the source's at W.
func (w *Warehouse) Difference() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Diff(w.source.Tables, Fold(nil, w.source.Between(0, w.mu.w)), w.mu.state)
}

var _ load.Warehouse = (*Warehouse)(nil)
