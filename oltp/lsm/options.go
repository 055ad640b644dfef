package lsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
)

// Options configure an engine. The zero value is useful.
type Options struct {
	// FS holds the files; nil is vfs.OS.
	FS vfs.FS
	// MemtableBytes is how much a memtable takes before it is flushed. Up to
	// three exist at once. 0 is 32 MiB.
	MemtableBytes int
	// CacheBytes is the budget of the block cache. 0 is 64 MiB.
	CacheBytes int
	// BlockBytes is the size of data blocks before compression: smaller reads
	// less for a point, larger compresses better. 0 is 8 KiB.
	BlockBytes int
	// TableBytes is the size at which compaction starts the next table. 0 is 16 MiB.
	TableBytes int64
	// LevelBytes is the target of the first sorted level; each one below holds
	// ten times as much. 0 is 128 MiB.
	LevelBytes int64
	// L0Compact is how many tables in level 0 start a compaction, L0Slow how many
	// slow writers down, L0Stop how many stop them. 0 is 4, 12 and 24.
	L0Compact, L0Slow, L0Stop int
	// Plain stores blocks without compression.
	Plain bool
	// WaitLog returns once the commit log is durable up to an LSN. The engine
	// makes nothing durable before, so that it never holds a commit that the log
	// lost. nil means that every applied LSN is durable already.
	WaitLog func(ctx context.Context, lsn uint64) error
	// Clock times stalls and retries; nil is clock.System.
	Clock clock.Clock
	// Logger hears of flush and compaction failures; nil is silent.
	Logger *slog.Logger
}

// Validate names every value that cannot be.
func (o Options) Validate() error {
	var errs []error
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"MemtableBytes", int64(o.MemtableBytes)}, {"CacheBytes", int64(o.CacheBytes)}, {"BlockBytes", int64(o.BlockBytes)},
		{"TableBytes", o.TableBytes}, {"LevelBytes", o.LevelBytes},
		{"L0Compact", int64(o.L0Compact)}, {"L0Slow", int64(o.L0Slow)}, {"L0Stop", int64(o.L0Stop)},
	} {
		if v.value < 0 {
			errs = append(errs, fmt.Errorf("%s %d is negative", v.name, v.value))
		}
	}
	if o.BlockBytes > 1<<20 {
		errs = append(errs, fmt.Errorf("BlockBytes %d is over 1 MiB", o.BlockBytes))
	}
	if d := o.withDefaults(); d.L0Compact > d.L0Slow || d.L0Slow > d.L0Stop {
		errs = append(errs, fmt.Errorf("L0Compact %d, L0Slow %d and L0Stop %d are not in order", d.L0Compact, d.L0Slow, d.L0Stop))
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&o.MemtableBytes, 32<<20)
	or(&o.CacheBytes, 64<<20)
	or(&o.BlockBytes, 8<<10)
	or(&o.L0Compact, 4)
	or(&o.L0Slow, 12)
	or(&o.L0Stop, 24)
	if o.TableBytes == 0 {
		o.TableBytes = 16 << 20
	}
	if o.LevelBytes == 0 {
		o.LevelBytes = 128 << 20
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
