package exec

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// groupTable numbers the distinct rows of some columns: open addressing over the
// hash, the keys themselves in flat vectors by group.
type groupTable struct {
	keys   []*vector.Vector
	hashes []uint64 // by group
	slots  []slot
	mask   uint64
	hasher kernel.Hasher
	single bool // one integer key: compared without a look at its type
}

// slot is a group number plus 1, 0 when empty, and 32 bits of the hash.
type slot struct {
	group uint32
	tag   uint32
}

const minSlots = 1024

func newGroupTable(keys []plan.Column, seed maphash.Seed) *groupTable {
	t := &groupTable{hasher: kernel.Hasher{Seed: seed}}
	for _, k := range keys {
		t.keys = append(t.keys, vector.New(k.Type, 0))
	}
	t.single = len(keys) == 1 && keys[0].Type.Kind.Layout() == schemas.LayoutInt
	t.slots, t.mask = make([]slot, minSlots), minSlots-1
	return t
}

// groups is how many there are.
func (t *groupTable) groups() int { return len(t.hashes) }

// bytes estimates the memory held.
func (t *groupTable) bytes() int64 {
	n := int64(8*cap(t.slots) + 8*cap(t.hashes))
	for _, k := range t.keys {
		n += k.Size()
	}
	return n
}

// find sets out[i] to the group of row i of dense columns, making groups for new
// rows.
func (t *groupTable) find(out []uint32, hashes []uint64, cols []*vector.Vector) {
	t.hasher.Hash(hashes, cols)
	t.findHashed(out, hashes, cols)
}

func (t *groupTable) findHashed(out []uint32, hashes []uint64, cols []*vector.Vector) {
	if t.single && cols[0].Enc == vector.Flat && cols[0].Nulls == nil && t.keys[0].Nulls == nil {
		t.findInts(out, hashes, cols[0].Ints)
		return
	}
	for i, h := range hashes {
		out[i] = t.findRow(h, cols, i)
	}
}

// findInts is the loop of one integer key without NULLs.
func (t *groupTable) findInts(out []uint32, hashes []uint64, keys []int64) {
	keys = keys[:len(hashes)]
	out = out[:len(hashes)]
	for i, h := range hashes {
		key := keys[i]
		for at := h & t.mask; ; at = (at + 1) & t.mask {
			s := t.slots[at]
			if s.group == 0 {
				v := t.keys[0]
				v.Ints = append(v.Ints, key)
				v.Len++
				out[i] = t.insert(at, h)
				break
			}
			if s.tag == uint32(h>>32) && t.keys[0].Ints[s.group-1] == key {
				out[i] = s.group - 1
				break
			}
		}
	}
}

// findRow finds or makes the group of one row.
func (t *groupTable) findRow(h uint64, cols []*vector.Vector, row int) uint32 {
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
	t.slots = make([]slot, 4*len(t.slots))
	t.mask = uint64(len(t.slots) - 1)
	for g, h := range t.hashes {
		at := h & t.mask
		for t.slots[at].group != 0 {
			at = (at + 1) & t.mask
		}
		t.slots[at] = slot{group: uint32(g + 1), tag: uint32(h >> 32)}
	}
}

// findInt finds or makes the group of one integer key that is not NULL.
func (t *groupTable) findInt(h uint64, key int64) uint32 {
	for at := h & t.mask; ; at = (at + 1) & t.mask {
		s := t.slots[at]
		if s.group == 0 {
			v := t.keys[0]
			v.Ints = append(v.Ints, key)
			v.Len++
			return t.insert(at, h)
		}
		if s.tag == uint32(h>>32) && t.keys[0].Ints[s.group-1] == key {
			return s.group - 1
		}
	}
}
