package oltp

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/tuple"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// LogReader follows committed transactions in order, durable ones only (I1). It
// has one owner.
type LogReader struct {
	db *DB
	r  *commitlog.Reader
	tx *commitlog.Tx
}

// ReadLog starts a reader at the first commit after from. It fails with
// source_error when the log from there is gone or from lies beyond its end: it
// never starts later (I2). Without a slot that holds the log, it may be let go
// while it is read; the reader then fails in the same way.
func (db *DB) ReadLog(from schemas.LSN) (*LogReader, error) {
	if db.closing.Load() {
		return nil, ErrClosed
	}
	r, err := db.log.NewReader(from)
	if err != nil {
		return nil, logError(err)
	}
	return &LogReader{db: db, r: r}, nil
}

// logError gives the code that capture tells apart.
func logError(err error) error {
	var typed *schemas.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wal.ErrReleased), errors.Is(err, wal.ErrAhead):
		return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Message: "the commit log cannot be read from there", Err: err,
			Hint: "resync from a new snapshot"}
	case errors.Is(err, wal.ErrClosed):
		return ErrClosed
	case errors.As(err, &typed):
		return err
	}
	return corrupt("read commit log", err)
}

// Next waits for the next commit and returns its LSN and its time, µs since 1970
// UTC. It returns ctx's cause when that ends first; the reader may go on then.
func (r *LogReader) Next(ctx context.Context) (lsn schemas.LSN, micros int64, err error) {
	tx, err := r.r.Next(ctx)
	if err != nil && ctx.Err() != nil {
		return 0, 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, 0, logError(err)
	}
	r.tx = tx
	return tx.LSN, tx.Time, nil
}

// TryNext is Next without the wait: ok is false when no commit is durable yet that
// was not returned before.
func (r *LogReader) TryNext() (lsn schemas.LSN, micros int64, ok bool, err error) {
	tx, err := r.r.TryNext()
	if err != nil || tx == nil {
		return 0, 0, false, logError(err)
	}
	r.tx = tx
	return tx.LSN, tx.Time, true, nil
}

// Wait returns once TryNext would have a commit. It wakes with the fdatasync,
// without polling.
func (r *LogReader) Wait(ctx context.Context) error {
	_, err := r.db.log.WaitBeyond(ctx, r.r.Position())
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return logError(err)
}

// Position is the LSN of the last commit returned, or where reading began: every
// commit at or before it was returned.
func (r *LogReader) Position() schemas.LSN { return r.r.Position() }

// Changes hands over the changes of the commit that Next returned. For each change
// it asks batch for the batch that takes it, nil to leave the change out; before
// says whether an update's old row goes before it. barrier is told of each
// TRUNCATE, and made of each table the transaction made. Transactions of any size
// pass through little memory (I6).
func (r *LogReader) Changes(ctx context.Context, batch func(*schemas.Table) (b *change.Batch, before bool, err error),
	barrier func(load.Barrier) error, made func(*schemas.Table) error) error {
	c := r.db.catalog.Load()
	lsn := r.tx.LSN
	return r.tx.Each(ctx, func(ch commitlog.Change) error {
		if ch.Op == commitlog.Define {
			d, err := decodeDefinition(ch.After)
			if err != nil {
				return err
			}
			return made(d.Table)
		}
		t := c.byID[ch.Table]
		if t == nil {
			return corrupt("read commit log", fmt.Errorf("%w: change of unknown table %d", commitlog.ErrRecord, ch.Table))
		}
		if ch.Op == commitlog.Truncate {
			return barrier(load.Barrier{LSN: lsn, Ordinal: ch.Ordinal, Table: t.def.FullName(), Kind: load.BarrierTruncate})
		}
		b, before, err := batch(t.def)
		if err != nil || b == nil {
			return err
		}
		return appendChange(b, t.codec, lsn, ch, before)
	})
}

func appendChange(b *change.Batch, codec *tuple.Codec, lsn schemas.LSN, ch commitlog.Change, before bool) error {
	switch ch.Op {
	case commitlog.Insert:
		return appendImage(b, codec, change.Insert, lsn, ch.Ordinal, ch.After)
	case commitlog.Delete:
		return appendImage(b, codec, change.Delete, lsn, ch.Ordinal, ch.Before)
	}
	if before {
		if err := appendImage(b, codec, change.Before, lsn, ch.Ordinal, ch.Before); err != nil {
			return err
		}
	}
	return appendImage(b, codec, change.Update, lsn, ch.Ordinal, ch.After)
}

func appendImage(b *change.Batch, codec *tuple.Codec, op change.Op, lsn schemas.LSN, ordinal uint32, image []byte) error {
	b.Ops, b.LSN, b.Ordinal = append(b.Ops, op), append(b.LSN, lsn), append(b.Ordinal, ordinal)
	return corrupt("read commit log", codec.AppendTo(b.Cols, image))
}

// Close lets go of the log.
func (r *LogReader) Close() error { return r.r.Close() }

// Snapshot is the whole database as it stood at an LSN, for capture. Commits go on
// beside it. The engine keeps its versions until Close.
type Snapshot struct{ tx *Tx }

// Snapshot takes a snapshot of everything that is durable now.
func (db *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	tx, err := db.Begin(ctx, TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return &Snapshot{tx: tx}, nil
}

// LSN is where the snapshot stands: it holds every commit at or before it.
func (s *Snapshot) LSN() schemas.LSN { return s.tx.SnapshotLSN() }

// Copy hands over the rows of a table in key order, in batches of size rows and
// one of the rest, which may be empty: inserts at the snapshot's LSN, numbered from
// 0. The batch is lent until emit returns.
func (s *Snapshot) Copy(ctx context.Context, table string, size int, emit func(*change.Batch) error) error {
	t, err := s.tx.readable(table)
	if err != nil {
		return err
	}
	lower := tuple.AppendPrefix(nil, t.id)
	it, err := s.tx.db.engine.Iterate(lower, tuple.Successor(nil, lower), s.tx.snap.lsn)
	if err != nil {
		return s.tx.db.readError("read table "+t.def.FullName(), err)
	}
	defer it.Close()
	b, lsn := change.New(t.def, size), s.LSN()
	n := uint32(0)
	for ok := it.First(); ok; ok = it.Next() {
		if err := appendImage(b, t.codec, change.Insert, lsn, n, it.Value()); err != nil {
			return err
		}
		n++
		if b.Len() < size {
			continue
		}
		if err := ctx.Err(); err != nil {
			return canceled(context.Cause(ctx))
		}
		if err := emit(b); err != nil {
			return err
		}
		b.Reset()
	}
	// An iterator that failed is never the table's end (I8).
	if err := it.Err(); err != nil {
		return s.tx.db.readError("read table "+t.def.FullName(), err)
	}
	return emit(b)
}

// Close lets go of the snapshot.
func (s *Snapshot) Close() { s.tx.Rollback() }
