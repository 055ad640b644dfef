package stream

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/internal/arrowipc"
	"github.com/millrace/millrace/schemas"
)

// tail is a partition's end as the sender knows it.
type tail struct {
	next uint64       // sequence of the next message
	end  atomic.Int64 // offset after the last acknowledged record
}

// recordOverhead is more than what Kafka adds to a record, and to a batch.
const recordOverhead = 96

// maxArena is how much memory a sender keeps for the next messages.
const maxArena = 4 << 20

// sender numbers messages and writes them. One in flight per partition: a
// partition's next record batch waits for the one before it to succeed.
type sender struct {
	o       Options
	client  *client
	metrics *captureMetrics
	epoch   uint64
	arena   []byte
}

// outbox holds a partition's records that wait for their turn.
type outbox struct {
	part    *partition
	records [][]byte
}

// limit is the largest record.
func (s *sender) limit() int { return s.o.MaxMessageBytes - recordOverhead }

// message makes the records of a partition's next message. fill appends the payload.
func (s *sender) message(p *partition, kind Kind, schemaVersion uint32, fill func(dst []byte) []byte) ([][]byte, error) {
	from := len(s.arena)
	s.arena = append(s.arena, make([]byte, headerLen)...)
	s.arena = fill(s.arena)
	h := header{kind: kind, epoch: s.epoch, sequence: p.log.next, sent: s.o.Clock.Now().UnixMicro(), schemaVersion: schemaVersion}
	records, err := split(h, s.arena[from:len(s.arena):len(s.arena)], s.limit())
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", p.id.Topic, err)
	}
	p.log.next++
	s.metrics.messages.Inc()
	return records, nil
}

// data encodes rows into their partitions' next messages.
func (s *sender) data(t taken) ([]*outbox, error) {
	boxes := make([]*outbox, len(t.parts))
	for i, p := range t.parts {
		boxes[i] = &outbox{part: p}
		for _, b := range t.rows[i] {
			records, err := s.message(p, KindData, b.Table.Version, func(dst []byte) []byte { return arrowipc.AppendBatch(dst, b) })
			if err != nil {
				return nil, err
			}
			boxes[i].records = append(boxes[i].records, records...)
		}
	}
	return boxes, nil
}

// send writes everything in the outboxes, in rounds of one record batch a
// partition, and returns once all of it is acknowledged.
func (s *sender) send(ctx context.Context, boxes []*outbox) error {
	for len(boxes) > 0 {
		out := make([]outgoing, len(boxes))
		for i, b := range boxes {
			out[i] = outgoing{partition: b.part.id, records: b.records[:s.fitting(b.records)]}
		}
		if err := s.round(ctx, boxes, out); err != nil {
			return err
		}
		left := boxes[:0:0]
		for i, b := range boxes {
			if b.records = b.records[len(out[i].records):]; len(b.records) > 0 {
				left = append(left, b)
			}
		}
		boxes = left
	}
	if s.arena = s.arena[:0]; cap(s.arena) > maxArena { // nothing that was sent is still being read
		s.arena = nil
	}
	return nil
}

// fitting is how many records go into one batch.
func (s *sender) fitting(records [][]byte) int {
	room := s.o.MaxMessageBytes
	for i, r := range records {
		if room -= len(r) + recordOverhead; room < 0 && i > 0 {
			return i
		}
	}
	return len(records)
}

// round writes one record batch to each partition, again and again until each is
// acknowledged.
func (s *sender) round(ctx context.Context, boxes []*outbox, out []outgoing) error {
	boxes, out = append([]*outbox(nil), boxes...), append([]outgoing(nil), out...)
	missing := 0
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		began := s.o.Clock.Now()
		answers := s.client.produce(ctx, out)
		s.metrics.produce.Observe(s.o.Clock.Now().Sub(began).Seconds())
		var failed error
		n := 0
		for i, a := range answers {
			if a.err != nil {
				failed = fmt.Errorf("partition %s/%d: %w", out[i].partition.Topic, out[i].partition.Index, a.err)
				boxes[n], out[n] = boxes[i], out[i]
				n++
				continue
			}
			if err := s.acknowledged(boxes[i].part, out[i], a.base); err != nil {
				return err
			}
		}
		boxes, out = boxes[:n], out[:n]
		if n == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if isMissing(failed) {
			if missing++; missing > 6 {
				return replay("%v", failed)
			}
		}
		if err := refused(failed); err != nil {
			return err
		}
		s.metrics.retries.Add(float64(n))
		if wait == 5*time.Millisecond {
			s.o.Logger.Warn("writing to the broker failed, trying again", "pipeline", s.o.Pipeline, "partitions", n, "error", failed)
		}
		s.client.forget()
		// The arena is given up: a request that timed out may still be read.
		s.arena = nil
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// acknowledged notes a partition's new end. A base below the old end says that the
// broker lost what it had acknowledged.
func (s *sender) acknowledged(p *partition, o outgoing, base int64) error {
	if end := p.log.end.Load(); base < end {
		return replay("partition %s/%d was cut: a record went to offset %d, the ones before had reached %d", p.id.Topic, p.id.Index, base, end)
	}
	p.log.end.Store(base + int64(len(o.records)))
	for _, r := range o.records {
		s.metrics.bytes.Add(float64(len(r)))
	}
	return nil
}

// refused gives the error of what the broker will not take however often it is sent.
func refused(err error) error {
	var hint string
	switch {
	case errors.Is(err, kafka.MessageSizeTooLarge):
		hint = "set the topic's max.message.bytes to at least stream.max_message_bytes, or lower the latter"
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed):
		hint = "allow the client to write to the pipeline's topics"
	case errors.Is(err, kafka.InvalidRequiredAcks), errors.Is(err, kafka.InvalidTopic), errors.Is(err, kafka.PolicyViolation):
		hint = "see the broker's log"
	default:
		return nil
	}
	return &schemas.Error{Code: schemas.CodeStream, SQLState: "58000", Message: "the broker refuses the pipeline's messages", Hint: hint, Err: err}
}
