package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

// journal is what a crash test knows: every batch in order of LSN, and how many
// of them were acknowledged.
type journal struct {
	mu      sync.Mutex
	batches [][]string
	acked   int
	kept    int // batches released by TruncateBefore
}

type promise struct{ acked, kept int }

func (j *journal) promised() promise {
	j.mu.Lock()
	defer j.mu.Unlock()
	return promise{acked: j.acked, kept: j.kept}
}

// workload appends batches of different sizes, reopens now and then and releases
// old segments.
func workload(fsys vfs.FS, j *journal, opts Options) error {
	opts.FS = fsys
	r := rand.New(rand.NewPCG(1, 1))
	var ends []LSN
	for life := range 3 {
		l, err := Open("/log", opts)
		if err != nil {
			return err
		}
		for i := range 25 {
			batch := randomBatch(r, life*100+i)
			j.mu.Lock()
			j.batches = append(j.batches, batch)
			n := len(j.batches)
			j.mu.Unlock()
			_, end, err := l.Append(asBytes(batch)...)
			if err != nil {
				return err
			}
			ends = append(ends, end)
			if i%3 == 0 { // the others share the next fdatasync
				if err := l.WaitDurable(ctx, end); err != nil {
					return err
				}
				j.mu.Lock()
				j.acked = n
				j.mu.Unlock()
			}
			if n > 8 && i%3 == 1 {
				j.mu.Lock()
				j.kept = n - 8
				j.mu.Unlock()
				if err := l.TruncateBefore(ends[n-9]); err != nil {
					return err
				}
			}
		}
		if err := l.Close(); err != nil {
			return err
		}
		j.mu.Lock()
		j.acked = len(j.batches)
		j.mu.Unlock()
	}
	return nil
}

func randomBatch(r *rand.Rand, id int) []string {
	batch := make([]string, 1+r.IntN(4))
	for i := range batch {
		batch[i] = fmt.Sprintf("%d.%d.%d %s", id, i, len(batch), strings.Repeat("x", r.IntN(400)))
	}
	return batch
}

