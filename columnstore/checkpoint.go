package columnstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/vfs"
)

// obsolete is a file that no checkpoint names any more, but a reader of a
// generation up to gen may still want.
type obsolete struct {
	name string
	gen  uint64
}

// capture is what a checkpoint will say, as of one version.
type capture struct {
	version uint64
	pinned  *state
	tables  map[string]*table.Capture
	data    map[string]manifest.Data
	edit    manifest.Checkpoint
}

// Flush writes everything published so far to segments and lets go of the load log
// before it.
func (s *Store) Flush(ctx context.Context) error {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	return s.checkpoint(ctx)
}

// checkpoint writes what is not in segments yet, then names in one manifest edit
// all that belongs together. maintenance is held.
func (s *Store) checkpoint(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	c := s.capture()
	defer s.unpin(c.pinned)
	return s.writeCheckpoint(c)
}

func (s *Store) writeCheckpoint(c *capture) error {
	began := s.opts.Clock.Now()
	if err := s.writeCapture(c); err != nil {
		return err
	}
	before, err := s.commitCapture(c)
	if err != nil {
		return err
	}
	s.write.Lock()
	for _, k := range c.tables {
		k.Settle()
	}
	s.write.Unlock()
	s.maintenance.last, s.maintenance.logAt, s.maintenance.version = s.opts.Clock.Now(), c.edit.LogEnd, c.version
	s.retireFiles(before)
	s.metrics.checkpointSeconds.Observe(s.opts.Clock.Now().Sub(began).Seconds())
	if err := s.log.TruncateBefore(c.edit.Replay); err != nil {
		return fmt.Errorf("truncate load log: %w", err)
	}
	return s.removeObsolete()
}

// capture notes one consistent state of tables and positions.
func (s *Store) capture() *capture {
	s.write.Lock()
	defer s.write.Unlock()
	s.ingest.Lock()
	defer s.ingest.Unlock()
	c := &capture{pinned: s.pin(), tables: map[string]*table.Capture{}, data: map[string]manifest.Data{}}
	c.version = c.pinned.version
	for name, t := range s.write.tables {
		// Rows of an aborted publication end at a version above the visible one.
		c.tables[name] = t.t.Capture(s.write.version)
		c.data[name] = manifest.Data{Ready: t.ready, RowsDone: t.rowsDone, RowsTotal: t.rowsTotal}
	}
	c.edit = manifest.Checkpoint{Replay: s.replayFrom(), LogEnd: s.ingest.settled, Positions: map[string]*manifest.Position{}, Tables: map[string]manifest.Data{}}
	for name, p := range s.ingest.pipes {
		c.edit.Positions[name] = p.Position()
	}
	return c
}

func (s *Store) fileName(suffix string) (uint64, string) {
	s.maintenance.next++
	return s.maintenance.next, fmt.Sprintf("%010d%s", s.maintenance.next, suffix)
}

func (s *Store) segmentName() (uint64, string) { return s.fileName(segmentSuffix) }

// writeCapture writes segments and deleted rows.
func (s *Store) writeCapture(c *capture) error {
	c.edit.Added = append([]*segment.Meta(nil), s.maintenance.added...)
	for _, k := range c.tables {
		for e := k.Unencoded(); e != nil; e = k.Unencoded() {
			s.encode(e)
		}
		metas, err := k.Write(s.pool, s.segmentName)
		if err != nil {
			return err
		}
		c.edit.Added = append(c.edit.Added, metas...)
	}
	known, metas := map[uint64]manifest.SegmentRef{}, map[uint64]*segment.Meta{}
	s.man.Read(func(m *manifest.State) {
		maps.Copy(metas, m.Segments)
		for _, t := range m.Tables {
			for _, ref := range t.Segments {
				known[ref.ID] = ref
			}
		}
	})
	for _, m := range c.edit.Added {
		metas[m.ID] = m
	}
	_, file := s.fileName(deletesSuffix)
	var out bytes.Buffer
	for name, k := range c.tables {
		refs, err := s.writeDeletes(file, &out, k.Segments(), known, metas)
		if err != nil {
			return err
		}
		d := c.data[name]
		d.Segments = refs
		c.edit.Tables[name] = d
	}
	if out.Len() > 0 {
		if err := vfs.WriteFile(s.opts.FS, filepath.Join(s.segmentDir(), file), out.Bytes()); err != nil {
			return vfs.Typed("write deleted rows", err)
		}
	}
	return nil
}

// encode narrows a chunk while scans and writers go on.
func (s *Store) encode(e *table.Encoding) {
	e.Run()
	s.write.Lock()
	defer s.write.Unlock()
	e.Install()
}

