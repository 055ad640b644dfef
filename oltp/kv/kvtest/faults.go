package kvtest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

// crashRun is a workload of checkpoints between writes.
func (s Suite) crashRun(t testing.TB, fsys vfs.FS, h *history, checkpointed *atomic.Uint64) {
	*h = *s.newHistory(t, fsys, 7)
	for i := range rounds(8, 3) {
		for range 12 {
			if err := h.write(); err != nil {
				t.Error(err)
				return
			}
		}
		// Readers have moved beyond what is durable; the crash must not notice.
		h.e.SetHorizon(h.m.LSN())
		err := h.checkpoint()
		if errors.Is(err, vfstest.ErrInjected) {
			err = h.checkpoint() // only one sync fails
		}
		if i%3 == 2 && err == nil {
			if err = h.compact(); errors.Is(err, vfstest.ErrInjected) {
				err = h.compact()
			}
		}
		if err != nil {
			t.Error(err)
			return
		}
		checkpointed.Store(h.m.LSN())
	}
	if err := h.e.Close(); err != nil {
		t.Error(err)
	}
}

// crashes crashes the workload before every operation. The commit log is whole, so
// what must hold is that everything up to the durable LSN is there, that this is no
// less than promised, and that the rest can be replayed.
func (s Suite) crashes(t testing.TB, every int, faults func(*vfstest.Faults)) int {
	var h history
	var checkpointed atomic.Uint64
	// The model is made ahead, so that checks beside the run read it unchanged.
	s.crashRun(t, vfstest.NewMem(), &h, &checkpointed)
	full := h.m
	checkpointed.Store(0)
	return vfstest.Crash[uint64]{
		Run:      func(fsys vfs.FS) { s.crashRun(t, fsys, &h, &checkpointed) },
		Promised: checkpointed.Load,
		Check: func(t testing.TB, _ int, fsys vfs.FS, promised uint64) {
			e, err := s.Open(fsys, dir)
			if err != nil {
				t.Fatalf("open after the crash: %v", err)
			}
			defer e.Close()
			d := e.DurableLSN()
			if d < promised {
				t.Fatalf("durable LSN %d, promised was %d", d, promised)
			}
			if err := errors.Join(e.Verify(ctx), compare(e, full, d)); err != nil {
				t.Fatalf("at %d: %v", d, err)
			}
			if err := replay(e, full); err != nil {
				t.Fatal(err)
			}
			if err := compare(e, full, full.LSN()); err != nil {
				t.Fatalf("after the replay from %d: %v", d, err)
			}
		},
		Every:  every,
		Torn:   every < 5,
		Faults: faults,
	}.At(t)
}

func (s Suite) crash(t *testing.T) {
	n := s.crashes(t, rounds(1, 3), nil)
	t.Logf("%d crash points", n)
	lying := vfstest.Try(t, func(t testing.TB) { s.crashes(t, 1, func(f *vfstest.Faults) { f.Lie(true) }) })
	if len(lying) == 0 {
		t.Error("a Sync that does nothing was not noticed")
	}
}

// crashAfterFailedSync fails a sync, lets the engine go on, and crashes before every
// operation: whatever failed to sync may or may not have reached the disk.
func (s Suite) crashAfterFailedSync(t *testing.T) {
	for n := range rounds(12, 6) {
		s.crashes(t, 5, func(f *vfstest.Faults) { f.FailSync(s.openSyncs(t) + 1 + n) })
	}
}

// openSyncs counts the syncs of opening an engine in an empty folder.
func (s Suite) openSyncs(t testing.TB) int {
	faults := vfstest.NewFaults(vfstest.NewMem())
	var n atomic.Int64
	faults.Hook(func(op vfstest.Op) error {
		if op.Kind == "sync" || op.Kind == "syncdir" {
			n.Add(1)
		}
		return nil
	})
	e := s.open(t, faults)
	faults.Hook(nil)
	e.Close()
	return int(n.Load())
}

