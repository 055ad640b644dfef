package oltp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// churn changes three tables at random until it did n commits.
func churn(t testing.TB, db *oltp.DB, seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, 5))
	everything, err := db.Table("everything")
	if err != nil {
		t.Error(err)
		return
	}
	for range n {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error {
			for range 1 + r.IntN(5) {
				id := r.Int64N(40)
				var err error
				switch r.IntN(12) {
				case 0, 1:
					err = tx.Delete("accounts", ID(id))
				case 2, 3:
					err = tx.UpdateKey("accounts", []schemas.Value{ID(id)}, Account(r.Int64N(40), id, "moved"))
				case 4, 5:
					err = tx.Upsert("lines", Line(id, r.Int64N(5), "x", id))
				case 6:
					row := RandomRow(r, everything)
					row[0], row[1] = schemas.NewText(fmt.Sprint(id%7)), schemas.NewNumeric(id%3, 0)
					err = tx.Upsert("everything", row)
				case 7:
					if r.IntN(10) == 0 {
						err = tx.Truncate("lines")
					}
				default:
					err = tx.Upsert("accounts", Account(id, r.Int64N(100), "owner"))
				}
				if c := schemas.CodeOf(err); err != nil && c != schemas.CodeNotFound && c != schemas.CodeConstraint {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// fold applies commits to a copy, in the way capture reads them.
func fold(t testing.TB, r *oltp.LogReader, c Copy, before bool) {
	t.Helper()
	var batch *change.Batch
	flush := func() {
		if batch != nil {
			require.NoError(t, c.Fold(batch))
			batch = nil
		}
	}
	next := uint32(0)
	err := r.Changes(ctx, func(table *schemas.Table) (*change.Batch, bool, error) {
		if batch != nil && batch.Table != table {
			flush()
		}
		if batch == nil {
			batch = change.New(table, 4)
		}
		if n := batch.Len(); n > 0 {
			require.Equal(t, next-1, batch.Ordinal[n-1])
		}
		next++
		return batch, before, nil
	}, func(b load.Barrier) error {
		flush()
		require.Equal(t, next, b.Ordinal)
		next++
		c.Truncate(b)
		return nil
	}, func(*schemas.Table) error {
		next++
		return nil
	})
	require.NoError(t, err)
	flush()
}

// TestReaderEqualsFold follows a busy database from the beginning of its log: at every
// snapshot's LSN the fold of the commits so far is the snapshot.
func TestReaderEqualsFold(t *testing.T) {
	db := memory(t)
	_, err := db.CreateSlot(ctx, "s")
	require.NoError(t, err)
	Create(t, db, Accounts(), Lines(), Everything())
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { churn(t, db, uint64(w), rounds/3) })
	}
	var done atomic.Bool
	go func() {
		writers.Wait()
		done.Store(true)
	}()
	r, err := db.ReadLog(0)
	require.NoError(t, err)
	defer r.Close()
	copied, compared := Copy{}, 0
	for last := false; !last; compared++ {
		last = done.Load()
		tx, err := db.Begin(ctx, oltp.TxOptions{ReadOnly: true})
		require.NoError(t, err)
		for r.Position() < tx.SnapshotLSN() {
			lsn, _, err := r.Next(ctx)
			require.NoError(t, err)
			require.LessOrEqual(t, lsn, tx.SnapshotLSN(), "no commit ends between the reader and the snapshot")
			fold(t, r, copied, true)
		}
		require.Empty(t, Diff(Dump(t, db, tx), copied))
		tx.Rollback()
	}
	t.Log(compared, "snapshots compared")
}

// TestSnapshotAndLog starts a copy in the middle: the snapshot at S and the log
// after S are the database.
func TestSnapshotAndLog(t *testing.T) {
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	Create(t, db, Accounts(), Lines(), Everything())
	churn(t, db, 1, 100)
	_, err := db.CreateSlot(ctx, "s")
	require.NoError(t, err)
	var writer sync.WaitGroup
	writer.Go(func() { churn(t, db, 2, 200) })
	snap, err := db.Snapshot(ctx)
	require.NoError(t, err)
	defer snap.Close()
	copied := Copy{}
	for _, table := range db.Tables() {
		rows := 0
		require.NoError(t, snap.Copy(ctx, table.FullName(), 7, func(b *change.Batch) error {
			require.LessOrEqual(t, b.Len(), 7)
			for i := range b.Len() {
				require.Equal(t, snap.LSN(), b.LSN[i])
				require.EqualValues(t, rows, b.Ordinal[i])
				rows++
			}
			return copied.Fold(b)
		}))
	}
	writer.Wait()
	r, err := db.ReadLog(snap.LSN())
	require.NoError(t, err)
	defer r.Close()
	for {
		_, _, ok, err := r.TryNext()
		require.NoError(t, err)
		if !ok {
			break
		}
		fold(t, r, copied, false)
	}
	require.Empty(t, Diff(DumpNow(t, db), copied))
}

// TestOldSnapshotStands reads a snapshot again after its rows were changed, deleted,
// flushed and compacted many times.
func TestOldSnapshotStands(t *testing.T) {
	o := small(vfstest.NewMem())
	o.MemoryBytes = 60 << 10
	db := open(t, o)
	Create(t, db, Accounts(), Lines(), Everything())
	churn(t, db, 1, 200)
	tx, err := db.Begin(ctx, oltp.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	defer tx.Rollback()
	want := Dump(t, db, tx)
	for round := range uint64(5) {
		churn(t, db, 2+round, 150)
		_, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Truncate("accounts") })
		require.NoError(t, err)
		require.NoError(t, db.Checkpoint(ctx))
		require.Empty(t, Diff(want, Dump(t, db, tx)))
	}
	s := db.Stats()
	require.Positive(t, s.Engine.Compactions)
	require.Equal(t, 1, s.Running)
	require.Equal(t, tx.SnapshotLSN(), s.OldestSnapshot)
}

// holdLogSync makes the log's next fdatasync wait for release, or the end of the test;
// reached is closed when it waits.
func holdLogSync(t testing.TB, faults *vfstest.Faults) (reached chan struct{}, release func()) {
	reached = make(chan struct{})
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	var once sync.Once
	faults.Hook(func(op vfstest.Op) error {
		if op.Kind == "sync" && strings.Contains(op.Name, "/log/") {
			once.Do(func() {
				close(reached)
				<-held
			})
		}
		return nil
	})
	return reached, release
}

// awaitApplied returns a transaction that sees a row of accounts.
func awaitApplied(t testing.TB, db *oltp.DB, id schemas.Value) (tx *oltp.Tx) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		tx, err = db.Begin(ctx, oltp.TxOptions{})
		require.NoError(t, err)
		if _, err = tx.Get("accounts", id); err != nil {
			tx.Rollback()
		}
		return err == nil
	}, 5*time.Second, time.Millisecond)
	return tx
}

