package lsm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/schemas"
)

func openEngine(t testing.TB, opts Options) *Engine {
	t.Helper()
	e, err := Open("/db", opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func put(t testing.TB, e *Engine, lsn uint64, key string, value []byte) {
	t.Helper()
	require.NoError(t, e.Apply(lsn, []kv.Op{{Key: []byte(key), Value: value}}))
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestReachesSeveralLevels(t *testing.T) {
	defer goleak.VerifyNone(t)
	fsys := vfstest.NewMem()
	opts := small(fsys)
	opts.LevelBytes = 16 << 10
	e, err := Open("/db", opts)
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 1))
	for lsn := uint64(1); lsn <= 6000; lsn++ {
		put(t, e, lsn, fmt.Sprintf("key%05d", r.IntN(20000)), noise(r, 100))
	}
	_, err = e.Checkpoint(ctx)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s := e.acquire()
		defer s.release()
		return e.pick(s) == nil
	}, 20*time.Second, time.Millisecond)
	st := e.Stats()
	require.NotZero(t, st.Levels[2].Files, "%+v", st.Levels)
	require.NotZero(t, st.Compactions)
	require.NoError(t, e.Verify(ctx))
	// Files on disk are exactly those in use.
	tables := 0
	for _, l := range st.Levels {
		tables += l.Files
	}
	require.Eventually(t, func() bool { return countTables(t, fsys) == tables }, time.Second, time.Millisecond)
	require.NoError(t, e.Close())
}

func countTables(t testing.TB, fsys vfs.FS) (n int) {
	names, err := fsys.List("/db")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) {
			n++
		}
	}
	return n
}

// TestObsoleteVersionsGo: with the horizon at the end, a compacted tree holds one
// version of each live key and no tombstone; a lower horizon keeps what its readers need.
func TestObsoleteVersionsGo(t *testing.T) {
	e := openEngine(t, small(vfstest.NewMem()))
	for lsn := uint64(1); lsn <= 2000; lsn++ {
		value := fmt.Append(nil, lsn)
		if lsn > 1900 && lsn%2 == 0 {
			value = nil
		}
		put(t, e, lsn, fmt.Sprint("key", lsn%50), value)
	}
	entries := func() (n, tombstones int64) {
		s := e.acquire()
		defer s.release()
		for _, tables := range s.levels {
			for _, tb := range tables {
				n, tombstones = n+tb.entries, tombstones+tb.tombstones
			}
		}
		return n, tombstones
	}
	_, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Compact())
	n, _ := entries()
	require.Equal(t, int64(2000), n, "no horizon was set")

	e.SetHorizon(1950)
	require.NoError(t, e.Compact())
	n, _ = entries()
	require.Equal(t, int64(25+50), n, "live at 1950, and the versions after it")
	got, err := e.Get(nil, []byte("key1"), 1950)
	require.NoError(t, err)
	require.Equal(t, "1901", string(got))

	e.SetHorizon(2000)
	require.NoError(t, e.Compact())
	n, tombstones := entries()
	require.Equal(t, int64(25), n)
	require.Zero(t, tombstones)
	require.NotZero(t, e.Stats().ObsoleteDropped)
}

// TestTombstonesHideDeeperLevels: a tombstone whose key may lie deeper survives the
// compactions on its way down.
func TestTombstonesHideDeeperLevels(t *testing.T) {
	opts := small(vfstest.NewMem())
	opts.LevelBytes = 8 << 10
	e := openEngine(t, opts)
	r := rand.New(rand.NewPCG(1, 1))
	live := map[string]bool{}
	for lsn := uint64(1); lsn <= 6000; lsn++ {
		key := fmt.Sprintf("key%04d", r.IntN(1500))
		value := noise(r, 60)
		if lsn > 3000 && r.IntN(2) == 0 {
			value = nil
		}
		live[key] = value != nil
		put(t, e, lsn, key, value)
		e.SetHorizon(lsn)
	}
	_, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	for key, want := range live {
		_, err := e.Get(nil, []byte(key), 6000)
		require.Equal(t, !want, errors.Is(err, kv.ErrNotFound), "%s: %v", key, err)
	}
	require.NotZero(t, e.Stats().Levels[2].Files)
}

