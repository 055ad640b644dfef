package exec

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// groupTable numbers the distinct rows of some columns in the order they appear: open
// addressing over the hash, the keys themselves in flat vectors by group. A single integer
// key stands in the slots, so that a look at a slot decides.
type groupTable struct {
	keys   []*vector.Vector
	hashes []uint64 // by group
	slots  []slot
	ints   []intSlot // instead of slots, for one integer key
	mask   uint64
	hasher kernel.Hasher
	single bool
}

// slot is a group number plus 1, 0 when empty, and 32 bits of the hash.
type slot struct {
	group uint32
	tag   uint32
}

// intSlot is a key that is not NULL and its group number plus 1, 0 when empty. The group
// of NULL has a slot whose isNull is set.
type intSlot struct {
	key    int64
	group  uint32
	isNull bool
}

const minSlots = 1024

func newGroupTable(keys []plan.Column, seed maphash.Seed) *groupTable {
	t := &groupTable{hasher: kernel.Hasher{Seed: seed}}
	for _, k := range keys {
		t.keys = append(t.keys, vector.New(k.Type, 0))
	}
	t.single = len(keys) == 1 && keys[0].Type.Kind.Layout() == schemas.LayoutInt
	t.setSlots(minSlots)
	return t
}

// setSlots makes n empty slots, n a power of two.
func (t *groupTable) setSlots(n int) {
	t.mask = uint64(n - 1)
	if t.single {
		t.ints = make([]intSlot, n)
	} else {
		t.slots = make([]slot, n)
	}
}

// expect makes room for n groups in an empty table.
func (t *groupTable) expect(n int) {
	size := minSlots
	for size < 2*n {
		size *= 2
	}
	if size > minSlots {
		t.setSlots(size)
	}
	t.hashes = make([]uint64, 0, n)
	if t.single {
		t.keys[0].Ints = make([]int64, 0, n)
	}
}

// takeSlots gives t the slots of a table that is not looked up any more.
func (t *groupTable) takeSlots(o *groupTable) {
	clear(o.slots)
	clear(o.ints)
	t.slots, t.ints, t.mask = o.slots, o.ints, o.mask
	o.slots, o.ints = nil, nil
}

// groups is how many there are.
func (t *groupTable) groups() int { return len(t.hashes) }

// bytes estimates the memory held.
func (t *groupTable) bytes() int64 {
	n := int64(8*cap(t.slots) + 16*cap(t.ints) + 8*cap(t.hashes))
	for _, k := range t.keys {
		n += k.Size()
	}
	return n
}

// find sets out[i] to the group of row i of dense columns, making groups for new
// rows.
func (t *groupTable) find(out []uint32, hashes []uint64, cols []*vector.Vector) {
	t.hasher.Hash(hashes, cols)
	if t.single && cols[0].Enc == vector.Flat && cols[0].Nulls == nil && cols[0].Type.Kind != schemas.Bool {
		t.findInts(out, hashes, cols[0].Ints)
		return
	}
	for i, h := range hashes {
		out[i] = t.findRow(h, cols, i)
	}
}

// findInts is the loop of one integer key without NULLs.
func (t *groupTable) findInts(out []uint32, hashes []uint64, keys []int64) {
	keys, out = keys[:len(hashes)], out[:len(hashes)]
	for i, h := range hashes {
		s := &t.ints[h&t.mask]
		if s.key == keys[i] && s.group != 0 && !s.isNull {
			out[i] = s.group - 1
			continue
		}
		out[i] = t.findInt(h, keys[i], false)
	}
}

// findInt finds or makes the group of one integer key.
func (t *groupTable) findInt(h uint64, key int64, isNull bool) uint32 {
	for at := h & t.mask; ; at = (at + 1) & t.mask {
		s := &t.ints[at]
		if s.group == 0 {
			if isNull {
				t.keys[0].AppendNull()
			} else {
				t.keys[0].AppendInt(key)
			}
			t.hashes = append(t.hashes, h)
			g := uint32(len(t.hashes))
			*s = intSlot{key: key, group: g, isNull: isNull}
			if 2*int(g) > len(t.ints) {
				t.grow()
			}
			return g - 1
		}
		if s.key == key && s.isNull == isNull {
			return s.group - 1
		}
	}
}

// findRow finds or makes the group of one row.
func (t *groupTable) findRow(h uint64, cols []*vector.Vector, row int) uint32 {
	if t.single {
		if cols[0].Null(row) {
			return t.findInt(h, 0, true)
		}
		return t.findInt(h, cols[0].Int(row), false)
	}
	for at := h & t.mask; ; at = (at + 1) & t.mask {
		s := t.slots[at]
		if s.group == 0 {
			for k, c := range cols {
				kernel.Append(t.keys[k], c, kernel.Rows{Lo: row, N: 1})
			}
			return t.insert(at, h)
		}
		if s.tag == uint32(h>>32) && t.equal(int(s.group-1), cols, row) {
			return s.group - 1
		}
	}
}

func (t *groupTable) equal(group int, cols []*vector.Vector, row int) bool {
	for k, c := range cols {
		if !kernel.Equal(t.keys[k], group, c, row) {
			return false
		}
	}
	return true
}

// insert gives the row that was appended to the keys its slot.
func (t *groupTable) insert(at, h uint64) uint32 {
	t.hashes = append(t.hashes, h)
	g := uint32(len(t.hashes))
	t.slots[at] = slot{group: g, tag: uint32(h >> 32)}
	if 2*len(t.hashes) > len(t.slots) {
		t.grow()
	}
	return g - 1
}

func (t *groupTable) grow() {
	t.setSlots(4 * int(t.mask+1))
	if t.single {
		t.growInts()
		return
	}
	for g, h := range t.hashes {
		at := h & t.mask
		for t.slots[at].group != 0 {
			at = (at + 1) & t.mask
		}
		t.slots[at] = slot{group: uint32(g + 1), tag: uint32(h >> 32)}
	}
}

func (t *groupTable) growInts() {
	for g, h := range t.hashes {
		at := h & t.mask
		for t.ints[at].group != 0 {
			at = (at + 1) & t.mask
		}
		t.ints[at] = intSlot{key: t.keys[0].Ints[g], group: uint32(g + 1), isNull: t.keys[0].Nulls.Get(g)}
	}
}
