package sstable

// Iter walks a table's versions in order. It has one owner. Its zero value needs
// Init. After false from a move, Err tells an end from a failure.
type Iter struct {
	r     *Reader
	fill  bool
	i     int // block in the index
	block blockIter
	err   error
}

// Init places the iterator on no version of a table. fill uses the cache.
func (it *Iter) Init(r *Reader, fill bool) {
	it.r, it.fill, it.i, it.err = r, fill, -1, nil
}

// Reset lets go of the table and its blocks, keeping memory for the next Init.
func (it *Iter) Reset() { *it = Iter{i: -1, block: blockIter{key: it.block.key[:0]}} }

// load makes block i the present one.
func (it *Iter) load(i int) bool {
	if it.err != nil || i < 0 || i >= len(it.r.index) {
		return false
	}
	content, err := it.r.data(it.r.index[i].handle, it.fill)
	if err == nil {
		err = it.block.init(content)
	}
	it.i, it.err = i, err
	return err == nil
}

// settle takes over a move's outcome within a block. False without an error means
// that the neighbouring block has to be tried.
func (it *Iter) settle(ok bool) (done, valid bool) {
	if ok {
		return true, true
	}
	if it.block.err != nil {
		it.err = it.block.err
		return true, false
	}
	return false, false
}

// First, Last, SeekGE, SeekLT, Next and Prev move and say whether there is a version.
func (it *Iter) First() bool {
	if !it.load(0) {
		return false
	}
	_, valid := it.settle(it.block.first())
	return valid
}

// Last moves to the last version.
func (it *Iter) Last() bool {
	if !it.load(len(it.r.index) - 1) {
		return false
	}
	_, valid := it.settle(it.block.last())
	return valid
}

// SeekGE moves to the first version at or after (key, lsn).
func (it *Iter) SeekGE(key []byte, lsn uint64) bool {
	if !it.load(it.r.block(key, lsn)) {
		return false
	}
	_, valid := it.settle(it.block.seekGE(key, lsn))
	return valid
}

// SeekLT moves to the last version before (key, lsn).
func (it *Iter) SeekLT(key []byte, lsn uint64) bool {
	i := it.r.block(key, lsn)
	if i == len(it.r.index) {
		return it.Last()
	}
	if !it.load(i) {
		return false
	}
	if done, valid := it.settle(it.block.seekLT(key, lsn)); done {
		return valid
	}
	if !it.load(i - 1) {
		return false
	}
	_, valid := it.settle(it.block.last())
	return valid
}

// Next moves on. The iterator is on a version.
func (it *Iter) Next() bool {
	if done, valid := it.settle(it.block.forward()); done {
		return valid
	}
	if !it.load(it.i + 1) {
		return false
	}
	_, valid := it.settle(it.block.first())
	return valid
}

// Prev moves back. The iterator is on a version.
func (it *Iter) Prev() bool {
	if done, valid := it.settle(it.block.back()); done {
		return valid
	}
	if !it.load(it.i - 1) {
		return false
	}
	_, valid := it.settle(it.block.last())
	return valid
}

// Key is the user key; it holds until the next move.
func (it *Iter) Key() []byte { return it.block.userKey() }

// LSN is the version's.
func (it *Iter) LSN() uint64 { return it.block.lsn() }

// Value returns the value, or !live for a tombstone. It must not be changed and
// holds as long as it is kept.
func (it *Iter) Value() (value []byte, live bool) { return it.block.value, it.block.live }

// Err is why the last move failed, nil at an end.
func (it *Iter) Err() error { return it.err }
