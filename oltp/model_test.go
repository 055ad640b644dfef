package oltp_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/oltp"
	. "github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/schemas"
)

// modelDB is the oracle: every commit's rows, and who wrote what last.
type modelDB struct {
	rows      map[int64]int64 // id → balance
	wrote     map[int64]int   // id → number of the commit
	commits   int
	anyWrite  int
	truncated int
}

// modelTx is a transaction on the oracle.
type modelTx struct {
	tx        *oltp.Tx
	began     int
	rows      map[int64]int64 // as the transaction sees them
	before    map[int64]bool  // there at the snapshot
	written   map[int64]bool
	truncated bool
}

func (m *modelDB) begin(tx *oltp.Tx) *modelTx {
	t := &modelTx{tx: tx, began: m.commits, rows: maps.Clone(m.rows), before: map[int64]bool{}, written: map[int64]bool{}}
	for id := range m.rows {
		t.before[id] = true
	}
	return t
}

// changed lists the rows that count as written.
func (t *modelTx) changed() (ids []int64) {
	for id := range t.written {
		if _, after := t.rows[id]; after || t.before[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// commit says whether the transaction may commit, and does it.
func (m *modelDB) commit(t *modelTx) bool {
	ids := t.changed()
	if len(ids) == 0 && !t.truncated {
		return true
	}
	if t.truncated && m.anyWrite > t.began || len(ids) > 0 && m.truncated > t.began {
		return false
	}
	for _, id := range ids {
		if m.wrote[id] > t.began {
			return false
		}
	}
	m.commits++
	m.anyWrite = m.commits
	if t.truncated {
		m.truncated, m.rows = m.commits, map[int64]int64{}
	}
	for _, id := range ids {
		m.wrote[id] = m.commits
		if b, ok := t.rows[id]; ok {
			m.rows[id] = b
		} else {
			delete(m.rows, id)
		}
	}
	return true
}

// step does one random operation on both and compares what they say.
func (t *modelTx) step(tt *testing.T, r *rand.Rand) string {
	id, balance := r.Int64N(12), r.Int64N(4)
	_, there := t.rows[id]
	want := func(err error, ok bool, otherwise schemas.Code) {
		tt.Helper()
		if ok {
			require.NoError(tt, err)
		} else {
			require.Equal(tt, otherwise, schemas.CodeOf(err))
		}
	}
	set := func(id, balance int64) { t.rows[id], t.written[id] = balance, true }
	remove := func(id int64) {
		delete(t.rows, id)
		t.written[id] = true
	}
	switch op := r.IntN(20); {
	case op < 4:
		want(t.tx.Insert("accounts", Account(id, balance, "")), !there, schemas.CodeConstraint)
		if !there {
			set(id, balance)
		}
		return fmt.Sprint("insert ", id)
	case op < 8:
		want(t.tx.Update("accounts", Account(id, balance, "")), there, schemas.CodeNotFound)
		if there {
			set(id, balance)
		}
		return fmt.Sprint("update ", id)
	case op < 10:
		require.NoError(tt, t.tx.Upsert("accounts", Account(id, balance, "")))
		set(id, balance)
		return fmt.Sprint("upsert ", id)
	case op < 13:
		want(t.tx.Delete("accounts", ID(id)), there, schemas.CodeNotFound)
		if there {
			remove(id)
		}
		return fmt.Sprint("delete ", id)
	case op < 15:
		to := r.Int64N(12)
		_, taken := t.rows[to]
		err := t.tx.UpdateKey("accounts", []schemas.Value{ID(id)}, Account(to, balance, ""))
		switch {
		case !there:
			require.ErrorIs(tt, err, oltp.ErrNotFound)
		case taken && to != id:
			require.Equal(tt, schemas.CodeConstraint, schemas.CodeOf(err))
		default:
			require.NoError(tt, err)
			remove(id)
			set(to, balance)
		}
		return fmt.Sprint("rekey ", id, " to ", to)
	case op < 16 && r.IntN(4) == 0:
		require.NoError(tt, t.tx.Truncate("accounts"))
		clear(t.rows)
		clear(t.before)
		clear(t.written)
		t.truncated = true
		return "truncate"
	}
	t.compare(tt, r)
	return "scan"
}

// compare reads everything both ways, and one row.
func (t *modelTx) compare(tt *testing.T, r *rand.Rand) {
	tt.Helper()
	ids := slices.Sorted(maps.Keys(t.rows))
	reverse := r.IntN(2) == 0
	if reverse {
		slices.Reverse(ids)
	}
	var got []int64
	for row, err := range t.tx.Scan("accounts", oltp.Range{Reverse: reverse}) {
		require.NoError(tt, err)
		got = append(got, row[0].Int())
		require.Equal(tt, t.rows[row[0].Int()], row[1].Int())
	}
	require.Equal(tt, ids, got)
	id := r.Int64N(12)
	row, err := t.tx.Get("accounts", ID(id))
	if balance, there := t.rows[id]; there {
		require.NoError(tt, err)
		require.Equal(tt, balance, row[1].Int())
	} else {
		require.ErrorIs(tt, err, oltp.ErrNotFound)
	}
}

// TestHistoriesEqualModel interleaves transactions at random: every read equals
// the oracle's, and exactly those commits fail that the oracle refuses.
func TestHistoriesEqualModel(t *testing.T) {
	seeds, steps := 40, 400
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		fsys := vfstest.NewMem()
		db := open(t, small(fsys))
		Create(t, db, Accounts())
		m := &modelDB{rows: map[int64]int64{}, wrote: map[int64]int{}}
		var running []*modelTx
		var history []string
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for range steps {
				switch i := r.IntN(8); {
				case len(running) < 2 || i == 0 && len(running) < 6:
					tx, err := db.Begin(ctx, oltp.TxOptions{})
					require.NoError(t, err)
					running = append(running, m.begin(tx))
				case i == 1:
					k := r.IntN(len(running))
					tx := running[k]
					running = slices.Delete(running, k, k+1)
					if r.IntN(6) == 0 {
						tx.tx.Rollback()
						continue
					}
					_, err := tx.tx.Commit()
					if m.commit(tx) {
						require.NoError(t, err)
					} else {
						require.Equal(t, schemas.CodeConflict, schemas.CodeOf(err))
					}
					history = append(history, fmt.Sprint("commit ", k, " ", err))
				case i == 2 && r.IntN(20) == 0:
					require.NoError(t, db.Checkpoint(ctx))
				case i == 3 && r.IntN(20) == 0:
					for _, tx := range running {
						tx.tx.Rollback()
					}
					running = nil
					require.NoError(t, db.Close())
					db = open(t, small(fsys))
				default:
					k := r.IntN(len(running))
					history = append(history, fmt.Sprint(k, ": ", running[k].step(t, r)))
				}
			}
			require.Len(t, DumpNow(t, db)["public.accounts"], len(m.rows))
		})
		if !ok {
			t.Log(history)
			return
		}
		require.NoError(t, db.Close())
	}
}

