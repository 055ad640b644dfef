package oltp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

// witness remembers what the database was asked and what it acknowledged.
type witness struct {
	mu        sync.Mutex
	states    []Copy // after each commit that was tried, in order
	acked     int    // states that were acknowledged
	slot      bool
	confirmed schemas.LSN
}

type promise struct {
	acked     int
	confirmed schemas.LSN
	slot      bool
}

func (w *witness) promised() promise {
	w.mu.Lock()
	defer w.mu.Unlock()
	return promise{acked: w.acked, confirmed: w.confirmed, slot: w.slot}
}

// commit runs one transaction; the state it leads to is known before.
func (w *witness) commit(db *oltp.DB, next Copy, fn func(*oltp.Tx) error) error {
	w.mu.Lock()
	w.states = append(w.states, next)
	w.mu.Unlock()
	_, err := db.Update(ctx, fn)
	if err == nil {
		w.mu.Lock()
		w.acked = len(w.states)
		w.mu.Unlock()
	}
	return err
}

// work runs n transactions of several rows each, confirms a slot now and then,
// and makes checkpoints.
func (w *witness) work(fsys vfs.FS, seed uint64, n int) error {
	db, err := oltp.Open(small(fsys))
	if err != nil {
		return err
	}
	defer db.Close()
	r := rand.New(rand.NewPCG(seed, 11))
	if _, err := db.CreateTable(ctx, Accounts()); err != nil {
		return err
	}
	table, err := db.Table("accounts")
	if err != nil {
		return err
	}
	if _, err := db.CreateSlot(ctx, "s"); err != nil {
		return err
	}
	w.mu.Lock()
	w.slot = true
	w.mu.Unlock()
	state := Copy{}
	for i := range n {
		next := state.Clone()
		rows := make([]schemas.Row, 1+r.IntN(4))
		for j := range rows {
			rows[j] = Account(r.Int64N(30), int64(i), fmt.Sprintf("%0*d", 1+r.IntN(600), i))
			next.Put(table, rows[j])
		}
		truncate := r.IntN(25) == 0
		if truncate {
			next = Copy{}
		}
		err := w.commit(db, next, func(tx *oltp.Tx) error {
			for _, row := range rows {
				if err := tx.Upsert("accounts", row); err != nil {
					return err
				}
			}
			if truncate {
				return tx.Truncate("accounts")
			}
			return nil
		})
		if err != nil {
			return err
		}
		state = next
		if i%20 == 10 {
			lsn := db.DurableLSN()
			if err := db.ConfirmSlot(ctx, "s", lsn); err != nil {
				return err
			}
			w.mu.Lock()
			w.confirmed = lsn
			w.mu.Unlock()
		}
		if i%40 == 30 {
			if err := db.Checkpoint(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// check reopens what a crash left: the state after a commit not older than the
// last acknowledged one, the slot where it was confirmed, and the database works.
func (w *witness) check(t testing.TB, fsys vfs.FS, p promise) {
	db, err := oltp.Open(small(fsys))
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	defer db.Close()
	if _, err := db.Table("accounts"); err != nil {
		if p.acked > 0 || p.slot {
			t.Fatalf("the table is gone after %d commits", p.acked)
		}
		return
	}
	got := DumpNow(t, db)
	w.mu.Lock()
	states := w.states
	w.mu.Unlock()
	found := p.acked == 0 && Diff(Copy{}, got) == ""
	for i := len(states); i > 0 && i >= p.acked && !found; i-- {
		found = Diff(states[i-1], got) == ""
	}
	if !found {
		want := Copy{}
		if p.acked > 0 {
			want = states[p.acked-1]
		}
		t.Fatalf("after %d acknowledged of %d commits the database is none of the states since: %s", p.acked, len(states), Diff(want, got))
	}
	w.checkSlot(t, db, p)
	if _, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Upsert("accounts", Account(1000, 1, "")) }); err != nil {
		t.Fatalf("commit after the crash: %v", err)
	}
}

func (w *witness) checkSlot(t testing.TB, db *oltp.DB, p promise) {
	lsn, err := db.SlotLSN("s")
	if err != nil {
		if p.slot {
			t.Fatalf("slot after the crash: %v", err)
		}
		return
	}
	if lsn < p.confirmed {
		t.Fatalf("the slot went back from %s to %s", p.confirmed, lsn)
	}
	r, err := db.ReadLog(lsn)
	if err != nil {
		t.Fatalf("the log after the slot's %s is gone: %v", lsn, err)
	}
	r.Close()
}

func crashEverywhere(t testing.TB, seed uint64, n, every int, torn bool, faults func(*vfstest.Faults)) int {
	w := &witness{}
	return vfstest.Crash[promise]{
		Run: func(fsys vfs.FS) {
			if err := w.work(fsys, seed, n); err != nil {
				t.Errorf("workload: %v", err)
			}
		},
		Promised: w.promised,
		Check:    func(t testing.TB, _ int, fsys vfs.FS, p promise) { w.check(t, fsys, p) },
		Every:    every, Torn: torn, Faults: faults,
	}.At(t)
}

func TestCrashAtEveryOperation(t *testing.T) {
	seeds, n := 4, 150
	if testing.Short() {
		seeds, n = 1, 80
	}
	for seed := range seeds {
		points := crashEverywhere(t, uint64(seed), n, 1, true, nil)
		require.Greater(t, points, n)
		t.Logf("seed %d: %d crash points, each also torn", seed, points)
	}
}

// TestCrashAmongManyWriters crashes while commits of several writers share groups, are
// visible to one another before they are durable, and memtables are flushed.
func TestCrashAmongManyWriters(t *testing.T) {
	rounds, every := 120, 3
	if testing.Short() {
		rounds, every = 40, 7
	}
	var mu sync.Mutex
	var acked [killWorkers]int64
	points := vfstest.Crash[[killWorkers]int64]{
		Run: func(fsys vfs.FS) {
			db, err := oltp.Open(crowded(fsys))
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			Create(t, db, Accounts())
			var workers sync.WaitGroup
			for w := range int64(killWorkers) {
				workers.Go(func() {
					for range rounds {
						n, err := count(db, w)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						acked[w] = n
						mu.Unlock()
					}
				})
			}
			workers.Wait()
		},
		Promised: func() [killWorkers]int64 {
			mu.Lock()
			defer mu.Unlock()
			return acked
		},
		Check: func(t testing.TB, _ int, fsys vfs.FS, acked [killWorkers]int64) {
			checkCounts(t, crowded(fsys), acked)
		},
		Every: every, Torn: true,
	}.At(t)
	t.Log(points, "crash points, each also torn")
}

// TestCrashDuringRecovery crashes recovery itself before each of its writes: opening
// again finds what was acknowledged before the first crash.
func TestCrashDuringRecovery(t *testing.T) {
	w := &witness{}
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	type crashed struct {
		fsys    *vfstest.Mem
		promise promise
	}
	var mu sync.Mutex
	var first []crashed
	ops := 0
	faults.Hook(func(op vfstest.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if ops++; op.Write() && ops%40 == 0 {
			p := w.promised()
			first = append(first, crashed{mem.CrashClone(50, uint64(ops)), p})
		}
		return nil
	})
	require.NoError(t, w.work(faults, 3, 100))
	again := 0
	for _, c := range first {
		faults := vfstest.NewFaults(c.fsys)
		var second []*vfstest.Mem
		faults.Hook(func(op vfstest.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Write() {
				second = append(second, c.fsys.CrashClone(50, uint64(len(second))))
			}
			return nil
		})
		o := small(faults)
		o.MemoryBytes = 30 << 10 // replay fills memtables
		db, err := oltp.Open(o)
		require.NoError(t, err)
		require.NoError(t, db.Close())
		for _, fsys := range second {
			w.check(t, fsys, c.promise)
			again++
		}
	}
	t.Log(len(first), "crashes,", again, "more during recovery")
	require.Greater(t, again, len(first))
}

// crowded makes every few commits fill a memtable.
func crowded(fsys vfs.FS) oltp.Options {
	o := small(fsys)
	o.MemoryBytes = 60 << 10
	return o
}

// TestCrashCatchesTheMutant shows that the test above would notice a database
// that acknowledges without fdatasync.
func TestCrashCatchesTheMutant(t *testing.T) {
	failures := vfstest.Try(t, func(t testing.TB) {
		crashEverywhere(t, 1, 30, 1, false, func(f *vfstest.Faults) { f.Lie(true) })
	})
	require.NotEmpty(t, failures)
}

// TestFsyncFailure fails each sync in turn: whatever was acknowledged survives, and
// nothing is acknowledged after the log failed.
func TestFsyncFailure(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	noticed := 0
	for n := 1; n <= rounds; n++ {
		mem := vfstest.NewMem()
		faults := vfstest.NewFaults(mem)
		faults.FailSync(n)
		w := &witness{}
		if err := w.work(faults, 5, 40); err != nil {
			require.Equal(t, schemas.CodeIO, schemas.CodeOf(err), "%v", err)
			noticed++
		} // otherwise it was a file of the engine, which is written again
		w.check(t, mem.CrashClone(0, 0), w.promised())
	}
	require.Greater(t, noticed, rounds/2)
}

// TestReadsGoOnAfterLogFailure fails an fdatasync of the log: nothing is acknowledged
// any more, not even what comes later, while reads go on from what is durable.
func TestReadsGoOnAfterLogFailure(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	o := small(faults)
	o.LogSegmentBytes = 1 << 20
	db := open(t, o)
	Create(t, db, Accounts())
	insert := func(db *oltp.DB, id int64) error {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(id, 1, "")) })
		return err
	}
	require.NoError(t, insert(db, 1))
	faults.FailSync(1)
	for id := range int64(3) {
		require.Equal(t, schemas.CodeIO, schemas.CodeOf(insert(db, 2+id)))
		require.Len(t, DumpNow(t, db)["public.accounts"], 1, "what is not durable is not shown")
	}
	_, err := db.CreateTable(ctx, Lines())
	require.Equal(t, schemas.CodeIO, schemas.CodeOf(err))
	_ = db.Close()
	o.FS = mem.CrashClone(0, 0)
	db = open(t, o)
	require.Len(t, DumpNow(t, db)["public.accounts"], 1)
	require.NoError(t, insert(db, 2))
}

