package wal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
)

// Options configure a log. The zero value is useful.
type Options struct {
	// FS holds the files; nil is vfs.OS.
	FS vfs.FS
	// SegmentBytes is how much a segment file holds; a larger batch makes a
	// larger file. 0 is 64 MiB.
	SegmentBytes int64
	// BufferBytes is how much may wait to be written before Append blocks.
	// 0 is 32 MiB.
	BufferBytes int
	// Align pads what one fdatasync covers to a multiple of so many bytes, so
	// that no page holding acknowledged records is ever written again. A power
	// of two up to 4096; 0 is 1, no padding.
	Align int
	// Recycle is how many released segments are kept to be written over: no
	// allocation, no metadata to sync. 0 is 2; negative is none.
	Recycle int
	// AtLeast is the greatest LSN that anybody was told is durable, as far as the
	// caller knows (a checkpoint, a confirmed slot). When the log ends before it,
	// the disk lost acknowledged records: the log gets a new ID and goes on at
	// AtLeast, and Recovery says so.
	AtLeast LSN
	// NewID makes log ids; nil takes them from crypto/rand.
	NewID func() ID
	// Clock measures what OnSync reports; nil is clock.System.
	Clock clock.Clock
	// Logger hears of recovery, failure and renewal; nil is silent.
	Logger *slog.Logger
	// OnSync is called after each fdatasync by the goroutine that did it.
	OnSync func(SyncInfo)
}

// SyncInfo describes one fdatasync.
type SyncInfo struct {
	Records int           // that became durable by it
	Bytes   int           // written before it, padding included
	Write   time.Duration // the write
	Sync    time.Duration // the fdatasync
}

// Validate names every value that cannot be.
func (o Options) Validate() error {
	var errs []error
	if o.SegmentBytes < 0 {
		errs = append(errs, fmt.Errorf("SegmentBytes %d is negative", o.SegmentBytes))
	}
	if o.BufferBytes < 0 {
		errs = append(errs, fmt.Errorf("BufferBytes %d is negative", o.BufferBytes))
	}
	if o.Align < 0 || o.Align > segmentHeader || o.Align&(o.Align-1) != 0 {
		errs = append(errs, fmt.Errorf("alignment Align=%d is not a power of two up to %d", o.Align, segmentHeader))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = 32 << 20
	}
	if o.Align == 0 {
		o.Align = 1
	}
	if o.Recycle == 0 {
		o.Recycle = 2
	}
	if o.NewID == nil {
		o.NewID = randomID
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func randomID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails, see crypto/rand
	return id
}
