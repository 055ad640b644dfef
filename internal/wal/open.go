package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// Recovery says what Open found.
type Recovery struct {
	ID ID
	// End is the end of the last record that was kept.
	End LSN
	// TornBytes were dropped after End: they were never acknowledged.
	TornBytes int64
	// Marked says that the log was closed in order.
	Marked bool
	// Renewed says that the log ended before Options.AtLeast: acknowledged
	// records are lost, ID is new, and the log goes on at AtLeast.
	Renewed bool
	// Created says that there was no log.
	Created bool
}

// Open opens the log in a folder, or makes one. It drops a torn tail, which was
// never acknowledged, and fails with ErrCorrupt when a record is damaged that was
// once durable, with CodeInUse when another process has the log open.
func Open(dir string, opts Options) (*Log, error) {
	if err := opts.Validate(); err != nil {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "log options", Err: err}
	}
	l := &Log{dir: dir, opts: opts.withDefaults(), stopped: make(chan struct{})}
	l.work.L, l.room.L = &l.mu, &l.mu
	err := l.open()
	if err == nil {
		go l.flush()
		return l, nil
	}
	if len(l.segments) > 0 && l.current().file != nil {
		l.current().file.Close()
	}
	if l.lock != nil {
		l.lock.Close()
	}
	if errors.Is(err, ErrCorrupt) {
		err = corrupt(err)
	}
	return nil, vfs.Typed("open log "+dir, err)
}

func (l *Log) open() (err error) {
	if err = vfs.MakeDir(l.opts.FS, l.dir); err != nil {
		return err
	}
	if l.lock, err = l.opts.FS.Lock(filepath.Join(l.dir, "LOCK")); err != nil {
		return err
	}
	if err = l.loadSegments(); err != nil {
		return err
	}
	if len(l.segments) == 0 {
		return l.create()
	}
	return l.recover()
}

func (l *Log) create() error {
	id, start := l.opts.NewID(), l.opts.AtLeast
	l.recovery = Recovery{ID: id, End: start, Created: true, Renewed: start > 0}
	l.begin(start, start)
	return l.startSegment(segmentInfo{id: id, newLife: true, start: start, prevStart: start, prevEnd: start})
}

// begin sets where the next record starts and what is durable already.
func (l *Log) begin(next, end LSN) {
	l.next, l.end = next, end
	l.durable.Store(uint64(end))
	l.filling = newGroup(next, nil)
	l.filling.end = end
}

// startSegment adds a segment when nothing else runs yet.
func (l *Log) startSegment(info segmentInfo) error {
	p, err := prepare(l.opts.FS, "", filepath.Join(l.dir, "next-0"+tempSuffix), l.opts.SegmentBytes)
	if err != nil {
		return err
	}
	name := filepath.Join(l.dir, segmentName(info.start))
	if err := p.install(l.opts.FS, name, info); err != nil {
		p.file.Close()
		return err
	}
	l.segments = append(l.segments, newSegment(name, info, p.file))
	return nil
}

// loadSegments reads the header of each segment and checks that they follow one
// another. Files under temporary names are leftovers.
func (l *Log) loadSegments() error {
	names, err := l.opts.FS.List(l.dir)
	if err != nil {
		return err
	}
	for _, name := range names { // sorted, so in order of LSN
		path := filepath.Join(l.dir, name)
		if strings.HasSuffix(name, tempSuffix) {
			if err := l.opts.FS.Remove(path); err != nil {
				return err
			}
			continue
		}
		if start, ok := parseSegmentName(name); ok {
			if err := l.loadSegment(path, start); err != nil {
				return fmt.Errorf("log segment %s: %w", path, err)
			}
		}
	}
	return nil
}

