package native

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

const (
	// batchRows and batchBytes are when a batch is handed over before its commit's
	// progress is due.
	batchRows  = 4096
	batchBytes = 4 << 20
	// progressCommits and progressRows are when progress is due though there is
	// more to read.
	progressCommits = 1000
	progressRows    = 16 << 10
)

// Stream implements cdc.Source.
func (s *Source) Stream(ctx context.Context, from schemas.LSN, sink cdc.Sink) error {
	confirmed, err := s.db.SlotLSN(s.opts.Slot)
	if schemas.CodeOf(err) == schemas.CodeNotFound {
		return &schemas.Error{Code: schemas.CodeSource, SQLState: "42704", Err: err,
			Message: "the source cannot be followed without its slot", Hint: "resync from a new snapshot"}
	}
	if err != nil {
		return err
	}
	// I2: what was confirmed may be gone, so starting before it could skip changes.
	if from < confirmed {
		return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Hint: "resync from a new snapshot",
			Message: fmt.Sprintf("replication slot %q is confirmed to %s and cannot go back to %s", s.opts.Slot, confirmed, from)}
	}
	log, err := s.db.ReadLog(from)
	if err != nil {
		return err
	}
	defer log.Close()
	st := &stream{source: s, log: log, sink: sink, to: from, batches: map[string]*batch{}}
	for _, t := range s.tables {
		st.batches[t.FullName()] = &batch{Batch: change.New(t, 0), before: s.before[t.FullName()]}
	}
	return st.run(ctx)
}

// stream is one run of Stream.
type stream struct {
	source  *Source
	log     Log
	sink    cdc.Sink
	batches map[string]*batch // by full name; of the captured tables
	last    *batch            // the one that took the last change

	to      schemas.LSN // every commit up to here was read
	time    int64       // of that commit
	told    int64       // the latest time that the sink was told
	commits int         // read since the last progress
	rows    int         // handed over or batched since
}

type batch struct {
	*change.Batch
	before bool
}

func (st *stream) run(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Taken before looking: what was acknowledged until now is durable, so
		// it is found, and if nothing is, the copy is complete as of now.
		now := st.source.opts.Clock.Now()
		lsn, micros, ok, err := st.log.TryNext()
		switch {
		case err != nil:
			return err
		case !ok:
			err = st.idle(ctx, now)
		default:
			err = st.commit(ctx, lsn, micros)
		}
		if err != nil {
			return err
		}
	}
}

// commit reads one commit.
func (st *stream) commit(ctx context.Context, lsn schemas.LSN, micros int64) error {
	take := func(t *schemas.Table) (*change.Batch, bool, error) { return st.take(ctx, t) }
	barrier := func(b load.Barrier) error { return st.barrier(ctx, b) }
	if err := st.log.Changes(ctx, take, barrier, st.made); err != nil {
		return err
	}
	st.to, st.time = lsn, micros
	if st.commits++; st.commits >= progressCommits || st.rows >= progressRows {
		return st.progress(ctx, st.time)
	}
	return nil
}

// take gives the batch that a change of a table goes to.
func (st *stream) take(ctx context.Context, t *schemas.Table) (*change.Batch, bool, error) {
	b := st.last
	if b == nil || b.Table != t {
		if b = st.batches[t.FullName()]; b == nil {
			return nil, false, nil // not captured
		}
		if b.Table.Version != t.Version {
			return nil, false, schemaChanged(t, "was changed")
		}
		st.last = b
	}
	st.rows++
	// Bytes takes a moment, and rows may be large: look now and then.
	if n := b.Len(); n >= batchRows || n&15 == 15 && b.Bytes() >= batchBytes {
		if err := st.flush(ctx, b); err != nil {
			return nil, false, err
		}
	}
	return b.Batch, b.before, nil
}

func (st *stream) flush(ctx context.Context, b *batch) error {
	if b.Len() == 0 {
		return nil
	}
	if err := st.sink.Changes(ctx, b.Batch); err != nil {
		return err
	}
	b.Reset()
	return nil
}

func (st *stream) barrier(ctx context.Context, barrier load.Barrier) error {
	b := st.batches[barrier.Table]
	if b == nil {
		return nil
	}
	if err := st.flush(ctx, b); err != nil {
		return err
	}
	return st.sink.Barrier(ctx, barrier)
}

// made ends the stream when all tables are captured and there is one more: it would
// silently not be followed.
func (st *stream) made(t *schemas.Table) error {
	if st.source.opts.Tables != nil || st.batches[t.FullName()] != nil {
		return nil
	}
	return schemaChanged(t, "was made after capture began")
}

func schemaChanged(t *schemas.Table, what string) error {
	return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Message: fmt.Sprintf("table %s %s", t.FullName(), what),
		Hint: "start the capture again to follow it"}
}

// progress hands over what is batched and says that everything up to st.to was.
func (st *stream) progress(ctx context.Context, micros int64) error {
	for _, t := range st.source.tables {
		if err := st.flush(ctx, st.batches[t.FullName()]); err != nil {
			return err
		}
	}
	// A commit gets its time before it is durable: one that a heartbeat could not
	// see yet may carry an earlier time than the heartbeat. Times never go back.
	st.told = max(st.told, micros)
	st.commits, st.rows = 0, 0
	return st.sink.Progress(ctx, st.to, st.told)
}

// errHeartbeat ends the wait for a commit.
var errHeartbeat = errors.New("heartbeat is due")

// idle reports progress as of a time when there was nothing more to read, and waits
// for a commit or the next heartbeat.
func (st *stream) idle(ctx context.Context, now time.Time) error {
	if err := st.progress(ctx, max(st.time, now.UnixMicro())); err != nil {
		return err
	}
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-st.source.opts.Clock.After(cdc.HeartbeatInterval):
			cancel(errHeartbeat)
		case <-wait.Done():
		}
	}()
	if err := st.log.Wait(wait); err != nil && !errors.Is(context.Cause(wait), errHeartbeat) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}
