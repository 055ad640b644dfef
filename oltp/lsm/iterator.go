package lsm

import (
	"bytes"
	"sync"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/ikey"
	"github.com/millrace/millrace/oltp/lsm/memtable"
	"github.com/millrace/millrace/oltp/lsm/sstable"
)

// crawl is how many versions of a key are stepped over before seeking past them.
const crawl = 4

type place int8

const (
	before place = iota // the first key
	at
	after // the last key
)

// iterator shows one version of each live key.
type iterator struct {
	e            *Engine
	state        *state
	lsn          uint64
	lower, upper []byte // nil is open
	place        place
	reverse      bool // the merge stands before key, not on it
	value        []byte
	err          error
	*sources
}

// sources is the memory of an iterator that the next one uses again.
type sources struct {
	merge  merge
	key    []byte
	bounds []byte
	mems   []memtable.Iter
	tables []sstable.Iter
	levels []levelIter
}

var sourcesPool = sync.Pool{New: func() any { return new(sources) }}

// Iterate implements kv.Engine.
func (e *Engine) Iterate(lower, upper []byte, lsn uint64) (kv.Iterator, error) {
	if h := e.horizon.Load(); lsn < h {
		return nil, snapshotGone(lsn, h)
	}
	s := e.acquire()
	if s == nil {
		return nil, errClosed
	}
	it := &iterator{e: e, state: s, lsn: lsn, sources: sourcesPool.Get().(*sources)}
	it.bound(lower, upper)
	it.collect()
	return it, nil
}

// bound copies the bounds, keeping nil.
func (it *iterator) bound(lower, upper []byte) {
	it.bounds = append(append(append(it.bounds[:0], 0)[:0], lower...), upper...) // never nil
	n := len(lower)
	if lower != nil {
		it.lower = it.bounds[:n:n]
	}
	if upper != nil {
		it.upper = it.bounds[n:len(it.bounds):len(it.bounds)]
	}
}

