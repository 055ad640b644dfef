package wal

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/millrace/millrace/internal/vfs"
)

// TruncateBefore releases the segments whose records all end at or before lsn.
// The segment being written stays. A reader in a released segment may finish it.
// Segments go one by one, oldest first, each durably, so that a crash on the way
// leaves no hole.
func (l *Log) TruncateBefore(lsn LSN) error {
	l.truncating.Lock()
	defer l.truncating.Unlock()
	for {
		s, recycle := l.releasable(lsn)
		if s == nil {
			return nil
		}
		if err := l.release(s, recycle); err != nil {
			l.restore(s)
			return vfs.Typed("release log segment "+s.name, err)
		}
	}
}

// releasable takes the oldest segment out of the list if lsn allows it.
func (l *Log) releasable(lsn LSN) (s *segment, recycle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s = l.segments[0]; !s.sealed || s.end > lsn || l.closed {
		return nil, false
	}
	l.segments = l.segments[1:]
	// A file that a reader has open, or that is oversized, is not written over.
	recycle = s.pins == 0 && len(l.prep.recycled) < l.opts.Recycle && int64(s.end-s.start) <= l.opts.SegmentBytes
	return s, recycle
}

// restore puts a segment back that could not be released: were the next one
// released before it, its file would be taken for the rest of a log with a hole.
func (l *Log) restore(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append([]*segment{s}, l.segments...)
}

// release gives up a segment's name. In a second attempt it may be gone already,
// but not durably.
func (l *Log) release(s *segment, recycle bool) error {
	fsys := l.opts.FS
	if !recycle {
		if err := fsys.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return fsys.SyncDir(l.dir)
	}
	temp := s.name + tempSuffix
	if err := fsys.Rename(s.name, temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The old name must be gone for good before the content changes.
	if err := fsys.SyncDir(filepath.Dir(temp)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prep.recycled = append(l.prep.recycled, temp)
	return nil
}
