package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
)

// TestCrashUnderConcurrentWriters: what each writer was acknowledged is there, in
// its order, and nothing is there without what its writer appended before.
func TestCrashUnderConcurrentWriters(t *testing.T) {
	const writers = 4
	each := 60
	if testing.Short() {
		each = 20
	}
	opts := Options{SegmentBytes: 2048, BufferBytes: 1024}
	var acked [writers]atomic.Int64
	n := vfstest.Crash[[writers]int64]{
		Run: func(fsys vfs.FS) {
			o := opts
			o.FS = fsys
			l, err := Open("/log", o)
			if err != nil {
				t.Error(err)
				return
			}
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						_, end, err := l.Append(fmt.Appendf(nil, "%d %d a", w, i), fmt.Appendf(nil, "%d %d b", w, i))
						if err == nil {
							err = l.WaitDurable(ctx, end)
						}
						if err != nil {
							t.Error(err)
							return
						}
						acked[w].Store(int64(i + 1))
					}
				})
			}
			wg.Wait()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		},
		Promised: func() (p [writers]int64) {
			for w := range p {
				p[w] = acked[w].Load()
			}
			return p
		},
		Check: func(t testing.TB, _ int, fsys vfs.FS, promised [writers]int64) {
			checkWriters(t, fsys, opts, promised[:])
		},
		Torn: true,
	}.At(t)
	t.Logf("%d crash points", n)
	require.Greater(t, n, each)
}

func checkWriters(t testing.TB, fsys vfs.FS, opts Options, promised []int64) {
	opts.FS = fsys
	l, err := Open("/log", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := read(l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(got)%2 != 0 {
		t.Fatalf("torn batch: %d records", len(got))
	}
	next := make([]int64, len(promised))
	for i, s := range got {
		var w int
		var seq int64
		var half string
		if _, err := fmt.Sscanf(s, "%d %d %s", &w, &seq, &half); err != nil {
			t.Fatal(err)
		}
		if want := []string{"a", "b"}[i%2]; seq != next[w] || half != want {
			t.Fatalf("record %d is %q, want %d %d %s", i, s, w, next[w], want)
		}
		if half == "b" {
			next[w]++
		}
	}
	for w := range next {
		if next[w] < promised[w] {
			t.Fatalf("writer %d: %d are there, acknowledged were %d", w, next[w], promised[w])
		}
	}
}
