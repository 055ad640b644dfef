package columnstore

import (
	"context"
	"time"

	"github.com/millrace/millrace/columnstore/table"
)

// maintainEvery is how often conditions are looked at without a signal.
const maintainEvery = time.Second

func (s *Store) maintainLoop() {
	defer s.workers.Done()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wakeMaintain:
		case <-s.opts.Clock.After(maintainEvery):
		}
		if err := s.maintain(); err != nil && s.ctx.Err() == nil {
			s.opts.Logger.Error("maintenance failed; trying again", "error", err)
			s.metrics.maintainErrors.Inc()
			select { // a full disk is not asked again and again
			case <-s.ctx.Done():
			case <-s.opts.Clock.After(maintainEvery):
			}
		}
	}
}

// maintain does what is due: narrow full chunks, fold deletes, write a checkpoint,
// merge segments.
func (s *Store) maintain() error {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	s.encodeSealed()
	s.fold()
	if s.due() {
		if err := s.checkpoint(s.ctx); err != nil {
			return err
		}
	}
	for s.ctx.Err() == nil {
		did, err := s.compactOne(s.ctx, false)
		if err != nil {
			return err
		}
		if !did {
			break
		}
		if s.due() {
			if err := s.checkpoint(s.ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) encodeSealed() {
	for s.ctx.Err() == nil {
		e := s.unencoded()
		if e == nil {
			return
		}
		s.encode(e)
	}
}

func (s *Store) unencoded() *table.Encoding {
	s.write.Lock()
	defer s.write.Unlock()
	for _, t := range s.write.tables {
		if e := t.t.Unencoded(); e != nil {
			return e
		}
	}
	return nil
}

func (s *Store) fold() {
	s.write.Lock()
	defer s.write.Unlock()
	oldest, _ := s.oldest()
	for _, t := range s.write.tables {
		t.t.Fold(oldest)
	}
}

// due says whether a checkpoint is worth its cost.
func (s *Store) due() bool {
	if s.visible.Load().version == s.maintenance.version {
		return false
	}
	return s.unflushed() >= s.opts.FlushBytes ||
		int64(s.log.DurableLSN()-s.maintenance.logAt) >= s.opts.LogBytes ||
		s.opts.Clock.Now().Sub(s.maintenance.last) >= s.opts.FlushInterval
}

// unflushed is the bytes of rows that are in no segment.
func (s *Store) unflushed() int64 {
	s.write.Lock()
	defer s.write.Unlock()
	n := s.cache.Pinned()
	for _, t := range s.write.tables {
		n += t.t.OpenBytes()
	}
	return n
}

// Compact makes a checkpoint and merges the segments of every table until each has
// as few as MaxRows allows, without deleted rows, then makes another checkpoint.
func (s *Store) Compact(ctx context.Context) error {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	if err := s.checkpoint(ctx); err != nil {
		return err
	}
	if _, err := s.compactAll(ctx); err != nil {
		return err
	}
	return s.checkpoint(ctx)
}

func (s *Store) compactAll(ctx context.Context) (int, error) {
	n := 0
	for name := range s.tableNames() {
		did, err := s.compactTable(ctx, name, true)
		if err != nil {
			return n, err
		}
		if did {
			n++
		}
	}
	return n, nil
}

func (s *Store) tableNames() map[string]bool {
	s.write.Lock()
	defer s.write.Unlock()
	out := map[string]bool{}
	for name := range s.write.tables {
		out[name] = true
	}
	return out
}

// compactOne merges segments of one table that needs it, and says whether there was one.
func (s *Store) compactOne(ctx context.Context, force bool) (bool, error) {
	for name := range s.tableNames() {
		if did, err := s.compactTable(ctx, name, force); did || err != nil {
			return did, err
		}
	}
	return false, nil
}

// compactTable starts from a version V, writes the merged segment beside everything
// else, then replays the deletes that came since and swaps, in one step. The
// index follows chunk by chunk, so that nothing pauses. maintenance is held.
func (s *Store) compactTable(ctx context.Context, name string, force bool) (bool, error) {
	m, pinned, t := s.pickCompaction(name, force)
	if m == nil {
		return false, nil
	}
	defer s.unpin(pinned)
	began := s.opts.Clock.Now()
	meta, err := m.Run(ctx, s.pool, s.segmentName)
	if err != nil {
		return false, err
	}
	if meta != nil {
		s.maintenance.added = append(s.maintenance.added, meta)
	}
	if !s.installCompaction(name, t, m) {
		return false, nil
	}
	for more := true; more; {
		s.write.Lock()
		more = m.Reindex()
		s.write.Unlock()
	}
	s.metrics.compactions.Inc()
	s.opts.Logger.Debug("segments merged", "table", name, "took", s.opts.Clock.Now().Sub(began))
	return true, nil
}

func (s *Store) pickCompaction(name string, force bool) (*table.Compaction, *state, *tab) {
	s.write.Lock()
	defer s.write.Unlock()
	t := s.write.tables[name]
	pinned := s.pin()
	m := t.t.Pick(s.write.version, s.opts.Compaction, force)
	if m == nil {
		s.unpin(pinned)
		return nil, nil, nil
	}
	return m, pinned, t
}

// installCompaction swaps the merged chunks in; false when the table was truncated
// on the way and the merge is void.
func (s *Store) installCompaction(name string, t *tab, m *table.Compaction) bool {
	s.write.Lock()
	defer s.write.Unlock()
	if err := m.Install(); err != nil {
		s.opts.Logger.Info("merge given up", "table", name, "reason", err)
		return false
	}
	s.swap(s.visible.Load().version, map[string]*tab{name: t}, nil)
	return true
}
