package oltp_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

// fill commits n rows of about 1 KiB.
func fill(t testing.TB, db *oltp.DB, n int) {
	t.Helper()
	for i := range n {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error {
			return tx.Upsert("accounts", Account(int64(i), int64(i), strings.Repeat("z", 1000)))
		})
		require.NoError(t, err)
	}
}

func commitsAfter(t testing.TB, db *oltp.DB, from schemas.LSN) (n int) {
	t.Helper()
	r, err := db.ReadLog(from)
	require.NoError(t, err)
	defer r.Close()
	for {
		_, _, ok, err := r.TryNext()
		require.NoError(t, err)
		if !ok {
			return n
		}
		n++
	}
}

func TestSlotHoldsTheLog(t *testing.T) {
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	Create(t, db, Accounts())
	fill(t, db, 10)
	start, err := db.CreateSlot(ctx, "warehouse")
	require.NoError(t, err)
	_, err = db.CreateSlot(ctx, "warehouse")
	require.Equal(t, schemas.CodeConstraint, schemas.CodeOf(err))
	fill(t, db, 300)
	require.NoError(t, db.Checkpoint(ctx))
	require.Equal(t, 300, commitsAfter(t, db, start))
	held := db.Stats().Slots[0]
	require.Equal(t, "ok", held.State)
	require.Greater(t, held.HeldBytes, int64(300_000))

	require.NoError(t, db.Close())
	db = open(t, small(fsys))
	require.Equal(t, 300, commitsAfter(t, db, start))
	end := db.DurableLSN()
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(db.ConfirmSlot(ctx, "warehouse", end+1)))
	require.NoError(t, db.ConfirmSlot(ctx, "warehouse", end))
	require.NoError(t, db.ConfirmSlot(ctx, "warehouse", start), "going back changes nothing")
	lsn, err := db.SlotLSN("warehouse")
	require.NoError(t, err)
	require.Equal(t, end, lsn)
	require.NoError(t, db.Checkpoint(ctx))
	require.Greater(t, db.Stats().OldestLSN, start)
	_, err = db.ReadLog(start)
	require.Equal(t, schemas.CodeSource, schemas.CodeOf(err), "%v", err)
	_, err = db.ReadLog(end + 100)
	require.Equal(t, schemas.CodeSource, schemas.CodeOf(err), "%v", err)

	require.NoError(t, db.DropSlot(ctx, "warehouse"))
	require.Equal(t, schemas.CodeNotFound, schemas.CodeOf(db.DropSlot(ctx, "warehouse")))
	require.Equal(t, schemas.CodeNotFound, schemas.CodeOf(db.ConfirmSlot(ctx, "warehouse", end)))
	_, err = db.CreateSlot(ctx, "not a name")
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
}

func TestLogGoesWithoutSlots(t *testing.T) {
	db := memory(t, Accounts())
	fill(t, db, 400)
	require.Eventually(t, func() bool { return db.Stats().OldestLSN > 0 }, 5*time.Second, time.Millisecond,
		"the background checkpoint lets go of the log")
	require.NoError(t, db.Checkpoint(ctx))
	require.Less(t, db.Stats().LogBytes, int64(300<<10))
}

func TestSlotBudget(t *testing.T) {
	for _, policy := range []oltp.SlotPolicy{oltp.SlotHold, oltp.SlotLose} {
		fsys := vfstest.NewMem()
		o := small(fsys)
		o.SlotMaxBytes, o.SlotPolicy = 100<<10, policy
		db := open(t, o)
		Create(t, db, Accounts())
		slow, err := db.CreateSlot(ctx, "slow")
		require.NoError(t, err)
		_, err = db.CreateSlot(ctx, "quick")
		require.NoError(t, err)
		for range 10 {
			fill(t, db, 30)
			require.NoError(t, db.ConfirmSlot(ctx, "quick", db.DurableLSN()))
		}
		want := map[oltp.SlotPolicy]string{oltp.SlotHold: "over_budget", oltp.SlotLose: "lost"}[policy]
		require.Eventually(t, func() bool { return db.Slots()[1].State == want }, 5*time.Second, time.Millisecond)
		require.Equal(t, "ok", db.Slots()[0].State)
		require.NoError(t, db.Checkpoint(ctx))
		if policy == oltp.SlotHold {
			require.Equal(t, 300, commitsAfter(t, db, slow))
			continue
		}
		_, err = db.ReadLog(slow)
		require.Equal(t, schemas.CodeSource, schemas.CodeOf(err))
		require.NoError(t, db.Close())
		db = open(t, o)
		_, err = db.SlotLSN("slow")
		require.Equal(t, schemas.CodeSource, schemas.CodeOf(err))
		require.ErrorContains(t, err, "budget")
		require.Equal(t, schemas.CodeSource, schemas.CodeOf(db.ConfirmSlot(ctx, "slow", db.DurableLSN())))
	}
}

// shifted is a clock that can be put forward.
type shifted struct{ ahead atomic.Int64 }

func (c *shifted) Now() time.Time                         { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *shifted) After(d time.Duration) <-chan time.Time { return time.After(d) }

