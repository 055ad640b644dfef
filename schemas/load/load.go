// Package load is the vocabulary of the load protocol: what capture, workers and
// warehouse say to one another so that every change arrives exactly once and
// becomes visible together with its transaction. docs/ARCHITECTURE.md tells the
// whole story; the types here only carry it.
//
// Words. A run of capture owns an epoch, a counter that the warehouse grants.
// Every message of a partition carries the epoch and a gapless sequence from 0.
// A progress record closes an interval (From, To] of the source's log and says
// up to which sequence each partition must be loaded before To may be visible.
package load

import (
	"context"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// Partition names one ordered stream of messages.
type Partition struct {
	Topic string `json:"topic"`
	Index int32  `json:"index"`
}

// Run is what capture declares when it asks for an epoch. Changing any of it needs
// a new epoch.
type Run struct {
	Pipeline    string           `json:"pipeline"`
	Source      string           `json:"source"`
	Incarnation string           `json:"incarnation"`
	Tables      []*schemas.Table `json:"tables"`     // as captured
	Partitions  map[string]int32 `json:"partitions"` // topic → count; the progress topic included
	Progress    string           `json:"progress"`   // the progress topic
	// Snapshot says that the run begins with a snapshot of all tables: what an
	// unfinished earlier snapshot loaded is dropped.
	Snapshot bool `json:"snapshot"`
}

// Grant answers a Run.
type Grant struct {
	Epoch uint64 `json:"epoch"`
	// W is the durable boundary at the moment of the grant: the run must start
	// streaming at or before it. Zero when the source was never loaded.
	W schemas.LSN `json:"w"`
	// History names this warehouse's history of versions.
	History string `json:"history"`
}

// Begin opens an epoch in the progress topic.
type Begin struct {
	Epoch uint64      `json:"epoch"`
	From  schemas.LSN `json:"from"` // F: the run holds every change after it
	// Markers are the offsets of the run's first message in each partition.
	Markers []Marker `json:"markers"`
}

// Marker is the place where an epoch starts in a partition.
type Marker struct {
	Partition Partition `json:"partition"`
	Offset    int64     `json:"offset"`
}

// Need says that a partition must be loaded up to, not including, Sequence.
type Need struct {
	Partition Partition `json:"partition"`
	Sequence  uint64    `json:"sequence"`
}

// Progress closes the interval (From, To]. Needs are cumulative for the
// partitions named; partitions not named keep their last need. Full says that
// every partition is named.
type Progress struct {
	Epoch uint64      `json:"epoch"`
	From  schemas.LSN `json:"from"`
	To    schemas.LSN `json:"to"`
	// CommitTime is when the newest commit at or before To was acknowledged (or
	// when the heartbeat was taken), µs since 1970 UTC.
	CommitTime int64     `json:"commit_time"`
	Needs      []Need    `json:"needs"`
	Full       bool      `json:"full,omitempty"`
	Barriers   []Barrier `json:"barriers,omitempty"`
	// Snapshot marks a chunk of the initial snapshot: its rows are merged once
	// its needs are loaded and W equals From (To equals From), but W stays. The
	// last chunk is an ordinary record whose To is the snapshot's point.
	Snapshot *Snapshot `json:"snapshot,omitempty"`
}

// Barrier is something that happens to a whole table at a position.
type Barrier struct {
	LSN     schemas.LSN `json:"lsn"`
	Ordinal uint32      `json:"ordinal"`
	Table   string      `json:"table"` // the source's full name
	Kind    string      `json:"kind"`  // BarrierTruncate
}

// BarrierTruncate removes every row that was written before it.
const BarrierTruncate = "truncate"

// Snapshot tells how far the initial snapshot is.
type Snapshot struct {
	Table     string `json:"table"`
	RowsDone  int64  `json:"rows_done"`
	RowsTotal int64  `json:"rows_total"` // an estimate; 0 when unknown
}

// Lease is a worker's right to load one partition. Taking it bumps Token and reads
// the place to resume in one durable step.
type Lease struct {
	Pipeline  string    `json:"pipeline"`
	Source    string    `json:"source"`
	Partition Partition `json:"partition"`
	Worker    string    `json:"worker"`
	Token     uint64    `json:"token"`
	Epoch     uint64    `json:"epoch"`
	// NextSequence is the first sequence of Epoch not yet loaded, to be found at
	// or after Offset.
	NextSequence uint64 `json:"next_sequence"`
	Offset       int64  `json:"offset"`
	// Run describes the epoch's stream.
	Run Run `json:"run"`
}

// Output declares a table that a pipeline writes.
type Output struct {
	Table *schemas.Table `json:"table"` // column ids are stable across pipeline versions
	// Source is the full name of the table it is made from: barriers and snapshot
	// states of that table apply to it.
	Source string `json:"source"`
}

// Pipeline registers a version of a pipeline.
type Pipeline struct {
	Name    string   `json:"name"`
	Version string   `json:"version"` // hash of all that decides its output
	Source  string   `json:"source"`
	Outputs []Output `json:"outputs"`
}

// Load carries the transformed messages [From, To) of a leased partition. It may
// hold no rows: the sequence still advances. Data, sequences, offset and progress
// become durable together.
type Load struct {
	Lease   Lease  `json:"lease"` // identity and token; the rest is not read
	Epoch   uint64 `json:"epoch"`
	Version string `json:"version"` // of the pipeline
	From    uint64 `json:"from"`
	To      uint64 `json:"to"`
	// NextOffset is the broker's offset after the last message.
	NextOffset int64 `json:"next_offset"`
	// Batches hold output tables' changes, in sequence order.
	Batches []*change.Batch `json:"-"`
	// Begin and Progress come on the progress partition only, in stream order.
	Begin    *Begin     `json:"begin,omitempty"`
	Progress []Progress `json:"progress,omitempty"`
}

// Reply answers a Load once it is durable.
type Reply struct {
	DurableW schemas.LSN `json:"durable_w"`
	VisibleW schemas.LSN `json:"visible_w"`
	// Credit is how many more bytes of batches may be in flight.
	Credit int64 `json:"credit"`
}

// State tells a pipeline's progress.
type State struct {
	Source      string      `json:"source"`
	Incarnation string      `json:"incarnation"`
	Epoch       uint64      `json:"epoch"`
	DurableW    schemas.LSN `json:"durable_w"`
	VisibleW    schemas.LSN `json:"visible_w"`
	// Replay is set when an epoch cannot continue (a gap, a lost offset): capture
	// starts a new run.
	Replay string `json:"replay,omitempty"`
	Leases []Lease
}

// Warehouse is the load protocol's server, in process or over HTTP. Errors of
// code fenced mean that a newer epoch, lease or pipeline version owns the stream.
type Warehouse interface {
	// Register declares a pipeline version. The newest registered version is the
	// only one that may load.
	Register(ctx context.Context, p Pipeline) error
	// Grant gives a run its epoch, durably.
	Grant(ctx context.Context, run Run) (Grant, error)
	// Acquire leases up to max partitions of the pipeline's current epoch that
	// nobody holds (or whose lease expired), and renews those the worker holds:
	// the answer lists all of the worker's leases. It also balances: a worker
	// over its share is given fewer.
	Acquire(ctx context.Context, pipeline, worker string, max int) ([]Lease, error)
	// Release gives leases back.
	Release(ctx context.Context, leases []Lease) error
	// Load makes a load durable.
	Load(ctx context.Context, l *Load) (Reply, error)
	// Lost reports that a partition's stream of an epoch cannot be continued: the
	// pipeline asks its capture for a new run.
	Lost(ctx context.Context, l Lease, reason string) error
	// State reads a source's progress, after waiting until DurableW exceeds after
	// or Replay is set or ctx ends (the state is returned in every case).
	State(ctx context.Context, pipeline string, after schemas.LSN) (State, error)
}