// TestEngineOutOfRoom lets the engine write nothing: commits are refused with a typed
// error before they are logged, reads go on, and commits too once there is room.
func TestEngineOutOfRoom(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	db := open(t, small(faults))
	Create(t, db, Accounts())
	var full atomic.Bool
	faults.Hook(func(op vfstest.Op) error {
		if full.Load() && op.Write() && strings.Contains(op.Name, "/lsm/") {
			return syscall.ENOSPC
		}
		return nil
	})
	full.Store(true)
	insert := func(id int64) error {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(id, id, strings.Repeat("x", 1000))) })
		return err
	}
	acked := int64(0)
	var refused error
	for ; acked < 5000; acked++ {
		if refused = insert(acked); refused != nil {
			break
		}
	}
	require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(refused), "%v", refused)
	end := db.DurableLSN()
	require.Error(t, insert(acked))
	require.Equal(t, end, db.DurableLSN(), "what is refused is not in the log")
	require.Len(t, DumpNow(t, db)["public.accounts"], int(acked))
	full.Store(false)
	require.Eventually(t, func() bool { return insert(acked) == nil }, 10*time.Second, 10*time.Millisecond)
	require.Len(t, DumpNow(t, db)["public.accounts"], int(acked+1))
}

// TestDiskFull fills the disk in the middle of the work: a typed error, reads go on,
// and once there is room again so do commits, without reopening or with.
func TestDiskFull(t *testing.T) {
	for _, room := range []int64{80 << 10, 150 << 10, 300 << 10, 500 << 10} {
		mem := vfstest.NewMem()
		faults := vfstest.NewFaults(mem)
		db, err := oltp.Open(small(faults))
		require.NoError(t, err)
		Create(t, db, Accounts())
		faults.FillAfter(room)
		acked := map[int64]bool{}
		var full error
		for i := int64(0); i < 5000 && full == nil; i++ {
			_, full = db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(i, i, fmt.Sprintf("%0500d", i))) })
			acked[i] = full == nil
		}
		require.Equal(t, schemas.CodeDiskFull, schemas.CodeOf(full), "%v", full)
		require.ErrorIs(t, full, syscall.ENOSPC)
		rows := DumpNow(t, db)["public.accounts"]
		for i, ok := range acked {
			if ok {
				require.Contains(t, rows, fmt.Sprintf("bigint:%d|", i), "a read while the disk is full")
			}
		}
		faults.Empty()
		_, err = db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(-1, 1, "")) })
		if err != nil {
			t.Logf("room %d: needs reopening: %v", room, err)
		}
		_ = db.Close()
		db = open(t, small(mem))
		rows = DumpNow(t, db)["public.accounts"]
		for i, ok := range acked {
			if ok {
				require.Contains(t, rows, fmt.Sprintf("bigint:%d|", i))
			}
		}
	}
}
