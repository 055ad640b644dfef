package demo

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/oltp"
)

// newWorkload opens a database in dir with the shop in it.
func newWorkload(t *testing.T, dir string, rate float64) *workload {
	t.Helper()
	db, err := oltp.Open(oltp.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &workload{db: db, rate: rate, seed: 1, commits: latency.New(), fresh: &freshness{latency: latency.New()}}
	if err := w.fill(t.Context(), func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestWorkload runs the shop, twice on the same folder, and looks at its
// invariants in the source itself.
func TestWorkload(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		w := newWorkload(t, dir, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := w.run(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d transactions, %d changes, commits %+v", w.transactions.Load(), w.changes.Load(), w.commits.Summary())
		checkSource(t, w.db)
		w.db.Close()
	}
}

func checkSource(t *testing.T, db *oltp.DB) {
	t.Helper()
	var stocked, sold, inLines, paid, payments int64
	err := db.View(t.Context(), func(tx *oltp.Tx) error {
		for row, err := range tx.Scan("stock", oltp.Range{}) {
			if err != nil {
				return err
			}
			stocked += row[1].Int()
			sold += row[2].Int()
		}
		for row, err := range tx.Scan("order_lines", oltp.Range{}) {
			if err != nil {
				return err
			}
			inLines += row[3].Int()
		}
		for row, err := range tx.Scan("orders", oltp.Range{}) {
			if err != nil {
				return err
			}
			if row[2].Bytes() != "open" {
				cents, _ := centsOf(row[4])
				paid += cents
			}
		}
		for row, err := range tx.Scan("payments", oltp.Range{}) {
			if err != nil {
				return err
			}
			cents, _ := centsOf(row[2])
			payments += cents
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if stocked+sold != productCount*pieces || sold != inLines {
		t.Errorf("%d in stock, %d sold, %d in order lines", stocked, sold, inLines)
	}
	if paid != payments || paid == 0 {
		t.Errorf("orders paid for %d, payments of %d", paid, payments)
	}
}