func (l *Log) loadSegment(path string, start LSN) error {
	f, err := l.opts.FS.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, segmentHeaderEnd)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	info, err := decodeSegmentInfo(b)
	if err != nil {
		return err
	}
	if info.start != start {
		return fmt.Errorf("%w: the header says it starts at %s", ErrCorrupt, info.start)
	}
	if n := len(l.segments); n > 0 {
		prev := l.segments[n-1]
		if info.prevStart != prev.start || info.prevEnd < prev.start || info.prevEnd > info.start {
			return fmt.Errorf("%w: it follows a segment from %s to %s, found is one from %s",
				ErrCorrupt, info.prevStart, info.prevEnd, prev.start)
		}
		prev.end, prev.sealed = info.prevEnd, true
	}
	l.segments = append(l.segments, newSegment(path, info, nil))
	return nil
}

// recover finds the end of the log in the last segment and makes it ready for
// writing.
func (l *Log) recover() error {
	s := l.current()
	file, err := l.opts.FS.OpenReadWrite(s.name)
	if err != nil {
		return err
	}
	s.file = file
	t, err := scanTail(s)
	if err != nil {
		return fmt.Errorf("log segment %s: %w", s.name, err)
	}
	// After a failed fdatasync the kernel may show as clean what the disk does
	// not have: what may not be durable is written again, then synced. I1: from
	// here on it counts as durable.
	if err := rewrite(s, t.lastGroup, t.end); err != nil {
		return err
	}
	l.recovery = Recovery{ID: s.id, End: t.end, TornBytes: t.torn, Marked: t.marked}
	if t.torn > 0 {
		l.opts.Logger.Info("dropped a torn tail that was never acknowledged", "dir", l.dir, "end", t.end.String(), "bytes", t.torn)
	}
	l.begin(t.next, t.end)
	switch {
	case t.end < l.opts.AtLeast:
		return l.renew(t)
	case t.remains:
		return l.abandonTail(s, t)
	}
	return nil
}

// renew starts a new life of the log at AtLeast, because the old one lost what
// had been acknowledged. What is left of it can still be read.
func (l *Log) renew(t tail) error {
	s := l.current()
	l.recovery.ID, l.recovery.Renewed = l.opts.NewID(), true
	l.opts.Logger.Error("the disk lost acknowledged log records; the log gets a new id", "dir", l.dir,
		"end", t.end.String(), "acknowledged", l.opts.AtLeast.String(), "id", l.recovery.ID.String())
	l.begin(l.opts.AtLeast, l.opts.AtLeast)
	return l.follow(s, t, segmentInfo{id: l.recovery.ID, newLife: true, start: l.opts.AtLeast, prevStart: s.start, prevEnd: t.end})
}

// abandonTail goes on in a new segment, because after the end there are intact
// records of a torn group, which new records must not bring back to life.
func (l *Log) abandonTail(s *segment, t tail) error {
	return l.follow(s, t, segmentInfo{id: s.id, start: t.next, prevStart: s.start, prevEnd: t.end})
}

func (l *Log) follow(s *segment, t tail, info segmentInfo) error {
	s.file.Close()
	s.file = nil
	if info.start == s.start { // nothing in it: the new file takes its name and place
		info.prevStart, info.prevEnd, info.newLife = s.prevStart, s.prevEnd, info.newLife || s.newLife
		l.segments = l.segments[:len(l.segments)-1]
	} else {
		s.end, s.sealed = t.end, true
	}
	return l.startSegment(info)
}

func rewrite(s *segment, from, to LSN) error {
	if to > from {
		b := make([]byte, to-from)
		if _, err := s.file.ReadAt(b, segmentHeader+int64(from-s.start)); err != nil {
			return err
		}
		if _, err := s.file.WriteAt(b, segmentHeader+int64(from-s.start)); err != nil {
			return err
		}
	}
	return s.file.Sync()
}

// segmentStarts lists the segments, for tests.
func (l *Log) segmentStarts() []LSN {
	l.mu.Lock()
	defer l.mu.Unlock()
	starts := make([]LSN, len(l.segments))
	for i, s := range l.segments {
		starts[i] = s.start
	}
	return slices.Clip(starts)
}
