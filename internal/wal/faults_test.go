package wal

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

// TestFailedSyncPoisons: nothing is acknowledged after a failed fdatasync, though
// the next one would succeed; reads go on; reopening recovers what was acknowledged.
func TestFailedSyncPoisons(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	l := open(t, faults, Options{})
	end := appendSync(t, l, "acknowledged")
	faults.FailSync(1)
	_, lost, err := l.Append([]byte("not acknowledged"))
	require.NoError(t, err)
	err = l.WaitDurable(ctx, lost)
	require.ErrorIs(t, err, vfstest.ErrInjected)
	require.Equal(t, schemas.CodeIO, schemas.CodeOf(err))
	_, _, err = l.Append([]byte("x"))
	require.ErrorIs(t, err, vfstest.ErrInjected)
	require.ErrorIs(t, l.WaitDurable(ctx, lost), vfstest.ErrInjected)
	_, err = l.WaitBeyond(ctx, end)
	require.ErrorIs(t, err, vfstest.ErrInjected)
	require.ErrorIs(t, l.Err(), vfstest.ErrInjected)
	require.Equal(t, end, l.DurableLSN())
	require.NoError(t, l.WaitDurable(ctx, end))
	require.Equal(t, []string{"acknowledged"}, contents(t, l, 0))
	require.ErrorIs(t, l.Close(), vfstest.ErrInjected)

	crashed := open(t, mem.CrashClone(0, 0), Options{})
	require.Equal(t, []string{"acknowledged"}, contents(t, crashed, 0))
	require.NoError(t, crashed.Close())
	// Without a crash the kernel still shows the record, and calls it clean. Once
	// recovery counts it as durable it must be.
	l = open(t, faults, Options{})
	require.Equal(t, []string{"acknowledged", "not acknowledged"}, contents(t, l, 0))
	crashed = open(t, mem.CrashClone(0, 0), Options{})
	require.Equal(t, []string{"acknowledged", "not acknowledged"}, contents(t, crashed, 0))
	require.NoError(t, crashed.Close())
	require.NoError(t, l.Close())
}

// TestDiskFullRefusesAppends: without room for a segment an append fails, typed,
// nothing else does, and the log goes on once there is room.
func TestDiskFullRefusesAppends(t *testing.T) {
	faults := vfstest.NewFaults(vfstest.NewMem())
	l := open(t, faults, Options{SegmentBytes: 4096})
	faults.FillAfter(4000) // enough for the present segment, not to reserve another
	var want []string
	var err error
	for i := 0; ; i++ {
		s := fmt.Sprintf("record %d", i)
		if _, _, err = l.Append([]byte(s)); err != nil {
			break
		}
		require.NoError(t, l.Sync(ctx))
		want = append(want, s)
	}
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(err))
	require.Greater(t, len(want), 50)
	require.NoError(t, l.Err())
	require.Equal(t, want, contents(t, l, 0))
	_, _, err = l.Append([]byte("still full"))
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(err))
	faults.Empty()
	appendSync(t, l, "room again")
	require.Equal(t, append(want, "room again"), contents(t, l, 0))
	require.NoError(t, l.Close())
}

func TestDiskFullInAWritePoisons(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	l := open(t, faults, Options{SegmentBytes: 1024})
	appendSync(t, l, "acknowledged")
	_, _, err := l.Append(make([]byte, 600)) // past half: the next segment is prepared
	require.NoError(t, err)
	require.NoError(t, l.Sync(ctx))
	require.Eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.prep.ready != nil }, time.Second, time.Millisecond)
	faults.FillAfter(10)
	_, end, err := l.Append(make([]byte, 5000)) // more than a segment has reserved
	require.NoError(t, err)
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(l.WaitDurable(ctx, end)))
	want := []string{"acknowledged", string(make([]byte, 600))}
	require.Equal(t, want, contents(t, l, 0))
	require.Error(t, l.Close())
	faults.Empty()
	l = open(t, mem, Options{})
	require.Equal(t, want, contents(t, l, 0))
	require.NoError(t, l.Close())
}

