package columnstore

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

// small makes a store with some history, checkpoints and a log tail, all published.
func small(t testing.TB, seed uint64, o Options) (*sim, *Store) {
	s := newSim(seed)
	for range 30 {
		s.commit()
	}
	st := openSim(t, o)
	require.NoError(t, st.Register(context.Background(), simPipe("v1")))
	s.startEpoch(t, st, true)
	loadAll(t, s, st)
	require.NoError(t, st.Flush(context.Background()))
	more(t, s, st, 20)
	require.NoError(t, st.Flush(context.Background()))
	more(t, s, st, 20)
	return s, st
}

func more(t testing.TB, s *sim, st *Store, commits int) {
	for range commits {
		s.commit()
	}
	s.stream(commits)
	loadAll(t, s, st)
}

// loadAll loads everything that was sent and waits until it is visible.
func loadAll(t testing.TB, s *sim, st *Store) {
	for range 3 {
		leases, err := st.Acquire(context.Background(), simPipeline, "w", 0)
		require.NoError(t, err)
		for _, l := range leases {
			if n := uint64(len(s.streams[l.Partition])); n > l.NextSequence {
				_, err := st.Load(context.Background(), s.request(l, "v1", l.NextSequence, n))
				require.NoError(t, err)
			}
		}
	}
	require.Equal(t, s.last, settleAll(t, st).VisibleW)
}

func allFiles(t testing.TB, fsys vfs.FS, dir string) []string {
	var out []string
	names, err := fsys.List(dir)
	require.NoError(t, err)
	for _, n := range names {
		path := filepath.Join(dir, n)
		if sub, err := fsys.List(path); err == nil && (len(sub) > 0 || !strings.Contains(n, ".")) && n != "LOCK" && n != formatName {
			out = append(out, allFiles(t, fsys, path)...)
			continue
		}
		if n != "LOCK" {
			out = append(out, path)
		}
	}
	return out
}

// TestBitFlips inverts bits in every file of a store that was closed in order: it
// either refuses to open, or fails a read, or answers exactly (I8).
func TestBitFlips(t *testing.T) {
	fs := vfstest.NewMem()
	s, st := small(t, 3, simOptions(fs, newClock()))
	require.NoError(t, st.Close())
	files := allFiles(t, fs, "/data")
	require.Greater(t, len(files), 6)
	rng := rand.New(rand.NewPCG(1, 9))
	refused, exact := map[string]int{}, 0
	for range rounds(t, 250, 3000) {
		c := fs.CrashClone(0, 0)
		name := files[rng.IntN(len(files))]
		info, err := c.Stat(name)
		if err != nil || info.Size() == 0 {
			continue
		}
		// Logs are preallocated: aim where bytes are.
		require.NoError(t, c.Flip(name, rng.Int64N(min(info.Size(), 16<<10)), uint(rng.IntN(8))))
		st, err := Open(simOptions(c, newClock()))
		if err != nil {
			code := schemas.CodeOf(err)
			require.Contains(t, []schemas.Code{schemas.CodeCorrupt, schemas.CodeUnsupported, schemas.CodeNotFound}, code, "%s: %v", name, err)
			refused[strings.Split(name, "/")[2]]++
			continue
		}
		if err := st.Check(context.Background()); err != nil {
			require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err), "%v", err)
			refused["check "+filepath.Ext(name)]++
			require.NoError(t, st.Close())
			continue
		}
		n, err := st.Snapshot(context.Background(), At{})
		require.NoError(t, err)
		if w := s.verify(t, n); w != s.tip() {
			t.Errorf("a bit of %s flipped: W fell from %d to %d", name, s.tip(), w)
		}
		n.Close()
		require.NoError(t, st.Close())
		exact++
		if t.Failed() {
			return
		}
	}
	t.Logf("refused %v, exact %d", refused, exact)
	require.NotZero(t, refused["segments"]+refused["check .parquet"])
	require.NotZero(t, refused["manifest"])
	require.NotZero(t, refused["loadlog"])
}

// TestDiskFull fills the disk: loads get a typed error, reads go on, and loading
// goes on once there is room (I10).
func TestDiskFull(t *testing.T) {
	mem := vfstest.NewMem()
	f := vfstest.NewFaults(mem)
	s, st := small(t, 4, simOptions(f, newClock()))
	defer st.Close()
	w := s.tip()
	f.FillAfter(0)
	var failed error
	for range 200 {
		s.commit()
		s.stream(1)
		leases, err := st.Acquire(context.Background(), simPipeline, "w", 0)
		require.NoError(t, err)
		for _, l := range leases {
			if n := uint64(len(s.streams[l.Partition])); n > l.NextSequence && failed == nil {
				_, failed = st.Load(context.Background(), s.request(l, "v1", l.NextSequence, n))
			}
		}
		if failed != nil {
			break
		}
	}
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(failed), "%v", failed)
	err := st.Flush(context.Background())
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(err), "%v", err)
	n, err := st.Snapshot(context.Background(), At{})
	require.NoError(t, err)
	require.GreaterOrEqual(t, s.verify(t, n), w)
	n.Close()
	f.Empty()
	if st.log.Err() != nil { // a write that failed half-way ends the log until it is opened again
		st.Close()
		st = openSim(t, simOptions(f, newClock()))
		defer st.Close()
	}
	loadAll(t, s, st)
	require.NoError(t, st.Flush(context.Background()))
	n, err = st.Snapshot(context.Background(), At{})
	require.NoError(t, err)
	s.verify(t, n)
	n.Close()
	require.NoError(t, st.Check(context.Background()))
}

