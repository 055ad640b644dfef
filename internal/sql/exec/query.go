package exec

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// operator drives rows into sinks. newSink makes the sink of a worker, the first time
// the worker needs it; workers push concurrently, each into its own.
type operator interface {
	run(q *query, newSink func(worker int) (sink, error)) error
}

// sink takes the batches of one worker.
type sink interface {
	// push takes a batch, which is lent until it returns. errStop asks for no more.
	push(b *batch) error
	// close comes once after the last batch, on success only.
	close() error
}

// batch is rows of columns. Columns with the same chunk number hold the same memory.
type batch struct {
	cols  []*vector.Vector
	rows  kernel.Rows
	chunk uint64
}

// errStop ends a pipeline early without an error.
var errStop = errors.New("enough rows")

// query is the state that all operators of a run share.
type query struct {
	ctx  context.Context
	opt  Options
	env  kernel.Env
	halt atomic.Bool // the context ended, or a worker failed

	rowsRead, bytesRead, rowsSkipped atomic.Int64
	memory, peak                     atomic.Int64
	pairs                            atomic.Int64 // compared by joins without keys
	chunks                           atomic.Uint64

	used map[expr.ColumnID]bool // columns that something reads
}

// nextChunk numbers memory that no batch had before.
func (q *query) nextChunk() uint64 { return q.chunks.Add(1) }

// check is called for each batch, so that a query ends within one.
func (q *query) check() error {
	if q.halt.Load() {
		if q.ctx.Err() != nil {
			return contextError(q.ctx)
		}
		return errStop
	}
	return nil
}

// reserve accounts for bytes more (or fewer, when negative) of an operator's memory.
// I9: a query that outgrows its budget, or the one of all queries, fails instead of the
// server.
func (q *query) reserve(bytes int64) error {
	now, shared := q.memory.Add(bytes), q.opt.Pool.reserve(bytes)
	for {
		peak := q.peak.Load()
		if now <= peak || q.peak.CompareAndSwap(peak, now) {
			break
		}
	}
	if limit := q.opt.MemoryLimit; bytes > 0 && limit > 0 && now > limit {
		return &schemas.Error{Code: schemas.CodeOutOfMemory, SQLState: "53200",
			Message: fmt.Sprintf("the query needs more than its %d bytes of memory", limit),
			Hint:    "aggregate or filter earlier, add a LIMIT, or raise max_memory_bytes"}
	}
	return shared
}

func (q *query) stats() Stats {
	return Stats{RowsRead: q.rowsRead.Load(), BytesRead: q.bytesRead.Load(), RowsSkipped: q.rowsSkipped.Load(), PeakMemory: q.peak.Load()}
}

// outcome turns what ended the run into what the reader sees.
func (q *query) outcome(err error) error {
	if err == nil || errors.Is(err, errStop) {
		return nil
	}
	var row *kernel.RowError
	if errors.As(err, &row) {
		err = row.Err
	}
	if q.ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return contextError(q.ctx)
	}
	return err
}

func contextError(ctx context.Context) error {
	cause := context.Cause(ctx)
	var known *schemas.Error
	if errors.As(cause, &known) {
		return known
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return &schemas.Error{Code: schemas.CodeTimeout, SQLState: "57014", Message: "the query took longer than its time limit", Retryable: true, Err: cause}
	}
	return &schemas.Error{Code: schemas.CodeCanceled, SQLState: "57014", Message: "the query was canceled", Err: cause}
}

// parallel runs f on n workers and waits for all. When one fails the others stop at
// their next batch, and the first real error is returned; errStop counts as one only
// when nothing else went wrong.
func (q *query) parallel(n int, f func(worker int) error) error {
	if n <= 1 {
		return guard(0, f)
	}
	errs := make([]error, n)
	var failed atomic.Bool
	var wg sync.WaitGroup
	for w := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[w] = guard(w, f)
			if errs[w] != nil && !errors.Is(errs[w], errStop) && !failed.Swap(true) {
				q.halt.Store(true)
			}
		}()
	}
	wg.Wait()
	var out error
	for _, err := range errs {
		if err != nil && (out == nil || errors.Is(out, errStop)) {
			out = err
		}
	}
	return out
}

// guard turns a panic of a worker into an error: a bug must not take down the server (I9).
func guard(w int, f func(int) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &schemas.Error{Code: schemas.CodeInternal, SQLState: "XX000", Message: fmt.Sprintf("internal error: %v", p),
				Hint: "please report it with the statement", Err: fmt.Errorf("%s", debug.Stack())}
		}
	}()
	return f(w)
}
