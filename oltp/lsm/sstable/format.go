// Package sstable writes and reads immutable files of sorted versions.
//
// A file is a header, data blocks, a filter, an index, the table's properties
// and a footer that says where these are:
//
//	+--------+------+-----+------+--------+-------+------------+--------+
//	| header | data | ... | data | filter | index | properties | footer |
//	+--------+------+-----+------+--------+-------+------------+--------+
//
//	header:  magic 8 | version u32 | zero u32 | file id u64
//	footer:  3 × (offset u64, length u64): filter, index, properties | file id u64 | crc u32 | version u32
//	block:   content, maybe compressed | kind u8 | crc u32
//	content: entries | restart offset u32 ... | number of restarts u32
//	entry:   shared uvarint | unshared uvarint | value length+1 uvarint | key bytes | value
//
// Numbers are little-endian. A key ends with the complement of its LSN, 8 bytes
// big-endian. A value length+1 of 0 is a tombstone. kind is 0 plain, 1 S2. crc is
// CRC-32C over file id, block offset, content and kind, so a block that was
// written or read in the wrong place does not pass.
package sstable

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/millrace/millrace/oltp/kv"
)

const (
	magic        = "MILLRSST"
	version      = 1
	headerLen    = 24
	footerLen    = 64
	blockTrailer = 5

	kindPlain = 0
	kindS2    = 1

	restartEvery = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// handle says where a block lies; length excludes the trailer.
type handle struct{ offset, length uint64 }

func blockChecksum(file, offset uint64, content []byte) uint32 {
	var seed [16]byte
	binary.LittleEndian.PutUint64(seed[:], file)
	binary.LittleEndian.PutUint64(seed[8:], offset)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, content)
}

func encodeHeader(file uint64) []byte {
	b := make([]byte, 0, headerLen)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint64(b, file)
}

type footer struct {
	filter, index, properties handle
	file                      uint64
}

func (f footer) encode() []byte {
	b := make([]byte, 0, footerLen)
	for _, h := range []handle{f.filter, f.index, f.properties} {
		b = binary.LittleEndian.AppendUint64(b, h.offset)
		b = binary.LittleEndian.AppendUint64(b, h.length)
	}
	b = binary.LittleEndian.AppendUint64(b, f.file)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return binary.LittleEndian.AppendUint32(b, version)
}

func decodeFooter(b []byte) (f footer, err error) {
	if crc32.Checksum(b[:56], castagnoli) != binary.LittleEndian.Uint32(b[56:]) {
		return f, fmt.Errorf("%w: footer checksum", kv.ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[60:]); v != version {
		return f, fmt.Errorf("%w: footer of format %d, want %d", kv.ErrCorrupt, v, version)
	}
	for i, h := range []*handle{&f.filter, &f.index, &f.properties} {
		h.offset = binary.LittleEndian.Uint64(b[16*i:])
		h.length = binary.LittleEndian.Uint64(b[16*i+8:])
	}
	f.file = binary.LittleEndian.Uint64(b[48:])
	return f, nil
}

// Properties describe a table.
type Properties struct {
	Entries, Tombstones int64
	MinLSN, MaxLSN      uint64
	MinKey, MaxKey      []byte // user keys
}

func (p Properties) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.Entries))
	b = binary.AppendUvarint(b, uint64(p.Tombstones))
	b = binary.AppendUvarint(b, p.MinLSN)
	b = binary.AppendUvarint(b, p.MaxLSN)
	b = binary.AppendUvarint(b, uint64(len(p.MinKey)))
	b = append(b, p.MinKey...)
	b = binary.AppendUvarint(b, uint64(len(p.MaxKey)))
	return append(b, p.MaxKey...)
}

func decodeProperties(b []byte) (p Properties, err error) {
	d := decoder{b: b}
	p.Entries, p.Tombstones = int64(d.uvarint()), int64(d.uvarint())
	p.MinLSN, p.MaxLSN = d.uvarint(), d.uvarint()
	p.MinKey, p.MaxKey = d.bytes(), d.bytes()
	if d.bad || len(d.b) > 0 {
		return p, fmt.Errorf("%w: properties", kv.ErrCorrupt)
	}
	return p, nil
}

// decoder reads uvarints and byte strings and remembers a failure.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}
