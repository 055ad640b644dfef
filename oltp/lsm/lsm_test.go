package lsm

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/kv/kvtest"
)

var ctx = context.Background()

// small makes a few hundred writes reach several levels.
func small(fsys vfs.FS) Options {
	return Options{FS: fsys, MemtableBytes: 16 << 10, CacheBytes: 64 << 10, BlockBytes: 512,
		TableBytes: 8 << 10, LevelBytes: 32 << 10, L0Compact: 2, L0Slow: 6, L0Stop: 12}
}

func TestConformance(t *testing.T) {
	kvtest.Suite{Open: func(fsys vfs.FS, dir string) (kv.Engine, error) { return Open(dir, small(fsys)) }}.Run(t)
}

// TestConformanceOtherwise has tiny blocks without compression, no cache and
// deep levels.
func TestConformanceOtherwise(t *testing.T) {
	kvtest.Suite{Open: func(fsys vfs.FS, dir string) (kv.Engine, error) {
		return Open(dir, Options{FS: fsys, MemtableBytes: 8 << 10, CacheBytes: 1, BlockBytes: 64, Plain: true,
			TableBytes: 2 << 10, LevelBytes: 8 << 10, L0Compact: 1, L0Slow: 4, L0Stop: 6})
	}}.Run(t)
}
