// Package pkindex maps the hash of a primary key to the newest row that has it,
// in sharded open addressing over slots without pointers.
//
// A slot is 8 bytes: 24 bits of the hash, from which the slot's home follows, so
// that growth reads no keys, and 40 bits of row reference plus one; zero is free:
//
//	 63          40 39                     0
//	+--------------+------------------------+
//	| hash tag     | row reference + 1      |
//	+--------------+------------------------+
//
// Equal tags do not make equal keys: the caller verifies each candidate against
// the key columns.
package pkindex

import "fmt"

// Ref is a row reference of 40 bits: the chunk's number in the upper 24, the row
// within it in the lower 16.
type Ref uint64

// MaxRef is the greatest reference that a slot holds.
const MaxRef Ref = 1<<refBits - 2

// MakeRef makes a reference.
func MakeRef(chunk uint32, row int) Ref { return Ref(chunk)<<16 | Ref(row) }

// Chunk is the number of the row's chunk.
func (r Ref) Chunk() uint32 { return uint32(r >> 16) }

// Row is the row within the chunk.
func (r Ref) Row() int { return int(r & 0xFFFF) }

const (
	refBits  = 40
	refMask  = 1<<refBits - 1
	tagBits  = 24
	shards   = 1024
	minSlots = 8
)

// Index is the index of one table. It has one owner.
type Index struct {
	shards [shards]shard
	len    int
	slots  int
}

type shard struct {
	slots []uint64
	used  int
}

// Match says whether the row behind a reference has the key looked for. It may
// fail because it may have to read the key columns.
type Match func(Ref) (bool, error)

// New makes an empty index.
func New() *Index { return &Index{} }

// Len is the number of keys.
func (x *Index) Len() int { return x.len }

// Bytes is the memory of the slots.
func (x *Index) Bytes() int64 { return 8 * int64(x.slots) }

// The lower bits choose the shard, the upper ones are the tag.
func split(hash uint64) (shardNo int, tag uint64) {
	return int(hash % shards), hash >> (64 - tagBits)
}

func (s *shard) home(tag uint64) int { return int(tag * uint64(len(s.slots)) >> tagBits) }

func (s *shard) next(i int) int {
	if i++; i == len(s.slots) {
		return 0
	}
	return i
}

// find returns the index of the key's slot, or -1.
func (s *shard) find(tag uint64, match Match) (int, error) {
	if s.used == 0 {
		return -1, nil
	}
	for i := s.home(tag); s.slots[i] != 0; i = s.next(i) {
		if s.slots[i]>>refBits != tag {
			continue
		}
		ok, err := match(Ref(s.slots[i]&refMask) - 1)
		if err != nil {
			return -1, err
		}
		if ok {
			return i, nil
		}
	}
	return -1, nil
}

// Find returns the row that has a key.
func (x *Index) Find(hash uint64, match Match) (Ref, bool, error) {
	n, tag := split(hash)
	s := &x.shards[n]
	i, err := s.find(tag, match)
	if i < 0 {
		return 0, false, err
	}
	return Ref(s.slots[i]&refMask) - 1, true, nil
}

// Put maps a key to a row and returns the row it was mapped to before.
func (x *Index) Put(hash uint64, ref Ref, match Match) (old Ref, replaced bool, err error) {
	if ref > MaxRef {
		return 0, false, fmt.Errorf("row reference %d is over %d", ref, MaxRef)
	}
	n, tag := split(hash)
	s := &x.shards[n]
	i, err := s.find(tag, match)
	if err != nil {
		return 0, false, err
	}
	slot := tag<<refBits | uint64(ref+1)
	if i >= 0 {
		old = Ref(s.slots[i]&refMask) - 1
		s.slots[i] = slot
		return old, true, nil
	}
	x.insert(s, slot)
	return 0, false, nil
}

func (x *Index) insert(s *shard, slot uint64) {
	if (s.used+1)*8 > len(s.slots)*7 {
		x.grow(s)
	}
	s.place(slot)
	s.used++
	x.len++
}

func (s *shard) place(slot uint64) {
	i := s.home(slot >> refBits)
	for s.slots[i] != 0 {
		i = s.next(i)
	}
	s.slots[i] = slot
}

// grow enlarges one shard by a quarter, so that no insert pauses for long.
func (x *Index) grow(s *shard) {
	old := s.slots
	s.slots = make([]uint64, max(minSlots, len(old)+len(old)/4))
	x.slots += len(s.slots) - len(old)
	for _, slot := range old {
		if slot != 0 {
			s.place(slot)
		}
	}
}

// Delete removes a key and returns the row it was mapped to.
func (x *Index) Delete(hash uint64, match Match) (old Ref, found bool, err error) {
	n, tag := split(hash)
	s := &x.shards[n]
	i, err := s.find(tag, match)
	if i < 0 {
		return 0, false, err
	}
	old = Ref(s.slots[i]&refMask) - 1
	s.remove(i)
	x.len--
	return old, true, nil
}

// remove frees slot i and moves back what probed past it, so that no tombstones
// are needed (Knuth, volume 3, algorithm 6.4R).
func (s *shard) remove(i int) {
	s.used--
	n := len(s.slots)
	for j := s.next(i); s.slots[j] != 0; j = s.next(j) {
		// The distance from the home tells whether slot j may move to i.
		home := s.home(s.slots[j] >> refBits)
		if (j-home+n)%n >= (j-i+n)%n {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
	s.slots[i] = 0
}

// Move maps a key that points at from to to, and does nothing when it points
// elsewhere by now.
func (x *Index) Move(hash uint64, from, to Ref) bool {
	n, tag := split(hash)
	s := &x.shards[n]
	if s.used == 0 {
		return false
	}
	want := tag<<refBits | uint64(from+1)
	for i := s.home(tag); s.slots[i] != 0; i = s.next(i) {
		if s.slots[i] == want {
			s.slots[i] = tag<<refBits | uint64(to+1)
			return true
		}
	}
	return false
}

// Clear removes every key.
func (x *Index) Clear() { *x = Index{} }
