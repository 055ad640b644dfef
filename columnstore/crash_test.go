package columnstore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// freeze copies what a source and a broker keep when the warehouse crashes.
func (s *sim) freeze(seed uint64) *sim {
	streams := make(map[load.Partition][]message, len(s.streams))
	for p, ms := range s.streams {
		streams[p] = slices.Clip(ms)
	}
	return &sim{rng: rand.New(rand.NewPCG(seed, 8)), commits: slices.Clip(s.commits), states: maps.Clone(s.states), now: s.now.clone(), serial: s.serial,
		epoch: s.epoch, run: s.run, emitted: s.emitted, last: s.last, streams: streams, progress: s.progress}
}

// promise is what was acknowledged or shown before a crash.
type promise struct {
	sim     *sim
	durable schemas.LSN
	visible schemas.LSN
	version uint64
	epoch   uint64
	next    map[load.Partition]uint64 // acknowledged sequences of the epoch
}

// crasher is a workload that writes down what it was promised.
type crasher struct {
	mu sync.Mutex
	p  promise
	s  *sim
	n  uint64
	// registered is called once the pipeline is there.
	registered func()
}

func (c *crasher) promised() promise {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	p := c.p
	p.next = maps.Clone(c.p.next)
	p.sim = c.s.freeze(c.n)
	return p
}

// run is a short life of a warehouse: two epochs, checkpoints, merges, a restart.
// It stops at the first error, which only a failing disk brings about.
func (c *crasher) run(t testing.TB, fsys vfs.FS, h hooks) {
	ctx := context.Background()
	o := simOptions(fsys, newClock())
	o.hooks = h
	st, err := Open(o)
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer func() { st.Close() }()
	if err := st.Register(ctx, simPipe("v1")); err != nil {
		t.Errorf("register: %v", err)
		return
	}
	if c.registered != nil {
		c.registered()
	}
	for round := range 40 {
		switch {
		case round == 0 || round == 22:
			c.mu.Lock()
			for range 6 {
				c.s.commit()
			}
			c.mu.Unlock()
			c.grant(t, st, round == 0)
		case round == 8 || round == 16 || round == 30:
			err = st.Flush(ctx)
		case round == 18 || round == 33:
			err = st.Compact(ctx)
		case round == 26:
			if err = st.Close(); err == nil {
				st, err = Open(o)
			}
		}
		if err != nil {
			t.Errorf("round %d: %v", round, err)
			return
		}
		c.mu.Lock()
		c.s.commit()
		c.s.stream(2)
		c.mu.Unlock()
		c.load(t, st)
		if t.Failed() {
			return
		}
	}
}

func (c *crasher) grant(t testing.TB, st *Store, snapshot bool) {
	// The grant itself happens unlocked, because a crash point asks for the promise.
	c.mu.Lock()
	s := c.s.freeze(99)
	c.mu.Unlock()
	s.startEpoch(t, st, snapshot)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.rng = c.s.rng
	c.s = s
	c.p.epoch, c.p.next = s.epoch, map[load.Partition]uint64{}
}

func (c *crasher) load(t testing.TB, st *Store) {
	leases, err := st.Acquire(context.Background(), simPipeline, "w", 0)
	if err != nil {
		t.Errorf("acquire: %v", err)
		return
	}
	for _, l := range leases {
		c.mu.Lock()
		n := uint64(len(c.s.streams[l.Partition]))
		var req *load.Load
		if n > l.NextSequence {
			req = c.s.request(l, "v1", l.NextSequence, n)
		}
		c.mu.Unlock()
		if req == nil {
			continue
		}
		r, err := st.Load(context.Background(), req)
		if err != nil {
			t.Errorf("load: %v", err)
			return
		}
		c.mu.Lock()
		c.p.next[l.Partition] = n
		c.p.durable, c.p.visible = max(c.p.durable, r.DurableW), max(c.p.visible, r.VisibleW)
		c.mu.Unlock()
	}
	if snap, err := st.Snapshot(context.Background(), At{}); err == nil {
		c.mu.Lock()
		c.p.version, c.p.visible = max(c.p.version, snap.Version()), max(c.p.visible, snap.W())
		c.mu.Unlock()
		snap.Close()
	}
}

