package postgres

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// transaction holds the messages of a transaction until its commit says where it
// ends: in memory up to a budget, beyond it in a file (I6). The file is blocks of
//
//	length uint32, CRC32C uint32, length bytes of messages
//
// and a message is its length as uint32 and its bytes, little endian. The file is
// removed with the transaction; a crash leaves it to be removed by name.
type transaction struct {
	fs     vfs.FS
	path   string
	budget int64
	count  prometheus.Counter

	open   bool
	buf    []byte
	file   vfs.File
	blocks []int // lengths, in order
	read   []byte
}

// blockBytes bounds a block of the file, so that reading it back takes little memory.
const blockBytes = 1 << 20

// messageHead is the length before a message.
const messageHead = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newTransaction(o Options, m *metrics) *transaction {
	return &transaction{fs: o.FS, path: filepath.Join(o.SpillDir, "millrace-spill-"+o.Slot), budget: o.TransactionMemory, count: m.spilled}
}

// begin starts a transaction.
func (t *transaction) begin() error {
	if err := t.reset(); err != nil {
		return err
	}
	t.open = true
	return nil
}

// add keeps a message, copied.
func (t *transaction) add(msg []byte) error {
	t.buf = appendMessage(t.buf, msg)
	if int64(len(t.buf)) < t.budget {
		return nil
	}
	return t.spill()
}

func appendMessage(buf, msg []byte) []byte {
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(msg)))
	return append(buf, msg...)
}

// spill moves what memory holds to the file, cut into blocks at messages.
func (t *transaction) spill() error {
	if t.file == nil {
		f, err := t.fs.Create(t.path)
		if err != nil {
			return vfs.Typed("make the file for a large transaction", err)
		}
		t.file = f
	}
	for rest := t.buf; len(rest) > 0; {
		n := 0
		for n < len(rest) && n < blockBytes {
			n += messageHead + int(binary.LittleEndian.Uint32(rest[n:]))
		}
		if err := t.writeBlock(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	t.buf = t.buf[:0]
	return nil
}

func (t *transaction) writeBlock(b []byte) error {
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(b)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(b, castagnoli))
	for _, p := range [...][]byte{head[:], b} {
		if _, err := t.file.Write(p); err != nil {
			return vfs.Typed("write a large transaction to "+t.path, err)
		}
	}
	t.blocks = append(t.blocks, len(b))
	t.count.Add(float64(len(b)))
	return nil
}

// each calls f with every message in order; the bytes are lent.
func (t *transaction) each(f func(msg []byte) error) error {
	off := int64(0)
	for _, n := range t.blocks {
		b, err := t.readBlock(off, n)
		if err != nil {
			return err
		}
		if err := eachMessage(b, f); err != nil {
			return err
		}
		off += int64(8 + n)
	}
	return eachMessage(t.buf, f)
}

// readBlock reads and checks a block (I8).
func (t *transaction) readBlock(off int64, n int) ([]byte, error) {
	if cap(t.read) < 8+n {
		t.read = make([]byte, 8+n)
	}
	b := t.read[:8+n]
	if _, err := t.file.ReadAt(b, off); err != nil {
		return nil, vfs.Typed("read a large transaction from "+t.path, err)
	}
	if int(binary.LittleEndian.Uint32(b)) != n || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return nil, schemas.Errorf(schemas.CodeCorrupt, "XX001", "the file of a large transaction, %s, is corrupt at byte %d", t.path, off)
	}
	return b[8:], nil
}

func eachMessage(b []byte, f func([]byte) error) error {
	for len(b) > 0 {
		n := int(binary.LittleEndian.Uint32(b))
		if err := f(b[messageHead : messageHead+n : messageHead+n]); err != nil {
			return err
		}
		b = b[messageHead+n:]
	}
	return nil
}

// reset forgets the transaction and removes its file. Memory that an unusually
// large message took is given back.
func (t *transaction) reset() error {
	t.open, t.blocks = false, t.blocks[:0]
	if t.buf = t.buf[:0]; cap(t.buf) > int(t.budget)+blockBytes {
		t.buf = nil
	}
	if cap(t.read) > 4*blockBytes {
		t.read = nil
	}
	if t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %s: %w", t.path, err)
	}
	return t.fs.Remove(t.path)
}