// TestSyncFails: nothing is acknowledged after a failed fdatasync, reads go on, and
// opening again finds all that was acknowledged (I1, I10). The fdatasync may also be
// that of a segment which is made ready beside the loads: that is tried again, and
// everything is acknowledged.
func TestSyncFails(t *testing.T) {
	refused := 0
	for k := 1; k <= 5; k++ {
		mem := vfstest.NewMem()
		f := vfstest.NewFaults(mem)
		s, st := small(t, 5, simOptions(f, newClock()))
		w := s.tip()
		f.FailSync(k)
		var failed error
		for range 5 {
			s.commit()
			s.stream(1)
			leases, err := st.Acquire(context.Background(), simPipeline, "w", 0)
			require.NoError(t, err)
			for _, l := range leases {
				if n := uint64(len(s.streams[l.Partition])); n > l.NextSequence && failed == nil {
					_, failed = st.Load(context.Background(), s.request(l, "v1", l.NextSequence, n))
				}
			}
		}
		if failed != nil {
			require.Equal(t, schemas.CodeIO, schemas.CodeOf(failed), "%v", failed)
			refused++
		} else {
			w = settleAll(t, st).DurableW
			require.Equal(t, s.tip(), w)
		}
		n, err := st.Snapshot(context.Background(), At{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.verify(t, n), w)
		n.Close()
		st.Close()
		st = openSim(t, simOptions(mem.CrashClone(0, 0), newClock()))
		n, err = st.Snapshot(context.Background(), At{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, s.verify(t, n), w)
		n.Close()
		loadAll(t, s, st)
		require.NoError(t, st.Close())
	}
	require.GreaterOrEqual(t, refused, 2, "hardly a fdatasync of a load failed")
}

// TestReadsFail: a segment that cannot be read is an error of the query, never a
// wrong answer, and passes.
func TestReadsFail(t *testing.T) {
	mem := vfstest.NewMem()
	f := vfstest.NewFaults(mem)
	o := simOptions(f, newClock())
	s, st := small(t, 6, o)
	require.NoError(t, st.Close())
	o.MemoryBudget = 4 << 10
	st = openSim(t, o)
	defer st.Close()
	f.FailReads(segmentSuffix)
	n, err := st.Snapshot(context.Background(), At{})
	require.NoError(t, err)
	defer n.Close()
	failures := vfstest.Try(t, func(t testing.TB) { _, _ = scanAll(t, n, "a") })
	require.NotEmpty(t, failures)
	f.FailReads("")
	s.verify(t, n)
}

// TestLostLoadLog: without its load log the store opens at the checkpoint and asks
// for a new epoch, after which nothing is missing.
func TestLostLoadLog(t *testing.T) {
	mem := vfstest.NewMem()
	o := simOptions(mem, newClock())
	s, st := small(t, 8, o)
	require.NoError(t, st.Flush(context.Background()))
	s.commit()
	s.stream(1)
	leases, err := st.Acquire(context.Background(), simPipeline, "w", 0)
	require.NoError(t, err)
	for _, l := range leases { // staged, acknowledged, not published
		if n := uint64(len(s.streams[l.Partition])); n > l.NextSequence && l.Partition != s.progress {
			_, err := st.Load(context.Background(), s.request(l, "v1", l.NextSequence, n))
			require.NoError(t, err)
		}
	}
	require.NoError(t, st.Flush(context.Background()))
	require.NoError(t, st.Close())
	require.NoError(t, mem.RemoveAll("/data/loadlog"))
	for range 2 { // the second time nothing new is lost
		st = openSim(t, o)
		state, err := st.State(canceled(), simPipeline, 0)
		require.NoError(t, err)
		require.NotEmpty(t, state.Replay)
		_, err = st.Load(context.Background(), s.request(leases[0], "v1", 0, 1))
		require.Equal(t, schemas.CodeFenced, schemas.CodeOf(err))
		require.NoError(t, st.Close())
	}
	st = openSim(t, o)
	defer st.Close()
	s.startEpoch(t, st, false)
	s.stream(1) // what was lost comes again
	more(t, s, st, 5)
	n, err := st.Snapshot(context.Background(), At{MinLSN: s.tip()})
	require.NoError(t, err)
	s.verify(t, n)
	n.Close()
	require.NoError(t, st.Check(context.Background()))
}

// TestHistoriesHaveTheirOwnEpochs makes two warehouses one after the other: topics may
// still hold what was written for the first, so the second gives higher epochs (I2).
func TestHistoriesHaveTheirOwnEpochs(t *testing.T) {
	now := newClock()
	var before uint64
	for range 2 {
		s, st := small(t, 1, simOptions(vfstest.NewMem(), now))
		require.Greater(t, s.epoch, before)
		before = s.epoch
		require.NoError(t, st.Close())
		now.advance(time.Millisecond)
	}
}
