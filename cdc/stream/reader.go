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

// wants says whether the reader takes a request now, and marks it as under way;
// else how long it pauses, if it does.
func (r *Reader) wants(now time.Time, limit int) (bool, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.err != nil || r.mu.busy || r.mu.bytes >= limit {
		return false, 0
	}
	if wait := r.mu.until.Sub(now); wait > 0 {
		return false, wait
	}
	r.mu.busy = true
	return true, 0
}

// position is the offset to fetch next, and the life it belongs to.
func (r *Reader) position() (offset int64, life int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.offset, r.mu.life
}

// push takes what a request brought and returns the bytes of its records.
func (r *Reader) push(f fetched, life int) (n int) {
	now := time.Now()
	r.mu.Lock()
	r.mu.busy, r.mu.pause, r.mu.troubled = false, 0, time.Time{}
	if life != r.mu.life {
		r.mu.Unlock()
		return 0
	}
	taken := 0
	for _, rec := range f.records {
		if rec.offset < r.mu.offset {
			continue // a fetch may begin below the asked offset
		}
		if rec.offset > r.mu.offset && r.mu.hinted || rec.offset >= f.highWatermark {
			break // a damaged batch claims another place than it has
		}
		r.mu.offset = rec.offset + 1
		r.mu.records = append(r.mu.records, rec)
		n += len(rec.value)
		taken++
	}
	if taken > 0 {
		r.mu.bytes += n
		r.mu.stuck, r.mu.skipping = time.Time{}, false
		r.announce()
	}
	behind := taken == 0 && r.mu.offset < f.highWatermark
	if !behind && taken == 0 && r.mu.rescan && r.mu.hinted {
		r.listen(now)
	}
	if behind && r.mu.stuck.IsZero() {
		r.mu.stuck = now
	}
	unreadable := behind && (r.mu.skipping || now.Sub(r.mu.stuck) > stuckWait)
	if behind && !unreadable {
		r.mu.until = now.Add(10 * time.Millisecond)
	}
	r.mu.Unlock()
	if unreadable {
		r.unreadable(nil)
	}
	return n
}

// unreadable deals with a record that the broker has and does not give, or whose
// batch is corrupt. It may belong to a lower epoch as long as nothing of this one
// was read: then it is passed over, one offset at a time, or every later epoch
// would fail at it. Otherwise it is a hole (I8).
func (r *Reader) unreadable(err error) {
	r.mu.Lock()
	hinted, offset := r.mu.hinted, r.mu.offset
	r.mu.busy = false
	if hinted {
		r.mu.offset++
		r.mu.skipping = true
	}
	r.mu.Unlock()
	if !hinted {
		r.fail(&LostError{r.partition, r.epoch, fmt.Sprintf("the record batch at offset %d cannot be read", offset), err})
		return
	}
	r.consumer.o.Logger.Warn("passing over an unreadable record of an earlier epoch", "topic", r.partition.Topic, "partition", r.partition.Index, "offset", offset, "error", err)
	signal(r.consumer.wake)
}

// listen waits a little for the epoch's marker to come after the hint. Then it may
// stand before: a log that was wiped and written anew up to the same offset shows
// nothing there. The caller holds mu.
func (r *Reader) listen(now time.Time) {
	if r.mu.silent.IsZero() {
		r.mu.silent = now
	}
	if now.Sub(r.mu.silent) >= markerWait {
		r.mu.rescan, r.mu.offset = false, 0
		r.mu.life++
	}
}

// failed notes a request that failed: the reader pauses, longer each time. A topic
// that stays missing although messages of it were loaded is lost.
func (r *Reader) failed(err error, patience time.Duration) {
	now := time.Now()
	r.mu.Lock()
	if r.mu.troubled.IsZero() {
		r.mu.troubled = now
	}
	long := now.Sub(r.mu.troubled) > patience
	r.mu.pause = min(max(2*r.mu.pause, 10*time.Millisecond), time.Second)
	r.mu.until, r.mu.busy = now.Add(r.mu.pause), false
	begun := !r.mu.hinted
	r.mu.Unlock()
	if isMissing(err) && begun && long {
		r.fail(&LostError{r.partition, r.epoch, "the topic is gone", err})
	}
}

// outOfRange deals with an offset that the log does not hold: before anything of
// the epoch was read the offset was only a hint; after that, data is gone (I2).
func (r *Reader) outOfRange(ctx context.Context, c *client, life int) {
	first, err := c.first(ctx, r.partition)
	if err != nil {
		r.failed(err, r.consumer.o.Patience)
		return
	}
	r.mu.Lock()
	hinted, offset, same := r.mu.hinted, r.mu.offset, life == r.mu.life
	r.mu.busy = false
	r.mu.Unlock()
	switch {
	case !same:
	case !hinted:
		r.fail(&LostError{r.partition, r.epoch, fmt.Sprintf("offset %d is out of range, the log begins at %d", offset, first), nil})
	case offset == first:
		r.failed(err, r.consumer.o.Patience) // it moves under us: not at once again
	default:
		r.begin(first)
	}
}

// found notes that messages of the epoch were read.
func (r *Reader) found() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.hinted = false
}

// begin starts over at an offset.
func (r *Reader) begin(offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.records, r.mu.bytes, r.mu.offset = nil, 0, offset
	r.mu.life++
	signal(r.consumer.wake)
}
