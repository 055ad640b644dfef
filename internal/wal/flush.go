package wal

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/millrace/millrace/internal/vfs"
)

// flush is the goroutine that writes: while one group is on its way to the disk
// the next one fills, so that a busy log syncs without a pause and each sync
// covers all that came meanwhile.
func (l *Log) flush() {
	defer close(l.stopped)
	skip := 0
	for {
		g := l.take()
		if g == nil {
			return
		}
		info, err := l.write(g)
		l.finish(g, err)
		if err != nil {
			return
		}
		if l.opts.OnSync != nil {
			l.opts.OnSync(info)
		}
		if skip > 0 {
			skip--
		} else if g.batches >= gatherFrom && !l.gather() {
			skip = gatherSkip
		}
	}
}

const (
	gatherFrom   = 4 // batches in a group from which gathering pays
	gatherYields = 3
	// A yield takes microseconds, but a whole time slice for each goroutine that
	// computes when the processors are busy: after one that slow come so many
	// groups without.
	gatherSlow = 200 * time.Microsecond
	gatherSkip = 100
)

// gather lets the writers that were just acknowledged append their next records
// before the next group is taken. Otherwise these would miss it, and writers fall
// into two halves, each of which waits for the other's sync before its own. It
// says whether yielding was fast.
func (l *Log) gather() bool {
	begin := l.opts.Clock.Now()
	for n, before := 0, l.AppendedLSN(); n < gatherYields; n++ {
		runtime.Gosched()
		now := l.AppendedLSN()
		if now == before {
			break
		}
		before = now
	}
	return l.opts.Clock.Now().Sub(begin) < gatherSlow
}

// take waits for records and makes their group the one in flight. It returns nil
// once the log is closed and everything was written.
func (l *Log) take() *group {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.filling.buf) == 0 {
		if l.closed {
			return nil
		}
		l.work.Wait()
	}
	g := l.filling
	l.pad(g)
	l.inflight = g
	l.filling = newGroup(l.next, l.spare)
	l.filling.end = l.end
	l.spare = nil
	l.room.Broadcast()
	return g
}

// pad fills a group to the alignment, so that the next one starts on a page that
// holds nothing acknowledged.
func (l *Log) pad(g *group) {
	align := l.opts.Align
	gap := -len(g.buf) & (align - 1)
	if gap == 0 {
		return
	}
	for gap < recordHeader {
		gap += align
	}
	g.buf = appendRecord(g.buf, l.current().seed, l.next, uint32(l.next-g.start), kindPad, 0, make([]byte, gap-recordHeader))
	l.next += LSN(gap)
}

func (l *Log) write(g *group) (SyncInfo, error) {
	s, err := l.segmentFor(g)
	if err != nil {
		return SyncInfo{}, err
	}
	begin := l.opts.Clock.Now()
	if _, err := s.file.WriteAt(g.buf, segmentHeader+int64(g.start-s.start)); err != nil {
		return SyncInfo{}, vfs.Typed("write log segment "+s.name, err)
	}
	written := l.opts.Clock.Now()
	// I1: nothing of the group is acknowledged before this returns.
	if err := s.file.Sync(); err != nil {
		return SyncInfo{}, vfs.Typed("sync log segment "+s.name, err)
	}
	return SyncInfo{
		Records: g.records,
		Bytes:   len(g.buf),
		Write:   written.Sub(begin),
		Sync:    l.opts.Clock.Now().Sub(written),
	}, nil
}

// finish wakes everybody who waits for a group. After a failure the state of the
// file is unknown, so the log takes and acknowledges nothing more (I10).
func (l *Log) finish(g *group, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inflight = nil
	if err != nil {
		l.poison(g, err)
		return
	}
	l.durable.Store(uint64(g.end))
	close(g.done)
	const keep = 4 << 20
	if cap(g.buf) <= keep {
		l.spare = g.buf
	}
	g.buf = nil
}

func (l *Log) poison(g *group, err error) {
	l.err = fmt.Errorf("log %s failed and must be reopened: %w", l.dir, err)
	l.opts.Logger.Error("log failed; nothing more is acknowledged", "dir", l.dir, "durable", l.DurableLSN().String(), "error", err)
	g.err = l.err
	close(g.done)
	l.filling.err = l.err
	close(l.filling.done)
	l.filling = newGroup(l.next, nil)
	l.room.Broadcast()
}

// mark writes an empty group. A record before it that does not hold is damage
// for certain, not a torn tail.
func (l *Log) mark() error {
	if l.end == l.recovery.End && l.recovery.Marked {
		return nil
	}
	s := l.current()
	buf := appendRecord(nil, s.seed, l.next, 0, kindPad, 0, nil)
	if _, err := s.file.WriteAt(buf, segmentHeader+int64(l.next-s.start)); err != nil {
		return err
	}
	return s.file.Sync()
}

// segmentFor returns the segment a group goes to: the current one while it has
// room, else a new one. A group never spans two.
func (l *Log) segmentFor(g *group) (*segment, error) {
	l.mu.Lock()
	s := l.current()
	l.mu.Unlock()
	if used := int64(g.start - s.start); used == 0 || used+int64(len(g.buf)) <= l.opts.SegmentBytes {
		return s, nil
	}
	p, err := l.takePrepared()
	if err != nil {
		return nil, err
	}
	return l.rotate(p, segmentInfo{id: s.id, start: g.start, prevStart: s.start, prevEnd: l.DurableLSN()})
}

// rotate turns a prepared file into the current segment. Its header is durable
// before it gets its name, so a named segment whose header does not hold is
// damage, never a half-made one.
func (l *Log) rotate(p *prepared, info segmentInfo) (*segment, error) {
	name := filepath.Join(l.dir, segmentName(info.start))
	err := p.install(l.opts.FS, name, info)
	if err != nil {
		p.file.Close()
		return nil, vfs.Typed("start log segment "+name, err)
	}
	s := newSegment(name, info, p.file)
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.current()
	old.end, old.sealed = info.prevEnd, true
	old.file.Close()
	old.file = nil
	l.segments = append(l.segments, s)
	l.room.Broadcast()
	return s, nil
}
