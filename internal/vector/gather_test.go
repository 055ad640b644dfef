package vector

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/schemas"
)

// Rows gathered from any encoding are the values that Value gives.
func TestAppendRows(t *testing.T) {
	codes := Codes{U8: []uint8{0, 1, 1, 0}}
	nulls := NewBitmap(4)
	nulls.Set(2)
	text := New(schemas.Type{Kind: schemas.Text}, 2)
	text.AppendBytes([]byte("short"))
	text.AppendBytes([]byte("a string that is not held inline"))
	num := New(schemas.Type{Kind: schemas.Numeric}, 4)
	num.AppendDecimal(15, 1)
	num.AppendDecimal(150, 2)
	num.AppendNull()
	num.AppendDecimal(-7, 0)
	long := New(schemas.Type{Kind: schemas.Numeric}, 4)
	for _, s := range []string{"NaN", "1.50", "123456789012345678901234567890", "-0.1"} {
		long.AppendDecimalText([]byte(s))
	}
	span := New(schemas.Type{Kind: schemas.Interval}, 4)
	for i := range 4 {
		span.AppendInterval(Interval{Months: int32(i), Days: -1, Micros: int64(i)})
	}
	texts := New(schemas.Type{Kind: schemas.Text}, 4)
	for _, s := range []string{"", "twelve bytes", "thirteen byte", "\x00"} {
		texts.AppendBytes([]byte(s))
	}
	for _, src := range []*Vector{
		{Type: schemas.Type{Kind: schemas.Int64}, Enc: FOR, Len: 4, Codes: codes, Base: 900, Nulls: nulls},
		{Type: schemas.Type{Kind: schemas.Text}, Enc: Dict, Len: 4, Codes: codes, Dict: text, Nulls: nulls},
		{Type: schemas.Type{Kind: schemas.Float64}, Enc: Const, Len: 4, Floats: []float64{2.5}},
		{Type: schemas.Type{Kind: schemas.Numeric}, Len: 4, Dec: Dec128, Scale: 2, Wide: []Int128{{0, 150}, {-1, 1<<64 - 1}, {}, {1, 0}}},
		{Type: schemas.Type{Kind: schemas.Int32}, Len: 4, Ints: []int64{4, 3, 2, 1}},
		{Type: schemas.Type{Kind: schemas.Float32}, Len: 4, Floats: []float64{4, 3, 2, 1}},
		{Type: schemas.Type{Kind: schemas.Numeric, Precision: 9, Scale: 2}, Len: 4, Scale: 2, Ints: []int64{400, 3, 20, 1}},
		{Type: schemas.Type{Kind: schemas.Numeric}, Len: 4, Scale: 3, Ints: []int64{400, 3, 20, 1}},
		num, long, span, texts,
	} {
		rows := []uint32{3, 0, 2, 1, 3}
		for _, before := range []func(dst *Vector){
			func(*Vector) {},
			func(dst *Vector) {
				for range 64 {
					dst.AppendNull()
				}
			},
			func(dst *Vector) { dst.AppendRows(src, []uint32{1}) },
			func(dst *Vector) { // another display scale
				if dst.Type.Kind == schemas.Numeric {
					dst.AppendDecimal(5, 1)
				}
			},
		} {
			dst := New(src.Type, 0)
			before(dst)
			first := dst.Len
			dst.AppendRows(src, rows)
			require.Equal(t, first+len(rows), dst.Len)
			for i, r := range rows {
				require.Equal(t, src.Value(int(r)), dst.Value(first+i), "%v row %d", src.Type, r)
			}
			dst.AppendNull()
			require.True(t, dst.Null(first+len(rows)))
		}
	}
}