// check reopens what a crash left, compares, then goes on to the tip.
func check(t testing.TB, fsys vfs.FS, p promise) {
	o := simOptions(fsys, newClock())
	st, err := Open(o)
	if err != nil {
		t.Errorf("reopen: %v", err)
		return
	}
	defer st.Close()
	n, err := st.Snapshot(context.Background(), At{})
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	if n.Version() < p.version || n.W() < p.visible || n.W() < p.durable {
		t.Errorf("promised version %d, visible %d, durable %d; found version %d at %d", p.version, p.visible, p.durable, n.Version(), n.W())
	}
	p.sim.verify(t, n)
	n.Close()
	if err := st.Check(context.Background()); err != nil {
		t.Errorf("check: %v", err)
	}
	if !t.Failed() {
		goOn(t, st, p)
	}
}

// goOn resumes at the leases' sequences, in a new epoch if one was asked for, and
// must arrive at the tip.
func goOn(t testing.TB, st *Store, p promise) {
	ctx := context.Background()
	s := p.sim
	if err := st.Register(ctx, simPipe("v1")); err != nil {
		t.Fatalf("register: %v", err)
	}
	state, err := st.State(canceled(), simPipeline, 0)
	if err != nil {
		t.Fatalf("state: %v", err)
	}
	if state.Epoch < p.epoch {
		t.Fatalf("epoch %d was granted, the store is at %d", p.epoch, state.Epoch)
	}
	if state.Epoch != s.epoch || s.epoch == 0 {
		s.startEpoch(t, st, st.partial() || state.DurableW == 0)
	}
	s.commit()
	s.stream(1 << 30)
	for range 4 {
		leases, err := st.Acquire(ctx, simPipeline, "w", 0)
		if err != nil {
			t.Fatalf("acquire: %v", err)
		}
		for _, l := range leases {
			end := uint64(len(s.streams[l.Partition]))
			if l.Epoch == p.epoch && l.NextSequence < p.next[l.Partition] || l.NextSequence > end {
				t.Fatalf("partition %v: %d was acknowledged, the lease begins at %d of %d", l.Partition, p.next[l.Partition], l.NextSequence, end)
			}
			if l.NextSequence == end {
				continue
			}
			if _, err := st.Load(ctx, s.request(l, "v1", l.NextSequence, end)); err != nil {
				t.Fatalf("load: %v", err)
			}
		}
	}
	if got := settleAll(t, st); got.VisibleW != s.tip() {
		t.Fatalf("W is %d, the source is at %d: %+v", got.VisibleW, s.tip(), got)
	}
	n, err := st.Snapshot(ctx, At{})
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	defer n.Close()
	if len(n.Tables()) != len(simTables) {
		t.Errorf("only %v are ready", n.Tables())
	}
	s.verify(t, n)
	if err := st.Check(ctx); err != nil {
		t.Errorf("check: %v", err)
	}
}

func crashTest(t testing.TB, seed uint64, every int, torn, lie bool) int {
	c := &crasher{s: newSim(seed), p: promise{next: map[load.Partition]uint64{}}}
	faults := func(f *vfstest.Faults) {
		if lie {
			c.registered = func() { f.Lie(true) }
		}
	}
	return vfstest.Crash[promise]{
		Run:      func(fsys vfs.FS) { c.run(t, fsys, hooks{}) },
		Promised: c.promised,
		Check:    func(t testing.TB, _ int, fsys vfs.FS, p promise) { check(t, fsys, p) },
		Every:    every, Torn: torn, Faults: faults,
	}.At(t)
}

// TestCrash crashes at file operations of a life with epochs, checkpoints, merges and
// a restart: whatever was acknowledged is there, and loading goes on exactly (I1, I2).
func TestCrash(t *testing.T) {
	n := 0
	for seed := range uint64(rounds(t, 1, 3)) {
		n += crashTest(t, seed, rounds(t, 9, 1), true, false)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d crash points", n)
}

// TestCrashCatchesLyingSync is the mutant that skips fdatasync.
func TestCrashCatchesLyingSync(t *testing.T) {
	failures := vfstest.Try(t, func(t testing.TB) {
		crashTest(t, 1, 5, false, true)
	})
	if len(failures) == 0 {
		t.Fatal("a warehouse that never syncs passed")
	}
	t.Log(fmt.Sprint(failures[0]))
}
