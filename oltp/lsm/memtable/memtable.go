// Package memtable is a skip list in one piece of memory: one goroutine adds
// versions while any number read without locks.
//
// A node lies at a multiple of 8 in the arena; offset 0 is no node:
//
//	0     8       16       20       24
//	+-----+-------+--------+--------+------------------+-----+-------+
//	| lsn | value | keyOff | keyLen | next[0..height)  | key | value |
//	+-----+-------+--------+--------+------------------+-----+-------+
//
// value packs offset and length+1 of the value; a length of 0 is a tombstone.
package memtable

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"github.com/millrace/millrace/oltp/lsm/ikey"
)

const (
	maxHeight = 12 // enough for 4^12 nodes
	nodeFixed = 24
	align     = 8
	// MaxBytes limits an arena: offsets have 32 bits.
	MaxBytes = 1<<32 - 1<<20
)

// Table is a memtable.
type Table struct {
	buf    []byte
	used   atomic.Uint32
	height atomic.Int32
	count  atomic.Int64
	maxLSN atomic.Uint64
	refs   atomic.Int32
	head   uint32
	random uint64
}

// New makes a table with an arena of size bytes, at least what an empty one needs.
func New(size int) *Table {
	size = min(max(size, 4096), MaxBytes)
	t := &Table{buf: make([]byte, size), random: 0x9E3779B97F4A7C15}
	t.Reset()
	return t
}

// Reset empties the table, which nobody reads any more, keeping its arena. A node
// is written whole when it is added, so only the head needs to be cleared.
func (t *Table) Reset() {
	t.used.Store(align)
	t.height.Store(1)
	t.count.Store(0)
	t.maxLSN.Store(0)
	t.head = t.alloc(nodeFixed + 4*maxHeight)
	clear(t.buf[t.head:t.used.Load()])
}

// Retain counts a holder, Release one less; it says whether that was the last.
func (t *Table) Retain() { t.refs.Add(1) }

// Release undoes a Retain.
func (t *Table) Release() (last bool) { return t.refs.Add(-1) == 0 }

// Cap is the size of the arena in bytes.
func (t *Table) Cap() int { return len(t.buf) }

// Need is an upper bound of the arena bytes that a version takes.
func Need(key, value []byte) int {
	return nodeFixed + 4*maxHeight + len(key) + len(value) + align
}

// Room is how many bytes of the arena are free.
func (t *Table) Room() int { return len(t.buf) - int(t.used.Load()) }

// Bytes is the size of the arena's used part.
func (t *Table) Bytes() int64 { return int64(t.used.Load()) }

// Len is the number of versions.
func (t *Table) Len() int { return int(t.count.Load()) }

// MaxLSN is the greatest LSN noted.
func (t *Table) MaxLSN() uint64 { return t.maxLSN.Load() }

// Note records that everything up to lsn is here or in older tables.
func (t *Table) Note(lsn uint64) { t.maxLSN.Store(lsn) }

func (t *Table) alloc(n int) uint32 {
	off := t.used.Load()
	t.used.Store((off + uint32(n) + align - 1) &^ (align - 1))
	return off
}

// The words of a node. Offsets are aligned by construction, and indexing checks
// the bounds.
func (t *Table) word32(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&t.buf[off])) }
func (t *Table) word64(off uint32) *uint64 { return (*uint64)(unsafe.Pointer(&t.buf[off])) }

func (t *Table) lsn(n uint32) uint64 { return *t.word64(n) }

func (t *Table) key(n uint32) []byte {
	off, size := *t.word32(n + 16), *t.word32(n + 20)
	return t.buf[off : off+size : off+size]
}

func (t *Table) value(n uint32) (v []byte, live bool) {
	packed := atomic.LoadUint64(t.word64(n + 8))
	size := uint32(packed)
	if size == 0 {
		return nil, false
	}
	off := uint32(packed >> 32)
	return t.buf[off : off+size-1 : off+size-1], true
}

func (t *Table) next(n uint32, level int) uint32 {
	return atomic.LoadUint32(t.word32(n + nodeFixed + 4*uint32(level)))
}

func (t *Table) setNext(n uint32, level int, to uint32) {
	atomic.StoreUint32(t.word32(n+nodeFixed+4*uint32(level)), to)
}

// Add puts a version; a nil value is a tombstone. The same key and LSN again
// replaces. There must be room (Need).
func (t *Table) Add(key []byte, lsn uint64, value []byte) {
	var before [maxHeight]uint32
	n := t.seek(key, lsn, &before)
	if n != 0 && t.lsn(n) == lsn && bytes.Equal(t.key(n), key) {
		atomic.StoreUint64(t.word64(n+8), t.putValue(value))
		return
	}
	height := t.randomHeight()
	for int(t.height.Load()) < height {
		before[t.height.Load()] = t.head
		t.height.Add(1)
	}
	n = t.newNode(key, lsn, value, height)
	for level := range height {
		t.setNext(n, level, t.next(before[level], level))
		t.setNext(before[level], level, n) // publishes the node
	}
	t.count.Add(1)
}

