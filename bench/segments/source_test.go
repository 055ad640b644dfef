// Package segments tests that another engine reads the warehouse's Parquet files:
// DuckDB, with the exported deletion bitmaps applied, finds every value that the
// warehouse's own query finds.
package segments

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

const progressTopic = "progress"

// source is a pipeline that loads committed changes, one partition a table.
type source struct {
	t       *testing.T
	dir     string
	store   *columnstore.Store
	version string
	leases  map[string]load.Lease // by topic
	next    map[string]uint64     // sequence, by topic
	lsn     schemas.LSN
	at      schemas.LSN // of the last progress record
	ordinal uint32
}

func newSource(t *testing.T, tables ...*schemas.Table) *source {
	s := &source{t: t, dir: t.TempDir(), next: map[string]uint64{}, lsn: 100}
	s.open()
	t.Cleanup(func() { s.check(s.store.Close()) })
	s.begin("1", false, tables...)
	return s
}

// begin registers a version of the pipeline and starts a run of it; one with a
// snapshot loads everything anew.
func (s *source) begin(version string, snapshot bool, tables ...*schemas.Table) {
	s.t.Helper()
	s.register(version, tables...)
	run := load.Run{Pipeline: "pipe", Source: "src", Incarnation: "one", Snapshot: snapshot, Tables: tables,
		Progress: progressTopic, Partitions: map[string]int32{progressTopic: 1}}
	for _, tab := range tables {
		run.Partitions[topic(tab)] = 1
	}
	g, err := s.store.Grant(context.Background(), run)
	s.check(err)
	s.next = map[string]uint64{}
	s.acquire()
	s.load(progressTopic, &load.Load{Begin: &load.Begin{Epoch: g.Epoch, From: g.W}})
	s.acquire()
}

func topic(t *schemas.Table) string { return "t." + t.Name }

func (s *source) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// open opens the store without background work, so that files change only when asked.
func (s *source) open() {
	s.t.Helper()
	var err error
	s.store, err = columnstore.Open(columnstore.Options{Dir: s.dir, Manual: true, MemoryBudget: 512 << 20})
	s.check(err)
}

func (s *source) reopen() {
	s.t.Helper()
	s.check(s.store.Close())
	s.open()
	s.acquire()
}

func (s *source) register(version string, tables ...*schemas.Table) {
	s.t.Helper()
	p := load.Pipeline{Name: "pipe", Version: version, Source: "src"}
	for _, tab := range tables {
		p.Outputs = append(p.Outputs, load.Output{Table: tab, Source: tab.FullName()})
	}
	s.check(s.store.Register(context.Background(), p))
	s.version = version
}

func (s *source) acquire() {
	s.t.Helper()
	leases, err := s.store.Acquire(context.Background(), "pipe", "worker", 100)
	s.check(err)
	s.leases = map[string]load.Lease{}
	for _, l := range leases {
		s.leases[l.Partition.Topic] = l
	}
}

// load sends one message of a partition.
func (s *source) load(topic string, l *load.Load) {
	s.t.Helper()
	lease, ok := s.leases[topic]
	if !ok {
		s.t.Fatalf("no lease of %s", topic)
	}
	l.Lease, l.Epoch, l.Version = lease, lease.Epoch, s.version
	l.From, l.To = s.next[topic], s.next[topic]+1
	l.NextOffset = int64(l.To)
	_, err := s.store.Load(context.Background(), l)
	s.check(err)
	s.next[topic]++
}

// add appends a change at the position of the next commit.
func (s *source) add(b *change.Batch, op change.Op, row schemas.Row) {
	b.Append(op, s.lsn, s.ordinal, row, nil)
	s.ordinal++
}

// commit loads the batches as one transaction and waits until it is visible.
func (s *source) commit(batches ...*change.Batch) {
	s.t.Helper()
	p := load.Progress{Epoch: s.leases[progressTopic].Epoch, From: s.at, To: s.lsn, CommitTime: int64(s.lsn)}
	for _, b := range batches {
		name := topic(b.Table)
		s.load(name, &load.Load{Batches: []*change.Batch{b}})
		p.Needs = append(p.Needs, load.Need{Partition: load.Partition{Topic: name}, Sequence: s.next[name]})
	}
	s.load(progressTopic, &load.Load{Progress: []load.Progress{p}})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	snap, err := s.store.Snapshot(ctx, columnstore.At{MinLSN: s.lsn})
	s.check(err)
	snap.Close()
	s.at = s.lsn
	s.lsn, s.ordinal = s.lsn+10, 0
}
