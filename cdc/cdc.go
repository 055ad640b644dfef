// Package cdc is the contract between a source of changes (cdc/native,
// cdc/postgres) and the stream that carries them (cdc/stream).
//
// A source hands over rows as columns, many transactions at a time where it has
// them, and says in between up to which commit everything was handed over. It
// decides nothing about messages, partitions or batching: the stream does.
package cdc

import (
	"context"
	"time"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// HeartbeatInterval is how often an idle source calls Sink.Progress at least, so
// that the boundary W moves past commits that touch no captured table and answers
// stay fresh.
const HeartbeatInterval = 100 * time.Millisecond

// Description is what a source is at the moment it is asked.
type Description struct {
	// Kind names the kind of source, "native" or "postgres", for logs.
	Kind string
	// Incarnation names this life of the source's log. Positions of different
	// incarnations do not compare: the stream refuses to resume across them.
	Incarnation string
	// Tables are the captured tables. They stay the same until Close: a change of
	// schema ends Stream with an error that says what to do.
	Tables []*schemas.Table
	// Resumable says that a slot exists, so that Stream can start at or after
	// Confirmed without a snapshot.
	Resumable bool
	// Confirmed is the slot's position: changes at or before it may be gone.
	Confirmed schemas.LSN
	// End is the end of the durable log. A boundary past it belongs to a log that
	// was cut back, and is refused.
	End schemas.LSN
}

// Source is one database whose committed changes can be followed.
//
// Describe, Snapshot and Stream have one caller at a time; Confirm may be called
// while Snapshot or Stream runs. Errors that retrying cannot cure (wrong
// credentials, wal_level, a lost slot, a changed table) are *schemas.Error with
// Retryable false; the others are retried with back-off, from Describe on.
type Source interface {
	// Describe connects and tells what the source is. It makes nothing.
	Describe(ctx context.Context) (Description, error)
	// Snapshot makes (or makes anew) the slot at a consistent point S, hands over
	// every row of every captured table as it stood at S, and returns S, from
	// which Stream goes on. It is called only when nothing of the source was
	// ever completely loaded, so a slot left by an unfinished attempt is replaced.
	// Rows come with Op Insert, LSN S and ordinals that are unique within their
	// table. After at most a few thousand rows it calls sink.Chunk, once at least
	// for each table, empty ones too.
	Snapshot(ctx context.Context, sink SnapshotSink) (S schemas.LSN, err error)
	// Stream hands over every change of a commit that ends after from, until ctx
	// ends or the sink fails (that error is returned). It fails with code
	// source_error when it cannot go back to from: it never starts later (I2).
	Stream(ctx context.Context, from schemas.LSN, sink Sink) error
	// Confirm says that everything at or before lsn is durable in the warehouse:
	// the source may forget it (I1). It is called often and with equal values,
	// never with 0; it may be applied later, and never goes back.
	Confirm(ctx context.Context, lsn schemas.LSN) error
	// Close ends connections. The slot stays. Idempotent.
	Close() error
}

// Sink takes a source's changes. Its methods block for back-pressure: a source
// keeps nothing but the batch it fills. They are called from one goroutine.
type Sink interface {
	// Changes takes changes of one table (b.Table is one of Description.Tables),
	// in position order: LSN is where the commit record ENDS, ordinals count from 0
	// within the transaction, over all its tables. A call may hold many
	// transactions, and a transaction may take many calls, so that one of any
	// size passes through bounded memory (I6): it comes only once it committed,
	// the source spills what it has to hold until then. Between two calls of
	// Progress, tables may come in any order.
	//
	// The batch is lent: the sink copies what it keeps before it returns, and the
	// source resets and refills the same batch.
	Changes(ctx context.Context, b *change.Batch) error
	// Barrier takes something that happens to a whole table, a TRUNCATE. It stands
	// by its position, also among the table's changes of its own transaction.
	Barrier(ctx context.Context, b load.Barrier) error
	// Progress says that everything committed at or before to was handed over,
	// and nothing after it. to never goes back; the same to again is a heartbeat.
	// commitTime, µs since 1970 UTC, is when the newest of those commits was
	// acknowledged, or the present when there is nothing after to.
	//
	// It is cheap: call it whenever the source has nothing more to read at once,
	// at the latest after about a thousand small transactions, and every
	// HeartbeatInterval when idle. Without it nothing becomes visible.
	Progress(ctx context.Context, to schemas.LSN, commitTime int64) error
}

// SnapshotSink takes the rows of a snapshot.
type SnapshotSink interface {
	// Changes is as in Sink; the batch is lent.
	Changes(ctx context.Context, b *change.Batch) error
	// Chunk says that the rows since the previous Chunk can be stored, and how
	// far their table is.
	Chunk(ctx context.Context, s load.Snapshot) error
}