// TestBank moves money between accounts from many goroutines: every snapshot shows
// the same total, no increment is lost.
func TestBank(t *testing.T) {
	const accounts, workers, total = 20, 8, 20 * 1000
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	fsys := vfstest.NewMem()
	db := open(t, small(fsys))
	Create(t, db, Accounts())
	_, err := db.Update(ctx, func(tx *oltp.Tx) error {
		for i := range int64(accounts) {
			if err := tx.Insert("accounts", Account(i, 1000, "")); err != nil {
				return err
			}
		}
		return tx.Insert("accounts", Account(-1, 0, "counter"))
	})
	require.NoError(t, err)

	var done atomic.Bool
	var readers, writers sync.WaitGroup
	check := func(tx *oltp.Tx) error {
		sum := int64(0)
		for row, err := range tx.Scan("accounts", oltp.Range{From: []schemas.Value{ID(0)}}) {
			if err != nil {
				return err
			}
			sum += row[1].Int()
		}
		if sum != total {
			return fmt.Errorf("a snapshot at %s shows %d", tx.SnapshotLSN(), sum)
		}
		return nil
	}
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				if err := db.View(ctx, check); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	increments := atomic.Int64{}
	for w := range workers {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			for i := range rounds {
				var last schemas.LSN
				lsn, err := db.Update(ctx, func(tx *oltp.Tx) error {
					if i%10 == 0 {
						row, err := tx.Get("accounts", ID(-1))
						if err != nil {
							return err
						}
						return tx.Update("accounts", Account(-1, row[1].Int()+1, "counter"))
					}
					if err := check(tx); err != nil {
						return err
					}
					return transfer(tx, r.Int64N(accounts), r.Int64N(accounts), r.Int64N(10))
				})
				if err != nil || lsn < last {
					t.Error(err, lsn, last)
					return
				}
				last = lsn
				if i%10 == 0 {
					increments.Add(1)
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	require.NoError(t, db.View(ctx, func(tx *oltp.Tx) error {
		row, err := tx.Get("accounts", ID(-1))
		require.NoError(t, err)
		require.Equal(t, increments.Load(), row[1].Int(), "an increment was lost")
		return check(tx)
	}))
	want := DumpNow(t, db)
	require.NoError(t, db.Close())
	require.Empty(t, Diff(want, DumpNow(t, open(t, small(fsys)))))
}

func transfer(tx *oltp.Tx, from, to, amount int64) error {
	if from == to {
		return nil
	}
	a, err := tx.Get("accounts", ID(from))
	if err != nil {
		return err
	}
	b, err := tx.Get("accounts", ID(to))
	if err != nil {
		return err
	}
	return errors.Join(tx.Update("accounts", Account(from, a[1].Int()-amount, "")), tx.Update("accounts", Account(to, b[1].Int()+amount, "")))
}
