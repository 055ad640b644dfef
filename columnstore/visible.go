package columnstore

import (
	"maps"
	"sync"

	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/schemas"
)

// state is one version of everything. It is immutable: publishing swaps the
// pointer to it (I3).
type state struct {
	version uint64
	gen     uint64 // counts swaps; several may have one version
	tables  map[string]visibleTable
	sources map[string]SourceState // by pipeline
}

type visibleTable struct {
	view      *table.View
	def       manifest.Def
	ready     bool
	rowsDone  int64
	rowsTotal int64
}

// SourceState is how far a source is in a version.
type SourceState struct {
	Pipeline    string      `json:"pipeline"`
	Source      string      `json:"source"`
	Incarnation string      `json:"incarnation"`
	W           schemas.LSN `json:"w"`
	// CommitTime is when the newest commit at or before W was acknowledged, µs
	// since 1970 UTC.
	CommitTime int64 `json:"commit_time"`
}

// pins counts the readers of each state.
type pins struct {
	sync.Mutex
	m map[*state]int
}

func (s *Store) pin() *state {
	s.pins.Lock()
	defer s.pins.Unlock()
	st := s.visible.Load()
	if s.pins.m == nil {
		s.pins.m = map[*state]int{}
	}
	s.pins.m[st]++
	return st
}

func (s *Store) unpin(st *state) {
	s.pins.Lock()
	defer s.pins.Unlock()
	if s.pins.m[st]--; s.pins.m[st] == 0 {
		delete(s.pins.m, st)
	}
}

// oldest is the least version and generation that anybody reads or may come to.
func (s *Store) oldest() (version, gen uint64) {
	s.pins.Lock()
	defer s.pins.Unlock()
	st := s.visible.Load()
	version, gen = st.version, st.gen
	for p := range s.pins.m {
		version, gen = min(version, p.version), min(gen, p.gen)
	}
	return version, gen
}

// swap makes a state with changed tables and sources the visible one. write is held.
func (s *Store) swap(version uint64, touched map[string]*tab, src *SourceState) {
	old := s.visible.Load()
	s.write.gen++
	n := &state{version: version, gen: s.write.gen, tables: maps.Clone(old.tables), sources: old.sources}
	for name, t := range touched {
		n.tables[name] = visibleTable{view: t.t.View(version), def: t.def, ready: t.ready, rowsDone: t.rowsDone, rowsTotal: t.rowsTotal}
	}
	if src != nil {
		n.sources = maps.Clone(old.sources)
		n.sources[src.Pipeline] = *src
	}
	s.visible.Store(n)
}