// TestDeletedDataGoes: after everything was deleted, background compaction gives
// the space back without being asked.
func TestDeletedDataGoes(t *testing.T) {
	opts := small(vfstest.NewMem())
	opts.LevelBytes = 8 << 10
	e := openEngine(t, opts)
	r := rand.New(rand.NewPCG(1, 1))
	lsn := uint64(0)
	for i := range 3000 {
		lsn++
		put(t, e, lsn, fmt.Sprintf("key%04d", i), noise(r, 60))
	}
	for i := range 3000 {
		lsn++
		put(t, e, lsn, fmt.Sprintf("key%04d", i), nil)
		e.SetHorizon(lsn)
	}
	_, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	before := e.Stats().DiskBytes
	for i := range 3 { // what is left in level 0
		lsn++
		put(t, e, lsn, fmt.Sprint("last", i), []byte("x"))
		e.SetHorizon(lsn)
		_, err := e.Checkpoint(ctx)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return e.Stats().DiskBytes < 10_000 }, 10*time.Second, time.Millisecond,
		"%d bytes before", before)
	it, err := e.Iterate(nil, nil, lsn)
	require.NoError(t, err)
	defer it.Close()
	n := 0
	for it.Next() {
		n++
	}
	require.NoError(t, it.Err())
	require.Equal(t, 3, n)
}

