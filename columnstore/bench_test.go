package columnstore

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

var orders = &schemas.Table{Schema: "public", Name: "orders", Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
	{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}, NotNull: true},
	{ID: 2, Name: "customer", Type: schemas.Type{Kind: schemas.Int32}},
	{ID: 3, Name: "status", Type: schemas.Type{Kind: schemas.Text}},
	{ID: 4, Name: "amount", Type: schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}},
	{ID: 5, Name: "at", Type: schemas.Type{Kind: schemas.TimestampTZ}},
	{ID: 6, Name: "note", Type: schemas.Type{Kind: schemas.Text}},
	{ID: 7, Name: "day", Type: schemas.Type{Kind: schemas.Date}},
	{ID: 8, Name: "qty", Type: schemas.Type{Kind: schemas.Int16}}}}

// feed loads orders through one data partition and the progress partition.
type feed struct {
	st         *Store
	data, prog load.Lease
	seq, pseq  uint64
	lsn        schemas.LSN
	rng        *rand.Rand
	keys       int64
	batch      *change.Batch
}

func newFeed(t testing.TB, o Options) *feed {
	ctx := context.Background()
	st, err := Open(o)
	require.NoError(t, err)
	require.NoError(t, st.Register(ctx, load.Pipeline{Name: "p", Version: "1", Source: "s", Outputs: []load.Output{{Table: orders, Source: "public.orders"}}}))
	g, err := st.Grant(ctx, load.Run{Pipeline: "p", Source: "s", Incarnation: "i", Progress: "p", Partitions: map[string]int32{"p": 1, "t": 1}})
	require.NoError(t, err)
	f := &feed{st: st, rng: rand.New(rand.NewPCG(1, 1)), batch: change.New(orders, 1024)}
	ls, err := st.Acquire(ctx, "p", "w", 0)
	require.NoError(t, err)
	f.prog = ls[0]
	_, err = st.Load(ctx, &load.Load{Lease: f.prog, Epoch: g.Epoch, Version: "1", From: 0, To: 1, Begin: &load.Begin{Epoch: g.Epoch}})
	require.NoError(t, err)
	f.pseq = 1
	ls, err = st.Acquire(ctx, "p", "w", 0)
	require.NoError(t, err)
	for _, l := range ls {
		if l.Partition.Topic == "t" {
			f.data = l
		}
	}
	return f
}

// fill makes a batch of n rows: updates of random keys below f.keys, or inserts.
func (f *feed) fill(n int, update bool) {
	f.batch.Reset()
	statuses := []string{"new", "paid", "shipped", "returned"}
	note := []byte("a note of about forty bytes, number 00000")
	f.lsn++
	for i := range n {
		op, id := change.Insert, f.keys
		if update {
			op, id = change.Update, f.rng.Int64N(f.keys)
		} else {
			f.keys++
		}
		b := f.batch
		b.Ops, b.LSN, b.Ordinal = append(b.Ops, op), append(b.LSN, f.lsn), append(b.Ordinal, uint32(i))
		r := f.rng.Uint64()
		b.Cols[0].AppendInt(id)
		b.Cols[1].AppendInt(int64(r % 50_000))
		b.Cols[2].AppendBytes([]byte(statuses[r>>20%4]))
		b.Cols[3].AppendDecimal(int64(r>>24%1_000_000), 2)
		b.Cols[4].AppendInt(1_700_000_000_000_000 + id*1000)
		note[len(note)-1] = '0' + byte(r>>40%10)
		b.Cols[5].AppendBytes(note)
		b.Cols[6].AppendInt(int64(19_000 + r>>44%700))
		b.Cols[7].AppendInt(int64(r >> 54 % 100))
	}
}

func (f *feed) send(t testing.TB) {
	ctx := context.Background()
	_, err := f.st.Load(ctx, &load.Load{Lease: f.data, Epoch: f.data.Epoch, Version: "1", From: f.seq, To: f.seq + 1, Batches: []*change.Batch{f.batch}})
	require.NoError(t, err)
	f.seq++
}

func (f *feed) progress(t testing.TB, from schemas.LSN) {
	_, err := f.st.Load(context.Background(), &load.Load{Lease: f.prog, Epoch: f.data.Epoch, Version: "1", From: f.pseq, To: f.pseq + 1, Progress: []load.Progress{{
		Epoch: f.data.Epoch, From: from, To: f.lsn, CommitTime: int64(f.lsn), Needs: []load.Need{{Partition: f.data.Partition, Sequence: f.seq}}}}})
	require.NoError(t, err)
	f.pseq++
}

func (f *feed) wait(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	n, err := f.st.Snapshot(ctx, At{MinLSN: f.lsn})
	require.NoError(t, err)
	n.Close()
}

func (f *feed) grow(t testing.TB, rows, per int) {
	for f.keys < int64(rows) {
		from := f.lsn
		for range 10 {
			f.fill(per, false)
			f.send(t)
		}
		f.progress(t, from)
	}
	f.wait(t)
}

// BenchmarkIngest publishes batches of 200 updates over a million keys, one
// progress record per 10.
func BenchmarkIngest(b *testing.B) {
	f := newFeed(b, Options{Dir: b.TempDir()})
	defer f.st.Close()
	f.grow(b, 1_000_000, 5000)
	runtime.GC()
	b.ResetTimer()
	n := 0
	for range b.N {
		from := f.lsn
		for range 10 {
			f.fill(200, true)
			f.send(b)
			n += 200
		}
		f.progress(b, from)
	}
	f.wait(b)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
	b.StopTimer()
	b.Logf("%+v", f.st.Stats())
}

// BenchmarkScan reads two columns of five million rows, a twentieth updated, and
// sums what a filter passes.
func BenchmarkScan(b *testing.B) {
	f := newFeed(b, Options{Dir: b.TempDir()})
	defer f.st.Close()
	f.grow(b, 5_000_000, 20_000)
	for range 10 {
		from := f.lsn
		f.fill(25_000, true)
		f.send(b)
		f.progress(b, from)
	}
	f.wait(b)
	require.NoError(b, f.st.Flush(context.Background()))
	b.Logf("%+v", f.st.Stats())
	b.ResetTimer()
	for range b.N {
		n, err := f.st.Snapshot(context.Background(), At{})
		require.NoError(b, err)
		t, err := n.Table("", "orders")
		require.NoError(b, err)
		sc, err := t.Scan([]int{3, 7}, nil)
		require.NoError(b, err)
		var dst catalog.Chunk
		var sum, rows int64
		for i := range sc.Morsels() {
			require.NoError(b, sc.Morsel(context.Background(), i, &dst))
			amount, qty := dst.Columns[0], dst.Columns[1]
			if amount.Enc == vector.FOR && amount.Codes.U32 != nil && qty.Enc == vector.FOR && qty.Codes.U8 != nil {
				for r, q := range qty.Codes.U8 {
					if q < 50 && (dst.Visible == nil || dst.Visible.Get(r)) {
						sum += amount.Base + int64(amount.Codes.U32[r])
						rows++
					}
				}
				continue
			}
			for r := range dst.Rows {
				if qty.Int(r) < 50 && (dst.Visible == nil || dst.Visible.Get(r)) {
					sum += amount.Int(r)
					rows++
				}
			}
		}
		sc.Close()
		n.Close()
		require.NotZero(b, sum)
	}
}
