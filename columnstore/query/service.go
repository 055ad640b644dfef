// Package query runs SQL against the store on behalf of clients: admission, limits,
// waiting for an LSN, cancellation, and latency per statement shape. HTTP and the
// wire protocol are thin layers over it.
package query

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Snapshot is one version of the warehouse, pinned until Close.
type Snapshot interface {
	catalog.Catalog
	// LSN is W: every commit of the source ending at or before it is visible.
	LSN() schemas.LSN
	// Time is when the newest visible commit was acknowledged; zero before the first.
	Time() time.Time
	Close()
}

// Store gives snapshots.
type Store interface {
	// Snapshot pins the newest version whose W is at least minLSN of the source
	// (empty: the only one), waiting until ctx ends. The error then has code
	// lsn_not_reached.
	Snapshot(ctx context.Context, source string, minLSN schemas.LSN) (Snapshot, error)
}

// Options of a Service. The zero value of every field means its default.
type Options struct {
	Clock clock.Clock
	// Timeout of a query that asks for none; MaxTimeout is the most that one may
	// ask for. Defaults 30 s and 10 min.
	Timeout, MaxTimeout time.Duration
	// Memory in bytes that one query may reserve; default 512 MiB.
	Memory int64
	// TotalMemory in bytes that all queries may reserve together; default 1 GiB.
	TotalMemory int64
	// Running is how many queries execute at once, Queued how many more wait.
	// Defaults: 4 per core, and 256.
	Running, Queued int
	// Threads of one query; default GOMAXPROCS.
	Threads int
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	o.Timeout = orDefault(o.Timeout, 30*time.Second)
	o.MaxTimeout = orDefault(o.MaxTimeout, 10*time.Minute)
	o.Memory = orDefault(o.Memory, 512<<20)
	o.TotalMemory = orDefault(o.TotalMemory, 1<<30)
	o.Threads = orDefault(o.Threads, runtime.GOMAXPROCS(0))
	o.Running = orDefault(o.Running, 4*runtime.GOMAXPROCS(0))
	o.Queued = orDefault(o.Queued, 256)
	return o
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Request is a statement with what its client asks for.
type Request struct {
	SQL string
	// Params are the texts of $1, $2, …, NULL or of kind text: the statement decides
	// their types.
	Params []schemas.Value
	// ID names the query; empty: one is made.
	ID string
	// MinLSN of Source must be visible; Wait is how long to wait for it.
	Source string
	MinLSN schemas.LSN
	Wait   time.Duration
	// Timeout and Memory; zero means the service's.
	Timeout time.Duration
	Memory  int64
	// Start is when the request arrived; zero: now.
	Start time.Time
}

// Stats of a finished or running query. Bytes and rows as read from the store.
type Stats struct {
	RowsRead    int64
	BytesRead   int64
	RowsSkipped int64
	PeakMemory  int64
	Queue       time.Duration
	Plan        time.Duration
	Exec        time.Duration
	Freshness   time.Duration
}

// Service runs queries.
type Service struct {
	store   Store
	opts    Options
	slots   chan struct{}
	memory  *exec.Pool
	latency *Latencies

	mu struct {
		sync.Mutex
		waiting int
		running map[string]*Running
	}
}

// New makes a service over a store.
func New(store Store, opts Options) *Service {
	s := &Service{store: store, opts: opts.withDefaults(), latency: newLatencies()}
	s.slots = make(chan struct{}, s.opts.Running)
	s.memory = exec.NewPool(s.opts.TotalMemory)
	s.mu.running = map[string]*Running{}
	return s
}

// Latencies tells the percentiles by statement shape.
func (s *Service) Latencies() *Latencies { return s.latency }

// Answer is a statement's result: rows batch by batch. Close it.
type Answer struct {
	ID       string
	Columns  []plan.Column
	Snapshot Snapshot

	service *Service
	result  *exec.Result
	stats   Stats
	shape   string
	start   time.Time // of the request
	execAt  time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	release []func()
	failed  error
	done    bool
}

// errTimeout is the cause of a context whose query ran out of time, errKilled of
// one that somebody cancelled by its id.
var (
	errTimeout = errors.New("timeout")
	errKilled  = errors.New("killed")
	errBug     = errors.New("panic")
)

// Query admits, plans and starts a statement. Errors are *schemas.Error. The
// query is cancelled when ctx ends (I9).
func (s *Service) Query(ctx context.Context, req Request) (_ *Answer, err error) {
	a := &Answer{service: s, ID: req.ID, start: req.Start}
	if a.start.IsZero() {
		a.start = s.opts.Clock.Now()
	}
	if a.ID == "" {
		a.ID = uuid.NewString()
	}
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	timeout := min(orDefault(req.Timeout, s.opts.Timeout), s.opts.MaxTimeout)
	timer := time.AfterFunc(timeout, func() { a.cancel(errTimeout) })
	a.release = append(a.release, func() { timer.Stop() })
	started := false
	defer func() {
		switch {
		case err != nil:
			err = a.explain(err, timeout)
			a.failed = err
			a.Close()
		case !started: // a panic must not keep slot and id
			a.failed = errBug
			a.Close()
		}
	}()
	if err := s.register(a, req.SQL); err != nil {
		return nil, err
	}
	if err := s.admit(a); err != nil {
		return nil, err
	}
	a.stats.Queue = s.opts.Clock.Now().Sub(a.start)
	if err := s.pin(a, req); err != nil {
		return nil, err
	}
	if err := s.start(a, req); err != nil {
		return nil, err
	}
	started = true
	return a, nil
}

// pin takes the snapshot, waiting for the LSN that the client asks for.
func (s *Service) pin(a *Answer, req Request) error {
	wait := a.ctx
	if req.MinLSN > 0 {
		var stop context.CancelFunc
		wait, stop = context.WithTimeout(a.ctx, req.Wait)
		defer stop()
	}
	snap, err := s.store.Snapshot(wait, req.Source, req.MinLSN)
	if err != nil && a.ctx.Err() != nil {
		return a.ctx.Err() // cancelled while it waited: that is the reason, not the LSN
	}
	if err != nil {
		return err
	}
	a.Snapshot = snap
	if at := snap.Time(); !at.IsZero() {
		a.stats.Freshness = max(0, s.opts.Clock.Now().Sub(at))
	}
	a.release = append(a.release, snap.Close)
	return nil
}

// start plans the statement and begins to execute it.
func (s *Service) start(a *Answer, req Request) error {
	planAt := s.opts.Clock.Now()
	stmt, err := sql.Prepare(a.ctx, req.SQL, a.Snapshot, sql.Options{})
	if err != nil {
		return err
	}
	params, err := bindParams(stmt.Params, req.Params)
	if err != nil {
		return err
	}
	a.shape, a.execAt = stmt.Shape, s.opts.Clock.Now()
	a.stats.Plan = a.execAt.Sub(planAt)
	memory := s.opts.Memory
	if req.Memory > 0 {
		memory = min(memory, req.Memory)
	}
	a.result, err = sql.Run(a.ctx, stmt, exec.Options{
		Params: params, Threads: s.opts.Threads, MemoryLimit: memory, Pool: s.memory, Now: a.start,
	})
	if err != nil {
		return err
	}
	a.Columns = a.result.Columns()
	return nil
}

// Next returns the next rows, or nil at the end. They hold until the next call.
func (a *Answer) Next() (*exec.Batch, error) {
	b, err := a.result.Next(a.ctx)
	switch {
	case errors.Is(err, io.EOF):
		a.done = true
		return nil, nil
	case err != nil:
		a.failed = a.explain(err, 0)
		return nil, a.failed
	}
	return b, nil
}

// Fail records that the answer could not be delivered.
func (a *Answer) Fail(err error) { a.failed = err }

// AfterCancel arranges for f to run when the query is cancelled, runs out of time or
// is closed, unless stop is called first; stop is false when f has been started.
func (a *Answer) AfterCancel(f func()) (stop func() bool) { return context.AfterFunc(a.ctx, f) }

// Stats so far; complete after Next returned nil.
func (a *Answer) Stats() Stats {
	st := a.stats
	if a.result != nil {
		r := a.result.Stats()
		st.RowsRead, st.BytesRead, st.RowsSkipped, st.PeakMemory = r.RowsRead, r.BytesRead, r.RowsSkipped, r.PeakMemory
		st.Exec = a.service.opts.Clock.Now().Sub(a.execAt)
	}
	return st
}

// Close ends the query and records its latency under its shape when it was
// answered in full. Close is idempotent.
func (a *Answer) Close() {
	if a.cancel == nil {
		return
	}
	a.cancel(nil)
	a.cancel = nil
	if a.result != nil {
		a.result.Close()
	}
	for i := len(a.release) - 1; i >= 0; i-- {
		a.release[i]()
	}
	a.service.latency.record(a.shape, a.service.opts.Clock.Now().Sub(a.start), a.failed, a.done)
}

// explain turns what a cancelled context left behind into the reason for it.
func (a *Answer) explain(err error, timeout time.Duration) error {
	var known *schemas.Error
	if errors.As(err, &known) && known.Code != schemas.CodeCanceled && known.Code != schemas.CodeTimeout {
		return err
	}
	switch cause := context.Cause(a.ctx); {
	case errors.Is(cause, errTimeout):
		e := schemas.Errorf(schemas.CodeTimeout, "57014", "the query ran out of time")
		if timeout > 0 {
			e.Message = "the query ran out of time after " + timeout.String()
		}
		e.Hint = "ask for less, or raise timeout_ms"
		return e
	case errors.Is(cause, errKilled):
		return schemas.Errorf(schemas.CodeCanceled, "57014", "the query was cancelled by request")
	case cause != nil:
		return schemas.Errorf(schemas.CodeCanceled, "57014", "the query was cancelled because its client went away")
	}
	return err
}
