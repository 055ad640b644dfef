// Package oltp is a transactional database as a library: typed tables with primary
// keys, snapshot transactions, one commit log that is write-ahead log and change
// stream at once, and replication slots that hold it.
//
// A data folder holds
//
//	FORMAT   what this folder is (see format.go)
//	LOCK     one process at a time
//	SLOTS    replication slots (see slots.go)
//	log/     the commit log (oltp/commitlog)
//	lsm/     the storage engine's files, in a folder of its name
//
// The way of a commit: check for conflicts and take an LSN (commit.go), append to
// the log, apply to the engine in LSN order, wait for fdatasync, acknowledge.
package oltp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/schemas"
)

// sector is what a disk writes whole or not at all: one that holds acknowledged
// commits is not written again.
const sector = 512

// DB is an open database. All methods are safe for concurrent use.
type DB struct {
	opts     Options
	format   format
	lock     io.Closer
	log      *commitlog.Log
	engine   kv.Engine
	applied  atomic.Uint64 // the engine has every commit up to here
	catalog  atomic.Pointer[catalog]
	ddl      sync.Mutex // one schema change at a time
	hashSeed maphash.Seed
	txs      sync.Pool // *Tx: memory for transactions

	committer committer
	snapshots snapshots
	slots     slots
	keeper    keeper
	counters  counters
	metrics   *metrics
	rng       struct {
		sync.Mutex
		*rand.Rand
	}

	closing  atomic.Bool
	closeErr error
	closed   sync.Once
}

// Open opens the database in a folder, or makes one, and recovers it: the engine's
// last checkpoint and every later commit in the log. It fails with CodeInUse when
// another process has it open, with CodeCorrupt when what was durable is damaged,
// and with CodeUnsupported when the folder has another format or engine.
func Open(o Options) (*DB, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	db := &DB{opts: o.withDefaults(), hashSeed: maphash.MakeSeed(), metrics: newMetrics()}
	db.txs.New = func() any { return new(Tx) }
	db.rng.Rand = rand.New(rand.NewPCG(o.Seed, 1))
	db.committer.conflicts = newConflicts()
	if err := db.open(); err != nil {
		return nil, errors.Join(vfs.Typed("open database "+o.Dir, err), db.release())
	}
	if err := db.metrics.register(db, o.Metrics); err != nil {
		return nil, errors.Join(err, db.release())
	}
	db.keeper.start(db)
	return db, nil
}

func (db *DB) open() (err error) {
	fsys, dir := db.opts.FS, db.opts.Dir
	if err = vfs.MakeDir(fsys, dir); err != nil {
		return err
	}
	if db.lock, err = fsys.Lock(filepath.Join(dir, "LOCK")); err != nil {
		return err
	}
	if db.format, err = openFormat(fsys, dir, db.opts.Engine); err != nil {
		return err
	}
	open, err := engineNamed(db.format.Engine)
	if err != nil {
		return err
	}
	db.engine, err = open(filepath.Join(dir, db.format.Engine), engineOptions{
		FS: fsys, Clock: db.opts.Clock, Logger: db.opts.Logger, MemoryBytes: db.opts.MemoryBytes,
		Durable: db.waitLogged,
	})
	if err != nil {
		return fmt.Errorf("open engine: %w", err)
	}
	if err = db.slots.load(db); err != nil {
		return err
	}
	checkpoint := db.engine.DurableLSN()
	db.log, err = commitlog.Open(filepath.Join(dir, "log"), wal.Options{
		FS: fsys, Clock: db.opts.Clock, Logger: db.opts.Logger, SegmentBytes: db.opts.LogSegmentBytes,
		AtLeast: max(schemas.LSN(checkpoint), db.slots.confirmed()),
		OnSync:  db.metrics.sync,
		Align:   sector,
	})
	if err != nil {
		return err
	}
	if err = db.recover(checkpoint); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return db.slots.check(db)
}

// waitLogged returns once the log is durable up to an LSN. Engines call it before
// they make anything durable themselves, so that no checkpoint holds a commit that
// a crash takes out of the log.
func (db *DB) waitLogged(ctx context.Context, lsn uint64) error {
	return db.log.WaitDurable(ctx, schemas.LSN(lsn))
}

// LogID names this life of the log: the incarnation of its LSNs.
func (db *DB) LogID() string { return db.log.ID() }

// DurableLSN is the end of the last durable commit. An idle database's stays.
func (db *DB) DurableLSN() schemas.LSN { return db.log.DurableLSN() }

// Verify checks every checksum and structure of the engine.
func (db *DB) Verify(ctx context.Context) error {
	return corrupt("verify engine", db.engine.Verify(ctx))
}

// Close waits for running commits, makes a checkpoint and closes the files. Running
// transactions fail from then on.
func (db *DB) Close() error {
	db.closed.Do(func() {
		db.closing.Store(true)
		db.committer.close()
		db.keeper.stop()
		var err error
		if db.log.Err() == nil {
			err = db.checkpoint(context.Background())
		}
		db.slots.close()
		db.closeErr = errors.Join(err, db.release())
	})
	return db.closeErr
}

// release closes what is open.
func (db *DB) release() error {
	var errs []error
	db.metrics.unregister(db.opts.Metrics)
	if db.engine != nil {
		errs = append(errs, db.engine.Close())
	}
	if db.log != nil {
		errs = append(errs, db.log.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}
