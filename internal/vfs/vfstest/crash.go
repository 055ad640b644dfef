package vfstest

import (
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
)

// Crash describes a workload that is crashed before its k-th write operation,
// for every k. S is what the test knows to have been promised by then.
type Crash[S any] struct {
	// Run does the work on an empty file system whose root is "/".
	Run func(fsys vfs.FS)
	// Promised is called before the crash, so whatever it returns must be found
	// after it. It may be called by any goroutine of Run.
	Promised func() S
	// Check reopens what the crash left and reports what is wrong through t.
	Check func(t testing.TB, k int, fsys vfs.FS, promised S)
	// Every crashes at one operation in so many; 0 and 1 crash at all.
	Every int
	// Torn also keeps a random half of what was not synced, with k as the seed,
	// at each crash point, in a second clone.
	Torn bool
	// Faults prepares the file system, for a mutant say; nil for none.
	Faults func(*Faults)
}

// At runs the workload once and returns the number of crash points checked. The
// operation waits while the clone is checked; other goroutines go on. It stops
// checking once t has failed.
func (c Crash[S]) At(t testing.TB) int {
	t.Helper()
	mem := NewMem()
	faults := NewFaults(mem)
	if c.Faults != nil {
		c.Faults(faults)
	}
	var mu sync.Mutex
	k, checked := 0, 0
	// A failure is recorded first, because Check runs in whatever goroutine
	// wrote, where t.Fatal would leave the workload waiting.
	check := func(op Op, clone *Mem, promised S) {
		for _, failure := range Try(t, func(t testing.TB) { c.Check(t, k, clone, promised) }) {
			t.Errorf("crash before operation %d (%s %s): %s", k, op.Kind, op.Name, failure)
		}
	}
	crash := func(op Op) error {
		if !op.Write() {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		k++
		if t.Failed() || c.Every > 1 && k%c.Every != 0 {
			return nil
		}
		checked++
		promised := c.Promised()
		check(op, mem.CrashClone(0, 0), promised)
		if c.Torn && !t.Failed() {
			promised = c.Promised()
			check(op, mem.CrashClone(50, uint64(k)), promised)
		}
		return nil
	}
	faults.Hook(crash)
	c.Run(faults)
	// The end of the run is a crash point too.
	_ = crash(Op{Kind: "end"})
	return checked
}
