package lsm

import (
	"bytes"
	"sort"

	"github.com/millrace/millrace/oltp/lsm/sstable"
)

// levelIter walks the tables of a sorted level one after another.
type levelIter struct {
	tables []*table
	fill   bool
	i      int
	it     sstable.Iter
}

func (l *levelIter) init(tables []*table, fill bool) {
	l.tables, l.fill, l.i = tables, fill, -1
	l.it.Reset()
}

// reset lets go of tables and blocks.
func (l *levelIter) reset() {
	l.tables = nil
	l.it.Reset()
}

func (l *levelIter) enter(i int) bool {
	if i < 0 || i >= len(l.tables) {
		return false
	}
	if i != l.i {
		l.i = i
		l.it.Init(l.tables[i].reader, l.fill)
	}
	return true
}

// forward takes over the outcome of a move and goes on to the next table at an end.
func (l *levelIter) forward(ok bool) bool {
	for !ok && l.it.Err() == nil && l.enter(l.i+1) {
		ok = l.it.First()
	}
	return ok
}

func (l *levelIter) backward(ok bool) bool {
	for !ok && l.it.Err() == nil && l.enter(l.i-1) {
		ok = l.it.Last()
	}
	return ok
}

func (l *levelIter) First() bool { return l.enter(0) && l.forward(l.it.First()) }

func (l *levelIter) Last() bool { return l.enter(len(l.tables)-1) && l.backward(l.it.Last()) }

func (l *levelIter) SeekGE(key []byte, lsn uint64) bool {
	return l.enter(find(l.tables, key)) && l.forward(l.it.SeekGE(key, lsn))
}

func (l *levelIter) SeekLT(key []byte, lsn uint64) bool {
	// The last table that begins at or before the key.
	i := sort.Search(len(l.tables), func(i int) bool { return bytes.Compare(l.tables[i].minKey, key) > 0 }) - 1
	return l.enter(i) && l.backward(l.it.SeekLT(key, lsn))
}

func (l *levelIter) Next() bool                       { return l.forward(l.it.Next()) }
func (l *levelIter) Prev() bool                       { return l.backward(l.it.Prev()) }
func (l *levelIter) Key() []byte                      { return l.it.Key() }
func (l *levelIter) LSN() uint64                      { return l.it.LSN() }
func (l *levelIter) Value() (value []byte, live bool) { return l.it.Value() }
func (l *levelIter) Err() error                       { return l.it.Err() }
