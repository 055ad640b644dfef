package oltp_test

import (
	"fmt"
	"math/rand/v2"
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
	require.Greater(t, compared, 5)
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

	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	faults.Hook(func(op vfstest.Op) error {
		if op.Kind == "sync" {
			once.Do(func() {
				close(reached)
				<-release
			})
		}
		return nil
	})
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
	var writer *oltp.Tx
	require.Eventually(t, func() bool {
		writer, err = db.Begin(ctx, oltp.TxOptions{})
		require.NoError(t, err)
		if _, err = writer.Get("accounts", ID(1)); err != nil {
			writer.Rollback()
		}
		return err == nil
	}, 5*time.Second, time.Millisecond, "a writer goes on from the commit before it is durable")
	select {
	case <-acked:
		t.Fatal("acknowledged before it was durable")
	default:
	}
	close(release)
	lsn, err := writer.Commit() // waits for what it read
	require.NoError(t, err)
	require.Equal(t, <-acked, lsn)
	require.Len(t, DumpNow(t, db)["public.accounts"], 1)
}
