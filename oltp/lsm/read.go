package lsm

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/sstable"
)

var scratches = sync.Pool{New: func() any { return new(sstable.Scratch) }}

// Get implements kv.Engine.
func (e *Engine) Get(dst, key []byte, lsn uint64) ([]byte, error) {
	if h := e.horizon.Load(); lsn < h {
		return dst, snapshotGone(lsn, h)
	}
	s := e.acquire()
	if s == nil {
		return dst, errClosed
	}
	defer s.release()
	value, live, err := e.find(s, key, lsn)
	switch {
	case err != nil:
		return dst, typed("get from "+e.dir, err)
	case !live:
		return dst, kv.ErrNotFound
	}
	return append(dst, value...), nil
}

func snapshotGone(lsn, horizon uint64) error {
	return fmt.Errorf("read at %d, the oldest readable is %d: %w", lsn, horizon, kv.ErrSnapshotGone)
}

// find looks from the newest to the oldest: the first version found is the
// newest one visible, because newer versions are always above older ones.
func (e *Engine) find(s *state, key []byte, lsn uint64) (value []byte, live bool, err error) {
	if value, live, found := s.mem.Get(key, lsn); found {
		return value, live, nil
	}
	for _, m := range s.imms {
		if value, live, found := m.Get(key, lsn); found {
			return value, live, nil
		}
	}
	scratch := scratches.Get().(*sstable.Scratch)
	defer scratches.Put(scratch)
	hash := sstable.Hash(key)
	for _, t := range s.levels[0] {
		if t.minLSN > lsn || bytes.Compare(key, t.minKey) < 0 || bytes.Compare(key, t.maxKey) > 0 {
			continue
		}
		if value, live, found, err := e.findIn(t, key, hash, lsn, scratch); found || err != nil {
			return value, live, err
		}
	}
	for _, tables := range s.levels[1:] {
		i := find(tables, key)
		if i == len(tables) || bytes.Compare(key, tables[i].minKey) < 0 {
			continue
		}
		if value, live, found, err := e.findIn(tables[i], key, hash, lsn, scratch); found || err != nil {
			return value, live, err
		}
	}
	return nil, false, nil
}

func (e *Engine) findIn(t *table, key []byte, hash, lsn uint64, s *sstable.Scratch) (value []byte, live, found bool, err error) {
	if !t.reader.MayContain(hash) {
		e.stats.filtered.Add(1)
		return nil, false, false, nil
	}
	return t.reader.Get(key, lsn, s)
}
