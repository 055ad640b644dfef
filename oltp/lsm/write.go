package lsm

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/memtable"
	"github.com/millrace/millrace/schemas"
)

// maxImms is how many full memtables may wait before writers stop.
const maxImms = 2

// slowdown is what each batch waits while level 0 is long, so that compaction
// catches up before writers have to stop.
const slowdown = time.Millisecond

// Apply implements kv.Engine. It fails when flushing does (disk full, a failed
// fsync) and there is no more room in memory; call Admit before logging a batch
// to learn that in time.
func (e *Engine) Apply(lsn uint64, batch []kv.Op) error {
	if last := e.applied.Load(); lsn <= last {
		return fmt.Errorf("apply at %d: %d is applied already", lsn, last)
	}
	need := 0
	for _, op := range batch {
		need += memtable.Need(op.Key, op.Value)
	}
	if need > memtable.MaxBytes/2 {
		return schemas.Errorf(schemas.CodeTooLarge, "54000", "a batch of %d bytes does not fit a memtable", need)
	}
	e.apply.Lock()
	defer e.apply.Unlock()
	if e.ctx.Err() != nil {
		return errClosed
	}
	mem := e.current.Load().mem
	if mem.Room() < need {
		if err := e.makeRoom(context.Background()); err != nil {
			return err
		}
		mem = e.rotate(need)
	}
	user := 0
	for _, op := range batch {
		mem.Add(op.Key, lsn, op.Value)
		user += len(op.Key) + len(op.Value)
	}
	mem.Note(lsn)
	e.applied.Store(lsn)
	e.stats.user.Add(int64(user))
	return nil
}

// Admit waits while writers must slow down, and fails when the engine cannot take
// more. It implements kv.Admitter.
func (e *Engine) Admit(ctx context.Context) error {
	s := e.acquire()
	if s == nil {
		return errClosed
	}
	slow := len(s.levels[0]) >= e.opts.L0Slow
	full := len(s.imms) >= maxImms && s.mem.Room() < e.opts.MemtableBytes/2
	s.release()
	if full {
		return e.makeRoom(ctx)
	}
	if !slow {
		return nil
	}
	defer e.stalled(e.opts.Clock.Now())
	select {
	case <-e.opts.Clock.After(slowdown):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// makeRoom waits until another memtable may be started.
func (e *Engine) makeRoom(ctx context.Context) error {
	stop := context.AfterFunc(ctx, e.wake)
	defer stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	full := func() bool {
		s := e.current.Load()
		return len(s.imms) >= maxImms || len(s.levels[0]) >= e.opts.L0Stop
	}
	if !full() && !e.closed {
		return nil
	}
	defer e.stalled(e.opts.Clock.Now())
	for full() {
		switch {
		case e.closed:
			return errClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.flushFailure != nil:
			return e.flushFailure // I10: refused, reads go on
		case e.compactFailure != nil:
			return e.compactFailure
		}
		e.changed.Wait()
	}
	if e.closed {
		return errClosed
	}
	return nil
}

func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed.Broadcast()
}

func (e *Engine) stalled(since time.Time) {
	e.stats.stalls.Add(1)
	e.stats.stallNanos.Add(int64(e.opts.Clock.Now().Sub(since)))
}

// rotate starts a memtable with room for need bytes. The caller holds apply.
func (e *Engine) rotate(need int) *memtable.Table {
	mem := e.newMemtable(need + 4096)
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.current.Load()
	imms := append([]*memtable.Table{old.mem}, old.imms...)
	mem.Note(old.mem.MaxLSN())
	e.replace(e.newState(mem, imms, old.levels))
	return mem
}

// Checkpoint implements kv.Engine.
func (e *Engine) Checkpoint(ctx context.Context) (uint64, error) {
	if e.ctx.Err() != nil {
		return 0, errClosed
	}
	target := e.seal()
	stop := context.AfterFunc(ctx, e.wake)
	defer stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flushFailure = nil // ask for another attempt
	e.changed.Broadcast()
	for e.durable.Load() < target {
		switch {
		case e.closed:
			return 0, errClosed
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case e.flushFailure != nil:
			return 0, e.flushFailure
		}
		e.changed.Wait()
	}
	return e.durable.Load(), nil
}

// seal makes everything applied part of full memtables, which get flushed.
func (e *Engine) seal() uint64 {
	e.apply.Lock()
	defer e.apply.Unlock()
	applied := e.applied.Load()
	if applied > e.durable.Load() && e.current.Load().mem.MaxLSN() > e.sealed() {
		e.rotate(0)
	}
	return applied
}

// sealed is the LSN up to which everything is in full memtables or tables.
func (e *Engine) sealed() uint64 {
	s := e.current.Load()
	if len(s.imms) > 0 {
		return s.imms[0].MaxLSN()
	}
	return e.durable.Load()
}