// collect makes the sources that can hold keys within the bounds. They are
// addressed where they lie, so the slices get their length first.
func (it *iterator) collect() {
	s := it.state
	it.mems = resize(it.mems, 1+len(s.imms))
	it.tables = resize(it.tables, len(s.levels[0]))
	it.levels = resize(it.levels, numLevels-1)
	it.mems[0].Init(s.mem)
	for i, m := range s.imms {
		it.mems[1+i].Init(m)
	}
	for i := range it.mems {
		it.merge.sources = append(it.merge.sources, &it.mems[i])
	}
	for i, t := range s.levels[0] {
		if t.minLSN <= it.lsn && t.overlaps(it.lower, it.upper) {
			it.tables[i].Init(t.reader, true)
			it.merge.sources = append(it.merge.sources, &it.tables[i])
		}
	}
	for i, tables := range s.levels[1:] {
		if len(tables) > 0 && (it.lower == nil || find(tables, it.lower) < len(tables)) {
			it.levels[i].init(tables, true)
			it.merge.sources = append(it.merge.sources, &it.levels[i])
		}
	}
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// First implements kv.Iterator, as do the methods after it.
func (it *iterator) First() bool {
	if it.lower != nil {
		return it.SeekGE(it.lower)
	}
	return it.ready() && it.forward(it.merge.First())
}

// Last moves to the last live key.
func (it *iterator) Last() bool {
	if it.upper != nil {
		return it.SeekLT(it.upper)
	}
	return it.ready() && it.backward(it.merge.Last())
}

// SeekGE moves to the first live key at or after key.
func (it *iterator) SeekGE(key []byte) bool {
	if it.lower != nil && bytes.Compare(key, it.lower) < 0 {
		key = it.lower
	}
	return it.ready() && it.forward(it.merge.SeekGE(key, it.lsn))
}

// SeekLT moves to the last live key before key.
func (it *iterator) SeekLT(key []byte) bool {
	if it.upper != nil && bytes.Compare(key, it.upper) > 0 {
		key = it.upper
	}
	return it.ready() && it.backward(it.merge.SeekLT(key, ikey.MaxLSN))
}

// Next moves to the next live key; before the first one, to that.
func (it *iterator) Next() bool {
	switch {
	case it.place == before:
		return it.First()
	case it.place == after || !it.ready():
		return false
	case it.reverse:
		return it.forward(it.merge.SeekGE(it.key, 0))
	}
	return it.forward(it.skip(it.merge.Next()))
}

// Prev moves to the live key before; after the last one, to that.
func (it *iterator) Prev() bool {
	switch {
	case it.place == after:
		return it.Last()
	case it.place == before || !it.ready():
		return false
	case !it.reverse:
		return it.backward(it.merge.SeekLT(it.key, ikey.MaxLSN))
	}
	return it.backward(it.merge.valid())
}

func (it *iterator) ready() bool { return it.err == nil && it.state != nil }

// skip moves past the remaining versions of key.
func (it *iterator) skip(ok bool) bool {
	for n := 0; ok && bytes.Equal(it.merge.Key(), it.key); n++ {
		if n == crawl {
			return it.merge.SeekGE(it.key, 0)
		}
		ok = it.merge.Next()
	}
	return ok
}

// forward finds the next live key from where the merge stands.
func (it *iterator) forward(ok bool) bool {
	m := &it.merge
	it.reverse = false
	for newer := 0; ok; {
		if it.upper != nil && bytes.Compare(m.Key(), it.upper) >= 0 {
			break
		}
		if m.LSN() > it.lsn {
			if newer++; newer > crawl {
				it.key = append(it.key[:0], m.Key()...)
				ok, newer = m.SeekGE(it.key, it.lsn), 0
			} else {
				ok = m.Next()
			}
			continue
		}
		it.key = append(it.key[:0], m.Key()...)
		if value, live := m.Value(); live {
			it.value, it.place = value, at
			return true
		}
		ok, newer = it.skip(m.Next()), 0
	}
	return it.end(after)
}

// backward finds the live key before where the merge stands, which is on a key's
// oldest version.
func (it *iterator) backward(ok bool) bool {
	m := &it.merge
	it.reverse = true
	for ok && (it.lower == nil || bytes.Compare(m.Key(), it.lower) >= 0) {
		it.key = append(it.key[:0], m.Key()...)
		live := it.newest()
		if m.err != nil {
			break
		}
		if live {
			it.place = at
			return true
		}
		ok = m.valid()
	}
	return it.end(before)
}

// newest takes the newest visible version of key into value, going backwards
// from its oldest, and leaves the merge before the key.
func (it *iterator) newest() (live bool) {
	m := &it.merge
	for n, ok := 0, true; ok && bytes.Equal(m.Key(), it.key); n++ {
		if n == crawl {
			return it.newestBySeek(live)
		}
		if m.LSN() <= it.lsn {
			it.value, live = m.Value()
		}
		ok = m.Prev()
	}
	return live
}

// newestBySeek does so when there are many versions.
func (it *iterator) newestBySeek(live bool) bool {
	m := &it.merge
	if m.LSN() <= it.lsn {
		if !m.SeekGE(it.key, it.lsn) {
			return false
		}
		it.value, live = m.Value()
	}
	m.SeekLT(it.key, ikey.MaxLSN)
	return live
}

func (it *iterator) end(p place) bool {
	if err := it.merge.Err(); err != nil {
		it.err = typed("iterate "+it.e.dir, err)
	}
	it.place = p
	return false
}

func (it *iterator) Key() []byte   { return it.key }
func (it *iterator) Value() []byte { return it.value }
func (it *iterator) Err() error    { return it.err }

// Close releases what the iterator holds; it must not be used any more.
func (it *iterator) Close() error {
	if it.state == nil {
		return nil
	}
	it.state.release()
	src := it.sources
	it.state, it.sources, it.value = nil, &sources{}, nil
	src.merge.reset()
	clear(src.mems)
	for i := range src.tables {
		src.tables[i].Reset()
	}
	for i := range src.levels {
		src.levels[i].reset()
	}
	sourcesPool.Put(src)
	return nil
}
