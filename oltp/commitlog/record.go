// Package commitlog is the engine's one log: the write-ahead log that recovery
// replays and the change stream that capture follows.
//
// A transaction is one batch of the log (internal/wal), which a crash keeps whole
// or not at all. Its changes stand in records of about a mebibyte; all but the last
// are parts, the last is the commit. The commit's end is the transaction's LSN.
//
//	 0         1      2      10      14
//	+---------+------+------+-------+------------
//	| version | kind | time | first | changes ...
//	+---------+------+------+-------+------------
//
// kind is 1 for a part and 2 for a commit, time (of a commit) µs since 1970 UTC,
// first the ordinal of the record's first change; little-endian. A change is
//
//	op | table id (uvarint) | before image | after image
//
// where an image is its length (uvarint) and a row (oltp/tuple), and stands where
// the operation has one: insert after, update both, delete before, truncate none,
// define the table's description in JSON as after image.
package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/schemas"
)

// ErrRecord is wrapped by errors about a record that is intact but makes no sense (I8).
var ErrRecord = errors.New("commit log record does not decode")

// Op is what a change does. The numbers stand in the log.
type Op uint8

// The operations.
const (
	Insert   Op = 1
	Update   Op = 2
	Delete   Op = 3
	Truncate Op = 4 // removes every row of the table that was there before
	Define   Op = 5 // makes a table
)

func (o Op) hasBefore() bool { return o == Update || o == Delete }
func (o Op) hasAfter() bool  { return o == Insert || o == Update || o == Define }

// Change is one change of a transaction. The images are encoded rows.
type Change struct {
	Op      Op
	Table   uint32
	Ordinal uint32
	Before  []byte
	After   []byte
}

const (
	version    = 1
	kindPart   = 1
	kindCommit = 2
	headerLen  = 14
	timeAt     = 2
	firstAt    = 10

	// partBytes is where a record ends and the next part begins: large enough that
	// the overhead is nothing, small enough that a reader holds little.
	partBytes = 1 << 20
)

// Encoder collects a transaction's changes as the records of the log. The zero
// Encoder is ready; Reset makes it so again and keeps its memory.
type Encoder struct {
	full  [][]byte // finished parts
	last  []byte   // the record being filled
	count uint32
}

// keepBytes is how much memory an encoder keeps for the next transaction.
const keepBytes = 128 << 10

// Reset empties the encoder. Memory of large transactions is let go.
func (e *Encoder) Reset() {
	e.full, e.count = nil, 0
	if e.last = e.last[:0]; cap(e.last) > keepBytes {
		e.last = nil
	}
}

// Add appends a change; its ordinal is the number of changes before it.
func (e *Encoder) Add(op Op, table uint32, before, after []byte) {
	if len(e.last) >= partBytes {
		e.full = append(e.full, e.last)
		e.last = nil
	}
	if len(e.last) == 0 {
		e.begin()
	}
	e.last = binary.AppendUvarint(append(e.last, byte(op)), uint64(table))
	if op.hasBefore() {
		e.last = appendImage(e.last, before)
	}
	if op.hasAfter() {
		e.last = appendImage(e.last, after)
	}
	e.count++
}

func (e *Encoder) begin() {
	var h [headerLen]byte
	h[0], h[1] = version, kindPart
	binary.LittleEndian.PutUint32(h[firstAt:], e.count)
	e.last = append(e.last, h[:]...)
}

func appendImage(dst, image []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(image))), image...)
}

// Len is the number of changes.
func (e *Encoder) Len() int { return int(e.count) }

// Parts says whether the transaction takes several records.
func (e *Encoder) Parts() bool { return len(e.full) > 0 }

// records returns the records, the last one a commit at a time in µs.
func (e *Encoder) records(micros int64, space [][]byte) [][]byte {
	if len(e.last) == 0 {
		e.begin()
	}
	e.last[1] = kindCommit
	binary.LittleEndian.PutUint64(e.last[timeAt:], uint64(micros))
	return append(append(space, e.full...), e.last)
}

type header struct {
	commit bool
	micros int64
	first  uint32
}

func decodeHeader(b []byte) (header, error) {
	switch {
	case len(b) < headerLen:
		return header{}, fmt.Errorf("%w: %d bytes", ErrRecord, len(b))
	case b[0] != version:
		return header{}, schemas.Errorf(schemas.CodeUnsupported, "0A000", "commit log record of format %d; this program reads format %d", b[0], version)
	case b[1] != kindPart && b[1] != kindCommit:
		return header{}, fmt.Errorf("%w: kind %d", ErrRecord, b[1])
	}
	return header{
		commit: b[1] == kindCommit,
		micros: int64(binary.LittleEndian.Uint64(b[timeAt:])),
		first:  binary.LittleEndian.Uint32(b[firstAt:]),
	}, nil
}

// each calls fn for every change of a record.
func each(record []byte, fn func(Change) error) error {
	h, err := decodeHeader(record)
	if err != nil {
		return err
	}
	for rest, ordinal := record[headerLen:], h.first; len(rest) > 0; ordinal++ {
		c := Change{Ordinal: ordinal}
		if rest, err = decodeChange(&c, rest); err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

func decodeChange(c *Change, b []byte) (rest []byte, err error) {
	c.Op = Op(b[0])
	if c.Op < Insert || c.Op > Define {
		return nil, fmt.Errorf("%w: operation %d", ErrRecord, c.Op)
	}
	table, n := binary.Uvarint(b[1:])
	if n <= 0 || table > 1<<32-1 {
		return nil, fmt.Errorf("%w: table id", ErrRecord)
	}
	c.Table, rest = uint32(table), b[1+n:]
	if c.Op.hasBefore() {
		if c.Before, rest, err = decodeImage(rest); err != nil {
			return nil, err
		}
	}
	if c.Op.hasAfter() {
		c.After, rest, err = decodeImage(rest)
	}
	return rest, err
}

func decodeImage(b []byte) (image, rest []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, fmt.Errorf("%w: image cut short", ErrRecord)
	}
	end := n + int(size)
	return b[n:end:end], b[end:], nil
}
