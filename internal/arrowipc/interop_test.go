package arrowipc_test

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/arrowipc"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// The Arrow message inside a frame is one that Arrow's own reader reads.
func TestArrowReadsTheMessage(t *testing.T) {
	tab := &schemas.Table{Schema: "public", Name: "mix", Version: 1, Columns: []schemas.Column{
		{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}},
		{ID: 2, Name: "price", Type: schemas.Type{Kind: schemas.Numeric}},
		{ID: 3, Name: "note", Type: schemas.Type{Kind: schemas.Text}},
		{ID: 4, Name: "rate", Type: schemas.Type{Kind: schemas.Float64}},
		{ID: 5, Name: "span", Type: schemas.Type{Kind: schemas.Interval}},
	}}
	b := change.New(tab, 3)
	absent := vector.NewBitmap(5)
	absent.Set(2)
	b.Append(change.Insert, 1000, 0, schemas.Row{schemas.NewInt(schemas.Int64, 70000), schemas.NewNumeric(15, 1), schemas.NewText("hello"), schemas.NewFloat(schemas.Float64, 0.1), schemas.NewInterval(1, 2, 3)}, nil)
	b.Append(change.Update, 1300, 0, schemas.Row{schemas.NewInt(schemas.Int64, -3), schemas.NewNumeric(150, 2), schemas.Null, schemas.Null, schemas.Null}, absent)
	b.Append(change.Delete, 1300, 1, schemas.Row{schemas.NewInt(schemas.Int64, 5), schemas.Null, schemas.NewText("a longer text than a view holds"), schemas.NewFloat(schemas.Float64, 2), schemas.NewInterval(0, 0, -1)}, nil)
	frame := arrowipc.AppendBatch(nil, b)
	message := frame[bytes.Index(frame, []byte{0xFF, 0xFF, 0xFF, 0xFF}):]

	schema := arrow.NewSchema([]arrow.Field{
		{Name: "op", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "lsn", Type: arrow.PrimitiveTypes.Uint16},
		{Name: "ordinal", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "id", Type: arrow.PrimitiveTypes.Int32, Nullable: true},
		{Name: "price", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		{Name: "price.display", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "note", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "note.absent", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "rate", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "span", Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}, Nullable: true},
	}, nil)
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	require.NoError(t, w.Close())
	head := stream.Bytes()[:stream.Len()-8] // without the end of stream
	r, err := ipc.NewReader(bytes.NewReader(append(head, message...)))
	require.NoError(t, err)
	require.True(t, r.Next(), "%v", r.Err())
	rec := r.Record()
	require.EqualValues(t, 3, rec.NumRows())
	require.Equal(t, []uint8{1, 2, 3}, rec.Column(0).(*array.Uint8).Uint8Values())
	require.Equal(t, []uint16{0, 300, 300}, rec.Column(1).(*array.Uint16).Uint16Values())
	require.Equal(t, []int32{70000, -3, 5}, rec.Column(3).(*array.Int32).Int32Values())
	require.Equal(t, []int16{150, 150, 0}, rec.Column(4).(*array.Int16).Int16Values())
	require.True(t, rec.Column(4).IsNull(2))
	require.Equal(t, "hello", string(rec.Column(6).(*array.Binary).Value(0)))
	require.True(t, rec.Column(6).IsNull(1))
	require.Equal(t, "a longer text than a view holds", string(rec.Column(6).(*array.Binary).Value(2)))
	require.False(t, rec.Column(7).(*array.Boolean).Value(0))
	require.True(t, rec.Column(7).(*array.Boolean).Value(1))
	require.Equal(t, 0.1, rec.Column(8).(*array.Float64).Value(0))
	require.EqualValues(t, 1, rec.Column(9).(*array.FixedSizeBinary).Value(0)[0])
}

