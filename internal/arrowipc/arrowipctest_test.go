package arrowipc_test

import (
	"math"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

var allTypes = []schemas.Type{
	{Kind: schemas.Bool}, {Kind: schemas.Int16}, {Kind: schemas.Int32}, {Kind: schemas.Int64},
	{Kind: schemas.Float32}, {Kind: schemas.Float64}, {Kind: schemas.Numeric},
	{Kind: schemas.Numeric, Precision: 12, Scale: 2}, {Kind: schemas.Text}, {Kind: schemas.Varchar, Length: 20},
	{Kind: schemas.Char, Length: 3}, {Kind: schemas.Bytea}, {Kind: schemas.Date}, {Kind: schemas.Time},
	{Kind: schemas.Timestamp}, {Kind: schemas.TimestampTZ}, {Kind: schemas.Interval}, {Kind: schemas.UUID},
	{Kind: schemas.JSONB},
}

// drawTable draws a table of 1..8 columns of any type.
func drawTable(t *rapid.T) *schemas.Table {
	tab := &schemas.Table{Schema: "public", Name: rapid.StringN(1, 10, 40).Draw(t, "table"), Version: rapid.Uint32().Draw(t, "version")}
	for i := range rapid.IntRange(1, 8).Draw(t, "columns") {
		tab.Columns = append(tab.Columns, schemas.Column{ID: uint32(i + 1), Name: string(rune('a' + i)),
			Type: rapid.SampledFrom(allTypes).Draw(t, "type")})
	}
	return tab
}

// drawValue draws a value of a type, edges included.
func drawValue(t *rapid.T, ty schemas.Type) schemas.Value {
	if rapid.IntRange(0, 5).Draw(t, "null") == 0 {
		return schemas.Null
	}
	switch ty.Kind.Layout() {
	case schemas.LayoutInt:
		return schemas.NewInt(ty.Kind, rapid.OneOf(rapid.Int64(), rapid.Int64Range(-200, 200), rapid.Int64Range(math.MinInt32, math.MaxInt32),
			rapid.SampledFrom([]int64{schemas.InfinityTime, schemas.NegInfinityTime, 127, 128, -128, -129})).Draw(t, "int"))
	case schemas.LayoutFloat:
		return schemas.NewFloat(ty.Kind, rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1.5})).Draw(t, "float"))
	case schemas.LayoutInterval:
		return schemas.NewInterval(rapid.Int32().Draw(t, "months"), rapid.Int32().Draw(t, "days"), rapid.Int64().Draw(t, "micros"))
	case schemas.LayoutDecimal:
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			return schemas.NewNumericText(rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity", "123456789012345678901234567890.5"}).Draw(t, "text"))
		}
		return schemas.NewNumeric(rapid.Int64Range(-999_999_999_999_999_999, 999_999_999_999_999_999).Draw(t, "coef"), rapid.IntRange(0, 12).Draw(t, "scale"))
	}
	return schemas.NewBytes(ty.Kind, string(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")))
}

// drawBatch draws a batch of 0..150 changes.
func drawBatch(t *rapid.T) *change.Batch {
	b := change.New(drawTable(t), 4)
	lsn := schemas.LSN(rapid.OneOf(rapid.Uint64Range(0, 1<<62), rapid.Just[uint64](0)).Draw(t, "lsn"))
	step := rapid.SampledFrom([]uint64{1, 300, 1 << 20, 1 << 40}).Draw(t, "step")
	values := rapid.IntRange(0, 1).Draw(t, "simple") == 1
	for range rapid.IntRange(0, 150).Draw(t, "rows") {
		row := make(schemas.Row, len(b.Table.Columns))
		absent := vector.NewBitmap(len(row))
		for c := range row {
			if rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
				absent.Set(c)
			} else if values || len(b.Ops) < 40 {
				row[c] = drawValue(t, b.Table.Columns[c].Type)
			}
		}
		b.Append(change.Op(rapid.IntRange(1, 4).Draw(t, "op")), lsn, rapid.Uint32Range(0, 70000).Draw(t, "ordinal"), row, absent)
		lsn += schemas.LSN(rapid.Uint64Range(0, step).Draw(t, "delta"))
	}
	return b
}
