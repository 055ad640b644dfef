package stream

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// gatherer is the sink of a run: it routes rows to partitions and keeps them, with
// the source's progress points, until the sender takes them.
type gatherer struct {
	clock       clock.Clock
	metrics     *captureMetrics
	batchBytes  int64
	bufferBytes int64
	routes      map[*schemas.Table]*route
	parts       []*partition

	kick   chan struct{} // something can be sent
	urgent chan struct{} // it should not wait

	mu struct {
		sync.Mutex
		bytes    int64 // rows kept here and in the sender
		space    chan struct{}
		marks    []mark
		barriers []load.Barrier // since the newest mark
	}
}

// route says where a table's rows go.
type route struct {
	table   *schemas.Table
	keys    []int // ordinals of the key's columns
	parts   []*partition
	hashes  []uint64
	buckets [][]uint32
}

// partition is one partition that a run writes.
type partition struct {
	id    load.Partition
	table *schemas.Table // nil for the progress topic

	// Guarded by gatherer.mu.
	open      *change.Batch
	openBytes int64
	full      []*change.Batch
	spare     []*change.Batch

	log tail // the sender's
}

// mark is a point up to which the source handed over everything.
type mark struct {
	to         schemas.LSN
	commitTime int64
	at         time.Time // of the oldest call it stands for
	barriers   []load.Barrier
	snapshot   *load.Snapshot
}

func newGatherer(o Options, m *captureMetrics, tables []*schemas.Table) *gatherer {
	g := &gatherer{clock: o.Clock, metrics: m, batchBytes: o.BatchBytes, bufferBytes: o.BufferBytes, routes: map[*schemas.Table]*route{},
		kick: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	g.mu.space = make(chan struct{})
	for _, t := range tables {
		r := &route{table: t, keys: t.KeyOrdinals(), buckets: make([][]uint32, o.Partitions)}
		for i := range o.Partitions {
			p := &partition{id: load.Partition{Topic: TableTopic(o.Pipeline, t), Index: i}, table: t, open: change.New(t, 0)}
			r.parts = append(r.parts, p)
			g.parts = append(g.parts, p)
		}
		g.routes[t] = r
	}
	return g
}

// signal wakes a goroutine that waits on c, now or the next time.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Changes implements cdc.Sink. It waits while too much is kept (I6).
func (g *gatherer) Changes(ctx context.Context, b *change.Batch) error {
	n := b.Len()
	if n == 0 {
		return nil
	}
	r, ok := g.routes[b.Table]
	if !ok {
		return schemas.Errorf(schemas.CodeInternal, "XX000", "the source sent changes of %s, which it did not declare", b.Table.FullName())
	}
	size := b.Bytes()
	step := n
	if size > g.batchBytes {
		step = max(1, int(int64(n)*g.batchBytes/size))
	}
	r.hash(b)
	for lo := 0; lo < n; {
		hi := min(lo+step, n)
		for hi < n && b.Ops[hi-1] == change.Before {
			hi++ // an old row travels with its update
		}
		if err := g.add(ctx, r, b, lo, hi, size*int64(hi-lo)/int64(n)); err != nil {
			return err
		}
		lo = hi
	}
	g.metrics.rows.Add(float64(n))
	return nil
}

// add copies rows [lo, hi) to their partitions.
func (g *gatherer) add(ctx context.Context, r *route, b *change.Batch, lo, hi int, size int64) error {
	for i := range r.buckets {
		r.buckets[i] = r.buckets[i][:0]
	}
	for i := lo; i < hi; i++ {
		p := r.hashes[i] % uint64(len(r.parts))
		r.buckets[p] = append(r.buckets[p], uint32(i))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.mu.bytes > 0 && g.mu.bytes+size > g.bufferBytes {
		signal(g.kick)
		signal(g.urgent)
		space := g.mu.space
		g.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
		}
		g.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for i, rows := range r.buckets {
		if len(rows) > 0 {
			g.append(r.parts[i], b, rows, size*int64(len(rows))/int64(hi-lo))
		}
	}
	g.mu.bytes += size
	g.metrics.buffered.Set(float64(g.mu.bytes))
	return nil
}

// append adds rows to a partition, and closes its batch when it is large enough.
func (g *gatherer) append(p *partition, b *change.Batch, rows []uint32, size int64) {
	p.open.AppendRows(b, rows)
	p.openBytes += size
	if p.openBytes < g.batchBytes {
		return
	}
	p.full, p.openBytes = append(p.full, p.open), 0
	p.open = p.fresh()
	signal(g.kick)
	signal(g.urgent)
}

// fresh returns an empty batch.
func (p *partition) fresh() *change.Batch {
	if n := len(p.spare); n > 0 {
		b := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return b
	}
	return change.New(p.table, 0)
}

// Barrier implements cdc.Sink.
func (g *gatherer) Barrier(_ context.Context, b load.Barrier) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.barriers = append(g.mu.barriers, b)
	return nil
}

// Progress implements cdc.Sink.
func (g *gatherer) Progress(_ context.Context, to schemas.LSN, commitTime int64) error {
	g.mark(mark{to: to, commitTime: commitTime, at: g.clock.Now()})
	return nil
}

// mark adds a point after everything that was added so far.
func (g *gatherer) mark(m mark) {
	g.mu.Lock()
	m.barriers, g.mu.barriers = g.mu.barriers, nil
	g.mu.marks = addMark(g.mu.marks, m)
	g.mu.Unlock()
	signal(g.kick)
}

// addMark lets a point take the place of the one before it, where both are
// ordinary or chunks of the same table.
func addMark(marks []mark, m mark) []mark {
	if n := len(marks); n > 0 {
		last := &marks[n-1]
		same := last.snapshot == nil && m.snapshot == nil || last.snapshot != nil && m.snapshot != nil && last.snapshot.Table == m.snapshot.Table
		if same {
			m.at, m.barriers = last.at, append(last.barriers, m.barriers...)
			*last = m
			return marks
		}
	}
	return append(marks, m)
}

// taken is what the sender got.
type taken struct {
	parts []*partition
	rows  [][]*change.Batch // parallels parts
	bytes int64
	marks []mark
}

// take removes everything that was gathered.
func (g *gatherer) take() taken {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := taken{marks: g.mu.marks, bytes: g.mu.bytes}
	g.mu.marks = nil
	for _, p := range g.parts {
		batches := p.full
		p.full = nil
		if p.open.Len() > 0 {
			batches = append(batches, p.open)
			p.open, p.openBytes = p.fresh(), 0
		}
		if len(batches) > 0 {
			t.parts, t.rows = append(t.parts, p), append(t.rows, batches)
		}
	}
	return t
}

// recycle takes back batches whose rows were encoded, one a partition, unless a
// large row made it large.
func (g *gatherer) recycle(t taken) {
	spare := make([]*change.Batch, len(t.parts))
	for i, batches := range t.rows {
		b := batches[len(batches)-1]
		if b.Bytes() <= 2*g.batchBytes {
			b.Reset()
			spare[i] = b
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, p := range t.parts {
		if len(p.spare) == 0 && spare[i] != nil {
			p.spare = append(p.spare, spare[i])
		}
	}
}

// release says that bytes were sent.
func (g *gatherer) release(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.bytes -= bytes
	g.metrics.buffered.Set(float64(g.mu.bytes))
	close(g.mu.space)
	g.mu.space = make(chan struct{})
}