// failedSync fails each fsync in turn. A checkpoint may fail; what it promised
// before must be there, and the engine must either go on or refuse.
func (s Suite) failedSync(t *testing.T) {
	for n := 1; n <= rounds(24, 8); n++ {
		mem := vfstest.NewMem()
		faults := vfstest.NewFaults(mem)
		h := s.newHistory(t, faults, uint64(n))
		faults.FailSync(n)
		promised := uint64(0)
		for range 6 {
			for range 10 {
				if err := h.write(); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.checkpoint(); err == nil {
				promised = h.m.LSN()
			} else if !errors.Is(err, vfstest.ErrInjected) {
				t.Fatalf("sync %d failed: %v", n, err)
			} else {
				// What failed to sync may have reached the disk all the same.
				s.recovers(t, mem.CrashClone(100, 1), h.m, promised)
			}
		}
		if err := compare(h.e, h.m, h.m.LSN()); err != nil {
			t.Fatalf("sync %d failed: reads must go on: %v", n, err)
		}
		s.recovers(t, mem.CrashClone(0, 0), h.m, promised)
		h.e.Close()
	}
}

// recovers opens what a crash left and demands what was promised, then the rest
// from the log.
func (s Suite) recovers(t testing.TB, fsys vfs.FS, m *Model, promised uint64) {
	t.Helper()
	e := s.open(t, fsys)
	defer e.Close()
	if d := e.DurableLSN(); d < promised {
		t.Fatalf("durable LSN %d, promised was %d", d, promised)
	}
	if err := errors.Join(compare(e, m, e.DurableLSN()), replay(e, m), compare(e, m, m.LSN())); err != nil {
		t.Fatal(err)
	}
}

// diskFull fills the disk in the middle of a checkpoint: a typed error, reads and
// earlier promises hold, and with room again it succeeds without reopening.
func (s Suite) diskFull(t *testing.T) {
	for _, room := range []int64{0, 1, 10, 100, 300} {
		mem := vfstest.NewMem()
		faults := vfstest.NewFaults(mem)
		h := s.newHistory(t, faults, 3)
		for range 20 {
			if err := h.write(); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.checkpoint(); err != nil {
			t.Fatal(err)
		}
		promised := h.m.LSN()
		for range 10 {
			if err := h.write(); err != nil {
				t.Fatal(err)
			}
		}
		faults.FillAfter(room)
		if _, err := h.e.Checkpoint(ctx); schemas.CodeOf(err) != schemas.CodeDiskFull {
			t.Fatalf("room for %d bytes: checkpoint gave %v", room, err)
		}
		if err := compare(h.e, h.m, h.m.LSN()); err != nil {
			t.Fatalf("room for %d bytes: reads must go on: %v", room, err)
		}
		s.recovers(t, mem.CrashClone(0, 0), h.m, promised)
		faults.Empty()
		if err := h.checkpoint(); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		if err := h.e.Close(); err != nil {
			t.Fatal(err)
		}
		s.recovers(t, mem.CrashClone(0, 0), h.m, h.m.LSN())
	}
}

// bitFlips inverts bits anywhere in the files. Every one is loud, and none gives a
// wrong answer before it is (I8).
func (s Suite) bitFlips(t *testing.T) {
	mem := vfstest.NewMem()
	h := s.newHistory(t, mem, 11)
	for range 150 {
		if err := h.write(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.checkpoint(), h.compact(), h.write(), h.write(), h.checkpoint(), h.e.Close()); err != nil {
		t.Fatal(err)
	}
	files := s.files(t, mem)
	r := rand.New(rand.NewPCG(5, 5))
	for range rounds(1500, 300) {
		f := files[r.IntN(len(files))]
		clone := mem.CrashClone(0, 0)
		offset, bit := r.Int64N(f.size), uint(r.IntN(8))
		if err := clone.Flip(f.name, offset, bit); err != nil {
			t.Fatal(err)
		}
		if err := s.readAll(clone, h.m); err == nil {
			t.Errorf("bit %d of byte %d of %s (%d bytes) went unnoticed", bit, offset, f.name, f.size)
		} else if wrong := (wrongAnswer{}); errors.As(err, &wrong) {
			t.Errorf("bit %d of byte %d of %s: %v", bit, offset, f.name, err)
		}
	}
}

type file struct {
	name string
	size int64
}

func (s Suite) files(t testing.TB, fsys vfs.FS) (files []file) {
	names, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := fsys.Stat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 0 && !info.IsDir() {
			files = append(files, file{dir + "/" + name, info.Size()})
		}
	}
	return files
}

// readAll opens the engine, reads everything and verifies.
func (s Suite) readAll(fsys vfs.FS, m *Model) error {
	e, err := s.Open(fsys, dir)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := compare(e, m, m.LSN()); err != nil {
		return err
	}
	return e.Verify(ctx)
}

// readErrors fails reads at random: never an early end, never "not found".
func (s Suite) readErrors(t *testing.T) {
	faults := vfstest.NewFaults(vfstest.NewMem())
	h := s.newHistory(t, faults, 13)
	for range 150 {
		if err := h.write(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(h.checkpoint(), h.compact()); err != nil {
		t.Fatal(err)
	}
	// The scans read, and so does whatever the engine does in the background.
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(5, 5))
	failed := 0
	faults.Hook(func(op vfstest.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == "read" && r.IntN(10) == 0 {
			return vfstest.ErrInjected
		}
		return nil
	})
	for range rounds(200, 50) {
		err := compare(h.e, h.m, h.m.LSN())
		if wrong := (wrongAnswer{}); errors.As(err, &wrong) {
			t.Fatal(err)
		}
		if errors.Is(err, vfstest.ErrInjected) {
			failed++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	faults.Hook(nil)
	t.Logf("%d of the scans failed loudly", failed)
	if err := compare(h.e, h.m, h.m.LSN()); err != nil {
		t.Error(err)
	}
	if err := h.e.Close(); err != nil {
		t.Error(err)
	}
}
