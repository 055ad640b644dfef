package wal

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/vfs"
)

// Record is one record as read.
type Record struct {
	Start, End LSN
	// Payload holds until the reader's next move.
	Payload []byte
	// More says that the next record belongs to the same batch.
	More bool
}

// Reader walks durable records in order. It has one owner.
type Reader struct {
	log    *Log
	from   LSN // records that end at or before it are skipped
	at     LSN
	seg    *segment
	win    window
	record Record
	err    error
}

// NewReader starts a reader at the first record that ends after from: 0, or the
// End of a record, to go on after it. It fails with ErrReleased when some of these
// were truncated away and with ErrAhead when from lies beyond the log's end.
func (l *Log) NewReader(from LSN) (*Reader, error) {
	l.mu.Lock()
	if from > l.end {
		l.mu.Unlock()
		return nil, fmt.Errorf("read log from %s, which ends at %s: %w", from, l.end, ErrAhead)
	}
	if from < l.segments[0].prevEnd {
		oldest := l.segments[0].prevEnd
		l.mu.Unlock()
		return nil, fmt.Errorf("read log from %s, which begins at %s: %w", from, oldest, ErrReleased)
	}
	i := len(l.segments) - 1
	for i > 0 && l.segments[i].prevEnd > from {
		i--
	}
	s := l.segments[i]
	s.pins++
	l.mu.Unlock()
	r := &Reader{log: l, from: from}
	if err := r.enter(s); err != nil {
		return nil, r.fail(err)
	}
	return r, r.seek(from)
}

// enter opens a pinned segment.
func (r *Reader) enter(s *segment) error {
	r.leave()
	r.seg, r.at = s, s.start
	f, err := r.log.opts.FS.Open(s.name)
	if err != nil {
		return err
	}
	r.win = window{file: f, start: s.start, buf: r.win.buf[:0]}
	return nil
}

func (r *Reader) leave() {
	if r.win.file != nil {
		r.win.file.Close()
		r.win.file = nil
	}
	if r.seg == nil {
		return
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	r.seg.pins--
	r.seg = nil
}

// seek jumps to from if a record begins there, as it does after a record's End;
// otherwise reading starts with the segment and skips.
func (r *Reader) seek(from LSN) error {
	if from <= r.at {
		return nil
	}
	r.win.limit, _ = r.limit()
	_, ok, err := r.win.record(from, r.seg.seed)
	if err != nil {
		return r.fail(err)
	}
	if ok || from == r.win.limit {
		r.at = from
	}
	return nil
}

// limit is how far the segment may be read, and whether more may still come in it.
func (r *Reader) limit() (end LSN, growing bool) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.seg.sealed {
		return r.seg.end, false
	}
	return max(l.DurableLSN(), r.seg.start), true
}

// Next waits for the next durable record. It fails with ErrClosed once the log is
// closed, with ErrReleased when the log was truncated past the reader, with
// ErrCorrupt when a record does not hold (I8), and when ctx ends. After a failure
// other than the end of ctx every call fails.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	for {
		rec, ok, err := r.TryNext()
		if ok || err != nil {
			return rec, err
		}
		if _, err := r.log.WaitBeyond(ctx, max(r.at, r.record.End)); err != nil {
			return Record{}, err
		}
	}
}

// TryNext returns the next record if it is durable already.
func (r *Reader) TryNext() (rec Record, ok bool, err error) {
	if r.err != nil {
		return rec, false, r.err
	}
	for {
		if r.at >= r.win.limit {
			limit, growing := r.limit()
			if r.at >= limit && growing {
				return rec, false, nil
			}
			if r.at >= limit {
				if err := r.advance(); err != nil {
					return rec, false, r.fail(err)
				}
				continue
			}
			r.win.limit = limit
		}
		h, err := r.read()
		if err != nil {
			return rec, false, r.fail(err)
		}
		if h.kind == kindRecord && h.end() > r.from {
			return r.record, true, nil
		}
	}
}

// read takes the record at the reader's position, which is durable, so it holds
// or the log is corrupt.
func (r *Reader) read() (header, error) {
	h, ok, err := r.win.record(r.at, r.seg.seed)
	if err != nil {
		return h, vfs.Typed("read log segment "+r.seg.name, err)
	}
	if !ok {
		return h, corrupt(fmt.Errorf("%w: record at %s in %s", ErrCorrupt, r.at, r.seg.name))
	}
	b, err := r.win.bytes(r.at, int(h.size()))
	if err != nil {
		return h, vfs.Typed("read log segment "+r.seg.name, err)
	}
	r.at = h.end()
	if h.kind == kindRecord {
		r.record = Record{Start: h.start, End: h.end(), Payload: b[recordHeader:], More: h.flags&flagMore != 0}
	}
	return h, nil
}

// advance goes on to the segment after the present one.
func (r *Reader) advance() error {
	l := r.log
	l.mu.Lock()
	i := 0
	for i < len(l.segments) && l.segments[i].start <= r.seg.start {
		i++
	}
	if i == len(l.segments) || i == 0 && l.segments[0].prevStart != r.seg.start {
		end := r.seg.end
		l.mu.Unlock()
		return fmt.Errorf("read log from %s: %w", end, ErrReleased)
	}
	s := l.segments[i]
	s.pins++
	l.mu.Unlock()
	return r.enter(s)
}

func (r *Reader) fail(err error) error {
	if err != nil && r.err == nil {
		r.err = err
		r.leave()
	}
	return r.err
}

// Position is the End of the last record returned, or where reading began.
func (r *Reader) Position() LSN { return max(r.from, r.record.End) }

// Close releases the reader's segment.
func (r *Reader) Close() error {
	if r.err == nil {
		r.err = ErrClosed
		r.leave()
	}
	return nil
}
