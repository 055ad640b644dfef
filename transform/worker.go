package transform

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Worker leases partitions of a pipeline and loads them, each in a goroutine of its
// own, as long as Run runs.
type Worker struct {
	o       Options
	tables  map[string]*Table // by the source's full name
	metrics *metrics
	wake    chan struct{} // a partition ended: ask for leases at once
	fatal   chan error    // an error that stops the worker

	mu struct {
		sync.Mutex
		pauses map[load.Partition]time.Duration // before partitions are taken again
	}
}

// NewWorker checks options and compiles every table once, so that a plan that cannot
// run is refused before anything is read.
func NewWorker(o Options) (*Worker, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("worker %s: %w", o.Name, err)
	}
	w := &Worker{o: o.withDefaults(), tables: map[string]*Table{}, wake: make(chan struct{}, 1), fatal: make(chan error, 1)}
	for _, t := range o.Tables {
		if _, err := NewStage(t); err != nil {
			return nil, fmt.Errorf("worker %s: compile %s: %w", o.Name, t.Source.FullName(), err)
		}
		w.tables[t.Source.FullName()] = t
	}
	w.metrics = newMetrics(w.o)
	w.mu.pauses = map[load.Partition]time.Duration{}
	return w, nil
}

// running is a leased partition that is being loaded.
type running struct {
	lease  load.Lease
	cancel context.CancelFunc
	done   chan struct{}
	ended  ending
}

// ending is how the loading of a partition ended; read after done is closed.
type ending uint8

const (
	endedByUs    ending = iota // canceled
	endedRetake                // take the lease anew
	endedReplace               // this epoch is over: wait for another lease
)

// Run works until ctx ends, and then gives its leases back and returns nil; or until
// an error that retrying cannot cure, such as a row that an expression fails for
// (I7: the pipeline stops, as its on_error says).
func (w *Worker) Run(ctx context.Context) error {
	if err := w.register(ctx); err != nil {
		return w.unlessDone(ctx, err)
	}
	parts := map[load.Partition]*running{}
	defer w.stopAll(parts)
	wait := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.fatal:
			return err
		case <-w.wake:
		case <-w.o.Clock.After(wait):
		}
		wait = w.o.RenewEvery
		leases, err := w.o.Warehouse.Acquire(ctx, w.o.Pipeline.Name, w.o.Name, w.o.MaxLeases)
		if err != nil {
			if permanent(err) {
				return w.unlessDone(ctx, fmt.Errorf("worker %s: acquire leases: %w", w.o.Name, err))
			}
			w.o.Logger.Warn("leases were not renewed", "worker", w.o.Name, "err", err)
			continue
		}
		w.reconcile(ctx, parts, leases)
	}
}

// unlessDone hides errors that come of being stopped.
func (w *Worker) unlessDone(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

func (w *Worker) register(ctx context.Context) error {
	return w.retry(ctx, "register pipeline "+w.o.Pipeline.Name, func() error {
		return w.o.Warehouse.Register(ctx, w.o.Pipeline)
	})
}

// reconcile makes what runs equal to what is leased.
func (w *Worker) reconcile(ctx context.Context, parts map[load.Partition]*running, leases []load.Lease) {
	leased := map[load.Partition]load.Lease{}
	for _, l := range leases {
		leased[l.Partition] = l
	}
	var again []load.Lease
	for p, r := range parts {
		l, held := leased[p]
		same := held && l.Token == r.lease.Token && l.Epoch == r.lease.Epoch
		if !same {
			r.stop()
			delete(parts, p)
			continue
		}
		if r.isDone() && r.ended == endedRetake {
			again = append(again, l)
			delete(parts, p)
			delete(leased, p) // held until released: the next Acquire takes it anew
		}
	}
	for p, l := range leased {
		if parts[p] == nil {
			parts[p] = w.start(ctx, l)
		}
	}
	w.metrics.leases.Set(float64(len(parts)))
	if len(again) > 0 {
		w.release(ctx, again)
		w.wakeUp()
	}
}

func (r *running) stop() {
	r.cancel()
	<-r.done
}

func (r *running) isDone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (w *Worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) start(ctx context.Context, l load.Lease) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{lease: l, cancel: cancel, done: make(chan struct{})}
	w.o.Logger.Info("partition taken", "worker", w.o.Name, "topic", l.Partition.Topic, "partition", l.Partition.Index,
		"epoch", l.Epoch, "sequence", l.NextSequence)
	go func() {
		defer close(r.done)
		defer w.wakeUp()
		err := newPartition(w, l).run(ctx)
		r.ended = w.judge(ctx, l, err)
	}()
	return r
}

