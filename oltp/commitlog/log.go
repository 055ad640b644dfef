package commitlog

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/schemas"
)

// Log is an open commit log.
type Log struct {
	wal   *wal.Log
	space sync.Pool // *[][]byte
}

// Open opens or makes the log in a folder.
func Open(dir string, o wal.Options) (*Log, error) {
	w, err := wal.Open(dir, o)
	if err != nil {
		return nil, err
	}
	return &Log{wal: w, space: sync.Pool{New: func() any { return new([][]byte) }}}, nil
}

// Append adds a transaction that committed at a time in µs since 1970 UTC, and
// returns its LSN. It is not durable yet (WaitDurable). The encoder may be reused.
func (l *Log) Append(e *Encoder, micros int64) (schemas.LSN, error) {
	space := l.space.Get().(*[][]byte)
	*space = e.records(micros, (*space)[:0])
	_, end, err := l.wal.Append(*space...)
	clear(*space)
	l.space.Put(space)
	return end, err
}

// WaitDurable returns once everything at or before lsn is durable (I1).
func (l *Log) WaitDurable(ctx context.Context, lsn schemas.LSN) error {
	return l.wal.WaitDurable(ctx, lsn)
}

// WaitBeyond waits until a commit after lsn is durable and returns the durable LSN.
func (l *Log) WaitBeyond(ctx context.Context, lsn schemas.LSN) (schemas.LSN, error) {
	return l.wal.WaitBeyond(ctx, lsn)
}

// DurableLSN is the end of the last durable commit.
func (l *Log) DurableLSN() schemas.LSN { return l.wal.DurableLSN() }

// EndLSN is the end of the last appended commit, durable or not.
func (l *Log) EndLSN() schemas.LSN { return l.wal.AppendedLSN() }

// OldestLSN is where the log begins.
func (l *Log) OldestLSN() schemas.LSN { return l.wal.OldestLSN() }

// ID names this life of the log: the incarnation of its positions.
func (l *Log) ID() string { return l.wal.ID().String() }

// Recovery says what Open found.
func (l *Log) Recovery() wal.Recovery { return l.wal.Recovery() }

// DiskBytes is the space the log takes.
func (l *Log) DiskBytes() int64 { return l.wal.DiskBytes() }

// Err is why the log takes nothing more, or nil.
func (l *Log) Err() error { return l.wal.Err() }

// TruncateBefore lets go of what ends at or before lsn, in whole segments.
func (l *Log) TruncateBefore(lsn schemas.LSN) error { return l.wal.TruncateBefore(lsn) }

// Close makes everything appended durable and closes the log.
func (l *Log) Close() error { return l.wal.Close() }

// Reader walks durable transactions in order. It has one owner.
type Reader struct {
	log  *Log
	wal  *wal.Reader
	from schemas.LSN // where an unfinished transaction's first part begins
	open bool        // parts were read and their commit not yet
	tx   Tx
}

// Tx is a committed transaction as read.
type Tx struct {
	// LSN is where the commit ends.
	LSN schemas.LSN
	// Time is when it committed, µs since 1970 UTC.
	Time int64

	reader *Reader
	commit []byte      // the commit record
	parts  bool        // there are records before it
	from   schemas.LSN // where they begin
}

// NewReader starts a reader at the first transaction that ends after from. Errors
// wrap wal.ErrReleased when that is gone and wal.ErrAhead when from lies beyond
// the end.
func (l *Log) NewReader(from schemas.LSN) (*Reader, error) {
	r, err := l.wal.NewReader(from)
	if err != nil {
		return nil, err
	}
	return &Reader{log: l, wal: r, from: from}, nil
}

// Next waits for the next durable transaction. The result holds until the next
// move.
func (r *Reader) Next(ctx context.Context) (*Tx, error) {
	for {
		tx, err := r.TryNext()
		if tx != nil || err != nil {
			return tx, err
		}
		if _, err := r.log.wal.WaitBeyond(ctx, r.wal.Position()); err != nil {
			return nil, err
		}
	}
}

// TryNext returns the next transaction, nil when none is durable yet.
func (r *Reader) TryNext() (*Tx, error) {
	for {
		if !r.open {
			r.from = r.wal.Position()
		}
		rec, ok, err := r.wal.TryNext()
		if err != nil || !ok {
			return nil, err
		}
		h, err := decodeHeader(rec.Payload)
		if err != nil {
			return nil, fmt.Errorf("commit log record at %s: %w", rec.Start, err)
		}
		if !h.commit {
			r.open = true
			continue
		}
		if h.first > 0 && !r.open { // I8: never half a transaction
			return nil, fmt.Errorf("%w: commit at %s without its %d changes before", ErrRecord, rec.Start, h.first)
		}
		r.tx = Tx{LSN: rec.End, Time: h.micros, reader: r, commit: rec.Payload, parts: r.open, from: r.from}
		r.open = false
		return &r.tx, nil
	}
}

// Position is the LSN of the last transaction returned, or where reading began.
func (r *Reader) Position() schemas.LSN {
	if r.open {
		return r.from
	}
	return r.wal.Position()
}

// Close lets go of the log.
func (r *Reader) Close() error { return r.wal.Close() }

// Parts says whether the transaction takes several records.
func (t *Tx) Parts() bool { return t.parts }

// Each calls fn for every change, in order. Images hold until fn returns. One
// record is in memory at a time, whatever the transaction's size (I6).
func (t *Tx) Each(ctx context.Context, fn func(Change) error) error {
	if !t.parts {
		return t.wrap(each(t.commit, fn))
	}
	r, err := t.reader.log.wal.NewReader(t.from)
	if err != nil {
		return t.wrap(err)
	}
	defer r.Close()
	for {
		rec, err := r.Next(ctx)
		if err == nil {
			err = each(rec.Payload, fn)
		}
		if err != nil {
			return t.wrap(err)
		}
		if rec.End >= t.LSN {
			return nil
		}
	}
}

func (t *Tx) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("commit log transaction %s: %w", t.LSN, err)
}
