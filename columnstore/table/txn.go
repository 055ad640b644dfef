package table

import (
	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/pkindex"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// Txn applies changes to one table under the next version. Nothing of it is
// visible before Commit; Abort takes all of it back. It is reused between
// transactions for its buffers.
type Txn struct {
	t       *Table
	touched []*chunk // have pending deletes
	undo    []undo
	begin   mark
	saved   *mark // the table before the first Truncate

	held map[schemas.Position]pkindex.Ref // rows that moved inserts take unsent values from

	// Of the batch being applied.
	hashes []uint64
	keys   []*vector.Vector
	sel    []uint32      // rows of the batch that were given a place and await their columns
	from   []pkindex.Ref // parallel sel: the row that fills absent values
}

const noRef = ^pkindex.Ref(0)

// mark is what Abort returns to.
type mark struct {
	order []*chunk
	open  *chunk
	rows  int // of open
	live  int64
	index *pkindex.Index
	undo  int // length of the undo list
	next  int // id of the next chunk
}

type undo struct {
	hash     uint64
	new, old pkindex.Ref // noRef: none
}

// Begin starts a transaction, reusing x where it is not nil.
func (t *Table) Begin(x *Txn) *Txn {
	if x == nil {
		x = &Txn{}
	}
	x.t, x.undo, x.touched, x.saved, x.held = t, x.undo[:0], x.touched[:0], nil, nil
	x.begin = t.mark(0)
	return x
}

func (t *Table) mark(undo int) mark {
	m := mark{order: t.order, open: t.open, live: t.live, index: t.index, undo: undo, next: len(t.chunks)}
	if t.open != nil {
		m.rows = t.open.rows
	}
	return m
}

// take makes a batch's key columns those that keys are compared with.
func (x *Txn) take(b *change.Batch) {
	x.keys = x.keys[:0]
	for _, ord := range x.t.keys {
		x.keys = append(x.keys, b.Cols[ord])
	}
}

// Hashes returns the hash of each row's key, until the next call.
func (x *Txn) Hashes(b *change.Batch) []uint64 {
	x.take(b)
	if cap(x.hashes) < b.Len() {
		x.hashes = make([]uint64, b.Len())
	}
	x.hashes = x.hashes[:b.Len()]
	column.HashKeys(x.hashes, x.keys)
	return x.hashes
}

// Hold remembers the row that has the old key of the moved insert at row of a batch:
// its values that were not sent are that row's as it is now, whatever becomes of the
// old key before the insert is applied (I5). hash is the old key's.
func (x *Txn) Hold(b *change.Batch, row int, hash uint64) error {
	before := row - 1
	x.take(b)
	ref, found, err := x.t.index.Find(hash, func(ref pkindex.Ref) (bool, error) { return x.t.keyMatches(ref, x.keys, before) })
	if err != nil || !found {
		return err
	}
	if x.held == nil {
		x.held = map[schemas.Position]pkindex.Ref{}
	}
	x.held[b.At(row)] = x.t.resolve(ref)
	return nil
}

// Apply applies the given rows of a batch in order.
func (x *Txn) Apply(b *change.Batch, rows []uint32) error {
	t := x.t
	if len(t.keys) > 0 {
		x.Hashes(b)
	}
	for len(rows) > 0 {
		c, err := t.opened()
		if err != nil {
			return err
		}
		n, err := x.place(c, b, rows)
		if err != nil {
			return err
		}
		if err := x.fill(c, b); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// place gives rows their places in chunk c, keeps index and deletes in step, and
// appends the key columns, until the chunk is full. It returns how many rows of
// the batch it consumed.
func (x *Txn) place(c *chunk, b *change.Batch, rows []uint32) (int, error) {
	t := x.t
	x.sel, x.from = x.sel[:0], x.from[:0]
	row := 0
	match := func(ref pkindex.Ref) (bool, error) { return t.keyMatches(ref, x.keys, row) }
	fills := hasAbsent(b)
	for i, r := range rows {
		row = int(r)
		if c.rows == column.MaxRows {
			return i, nil
		}
		old, had := noRef, false
		var err error
		switch op := b.Ops[row]; {
		case op == change.Before:
			continue
		case len(t.keys) == 0 && op != change.Insert:
			return i, appendOnly(t.schema, op)
		case op == change.Delete:
			if old, had, err = t.index.Delete(x.hashes[row], match); err != nil {
				return i, err
			}
			if had {
				x.undo = append(x.undo, undo{x.hashes[row], noRef, old})
				x.delete(t.resolve(old))
			}
			continue
		case len(t.keys) > 0:
			ref := pkindex.MakeRef(c.id, c.rows)
			if old, had, err = t.index.Put(x.hashes[row], ref, match); err != nil {
				return i, err
			}
			if !had {
				old = noRef
			}
			x.undo = append(x.undo, undo{x.hashes[row], ref, old})
			if had {
				old = t.resolve(old)
				x.delete(old)
			}
		}
		if fills && x.absent(b, row) {
			if b.Moved(row) {
				old, had = x.held[b.At(row)]
			}
			if !had {
				return i, unfillable(t.schema, b, row)
			}
		}
		for k, ord := range t.keys {
			column.AppendRow(c.grow[ord], x.keys[k], row)
		}
		x.sel, x.from = append(x.sel, r), append(x.from, old)
		c.rows++
		t.live++
	}
	return len(rows), nil
}

// delete notes that a row ends with this transaction.
func (x *Txn) delete(ref pkindex.Ref) {
	c := x.t.chunks[ref.Chunk()]
	if len(c.pend) == 0 {
		x.touched = append(x.touched, c)
	}
	c.pend = append(c.pend, uint32(ref.Row()))
	x.t.live--
}

func hasAbsent(b *change.Batch) bool {
	for _, a := range b.Absent {
		if a.Any() {
			return true
		}
	}
	return false
}

func (x *Txn) absent(b *change.Batch, row int) bool {
	for c := range b.Cols {
		if b.IsAbsent(c, row) {
			return true
		}
	}
	return false
}

// fill appends the columns that are not part of the key. A value that was not sent
// is the old row's own, in position order: the old row may be one that this very
// call appended (I5).
func (x *Txn) fill(c *chunk, b *change.Batch) error {
	if len(x.sel) == 0 {
		return nil
	}
	for i := range c.grow {
		if x.t.isKey(i) {
			continue
		}
		if i >= len(b.Absent) || !b.Absent[i].Any() {
			column.Append(c.grow[i], b.Cols[i], x.sel)
			continue
		}
		for k, r := range x.sel {
			if !b.IsAbsent(i, int(r)) {
				column.AppendRow(c.grow[i], b.Cols[i], int(r))
				continue
			}
			if err := x.carry(c.grow[i], i, x.from[k]); err != nil {
				return err
			}
		}
	}
	c.bytes = 0
	for _, v := range c.grow {
		c.bytes += v.Size()
	}
	return nil
}

// carry appends the value of column i in an older row.
func (x *Txn) carry(dst *vector.Vector, i int, from pkindex.Ref) error {
	old := x.t.chunks[from.Chunk()]
	j := old.schema.Ordinal(x.t.schema.Columns[i].ID)
	if j < 0 {
		dst.AppendNull() // the column came after the row
		return nil
	}
	v, err := old.vec(x.t.cache, j)
	if err != nil {
		return err
	}
	column.AppendRow(dst, v, from.Row())
	return nil
}

func (t *Table) isKey(ord int) bool {
	for _, k := range t.keys {
		if k == ord {
			return true
		}
	}
	return false
}

// Truncate removes every row, those of this transaction included.
func (x *Txn) Truncate() {
	t := x.t
	if x.saved == nil {
		m := t.mark(len(x.undo))
		x.saved = &m
	}
	t.order, t.open, t.live, t.index = nil, nil, 0, pkindex.New()
}

// Commit makes the changes part of a version.
func (x *Txn) Commit(version uint64) {
	for _, c := range x.touched {
		c.del.Store(c.del.Load().add(version, c.pend))
		c.pend = c.pend[:0]
	}
	if x.saved != nil {
		x.t.retire(x.begin.order, x.t.order)
	}
}

// retire lets go of chunks that newer views lack.
func (t *Table) retire(old, kept []*chunk) {
	live := make(map[*chunk]bool, len(kept))
	for _, c := range kept {
		live[c] = true
	}
	for _, c := range old {
		if live[c] {
			continue
		}
		c.dead.Store(true)
		switch {
		case c.seg.Load() != nil:
			t.cache.forget(c)
		case c.grow == nil:
			c.unpin(t.cache)
		}
		t.chunks[c.id] = nil
	}
}

// unpin stops counting a chunk that never reached a segment and now belongs only
// to the views that still hold it.
func (c *chunk) unpin(cache *Cache) {
	for i := range c.cols {
		if b := c.cols[i].block.Load(); b != nil {
			cache.bytes.Add(-b.Bytes)
			cache.pinned.Add(-b.Bytes)
		}
	}
}

// Abort takes everything back. version must never be used for anything else.
func (x *Txn) Abort(version uint64) {
	t := x.t
	for _, c := range x.touched {
		c.pend = c.pend[:0]
	}
	back := x.begin
	undone := x.undo
	if x.saved != nil {
		undone = undone[:x.saved.undo]
	}
	t.index = back.index
	for i := len(undone) - 1; i >= 0; i-- {
		x.takeBack(undone[i])
	}
	t.order, t.open, t.live = back.order, back.open, back.live
	t.discard(back, version)
}

func (x *Txn) takeBack(u undo) {
	index := x.t.index
	switch {
	case u.new == noRef:
		_, _, _ = index.Put(u.hash, u.old, func(pkindex.Ref) (bool, error) { return false, nil })
	case u.old == noRef:
		_, _, _ = index.Delete(u.hash, func(r pkindex.Ref) (bool, error) { return r == u.new, nil })
	default:
		index.Move(u.hash, u.new, u.old)
	}
}

// discard removes the chunks and rows that an aborted transaction added.
func (t *Table) discard(back mark, version uint64) {
	for _, c := range t.chunks[back.next:] {
		c.dead.Store(true)
		if c.grow == nil {
			c.unpin(t.cache)
		}
	}
	t.chunks = t.chunks[:back.next]
	c := back.open
	if c == nil {
		return
	}
	if c.grow != nil {
		for _, v := range c.grow {
			truncate(v, back.rows)
		}
		c.rows = back.rows
		return
	}
	// The chunk was sealed on the way: the rows stay, and end where they began.
	t.open = nil
	var dead []uint32
	for r := back.rows; r < c.rows; r++ {
		dead = append(dead, uint32(r))
	}
	c.del.Store(c.del.Load().add(version, dead))
}

// truncate cuts a growing vector to n rows that were frozen before.
func truncate(v *vector.Vector, n int) {
	if v.Len <= n {
		return
	}
	v.Len = n
	cut(&v.Ints, n)
	cut(&v.Floats, n)
	cut(&v.Wide, n)
	cut(&v.Intervals, n)
	cut(&v.DScale, n)
	cut(&v.Strs.Views, n)
	if len(v.Nulls) > vector.Words(n) {
		v.Nulls = v.Nulls[:vector.Words(n)]
	}
	if len(v.Nulls) == vector.Words(n) && n&63 != 0 {
		v.Nulls[n>>6] &= 1<<(uint(n)&63) - 1
	}
}

func cut[T any](s *[]T, n int) {
	if len(*s) > n {
		*s = (*s)[:n]
	}
}

func appendOnly(t *schemas.Table, op change.Op) error {
	return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000",
		Message: "table " + t.FullName() + " is append-only, but its source sent " + op.String() + "s",
		Hint:    "give the source table a primary key, or leave it out of the pipeline, and resync"}
}

func unfillable(t *schemas.Table, b *change.Batch, row int) error {
	return &schemas.Error{Code: schemas.CodeConstraint, SQLState: "23514",
		Message: "table " + t.FullName() + ": the change at " + b.LSN[row].String() + " leaves out unchanged values, but the row is not here to take them from",
		Hint:    "set REPLICA IDENTITY FULL on the source table and resync"}
}
