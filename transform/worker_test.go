package transform

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// world is a broker and a warehouse in memory, with the faults of both.
type world struct {
	mu    sync.Mutex
	rng   *rand.Rand
	t     *testing.T
	table *Table

	// The broker: the messages of the present epoch by partition. The last
	// partition is the progress topic.
	logs  [][]Message
	epoch uint64
	hole  map[int]bool // partitions whose log broke

	// The warehouse.
	leases   []heldLease
	tokens   uint64
	rows     map[string]schemas.Row
	progress []load.Progress
	begun    uint64 // epoch of the newest begin record
	version  string

	faults   bool
	loads    int
	unheard  int  // loads to come whose answer gets lost
	greedy   bool // readers hand over all there is
	reported []string
}

type heldLease struct {
	worker string
	token  uint64
	next   uint64
	offset int64
	until  time.Time
}

const dataPartitions = 3

func newWorld(t *testing.T, seed uint64, p *Table) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 3)), table: p, hole: map[int]bool{}}
	w.startEpoch()
	return w
}

// startEpoch forgets what was loaded, as a source that replays everything makes the
// warehouse drop what it has already.
func (w *world) startEpoch() {
	w.epoch++
	w.logs = make([][]Message, dataPartitions+1)
	w.leases = make([]heldLease, dataPartitions+1)
	w.rows, w.progress, w.hole = map[string]schemas.Row{}, nil, map[int]bool{}
	for i := range w.logs {
		m := Message{}
		if i == dataPartitions {
			m.Begin = &load.Begin{Epoch: w.epoch}
		}
		w.append(i, m)
	}
}

func (w *world) append(partition int, m Message) {
	m.Sequence = uint64(len(w.logs[partition]))
	m.NextOffset = int64(10*m.Sequence + 10)
	w.logs[partition] = append(w.logs[partition], m)
}

// publish splits a batch by key over the partitions and closes the interval.
func (w *world) publish(b *change.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	parts := make([][]uint32, dataPartitions)
	for i := range b.Ops {
		p := int(b.Cols[0].Int(i)) % dataPartitions
		parts[p] = append(parts[p], uint32(i))
	}
	for p, rows := range parts {
		if len(rows) > 0 {
			part := change.New(b.Table, len(rows))
			part.AppendRows(b, rows)
			w.append(p, Message{Batch: part})
		}
	}
	w.append(dataPartitions, Message{Progress: &load.Progress{Epoch: w.epoch, To: b.LSN[b.Len()-1]}})
}

func (w *world) sometimes(oneIn int) bool { return w.faults && w.rng.IntN(oneIn) == 0 }

var errNetwork = &schemas.Error{Code: schemas.CodeIO, Message: "the network is down", Retryable: true}

func (w *world) Register(_ context.Context, p load.Pipeline) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sometimes(2) {
		return errNetwork
	}
	w.version = p.Version
	return nil
}

func (w *world) Acquire(_ context.Context, pipeline, worker string, limit int) ([]load.Lease, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sometimes(8) {
		return nil, errNetwork
	}
	var out []load.Lease
	for i := range w.leases {
		l := &w.leases[i]
		if w.sometimes(30) {
			l.worker, l.token = "thief", l.token+1000
			l.until = time.Now().Add(5 * time.Millisecond)
		}
		if l.worker != worker && time.Now().Before(l.until) {
			continue
		}
		if l.worker != worker {
			if len(out) >= limit || w.rng.IntN(2) == 0 {
				continue
			}
			w.tokens++
			l.worker, l.token = worker, w.tokens
		}
		l.until = time.Now().Add(time.Second)
		out = append(out, load.Lease{Pipeline: pipeline, Partition: load.Partition{Topic: "t", Index: int32(i)}, Worker: worker,
			Token: l.token, Epoch: w.epoch, NextSequence: l.next, Offset: l.offset})
	}
	return out, nil
}

func (w *world) held(l load.Lease) *heldLease {
	h := &w.leases[l.Partition.Index]
	if l.Epoch != w.epoch || h.token != l.Token {
		return nil
	}
	return h
}

func (w *world) Release(_ context.Context, leases []load.Lease) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range leases {
		if h := w.held(l); h != nil {
			h.worker, h.until = "", time.Time{}
		}
	}
	return nil
}

