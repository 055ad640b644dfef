package columnstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// account is a table of balances; there are two of them, in two partitions.
func account(name string) *schemas.Table {
	return &schemas.Table{Schema: "public", Name: name, Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
		{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}, NotNull: true},
		{ID: 2, Name: "balance", Type: schemas.Type{Kind: schemas.Int64}}}}
}

// bank moves money between two tables, each loaded by its own worker.
type bank struct {
	st      *Store
	tables  [2]*schemas.Table
	leases  map[load.Partition]load.Lease
	balance [2][]int64
	seq     [2]uint64
	pseq    uint64
	epoch   uint64
	lsn     schemas.LSN
	rng     *rand.Rand
}

const (
	bankRows  = 500
	bankTotal = 2 * bankRows * 100
)

func newBank(t testing.TB, o Options) *bank {
	ctx := context.Background()
	st, err := Open(o)
	require.NoError(t, err)
	b := &bank{st: st, tables: [2]*schemas.Table{account("left"), account("right")}, leases: map[load.Partition]load.Lease{}, rng: rand.New(rand.NewPCG(5, 5))}
	p := load.Pipeline{Name: "bank", Version: "1", Source: "s"}
	for _, tb := range b.tables {
		p.Outputs = append(p.Outputs, load.Output{Table: tb, Source: tb.FullName()})
	}
	require.NoError(t, st.Register(ctx, p))
	g, err := st.Grant(ctx, load.Run{Pipeline: "bank", Source: "s", Incarnation: "i", Progress: "p", Partitions: map[string]int32{"p": 1, "t": 2}})
	require.NoError(t, err)
	b.epoch = g.Epoch
	b.acquire(t)
	b.progress(t, &load.Begin{Epoch: b.epoch}, nil)
	b.acquire(t)
	var batches [2]*change.Batch
	for i := range batches {
		batches[i] = change.New(b.tables[i], bankRows)
		b.balance[i] = make([]int64, bankRows)
		for id := range b.balance[i] {
			b.balance[i][id] = 100
			batches[i].Append(change.Insert, 1, uint32(id), schemas.Row{schemas.NewInt(schemas.Int64, int64(id)), schemas.NewInt(schemas.Int64, 100)}, nil)
		}
	}
	b.commit(t, batches)
	return b
}

func (b *bank) acquire(t testing.TB) {
	ls, err := b.st.Acquire(context.Background(), "bank", "w", 0)
	require.NoError(t, err)
	for _, l := range ls {
		b.leases[l.Partition] = l
	}
}

func (b *bank) progress(t testing.TB, begin *load.Begin, rec []load.Progress) {
	_, err := b.st.Load(context.Background(), &load.Load{Lease: b.leases[load.Partition{Topic: "p"}], Epoch: b.epoch, Version: "1", From: b.pseq, To: b.pseq + 1,
		Begin: begin, Progress: rec})
	require.NoError(t, err)
	b.pseq++
}

// commit loads both sides of a transaction at once and then its progress record.
func (b *bank) commit(t testing.TB, batches [2]*change.Batch) {
	from := b.lsn
	b.lsn++
	var wg sync.WaitGroup
	for i, batch := range batches {
		wg.Go(func() {
			_, err := b.st.Load(context.Background(), &load.Load{Lease: b.leases[load.Partition{Topic: "t", Index: int32(i)}], Epoch: b.epoch, Version: "1",
				From: b.seq[i], To: b.seq[i] + 1, Batches: []*change.Batch{batch}})
			if err != nil {
				t.Error(err)
			}
			b.seq[i]++
		})
	}
	wg.Wait()
	b.progress(t, nil, []load.Progress{{Epoch: b.epoch, From: from, To: b.lsn, CommitTime: int64(b.lsn), Needs: []load.Need{
		{Partition: load.Partition{Topic: "t", Index: 0}, Sequence: b.seq[0]}, {Partition: load.Partition{Topic: "t", Index: 1}, Sequence: b.seq[1]}}}})
}

// transfer moves money from one table to the other, many rows at once.
func (b *bank) transfer(t testing.TB) {
	var batches [2]*change.Batch
	for i := range batches {
		batches[i] = change.New(b.tables[i], 40)
	}
	for n := range 40 {
		side := b.rng.IntN(2)
		from, to, amount := b.rng.IntN(bankRows), b.rng.IntN(bankRows), b.rng.Int64N(20)
		b.balance[side][from] -= amount
		b.balance[1-side][to] += amount
		for i, id := range map[int]int{side: from, 1 - side: to} {
			batches[i].Append(change.Update, b.lsn+1, uint32(n), schemas.Row{schemas.NewInt(schemas.Int64, int64(id)), schemas.NewInt(schemas.Int64, b.balance[i][id])}, nil)
		}
	}
	b.commit(t, batches)
}