func TestSlotAge(t *testing.T) {
	clock := &shifted{}
	o := small(vfstest.NewMem())
	o.Clock, o.SlotMaxAge, o.SlotPolicy = clock, time.Hour, oltp.SlotLose
	db := open(t, o)
	Create(t, db, Accounts())
	for _, name := range []string{"dead", "alive"} {
		_, err := db.CreateSlot(ctx, name)
		require.NoError(t, err)
	}
	fill(t, db, 5)
	clock.ahead.Store(int64(50 * time.Minute))
	require.NoError(t, db.ConfirmSlot(ctx, "alive", db.DurableLSN()))
	clock.ahead.Store(int64(70 * time.Minute))
	fill(t, db, 5)
	require.NoError(t, db.ConfirmSlot(ctx, "alive", db.DurableLSN()-1))
	require.Eventually(t, func() bool { return db.Slots()[1].State == "lost" }, 5*time.Second, time.Millisecond)
	require.Equal(t, "ok", db.Slots()[0].State, "one that confirms is kept")
}

// TestLostLogLosesSlots cuts off what was durable, as a disk that lied does: the log
// gets a new identity, and slots of the old one fail loudly.
func TestLostLogLosesSlots(t *testing.T) {
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	Create(t, db, Accounts())
	_, err := db.CreateSlot(ctx, "s")
	require.NoError(t, err)
	fill(t, db, 5)
	require.NoError(t, db.ConfirmSlot(ctx, "s", db.DurableLSN()))
	id, end := db.LogID(), db.DurableLSN()
	want := DumpNow(t, db)
	require.NoError(t, db.Close())
	names, err := fsys.List("/db/log")
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") {
			require.NoError(t, fsys.Cut(filepath.Join("/db/log", name), 4096+1000))
		}
	}
	db = open(t, small(fsys))
	require.NotEqual(t, id, db.LogID())
	require.GreaterOrEqual(t, db.DurableLSN(), end)
	_, err = db.SlotLSN("s")
	require.Equal(t, schemas.CodeSource, schemas.CodeOf(err), "%v", err)
	require.Empty(t, Diff(want, DumpNow(t, db)), "the checkpoint had everything")
	fill(t, db, 50)
	want = DumpNow(t, db)
	require.NoError(t, db.Close())
	db = open(t, small(fsys))
	require.Empty(t, Diff(want, DumpNow(t, db)))
}

func TestDamagedSlotsFile(t *testing.T) {
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	_, err := db.CreateSlot(ctx, "s")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	size, err := fsys.Stat("/db/SLOTS")
	require.NoError(t, err)
	for i := range size.Size() {
		require.NoError(t, fsys.Flip("/db/SLOTS", i, uint(i)))
		_, err := oltp.Open(small(fsys))
		require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err), "byte %d", i)
		require.NoError(t, fsys.Flip("/db/SLOTS", i, uint(i)))
	}
	open(t, small(fsys))
}

// TestDamagedLog flips bits in what recovery needs: it is noticed, never served.
func TestDamagedLog(t *testing.T) {
	mem := vfstest.NewMem()
	o := small(mem)
	o.CheckpointBytes, o.LogSegmentBytes = 1<<40, 1<<20
	db := open(t, o)
	Create(t, db, Accounts())
	fill(t, db, 20)
	want := DumpNow(t, db)
	refused := 0
	for i := range int64(50) {
		c := mem.CrashClone(0, 0)
		require.NoError(t, c.Flip("/db/log/0000000000000000.wal", 4096+100+i*400, uint(i)))
		o.FS = c
		again, err := oltp.Open(o)
		if err != nil {
			require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err), "%v", err)
			refused++
			continue
		}
		got := DumpNow(t, again)
		for name, rows := range got {
			for key, row := range rows {
				require.Equal(t, want[name][key], row)
			}
		}
		require.NoError(t, again.Close())
	}
	require.Greater(t, refused, 40)
}

// TestReaderTails follows the log while it is written, over segment changes and
// with a large transaction, and wakes without polling.
func TestReaderTails(t *testing.T) {
	db := memory(t, Accounts())
	start, err := db.CreateSlot(ctx, "s")
	require.NoError(t, err)
	r, err := db.ReadLog(start)
	require.NoError(t, err)
	defer r.Close()
	commits := 200
	lsns := make(chan schemas.LSN, commits)
	go func() {
		defer close(lsns)
		for i := range commits {
			lsn, err := db.Update(ctx, func(tx *oltp.Tx) error {
				for j := range int64(1 + i%7) {
					if err := tx.Upsert("accounts", Account(j, int64(i), fmt.Sprint(i))); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			lsns <- lsn
		}
	}()
	last := int64(0)
	for want := range lsns {
		lsn, micros, err := r.Next(ctx)
		require.NoError(t, err)
		require.Equal(t, want, lsn)
		require.GreaterOrEqual(t, micros, last)
		last = micros
		require.Equal(t, lsn, r.Position())
	}
	_, _, ok, err := r.TryNext()
	require.NoError(t, err)
	require.False(t, ok)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, _, err = r.Next(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = db.Update(ctx, func(tx *oltp.Tx) error { return tx.Delete("accounts", ID(1)) })
	require.NoError(t, err)
	_, _, err = r.Next(ctx)
	require.NoError(t, err, "the reader goes on after its context ended")
}