func (w *world) Load(_ context.Context, l *load.Load) (load.Reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.held(l.Lease)
	switch {
	case w.sometimes(10):
		return load.Reply{}, errNetwork
	case h == nil || l.Version != w.version || l.Epoch != w.epoch:
		return load.Reply{}, schemas.Errorf(schemas.CodeFenced, "55000", "another owns the partition")
	case l.From != h.next || l.To <= l.From:
		if l.To <= h.next && w.rng.IntN(2) == 0 {
			return load.Reply{Credit: 1 << 20}, nil // loaded before: acknowledged again
		}
		return load.Reply{}, schemas.Errorf(schemas.CodeStream, "55000", "the next sequence is %d, not %d", h.next, l.From)
	case l.NextOffset != int64(10*l.To):
		w.t.Errorf("load [%d,%d) has offset %d", l.From, l.To, l.NextOffset)
	}
	h.next, h.offset = l.To, l.NextOffset
	x := &target{t: w.t, rows: w.rows}
	for _, b := range l.Batches {
		x.fold(b)
	}
	if l.Begin != nil {
		w.begun = l.Begin.Epoch
	}
	w.progress = append(w.progress, l.Progress...)
	w.loads++
	if w.unheard--; w.unheard >= 0 || w.sometimes(10) { // durable, but nobody hears of it
		return load.Reply{}, errNetwork
	}
	return load.Reply{Credit: 1 << 20}, nil
}

func (w *world) Lost(_ context.Context, l load.Lease, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sometimes(2) {
		return errNetwork
	}
	if l.Epoch == w.epoch {
		w.reported = append(w.reported, reason)
	}
	return nil
}

// reader reads with repeats, errors and, where the log broke, ErrLost.
type reader struct {
	w     *world
	lease load.Lease
	next  uint64
}

func (w *world) open(_ context.Context, l load.Lease) (Reader, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sometimes(5) {
		return nil, errNetwork
	}
	return &reader{w, l, l.NextSequence}, nil
}

func (r *reader) Close() error { return nil }

func (r *reader) Next(ctx context.Context, _ int64) ([]Message, error) {
	for ctx.Err() == nil {
		if m, err := r.try(); m != nil || err != nil {
			return m, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Microsecond):
		}
	}
	return nil, ctx.Err()
}

func (r *reader) try() ([]Message, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	i := int(r.lease.Partition.Index)
	switch log := r.w.logs[i]; {
	case r.w.epoch != r.lease.Epoch:
		return nil, schemas.Errorf(schemas.CodeFenced, "55000", "a newer epoch began")
	case r.w.hole[i]:
		return nil, fmt.Errorf("%w: records are gone", ErrLost)
	case r.w.sometimes(10):
		return nil, errNetwork
	case r.w.sometimes(5) && r.next > 0:
		r.next-- // the broker sends a batch again
		fallthrough
	case r.next < uint64(len(log)):
		to := r.next + 1 + r.w.rng.Uint64N(uint64(len(log))-r.next)
		if r.w.greedy {
			to = uint64(len(log))
		}
		out := append([]Message(nil), log[r.next:to]...)
		r.next = to
		return out, nil
	}
	return nil, nil
}

func (w *world) worker(name string) *Worker {
	worker, err := NewWorker(Options{
		Pipeline: load.Pipeline{Name: "p", Version: "v1"}, Tables: []*Table{w.table}, Name: name, Warehouse: w, Open: w.open,
		RenewEvery: 2 * time.Millisecond, MaxBackoff: 5 * time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return worker
}

// run starts workers; the function it returns stops them and gives their errors.
func run(workers ...*Worker) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, len(workers))
	for _, w := range workers {
		go func() { errs <- w.Run(ctx) }()
	}
	return func() error {
		cancel()
		var all []error
		for range workers {
			all = append(all, <-errs)
		}
		return errors.Join(all...)
	}
}

// eventually waits until everything published is loaded.
func (w *world) eventually() {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		done := true
		for i := range w.logs {
			done = done && w.leases[i].next == uint64(len(w.logs[i]))
		}
		w.mu.Unlock()
		if done {
			return
		}
	}
	w.t.Fatal("not everything was loaded")
}

func TestWorkersLoadEverythingOnceInSpiteOfFaults(t *testing.T) {
	defer goleak.VerifyNone(t)
	rounds := uint64(8)
	if testing.Short() {
		rounds = 3
	}
	for seed := range rounds {
		p := plan(t, items, "id, line, shop, qty * 2 AS twice", "status <> 'open'", "shop", "id", "line")
		w := newWorld(t, seed, p)
		w.faults = true
		stop := run(w.worker("a"), w.worker("b"))
		src := &source{rng: rand.New(rand.NewPCG(seed, 7)), rows: map[string]schemas.Row{}, before: true}
		var history []*change.Batch
		for i := range 40 {
			b := src.batch(1 + src.rng.IntN(20))
			history = append(history, b)
			w.publish(b)
			if i == 20 { // a partition breaks: the source replays under a new epoch
				w.breakAndReplay(history)
			}
			time.Sleep(time.Millisecond)
		}
		w.eventually()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, w.rows, expected(t, p, src.rows))
		if len(w.progress) != len(history) || w.begun != w.epoch {
			t.Errorf("%d progress records, want %d; begun %d, epoch %d", len(w.progress), len(history), w.begun, w.epoch)
		}
		for i := 1; i < len(w.progress); i++ {
			if w.progress[i].To < w.progress[i-1].To {
				t.Error("progress went back")
			}
		}
		for i, l := range w.leases {
			if l.worker != "" && l.worker != "thief" {
				t.Errorf("partition %d was not given back by %s", i, l.worker)
			}
		}
	}
}

