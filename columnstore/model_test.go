package columnstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// history drives a store through random events beside the model.
type history struct {
	t       testing.TB
	s       *sim
	fs      *vfstest.Mem
	clk     *manualClock
	opts    Options
	st      *Store
	version string
	leases  map[string][]load.Lease // by worker
	zombies []load.Lease
	held    []*Snapshot
	heldW   []schemas.LSN
	last    uint64 // version seen
	tally   map[string]int
}

func newHistory(t testing.TB, seed uint64) *history {
	h := &history{t: t, s: newSim(seed), fs: vfstest.NewMem(), clk: newClock(), version: "v1", leases: map[string][]load.Lease{}, tally: map[string]int{}}
	h.opts = simOptions(h.fs, h.clk)
	if seed%3 == 1 {
		h.opts.MemoryBudget = 8 << 10 // nearly every load spills, nearly every block is evicted
	}
	return h
}

func (h *history) start(snapshot bool) {
	h.st = openSim(h.t, h.opts)
	require.NoError(h.t, h.st.Register(context.Background(), simPipe(h.version)))
	h.s.startEpoch(h.t, h.st, snapshot)
}

// loadSome loads some messages of some lease of some worker.
func (h *history) loadSome() {
	rng := h.s.rng
	worker := fmt.Sprint("w", rng.IntN(2))
	leases, err := h.st.Acquire(context.Background(), simPipeline, worker, 0)
	require.NoError(h.t, err)
	h.leases[worker] = leases
	for _, l := range leases {
		stream := h.s.streams[l.Partition]
		if l.Epoch != h.s.epoch || rng.IntN(3) == 0 {
			continue
		}
		if l.NextSequence > uint64(len(stream)) {
			h.t.Fatalf("lease of %v begins at %d of %d", l.Partition, l.NextSequence, len(stream))
		}
		from := l.NextSequence
		to := from + uint64(rng.IntN(len(stream)-int(from)+1))
		if to == from {
			continue
		}
		_, err := h.st.Load(context.Background(), h.s.request(l, h.version, from, to))
		require.NoError(h.t, err)
		h.misbehave(l, from, to, len(stream))
	}
	if len(leases) > 0 && rng.IntN(10) == 0 {
		h.zombies = append(h.zombies, leases[rng.IntN(len(leases))])
		h.clk.advance(11 * time.Second)
	}
	if rng.IntN(20) == 0 {
		require.NoError(h.t, h.st.Release(context.Background(), leases))
	}
}

// misbehave sends a duplicate, a gap or an overlap after a load of [from,to).
func (h *history) misbehave(l load.Lease, from, to uint64, n int) {
	switch h.s.rng.IntN(6) {
	case 0:
		_, err := h.st.Load(context.Background(), h.s.request(l, h.version, from, to))
		require.NoError(h.t, err, "a duplicate is acknowledged")
		h.tally["duplicate"]++
	case 1:
		if to+1 < uint64(n) {
			_, err := h.st.Load(context.Background(), h.s.request(l, h.version, to+1, to+2))
			require.Equal(h.t, schemas.CodeStream, schemas.CodeOf(err), "a gap")
			h.tally["gap"]++
		}
	case 2:
		if to < uint64(n) {
			_, err := h.st.Load(context.Background(), h.s.request(l, h.version, from, to+1))
			require.Equal(h.t, schemas.CodeStream, schemas.CodeOf(err), "an overlap")
			h.tally["overlap"]++
		}
	}
}

// zombie loads under a lease, epoch or version that is over.
func (h *history) zombie() {
	for _, z := range h.zombies {
		st, err := h.st.State(canceled(), simPipeline, 0)
		require.NoError(h.t, err)
		over := z.Epoch != st.Epoch
		for _, l := range st.Leases {
			if l.Partition == z.Partition && l.Token != z.Token {
				over = true
			}
		}
		if !over {
			continue
		}
		l := &load.Load{Lease: z, Epoch: z.Epoch, Version: h.version, From: z.NextSequence, To: z.NextSequence + 1}
		_, err = h.st.Load(context.Background(), l)
		require.Equal(h.t, schemas.CodeFenced, schemas.CodeOf(err), "zombie %+v: %v", z, err)
		h.tally["zombie"]++
	}
	h.zombies = nil
}

