package wal

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// Log is an open log. One process has it open at a time. All methods are safe
// for concurrent use.
type Log struct {
	dir      string
	opts     Options
	recovery Recovery
	lock     io.Closer
	durable  atomic.Uint64 // end of the last durable record
	workers  sync.WaitGroup
	stopped  chan struct{} // closed when the flusher has ended
	// truncating lets one TruncateBefore at a time do I/O.
	truncating sync.Mutex

	// mu guards what follows. Never held over I/O,
	// except in Close.
	mu       sync.Mutex
	work     sync.Cond // the flusher waits here for records
	room     sync.Cond // appenders and rotation wait here for buffer and segments
	filling  *group    // takes appends
	inflight *group    // being written; nil when idle
	spare    []byte    // the other buffer
	next     LSN       // where the next record starts
	end      LSN       // end of the last appended record
	segments []*segment
	prep     preparation
	err      error // poison: set once, never cleared
	closed   bool
}

// group is what one fdatasync makes durable.
type group struct {
	start   LSN
	end     LSN // of the last record
	buf     []byte
	records int
	batches int
	done    chan struct{} // closed once err is set or everything is durable
	err     error
}

func newGroup(start LSN, buf []byte) *group {
	return &group{start: start, end: start, buf: buf[:0], done: make(chan struct{})}
}

// Append adds a batch of records, contiguous and in order: after a crash all of
// them are there or none. It returns where the first begins and the last ends.
// The records are not durable yet: wait with WaitDurable. Writing begins at once,
// so a record that nobody waits for becomes durable too. Append blocks while
// BufferBytes are waiting. It fails with CodeDiskFull when there is no room for
// another segment; the log stays usable, and later appends succeed once there is.
func (l *Log) Append(payloads ...[]byte) (start, end LSN, err error) {
	size := 0
	for _, p := range payloads {
		size += recordHeader + len(p)
	}
	if size > MaxBatchBytes {
		return 0, 0, schemas.Errorf(schemas.CodeTooLarge, "54000", "a log batch of %d bytes is over the limit of %d", size, MaxBatchBytes)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(size); err != nil {
		return 0, 0, err
	}
	start = l.next
	if len(payloads) == 0 {
		return start, l.end, nil
	}
	l.add(payloads)
	l.work.Signal()
	return start, l.end, nil
}

// add puts records into the filling group.
func (l *Log) add(payloads [][]byte) {
	g, seed := l.filling, l.current().seed
	for i, p := range payloads {
		var flags byte
		if i < len(payloads)-1 {
			flags = flagMore
		}
		g.buf = appendRecord(g.buf, seed, l.next, uint32(l.next-g.start), kindRecord, flags, p)
		l.next += recordHeader + LSN(len(p))
	}
	g.records += len(payloads)
	g.batches++
	g.end, l.end = l.next, l.next
}

// admit waits until size bytes may be appended.
func (l *Log) admit(size int) error {
	for {
		switch {
		case l.err != nil:
			return l.err
		case l.closed:
			return ErrClosed
		case len(l.filling.buf) > 0 && len(l.filling.buf)+size > l.opts.BufferBytes:
			l.room.Wait()
			continue
		}
		ready, err := l.segmentReady(size)
		if ready || err != nil {
			return err
		}
		l.room.Wait()
	}
}

// WaitDurable returns once every record that ends at or before lsn is durable.
// All that wait share one fdatasync. It fails when the log does (then nothing
// after DurableLSN may be acknowledged) and when ctx ends.
func (l *Log) WaitDurable(ctx context.Context, lsn LSN) error {
	if LSN(l.durable.Load()) >= lsn {
		return nil
	}
	g, err := l.groupOf(lsn)
	if g == nil {
		return err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("wait for log position %s: %w", lsn, context.Cause(ctx))
	}
}

// groupOf returns the group that makes lsn durable, or nil when it is.
func (l *Log) groupOf(lsn LSN) (*group, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case LSN(l.durable.Load()) >= lsn:
		return nil, nil
	case l.err != nil:
		return nil, l.err
	case lsn > l.end:
		return nil, fmt.Errorf("wait for %s, log ends at %s: %w", lsn, l.end, ErrAhead)
	case l.inflight != nil && lsn <= l.inflight.end:
		return l.inflight, nil
	}
	return l.filling, nil
}

// Sync waits until everything appended so far is durable.
func (l *Log) Sync(ctx context.Context) error { return l.WaitDurable(ctx, l.AppendedLSN()) }

// WaitBeyond waits until a record that ends after lsn is durable and returns the
// durable LSN. It wakes with the fdatasync, without polling.
func (l *Log) WaitBeyond(ctx context.Context, lsn LSN) (LSN, error) {
	for {
		l.mu.Lock()
		g, err, closed := l.inflight, l.err, l.closed
		if g == nil {
			g = l.filling
		}
		durable := l.DurableLSN()
		l.mu.Unlock()
		switch {
		case durable > lsn:
			return durable, nil
		case err != nil:
			return durable, err
		case closed && len(g.buf) == 0:
			return durable, ErrClosed
		}
		select {
		case <-g.done:
		case <-ctx.Done():
			return durable, context.Cause(ctx)
		}
	}
}

// DurableLSN is the end of the last durable record. Only what ends at or before
// it may be acknowledged or captured (I1).
func (l *Log) DurableLSN() LSN { return LSN(l.durable.Load()) }

// AppendedLSN is the end of the last appended record.
func (l *Log) AppendedLSN() LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// OldestLSN is where the log begins: a reader may start there or later.
func (l *Log) OldestLSN() LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[0].prevEnd
}

// ID names the present life of the log.
func (l *Log) ID() ID { return l.recovery.ID }

// Recovery says what Open found.
func (l *Log) Recovery() Recovery { return l.recovery }

// Err is why the log accepts nothing more, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// DiskBytes is the space that segments hold, those kept for reuse included.
func (l *Log) DiskBytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.prep.recycled))
	if l.prep.ready != nil {
		n++
	}
	n *= segmentHeader + l.opts.SegmentBytes
	for _, s := range l.segments {
		n += segmentHeader + max(l.opts.SegmentBytes, int64(s.end-s.start))
	}
	return n
}

// Close makes everything appended durable, marks an orderly end and closes the
// files. Waiting calls return. Readers get what was durable, then ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		<-l.stopped
		return nil
	}
	l.closed = true
	l.work.Broadcast()
	l.room.Broadcast()
	l.mu.Unlock()
	<-l.stopped
	l.workers.Wait()
	l.truncating.Lock()
	defer l.truncating.Unlock()
	return l.shut()
}

func (l *Log) shut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.err
	if err == nil {
		err = l.mark()
	}
	close(l.filling.done) // nothing is in it; wakes WaitBeyond
	l.current().file.Close()
	if p := l.prep.ready; p != nil {
		p.file.Close()
	}
	l.lock.Close()
	return vfs.Typed("close log "+l.dir, err)
}
