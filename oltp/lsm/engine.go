// Package lsm is a log-structured merge tree that implements kv.Engine:
// memtables in memory, sorted tables in levels on disk, and a manifest that
// names the tables and the LSN that they reach.
//
// Writes go to a memtable; a full one is flushed in the background to a table
// in level 0. Level 0's tables may overlap; in each level below, tables do not,
// and all versions of a key lie in one table. Newer versions of a key are
// always above older ones. The manifest (docs/formats/lsm-manifest.md) is
// replaced atomically as a whole with each change.
package lsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/memtable"
	"github.com/millrace/millrace/oltp/lsm/sstable"
	"github.com/millrace/millrace/schemas"
)

// Engine is an open tree. One process has a folder open at a time.
type Engine struct {
	dir   string
	opts  Options
	cache *sstable.Cache
	// arenas are memtables that nobody reads any more.
	arenas chan *memtable.Table
	lock   io.Closer

	current  atomic.Pointer[state]
	applied  atomic.Uint64
	durable  atomic.Uint64
	horizon  atomic.Uint64
	nextFile atomic.Uint64
	stats    counters

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	workers sync.WaitGroup

	apply sync.Mutex // held by whoever writes to or rotates the memtable
	// edits is held from planning a change of the levels to its manifest. It
	// guards dropped, the horizon up to which versions may be gone.
	edits   sync.Mutex
	dropped uint64

	compacting sync.Mutex // held by the one compaction at a time

	// mu guards what follows and the replacement of current.
	mu             sync.Mutex
	changed        sync.Cond // a flush, a compaction, a failure, Close
	flushFailure   error     // of the last flush; nil after a success
	compactFailure error
	closed         bool
	cursor         [numLevels][]byte // where the next compaction of a level begins
	pending        bool              // there may be something to compact
}

var _ kv.Engine = (*Engine)(nil)

// Open opens the tree in a folder, or makes one. Tables that the manifest does not
// name are leftovers of a crash and go. It fails with ErrCorrupt when manifest or a
// table does not hold, with CodeInUse when another process has it open.
func Open(dir string, opts Options) (*Engine, error) {
	if err := opts.Validate(); err != nil {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "lsm options", Err: err}
	}
	e := &Engine{dir: dir, opts: opts.withDefaults()}
	e.cache = sstable.NewCache(e.opts.CacheBytes)
	e.arenas = make(chan *memtable.Table, maxImms)
	e.changed.L = &e.mu
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.open(); err != nil {
		e.cancel()
		if e.lock != nil {
			e.lock.Close()
		}
		return nil, typed("open lsm "+dir, err)
	}
	e.pending = true
	e.workers.Go(e.flushLoop)
	e.workers.Go(e.compactLoop)
	return e, nil
}

func (e *Engine) open() (err error) {
	if err = vfs.MakeDir(e.opts.FS, e.dir); err != nil {
		return err
	}
	if e.lock, err = e.opts.FS.Lock(filepath.Join(e.dir, "LOCK")); err != nil {
		return err
	}
	m, err := openManifest(e.opts.FS, e.dir)
	if err != nil {
		return err
	}
	var l levels
	for _, t := range m.tables {
		open, err := e.openTable(t.tableInfo)
		if err != nil {
			l.close()
			return err
		}
		l[t.level] = append(l[t.level], open)
	}
	if err := l.check(); err != nil {
		l.close()
		return err
	}
	e.nextFile.Store(m.nextFile)
	e.applied.Store(m.durable)
	e.durable.Store(m.durable)
	e.horizon.Store(m.horizon)
	e.dropped = m.horizon
	e.current.Store(e.newState(e.newMemtable(0), nil, l))
	return e.removeLeftovers(m)
}

func (e *Engine) removeLeftovers(m manifest) error {
	known := map[string]bool{}
	for _, t := range m.tables {
		known[tableName(t.id)] = true
	}
	names, err := e.opts.FS.List(e.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, tableSuffix) && !known[name] {
			if err := e.opts.FS.Remove(filepath.Join(e.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close stops background work and closes the files once the last iterator is
// closed. What was not checkpointed is replayed from the log at the next Open.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.changed.Broadcast()
	e.mu.Unlock()
	e.cancel()
	e.workers.Wait()
	e.apply.Lock() // a write that is on its way ends first
	defer e.apply.Unlock()
	e.current.Load().release()
	return e.lock.Close()
}

// errClosed is returned after Close.
var errClosed = errors.New("engine is closed")

// DurableLSN implements kv.Engine.
func (e *Engine) DurableLSN() uint64 { return e.durable.Load() }

// SetHorizon implements kv.Engine. It never goes back.
func (e *Engine) SetHorizon(lsn uint64) {
	for {
		old := e.horizon.Load()
		if lsn <= old || e.horizon.CompareAndSwap(old, lsn) {
			return
		}
	}
}

// typed gives a failure the code that users see.
func typed(op string, err error) error {
	if errors.Is(err, kv.ErrCorrupt) && schemas.CodeOf(err) != schemas.CodeCorrupt {
		return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: op, Err: err,
			Hint: "restore the data folder from a backup"}
	}
	return vfs.Typed(op, err)
}

const tableSuffix = ".sst"

func tableName(id uint64) string { return fmt.Sprintf("%016x%s", id, tableSuffix) }

func (e *Engine) tablePath(id uint64) string { return filepath.Join(e.dir, tableName(id)) }
