package oltp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
)

// BenchmarkCommit commits transactions of four row changes (two updates, an insert
// and an upsert, about 100 bytes a row) on a real disk.
func BenchmarkCommit(b *testing.B) {
	for _, workers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) { benchCommit(b, workers) })
	}
}

func benchCommit(b *testing.B, workers int) {
	const rows = 100_000
	db := open(b, oltp.Options{Dir: b.TempDir()})
	Create(b, db, Accounts())
	owner := strings.Repeat("o", 80)
	for from := int64(0); from < rows; from += 10_000 {
		_, err := db.Update(ctx, func(tx *oltp.Tx) error {
			for i := range int64(10_000) {
				if err := tx.Insert("accounts", Account(from+i, i, owner)); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(b, err)
	}
	var left, next atomic.Int64
	left.Store(int64(b.N))
	next.Store(rows)
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for w := range workers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for left.Add(-1) >= 0 {
				_, err := db.Update(ctx, func(tx *oltp.Tx) error {
					for range 2 {
						row, err := tx.Get("accounts", ID(r.Int64N(rows)))
						if err != nil {
							return err
						}
						if err := tx.Update("accounts", Account(row[0].Int(), row[1].Int()+1, owner)); err != nil {
							return err
						}
					}
					if err := tx.Insert("accounts", Account(next.Add(1), 1, owner)); err != nil {
						return err
					}
					return tx.Upsert("accounts", Account(r.Int64N(rows), 2, owner))
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)/seconds, "commits/s")
	b.ReportMetric(4*float64(b.N)/seconds, "changes/s")
}

// BenchmarkGet reads rows by key, warm.
func BenchmarkGet(b *testing.B) {
	const rows = 100_000
	db := open(b, oltp.Options{Dir: b.TempDir()})
	Create(b, db, Accounts())
	_, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for i := range int64(rows) {
			if err := tx.Insert("accounts", Account(i, i, "owner of the account")); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(b, err)
	tx, err := db.Begin(ctx, oltp.TxOptions{ReadOnly: true})
	require.NoError(b, err)
	defer tx.Rollback()
	r := rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tx.Get("accounts", ID(r.Int64N(rows))); err != nil {
			b.Fatal(err)
		}
	}
}