// look opens a snapshot, compares it, and perhaps holds it.
func (h *history) look() {
	n, err := h.st.Snapshot(context.Background(), At{})
	require.NoError(h.t, err)
	if n.Version() < h.last {
		h.t.Errorf("version went back from %d to %d", h.last, n.Version())
	}
	h.last = n.Version()
	w := h.s.verify(h.t, n)
	if h.s.rng.IntN(3) == 0 && len(h.held) < 4 {
		h.held, h.heldW = append(h.held, n), append(h.heldW, w)
		return
	}
	n.Close()
}

func (h *history) lookAtHeld() {
	for i, n := range h.held {
		if w := h.s.verify(h.t, n); w != h.heldW[i] {
			h.t.Errorf("a snapshot moved from W %d to %d", h.heldW[i], w)
		}
	}
}

func (h *history) releaseHeld() {
	for _, n := range h.held {
		n.Close()
	}
	h.held, h.heldW = nil, nil
}

func (h *history) restart() {
	h.lookAtHeld()
	h.releaseHeld()
	before, err := h.st.State(canceled(), simPipeline, 0)
	require.NoError(h.t, err)
	require.NoError(h.t, h.st.Close())
	h.st = openSim(h.t, h.opts)
	after, err := h.st.State(canceled(), simPipeline, 0)
	require.NoError(h.t, err)
	require.GreaterOrEqual(h.t, after.VisibleW, before.DurableW, "what was durable is visible after a restart")
	require.NoError(h.t, h.st.Check(context.Background()))
	h.look()
}

func (h *history) step() {
	switch r := h.s.rng.IntN(100); {
	case r < 30:
		h.s.commit()
		h.s.stream(h.s.rng.IntN(4))
	case r < 70:
		h.loadSome()
	case r < 80:
		h.look()
	case r < 84:
		h.lookAtHeld()
	case r < 86:
		h.releaseHeld()
	case r < 90:
		require.NoError(h.t, h.st.Flush(context.Background()))
		h.tally["flush"]++
	case r < 93:
		require.NoError(h.t, h.st.Compact(context.Background()))
		require.NoError(h.t, h.st.Check(context.Background()))
		h.tally["compact"]++
	case r < 95:
		require.NoError(h.t, h.st.maintain())
	case r < 96:
		h.restart()
		h.tally["restart"]++
	case r < 97:
		h.newEpoch()
	case r < 98:
		h.zombie()
	case r < 99:
		h.newVersion()
	}
}

// newVersion registers another version of the pipeline: nobody may load before a run
// of it is granted, and none may go on from the rows of the old one. Then the old
// version comes back, or everything is loaded again.
func (h *history) newVersion() {
	ctx, old := context.Background(), h.version
	h.version += "x"
	require.NoError(h.t, h.st.Register(ctx, simPipe(h.version)))
	ls, err := h.st.Acquire(ctx, simPipeline, "another", 0)
	require.NoError(h.t, err)
	require.Empty(h.t, ls, "the epoch is the old version's")
	st, err := h.st.State(canceled(), simPipeline, 0)
	require.NoError(h.t, err)
	if st.DurableW > 0 {
		_, err := h.st.Grant(ctx, h.s.run0(false))
		require.Equal(h.t, schemas.CodeSource, schemas.CodeOf(err), "rows of two versions")
	}
	for _, ls := range h.leases {
		h.zombies = append(h.zombies, ls...)
	}
	if h.s.rng.IntN(2) == 0 {
		h.version = old
		require.NoError(h.t, h.st.Register(ctx, simPipe(old)))
		h.tally["version and back"]++
		return
	}
	h.s.startEpoch(h.t, h.st, true)
	h.tally["version"]++
}

