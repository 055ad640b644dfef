package stream

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

func gathererOf(o Options, tables ...*schemas.Table) *gatherer {
	o = o.withDefaults()
	o.Pipeline = "p"
	return newGatherer(o, newCaptureMetrics(nil, "p"), tables)
}

func numbered(key ...uint32) *schemas.Table {
	return &schemas.Table{Schema: "public", Name: "n", Version: 1, Key: key, Columns: []schemas.Column{
		{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}}, {ID: 2, Name: "v", Type: schemas.Type{Kind: schemas.Text}}}}
}

func row(id int64, v string) schemas.Row {
	return schemas.Row{schemas.NewInt(schemas.Int64, id), schemas.NewText(v)}
}

// Rows of a key keep to one partition and to their order, an old image stays with
// its update, and large batches become many messages.
func TestRouting(t *testing.T) {
	tab := numbered(1)
	g := gathererOf(Options{BatchBytes: 2000}, tab)
	ctx := context.Background()
	b := change.New(tab, 0)
	for i := range 3000 {
		id, lsn := int64(i%50), schemas.LSN(100+i)
		b.Append(change.Before, lsn, 0, row(id, "old"), nil)
		b.Append(change.Update, lsn, 0, row(id, "new value"), nil)
	}
	require.NoError(t, g.Changes(ctx, b))
	b.Reset() // it was only lent
	home, last, rows := map[int64]int{}, map[int64]schemas.LSN{}, 0
	taken := g.take()
	require.Greater(t, len(taken.parts), 1)
	for p := range taken.parts {
		require.Greater(t, len(taken.rows[p]), 1)
		for _, batch := range taken.rows[p] {
			rows += batch.Len()
			require.Less(t, batch.Bytes(), int64(8000))
			for i := range batch.Len() {
				id := batch.Cols[0].Int(i)
				if at, ok := home[id]; ok {
					require.Equal(t, at, p)
				}
				home[id] = p
				require.GreaterOrEqual(t, batch.LSN[i], last[id])
				last[id] = batch.LSN[i]
				if batch.Ops[i] == change.Before {
					require.Less(t, i+1, batch.Len(), "an old image ends a message")
					require.Equal(t, change.Update, batch.Ops[i+1])
					require.Equal(t, batch.LSN[i], batch.LSN[i+1])
				}
			}
		}
	}
	require.Equal(t, 6000, rows)
	require.Len(t, home, 50)
}

// The old key of a moved row goes where the row goes, and stands right before it.
func TestAnOldKeyTravelsWithItsRow(t *testing.T) {
	tab := numbered(1)
	g := gathererOf(Options{BatchBytes: 2000}, tab)
	b := change.New(tab, 0)
	for i := range 1000 {
		lsn, absent := schemas.LSN(100+i), vector.Bitmap{0b10}
		b.Append(change.Delete, lsn, 0, row(int64(i), ""), absent)
		b.Append(change.Before, lsn, 1, row(int64(i), ""), absent)
		b.Append(change.Insert, lsn, 1, row(int64(i+5000), ""), absent)
	}
	require.NoError(t, g.Changes(context.Background(), b))
	taken, moved, homes := g.take(), 0, map[int]bool{}
	for p := range taken.parts {
		for _, batch := range taken.rows[p] {
			for i := range batch.Len() {
				if batch.Ops[i] == change.Insert {
					require.True(t, batch.Moved(i), "the insert at %v came without its old key", batch.LSN[i])
					require.Equal(t, batch.Cols[0].Int(i)-5000, batch.Cols[0].Int(i-1))
					moved, homes[p] = moved+1, true
				}
			}
		}
	}
	require.Equal(t, 1000, moved)
	require.Greater(t, len(homes), 1)
}

