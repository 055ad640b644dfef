package sstable

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/s2"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/lsm/ikey"
)

// WriterOptions configure a table file.
type WriterOptions struct {
	BlockBytes int  // content of a data block at which the next begins; 0 is 8 KiB
	Plain      bool // no compression
}

// Writer writes one table file. It has one owner.
type Writer struct {
	file    vfs.File
	id      uint64
	opts    WriterOptions
	out     []byte // bytes not yet written
	written uint64 // bytes given to the file
	block   blockBuilder
	index   blockBuilder
	key     []byte
	packed  []byte
	hashes  []uint64
	props   Properties
	any     bool
}

const writeChunk = 256 << 10

// NewWriter starts a table in an empty file, which stays the caller's.
func NewWriter(file vfs.File, id uint64, opts WriterOptions) *Writer {
	if opts.BlockBytes == 0 {
		opts.BlockBytes = 8 << 10
	}
	return &Writer{file: file, id: id, opts: opts, out: encodeHeader(id)}
}

// Add appends a version. Versions come in order. live false is a tombstone.
func (w *Writer) Add(key []byte, lsn uint64, value []byte, live bool) error {
	if !w.any || !bytes.Equal(key, w.key[:len(w.key)-ikey.TrailerLen]) {
		w.hashes = append(w.hashes, hashKey(key))
	}
	w.note(key, lsn, live)
	w.key = ikey.Append(w.key[:0], key, lsn)
	w.block.add(w.key, value, live)
	if w.block.size() < w.opts.BlockBytes {
		return nil
	}
	return w.finishBlock()
}

func (w *Writer) note(key []byte, lsn uint64, live bool) {
	p := &w.props
	if !w.any {
		w.any = true
		p.MinKey = bytes.Clone(key)
		p.MinLSN, p.MaxLSN = lsn, lsn
	}
	p.Entries++
	if !live {
		p.Tombstones++
	}
	p.MinLSN, p.MaxLSN = min(p.MinLSN, lsn), max(p.MaxLSN, lsn)
}

// finishBlock writes the data block and notes its last key in the index.
func (w *Writer) finishBlock() error {
	if w.block.n == 0 {
		return nil
	}
	h := w.put(w.block.finish(), !w.opts.Plain)
	w.block.reset()
	value := binary.AppendUvarint(nil, h.offset)
	value = binary.AppendUvarint(value, h.length)
	w.index.add(w.key, value, true)
	if len(w.out) < writeChunk {
		return nil
	}
	return w.flush()
}

// put adds a block and its trailer to what is to be written.
func (w *Writer) put(content []byte, compress bool) handle {
	kind := byte(kindPlain)
	if compress {
		if n := s2.MaxEncodedLen(len(content)); cap(w.packed) < n {
			w.packed = make([]byte, n)
		}
		// A block that hardly shrinks is stored as it is, to read faster.
		if packed := s2.Encode(w.packed[:cap(w.packed)], content); len(packed) < len(content)-len(content)/8 {
			content, kind = packed, kindS2
		}
	}
	h := handle{offset: w.written + uint64(len(w.out)), length: uint64(len(content))}
	begin := len(w.out)
	w.out = append(append(w.out, content...), kind)
	w.out = binary.LittleEndian.AppendUint32(w.out, blockChecksum(w.id, h.offset, w.out[begin:]))
	return h
}

func (w *Writer) flush() error {
	_, err := w.file.Write(w.out)
	w.written += uint64(len(w.out))
	w.out = w.out[:0]
	if err != nil {
		return fmt.Errorf("write table %d: %w", w.id, err)
	}
	return nil
}

// Bytes is the size of the file so far.
func (w *Writer) Bytes() int64 { return int64(w.written) + int64(len(w.out)+w.block.size()) }

// Entries is how many versions were added.
func (w *Writer) Entries() int64 { return w.props.Entries }

// Finish writes the rest and syncs the file. The table needs at least one version.
func (w *Writer) Finish() (Properties, int64, error) {
	w.props.MaxKey = bytes.Clone(w.key[:len(w.key)-ikey.TrailerLen])
	if err := w.finishBlock(); err != nil {
		return w.props, 0, err
	}
	f := footer{file: w.id}
	f.filter = w.put(buildFilter(w.hashes), false)
	f.index = w.put(w.index.finish(), false)
	f.properties = w.put(w.props.encode(), false)
	w.out = append(w.out, f.encode()...)
	if err := w.flush(); err != nil {
		return w.props, 0, err
	}
	if err := w.file.Sync(); err != nil {
		return w.props, 0, fmt.Errorf("sync table %d: %w", w.id, err)
	}
	return w.props, int64(w.written), nil
}
