package oltp

import (
	"bytes"
	"hash/maphash"
	"slices"

	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/kv"
)

// writeSet is what a transaction has written, and the first few rows it has read:
// each row once, with the row that was there before the transaction and the one
// that is there now.
type writeSet struct {
	entries   []entry
	index     map[uint64]int32 // hash → last entry of that hash; nil while entries are few
	truncated []uint32
	arena     arena
	bytes     int64
}

// entry is one row. before is nil when there was no row, after when
// there is none.
type entry struct {
	table         *table
	key           []byte
	hash          uint64
	before, after []byte
	next          int32 // another entry of the same hash, -1 for none
	gone          bool  // its table was truncated later
	written       bool  // not only looked at
	locked        bool  // others must not write it meanwhile
}

// linear is how many entries are searched one by one.
const linear = 12

// few says whether there is room for entries that are only read.
func (w *writeSet) few() bool { return len(w.entries) < linear }

func (w *writeSet) find(key []byte, hash uint64) *entry {
	if w.index == nil {
		for i := range w.entries {
			if e := &w.entries[i]; e.hash == hash && !e.gone && bytes.Equal(e.key, key) {
				return e
			}
		}
		return nil
	}
	i, ok := w.index[hash]
	for ok && i >= 0 {
		e := &w.entries[i]
		if !e.gone && bytes.Equal(e.key, key) {
			return e
		}
		i = e.next
	}
	return nil
}

// add takes a row that was not written before. key and before are copied.
func (w *writeSet) add(t *table, key []byte, hash uint64, before []byte) *entry {
	e := entry{table: t, key: w.arena.copy(key), hash: hash, next: -1}
	if before != nil {
		e.before = w.arena.copy(before)
	}
	w.entries = append(w.entries, e)
	n := int32(len(w.entries) - 1)
	switch {
	case w.index != nil:
		w.link(n)
	case len(w.entries) > linear:
		w.index = make(map[uint64]int32, 4*linear)
		for i := range w.entries {
			w.link(int32(i))
		}
	}
	w.bytes += int64(len(key) + len(before))
	return &w.entries[n]
}

func (w *writeSet) link(i int32) {
	e := &w.entries[i]
	e.next = -1
	if head, ok := w.index[e.hash]; ok {
		e.next = head
	}
	w.index[e.hash] = i
}

// truncate forgets the rows of a table and remembers that it was emptied.
func (w *writeSet) truncate(id uint32) {
	for i := range w.entries {
		if w.entries[i].table.id == id {
			w.entries[i].gone = true
		}
	}
	if !w.hasTruncated(id) {
		w.truncated = append(w.truncated, id)
	}
}

func (w *writeSet) hasTruncated(id uint32) bool { return slices.Contains(w.truncated, id) }

// inRange returns the entries with keys in [lower, upper), in key order.
func (w *writeSet) inRange(lower, upper []byte) []int32 {
	var found []int32
	for i := range w.entries {
		e := &w.entries[i]
		if !e.gone && bytes.Compare(e.key, lower) >= 0 && (upper == nil || bytes.Compare(e.key, upper) < 0) {
			found = append(found, int32(i))
		}
	}
	slices.SortFunc(found, func(a, b int32) int { return bytes.Compare(w.entries[a].key, w.entries[b].key) })
	return found
}

// prepare writes the net effect as log records and engine operations: TRUNCATEs
// first, as barriers, then each row once, in the order of first writes.
func (w *writeSet) prepare(tx *transaction) {
	for _, id := range w.truncated {
		tx.log.Add(commitlog.Truncate, id, nil, nil)
		tx.truncates = append(tx.truncates, id)
	}
	for i := range w.entries {
		e := &w.entries[i]
		// A row written as it was counts as a change, as in PostgreSQL: whoever wrote
		// it expects to find it so after the commit.
		changed := e.written && !e.gone && (e.before != nil || e.after != nil)
		if changed || e.locked {
			tx.hashes = append(tx.hashes, e.hash)
		}
		if !changed {
			continue
		}
		if !slices.Contains(tx.tables, e.table.id) {
			tx.tables = append(tx.tables, e.table.id)
		}
		switch {
		case e.before == nil:
			tx.log.Add(commitlog.Insert, e.table.id, nil, e.after)
		case e.after == nil:
			tx.log.Add(commitlog.Delete, e.table.id, e.before, nil)
		default:
			tx.log.Add(commitlog.Update, e.table.id, e.before, e.after)
		}
		tx.ops = append(tx.ops, kv.Op{Key: e.key, Value: e.after})
	}
	tx.parts = tx.log.Parts()
}

// reset empties the set and keeps its memory, unless it is large.
func (w *writeSet) reset() {
	clear(w.entries)
	w.entries, w.truncated, w.index, w.bytes = w.entries[:0], w.truncated[:0], nil, 0
	if cap(w.entries) > 1<<10 {
		w.entries = nil
	}
	w.arena.reset()
}

// arena keeps copies of keys and rows for the life of a transaction.
type arena struct{ chunk []byte }

const (
	firstChunk = 4 << 10
	largeChunk = 64 << 10
)

// copy returns a copy of b that is not nil.
func (a *arena) copy(b []byte) []byte {
	if cap(a.chunk)-len(a.chunk) < len(b) || a.chunk == nil {
		a.chunk = make([]byte, 0, max(len(b), min(largeChunk, max(firstChunk, 2*cap(a.chunk)))))
	}
	n := len(a.chunk)
	a.chunk = append(a.chunk, b...)
	return a.chunk[n:len(a.chunk):len(a.chunk)]
}

func (a *arena) reset() {
	if a.chunk = a.chunk[:0]; cap(a.chunk) > largeChunk {
		a.chunk = nil
	}
}

// hashKey is what conflicts are found by.
func (db *DB) hashKey(key []byte) uint64 { return maphash.Bytes(db.hashSeed, key) }
