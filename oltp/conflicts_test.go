package oltp

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConflictsEqualModel compares with a memory that never forgets, also when
// generations turn; with a bound on memory it may refuse more, never less.
func TestConflictsEqualModel(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := newConflicts()
		c.turnAt = 1 + r.IntN(20)
		bounded := seed%3 == 0
		if bounded {
			c.forgetAt = c.turnAt + r.IntN(5)
		}
		last := map[uint64]uint64{}
		var running []uint64 // snapshots
		refused, turned := 0, 0
		for lsn := uint64(1); lsn < 2000; lsn++ {
			for len(running) < 1+r.IntN(5) {
				running = append(running, lsn-1)
			}
			k := r.IntN(len(running))
			tx := &transaction{hashes: []uint64{r.Uint64N(50), r.Uint64N(50)}}
			want := true
			for _, h := range tx.hashes {
				want = want && last[h] <= running[k]
			}
			got := c.check(tx, running[k])
			if bounded {
				require.False(t, got && !want)
			} else {
				require.Equal(t, want, got)
			}
			running = slices.Delete(running, k, k+1)
			if !got {
				refused++
				continue
			}
			oldest := lsn - 1
			for _, s := range running {
				oldest = min(oldest, s)
			}
			was := c.oldMax
			c.add(tx, lsn, func() uint64 { return oldest })
			if c.oldMax != was {
				turned++
			}
			for _, h := range tx.hashes {
				last[h] = lsn
			}
		}
		require.Positive(t, refused)
		require.Positive(t, turned)
	}
}

// TestSnapshotsEqualModel compares the horizon with the least of all open snapshots.
func TestSnapshotsEqualModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var list snapshots
	var open []*snapshot
	now := uint64(10)
	for range 5000 {
		now += r.Uint64N(3)
		if len(open) < r.IntN(20) {
			s := &snapshot{writes: r.IntN(2) == 0}
			list.open(s, func() uint64 { return now + r.Uint64N(3) })
			open = append(open, s)
		} else if len(open) > 0 {
			k := r.IntN(len(open))
			s := open[k]
			open = slices.Delete(open, k, k+1)
			horizon, _ := list.close(s, func() uint64 { return now })
			require.LessOrEqual(t, horizon, now)
			want := now
			for _, s := range open {
				want = min(want, s.lsn)
			}
			require.Equal(t, want, horizon)
		}
		want, oldest := now+5, now
		for _, s := range open {
			oldest = min(oldest, s.lsn)
			if s.writes {
				want = min(want, s.lsn)
			}
		}
		require.Equal(t, want, list.oldestWriter(now+5))
		count, least := list.stats(now)
		require.Equal(t, len(open), count)
		require.Equal(t, oldest, least)
	}
	require.NotEmpty(t, open)
}
