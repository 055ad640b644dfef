package stream

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// Kind is what a message holds. The numbers stand in messages.
type Kind uint8

// The kinds.
const (
	KindMarker   Kind = 1 // the first message of an epoch in a data partition; empty
	KindData     Kind = 2 // an arrowipc frame
	KindBegin    Kind = 3 // JSON of load.Begin; the first of an epoch in the progress topic
	KindProgress Kind = 4 // JSON of load.Progress
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindMarker:
		return "marker"
	case KindData:
		return "data"
	case KindBegin:
		return "begin"
	case KindProgress:
		return "progress"
	}
	return "unknown"
}

// Message is one message of a partition, whole and in sequence.
type Message struct {
	Kind     Kind
	Epoch    uint64
	Sequence uint64
	// NextOffset is the broker's offset after the message's last record: where to
	// resume once it is loaded.
	NextOffset int64
	// Sent is when capture built the message, µs since 1970 UTC.
	Sent int64

	Batch    *change.Batch  // KindData
	Begin    *load.Begin    // KindBegin
	Progress *load.Progress // KindProgress
}

const (
	recordMagic0, recordMagic1 = 'M', 'S'
	recordVersion              = 1
	headerLen                  = 40
	crcAt                      = 36
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// header stands before the payload of every record. See the package comment.
type header struct {
	kind          Kind
	chunk, chunks uint16
	epoch         uint64
	sequence      uint64
	sent          int64
	schemaVersion uint32
}

// seal writes the header and the checksum into a record whose first headerLen
// bytes are free.
func (h header) seal(record []byte) {
	record[0], record[1], record[2], record[3] = recordMagic0, recordMagic1, recordVersion, byte(h.kind)
	le.PutUint16(record[4:], h.chunk)
	le.PutUint16(record[6:], h.chunks)
	le.PutUint64(record[8:], h.epoch)
	le.PutUint64(record[16:], h.sequence)
	le.PutUint64(record[24:], uint64(h.sent))
	le.PutUint32(record[32:], h.schemaVersion)
	le.PutUint32(record[crcAt:], checksum(record))
}

// checksum covers all of a record but the checksum itself.
func checksum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:crcAt], castagnoli), castagnoli, record[headerLen:])
}

// parse reads a record. I8: a record whose checksum does not hold is an error.
func parse(record []byte) (header, []byte, error) {
	if len(record) < headerLen || record[0] != recordMagic0 || record[1] != recordMagic1 {
		return header{}, nil, corrupt("%d bytes that are no message", len(record))
	}
	if record[2] != recordVersion {
		return header{}, nil, corrupt("message format version %d, this program reads version %d", record[2], recordVersion)
	}
	if got, want := checksum(record), le.Uint32(record[crcAt:]); got != want {
		return header{}, nil, corrupt("checksum %08x, the message says %08x", got, want)
	}
	h := header{
		kind: Kind(record[3]), chunk: le.Uint16(record[4:]), chunks: le.Uint16(record[6:]),
		epoch: le.Uint64(record[8:]), sequence: le.Uint64(record[16:]), sent: int64(le.Uint64(record[24:])),
		schemaVersion: le.Uint32(record[32:]),
	}
	if h.kind < KindMarker || h.kind > KindProgress || h.chunk >= h.chunks {
		return header{}, nil, corrupt("a message of kind %d, chunk %d of %d", h.kind, h.chunk, h.chunks)
	}
	return h, record[headerLen:], nil
}

// split makes the records of a message whose payload stands after headerLen free
// bytes: one, or chunks of at most limit bytes each.
func split(h header, message []byte, limit int) ([][]byte, error) {
	if len(message) <= limit {
		h.chunk, h.chunks = 0, 1
		h.seal(message)
		return [][]byte{message}, nil
	}
	room := limit - headerLen
	payload := message[headerLen:]
	n := (len(payload) + room - 1) / room
	if n > math.MaxUint16 {
		return nil, schemas.Errorf(schemas.CodeTooLarge, "54000", "a message of %d bytes needs more than %d chunks of %d", len(payload), math.MaxUint16, room)
	}
	h.chunks = uint16(n)
	records := make([][]byte, n)
	for i := range records {
		part := payload[i*room : min((i+1)*room, len(payload))]
		r := append(make([]byte, headerLen, headerLen+len(part)), part...)
		h.chunk = uint16(i)
		h.seal(r)
		records[i] = r
	}
	return records, nil
}
