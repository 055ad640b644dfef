package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/arrowipc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

var errClosed = schemas.Errorf(schemas.CodeCanceled, "57014", "the reader is closed")

// stuckWait is how long a broker may hold back records that it has.
const stuckWait = time.Second

// markerWait is longer than a run takes from its grant to its markers, mostly.
const markerWait = 300 * time.Millisecond

// Reader reads one leased partition, message after message of one epoch.
type Reader struct {
	consumer  *Consumer
	partition load.Partition
	epoch     uint64
	tables    map[string]*schemas.Table
	filter    filter // Next's

	mu struct {
		sync.Mutex
		arrived chan struct{} // closed when something arrived
		records []record
		bytes   int
		offset  int64 // to fetch next
		// hinted says that nothing of the epoch was read, so that offset may be
		// wrong without anything being lost.
		hinted   bool
		rescan   bool      // the log may still be read from its beginning once
		silent   time.Time // since when there is nothing at the hint
		stuck    time.Time // since when the broker has records and gives none
		skipping bool      // the record before was passed over
		life     int       // counts how often reading began anew: older answers are dropped
		busy     bool      // a request is under way
		until    time.Time
		pause    time.Duration
		troubled time.Time // since when requests fail
		err      error
	}
}

func newReader(k *Consumer, lease load.Lease) *Reader {
	r := &Reader{consumer: k, partition: lease.Partition, epoch: lease.Epoch, tables: map[string]*schemas.Table{}}
	for _, t := range lease.Run.Tables {
		r.tables[t.FullName()] = t
	}
	r.filter = filter{partition: lease.Partition, epoch: lease.Epoch, next: lease.NextSequence}
	r.mu.arrived = make(chan struct{})
	r.mu.offset, r.mu.hinted = max(lease.Offset, 0), lease.NextSequence == 0
	r.mu.rescan = r.mu.hinted && r.mu.offset > 0
	return r
}

// Partition is what is read.
func (r *Reader) Partition() load.Partition { return r.partition }

// Next waits until there is a message and returns all that have arrived, in
// sequence without a gap: the first follows the last of the call before, or is the
// lease's NextSequence. It fails with a *LostError when the stream cannot be
// continued, with ErrSuperseded when a newer epoch has begun, with ctx's error
// when ctx ends; the first two stay. One goroutine calls it.
func (r *Reader) Next(ctx context.Context) ([]Message, error) {
	for {
		records, err := r.take(ctx)
		if err != nil {
			return nil, err
		}
		var out []Message
		for _, rec := range records {
			m, ok, err := r.message(rec)
			if errors.Is(err, errRewind) {
				r.begin(0)
				break
			}
			if err != nil {
				// What came whole before the failure is handed over first.
				r.fail(err)
				break
			}
			if ok {
				out = append(out, m)
			}
		}
		if len(out) > 0 {
			r.found()
			r.observe(out)
			return out, nil
		}
	}
}

// take returns the records that have arrived, after waiting for some.
func (r *Reader) take(ctx context.Context) ([]record, error) {
	for {
		r.mu.Lock()
		records, err, arrived := r.mu.records, r.mu.err, r.mu.arrived
		r.mu.records, r.mu.bytes = nil, 0
		r.mu.Unlock()
		if len(records) > 0 {
			signal(r.consumer.wake) // there is room again
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// message decodes a record; ok is false for one that is dropped or only a chunk.
func (r *Reader) message(rec record) (m Message, ok bool, err error) {
	h, payload, verdict, err := r.filter.admit(rec)
	switch {
	case err != nil:
		return m, false, err
	case verdict == drop:
		r.consumer.metrics.dropped.Inc()
		return m, false, nil
	case verdict == partial:
		return m, false, nil
	}
	m = Message{Kind: h.kind, Epoch: h.epoch, Sequence: h.sequence, NextOffset: rec.offset + 1, Sent: h.sent}
	if err := r.payload(&m, payload); err != nil {
		return m, false, &LostError{r.partition, r.epoch, fmt.Sprintf("message %d cannot be read", h.sequence), err}
	}
	return m, true, nil
}

// payload decodes what a whole message holds.
func (r *Reader) payload(m *Message, payload []byte) (err error) {
	switch m.Kind {
	case KindData:
		m.Batch, err = arrowipc.Decode(payload, r.resolve)
	case KindBegin:
		m.Begin = new(load.Begin)
		err = json.Unmarshal(payload, m.Begin)
	case KindProgress:
		m.Progress = new(load.Progress)
		err = json.Unmarshal(payload, m.Progress)
	}
	return err
}

// resolve finds a table of the run.
func (r *Reader) resolve(name string, version uint32) (*schemas.Table, error) {
	t, ok := r.tables[name]
	if !ok || t.Version != version {
		return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "the run has no table %s of version %d", name, version)
	}
	return t, nil
}

func (r *Reader) observe(out []Message) {
	m := r.consumer.metrics
	m.messages.Add(float64(len(out)))
	now := time.Now().UnixMicro()
	for i := range out {
		m.age.Observe(float64(now-out[i].Sent) / 1e6)
	}
}

// Close stops reading. Idempotent.
func (r *Reader) Close() error {
	r.fail(errClosed)
	r.consumer.drop(r)
	return nil
}

// fail makes an error stay; the first one wins.
func (r *Reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil {
		return
	}
	var lost *LostError
	if errors.As(err, &lost) {
		r.consumer.metrics.lost.Inc()
		r.consumer.o.Logger.Warn("stream lost", "topic", r.partition.Topic, "partition", r.partition.Index, "epoch", r.epoch, "reason", lost.Reason, "error", lost.Err)
	}
	r.mu.err = err
	r.announce()
}

// announce wakes Next. The caller holds mu.
func (r *Reader) announce() {
	close(r.mu.arrived)
	r.mu.arrived = make(chan struct{})
}
