package demo

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/schemas"
)

// freshness times the way from the acknowledgement of a commit to its first
// visibility in the warehouse, for every commit of the workload.
type freshness struct {
	latency *latency.Recorder
	mu      struct {
		sync.Mutex
		waiting []commitMark // about in LSN order: concurrent commits may swap
		visible schemas.LSN
	}
}

type commitMark struct {
	lsn   schemas.LSN
	acked time.Time
}

// acked notes a commit.
func (f *freshness) acked(lsn schemas.LSN, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lsn <= f.mu.visible { // visible before its client heard of it
		f.latency.Record(0)
		return
	}
	f.mu.waiting = append(f.mu.waiting, commitMark{lsn, at})
}

// reached notes that everything at or before w is visible since at.
func (f *freshness) reached(w schemas.LSN, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w <= f.mu.visible {
		return
	}
	f.mu.visible = w
	kept := f.mu.waiting[:0]
	for _, m := range f.mu.waiting {
		if m.lsn <= w {
			f.latency.Record(at.Sub(m.acked))
		} else {
			kept = append(kept, m)
		}
	}
	f.mu.waiting = kept
}