// TestEngineNeverAheadOfLog asks for a checkpoint while a commit is applied and not
// durable: the checkpoint waits, so that no crash leaves a commit in the engine that
// the log does not have.
func TestEngineNeverAheadOfLog(t *testing.T) {
	mem := vfstest.NewMem()
	faults := vfstest.NewFaults(mem)
	o := small(faults)
	o.LogSegmentBytes = 1 << 20
	db := open(t, o)
	Create(t, db, Accounts())
	end, id := db.DurableLSN(), db.LogID()
	reached, release := holdLogSync(t, faults)
	var work sync.WaitGroup
	work.Go(func() {
		if _, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(1, 1, "")) }); err != nil {
			t.Error(err)
		}
	})
	<-reached
	awaitApplied(t, db, ID(1)).Rollback()
	work.Go(func() {
		if err := db.Checkpoint(ctx); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(30 * time.Millisecond)
	require.LessOrEqual(t, db.Stats().Checkpoint, end)
	o.FS = mem.CrashClone(0, 0)
	after := open(t, o)
	require.Empty(t, DumpNow(t, after))
	require.Equal(t, id, after.LogID())
	release()
	work.Wait()
	require.Greater(t, db.Stats().Checkpoint, end)
}

// TestOnlyDurableIsCaptured holds fdatasync back: neither the reader nor a read-only
// transaction sees the commit before it is durable, though a writer does.
func TestOnlyDurableIsCaptured(t *testing.T) {
	faults := vfstest.NewFaults(vfstest.NewMem())
	o := small(faults)
	o.LogSegmentBytes = 1 << 20
	db := open(t, o)
	Create(t, db, Accounts())
	r, err := db.ReadLog(db.DurableLSN())
	require.NoError(t, err)
	defer r.Close()

	reached, release := holdLogSync(t, faults)
	acked := make(chan schemas.LSN, 1)
	go func() {
		lsn, err := db.Update(ctx, func(tx *oltp.Tx) error { return tx.Insert("accounts", Account(1, 1, "")) })
		if err != nil {
			t.Error(err)
		}
		acked <- lsn
	}()
	<-reached
	require.Empty(t, DumpNow(t, db))
	_, _, ok, err := r.TryNext()
	require.NoError(t, err)
	require.False(t, ok, "the reader saw what is not durable")
	writer := awaitApplied(t, db, ID(1)) // a writer goes on from the commit before it is durable
	read := make(chan schemas.LSN, 1)
	go func() {
		lsn, err := writer.Commit()
		if err != nil {
			t.Error(err)
		}
		read <- lsn
	}()
	select {
	case <-acked:
		t.Fatal("acknowledged before it was durable")
	case <-read:
		t.Fatal("a transaction ended that read what is not durable")
	case <-time.After(20 * time.Millisecond):
	}
	release()
	require.Equal(t, <-acked, <-read)
	require.Len(t, DumpNow(t, db)["public.accounts"], 1)
}