// Keys that are equal but not the same text go to the same partition.
func TestEqualKeysHashAlike(t *testing.T) {
	type pair struct{ a, b schemas.Value }
	num := schemas.NewNumeric
	for _, p := range []pair{
		{num(10, 1), num(100, 2)}, {num(0, 0), num(0, 5)}, {num(5, 0), num(5000, 3)},
		{schemas.NewNumericText("123456789012345678901234567890.50"), schemas.NewNumericText("123456789012345678901234567890.5")},
		{schemas.NewFloat(schemas.Float64, 0), schemas.NewFloat(schemas.Float64, math.Copysign(0, -1))},
		{schemas.NewFloat(schemas.Float64, math.NaN()), schemas.NewFloat(schemas.Float64, math.Float64frombits(0x7FF8000000000002))},
		{schemas.NewBytes(schemas.Char, "ab"), schemas.NewBytes(schemas.Char, "ab  ")},
		{schemas.NewInterval(0, 1, 0), schemas.NewInterval(0, 0, 86_400_000_000)},
	} {
		tab := &schemas.Table{Schema: "s", Name: "t", Key: []uint32{1}, Columns: []schemas.Column{{ID: 1, Name: "k", Type: schemas.Type{Kind: p.a.Kind()}}}}
		b := change.New(tab, 2)
		b.Append(change.Insert, 1, 0, schemas.Row{p.a}, nil)
		one := change.New(tab, 2)
		one.Append(change.Insert, 1, 0, schemas.Row{p.b}, nil)
		r, s := route{keys: []int{0}}, route{keys: []int{0}}
		r.hash(b)
		s.hash(one)
		require.Equal(t, r.hashes, s.hashes, "%#v %#v", p.a, p.b)
	}
}

// Rows without a key spread over the partitions.
func TestKeylessSpread(t *testing.T) {
	tab := numbered()
	g := gathererOf(Options{Partitions: 4}, tab)
	b := change.New(tab, 0)
	for i := range 400 {
		b.Append(change.Insert, schemas.LSN(100+80*i), 0, row(1, "same"), nil)
	}
	require.NoError(t, g.Changes(context.Background(), b))
	taken := g.take()
	require.Len(t, taken.parts, 4)
	for _, rows := range taken.rows {
		require.Greater(t, rows[0].Len(), 50)
	}
}

// A source that is faster than the broker waits, and goes on when there is room.
func TestBackPressure(t *testing.T) {
	tab := numbered(1)
	g := gathererOf(Options{BufferBytes: 10_000}, tab)
	b := change.New(tab, 0)
	for i := range 100 {
		b.Append(change.Insert, schemas.LSN(100+i), 0, row(int64(i), "a value that takes some room here"), nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = g.Changes(ctx, b)
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, n, 5)
	done := make(chan error, 1)
	go func() { done <- g.Changes(context.Background(), b) }()
	<-g.urgent
	taken := g.take()
	g.recycle(taken)
	g.release(taken.bytes)
	require.NoError(t, <-done)
}

// Points that come together become one, with the time of the oldest and all
// barriers; chunks of different snapshot tables stay apart.
func TestMarks(t *testing.T) {
	at := time.Unix(1, 0)
	m := addMark(nil, mark{to: 5, at: at, barriers: []load.Barrier{{LSN: 4}}})
	m = addMark(m, mark{to: 9, commitTime: 3, at: at.Add(1), barriers: []load.Barrier{{LSN: 8}}})
	require.Equal(t, []mark{{to: 9, commitTime: 3, at: at, barriers: []load.Barrier{{LSN: 4}, {LSN: 8}}}}, m)
	m = addMark(nil, mark{snapshot: &load.Snapshot{Table: "a", RowsDone: 1}})
	m = addMark(m, mark{snapshot: &load.Snapshot{Table: "a", RowsDone: 2}})
	m = addMark(m, mark{snapshot: &load.Snapshot{Table: "b", RowsDone: 3}})
	m = addMark(m, mark{to: 7})
	require.Len(t, m, 3)
	require.EqualValues(t, 2, m[0].snapshot.RowsDone)
}

// Topic names keep different tables apart and fit what Kafka allows.
func TestTopicNames(t *testing.T) {
	require.Equal(t, "shop.public.orders", TableTopic("shop", &schemas.Table{Schema: "public", Name: "orders"}))
	require.Equal(t, "shop.progress", ProgressTopic("shop"))
	seen := map[string]bool{}
	for _, n := range [][3]string{{"a", "b.c", "d"}, {"a", "b", "c.d"}, {"a.b", "c", "d"}, {"a", "b-2ec", "d"}, {"ä", "ö ", "漢"}, {"a", "b", strings.Repeat("x", 300)}, {"a", "b", strings.Repeat("x", 301)}} {
		name := TableTopic(n[0], &schemas.Table{Schema: n[1], Name: n[2]})
		require.False(t, seen[name], name)
		require.LessOrEqual(t, len(name), 249)
		require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name)
		seen[name] = true
	}
}

func TestOptionsNameEveryMistake(t *testing.T) {
	err := (&Options{Partitions: -1, MaxMessageBytes: 5, Linger: time.Hour}).Validate()
	for _, part := range []string{"names", "partitions", "largest message", "linger"} {
		require.ErrorContains(t, err, part)
	}
	_, err = NewConsumer(ConsumerOptions{Brokers: []string{"nowhere"}})
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
}
