// Package loader loads change batches into a warehouse by its load protocol, as a
// pipeline's one worker would: a partition a table, each call of Commit a commit.
package loader

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

const (
	pipeline = "pipe"
	progress = "progress"
)

// Loader feeds one store. Not safe for concurrent use.
type Loader struct {
	// LSN is the position of the next commit.
	LSN schemas.LSN

	store   *columnstore.Store
	version string
	leases  map[string]load.Lease // by topic
	next    map[string]uint64     // sequence, by topic
	at      schemas.LSN           // of the last progress record
}

// New makes a loader; Begin comes next.
func New(s *columnstore.Store) *Loader { return &Loader{LSN: 100, store: s} }

func topic(t *schemas.Table) string { return "t." + t.Name }

// Begin registers a version of the pipeline and starts a run of it; one with a
// snapshot loads everything anew.
func (l *Loader) Begin(ctx context.Context, version string, snapshot bool, tables ...*schemas.Table) error {
	p := load.Pipeline{Name: pipeline, Version: version, Source: "src"}
	run := load.Run{Pipeline: pipeline, Source: "src", Incarnation: "one", Snapshot: snapshot, Tables: tables,
		Progress: progress, Partitions: map[string]int32{progress: 1}}
	for _, t := range tables {
		p.Outputs = append(p.Outputs, load.Output{Table: t, Source: t.FullName()})
		run.Partitions[topic(t)] = 1
	}
	if err := l.store.Register(ctx, p); err != nil {
		return err
	}
	g, err := l.store.Grant(ctx, run)
	if err != nil {
		return err
	}
	l.version, l.next = version, map[string]uint64{}
	if err := l.Acquire(ctx); err != nil {
		return err
	}
	if err := l.send(ctx, progress, &load.Load{Begin: &load.Begin{Epoch: g.Epoch, From: g.W}}); err != nil {
		return err
	}
	return l.Acquire(ctx)
}

// Reopened goes on with a store that was opened again.
func (l *Loader) Reopened(ctx context.Context, s *columnstore.Store) error {
	l.store = s
	return l.Acquire(ctx)
}

// Acquire takes or renews the leases of all partitions.
func (l *Loader) Acquire(ctx context.Context) error {
	leases, err := l.store.Acquire(ctx, pipeline, "worker", 100)
	l.leases = map[string]load.Lease{}
	for _, x := range leases {
		l.leases[x.Partition.Topic] = x
	}
	return err
}

// send loads one message of a partition.
func (l *Loader) send(ctx context.Context, topic string, m *load.Load) error {
	lease, ok := l.leases[topic]
	if !ok {
		return fmt.Errorf("no lease of %s", topic)
	}
	m.Lease, m.Epoch, m.Version = lease, lease.Epoch, l.version
	m.From, m.To = l.next[topic], l.next[topic]+1
	m.NextOffset = int64(m.To)
	_, err := l.store.Load(ctx, m)
	l.next[topic]++
	return err
}

// Commit loads batches, whose rows are at LSN, as one transaction and waits until it
// is visible. A table may come in several batches.
func (l *Loader) Commit(ctx context.Context, batches ...*change.Batch) error {
	p := load.Progress{Epoch: l.leases[progress].Epoch, From: l.at, To: l.LSN, CommitTime: int64(l.LSN)}
	for _, b := range batches {
		name := topic(b.Table)
		if err := l.send(ctx, name, &load.Load{Batches: []*change.Batch{b}}); err != nil {
			return err
		}
		p.Needs = append(p.Needs, load.Need{Partition: load.Partition{Topic: name}, Sequence: l.next[name]})
	}
	if err := l.send(ctx, progress, &load.Load{Progress: []load.Progress{p}}); err != nil {
		return err
	}
	snap, err := l.store.Snapshot(ctx, columnstore.At{MinLSN: l.LSN})
	if err != nil {
		return err
	}
	snap.Close()
	l.at = l.LSN
	l.LSN += 10
	return nil
}