// TestFailedReleaseLeavesNoHole fails each step of a release in turn; then the log
// crashes, or the release is tried again.
func TestFailedReleaseLeavesNoHole(t *testing.T) {
	for n := range 5 {
		mem := vfstest.NewMem()
		faults := vfstest.NewFaults(mem)
		opts := Options{SegmentBytes: 512, Recycle: 1}
		l := open(t, faults, opts)
		var ends []LSN
		for i := range 100 {
			ends = append(ends, appendSync(t, l, fmt.Sprintf("record %d", i)))
		}
		faults.FailSync(n)
		if n == 0 {
			faults.Hook(func(op vfstest.Op) error {
				if op.Kind == "rename" {
					return vfstest.ErrInjected
				}
				return nil
			})
		}
		require.ErrorIs(t, l.TruncateBefore(ends[60]), vfstest.ErrInjected)
		faults.Hook(nil)
		for _, percent := range []int{0, 100} {
			c := open(t, mem.CrashClone(percent, 1), opts)
			require.Equal(t, numbered(61, 100), contents(t, c, ends[60]))
			require.NoError(t, c.Close())
		}
		require.NoError(t, l.TruncateBefore(ends[80]))
		require.Equal(t, numbered(81, 100), contents(t, l, ends[80]))
		require.NoError(t, l.Close())
		l = open(t, mem, opts)
		require.Equal(t, numbered(81, 100), contents(t, l, ends[80]))
		require.NoError(t, l.Close())
	}
}

// TestConcurrentAppendersAndTail: tailing readers see exactly the durable records,
// in order, while many append and old segments are released behind the slowest.
func TestConcurrentAppendersAndTail(t *testing.T) {
	for _, fsys := range []vfs.FS{vfstest.NewMem(), vfs.OS} {
		dir := "/log"
		if fsys == vfs.OS {
			dir = t.TempDir()
		}
		l, err := Open(dir, Options{FS: fsys, SegmentBytes: 16 << 10, BufferBytes: 8 << 10, Align: 512})
		require.NoError(t, err)
		const writers, each = 8, 200
		var wg, readers sync.WaitGroup
		var at [3]atomic.Uint64
		for i := range at {
			readers.Go(func() { follow(t, l, writers, each, &at[i]) })
		}
		stop := make(chan struct{})
		releaser := sync.WaitGroup{}
		releaser.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				if err := l.TruncateBefore(LSN(min(at[0].Load(), at[1].Load(), at[2].Load()))); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for w := range writers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 1))
				for i := range each {
					batch := [][]byte{fmt.Appendf(nil, "%d %d a", w, i), fmt.Appendf(nil, "%d %d b %s", w, i, make([]byte, r.IntN(200)))}
					_, end, err := l.Append(batch...)
					if err == nil && r.IntN(2) == 0 {
						err = l.WaitDurable(ctx, end)
						if l.DurableLSN() < end {
							t.Error("acknowledged before it was durable")
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, l.Sync(ctx))
		readers.Wait()
		close(stop)
		releaser.Wait()
		require.NoError(t, l.Close())
	}
}

// follow reads all records and checks that batches are whole and each writer's in order.
func follow(t testing.TB, l *Log, writers, each int, at *atomic.Uint64) {
	r, err := l.NewReader(0)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	next := make([]int, writers)
	var last LSN
	for n := range 2 * writers * each {
		rec, err := r.Next(ctx)
		if err != nil {
			t.Errorf("record %d: %v", n, err)
			return
		}
		var w, i int
		var half string
		if _, err := fmt.Sscanf(string(rec.Payload), "%d %d %s", &w, &i, &half); err != nil {
			t.Errorf("record %d: %v", n, err)
			return
		}
		want := "a"
		if n%2 == 1 {
			want = "b"
			next[w]++
			i++
		}
		if i != next[w] || half != want || rec.Start < last || rec.End > l.DurableLSN() || rec.More != (half == "a") {
			t.Errorf("record %d: writer %d, %d%s, want %d%s, from %s to %s", n, w, i, half, next[w], want, rec.Start, rec.End)
			return
		}
		last = rec.End
		at.Store(uint64(last))
	}
}