func (w *world) breakAndReplay(history []*change.Batch) {
	w.t.Helper()
	w.mu.Lock()
	w.hole[1] = true
	w.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		reported := len(w.reported) > 0
		w.mu.Unlock()
		if reported {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatal("nobody reported the hole")
		}
	}
	w.mu.Lock()
	w.startEpoch()
	w.mu.Unlock()
	for _, b := range history {
		w.publish(b)
	}
}

func TestALoadThatWasDurableButUnheardOfIsNotLoadedTwice(t *testing.T) {
	p := plan(t, items, "*", "", "id", "line")
	w := newWorld(t, 1, p)
	w.unheard = 5
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	for range 20 {
		w.publish(src.batch(10))
	}
	stop := run(w.worker("a"))
	w.eventually()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, w.rows, expected(t, p, src.rows))
}

func TestLoadsGrowWithTheBacklogAndIdleOnesGoAtOnce(t *testing.T) {
	p := plan(t, items, "*", "", "id", "line")
	w := newWorld(t, 1, p)
	w.greedy = true
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	for range 300 {
		w.publish(src.batch(10))
	}
	worker := w.worker("a")
	stop := run(worker)
	w.eventually()
	if w.mu.Lock(); w.loads > 2*(dataPartitions+1) {
		t.Errorf("%d loads for a backlog of 300 intervals", w.loads)
	}
	w.mu.Unlock()
	for range 20 {
		start := time.Now()
		w.publish(src.batch(3))
		w.eventually()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("an idle worker took %v", took)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	sameRows(t, w.rows, expected(t, p, src.rows))
	if s := worker.Stats(); s.Messages < 300 || s.RowsOut < 3000 {
		t.Errorf("%+v", s)
	}
}

func TestAGapIsLostNeverPassedOver(t *testing.T) {
	p := plan(t, items, "*", "", "id", "line")
	w := newWorld(t, 1, p)
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	for range 20 {
		w.publish(src.batch(10))
	}
	w.logs[0][2].Sequence = 99 // a hole that the reader did not see
	stop := run(w.worker("a"))
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		n := len(w.reported)
		w.mu.Unlock()
		if n > 0 {
			break
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if len(w.reported) == 0 || w.leases[0].next > 2 {
		t.Errorf("reported %q, loaded up to %d", w.reported, w.leases[0].next)
	}
}

func TestARowThatFailsStopsTheWorker(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := plan(t, items, "id, line, 10 / shop AS x", "", "id", "line")
	w := newWorld(t, 1, p)
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	for range 10 {
		w.publish(src.batch(10))
	}
	err := w.worker("a").Run(context.Background())
	if schemas.CodeOf(err) != schemas.CodeDivisionByZero || !strings.Contains(err.Error(), "public.items") {
		t.Errorf("%v", err)
	}
	for i, l := range w.leases {
		if l.worker != "" {
			t.Errorf("partition %d is still held", i)
		}
	}
}

func TestAnAlteredTableStopsTheWorker(t *testing.T) {
	p := plan(t, items, "*", "", "id", "line")
	w := newWorld(t, 1, p)
	altered := *items
	altered.Columns = append([]schemas.Column(nil), items.Columns...)
	altered.Columns[3].Type = schemas.Type{Kind: schemas.Int64}
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	b := change.New(&altered, 1)
	b.Append(change.Insert, 1, 0, src.row(1, 1), nil)
	w.publish(b)
	if err := w.worker("a").Run(context.Background()); schemas.CodeOf(err) != schemas.CodeSource {
		t.Errorf("%v", err)
	}
}

func TestANewerPipelineVersionFences(t *testing.T) {
	p := plan(t, items, "*", "", "id", "line")
	w := newWorld(t, 1, p)
	worker := w.worker("a")
	stop := run(worker)
	src := &source{rng: rand.New(rand.NewPCG(1, 7)), rows: map[string]schemas.Row{}}
	w.publish(src.batch(10))
	w.eventually()
	w.mu.Lock()
	w.version = "v2"
	loads := w.loads
	w.mu.Unlock()
	w.publish(src.batch(10))
	time.Sleep(50 * time.Millisecond)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w.loads != loads {
		t.Error("an old version loaded")
	}
	if s := worker.Stats(); s.Loads == 0 || s.RowsOut == 0 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
}

func TestOptionsNameEveryMistake(t *testing.T) {
	_, err := NewWorker(Options{MaxLeases: -1})
	for _, want := range []string{"pipeline", "name", "warehouse", "tables", "negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
