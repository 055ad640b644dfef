package lsm

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/oltp/kv"
)

type counters struct {
	user, written, filtered      atomic.Int64
	flushes, compactions, stalls atomic.Int64
	stallNanos, dropped          atomic.Int64
}

// Stats implements kv.Engine.
func (e *Engine) Stats() kv.Stats {
	c := &e.stats
	st := kv.Stats{
		Engine:          "lsm",
		MemoryBytes:     e.cache.Bytes(),
		UserBytes:       c.user.Load(),
		WrittenBytes:    c.written.Load(),
		CacheHits:       e.cache.Hits(),
		CacheMisses:     e.cache.Misses(),
		FilterHits:      c.filtered.Load(),
		Flushes:         c.flushes.Load(),
		Compactions:     c.compactions.Load(),
		Stalls:          c.stalls.Load(),
		StallSeconds:    time.Duration(c.stallNanos.Load()).Seconds(),
		OldestHorizon:   e.horizon.Load(),
		DurableLSN:      e.durable.Load(),
		ObsoleteDropped: c.dropped.Load(),
	}
	if s := e.acquire(); s != nil {
		defer s.release()
		s.describe(&st)
	}
	return st
}

func (s *state) describe(st *kv.Stats) {
	st.MemoryBytes += s.mem.Bytes()
	for _, m := range s.imms {
		st.MemoryBytes += m.Bytes()
	}
	for level, tables := range s.levels {
		bytes := s.levels.bytes(level)
		st.DiskBytes += bytes
		for _, t := range tables {
			st.MemoryBytes += t.memory
		}
		st.Levels = append(st.Levels, kv.Level{Files: len(tables), Bytes: bytes})
	}
}
