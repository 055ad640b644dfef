package oltp_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

// TestCloseAmongUsers closes the database while everything uses it: all of it ends, with
// success or ErrClosed, no goroutine stays, and what was acknowledged is there.
func TestCloseAmongUsers(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		leaks := goleak.IgnoreCurrent()
		fsys := vfstest.NewMem()
		db, err := oltp.Open(small(fsys))
		require.NoError(t, err)
		Create(t, db, Accounts())
		_, err = db.CreateSlot(ctx, "s")
		require.NoError(t, err)
		var users sync.WaitGroup
		var acked [4]atomic.Int64
		until := func(op func() error) {
			users.Go(func() {
				for {
					switch err := op(); {
					case errors.Is(err, oltp.ErrClosed):
						return
					case err != nil:
						t.Errorf("round %d: %v", round, err)
						return
					}
				}
			})
		}
		for w := range int64(4) {
			until(func() error {
				n, err := count(db, w)
				if err == nil {
					acked[w].Store(n)
				}
				return err
			})
		}
		until(func() error {
			return db.View(ctx, func(tx *oltp.Tx) error {
				for _, err := range tx.Scan("accounts", oltp.Range{}) {
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
		until(func() error { return db.Checkpoint(ctx) })
		until(func() error { return db.ConfirmSlot(ctx, "s", db.DurableLSN()) })
		users.Go(func() {
			r, err := db.ReadLog(0)
			for err == nil {
				_, _, err = r.Next(ctx)
			}
			// The slot lets the log go, so the reader may also find it gone.
			if !errors.Is(err, oltp.ErrClosed) && schemas.CodeOf(err) != schemas.CodeSource {
				t.Error(err)
			}
			if r != nil {
				r.Close()
			}
		})
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		require.NoError(t, db.Close())
		users.Wait()
		goleak.VerifyNone(t, leaks)
		var want [killWorkers]int64
		for w := range acked {
			want[w] = acked[w].Load()
		}
		checkCounts(t, small(fsys), want)
	}
}

// TestCanceled ends waits and scans with their context.
func TestCanceled(t *testing.T) {
	db := memory(t, Accounts())
	fill(t, db, 600)
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	tx, err := db.Begin(limited, oltp.TxOptions{})
	require.NoError(t, err)
	defer tx.Rollback()
	seen := 0
	for _, err := range tx.Scan("accounts", oltp.Range{}) {
		if seen++; seen == 10 {
			cancel()
		}
		if err != nil {
			require.Equal(t, schemas.CodeCanceled, schemas.CodeOf(err))
			break
		}
	}
	require.Less(t, seen, 600)
	require.NoError(t, tx.Upsert("accounts", Account(1, 1, "")))
	_, err = tx.Commit()
	require.Equal(t, schemas.CodeCanceled, schemas.CodeOf(err))
	_, err = db.Begin(limited, oltp.TxOptions{})
	require.Equal(t, schemas.CodeCanceled, schemas.CodeOf(err))
}
