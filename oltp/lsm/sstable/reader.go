package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"unsafe"

	"github.com/klauspost/compress/s2"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/lsm/ikey"
	"github.com/millrace/millrace/schemas"
)

// Reader reads one table file. Safe for concurrent use. Index and filter stay in
// memory.
type Reader struct {
	file   vfs.File
	id     uint64
	cache  *Cache
	filter []byte
	index  []indexEntry
	props  Properties
}

// indexEntry names the last version of a data block.
type indexEntry struct {
	key    []byte
	lsn    uint64
	handle handle
}

// Open reads a table's footer, properties, index and filter. The file becomes
// the reader's on success.
func Open(file vfs.File, id uint64, cache *Cache) (*Reader, error) {
	r := &Reader{file: file, id: id, cache: cache}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("open table %d: %w", id, err)
	}
	return r, nil
}

func (r *Reader) open() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < headerLen+footerLen {
		return fmt.Errorf("%w: %d bytes are too short", kv.ErrCorrupt, info.Size())
	}
	if err := r.checkHeader(); err != nil {
		return err
	}
	b := make([]byte, footerLen)
	if err := r.readAt(b, info.Size()-footerLen); err != nil {
		return err
	}
	f, err := decodeFooter(b)
	if err != nil {
		return err
	}
	if f.file != r.id {
		return fmt.Errorf("%w: the footer is that of table %d", kv.ErrCorrupt, f.file)
	}
	return r.load(f)
}

func (r *Reader) checkHeader() error {
	b := make([]byte, headerLen)
	if err := r.readAt(b, 0); err != nil {
		return err
	}
	if string(b[:8]) != magic || binary.LittleEndian.Uint32(b[12:]) != 0 {
		return fmt.Errorf("%w: not a table", kv.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return schemas.Errorf(schemas.CodeUnsupported, "0A000", "table format %d; this program reads format %d", v, version)
	}
	if id := binary.LittleEndian.Uint64(b[16:]); id != r.id {
		return fmt.Errorf("%w: the header is that of table %d", kv.ErrCorrupt, id)
	}
	return nil
}

func (r *Reader) load(f footer) error {
	props, err := r.readBlock(f.properties)
	if err != nil {
		return err
	}
	if r.props, err = decodeProperties(props); err != nil {
		return err
	}
	if r.filter, err = r.readBlock(f.filter); err != nil {
		return err
	}
	index, err := r.readBlock(f.index)
	if err != nil {
		return err
	}
	return r.loadIndex(index)
}

func (r *Reader) loadIndex(content []byte) error {
	var it blockIter
	if err := it.init(content); err != nil {
		return err
	}
	var keys []byte
	var ends []int
	for ok := it.first(); ok; ok = it.forward() {
		d := decoder{b: it.value}
		e := indexEntry{lsn: it.lsn(), handle: handle{offset: d.uvarint(), length: d.uvarint()}}
		if d.bad {
			return it.corrupt("index entry")
		}
		keys = append(keys, it.userKey()...)
		ends = append(ends, len(keys))
		r.index = append(r.index, e)
	}
	begin := 0
	for i, end := range ends {
		r.index[i].key = keys[begin:end:end]
		begin = end
	}
	return it.err
}

func (r *Reader) readAt(b []byte, off int64) error {
	if _, err := r.file.ReadAt(b, off); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: table ends before byte %d", kv.ErrCorrupt, off+int64(len(b)))
		}
		return err
	}
	return nil
}

// readBlock reads a block from disk and checks it (I8).
func (r *Reader) readBlock(h handle) ([]byte, error) {
	if h.length > 1<<32 {
		return nil, fmt.Errorf("%w: table %d: block of %d bytes", kv.ErrCorrupt, r.id, h.length)
	}
	b := make([]byte, h.length+blockTrailer)
	if err := r.readAt(b, int64(h.offset)); err != nil {
		return nil, fmt.Errorf("table %d, block at %d: %w", r.id, h.offset, err)
	}
	end := len(b) - 4
	if blockChecksum(r.id, h.offset, b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, fmt.Errorf("%w: table %d, block at %d: checksum", kv.ErrCorrupt, r.id, h.offset)
	}
	content := b[: end-1 : end-1]
	switch b[end-1] {
	case kindPlain:
		return content, nil
	case kindS2:
		content, err := s2.Decode(nil, content)
		if err != nil {
			return nil, fmt.Errorf("%w: table %d, block at %d: %w", kv.ErrCorrupt, r.id, h.offset, err)
		}
		return content, nil
	}
	return nil, fmt.Errorf("%w: table %d, block at %d: kind %d", kv.ErrCorrupt, r.id, h.offset, b[end-1])
}

// data returns a data block's content from the cache or the disk. Without fill
// the cache is left alone: background work reads each block once.
func (r *Reader) data(h handle, fill bool) ([]byte, error) {
	if !fill {
		return r.readBlock(h)
	}
	key := cacheKey{r.id, h.offset}
	if content := r.cache.get(key); content != nil {
		return content, nil
	}
	content, err := r.readBlock(h)
	if err == nil {
		r.cache.put(key, content)
	}
	return content, err
}

// Properties describes the table.
func (r *Reader) Properties() Properties { return r.props }

// MemoryBytes is what index and filter take.
func (r *Reader) MemoryBytes() int64 {
	n := len(r.filter)
	for i := range r.index {
		n += len(r.index[i].key) + int(unsafe.Sizeof(r.index[i]))
	}
	return int64(n)
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

// block returns the index of the first data block that can hold a version at or
// after (key, lsn), the number of blocks when there is none.
func (r *Reader) block(key []byte, lsn uint64) int {
	return sort.Search(len(r.index), func(i int) bool {
		e := &r.index[i]
		return ikey.Compare(e.key, e.lsn, key, lsn) >= 0
	})
}

// Hash is what MayContain wants of a user key.
func Hash(key []byte) uint64 { return hashKey(key) }

// MayContain asks the filter; false is certain.
func (r *Reader) MayContain(hash uint64) bool { return mayContain(r.filter, hash) }

// Scratch is memory that Get reuses. The zero value is ready.
type Scratch struct{ it blockIter }

// Get returns the newest version of a key at or below lsn. found and !live is a
// tombstone. The value must not be changed and holds as long as it is kept.
func (r *Reader) Get(key []byte, lsn uint64, s *Scratch) (value []byte, live, found bool, err error) {
	i := r.block(key, lsn)
	if i == len(r.index) {
		return nil, false, false, nil
	}
	content, err := r.data(r.index[i].handle, true)
	if err != nil {
		return nil, false, false, err
	}
	if err := s.it.init(content); err != nil {
		return nil, false, false, err
	}
	if !s.it.seekGE(key, lsn) || !bytes.Equal(s.it.userKey(), key) {
		return nil, false, false, s.it.err
	}
	return s.it.value, s.it.live, true, nil
}