// commitCapture makes the checkpoint durable and returns the files that the one
// before it named.
func (s *Store) commitCapture(c *capture) (map[string]bool, error) {
	before := s.files()
	c.edit.NextSegment = s.maintenance.next
	used := map[uint64]bool{}
	for _, d := range c.edit.Tables {
		for _, ref := range d.Segments {
			used[ref.ID] = true
		}
	}
	kept := c.edit.Added[:0]
	for _, m := range c.edit.Added {
		if used[m.ID] {
			kept = append(kept, m)
		} else {
			before[m.File] = true // merged or truncated away before anything named it
		}
	}
	c.edit.Added = kept
	if err := s.man.Commit(&manifest.Edit{Checkpoint: &c.edit}); err != nil {
		return nil, err
	}
	s.maintenance.added = nil
	s.ingest.Lock()
	defer s.ingest.Unlock()
	for name, p := range s.ingest.pipes {
		if pos := c.edit.Positions[name]; pos != nil {
			p.Saved(pos)
		}
	}
	return before, nil
}

// files lists the files that the manifest names.
func (s *Store) files() map[string]bool {
	out := map[string]bool{}
	s.man.Read(func(m *manifest.State) { namedFiles(m, out) })
	return out
}

func namedFiles(m *manifest.State, out map[string]bool) {
	for _, meta := range m.Segments {
		out[meta.File] = true
	}
	for _, t := range m.Tables {
		for _, ref := range t.Segments {
			if ref.Deletes != nil {
				out[ref.Deletes.File] = true
			}
		}
	}
}

// retireFiles marks the files that were named before and are not any more.
func (s *Store) retireFiles(before map[string]bool) {
	now := s.files()
	gen := s.visible.Load().gen
	for name := range before {
		if !now[name] {
			s.maintenance.obsolete = append(s.maintenance.obsolete, obsolete{name: name, gen: gen})
		}
	}
}

// removeObsolete deletes files that no reader can want.
func (s *Store) removeObsolete() error {
	var keep []obsolete
	var errs []error
	for _, o := range s.maintenance.obsolete {
		if s.pinnedUpTo(o.gen) {
			keep = append(keep, o)
			continue
		}
		if err := s.pool.Remove(o.name); err != nil {
			errs = append(errs, err)
		}
	}
	s.maintenance.obsolete = keep
	return vfs.Typed("remove files", errors.Join(errs...))
}

// pinnedUpTo says whether somebody reads a state of a generation up to gen.
func (s *Store) pinnedUpTo(gen uint64) bool {
	s.pins.Lock()
	defer s.pins.Unlock()
	for p := range s.pins.m {
		if p.gen <= gen {
			return true
		}
	}
	return false
}

// ExportedSegment is a file of a table with the rows of it that do not exist.
type ExportedSegment struct {
	Table string
	// Path is the Parquet file.
	Path string
	// Deleted are the numbers of its deleted rows, from 0 in file order (DuckDB's
	// file_row_number), ascending.
	Deleted []uint32
}

// Export makes a checkpoint and lists, for every table, the files that hold it and
// the rows in them that are deleted: whoever reads the files and leaves out those
// rows has exactly the rows of the version returned. The files stay as long as
// the snapshot is open.
func (s *Store) Export(ctx context.Context) ([]ExportedSegment, *Snapshot, error) {
	s.maintenance.Lock()
	defer s.maintenance.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, context.Cause(ctx)
	}
	c := s.capture()
	snap := &Snapshot{store: s, state: c.pinned, now: s.opts.Clock.Now()}
	if err := s.writeCheckpoint(c); err != nil {
		snap.Close()
		return nil, nil, err
	}
	out, err := s.exported()
	if err != nil {
		snap.Close()
		return nil, nil, err
	}
	return out, snap, nil
}

func (s *Store) exported() ([]ExportedSegment, error) {
	var out []ExportedSegment
	var deletes []*manifest.Range
	s.man.Read(func(m *manifest.State) {
		for name, t := range m.Tables {
			for _, ref := range t.Segments {
				out = append(out, ExportedSegment{Table: name, Path: filepath.Join(s.segmentDir(), m.Segments[ref.ID].File)})
				deletes = append(deletes, ref.Deletes)
			}
		}
	})
	for i, r := range deletes {
		if r == nil {
			continue
		}
		set, err := s.loadDeletes(r)
		if err != nil {
			return nil, err
		}
		out[i].Deleted = set.ToArray()
	}
	return out, nil
}