// orders is what a message of the demo looks like.
func orders(rows int) *change.Batch {
	tab := &schemas.Table{Schema: "public", Name: "orders", Version: 1, Key: []uint32{1}}
	for i, k := range []schemas.Kind{schemas.Int64, schemas.Int64, schemas.Text, schemas.Numeric, schemas.TimestampTZ, schemas.Int32, schemas.Text, schemas.Bool} {
		tab.Columns = append(tab.Columns, schemas.Column{ID: uint32(i + 1), Name: string(rune('a' + i)), Type: schemas.Type{Kind: k}})
	}
	b := change.New(tab, rows)
	for i := range rows {
		b.Append(change.Insert, schemas.LSN(1<<33+i*120), uint32(i%5), schemas.Row{
			schemas.NewInt(schemas.Int64, int64(100000+i)), schemas.NewInt(schemas.Int64, int64(i*7%5000)), schemas.NewText("pending"),
			schemas.NewNumeric(int64(i*137), 2), schemas.NewInt(schemas.TimestampTZ, 1_790_000_000_000_000+int64(i)), schemas.NewInt(schemas.Int32, 3),
			schemas.NewText("leave it at the side door, please"), schemas.NewBool(i%2 == 0)}, nil)
	}
	return b
}

func benchmarkEncode(b *testing.B, rows int) {
	batch := orders(rows)
	buf := arrowipc.AppendBatch(nil, batch)
	b.ReportAllocs()
	for b.Loop() {
		buf = arrowipc.AppendBatch(buf[:0], batch)
	}
	b.ReportMetric(float64(len(buf))/float64(rows), "bytes/row")
}

func benchmarkDecode(b *testing.B, rows int) {
	batch := orders(rows)
	buf := arrowipc.AppendBatch(nil, batch)
	resolve := only(batch.Table)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := arrowipc.Decode(buf, resolve); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode2(b *testing.B)   { benchmarkEncode(b, 2) }
func BenchmarkEncode200(b *testing.B) { benchmarkEncode(b, 200) }
func BenchmarkDecode2(b *testing.B)   { benchmarkDecode(b, 2) }
func BenchmarkDecode200(b *testing.B) { benchmarkDecode(b, 200) }

// BenchmarkArrowLibrary2 is the same batch through Arrow's own writer and reader,
// with the schema, as each Kafka message would carry it.
func BenchmarkArrowLibrary2(b *testing.B) {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "op", Type: arrow.PrimitiveTypes.Uint8}, {Name: "lsn", Type: arrow.PrimitiveTypes.Uint64}, {Name: "ordinal", Type: arrow.PrimitiveTypes.Uint32},
		{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.PrimitiveTypes.Int64}, {Name: "c", Type: arrow.BinaryTypes.Binary},
		{Name: "d", Type: arrow.PrimitiveTypes.Int64}, {Name: "e", Type: arrow.PrimitiveTypes.Int64}, {Name: "f", Type: arrow.PrimitiveTypes.Int32},
		{Name: "g", Type: arrow.BinaryTypes.Binary}, {Name: "h", Type: arrow.PrimitiveTypes.Int8},
	}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range 2 {
		rb.Field(0).(*array.Uint8Builder).Append(1)
		rb.Field(1).(*array.Uint64Builder).Append(uint64(i))
		rb.Field(2).(*array.Uint32Builder).Append(uint32(i))
		for _, f := range []int{3, 4, 6, 7} {
			rb.Field(f).(*array.Int64Builder).Append(int64(i))
		}
		rb.Field(5).(*array.BinaryBuilder).AppendString("pending")
		rb.Field(8).(*array.Int32Builder).Append(3)
		rb.Field(9).(*array.BinaryBuilder).AppendString("leave it at the side door, please")
		rb.Field(10).(*array.Int8Builder).Append(1)
	}
	rec := rb.NewRecord()
	var buf bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		w := ipc.NewWriter(&buf, ipc.WithSchema(schema))
		if err := w.Write(rec); err != nil {
			b.Fatal(err)
		}
		_ = w.Close()
		r, err := ipc.NewReader(bytes.NewReader(buf.Bytes()))
		if err != nil || !r.Next() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(buf.Len())/2, "bytes/row")
}
