package stream

import (
	"context"
	"fmt"
	"time"
)

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