// audit reads both tables in one snapshot. Before the first transaction is visible
// there is nothing to audit.
func (b *bank) audit(t testing.TB, n *Snapshot) {
	if n.W() < 1 {
		return
	}
	var sum int64
	for _, tb := range b.tables {
		rows, err := scanAll(t, n, tb.Name)
		if err != nil {
			t.Errorf("W %d: %v", n.W(), err)
			return
		}
		if len(rows) != bankRows {
			t.Errorf("W %d: table %s has %d rows", n.W(), tb.Name, len(rows))
		}
		for _, r := range rows {
			sum += r[1].Int()
		}
	}
	if sum != bankTotal {
		t.Errorf("W %d, version %d: the sum is %d, not %d: half a transaction", n.W(), n.Version(), sum, bankTotal)
	}
}

// TestConcurrent audits the constant sum while loads, publishing, checkpoints and
// merges race (I3), with one snapshot held across all of it.
func TestConcurrent(t *testing.T) {
	o := Options{Dir: "/d", FS: vfstest.NewMem(), Clock: clock.System, MemoryBudget: 1 << 20, FlushBytes: 8 << 10, LogSegmentBytes: 64 << 10, LogBytes: 64 << 10,
		Compaction: table.Policy{SmallSegments: 2}}
	b := newBank(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rounds(t, 1500, 15000))*time.Millisecond)
	defer cancel()
	held, err := b.st.Snapshot(ctx, At{MinLSN: 1})
	require.NoError(t, err)
	var audits atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			last := uint64(0)
			for ctx.Err() == nil && !t.Failed() {
				n, err := b.st.Snapshot(context.Background(), At{})
				if err != nil {
					t.Error(err)
					return
				}
				if n.Version() < last {
					t.Errorf("version went back from %d to %d", last, n.Version())
				}
				last = n.Version()
				b.audit(t, n)
				n.Close()
				audits.Add(1)
			}
		})
	}
	for ctx.Err() == nil && !t.Failed() {
		b.transfer(t)
	}
	wg.Wait()
	b.audit(t, held)
	held.Close()
	n, err := b.st.Snapshot(context.Background(), At{MinLSN: b.lsn})
	require.NoError(t, err)
	b.audit(t, n)
	n.Close()
	require.NoError(t, b.st.Check(context.Background()))
	t.Logf("%d transactions, %d audits, %+v", b.lsn, audits.Load(), b.st.Stats())
	require.NoError(t, b.st.Close())
	st, err := Open(o)
	require.NoError(t, err)
	n, err = st.Snapshot(context.Background(), At{})
	require.NoError(t, err)
	require.Equal(t, b.lsn, n.W())
	b.audit(t, n)
	n.Close()
	require.NoError(t, st.Close())
}

// TestEarlyWIsCaught is the mutant that moves W before the changes are visible.
func TestEarlyWIsCaught(t *testing.T) {
	failures := vfstest.Try(t, func(t testing.TB) {
		o := Options{Dir: "/d", FS: vfstest.NewMem(), Manual: true}
		var b *bank
		var ready atomic.Pointer[bank]
		var seen sync.Map
		o.hooks = hooks{earlyW: true, between: func() {
			bk := ready.Load()
			if bk == nil {
				return
			}
			n, err := bk.st.Snapshot(context.Background(), At{})
			if err != nil {
				return
			}
			defer n.Close()
			rows, err := scanAll(t, n, "left")
			if err == nil {
				seen.Store(n.W(), fmt.Sprint(lines(rows)))
			}
		}}
		b = newBank(t, o)
		defer b.st.Close()
		ready.Store(b)
		b.transfer(t)
		n, err := b.st.Snapshot(context.Background(), At{MinLSN: b.lsn})
		if err != nil {
			t.Fatal(err)
		}
		n.Close()
		// The early version may satisfy the wait: let the true one come.
		for range 1000 {
			if b.st.Stats().StagedLoads == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		b.st.write.Lock() // its loads are let go just before it is visible
		n, err = b.st.Snapshot(context.Background(), At{})
		b.st.write.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		rows, err := scanAll(t, n, "left")
		if err != nil {
			t.Fatal(err)
		}
		if early, ok := seen.Load(n.W()); ok && early != fmt.Sprint(lines(rows)) {
			t.Errorf("two answers at W %d differ", n.W())
		}
	})
	require.NotEmpty(t, failures)
}
