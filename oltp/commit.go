package oltp

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/tuple"
	"github.com/millrace/millrace/schemas"
)

// transaction is what a commit needs to know.
type transaction struct {
	snapshot  uint64
	log       commitlog.Encoder
	ops       []kv.Op
	hashes    []uint64 // of the keys written
	tables    []uint32 // whose rows are written
	truncates []uint32 // emptied before the rows are written
	parts     bool     // it takes several records of the log
}

// keepOps is how many operations' memory a transaction leaves to the next.
const keepOps = 1 << 10

func (tx *transaction) reset() {
	tx.log.Reset()
	if cap(tx.ops) > keepOps {
		tx.ops, tx.hashes = nil, nil
	}
	clear(tx.ops)
	tx.ops, tx.hashes = tx.ops[:0], tx.hashes[:0]
	tx.tables, tx.truncates, tx.parts = tx.tables[:0], tx.truncates[:0], false
}

// committer is the state that commits go through one after the other.
type committer struct {
	sync.Mutex // assigns LSNs
	conflicts  *conflicts
	lastTime   int64 // of the last commit, µs; times never go back
	closed     bool

	// apply is taken before the commit lock is let go, so that the engine sees
	// commits in the order of their LSNs while the next one is being checked.
	apply sync.Mutex
	// broken is why the engine takes nothing more; nothing is logged or applied then.
	broken atomic.Pointer[error]
}

// close refuses further commits and waits until those in the log are applied.
func (c *committer) close() {
	c.Lock()
	defer c.Unlock()
	c.closed = true
	c.apply.Lock()
	defer c.apply.Unlock()
}

// commit makes a transaction durable and visible and returns its LSN. Once it
// is in the log its outcome is decided, so ctx counts only until then.
func (db *DB) commit(ctx context.Context, tx *transaction) (schemas.LSN, error) {
	if err := ctx.Err(); err != nil {
		return 0, canceled(context.Cause(ctx))
	}
	// Engines that must slow writers down, or refuse them because the disk is full,
	// do it before the commit is in the log (I10).
	if a, ok := db.engine.(kv.Admitter); ok {
		if err := a.Admit(ctx); err != nil {
			if ctx.Err() != nil {
				return 0, canceled(context.Cause(ctx))
			}
			return 0, fmt.Errorf("the storage engine takes no commits: %w", err)
		}
	}
	lsn, err := db.assign(tx)
	if err != nil {
		return 0, err
	}
	if err := db.apply(uint64(lsn), tx); err != nil {
		return 0, err
	}
	// I1: the commit is acknowledged only once it is durable. Transactions that
	// read it before wait for a later commit or, without one, for this LSN.
	if err := db.log.WaitDurable(context.WithoutCancel(ctx), lsn); err != nil {
		return 0, unknownOutcome(err)
	}
	return lsn, nil
}

// assign checks a transaction for conflicts and gives it its place in the log. It
// returns with the apply lock held when it succeeds.
func (db *DB) assign(tx *transaction) (schemas.LSN, error) {
	c := &db.committer
	c.Lock()
	defer c.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	if why := c.broken.Load(); why != nil {
		return 0, *why
	}
	if !c.conflicts.check(tx, tx.snapshot) {
		db.counters.conflicts.Add(1)
		return 0, errConflict
	}
	now := max(c.lastTime, db.opts.Clock.Now().UnixMicro())
	lsn, err := db.log.Append(&tx.log, now)
	if err != nil {
		return 0, fmt.Errorf("append to the commit log: %w", err)
	}
	c.lastTime = now
	c.conflicts.add(tx, uint64(lsn), db.oldestWriter)
	c.apply.Lock()
	return lsn, nil
}