// newEpoch replays from W, or loads everything again.
func (h *history) newEpoch() {
	for _, ls := range h.leases {
		h.zombies = append(h.zombies, ls...)
	}
	if h.s.rng.IntN(2) == 0 {
		require.NoError(h.t, h.st.Lost(context.Background(), load.Lease{Pipeline: simPipeline, Epoch: h.s.epoch}, "the test says so"))
		st, err := h.st.State(context.Background(), simPipeline, 1<<60)
		require.NoError(h.t, err)
		require.NotEmpty(h.t, st.Replay)
	}
	snapshot := h.s.rng.IntN(3) == 0
	if !snapshot && h.st.partial() {
		_, err := h.st.Grant(context.Background(), h.s.run0(false))
		require.Equal(h.t, schemas.CodeSource, schemas.CodeOf(err), "an unfinished snapshot must be made again")
		snapshot = true
	}
	h.s.startEpoch(h.t, h.st, snapshot)
	h.tally[fmt.Sprintf("epoch snapshot=%v", snapshot)]++
}

// finish loads all that is left and demands equality at the tip.
func (h *history) finish() {
	h.s.stream(1 << 30)
	for range 200 {
		h.loadSome()
		done := true
		leases, err := h.st.State(canceled(), simPipeline, 0)
		require.NoError(h.t, err)
		for _, l := range leases.Leases {
			done = done && l.NextSequence == uint64(len(h.s.streams[l.Partition]))
		}
		if done && len(leases.Leases) == 1+3*simParts {
			break
		}
	}
	st := settleAll(h.t, h.st)
	require.Equal(h.t, h.s.tip(), st.VisibleW)
	h.look()
	n, err := h.st.Snapshot(context.Background(), At{MinLSN: h.s.tip()})
	require.NoError(h.t, err)
	require.Len(h.t, n.Tables(), 3, "all tables are ready")
	n.Close()
	h.lookAtHeld()
	h.releaseHeld()
	require.NoError(h.t, h.st.Check(context.Background()))
	require.NoError(h.t, h.st.Close())
}

func rounds(t testing.TB, short, long int) int {
	if testing.Short() {
		return short
	}
	return long
}

func runHistory(t testing.TB, seed uint64, k hooks) *history {
	h := newHistory(t, seed)
	h.opts.hooks = k
	defer func() {
		if h.st != nil {
			h.st.Close()
		}
	}()
	for range 20 {
		h.s.commit()
	}
	h.start(seed%2 == 0)
	for range 300 {
		h.step()
		if t.Failed() {
			return h
		}
	}
	h.finish()
	return h
}

// TestMutants breaks a rule and demands that histories notice.
func TestMutants(t *testing.T) {
	for name, k := range map[string]hooks{
		"publish without needs": {Hooks: ingest.Hooks{NoNeeds: true}},
		"no fence":              {Hooks: ingest.Hooks{NoFence: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				if failures := vfstest.Try(t, func(t testing.TB) { runHistory(t, seed, k) }); len(failures) > 0 {
					t.Logf("seed %d: %s", seed, failures[0])
					return
				}
			}
			t.Fatal("no history noticed")
		})
	}
}

// TestHistories runs random multi-table, multi-partition, multi-epoch histories
// with duplicates, reordering between partitions, zombies, restarts, checkpoints
// and merges; every version seen equals the model at its W (I2, I3).
func TestHistories(t *testing.T) {
	tally := map[string]int{}
	for seed := range uint64(rounds(t, 12, 100)) {
		h := runHistory(t, seed, hooks{})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		for k, n := range h.tally {
			tally[k] += n
		}
	}
	for _, k := range []string{"duplicate", "gap", "overlap", "zombie", "flush", "compact", "restart", "version", "version and back", "epoch snapshot=true", "epoch snapshot=false"} {
		require.NotZero(t, tally[k], k)
	}
	t.Logf("%v", tally)
}