// judge decides what follows from the end of a partition's loading.
func (w *Worker) judge(ctx context.Context, l load.Lease, err error) ending {
	log := w.o.Logger.With("worker", w.o.Name, "topic", l.Partition.Topic, "partition", l.Partition.Index, "epoch", l.Epoch)
	switch {
	case ctx.Err() != nil:
		return endedByUs
	case errors.Is(err, ErrLost):
		w.metrics.lost.Inc()
		log.Warn("the stream was lost, the source replays", "err", err)
		if w.retry(ctx, "report a lost stream", func() error { return w.o.Warehouse.Lost(ctx, l, err.Error()) }) != nil {
			return endedRetake
		}
		return endedReplace
	case isFenced(err):
		w.metrics.fenced.Inc()
		log.Info("the lease is over", "err", err)
		w.pause(ctx, l.Partition)
		return endedRetake
	}
	select {
	case w.fatal <- err:
	default:
	}
	return endedReplace
}

// pause waits before a lease is taken again, longer each time that it was fenced
// without having loaded anything: a version of the pipeline that was replaced, say.
func (w *Worker) pause(ctx context.Context, p load.Partition) {
	w.mu.Lock()
	wait := w.mu.pauses[p]
	w.mu.pauses[p] = min(max(2*wait, 5*time.Millisecond), w.o.MaxBackoff)
	w.mu.Unlock()
	if wait == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-w.o.Clock.After(wait):
	}
}

// progressed says that a partition was loaded: it need not pause.
func (w *Worker) progressed(p load.Partition) {
	w.mu.Lock()
	delete(w.mu.pauses, p)
	w.mu.Unlock()
}

// isFenced says that the lease, the epoch or the place in the stream is no longer
// what the warehouse has.
func isFenced(err error) bool {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == schemas.CodeFenced || e.Code == schemas.CodeConflict || e.Code == schemas.CodeStream && !e.Retryable
}

// stopAll ends every partition and gives the leases back, so that others need not
// wait for them to expire.
func (w *Worker) stopAll(parts map[load.Partition]*running) {
	var wait sync.WaitGroup
	var leases []load.Lease
	for _, r := range parts {
		leases = append(leases, r.lease)
		wait.Go(r.stop)
	}
	wait.Wait()
	w.metrics.leases.Set(0)
	if len(leases) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		w.release(ctx, leases)
	}
}

func (w *Worker) release(ctx context.Context, leases []load.Lease) {
	if err := w.o.Warehouse.Release(ctx, leases); err != nil {
		w.o.Logger.Warn("leases were not given back, they expire", "worker", w.o.Name, "err", err)
	}
}

// permanent says whether a call would fail again: a person has to act.
func permanent(err error) bool {
	var e *schemas.Error
	if !errors.As(err, &e) || e.Retryable {
		return false
	}
	switch e.Code {
	case schemas.CodeIO, schemas.CodeTimeout, schemas.CodeCanceled, schemas.CodeFenced, schemas.CodeConflict,
		schemas.CodeNotReady, schemas.CodeOverloaded, schemas.CodeDiskFull, schemas.CodeStream:
		return false
	}
	return true
}

// retry calls do until it succeeds, fails for good or ctx ends.
func (w *Worker) retry(ctx context.Context, what string, do func() error) error {
	wait := 5 * time.Millisecond
	for {
		err := do()
		if err == nil || permanent(err) || isFenced(err) || errors.Is(err, ErrLost) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.metrics.retries.Inc()
		if wait == 5*time.Millisecond || wait >= w.o.MaxBackoff {
			w.o.Logger.Warn("trying again", "worker", w.o.Name, "what", what, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.o.Clock.After(wait):
		}
		wait = min(2*wait, w.o.MaxBackoff)
	}
}
