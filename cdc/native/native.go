// Package native captures the changes of the project's own engine, in its process,
// through interfaces that the engine's methods fit.
package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// Database is what capture needs of the engine. Errors of code source_error mean
// that the log or the slot is gone, not_found that there is no such slot.
type Database[L Log, S Snapshot] interface {
	// LogID names this life of the log.
	LogID() string
	// DurableLSN is the end of the last durable commit.
	DurableLSN() schemas.LSN
	Tables() []*schemas.Table
	// CreateSlot makes a slot that holds the log from now on.
	CreateSlot(ctx context.Context, name string) (schemas.LSN, error)
	DropSlot(ctx context.Context, name string) error
	// SlotLSN is the slot's confirmed position.
	SlotLSN(name string) (schemas.LSN, error)
	// ConfirmSlot lets the log go up to lsn, durably.
	ConfirmSlot(ctx context.Context, name string, lsn schemas.LSN) error
	// ReadLog starts at the first commit that ends after from, never later.
	ReadLog(from schemas.LSN) (L, error)
	Snapshot(ctx context.Context) (S, error)
}

// Log walks durable commits in order.
type Log interface {
	// TryNext moves to the next commit, and returns where it ends and its time in
	// µs; ok is false when none is durable yet.
	TryNext() (lsn schemas.LSN, micros int64, ok bool, err error)
	// Wait returns once TryNext would have a commit.
	Wait(ctx context.Context) error
	// Changes appends the commit's changes to the batches that batch gives, nil to
	// leave one out, with the old row before an update when before is true.
	Changes(ctx context.Context, batch func(*schemas.Table) (b *change.Batch, before bool, err error),
		barrier func(load.Barrier) error, made func(*schemas.Table) error) error
	Close() error
}

// Snapshot is the database as it stood at an LSN.
type Snapshot interface {
	LSN() schemas.LSN
	// Copy emits a table's rows in batches of size, the last one of the rest,
	// empty when there is none.
	Copy(ctx context.Context, table string, size int, emit func(*change.Batch) error) error
	Close()
}

// Options configure capture. Slot is needed.
type Options struct {
	// Slot is the name of the replication slot, made by Snapshot.
	Slot string
	// Tables are the full names of the tables to capture; nil is all there are
	// when the source is made.
	Tables []string
	// Before lists, by full name, the tables whose updates carry their old row.
	Before []string
	// ConfirmInterval is how often a confirmed position is written at most. 0 is
	// 100 ms; a negative one writes every time.
	ConfirmInterval time.Duration
	// Clock paces heartbeats; nil is clock.System.
	Clock clock.Clock
}

// Source captures one database. It implements cdc.Source.
type Source struct {
	db     database
	opts   Options
	tables []*schemas.Table
	before map[string]bool

	confirm struct {
		sync.Mutex
		asked, written schemas.LSN
		at             time.Time // of the last write
	}
}

var _ cdc.Source = (*Source)(nil)

// database is Database without its type parameters.
type database interface {
	Database[Log, Snapshot]
}

type erased[L Log, S Snapshot] struct{ Database[L, S] }

