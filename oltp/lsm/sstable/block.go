package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/ikey"
)

// blockBuilder makes a block's content.
type blockBuilder struct {
	buf      []byte
	restarts []uint32
	last     []byte
	n        int
}

// add appends an entry under an encoded key, greater than the last.
func (b *blockBuilder) add(key, value []byte, live bool) {
	shared := 0
	if b.n%restartEvery == 0 {
		b.restarts = append(b.restarts, uint32(len(b.buf)))
	} else {
		for shared < len(key) && shared < len(b.last) && key[shared] == b.last[shared] {
			shared++
		}
	}
	b.n++
	b.buf = binary.AppendUvarint(b.buf, uint64(shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(key)-shared))
	size := uint64(0)
	if live {
		size = uint64(len(value)) + 1
	}
	b.buf = binary.AppendUvarint(b.buf, size)
	b.buf = append(b.buf, key[shared:]...)
	b.buf = append(b.buf, value...)
	b.last = append(b.last[:0], key...)
}

func (b *blockBuilder) size() int { return len(b.buf) + 4*len(b.restarts) + 4 }

func (b *blockBuilder) finish() []byte {
	for _, r := range b.restarts {
		b.buf = binary.LittleEndian.AppendUint32(b.buf, r)
	}
	b.buf = binary.LittleEndian.AppendUint32(b.buf, uint32(len(b.restarts)))
	return b.buf
}

func (b *blockBuilder) reset() {
	b.buf, b.restarts, b.last, b.n = b.buf[:0], b.restarts[:0], b.last[:0], 0
}

// blockIter walks a block's content.
type blockIter struct {
	data     []byte // entries
	restarts []byte
	n        int // restarts
	off      int // of the present entry
	next     int // of the one after
	key      []byte
	value    []byte
	live     bool
	err      error
}

// init places the iterator on no entry of a block.
func (it *blockIter) init(content []byte) error {
	it.err, it.off, it.next, it.key = nil, 0, 0, it.key[:0]
	if len(content) < 8 {
		return it.corrupt("too short")
	}
	it.n = int(binary.LittleEndian.Uint32(content[len(content)-4:]))
	at := len(content) - 4 - 4*it.n
	if it.n <= 0 || at <= 0 || at > len(content) {
		return it.corrupt("restarts")
	}
	it.data, it.restarts = content[:at], content[at:len(content)-4]
	return nil
}

func (it *blockIter) corrupt(what string) error {
	it.err = fmt.Errorf("%w: block structure: %s", kv.ErrCorrupt, what)
	return it.err
}

// bad notes damage and is what a move returns then.
func (it *blockIter) bad(what string) bool {
	_ = it.corrupt(what)
	return false
}

func (it *blockIter) restart(i int) int {
	return int(binary.LittleEndian.Uint32(it.restarts[4*i:]))
}

// lengths reads the three numbers before an entry's key. n is 0 when they are damaged.
func (it *blockIter) lengths(off int) (shared, unshared, size, n int) {
	d := it.data[off:]
	if len(d) >= 3 && d[0]|d[1]|d[2] < 0x80 {
		return int(d[0]), int(d[1]), int(d[2]), 3
	}
	a, i := binary.Uvarint(d)
	if i <= 0 {
		return 0, 0, 0, 0
	}
	b, j := binary.Uvarint(d[i:])
	if j <= 0 {
		return 0, 0, 0, 0
	}
	c, k := binary.Uvarint(d[i+j:])
	if k <= 0 || a|b|c > 1<<40 {
		return 0, 0, 0, 0
	}
	return int(a), int(b), int(c), i + j + k
}

// read decodes the entry at an offset, whose predecessor's key is in it.key.
func (it *blockIter) read(off int) bool {
	if off >= len(it.data) {
		return false
	}
	shared, unshared, size, n := it.lengths(off)
	length := max(size-1, 0)
	end := off + n + unshared + length
	if n == 0 || shared > len(it.key) || end > len(it.data) || shared+unshared < ikey.TrailerLen {
		return it.bad("entry")
	}
	it.off, it.next, it.live = off, end, size > 0
	keyEnd := off + n + unshared
	it.key = append(it.key[:shared], it.data[off+n:keyEnd]...)
	it.value = it.data[keyEnd:end:end]
	return true
}

// userKey and lsn split the present entry's key.
func (it *blockIter) userKey() []byte { return it.key[:len(it.key)-ikey.TrailerLen] }

func (it *blockIter) lsn() uint64 {
	return ^binary.BigEndian.Uint64(it.key[len(it.key)-ikey.TrailerLen:])
}

func (it *blockIter) first() bool { it.key = it.key[:0]; return it.read(0) }

func (it *blockIter) forward() bool { return it.read(it.next) }

func (it *blockIter) last() bool {
	it.key = it.key[:0]
	return it.walk(it.restart(it.n-1), len(it.data))
}

// walk reads from a restart to the last entry that begins before an offset.
func (it *blockIter) walk(from, before int) bool {
	it.key = it.key[:0]
	for ok := it.read(from); ok; ok = it.read(it.next) {
		if it.next >= before {
			return true
		}
	}
	return false
}

// back moves to the entry before the present one.
func (it *blockIter) back() bool {
	if it.off == 0 {
		return false
	}
	i := it.n - 1
	for i > 0 && it.restart(i) >= it.off {
		i--
	}
	return it.walk(it.restart(i), it.off)
}

// restartBefore returns the last restart whose key is before (key, lsn), 0 when none is.
func (it *blockIter) restartBefore(key []byte, lsn uint64) (int, bool) {
	lo, hi := 0, it.n // every restart before lo is before the key, none from hi on
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		off := it.restart(mid)
		if off >= len(it.data) {
			return 0, it.bad("restart")
		}
		_, unshared, _, n := it.lengths(off)
		if n == 0 || unshared < ikey.TrailerLen || off+n+unshared > len(it.data) {
			return 0, it.bad("restart entry")
		}
		k, l := ikey.Split(it.data[off+n : off+n+unshared])
		if ikey.Compare(k, l, key, lsn) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return it.restart(max(lo-1, 0)), true
}

// seekGE moves to the first entry at or after (key, lsn).
func (it *blockIter) seekGE(key []byte, lsn uint64) bool {
	off, ok := it.restartBefore(key, lsn)
	if !ok {
		return false
	}
	it.key = it.key[:0]
	for ok := it.read(off); ok; ok = it.read(it.next) {
		c := bytes.Compare(it.userKey(), key)
		if c > 0 || c == 0 && it.lsn() <= lsn {
			return true
		}
	}
	return false
}

// seekLT moves to the last entry before (key, lsn).
func (it *blockIter) seekLT(key []byte, lsn uint64) bool {
	off, ok := it.restartBefore(key, lsn)
	if !ok {
		return false
	}
	it.key = it.key[:0]
	before := off
	for ok := it.read(off); ok; ok = it.read(it.next) {
		if ikey.Compare(it.userKey(), it.lsn(), key, lsn) >= 0 {
			break
		}
		before = it.next
	}
	if it.err != nil || before == off {
		return false
	}
	return it.walk(off, before)
}
