package lsm

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/oltp/kv"
)

// Verify implements kv.Engine: it reads the manifest and every block of every
// table from disk, not from the cache (I8).
func (e *Engine) Verify(ctx context.Context) error {
	s := e.acquire()
	if s == nil {
		return errClosed
	}
	defer s.release()
	if err := e.verifyManifest(); err != nil {
		return typed("verify "+e.dir, err)
	}
	if err := s.levels.check(); err != nil {
		return typed("verify "+e.dir, err)
	}
	for level, tables := range s.levels {
		for _, t := range tables {
			if err := t.reader.Verify(ctx); err != nil {
				return typed(fmt.Sprintf("verify %s, level %d", e.dir, level), err)
			}
		}
	}
	return nil
}

func (e *Engine) verifyManifest() error {
	e.edits.Lock() // the levels on disk and in memory agree
	defer e.edits.Unlock()
	m, err := readManifest(e.opts.FS, e.dir)
	if err != nil {
		return err
	}
	onDisk := map[uint64]placed{}
	for _, t := range m.tables {
		onDisk[t.id] = t
	}
	n := 0
	for level, tables := range e.current.Load().levels {
		for _, t := range tables {
			n++
			if d, ok := onDisk[t.id]; !ok || d.level != level || !d.equal(t.tableInfo) {
				return fmt.Errorf("%w: the manifest does not name table %d of level %d", kv.ErrCorrupt, t.id, level)
			}
		}
	}
	if n != len(m.tables) {
		return fmt.Errorf("%w: the manifest names %d tables, %d are in use", kv.ErrCorrupt, len(m.tables), n)
	}
	return nil
}
