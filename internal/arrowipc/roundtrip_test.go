package arrowipc_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/arrowipc"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

func only(t *schemas.Table) arrowipc.Resolve {
	return func(name string, v uint32) (*schemas.Table, error) {
		if name != t.FullName() || v != t.Version {
			return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "table %s version %d", name, v)
		}
		return t, nil
	}
}

type tb interface {
	Helper()
	Fatalf(string, ...any)
}

// same compares two batches row by row.
func same(t tb, want, got *change.Batch) {
	t.Helper()
	if got.Len() != want.Len() || got.Table != want.Table {
		t.Fatalf("%d rows of %v, want %d", got.Len(), got.Table, want.Len())
	}
	for i := range want.Len() {
		if got.Ops[i] != want.Ops[i] || got.LSN[i] != want.LSN[i] || got.Ordinal[i] != want.Ordinal[i] {
			t.Fatalf("row %d: %v %v.%d, want %v %v.%d", i, got.Ops[i], got.LSN[i], got.Ordinal[i], want.Ops[i], want.LSN[i], want.Ordinal[i])
		}
		w, g := want.Row(i), got.Row(i)
		for c := range w {
			if g[c] != w[c] || got.IsAbsent(c, i) != want.IsAbsent(c, i) {
				t.Fatalf("row %d column %d (%v): %#v absent %v, want %#v absent %v", i, c, want.Table.Columns[c].Type,
					g[c], got.IsAbsent(c, i), w[c], want.IsAbsent(c, i))
			}
		}
	}
}

// Every value of every kind comes back as it was, and frames follow one another.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "prefix")
		out := arrowipc.AppendBatch(append([]byte(nil), prefix...), b)
		if !bytes.HasPrefix(out, prefix) {
			t.Fatalf("the prefix changed")
		}
		one := len(out)
		out = arrowipc.AppendBatch(out, b)
		first, rest, err := arrowipc.DecodeNext(out[len(prefix):], only(b.Table))
		if err != nil {
			t.Fatalf("%v", err)
		}
		same(t, b, first)
		if !bytes.Equal(rest, out[one:]) {
			t.Fatalf("%d bytes rest, want %d", len(rest), len(out)-one)
		}
		second, err := arrowipc.Decode(rest, only(b.Table))
		if err != nil {
			t.Fatalf("%v", err)
		}
		same(t, b, second)
		// What was decoded is encoded and appended to like what it came from.
		if again := arrowipc.AppendBatch(nil, first); !bytes.Equal(again, rest) {
			t.Fatalf("encoding what was decoded gives other bytes")
		}
		row := b.Table.Columns
		absent := vector.NewBitmap(len(row))
		first.Append(change.Update, math.MaxInt64, 1, make(schemas.Row, len(row)), absent)
		if first.Len() != b.Len()+1 {
			t.Fatalf("append after decode")
		}
	})
}

// Encoded vectors, wide decimals and constants come back flat with equal values.
func TestEncodings(t *testing.T) {
	tab := &schemas.Table{Schema: "s", Name: "t", Version: 3}
	add := func(k schemas.Kind) {
		tab.Columns = append(tab.Columns, schemas.Column{ID: uint32(len(tab.Columns)), Name: string(rune('a' + len(tab.Columns))), Type: schemas.Type{Kind: k}})
	}
	for _, k := range []schemas.Kind{schemas.Int64, schemas.Int64, schemas.Text, schemas.Numeric, schemas.Text, schemas.Float64, schemas.Numeric, schemas.Interval} {
		add(k)
	}
	const n = 100
	codes := vector.Codes{U8: make([]uint8, n)}
	wides := make([]vector.Int128, n)
	shown := make([]uint8, n)
	for i := range n {
		codes.U8[i] = uint8(i % 2)
		wides[i] = vector.Int128{Hi: int64(i - 50), Lo: uint64(i) * 977}
		shown[i] = uint8(i % 5)
	}
	nulls := vector.NewBitmap(n)
	nulls.Set(7)
	words := vector.New(schemas.Type{Kind: schemas.Text}, 2)
	words.AppendBytes([]byte("a rather long word, past inline"))
	words.AppendBytes([]byte("short"))
	text, num := schemas.Type{Kind: schemas.Text}, schemas.Type{Kind: schemas.Numeric}
	con := vector.New(text, 1)
	con.AppendBytes([]byte("constant"))
	con.Enc, con.Len = vector.Const, n
	none := vector.New(schemas.Type{Kind: schemas.Float64}, 1)
	none.AppendNull()
	none.Enc, none.Len = vector.Const, n
	span := vector.New(schemas.Type{Kind: schemas.Interval}, 1)
	span.Intervals = append(span.Intervals, vector.Interval{Months: 1, Days: -2, Micros: 3})
	span.Enc, span.Len = vector.Const, n
	b := &change.Batch{Table: tab, Ops: make([]change.Op, n), LSN: make([]schemas.LSN, n), Ordinal: make([]uint32, n), Absent: make([]vector.Bitmap, len(tab.Columns)),
		Cols: []*vector.Vector{
			{Type: tab.Columns[0].Type, Enc: vector.FOR, Len: n, Codes: codes, Base: 1 << 40, Nulls: nulls},
			{Type: tab.Columns[1].Type, Enc: vector.Dict, Len: n, Codes: codes, Dict: &vector.Vector{Type: tab.Columns[1].Type, Len: 2, Ints: []int64{-1, 70000}}},
			{Type: text, Enc: vector.Dict, Len: n, Codes: codes, Dict: words, Nulls: nulls},
			{Type: num, Len: n, Dec: vector.Dec128, Wide: wides, Scale: 4, DScale: shown, Nulls: nulls},
			con, none,
			{Type: num, Enc: vector.Const, Len: n, Dec: vector.Dec64, Ints: []int64{12500}, Scale: 4, DScale: []uint8{2}},
			span,
		}}
	for i := range n {
		b.Ops[i], b.LSN[i], b.Ordinal[i] = change.Update, schemas.LSN(1000+i), uint32(i)
	}
	got, err := arrowipc.Decode(arrowipc.AppendBatch(nil, b), only(tab))
	require.NoError(t, err)
	same(t, b, got)
}

// Another table, another version and another format are refused by name.
func TestRefusals(t *testing.T) {
	tab := &schemas.Table{Schema: "public", Name: "t", Version: 1, Columns: []schemas.Column{{ID: 1, Name: "a", Type: schemas.Type{Kind: schemas.Int32}}}}
	b := change.New(tab, 1)
	b.Append(change.Insert, 5, 0, schemas.Row{schemas.NewInt(schemas.Int32, 1)}, nil)
	data := arrowipc.AppendBatch(nil, b)
	newer := *tab
	newer.Version = 2
	_, err := arrowipc.Decode(data, only(&newer))
	require.Equal(t, schemas.CodeUnknownTable, schemas.CodeOf(err))
	wider := *tab
	wider.Columns = append(wider.Columns[:1:1], schemas.Column{ID: 2, Name: "b", Type: schemas.Type{Kind: schemas.Text}})
	_, err = arrowipc.Decode(data, only(&wider))
	require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err))
	other := bytes.Clone(data)
	other[2] = 9
	_, err = arrowipc.Decode(other, only(tab))
	require.ErrorContains(t, err, "format version 9")
	_, err = arrowipc.Decode(append(bytes.Clone(data), 0), only(tab))
	require.ErrorContains(t, err, "follow the batch")
}
