package stream

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/schemas/load"
)

// errRewind says that the epoch's first message must be before what was read.
var errRewind = errors.New("the epoch begins earlier in the log")

// maxMessage limits what chunks may add up to.
const maxMessage = 1 << 30

// filter lets every message of one epoch through once, in sequence (I2).
type filter struct {
	partition load.Partition
	epoch     uint64
	next      uint64 // sequence of the next message
	rewound   bool

	chunks []byte // of message next
	have   uint16 // how many
	total  uint16
}

// verdict is what becomes of a record.
type verdict uint8

const (
	drop    verdict = iota // a lower epoch or a repetition
	partial                // a chunk of a message that is not whole yet
	whole
)

// admit judges one record. The payload of a whole message holds until the next call.
func (f *filter) admit(rec record) (header, []byte, verdict, error) {
	h, payload, err := parse(rec.value)
	switch {
	case err != nil && f.next == 0 && f.have == 0:
		return h, nil, drop, nil // of whatever epoch it was; the marker's absence shows
	case err != nil:
		return h, nil, drop, f.lost(fmt.Sprintf("the record at offset %d is corrupt", rec.offset), err)
	case h.epoch > f.epoch:
		return h, nil, drop, ErrSuperseded
	case h.epoch < f.epoch || h.sequence < f.next:
		return h, nil, drop, nil
	case h.sequence > f.next && f.next == 0 && !f.rewound:
		f.rewound = true
		return h, nil, drop, errRewind
	case h.sequence > f.next:
		return h, nil, drop, f.lost(fmt.Sprintf("message %d follows at offset %d where %d is due", h.sequence, rec.offset, f.next), nil)
	case h.chunks == 1:
		f.advance()
		return h, payload, whole, nil
	}
	return f.chunk(h, payload)
}

// chunk adds a chunk of the message that is due.
func (f *filter) chunk(h header, payload []byte) (header, []byte, verdict, error) {
	if h.chunk < f.have {
		return h, nil, drop, nil
	}
	if f.have == 0 {
		f.total = h.chunks
	}
	if h.chunk > f.have || h.chunks != f.total || len(f.chunks)+len(payload) > maxMessage {
		return h, nil, drop, f.lost(fmt.Sprintf("chunk %d of %d of message %d where %d of %d is due", h.chunk, h.chunks, h.sequence, f.have, f.total), nil)
	}
	f.chunks = append(f.chunks, payload...)
	f.have++
	if f.have < f.total {
		return h, nil, partial, nil
	}
	payload = f.chunks
	f.advance()
	return h, payload, whole, nil
}

// advance makes the next message due.
func (f *filter) advance() {
	f.next++
	f.chunks, f.have, f.total = nil, 0, 0
}

func (f *filter) lost(reason string, err error) error {
	return &LostError{Partition: f.partition, Epoch: f.epoch, Reason: reason, Err: err}
}
