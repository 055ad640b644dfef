// Package exec runs logical plans: operators that push batches of vectors through
// pipelines, on as many workers as there are processors.
package exec

import (
	"context"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Options of one run. The zero value works.
type Options struct {
	// Params are the values of $1, $2, … in the types the statement has for them.
	Params []schemas.Value
	// Threads is how many workers may run at once; 0: GOMAXPROCS.
	Threads int
	// BatchRows is the most rows of a batch between operators; 0: 8192.
	BatchRows int
	// MemoryLimit bounds what operators hold, in bytes; 0: no limit. A query that
	// needs more fails with code out_of_memory.
	MemoryLimit int64
	// Pool bounds what this run and others hold together; nil: no limit.
	Pool *Pool
	// Now is the time of the statement; zero: 1970.
	Now time.Time
	// GroupLimit is how many groups a worker aggregates before it sets them aside by
	// hash; 0: chosen for the cache. Tests make it small.
	GroupLimit int
}

const defaultBatch = 8192

func (o *Options) fill() {
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.BatchRows <= 0 {
		o.BatchRows = defaultBatch
	}
	if o.GroupLimit <= 0 {
		o.GroupLimit = 256 << 10
	}
}

// Batch is some rows of a result. It belongs to the receiver.
type Batch struct {
	Rows int
	// Vectors parallel the result's columns; any encoding, Rows long.
	Vectors []*vector.Vector
}

// Stats is what a run did so far.
type Stats struct {
	RowsRead    int64 // visible rows of the morsels that were read
	BytesRead   int64
	RowsSkipped int64 // rows of morsels left out by bounds
	PeakMemory  int64 // bytes that operators held at once
}

// Result streams the rows of a run. Its methods are for one goroutine, Stats and Close
// for any.
type Result struct {
	columns []plan.Column
	query   *query
	batches chan *Batch
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // set before done closes
	once    sync.Once
}

// Run starts a statement. It fails at once with code unsupported for what has no
// operator; errors of the rows come from Next. ctx bounds the whole run.
func Run(ctx context.Context, st *plan.Statement, opt Options) (*Result, error) {
	opt.fill()
	q := &query{opt: opt, env: kernel.Env{Params: opt.Params, Now: opt.Now}, used: usedColumns(st.Root)}
	root, err := q.compile(st.Root)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	q.ctx = ctx
	r := &Result{columns: st.Root.Columns(), query: q, cancel: cancel,
		batches: make(chan *Batch, 2*opt.Threads), done: make(chan struct{})}
	go r.run(root)
	return r, nil
}

func (r *Result) run(root operator) {
	defer close(r.done)
	defer close(r.batches)
	stop := context.AfterFunc(r.query.ctx, func() { r.query.halt.Store(true) })
	defer stop()
	err := guard(0, func(int) error {
		return root.run(r.query, func(int) (sink, error) { return &output{q: r.query, to: r.batches}, nil })
	})
	_ = r.query.opt.Pool.reserve(-r.query.memory.Load())
	r.err = r.query.outcome(err)
}

// Columns are the result's columns.
func (r *Result) Columns() []plan.Column { return r.columns }

// Next returns the next rows, at least one, or io.EOF after the last. An error is a
// *schemas.Error; code canceled or timeout when ctx or the run's context ended.
func (r *Result) Next(ctx context.Context) (*Batch, error) {
	select {
	case b, ok := <-r.batches:
		if ok {
			return b, nil
		}
		<-r.done
		if r.err != nil {
			return nil, r.err
		}
		return nil, io.EOF
	case <-ctx.Done():
		return nil, contextError(ctx)
	}
}

// Stats may be called at any time.
func (r *Result) Stats() Stats { return r.query.stats() }

// Close ends the run, early if need be, and waits for its workers.
func (r *Result) Close() error {
	r.once.Do(func() {
		r.cancel()
		for range r.batches { // let workers that wait to deliver see the end
		}
		<-r.done
	})
	return nil
}

// output is the last sink: it hands copies of the batches to the reader.
type output struct {
	q  *query
	to chan *Batch
}

func (o *output) push(b *batch) error {
	n := b.rows.Len()
	if n == 0 {
		return nil
	}
	out := &Batch{Rows: n, Vectors: make([]*vector.Vector, len(b.cols))}
	for i, c := range b.cols {
		out.Vectors[i] = kernel.Copy(c, b.rows)
	}
	select {
	case o.to <- out:
		return nil
	case <-o.q.ctx.Done():
		return contextError(o.q.ctx)
	}
}

func (o *output) close() error { return nil }
