// Package wal is an append-only log of opaque records in segment files, with
// group commit, tailing readers and recovery; the commit log and the
// warehouse's load log are both one of these.
//
// A record's position is its LSN: the number of bytes in the log before it. The
// LSN by which a record is known is the one at which it ends. A segment named
// after the LSN of its first byte holds a header page, then records:
//
//	 0       8     12     16       32      40         48        56    60     4096
//	+-------+-----+------+--------+-------+----------+---------+-----+---...---+
//	| magic | ver | life | log id | start | prevStart| prevEnd | crc | zero    |
//	+-------+-----+------+--------+-------+----------+---------+-----+---...---+
//
//	 0     4        8       16      20     21      22     24
//	+-----+--------+-------+-------+------+-------+------+---------+
//	| crc | length | start | since | kind | flags | zero | payload |
//	+-----+--------+-------+-------+------+-------+------+---------+
//
// Numbers are little-endian. life is 1 in the first segment of a log id, else 0. crc is CRC-32C, of the header before it, and for a
// record of the log id, the header after it and the payload. since is the
// distance back to the first byte of the record's sync group: when the record
// was written, everything before that group was durable. That tells a torn tail
// from damage: what is followed by a later group was once whole.
package wal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/millrace/millrace/schemas"
)

// LSN is a position in a log.
type LSN = schemas.LSN

// ID names one life of a log. It is renewed when recovery finds that an LSN was
// lost that had been given out as durable.
type ID [16]byte

// String gives 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

const (
	magic            = "MILLRWAL"
	version          = 1
	segmentHeader    = 4096 // a page, so that an aligned record lies aligned in the file
	segmentHeaderEnd = 60
	recordHeader     = 24

	// MaxBatchBytes limits the payloads of one Append together.
	MaxBatchBytes = 1 << 30
)

const (
	kindRecord = 1
	kindPad    = 2 // skipped by readers; an empty one marks an orderly end
)

const flagMore = 1 // the next record belongs to the same batch

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type segmentInfo struct {
	id                        ID
	newLife                   bool // id begins here: whatever lies before start is no concern of it
	start, prevStart, prevEnd LSN
}

func (s segmentInfo) encode() []byte {
	b := make([]byte, segmentHeader)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	if s.newLife {
		b[12] = 1
	}
	copy(b[16:], s.id[:])
	binary.LittleEndian.PutUint64(b[32:], uint64(s.start))
	binary.LittleEndian.PutUint64(b[40:], uint64(s.prevStart))
	binary.LittleEndian.PutUint64(b[48:], uint64(s.prevEnd))
	binary.LittleEndian.PutUint32(b[56:], crc32.Checksum(b[:56], castagnoli))
	return b
}

func decodeSegmentInfo(b []byte) (s segmentInfo, err error) {
	if len(b) < segmentHeaderEnd || string(b[:8]) != magic {
		return s, fmt.Errorf("%w: not a log segment", ErrCorrupt)
	}
	if crc32.Checksum(b[:56], castagnoli) != binary.LittleEndian.Uint32(b[56:]) {
		return s, fmt.Errorf("%w: header checksum", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return s, schemas.Errorf(schemas.CodeUnsupported, "0A000", "log segment format %d; this program reads format %d", v, version)
	}
	s.newLife = b[12] == 1
	copy(s.id[:], b[16:])
	s.start = LSN(binary.LittleEndian.Uint64(b[32:]))
	s.prevStart = LSN(binary.LittleEndian.Uint64(b[40:]))
	s.prevEnd = LSN(binary.LittleEndian.Uint64(b[48:]))
	return s, nil
}

// seed starts the checksum of every record of a log.
func (id ID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

// appendRecord adds a record to dst.
func appendRecord(dst []byte, seed uint32, start LSN, since uint32, kind, flags byte, payload []byte) []byte {
	var h [recordHeader]byte
	binary.LittleEndian.PutUint32(h[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(h[8:], uint64(start))
	binary.LittleEndian.PutUint32(h[16:], since)
	h[20], h[21] = kind, flags
	crc := crc32.Update(crc32.Update(seed, castagnoli, h[4:]), castagnoli, payload)
	binary.LittleEndian.PutUint32(h[:], crc)
	return append(append(dst, h[:]...), payload...)
}

// header is a record's header as read; it means nothing until the checksum held.
type header struct {
	crc, length uint32
	start       LSN
	since       uint32
	kind, flags byte
}

func decodeHeader(b []byte) header {
	return header{
		crc:    binary.LittleEndian.Uint32(b),
		length: binary.LittleEndian.Uint32(b[4:]),
		start:  LSN(binary.LittleEndian.Uint64(b[8:])),
		since:  binary.LittleEndian.Uint32(b[16:]),
		kind:   b[20],
		flags:  b[21],
	}
}

// plausible says whether a header can stand at an LSN, before its payload is
// read. It keeps a damaged length from asking for memory.
func (h header) plausible(at LSN) bool {
	return h.start == at && h.length <= MaxBatchBytes && uint64(h.since) <= uint64(at) &&
		(h.kind == kindRecord || h.kind == kindPad)
}

func (h header) size() LSN  { return recordHeader + LSN(h.length) }
func (h header) end() LSN   { return h.start + h.size() }
func (h header) group() LSN { return h.start - LSN(h.since) }

// intact checks a whole record, header and payload.
func intact(seed uint32, record []byte) bool {
	return crc32.Update(seed, castagnoli, record[4:]) == binary.LittleEndian.Uint32(record)
}