// checkRecovered demands that the log holds whole batches, in order, without a
// gap, from the first one not released to at least the last acknowledged.
func checkRecovered(t testing.TB, fsys vfs.FS, p promise, all [][]string, opts Options) {
	opts.FS = fsys
	l, err := Open("/log", opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer l.Close()
	got, err := read(l, l.OldestLSN())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	first := 0
	if len(got) > 0 {
		for first < len(all) && all[first][0] != got[0] {
			first++
		}
	}
	if len(got) > 0 && first > p.kept || len(got) == 0 && p.acked > 0 {
		t.Fatalf("the log begins with batch %d, released are %d, acknowledged %d", first, p.kept, p.acked)
	}
	n := first
	for len(got) > 0 {
		if n == len(all) || len(got) < len(all[n]) {
			t.Fatalf("torn batch %d: %q", n, got)
		}
		for _, want := range all[n] {
			if got[0] != want {
				t.Fatalf("batch %d: %.20q, want %.20q", n, got[0], want)
			}
			got = got[1:]
		}
		n++
	}
	if n < p.acked {
		t.Fatalf("batches up to %d are there, acknowledged were %d", n, p.acked)
	}
	// It must go on, and keep what it has.
	batch := []string{"after", "the crash"}
	if _, _, err := l.Append(asBytes(batch)...); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := read(l, l.OldestLSN())
	if err != nil || len(again) < 2 || again[len(again)-1] != batch[1] {
		t.Fatalf("after recovery: %v, %d records", err, len(again))
	}
}

func crashes(t testing.TB, opts Options, faults func(*vfstest.Faults)) int {
	var all journal
	if err := workload(vfstest.NewMem(), &all, opts); err != nil {
		t.Fatal(err)
	}
	var j journal
	return vfstest.Crash[promise]{
		Run: func(fsys vfs.FS) {
			if err := workload(fsys, &j, opts); err != nil {
				t.Error(err)
			}
		},
		Promised: j.promised,
		Check: func(t testing.TB, _ int, fsys vfs.FS, p promise) {
			checkRecovered(t, fsys, p, all.batches, opts)
		},
		Torn:   true,
		Faults: faults,
	}.At(t)
}

func TestCrashAtEveryOperation(t *testing.T) {
	for _, opts := range []Options{
		{SegmentBytes: 4096},
		{SegmentBytes: 4096, Align: 512},
		{SegmentBytes: 16384, Align: 4096, Recycle: -1},
		{SegmentBytes: 1 << 20},
	} {
		n := crashes(t, opts, nil)
		t.Logf("segments of %d bytes, alignment %d: %d crash points", opts.SegmentBytes, opts.Align, n)
	}
}

func TestCrashCatchesASyncThatLies(t *testing.T) {
	failures := vfstest.Try(t, func(t testing.TB) {
		crashes(t, Options{SegmentBytes: 4096}, func(f *vfstest.Faults) { f.Lie(true) })
	})
	require.NotEmpty(t, failures)
}

// TestTornAtEveryByte cuts the last group at each of its bytes: whole batches
// before it stay, it goes as a whole or is whole.
func TestTornAtEveryByte(t *testing.T) {
	for _, filler := range []byte{0, 0xff} {
		mem := vfstest.NewMem()
		l := open(t, mem, Options{})
		appendSync(t, l, "first")
		kept := appendSync(t, l, "second", "third")
		end := appendSync(t, l, "torn one", "torn two")
		name := l.current().name
		for size := kept; size <= end; size++ {
			clone := mem.CrashClone(0, 0)
			data, err := vfs.ReadFile(clone, name)
			require.NoError(t, err)
			for i := segmentHeader + int(size); i < len(data); i++ {
				data[i] = filler
			}
			require.NoError(t, vfs.WriteFile(clone, name, data))
			torn := open(t, clone, Options{})
			want := []string{"first", "second", "third"}
			if size == end {
				want = append(want, "torn one", "torn two")
			}
			require.Equal(t, want, contents(t, torn, 0))
			appendSync(t, torn, "next")
			require.Equal(t, append(want, "next"), contents(t, torn, 0))
			require.NoError(t, torn.Close())
			again := open(t, clone, Options{})
			require.Equal(t, append(want, "next"), contents(t, again, 0))
			require.NoError(t, again.Close())
		}
		require.NoError(t, l.Close())
	}
}

// TestTornGroupStaysDead loses the first record of a group of which a later one
// survived. The later one must not come back behind new records.
func TestTornGroupStaysDead(t *testing.T) {
	mem := vfstest.NewMem()
	l := open(t, mem, Options{})
	kept := appendSync(t, l, "kept")
	group := append(numbered(0, 3), "survivor")
	start, _, err := l.Append(asBytes(group)...)
	require.NoError(t, err)
	require.Equal(t, kept, start)
	require.NoError(t, l.Sync(ctx))
	name := l.current().name
	crash := mem.CrashClone(0, 0)
	require.NoError(t, l.Close())
	require.NoError(t, crash.Flip(name, segmentHeader+int64(start)+3, 0))

	l = open(t, crash, Options{})
	require.Equal(t, []string{"kept"}, contents(t, l, 0))
	require.Positive(t, l.Recovery().TornBytes)
	for range 3 { // the same sizes again, so that records end where the old ones did
		require.Equal(t, "record 0", appendAndLast(t, l, "record 0"))
	}
	crash2 := crash.CrashClone(0, 0)
	require.NoError(t, l.Close())
	l = open(t, crash2, Options{})
	require.Equal(t, []string{"kept", "record 0", "record 0", "record 0"}, contents(t, l, 0))
	require.NoError(t, l.Close())
}

func appendAndLast(t testing.TB, l *Log, s string) string {
	appendSync(t, l, s)
	all := contents(t, l, 0)
	return all[len(all)-1]
}

// TestBitFlips inverts every bit of a log that was closed in order: each must be
// found at Open or at the read, none may change or hide a record.
func TestBitFlips(t *testing.T) {
	mem := vfstest.NewMem()
	opts := Options{SegmentBytes: 1024}
	l := open(t, mem, opts)
	want := numbered(0, 60)
	for _, s := range want {
		appendSync(t, l, s, s)
	}
	require.NoError(t, l.Close())
	names, err := mem.List("/log")
	require.NoError(t, err)
	flips := 0
	for _, name := range names {
		if !strings.HasSuffix(name, segmentSuffix) {
			continue
		}
		path := "/log/" + name
		size := written(t, mem, path)
		for at := int64(0); at < size; at++ {
			if at >= segmentHeaderEnd && at < segmentHeader {
				continue // unused
			}
			clone := mem.CrashClone(0, 0)
			require.NoError(t, clone.Flip(path, at, uint(at)))
			flips++
			o := opts
			o.FS = clone
			l, err := Open("/log", o)
			if err == nil {
				var got []string
				got, err = read(l, 0)
				if err == nil && len(got) == 2*len(want) && lastRecordEnd(l) <= at {
					err = ErrCorrupt // the mark at the end: nothing is lost
				}
				l.Close()
			}
			if err == nil {
				t.Fatalf("a flip in byte %d of %s went unnoticed", at, name)
			}
			if code := schemas.CodeOf(err); !errors.Is(err, ErrCorrupt) && code != schemas.CodeUnsupported {
				t.Fatalf("a flip in byte %d of %s: %v", at, name, err)
			}
		}
	}
	t.Logf("%d flips", flips)
}

// lastRecordEnd is the file offset where the last record ends.
func lastRecordEnd(l *Log) int64 {
	var end LSN
	var seg *segment
	for _, s := range l.segments {
		if s.start <= l.recovery.End {
			seg = s
		}
	}
	end = l.recovery.End
	return segmentHeader + int64(end-seg.start)
}

// written is the size of a segment up to its last byte that is not zero.
func written(t testing.TB, fsys vfs.FS, path string) int64 {
	data, err := vfs.ReadFile(fsys, path)
	require.NoError(t, err)
	n := len(data)
	for n > 0 && data[n-1] == 0 {
		n--
	}
	return int64(n)
}

func TestMissingSegmentIsLoud(t *testing.T) {
	mem := vfstest.NewMem()
	l := open(t, mem, Options{SegmentBytes: 512})
	for i := range 60 {
		appendSync(t, l, fmt.Sprintf("record %d", i))
	}
	starts := l.segmentStarts()
	require.Greater(t, len(starts), 3)
	require.NoError(t, l.Close())
	require.NoError(t, mem.Remove("/log/"+segmentName(starts[2])))
	_, err := Open("/log", Options{FS: mem})
	require.ErrorIs(t, err, ErrCorrupt)
	require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err))
}