// TestNothingDurableBeforeTheLog: no table or manifest is written for what the
// commit log could still lose.
func TestNothingDurableBeforeTheLog(t *testing.T) {
	fsys := vfstest.NewMem()
	opts := small(fsys)
	var asked atomic.Uint64
	logged := make(chan struct{})
	opts.WaitLog = func(ctx context.Context, lsn uint64) error {
		asked.Store(lsn)
		select {
		case <-logged:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e := openEngine(t, opts)
	put(t, e, 7, "k", []byte("v"))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err := e.Checkpoint(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, uint64(7), asked.Load())
	require.Zero(t, e.DurableLSN())
	require.Zero(t, countTables(t, fsys))
	close(logged)
	lsn, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	require.Equal(t, uint64(7), lsn)
}

// TestStalls: writers wait when flushing does not keep up, which Stats shows, and
// go on when it does. Admit gives up with its context.
func TestStalls(t *testing.T) {
	opts := small(vfstest.NewMem())
	logged := make(chan struct{})
	opts.WaitLog = func(ctx context.Context, _ uint64) error {
		select {
		case <-logged:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e := openEngine(t, opts)
	r := rand.New(rand.NewPCG(1, 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lsn := uint64(1); lsn <= 200; lsn++ {
			put(t, e, lsn, fmt.Sprint(lsn), noise(r, 500))
		}
	}()
	require.Eventually(t, func() bool {
		s := e.acquire()
		defer s.release()
		return len(s.imms) == maxImms && s.mem.Room() < 600
	}, 10*time.Second, time.Millisecond)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, e.Admit(short), context.DeadlineExceeded)
	select {
	case <-done:
		t.Fatal("the writer did not wait")
	default:
	}
	close(logged)
	<-done
	st := e.Stats()
	require.NotZero(t, st.Stalls)
	require.NotZero(t, st.StallSeconds)
	require.NoError(t, e.Admit(ctx))
}

// TestFullDiskRefusesWriters: with flushing failing, memory stays bounded: Admit
// and then Apply refuse with the typed error, reads go on, and room heals it.
func TestFullDiskRefusesWriters(t *testing.T) {
	faults := vfstest.NewFaults(vfstest.NewMem())
	e := openEngine(t, small(faults))
	faults.FillAfter(0)
	r := rand.New(rand.NewPCG(1, 1))
	var lsn uint64
	var err error
	for err == nil && lsn < 10_000 {
		if err = e.Admit(ctx); err == nil {
			lsn++
			put(t, e, lsn, fmt.Sprint(lsn), noise(r, 500))
		}
	}
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(err))
	require.Less(t, e.Stats().MemoryBytes, int64(200<<10))
	for i := uint64(1); i <= lsn; i++ {
		_, err := e.Get(nil, []byte(fmt.Sprint(i)), lsn)
		require.NoError(t, err)
	}
	faults.Empty()
	got, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	require.Equal(t, lsn, got)
	require.NoError(t, e.Admit(ctx))
}

func TestRefusals(t *testing.T) {
	fsys := vfstest.NewMem()
	_, err := Open("/db", Options{FS: fsys, CacheBytes: -1, L0Compact: 9, L0Slow: 5})
	require.ErrorContains(t, err, "CacheBytes")
	require.ErrorContains(t, err, "L0Slow")
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
	e, err := Open("/db", small(fsys))
	require.NoError(t, err)
	_, err = Open("/db", small(fsys))
	require.Equal(t, schemas.CodeInUse, schemas.CodeOf(err))
	put(t, e, 1, "k", []byte("v"))
	_, err = e.Checkpoint(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Apply(2, nil), errClosed)
	_, err = e.Get(nil, []byte("k"), 1)
	require.ErrorIs(t, err, errClosed)
	_, err = e.Checkpoint(ctx)
	require.ErrorIs(t, err, errClosed)

	lost := fsys.CrashClone(0, 0)
	require.NoError(t, lost.Remove("/db/"+tableName(1)))
	_, err = Open("/db", small(lost))
	require.ErrorIs(t, err, kv.ErrCorrupt)
	require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err))

	bare := fsys.CrashClone(0, 0)
	require.NoError(t, bare.Remove("/db/MANIFEST"))
	_, err = Open("/db", small(bare))
	require.ErrorIs(t, err, kv.ErrCorrupt)

	newer := fsys.CrashClone(0, 0)
	data, err := vfs.ReadFile(newer, "/db/MANIFEST")
	require.NoError(t, err)
	m, err := decodeManifest(data)
	require.NoError(t, err)
	require.NoError(t, vfs.WriteFile(newer, "/db/MANIFEST", withVersion(m.encode(), 2)))
	_, err = Open("/db", small(newer))
	require.Equal(t, schemas.CodeUnsupported, schemas.CodeOf(err))
	require.ErrorContains(t, err, "format 2")
}

// TestSwappedTables: a table under another's name, each intact by itself.
func TestSwappedTables(t *testing.T) {
	fsys := vfstest.NewMem()
	opts := small(fsys)
	opts.L0Compact, opts.L0Slow = 5, 6
	e, err := Open("/db", opts)
	require.NoError(t, err)
	for lsn := uint64(1); lsn <= 2; lsn++ {
		put(t, e, lsn, "k", fmt.Append(nil, lsn))
		_, err := e.Checkpoint(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, e.Close())
	require.NoError(t, fsys.Rename("/db/"+tableName(1), "/db/x"))
	require.NoError(t, fsys.Rename("/db/"+tableName(2), "/db/"+tableName(1)))
	require.NoError(t, fsys.Rename("/db/x", "/db/"+tableName(2)))
	_, err = Open("/db", opts)
	require.ErrorIs(t, err, kv.ErrCorrupt)
}

// TestDamageUnderneath flips bits while the engine is open: the read or Verify
// that meets it fails, and none says "not found".
func TestDamageUnderneath(t *testing.T) {
	fsys := vfstest.NewMem()
	opts := small(fsys)
	opts.CacheBytes = 16 // nothing fits
	e := openEngine(t, opts)
	for lsn := uint64(1); lsn <= 300; lsn++ {
		put(t, e, lsn, fmt.Sprintf("key%04d", lsn), []byte("a value that is long enough"))
	}
	_, err := e.Checkpoint(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Compact())
	require.NoError(t, e.Verify(ctx))
	s := e.acquire()
	path := e.tablePath(s.levels[1][0].id)
	s.release()
	// In place, below the open handle.
	f, err := fsys.OpenReadWrite(path)
	require.NoError(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, 100)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{b[0] ^ 4}, 100)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	require.ErrorIs(t, e.Verify(ctx), kv.ErrCorrupt)
	failed := 0
	for lsn := uint64(1); lsn <= 300; lsn++ {
		_, err := e.Get(nil, fmt.Appendf(nil, "key%04d", lsn), 300)
		if err != nil {
			require.ErrorIs(t, err, kv.ErrCorrupt)
			require.False(t, errors.Is(err, kv.ErrNotFound))
			failed++
		}
	}
	require.NotZero(t, failed)
	it, err := e.Iterate(nil, nil, 300)
	require.NoError(t, err)
	defer it.Close()
	for it.Next() {
	}
	require.ErrorIs(t, it.Err(), kv.ErrCorrupt)
	require.False(t, it.Next())
	require.Error(t, it.Err())
}

func TestLeftoversGo(t *testing.T) {
	fsys := vfstest.NewMem()
	e, err := Open("/db", small(fsys))
	require.NoError(t, err)
	put(t, e, 1, "k", []byte("v"))
	_, err = e.Checkpoint(ctx)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	require.NoError(t, vfs.WriteFile(fsys, "/db/"+tableName(77), []byte("half a table")))
	require.NoError(t, vfs.WriteFile(fsys, "/db/other.txt", []byte("not ours")))
	e = openEngine(t, small(fsys))
	require.Equal(t, 1, countTables(t, fsys))
	_, err = fsys.Stat("/db/other.txt")
	require.NoError(t, err)
	got, err := e.Get(nil, []byte("k"), 1)
	require.NoError(t, err)
	require.Equal(t, "v", string(got))
}
