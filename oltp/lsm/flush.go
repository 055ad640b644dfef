package lsm

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/lsm/memtable"
	"github.com/millrace/millrace/oltp/lsm/sstable"
)

// retryAfter is how long background work rests after a failure.
const retryAfter = 100 * time.Millisecond

// flushLoop turns full memtables into tables, oldest first.
func (e *Engine) flushLoop() {
	for {
		mem := e.nextFull()
		if mem == nil {
			return
		}
		err := e.flush(mem)
		if e.report(&e.flushFailure, "flush a memtable", err) {
			continue
		}
		select {
		case <-e.opts.Clock.After(retryAfter):
		case <-e.ctx.Done():
		}
	}
}

// report notes a failure, or the end of one, and says whether all is well.
func (e *Engine) report(failure *error, op string, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && e.ctx.Err() == nil {
		if *failure == nil {
			e.opts.Logger.Error("lsm: background work failed and will be tried again", "dir", e.dir, "op", op, "error", err)
		}
		*failure = typed(op+" of "+e.dir, err)
	} else if err == nil {
		*failure = nil
	}
	e.changed.Broadcast()
	return err == nil
}

func (e *Engine) nextFull() *memtable.Table {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if e.closed {
			return nil
		}
		if imms := e.current.Load().imms; len(imms) > 0 {
			return imms[len(imms)-1]
		}
		e.changed.Wait()
	}
}

func (e *Engine) flush(mem *memtable.Table) error {
	// A table must not hold what the log could still lose (I1, I2).
	if e.opts.WaitLog != nil {
		if err := e.opts.WaitLog(e.ctx, mem.MaxLSN()); err != nil {
			return fmt.Errorf("wait for the commit log: %w", err)
		}
	}
	// A horizon beyond what the flush makes durable drops nothing more than this
	// LSN does, and would be wrong after a crash.
	horizon := min(e.horizon.Load(), mem.MaxLSN())
	var it memtable.Iter
	it.Init(mem)
	tables, err := e.writeTables(&it, tableSplit{}, keepRules{horizon: horizon, keepTombstones: true})
	if err != nil {
		return err
	}
	e.edits.Lock()
	defer e.edits.Unlock()
	ed := edit{durable: mem.MaxLSN(), horizon: horizon}
	ed.add[0] = tables
	if err := e.install(ed, true); err != nil {
		e.discard(tables)
		return err
	}
	e.stats.flushes.Add(1)
	e.pendCompaction()
	return nil
}

// discard closes tables that did not become part of the tree and deletes them,
// unless the manifest names them after all: a change that failed late may have
// reached the disk.
func (e *Engine) discard(tables []*table) {
	m, err := readManifest(e.opts.FS, e.dir)
	named := map[uint64]bool{}
	for _, t := range m.tables {
		named[t.id] = true
	}
	for _, t := range tables {
		t.reader.Close()
		if err == nil && !named[t.id] {
			t.remove()
		}
	}
}

// abandon deletes a table that was not finished.
func (e *Engine) abandon(w *tableWriter) {
	w.close()
	if err := e.opts.FS.Remove(e.tablePath(w.id)); err != nil {
		e.opts.Logger.Warn("an unfinished table stays until the next start", "path", e.tablePath(w.id), "error", err)
	}
}

// newWriter starts a table file.
func (e *Engine) newWriter() (*tableWriter, error) {
	id := e.nextFile.Add(1) - 1
	file, err := e.opts.FS.Create(e.tablePath(id))
	if err != nil {
		return nil, fmt.Errorf("create table %d: %w", id, err)
	}
	w := sstable.NewWriter(file, id, sstable.WriterOptions{BlockBytes: e.opts.BlockBytes, Plain: e.opts.Plain})
	return &tableWriter{Writer: w, id: id, file: file}, nil
}

type tableWriter struct {
	*sstable.Writer
	id     uint64
	file   vfs.File
	closed bool
}

func (w *tableWriter) close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	return w.file.Close()
}

// finish makes the table durable and opens it for reading.
func (e *Engine) finish(w *tableWriter) (*table, error) {
	props, size, err := w.Finish()
	if cerr := w.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	e.stats.written.Add(size)
	return e.openTable(infoOf(w.id, size, props))
}
