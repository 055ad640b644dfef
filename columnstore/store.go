// Package columnstore is the warehouse's storage: it takes loads of changes,
// publishes them as versions that are each exactly one state of the source, keeps
// them in immutable column segments, and serves consistent snapshots to the SQL
// engine.
//
// A load is durable in the load log before it is acknowledged, and staged. A
// progress record whose needs are durable makes the changes up to its T visible
// across all tables in one pointer swap. Checkpoints write rows to segments and
// name, in one manifest edit, all that belongs together; what came later is
// replayed from the load log.
package columnstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

var _ load.Warehouse = (*Store)(nil)

// Store is an open column store. All methods are safe for concurrent use.
type Store struct {
	opts    Options
	lock    io.Closer
	man     *manifest.Manifest
	log     *wal.Log
	cache   *table.Cache
	pool    *segment.Pool
	history string
	metrics *metrics

	// visible is the newest state; every query reads one.
	visible atomic.Pointer[state]
	pins    pins

	// write is held by whoever changes tables. Taken before ingest.
	write struct {
		sync.Mutex
		tables  map[string]*tab
		version uint64 // last given out
		ceiling uint64 // durable: no version above it was given out
		gen     uint64
		txns    map[string]*table.Txn // reused
	}
	// ingest guards the load protocol's state.
	ingest struct {
		sync.Mutex
		pipes   map[string]*ingest.Pipe
		pending []accepted // appended to the log, not settled, in log order
		settled schemas.LSN
		staged  int64 // bytes of loads in memory
	}
	// changed is closed and replaced whenever something that is waited for changes.
	changed atomic.Pointer[chan struct{}]

	// maintenance is held by whoever writes segments and checkpoints.
	maintenance struct {
		sync.Mutex
		next     uint64 // number of the next file
		last     time.Time
		logAt    schemas.LSN // end of the log at the last checkpoint
		version  uint64      // of the last checkpoint
		obsolete []obsolete
		added    []*segment.Meta // written by merges since the last checkpoint
	}

	wakePublish  chan struct{}
	wakeMaintain chan struct{}
	stop         context.CancelFunc
	ctx          context.Context
	workers      sync.WaitGroup
	closed       atomic.Bool
}

// tab is a table with what the store knows of it; guarded by write.
type tab struct {
	t         *table.Table
	def       manifest.Def
	ready     bool
	rowsDone  int64
	rowsTotal int64
}

// accepted is a load on its way to disk.
type accepted struct {
	pipe  *ingest.Pipe
	rec   *recordAt
	start schemas.LSN
	end   schemas.LSN
}

const (
	formatName = "FORMAT"
	format     = "millrace columnstore 1\n"
)

// Open opens the store in a folder, or makes one, and returns once every load that
// was acknowledged is staged or visible again.
func Open(o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "warehouse options", Err: err}
	}
	o = o.withDefaults()
	s := &Store{opts: o, cache: table.NewCache(o.MemoryBudget * 3 / 4), wakePublish: make(chan struct{}, 1), wakeMaintain: make(chan struct{}, 1)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	ch := make(chan struct{})
	s.changed.Store(&ch)
	if err := s.open(); err != nil {
		return nil, errors.Join(vfs.Typed("open warehouse "+o.Dir, err), s.shut())
	}
	s.workers.Add(1)
	go s.publishLoop()
	if !o.Manual {
		s.workers.Add(1)
		go s.maintainLoop()
	}
	return s, nil
}

func (s *Store) open() (err error) {
	fsys, dir := s.opts.FS, s.opts.Dir
	for _, d := range []string{dir, s.segmentDir()} {
		if err := vfs.MakeDir(fsys, d); err != nil {
			return err
		}
	}
	if s.lock, err = fsys.Lock(filepath.Join(dir, "LOCK")); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	s.man, err = manifest.Open(filepath.Join(dir, "manifest"), manifest.Options{
		FS: fsys, Clock: s.opts.Clock, Logger: s.opts.Logger, NewHistory: s.opts.NewHistory})
	if err != nil {
		return err
	}
	s.metrics = newMetrics(s)
	return s.recover()
}

func (s *Store) segmentDir() string { return filepath.Join(s.opts.Dir, "segments") }

// checkFormat refuses a folder of another version by name.
func (s *Store) checkFormat() error {
	name := filepath.Join(s.opts.Dir, formatName)
	if _, err := s.opts.FS.Stat(name); err != nil {
		return vfs.WriteFile(s.opts.FS, name, []byte(format))
	}
	data, err := vfs.ReadFile(s.opts.FS, name)
	if err != nil {
		return err
	}
	if string(data) != format {
		return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Hint: "use the program that wrote it, or another folder",
			Message: fmt.Sprintf("the folder %s has format %q; this program reads %q", s.opts.Dir, data, format)}
	}
	return nil
}

// Close stops the background work and closes the files. What was acknowledged is
// durable already. Open snapshots must not be read any more.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.workers.Wait()
	return s.shut()
}

func (s *Store) shut() error {
	s.closed.Store(true)
	s.stop()
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	if s.pool != nil {
		errs = append(errs, s.pool.Close())
	}
	if s.man != nil {
		errs = append(errs, s.man.Close())
	}
	if s.metrics != nil {
		s.metrics.close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// History names this store's history of versions.
func (s *Store) History() string { return s.history }

// signal wakes a loop without waiting.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// notify wakes everybody who waits for a change.
func (s *Store) notify() {
	ch := make(chan struct{})
	close(*s.changed.Swap(&ch))
}