func (e erased[L, S]) ReadLog(from schemas.LSN) (Log, error) {
	l, err := e.Database.ReadLog(from)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (e erased[L, S]) Snapshot(ctx context.Context) (Snapshot, error) {
	s, err := e.Database.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// New makes the source of a database. It fails with CodeUnknownTable when a table
// named in the options does not exist.
func New[L Log, S Snapshot](db Database[L, S], o Options) (*Source, error) {
	if o.Slot == "" {
		return nil, schemas.Errorf(schemas.CodeInvalid, "42602", "native capture needs the name of a replication slot")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.ConfirmInterval == 0 {
		o.ConfirmInterval = 100 * time.Millisecond
	}
	s := &Source{db: erased[L, S]{db}, opts: o, before: map[string]bool{}}
	all := db.Tables()
	if s.tables = all; o.Tables != nil {
		s.tables = nil
		for _, name := range o.Tables {
			t := named(all, name)
			if t == nil {
				return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "the source has no table %q to capture", name)
			}
			s.tables = append(s.tables, t)
		}
	}
	for _, name := range o.Before {
		if named(s.tables, name) == nil {
			return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "table %q is not captured, so it has no old rows to send", name)
		}
		s.before[name] = true
	}
	return s, nil
}

func named(tables []*schemas.Table, name string) *schemas.Table {
	i := slices.IndexFunc(tables, func(t *schemas.Table) bool { return t.FullName() == name })
	if i < 0 {
		return nil
	}
	return tables[i]
}

// Describe implements cdc.Source. A slot whose log was lost does not make the
// source resumable; Stream says what happened to it.
func (s *Source) Describe(ctx context.Context) (cdc.Description, error) {
	if err := ctx.Err(); err != nil {
		return cdc.Description{}, context.Cause(ctx)
	}
	d := cdc.Description{Kind: "native", Incarnation: s.db.LogID(), Tables: s.tables, End: s.db.DurableLSN()}
	confirmed, err := s.db.SlotLSN(s.opts.Slot)
	switch code := schemas.CodeOf(err); {
	case err == nil:
		d.Resumable, d.Confirmed = true, confirmed
	case code != schemas.CodeNotFound && code != schemas.CodeSource:
		return d, err
	}
	return d, nil
}

// snapshotRows is how many rows a chunk of the snapshot has.
const snapshotRows = 4096

// Snapshot implements cdc.Source. The slot comes first, so that the log is held
// from before the snapshot's point.
func (s *Source) Snapshot(ctx context.Context, sink cdc.SnapshotSink) (schemas.LSN, error) {
	err := s.db.DropSlot(ctx, s.opts.Slot)
	if err != nil && schemas.CodeOf(err) != schemas.CodeNotFound {
		return 0, err
	}
	s.forgetConfirmed()
	if _, err := s.db.CreateSlot(ctx, s.opts.Slot); err != nil {
		return 0, err
	}
	snap, err := s.db.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	for _, t := range s.tables {
		if err := copyTable(ctx, snap, t.FullName(), sink); err != nil {
			return 0, fmt.Errorf("snapshot table %s: %w", t.FullName(), err)
		}
	}
	return snap.LSN(), nil
}

func copyTable(ctx context.Context, snap Snapshot, table string, sink cdc.SnapshotSink) error {
	done := int64(0)
	return snap.Copy(ctx, table, snapshotRows, func(b *change.Batch) error {
		if b.Len() > 0 {
			if err := sink.Changes(ctx, b); err != nil {
				return err
			}
		}
		done += int64(b.Len())
		return sink.Chunk(ctx, load.Snapshot{Table: table, RowsDone: done})
	})
}

func (s *Source) forgetConfirmed() {
	s.confirm.Lock()
	defer s.confirm.Unlock()
	s.confirm.asked, s.confirm.written = 0, 0
}

// Confirm implements cdc.Source. It writes at most every ConfirmInterval: what is
// confirmed late is only held longer.
func (s *Source) Confirm(ctx context.Context, lsn schemas.LSN) error {
	c := &s.confirm
	c.Lock()
	defer c.Unlock()
	c.asked = max(c.asked, lsn)
	if now := s.opts.Clock.Now(); c.at.IsZero() || now.Sub(c.at) >= s.opts.ConfirmInterval {
		return s.write(ctx, now)
	}
	return nil
}

// write needs the confirm lock.
func (s *Source) write(ctx context.Context, now time.Time) error {
	c := &s.confirm
	if c.asked <= c.written {
		return nil
	}
	if err := s.db.ConfirmSlot(ctx, s.opts.Slot, c.asked); err != nil {
		return err
	}
	c.written, c.at = c.asked, now
	return nil
}

// Close writes the last confirmed position. The database stays open.
func (s *Source) Close() error {
	s.confirm.Lock()
	defer s.confirm.Unlock()
	err := s.write(context.Background(), s.opts.Clock.Now())
	var typed *schemas.Error
	if errors.As(err, &typed) && typed.Code == schemas.CodeNotReady {
		return nil // the database is closed: it will be confirmed again
	}
	return err
}
