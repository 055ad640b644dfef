package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
)

// segment is one file of the log. Everything but the header's content is guarded
// by the log's mu.
type segment struct {
	segmentInfo
	name   string
	seed   uint32
	file   vfs.File // open for writing in the current segment only
	sealed bool     // a later segment exists
	end    LSN      // of its last record, once sealed
	pins   int      // readers that have it open
}

const (
	segmentSuffix = ".wal"
	tempSuffix    = ".tmp"
)

func segmentName(start LSN) string { return fmt.Sprintf("%016x%s", uint64(start), segmentSuffix) }

func parseSegmentName(name string) (LSN, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return LSN(n), err == nil
}

func newSegment(name string, info segmentInfo, file vfs.File) *segment {
	return &segment{segmentInfo: info, name: name, seed: info.id.seed(), file: file}
}

// current is the segment that takes writes.
func (l *Log) current() *segment { return l.segments[len(l.segments)-1] }

// prepared is a file ready to become a segment: space reserved, under a
// temporary name.
type prepared struct {
	name string
	file vfs.File
}

// preparation makes the next segment ready ahead of need. Guarded by Log.mu.
type preparation struct {
	running  bool
	ready    *prepared
	err      error    // why the last attempt failed
	recycled []string // released files under temporary names
	serial   int
}

// segmentReady says whether size more bytes have a place, and has one made when
// not. It fails when the last attempt did and another one fails too (I10: disk
// full refuses the append, nothing else).
func (l *Log) segmentReady(size int) (bool, error) {
	p, s := &l.prep, l.current()
	used := int64(l.next-s.start) + int64(size+l.opts.Align+recordHeader)
	if used > l.opts.SegmentBytes/2 && p.ready == nil && !p.running && p.err == nil {
		l.startPreparing()
	}
	if used <= l.opts.SegmentBytes || p.ready != nil {
		return true, nil
	}
	if p.err != nil && !p.running {
		err := p.err
		p.err = nil // the next append tries again
		return false, err
	}
	return false, nil
}

// startPreparing needs mu.
func (l *Log) startPreparing() {
	p := &l.prep
	p.running = true
	p.serial++
	name := filepath.Join(l.dir, fmt.Sprintf("next-%d%s", p.serial, tempSuffix))
	old := ""
	if n := len(p.recycled); n > 0 {
		old, p.recycled = p.recycled[n-1], p.recycled[:n-1]
	}
	l.workers.Add(1)
	go func() {
		defer l.workers.Done()
		ready, err := prepare(l.opts.FS, old, name, l.opts.SegmentBytes)
		l.mu.Lock()
		defer l.mu.Unlock()
		p.running, p.ready = false, ready
		p.err = vfs.Typed("make room for a log segment in "+l.dir, err)
		l.room.Broadcast()
	}()
}

// takePrepared waits for a prepared file. Only the flusher calls it.
func (l *Log) takePrepared() (*prepared, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.prep
	for p.ready == nil {
		if p.err != nil && !p.running {
			return nil, p.err
		}
		if !p.running {
			l.startPreparing()
		}
		l.room.Wait()
	}
	ready := p.ready
	p.ready = nil
	return ready, nil
}

// prepare makes a file of a segment's size, from a recycled one when given.
// Records that a recycled file still holds carry LSNs below the new segment's,
// so they never pass for its own.
func prepare(fsys vfs.FS, recycled, name string, size int64) (*prepared, error) {
	if recycled != "" {
		if f, err := fsys.OpenReadWrite(recycled); err == nil {
			return &prepared{name: recycled, file: f}, nil
		}
	}
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	if err = f.Preallocate(0, segmentHeader+size); err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, fsys.Remove(name))
	}
	return &prepared{name: name, file: f}, nil
}

func (p *prepared) install(fsys vfs.FS, name string, info segmentInfo) error {
	if _, err := p.file.WriteAt(info.encode(), 0); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(p.name, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