func (t *Table) newNode(key []byte, lsn uint64, value []byte, height int) uint32 {
	n := t.alloc(nodeFixed + 4*height + len(key))
	keyOff := n + nodeFixed + 4*uint32(height)
	copy(t.buf[keyOff:], key)
	*t.word64(n) = lsn
	*t.word32(n + 16), *t.word32(n + 20) = keyOff, uint32(len(key))
	atomic.StoreUint64(t.word64(n+8), t.putValue(value))
	return n
}

func (t *Table) putValue(value []byte) uint64 {
	if value == nil {
		return 0
	}
	off := t.alloc(len(value))
	copy(t.buf[off:], value)
	return uint64(off)<<32 | uint64(len(value)+1)
}

// randomHeight is 1 with probability 3/4, 2 with 3/16 and so on (xorshift).
func (t *Table) randomHeight() int {
	t.random ^= t.random << 13
	t.random ^= t.random >> 7
	t.random ^= t.random << 17
	h := 1
	for r := t.random; h < maxHeight && r&3 == 0; r >>= 2 {
		h++
	}
	return h
}

// seek returns the first node at or after a version, 0 for none, and fills
// before with the last node before it at each level in use.
func (t *Table) seek(key []byte, lsn uint64, before *[maxHeight]uint32) uint32 {
	x, known := t.head, uint32(0) // known: a node found not to be before the version
	for level := int(t.height.Load()) - 1; ; {
		n := t.next(x, level)
		if n != 0 && n != known && ikey.Compare(t.key(n), t.lsn(n), key, lsn) < 0 {
			x = n
			continue
		}
		if before != nil {
			before[level] = x
		}
		if level == 0 {
			return n
		}
		known = n
		level--
	}
}

// before returns the last node before a version, 0 for none.
func (t *Table) before(key []byte, lsn uint64) uint32 {
	var path [maxHeight]uint32
	t.seek(key, lsn, &path)
	if path[0] == t.head {
		return 0
	}
	return path[0]
}

func (t *Table) last() uint32 {
	x := t.head
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for n := t.next(x, level); n != 0; n = t.next(x, level) {
			x = n
		}
	}
	if x == t.head {
		return 0
	}
	return x
}

// Get returns the newest version of a key at or below lsn. found and !live is a
// tombstone. The value holds as long as the table.
func (t *Table) Get(key []byte, lsn uint64) (value []byte, live, found bool) {
	n := t.seek(key, lsn, nil)
	if n == 0 || !bytes.Equal(t.key(n), key) {
		return nil, false, false
	}
	value, live = t.value(n)
	return value, live, true
}

// Iter walks versions in order. Its zero value needs Init.
type Iter struct {
	t *Table
	n uint32
}

// Init places an iterator on no version of a table.
func (it *Iter) Init(t *Table) { it.t, it.n = t, 0 }

// First, Last, SeekGE, SeekLT, Next and Prev move and say whether there is a version.
func (it *Iter) First() bool { it.n = it.t.next(it.t.head, 0); return it.n != 0 }

// Last moves to the last version.
func (it *Iter) Last() bool { it.n = it.t.last(); return it.n != 0 }

// SeekGE moves to the first version at or after (key, lsn).
func (it *Iter) SeekGE(key []byte, lsn uint64) bool {
	it.n = it.t.seek(key, lsn, nil)
	return it.n != 0
}

// SeekLT moves to the last version before (key, lsn).
func (it *Iter) SeekLT(key []byte, lsn uint64) bool {
	it.n = it.t.before(key, lsn)
	return it.n != 0
}

// Next moves on. The iterator is on a version.
func (it *Iter) Next() bool { it.n = it.t.next(it.n, 0); return it.n != 0 }

// Prev moves back. The iterator is on a version.
func (it *Iter) Prev() bool {
	it.n = it.t.before(it.t.key(it.n), it.t.lsn(it.n))
	return it.n != 0
}

// Key is the user key; it holds as long as the table.
func (it *Iter) Key() []byte { return it.t.key(it.n) }

// LSN is the version's.
func (it *Iter) LSN() uint64 { return it.t.lsn(it.n) }

// Value returns the value, or !live for a tombstone.
func (it *Iter) Value() (value []byte, live bool) { return it.t.value(it.n) }

// Err is always nil.
func (it *Iter) Err() error { return nil }
