package oltp

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

// TestTruncateInBatches crashes at every operation of TRUNCATEs that delete more rows
// than fit a memtable, in many batches: afterwards the table has all its old rows
// or exactly the new ones.
func TestTruncateInBatches(t *testing.T) {
	const rows = 400
	ctx := context.Background()
	table := schemas.Table{Name: "t", Key: []uint32{1}, Columns: []schemas.Column{
		{Name: "id", Type: schemas.Type{Kind: schemas.Int64}}, {Name: "s", Type: schemas.Type{Kind: schemas.Text}}}}
	row := func(id int, s string) schemas.Row {
		return schemas.Row{schemas.NewInt(schemas.Int64, int64(id)), schemas.NewText(s)}
	}
	o := func(fsys vfs.FS) Options {
		return Options{Dir: "/db", FS: fsys, MemoryBytes: 40 << 10, LogSegmentBytes: 1 << 22, CheckpointBytes: 1 << 30, truncateBatch: 9}
	}
	for _, large := range []bool{false, true} { // one record, several records
		filler := "new"
		if large {
			filler = strings.Repeat("new", 150_000)
		}
		var tried, acked atomic.Bool
		points := vfstest.Crash[[2]bool]{
			Run: func(fsys vfs.FS) {
				db, err := Open(o(fsys))
				require.NoError(t, err)
				defer db.Close()
				_, err = db.CreateTable(ctx, table)
				require.NoError(t, err)
				_, err = db.Update(ctx, func(tx *Tx) error {
					for id := range rows {
						if err := tx.Insert("t", row(id, fmt.Sprintf("%050d", id))); err != nil {
							return err
						}
					}
					return nil
				})
				require.NoError(t, err)
				require.NoError(t, db.Checkpoint(ctx))
				tried.Store(true)
				_, err = db.Update(ctx, func(tx *Tx) error {
					if err := tx.Truncate("t"); err != nil {
						return err
					}
					for id := range 7 {
						if err := tx.Insert("t", row(id*100, filler)); err != nil {
							return err
						}
					}
					return nil
				})
				require.NoError(t, err)
				acked.Store(true)
				require.NoError(t, db.Checkpoint(ctx))
			},
			Promised: func() [2]bool { return [2]bool{tried.Load(), acked.Load()} },
			Check: func(t testing.TB, _ int, fsys vfs.FS, p [2]bool) {
				if !p[0] {
					return
				}
				db, err := Open(o(fsys))
				require.NoError(t, err)
				defer db.Close()
				old, fresh := 0, 0
				require.NoError(t, db.View(ctx, func(tx *Tx) error {
					for row, err := range tx.Scan("t", Range{}) {
						if err != nil {
							return err
						}
						if strings.HasPrefix(row[1].Bytes(), "new") {
							fresh++
						} else {
							old++
						}
					}
					return nil
				}))
				if !(old == 0 && fresh == 7) && (p[1] || old != rows || fresh != 0) {
					t.Fatalf("acknowledged %v: %d old rows, %d new ones", p[1], old, fresh)
				}
			},
			Torn: true,
		}.At(t)
		t.Log(points, "crash points")
	}
}