// TestLostTailRenewsTheID cuts acknowledged records off, as a disk that lied would.
func TestLostTailRenewsTheID(t *testing.T) {
	mem := vfstest.NewMem()
	l := open(t, mem, Options{})
	kept := appendSync(t, l, "kept")
	end := appendSync(t, l, "lost")
	id, name := l.ID(), l.current().name
	crash := mem.CrashClone(0, 0)
	require.NoError(t, l.Close())
	require.NoError(t, crash.Cut(name, segmentHeader+int64(kept)+5))

	l = open(t, crash, Options{AtLeast: end})
	require.True(t, l.Recovery().Renewed)
	require.NotEqual(t, id, l.ID())
	require.Equal(t, end, l.DurableLSN())
	appendSync(t, l, "new life")
	require.Equal(t, []string{"kept", "new life"}, contents(t, l, 0))
	renewed := l.ID()
	require.NoError(t, l.Close())

	l = open(t, crash, Options{AtLeast: end})
	require.False(t, l.Recovery().Renewed)
	require.Equal(t, renewed, l.ID())
	require.Equal(t, []string{"kept", "new life"}, contents(t, l, 0))
	require.NoError(t, l.Close())
}

// TestRecoveredIsDurable: a killed process leaves records that the kernel has and
// the disk does not; once recovered they count as durable, so they must be.
func TestRecoveredIsDurable(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	l := open(t, faults, Options{})
	appendSync(t, l, "on disk")
	faults.Lie(true)
	appendSync(t, l, "in the kernel only")
	// The process dies here: no Close, and its lock goes with it.
	killed := vfstest.NewMem()
	require.NoError(t, killed.MkdirAll("/log"))
	for _, name := range []string{"/log/" + segmentName(0)} {
		data, err := vfs.ReadFile(mem, name)
		require.NoError(t, err)
		f, err := killed.Create(name)
		require.NoError(t, err)
		_, err = f.Write(data)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	require.NoError(t, killed.SyncDir("/"))
	require.NoError(t, killed.SyncDir("/log"))
	again := open(t, killed, Options{})
	require.Equal(t, []string{"on disk", "in the kernel only"}, contents(t, again, 0))
	crashed := open(t, killed.CrashClone(0, 0), Options{})
	require.Equal(t, []string{"on disk", "in the kernel only"}, contents(t, crashed, 0))
	require.NoError(t, crashed.Close())
	require.NoError(t, again.Close())
	require.NoError(t, l.Close())
}
