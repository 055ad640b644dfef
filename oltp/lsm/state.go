package lsm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/memtable"
	"github.com/millrace/millrace/oltp/lsm/sstable"
)

const numLevels = 7

// table is an open table file. It is closed, and deleted when obsolete, once no
// state names it.
type table struct {
	tableInfo
	reader   *sstable.Reader
	memory   int64 // bytes of index and filter
	refs     atomic.Int32
	obsolete atomic.Bool
	remove   func() // deletes the file
}

func (e *Engine) openTable(info tableInfo) (*table, error) {
	path := e.tablePath(info.id)
	file, err := e.opts.FS.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the manifest names a missing table: %w", kv.ErrCorrupt, err)
	}
	if err != nil {
		return nil, err
	}
	reader, err := sstable.Open(file, info.id, e.cache)
	if err != nil {
		file.Close()
		return nil, err
	}
	if got := infoOf(info.id, info.size, reader.Properties()); !got.equal(info) {
		reader.Close()
		return nil, fmt.Errorf("%w: table %d is not the one that the manifest names", kv.ErrCorrupt, info.id)
	}
	remove := func() {
		if err := e.opts.FS.Remove(path); err != nil {
			e.opts.Logger.Warn("an obsolete table stays until the next start", "path", path, "error", err)
		}
	}
	return &table{tableInfo: info, reader: reader, memory: reader.MemoryBytes(), remove: remove}, nil
}

func (t *table) release() {
	if t.refs.Add(-1) > 0 {
		return
	}
	t.reader.Close()
	if t.obsolete.Load() {
		t.remove()
	}
}

// overlaps says whether the table may hold keys in [lower, upper]; nil is open.
func (t *table) overlaps(lower, upper []byte) bool {
	return (upper == nil || bytes.Compare(t.minKey, upper) <= 0) && (lower == nil || bytes.Compare(t.maxKey, lower) >= 0)
}

// levels are the tables: level 0 newest first, the others by key.
type levels [numLevels][]*table

func (l *levels) close() {
	for _, tables := range l {
		for _, t := range tables {
			t.reader.Close()
		}
	}
}

// sort puts every level in its order.
func (l *levels) sort() {
	slices.SortFunc(l[0], func(a, b *table) int { return compareUint(b.maxLSN, a.maxLSN) })
	for _, tables := range l[1:] {
		slices.SortFunc(tables, func(a, b *table) int { return bytes.Compare(a.minKey, b.minKey) })
	}
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// check sorts and demands what reads rely on.
func (l *levels) check() error {
	l.sort()
	for i := 1; i < len(l[0]); i++ {
		if l[0][i].maxLSN >= l[0][i-1].minLSN {
			return fmt.Errorf("%w: tables %d and %d of level 0 overlap in LSNs", kv.ErrCorrupt, l[0][i].id, l[0][i-1].id)
		}
	}
	for level := 1; level < numLevels; level++ {
		for i := 1; i < len(l[level]); i++ {
			if bytes.Compare(l[level][i-1].maxKey, l[level][i].minKey) >= 0 {
				return fmt.Errorf("%w: tables %d and %d of level %d overlap", kv.ErrCorrupt, l[level][i-1].id, l[level][i].id, level)
			}
		}
	}
	return nil
}

func (l *levels) bytes(level int) (n int64) {
	for _, t := range l[level] {
		n += t.size
	}
	return n
}

// find returns the first table of a sorted level that ends at or after a key.
func find(tables []*table, key []byte) int {
	return sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].maxKey, key) >= 0 })
}

// state is what a reader sees: it stays whole as long as somebody holds it.
type state struct {
	refs   atomic.Int32
	mem    *memtable.Table
	imms   []*memtable.Table // full ones, newest first
	levels levels
	free   func(*memtable.Table) // takes a memtable that no state has any more
}

// newState takes a reference on every table; it has one itself.
func (e *Engine) newState(mem *memtable.Table, imms []*memtable.Table, l levels) *state {
	s := &state{mem: mem, imms: imms, levels: l, free: e.freeMemtable}
	s.refs.Store(1)
	mem.Retain()
	for _, m := range imms {
		m.Retain()
	}
	for _, tables := range l {
		for _, t := range tables {
			t.refs.Add(1)
		}
	}
	return s
}

// acquire returns the present state, which the caller releases.
func (e *Engine) acquire() *state {
	for {
		s := e.current.Load()
		for n := s.refs.Load(); n > 0; n = s.refs.Load() {
			if s.refs.CompareAndSwap(n, n+1) {
				return s
			}
		}
		if e.ctx.Err() != nil {
			return nil // closed
		}
	}
}

func (s *state) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	for _, tables := range s.levels {
		for _, t := range tables {
			t.release()
		}
	}
	for _, m := range append([]*memtable.Table{s.mem}, s.imms...) {
		if m.Release() {
			s.free(m)
		}
	}
}

// freeMemtable keeps an arena of the usual size for the next memtable: a fresh one
// would be cleared, or faulted in page by page, while a writer waits.
func (e *Engine) freeMemtable(m *memtable.Table) {
	if m.Cap() != e.opts.MemtableBytes {
		return
	}
	select {
	case e.arenas <- m:
	default:
	}
}

// newMemtable makes one with room for need bytes.
func (e *Engine) newMemtable(need int) *memtable.Table {
	if need < e.opts.MemtableBytes {
		select {
		case m := <-e.arenas:
			m.Reset()
			return m
		default:
		}
	}
	return memtable.New(max(e.opts.MemtableBytes, need))
}

// replace makes a state current. The caller holds mu.
func (e *Engine) replace(s *state) {
	e.current.Swap(s).release()
	e.changed.Broadcast()
}