// apply hands a transaction to the engine. It lets go of the apply lock.
func (db *DB) apply(lsn uint64, tx *transaction) error {
	c := &db.committer
	defer c.apply.Unlock()
	if why := c.broken.Load(); why != nil {
		return unknownOutcome(*why)
	}
	if err := applyTo(db.engine, db.applied.Load(), lsn, tx, db.opts.truncateBatch); err != nil {
		// The commit is in the log and recovery will apply it; until then a later
		// one must not be applied without it.
		why := fmt.Errorf("the engine failed at %s, the database must be reopened: %w", schemas.LSN(lsn), err)
		c.broken.Store(&why)
		db.opts.Logger.Error("engine failed; nothing more is committed", "lsn", schemas.LSN(lsn).String(), "error", err)
		return unknownOutcome(why)
	}
	db.applied.Store(lsn)
	db.noticeLogged(lsn)
	return nil
}

// applyTo applies a transaction at lsn to an engine that has everything up to before.
// A TRUNCATE deletes so many rows at once.
func applyTo(e kv.Engine, before, lsn uint64, tx *transaction, truncateBatch int) error {
	if len(tx.truncates) > 0 {
		if err := applyTruncates(e, before, lsn, tx, truncateBatch); err != nil {
			return err
		}
	}
	return e.Apply(lsn, tx.ops)
}

const (
	truncateBatch = 128 << 10
	// truncateSteps is how many LSNs before the commit's own may be used for that.
	// Nobody reads at them, and a commit record is longer than that.
	truncateSteps = 24
)

// applyTruncates deletes what tables have at before, except the rows that the
// transaction writes again. Deletions go to the engine in batches at LSNs inside the
// commit record; a checkpoint between them makes recovery apply the whole again. A
// transaction of several records takes one batch, because recovery from inside its
// last one would not find the others.
func applyTruncates(e kv.Engine, before, lsn uint64, tx *transaction, rows int) error {
	written := make(map[string]bool, len(tx.ops))
	for _, op := range tx.ops {
		written[string(op.Key)] = true
	}
	var batch []kv.Op
	// Recovery may begin between two batches: those at or before its checkpoint are
	// there, and what they deleted is not found again.
	at := max(lsn-truncateSteps, before+1)
	for _, id := range tx.truncates {
		err := eachKey(e, before, id, func(key []byte) error {
			if written[string(key)] {
				return nil
			}
			batch = append(batch, kv.Op{Key: bytes.Clone(key)})
			if len(batch) < rows || at >= lsn || tx.parts {
				return nil
			}
			err := e.Apply(at, batch)
			at, batch = at+1, batch[:0]
			return err
		})
		if err != nil {
			return err
		}
	}
	tx.ops = append(tx.ops, batch...)
	return nil
}

func eachKey(e kv.Engine, lsn uint64, id uint32, fn func(key []byte) error) error {
	lower := tuple.AppendPrefix(nil, id)
	it, err := e.Iterate(lower, tuple.Successor(nil, lower), lsn)
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key()); err != nil {
			return err
		}
	}
	return it.Err()
}

// oldestWriter is the oldest snapshot that a transaction may commit changes on.
func (db *DB) oldestWriter() uint64 { return db.snapshots.oldestWriter(db.applied.Load()) }

// visible is the LSN that read-only transactions read at: applied, and durable, so
// that no crash takes back what was read.
func (db *DB) visible() uint64 { return min(db.applied.Load(), uint64(db.log.DurableLSN())) }

func canceled(cause error) error {
	return &schemas.Error{Code: schemas.CodeCanceled, SQLState: "57014", Message: "canceled", Err: cause}
}

func unknownOutcome(err error) error {
	return fmt.Errorf("the commit was not acknowledged, its outcome shows after recovery: %w", err)
}

// observe reports a commit that was acknowledged.
func (db *DB) observe(began time.Time, changes int) {
	took := db.opts.Clock.Now().Sub(began)
	db.counters.commits.Add(1)
	db.counters.changes.Add(int64(changes))
	db.metrics.commit.Observe(took.Seconds())
	if db.opts.OnCommit != nil {
		db.opts.OnCommit(took, changes)
	}
}
