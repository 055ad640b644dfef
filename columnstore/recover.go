package columnstore

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/loadlog"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/wal"
)

// recover brings back what was durable: tables from segments, pipelines from the
// manifest, then every load of the log since the checkpoint, and publishes all
// that is ready, which is at least what was visible before.
func (s *Store) recover() error {
	m := s.man.State()
	s.history = m.History
	s.pool = &segment.Pool{FS: s.opts.FS, Dir: s.segmentDir()}
	s.write.tables, s.write.txns = map[string]*tab{}, map[string]*table.Txn{}
	s.ingest.pipes = map[string]*ingest.Pipe{}
	s.write.version, s.write.ceiling = m.Ceiling, m.Ceiling
	s.maintenance.next, s.maintenance.last = m.NextSegment, s.opts.Clock.Now()
	s.visible.Store(&state{version: m.Ceiling, tables: map[string]visibleTable{}, sources: map[string]SourceState{}})
	if err := s.restoreTables(m); err != nil {
		return err
	}
	s.restorePipes(m)
	if err := s.removeOrphans(m); err != nil {
		return err
	}
	if err := s.openLog(m); err != nil {
		return err
	}
	if err := s.publishAll(); err != nil {
		return fmt.Errorf("publish what was loaded: %w", err)
	}
	return nil
}

func (s *Store) restoreTables(m *manifest.State) error {
	touched := map[string]*tab{}
	for name, mt := range m.Tables {
		t := &tab{t: table.New(mt.Schema, s.cache), def: mt.Def, ready: mt.Ready, rowsDone: mt.RowsDone, rowsTotal: mt.RowsTotal}
		var segs []table.Restored
		for _, ref := range mt.Segments {
			meta := m.Segments[ref.ID]
			if meta == nil {
				return corruptManifest("table %s names segment %d, which is not there", name, ref.ID)
			}
			del, err := s.readDeletes(ref, meta)
			if err != nil {
				return err
			}
			segs = append(segs, table.Restored{File: s.pool.Open(meta), Deleted: del})
		}
		if err := t.t.Restore(segs); err != nil {
			return err
		}
		s.write.tables[name], touched[name] = t, t
	}
	s.swap(m.Ceiling, touched, nil)
	return nil
}

func (s *Store) restorePipes(m *manifest.State) {
	for name, c := range m.Pipelines {
		p := ingest.NewPipe(c, m.Positions[name])
		p.KeepLeases(s.opts.Clock.Now().Add(s.opts.LeaseTTL))
		s.ingest.pipes[name] = p
		s.swap(m.Ceiling, nil, &SourceState{Pipeline: name, Source: c.Source, Incarnation: p.Incarnation(), W: p.W, CommitTime: p.CommitTime})
	}
}

// removeOrphans deletes files that no checkpoint names.
func (s *Store) removeOrphans(m *manifest.State) error {
	used := map[string]bool{}
	namedFiles(m, used)
	names, err := s.opts.FS.List(s.segmentDir())
	if err != nil {
		return err
	}
	for _, name := range names {
		if used[name] || !strings.HasSuffix(name, segmentSuffix) && !strings.HasSuffix(name, deletesSuffix) {
			continue
		}
		if err := s.opts.FS.Remove(filepath.Join(s.segmentDir(), name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) openLog(m *manifest.State) (err error) {
	s.log, err = wal.Open(filepath.Join(s.opts.Dir, "loadlog"), wal.Options{
		FS: s.opts.FS, Clock: s.opts.Clock, Logger: s.opts.Logger, SegmentBytes: s.opts.LogSegmentBytes, AtLeast: m.LogEnd,
		OnSync: func(i wal.SyncInfo) { s.metrics.fsyncSeconds.Observe(i.Sync.Seconds()) }})
	if err != nil {
		return err
	}
	s.maintenance.logAt = s.log.DurableLSN()
	if s.log.Recovery().Renewed || m.Replay < s.log.OldestLSN() {
		return s.lostLog()
	}
	return s.replay(m)
}

// lostLog goes on without a load log that lost acknowledged loads: what was staged
// is gone, so every source replays from W in a new epoch.
func (s *Store) lostLog() error {
	s.opts.Logger.Error("the load log lost acknowledged loads; sources must replay", "log starts again at", s.log.DurableLSN())
	s.ingest.settled = s.log.DurableLSN()
	for _, p := range s.ingest.pipes {
		if p.Epoch() == 0 {
			continue
		}
		if err := s.change(p, p.Abandoned("the load log lost loads that were acknowledged")); err != nil {
			return err
		}
	}
	return s.man.Commit(&manifest.Edit{LogLost: s.ingest.settled})
}

func (s *Store) replay(m *manifest.State) error {
	s.ingest.settled = m.Replay
	r, err := s.log.NewReader(m.Replay)
	if err != nil {
		return corruptManifest("the load log cannot be read from position %s: %v", m.Replay, err)
	}
	defer r.Close()
	loads := 0
	for {
		raw, ok, err := r.TryNext()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		rec, err := loadlog.Decode(slices.Clone(raw.Payload))
		if err != nil {
			return err
		}
		p := s.ingest.pipes[rec.Pipeline]
		if p == nil {
			return corruptManifest("the load log names pipeline %s, which is not registered", rec.Pipeline)
		}
		s.stage(p, rec, raw.Start)
		s.ingest.settled = raw.End
		loads++
	}
	for _, p := range s.ingest.pipes {
		p.Advance()
	}
	if loads > 0 {
		s.opts.Logger.Info("load log replayed", "loads", loads)
	}
	return nil
}
