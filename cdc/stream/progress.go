package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// ledger writes progress records, in order, each after everything it needs is
// acknowledged (I2, I3). Points that come while one is written become one record.
type ledger struct {
	sender *sender
	part   *partition
	all    []*partition

	kick chan struct{}
	mu   struct {
		sync.Mutex
		marks []mark
		needs map[*partition]uint64 // changed since the last record
	}

	// Only the writing goroutine's.
	to       schemas.LSN // of the last record
	wrote    time.Time
	full     time.Time
	reported map[*partition]uint64
}

func newLedger(s *sender, pipeline string, all []*partition, from schemas.LSN) *ledger {
	l := &ledger{sender: s, all: all, kick: make(chan struct{}, 1), to: from, reported: map[*partition]uint64{},
		part: &partition{id: load.Partition{Topic: ProgressTopic(pipeline)}}}
	l.mu.needs = map[*partition]uint64{}
	return l
}

// add takes points whose data is acknowledged, and how far each of the partitions
// that changed has come.
func (l *ledger) add(marks []mark, parts []*partition) {
	l.mu.Lock()
	for _, p := range parts {
		l.mu.needs[p] = p.log.next
	}
	for _, m := range marks {
		l.mu.marks = addMark(l.mu.marks, m)
	}
	l.mu.Unlock()
	if len(marks) > 0 {
		signal(l.kick)
	}
}

// begin opens the epoch: its first record names where each partition's begins.
func (l *ledger) begin(ctx context.Context, b load.Begin) error {
	return l.write(ctx, KindBegin, b)
}

// run writes records until ctx ends.
func (l *ledger) run(ctx context.Context) error {
	for {
		select {
		case <-l.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
		marks, needs := l.mu.marks, l.mu.needs
		l.mu.marks, l.mu.needs = nil, map[*partition]uint64{}
		l.mu.Unlock()
		for p, n := range needs {
			l.reported[p] = n
		}
		for i, m := range marks {
			m.to = max(m.to, l.to) // a source that resumes may speak of what is known
			if l.idle(m, i == len(marks)-1) {
				l.keep(needs)
				continue
			}
			if err := l.record(ctx, m, needs); err != nil {
				return err
			}
			clear(needs)
		}
	}
}

// idle says whether a point says nothing new and soon enough another will.
func (l *ledger) idle(m mark, last bool) bool {
	return last && m.snapshot == nil && m.to == l.to && len(m.barriers) == 0 && l.sender.o.Clock.Now().Sub(l.wrote) < cdc.HeartbeatInterval/2
}

// keep gives back the needs of a point that was not written.
func (l *ledger) keep(needs map[*partition]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, n := range needs {
		if l.mu.needs[p] < n {
			l.mu.needs[p] = n
		}
	}
}

// record writes one progress record.
func (l *ledger) record(ctx context.Context, m mark, needs map[*partition]uint64) error {
	now := l.sender.o.Clock.Now()
	p := load.Progress{Epoch: l.sender.epoch, From: l.to, To: m.to, CommitTime: m.commitTime, Barriers: m.barriers, Snapshot: m.snapshot}
	if m.snapshot != nil {
		p.To = l.to
	}
	if now.Sub(l.full) >= l.sender.o.FullEvery {
		p.Full, needs, l.full = true, l.reported, now
		for _, q := range l.all {
			if _, ok := l.reported[q]; !ok {
				l.reported[q] = 1 // its marker
			}
		}
	}
	for q, n := range needs {
		p.Needs = append(p.Needs, load.Need{Partition: q.id, Sequence: n})
	}
	slices.SortFunc(p.Needs, func(a, b load.Need) int {
		if a.Partition.Topic != b.Partition.Topic {
			if a.Partition.Topic < b.Partition.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition.Index - b.Partition.Index)
	})
	if err := l.write(ctx, KindProgress, p); err != nil {
		return err
	}
	l.to, l.wrote = p.To, l.sender.o.Clock.Now()
	l.sender.metrics.lsn.Set(float64(p.To))
	l.sender.metrics.sent.Store(uint64(p.To))
	l.sender.metrics.interval.Observe(l.wrote.Sub(m.at).Seconds())
	return nil
}

// write sends one record of the progress topic and waits for its acknowledgement.
func (l *ledger) write(ctx context.Context, kind Kind, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %v record: %w", kind, err)
	}
	records, err := l.sender.message(l.part, kind, 0, func(dst []byte) []byte { return append(dst, text...) })
	if err != nil {
		return err
	}
	return l.sender.send(ctx, []*outbox{{part: l.part, records: records}})
}
