package lsm

import (
	"bytes"

	"github.com/millrace/millrace/oltp/lsm/sstable"
)

// growth is how much more each level holds than the one above.
const growth = 10

// compaction merges tables of a level, and those below that they overlap, into
// the level below.
type compaction struct {
	from, to int
	upper    []*table // of from
	lower    []*table // of to
}

func (e *Engine) pendCompaction() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = true
	e.changed.Broadcast()
}

// compactLoop compacts while there is need.
func (e *Engine) compactLoop() {
	for e.awaitPending() {
		for e.ctx.Err() == nil {
			done, err := e.compactOnce()
			if !e.report(&e.compactFailure, "compact", err) {
				e.rest()
				continue
			}
			if !done {
				break
			}
		}
	}
}

func (e *Engine) rest() {
	select {
	case <-e.opts.Clock.After(retryAfter):
	case <-e.ctx.Done():
	}
}

func (e *Engine) awaitPending() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.pending && !e.closed {
		e.changed.Wait()
	}
	e.pending = false
	return !e.closed
}

// compactOnce does the most needed compaction, if any.
func (e *Engine) compactOnce() (done bool, err error) {
	e.compacting.Lock()
	defer e.compacting.Unlock()
	s := e.acquire()
	if s == nil {
		return false, nil
	}
	defer s.release()
	c := e.pick(s)
	if c == nil {
		return false, nil
	}
	return true, e.compact(s, c)
}

// pick chooses the level that is most over its target.
func (e *Engine) pick(s *state) *compaction {
	level, worst := -1, 1.0
	for i := range numLevels - 1 {
		if score := e.score(s, i); score >= worst {
			level, worst = i, score
		}
	}
	switch level {
	case -1:
		return e.pickDead(s)
	case 0:
		return s.gather(0, 1, s.levels[0])
	}
	return s.gather(level, level+1, e.nextOf(s, level))
}

// pickDead chooses a table that is mostly tombstones that every reader sees: they
// make scans step over what is not there, and hold space deeper down.
func (e *Engine) pickDead(s *state) *compaction {
	horizon := min(e.horizon.Load(), e.durable.Load())
	for level := 1; level < numLevels-1; level++ {
		for i, t := range s.levels[level] {
			if t.tombstones > t.entries/2 && t.maxLSN <= horizon {
				return s.gather(level, level+1, s.levels[level][i:i+1])
			}
		}
	}
	return nil
}

func (e *Engine) score(s *state, level int) float64 {
	if level == 0 {
		return float64(len(s.levels[0])) / float64(e.opts.L0Compact)
	}
	return float64(s.levels.bytes(level)) / float64(e.levelTarget(level))
}

func (e *Engine) levelTarget(level int) int64 {
	t := e.opts.LevelBytes
	for range level - 1 {
		t *= growth
	}
	return t
}

// nextOf takes the tables of a level in turn, so that the work spreads over the keys.
func (e *Engine) nextOf(s *state, level int) []*table {
	tables := s.levels[level]
	e.mu.Lock()
	defer e.mu.Unlock()
	i := 0
	if c := e.cursor[level]; c != nil {
		for i < len(tables) && bytes.Compare(tables[i].minKey, c) <= 0 {
			i++
		}
	}
	if i == len(tables) {
		i = 0
	}
	e.cursor[level] = tables[i].minKey
	return tables[i : i+1]
}

// gather adds what the chosen tables overlap below.
func (s *state) gather(from, to int, upper []*table) *compaction {
	c := &compaction{from: from, to: to, upper: upper}
	lower, upperKey := upper[0].minKey, upper[0].maxKey
	for _, t := range upper {
		lower, upperKey = minBytes(lower, t.minKey), maxBytes(upperKey, t.maxKey)
	}
	for _, t := range s.levels[to] {
		if t.overlaps(lower, upperKey) {
			c.lower = append(c.lower, t)
		}
	}
	return c
}

func minBytes(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}

func maxBytes(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

// compact runs a compaction; s is held throughout, so its tables stay.
func (e *Engine) compact(s *state, c *compaction) error {
	ed := edit{remove: map[*table]bool{}}
	for _, t := range append(append([]*table(nil), c.upper...), c.lower...) {
		ed.remove[t] = true
	}
	if c.moves() {
		ed.add[c.to] = c.upper
		return e.commit(ed, nil)
	}
	ed.horizon = min(e.horizon.Load(), e.durable.Load())
	below := s.levels[c.to+1:]
	keep := keepRules{horizon: ed.horizon, below: func(key []byte) bool { return holds(below, key) }}
	m := c.merge()
	tables, err := e.writeTables(m, tableSplit{bytes: e.opts.TableBytes}, keep)
	if err != nil {
		return err
	}
	ed.add[c.to] = tables
	return e.commit(ed, tables)
}

// moves says that a table can change its level as it is: it overlaps nothing
// below, and has no tombstones that only a rewrite would drop.
func (c *compaction) moves() bool {
	if len(c.upper) != 1 || len(c.lower) > 0 {
		return false
	}
	return c.upper[0].tombstones == 0
}

func (c *compaction) merge() *merge {
	m := &merge{}
	if c.from == 0 {
		m.addTables(c.upper)
	} else {
		m.addLevel(c.upper)
	}
	if len(c.lower) > 0 {
		m.addLevel(c.lower)
	}
	return m
}

// addTables and addLevel add sources that leave the cache alone.
func (m *merge) addTables(tables []*table) {
	for _, t := range tables {
		it := &sstable.Iter{}
		it.Init(t.reader, false)
		m.sources = append(m.sources, it)
	}
}

func (m *merge) addLevel(tables []*table) {
	l := &levelIter{}
	l.init(tables, false)
	m.sources = append(m.sources, l)
}

// holds says whether any of these levels may have a key.
func holds(deeper [][]*table, key []byte) bool {
	for _, tables := range deeper {
		if i := find(tables, key); i < len(tables) && bytes.Compare(tables[i].minKey, key) <= 0 {
			return true
		}
	}
	return false
}

func (e *Engine) commit(ed edit, written []*table) error {
	e.edits.Lock()
	defer e.edits.Unlock()
	if err := e.install(ed, false); err != nil {
		e.discard(written)
		return err
	}
	e.stats.compactions.Add(1)
	return nil
}

// Compact merges all tables into the deepest level that has any, dropping what no
// reader at or above the horizon can see. It is for maintenance; background
// compaction needs no call.
func (e *Engine) Compact() error {
	e.compacting.Lock()
	defer e.compacting.Unlock()
	s := e.acquire()
	if s == nil {
		return errClosed
	}
	defer s.release()
	if err := e.compactAll(s); err != nil {
		return typed("compact "+e.dir, err)
	}
	return nil
}

func (e *Engine) compactAll(s *state) error {
	ed := edit{remove: map[*table]bool{}, horizon: min(e.horizon.Load(), e.durable.Load())}
	m, to := &merge{}, 1
	for level, tables := range s.levels {
		for _, t := range tables {
			ed.remove[t] = true
		}
		if level == 0 {
			m.addTables(tables)
		} else if len(tables) > 0 {
			m.addLevel(tables)
			to = level
		}
	}
	tables, err := e.writeTables(m, tableSplit{bytes: e.opts.TableBytes}, keepRules{horizon: ed.horizon})
	if err != nil {
		return err
	}
	ed.add[to] = tables
	return e.commit(ed, tables)
}
