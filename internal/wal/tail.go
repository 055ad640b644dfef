package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/vfs"
)

// tail is what recovery finds at the end of the last segment.
type tail struct {
	end       LSN   // of the last record of the last whole batch
	next      LSN   // where the next record goes: end, or after the pad or mark there
	lastGroup LSN   // start of the sync group that end belongs to
	torn      int64 // bytes after next that were meant to be records
	remains   bool  // an intact record lies after next
	marked    bool  // the log was closed in order
}

// scanTail walks a segment's records to the first that does not hold. Whether
// that is a torn tail or damage is told by what follows: a record of a later
// sync group was only written once all before that group was durable.
func scanTail(s *segment) (tail, error) {
	info, err := s.file.Stat()
	if err != nil {
		return tail{}, err
	}
	limit := s.start + LSN(max(0, info.Size()-segmentHeader))
	t := tail{end: s.prevEnd, next: s.start, lastGroup: s.start}
	if s.newLife {
		t.end = s.start
	}
	w := window{file: s.file, start: s.start, limit: limit}
	at := s.start
	for {
		h, ok, err := w.record(at, s.seed)
		if err != nil {
			return t, err
		}
		if !ok {
			return t, t.inspect(s, &w, at, h)
		}
		at = h.end()
		if h.flags&flagMore != 0 {
			continue
		}
		t.next, t.lastGroup = at, h.group()
		if h.kind == kindRecord {
			t.end = at
		}
		t.marked = h.kind == kindPad && h.length == 0
	}
}

// inspect looks at what lies after the first record that does not hold, whose
// header as read is h.
func (t *tail) inspect(s *segment, w *window, bad LSN, h header) error {
	if h.plausible(bad) {
		t.torn = int64(h.end() - t.next)
	}
	for at := t.next; ; at++ {
		h, found, err := w.find(&at, s.seed)
		if err != nil || !found {
			return err
		}
		if h.group() > bad {
			return fmt.Errorf("%w: the record at %s is damaged: a later one at %s was written after it was durable",
				ErrCorrupt, bad, h.start)
		}
		t.remains = true
		t.torn = max(t.torn, int64(h.end()-t.next))
	}
}

// window reads a segment in large pieces.
type window struct {
	file  vfs.File
	start LSN // of the segment
	limit LSN // nothing is read at or beyond it
	at    LSN // of buf
	buf   []byte
}

const windowBytes = 1 << 20

// bytes returns n bytes at an LSN, fewer at the limit. They hold until the next call.
func (w *window) bytes(at LSN, n int) ([]byte, error) {
	if n = int(min(LSN(n), w.limit-min(at, w.limit))); n == 0 {
		return nil, nil
	}
	if at >= w.at && at+LSN(n) <= w.at+LSN(len(w.buf)) {
		return w.buf[at-w.at:][:n], nil
	}
	want := int(min(LSN(max(n, windowBytes)), w.limit-at))
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.buf = w.buf[:want]
	got, err := w.file.ReadAt(w.buf, segmentHeader+int64(at-w.start))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil {
		w.buf = w.buf[:0]
		return nil, err
	}
	w.at, w.buf = at, w.buf[:got]
	return w.buf[:min(n, got)], nil
}

// record reads and checks the record at an LSN.
func (w *window) record(at LSN, seed uint32) (h header, ok bool, err error) {
	b, err := w.bytes(at, recordHeader)
	if err != nil || len(b) < recordHeader {
		return h, false, err
	}
	if h = decodeHeader(b); !h.plausible(at) || h.end() > w.limit {
		return h, false, nil
	}
	b, err = w.bytes(at, int(h.size()))
	if err != nil || len(b) < int(h.size()) {
		return h, false, err
	}
	return h, intact(seed, b), nil
}

// find moves *at to the next intact record that stands where it says it does.
func (w *window) find(at *LSN, seed uint32) (h header, found bool, err error) {
	for *at < w.limit {
		b, err := w.bytes(*at, windowBytes)
		if err != nil || len(b) < recordHeader {
			return h, false, err
		}
		i := candidate(b, *at)
		*at += LSN(i)
		if i > len(b)-recordHeader {
			continue
		}
		if h, found, err = w.record(*at, seed); found || err != nil {
			return h, found, err
		}
		*at++
	}
	return h, false, nil
}

// candidate returns the index in b, whose first byte lies at an LSN, of the first
// header that says it stands where it does, or len(b)-recordHeader+1.
func candidate(b []byte, at LSN) int {
	for i := 0; i+recordHeader <= len(b); i++ {
		lsn := binary.LittleEndian.Uint64(b[i+8:])
		if lsn == uint64(at)+uint64(i) {
			return i
		}
		// Space never written: the seven places that follow are zero, too.
		if lsn == 0 && binary.LittleEndian.Uint64(b[i+16:]) == 0 {
			i += 7
		}
	}
	return len(b) - recordHeader + 1
}
