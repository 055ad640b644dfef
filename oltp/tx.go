package oltp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/schemas"
)

// TxOptions say what kind of transaction Begin starts.
type TxOptions struct {
	// ReadOnly transactions read only what is durable, cannot write, and never fail
	// with a conflict.
	ReadOnly bool
}

// Tx is a transaction. It reads the database as it stood at its snapshot plus
// its own writes, which nobody else sees before Commit. When two transactions
// that ran at the same time wrote the same row, the first to commit wins and the
// other fails with CodeConflict (snapshot isolation). One goroutine uses it.
type Tx struct {
	db   *DB
	ctx  context.Context
	opts TxOptions
	snap snapshot
	done bool

	writes writeSet
	commit transaction
	key    []byte // scratch
	row    []byte // scratch
	old    []byte // scratch
}

// Begin starts a transaction. It ends with Commit or Rollback; until then the
// engine keeps the versions it may read. ctx ends its scans and its Commit.
func (db *DB) Begin(ctx context.Context, o TxOptions) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, canceled(context.Cause(ctx))
	}
	if db.closing.Load() {
		return nil, ErrClosed
	}
	tx := db.txs.Get().(*Tx)
	tx.db, tx.ctx, tx.opts = db, ctx, o
	at := db.applied.Load
	if o.ReadOnly {
		at = db.visible
	}
	tx.snap.writes = !o.ReadOnly
	db.snapshots.open(&tx.snap, at)
	return tx, nil
}

// SnapshotLSN is the LSN the transaction reads at.
func (tx *Tx) SnapshotLSN() schemas.LSN { return schemas.LSN(tx.snap.lsn) }

// Commit makes the transaction's writes durable and visible, all at once, and
// returns its LSN: the end of its commit record, for min_lsn and the like. A
// transaction without changes returns its snapshot's LSN once that is durable.
// It fails with CodeConflict (retryable) when another transaction was first; the
// transaction has ended then too.
func (tx *Tx) Commit() (schemas.LSN, error) {
	if tx.done {
		return 0, ErrTxDone
	}
	defer tx.end()
	began := tx.db.opts.Clock.Now()
	tx.commit.snapshot = tx.snap.lsn
	tx.writes.prepare(&tx.commit)
	changes := tx.commit.log.Len()
	if changes == 0 {
		return tx.commitNothing()
	}
	lsn, err := tx.db.commit(tx.ctx, &tx.commit)
	if err != nil {
		return 0, err
	}
	tx.db.observe(began, changes)
	return lsn, nil
}

// commitNothing waits for what the transaction may have read, because a commit
// is visible to writers before it is durable.
func (tx *Tx) commitNothing() (schemas.LSN, error) {
	lsn := schemas.LSN(tx.snap.lsn)
	if tx.opts.ReadOnly {
		return lsn, nil
	}
	err := tx.db.log.WaitDurable(tx.ctx, lsn)
	switch {
	case err == nil:
		return lsn, nil
	case tx.ctx.Err() != nil:
		return 0, canceled(context.Cause(tx.ctx))
	}
	return 0, err
}

// Rollback drops the transaction's writes. After Commit or Rollback it does nothing.
func (tx *Tx) Rollback() {
	if !tx.done {
		tx.end()
	}
}

// end lets go of the snapshot. The Tx itself goes to the garbage collector, so
// that a use after its end is an error and not another transaction; its memory is
// used again.
func (tx *Tx) end() {
	tx.done = true
	db := tx.db
	horizon, moved := db.snapshots.close(&tx.snap, db.visible)
	if moved {
		db.engine.SetHorizon(horizon)
	}
	tx.writes.reset()
	tx.commit.reset()
	next := &Tx{writes: tx.writes, commit: tx.commit, key: tx.key[:0], row: tx.row[:0], old: tx.old[:0]}
	tx.writes, tx.commit, tx.key, tx.row, tx.old = writeSet{}, transaction{}, nil, nil, nil
	db.txs.Put(next)
}

// Update runs fn in a transaction and commits it, and runs it again after a
// conflict, with back-off, up to Options.MaxAttempts times. fn must have no
// effects of its own that cannot be repeated. The LSN is Commit's.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) (schemas.LSN, error) {
	for attempt := 1; ; attempt++ {
		lsn, err := db.attempt(ctx, TxOptions{}, fn)
		if err == nil || schemas.CodeOf(err) != schemas.CodeConflict {
			return lsn, err
		}
		if attempt >= db.opts.MaxAttempts {
			return 0, fmt.Errorf("after %d attempts: %w", attempt, err)
		}
		db.counters.retries.Add(1)
		select {
		case <-db.opts.Clock.After(db.backoff(attempt)):
		case <-ctx.Done():
			return 0, canceled(errors.Join(context.Cause(ctx), err))
		}
	}
}

// View runs fn in a read-only transaction.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	_, err := db.attempt(ctx, TxOptions{ReadOnly: true}, fn)
	return err
}

func (db *DB) attempt(ctx context.Context, o TxOptions, fn func(*Tx) error) (schemas.LSN, error) {
	tx, err := db.Begin(ctx, o)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return 0, err
	}
	return tx.Commit()
}

// backoff grows from about 50 µs to 10 ms, half of it random.
func (db *DB) backoff(attempt int) time.Duration {
	d := min(10*time.Millisecond, 50*time.Microsecond<<min(attempt, 8))
	db.rng.Lock()
	defer db.rng.Unlock()
	return d/2 + time.Duration(db.rng.Int64N(int64(d/2)+1))
}
