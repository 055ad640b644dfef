package segments

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/millrace/millrace/schemas"
)

func column(id uint32, name string, t schemas.Type) schemas.Column {
	return schemas.Column{ID: id, Name: name, Type: t}
}

func kind(k schemas.Kind) schemas.Type { return schemas.Type{Kind: k} }

func numeric(precision, scale int16) schemas.Type {
	return schemas.Type{Kind: schemas.Numeric, Precision: precision, Scale: scale}
}

// wideColumn is a column with values of every sort that its type has, and DuckDB's
// name of the type it must have there.
type wideColumn struct {
	schemas.Column
	duck   string
	values []schemas.Value
}

// wideColumns has every kind. Every row takes a value of each at random, so that
// segments hold all of them; the numerics differ in what a file can hold them as.
func wideColumns() []wideColumn {
	ints := func(k schemas.Kind, n ...int64) (out []schemas.Value) {
		for _, x := range n {
			out = append(out, schemas.NewInt(k, x))
		}
		return out
	}
	floats := func(k schemas.Kind, f ...float64) (out []schemas.Value) {
		for _, x := range f {
			out = append(out, schemas.NewFloat(k, x))
		}
		return out
	}
	bytes := func(k schemas.Kind, s ...string) (out []schemas.Value) {
		for _, x := range s {
			out = append(out, schemas.NewBytes(k, x))
		}
		return out
	}
	times := []int64{0, 1, -1, 999_999, -62_135_596_800_000_000, 1_700_000_000_123_456, 253_402_300_799_999_999, -210_000_000_000_000_000,
		9_000_000_000_000_000_000, schemas.InfinityTime, schemas.NegInfinityTime}
	return []wideColumn{
		{column(2, "b", kind(schemas.Bool)), "BOOLEAN", ints(schemas.Bool, 0, 1)},
		{column(3, "i2", kind(schemas.Int16)), "SMALLINT", ints(schemas.Int16, 0, -1, math.MaxInt16, math.MinInt16)},
		{column(4, "i4", kind(schemas.Int32)), "INTEGER", ints(schemas.Int32, 0, -1, math.MaxInt32, math.MinInt32)},
		{column(5, "i8", kind(schemas.Int64)), "BIGINT", ints(schemas.Int64, 0, -1, math.MaxInt64, math.MinInt64)},
		{column(6, "f4", kind(schemas.Float32)), "FLOAT", floats(schemas.Float32, 0, math.Copysign(0, -1), 0.1, 1e20, math.SmallestNonzeroFloat32,
			math.MaxFloat32, math.NaN(), math.Inf(1), math.Inf(-1))},
		{column(7, "f8", kind(schemas.Float64)), "DOUBLE", floats(schemas.Float64, 0, math.Copysign(0, -1), 0.1, 1e300, math.SmallestNonzeroFloat64,
			math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1))},
		{column(8, "money", numeric(12, 2)), "DECIMAL(12,2)", []schemas.Value{schemas.NewNumeric(0, 2), schemas.NewNumeric(-1, 2),
			schemas.NewNumeric(999_999_999_999, 2), schemas.NewNumeric(150, 2)}},
		{column(9, "narrow", kind(schemas.Numeric)), "DECIMAL(18,4)", []schemas.Value{schemas.NewNumeric(15_000, 4), schemas.NewNumeric(-7, 4), schemas.NewNumeric(0, 4)}},
		{column(10, "scales", kind(schemas.Numeric)), "VARCHAR", []schemas.Value{schemas.NewNumeric(15, 1), schemas.NewNumeric(1500, 3), schemas.NewNumeric(-2, 0)}},
		{column(11, "special", numeric(20, 5)), "VARCHAR", []schemas.Value{schemas.NewNumericText("NaN"), schemas.NewNumeric(100_000, 5)}},
		{column(12, "huge", kind(schemas.Numeric)), "VARCHAR", []schemas.Value{schemas.NewNumericText(strings.Repeat("9", 60) + ".10"),
			schemas.NewNumericText("-" + strings.Repeat("8", 31)), schemas.NewNumericText("Infinity"), schemas.NewNumericText("-Infinity"), schemas.NewNumeric(1, 0)}},
		{column(13, "t", kind(schemas.Text)), "VARCHAR", bytes(schemas.Text, "", "x", "zürich ☃", "tab\tand\nline", strings.Repeat("long ", 400))},
		{column(14, "v", schemas.Type{Kind: schemas.Varchar, Length: 40}), "VARCHAR", bytes(schemas.Varchar, "", "NULL", "trailing  ")},
		{column(15, "c", schemas.Type{Kind: schemas.Char, Length: 6}), "VARCHAR", bytes(schemas.Char, "ab    ", "abcdef", "      ")},
		{column(16, "by", kind(schemas.Bytea)), "BLOB", bytes(schemas.Bytea, "", "\x00\xff\x80", "text", strings.Repeat("\x00", 300))},
		{column(17, "d", kind(schemas.Date)), "DATE", ints(schemas.Date, 0, -1, 19_000, -719_528, -2_000_000, 2_145_031_948, schemas.InfinityTime, schemas.NegInfinityTime)},
		{column(18, "tm", kind(schemas.Time)), "TIME", ints(schemas.Time, 0, 1, 43_200_000_000, 86_399_999_999, 86_400_000_000)},
		{column(19, "ts", kind(schemas.Timestamp)), "TIMESTAMP", ints(schemas.Timestamp, times...)},
		{column(20, "tz", kind(schemas.TimestampTZ)), "TIMESTAMP WITH TIME ZONE", ints(schemas.TimestampTZ, times...)},
		{column(21, "iv", kind(schemas.Interval)), "BLOB", []schemas.Value{schemas.NewInterval(0, 0, 0), schemas.NewInterval(-14, 3, -5),
			schemas.NewInterval(math.MaxInt32, math.MinInt32, math.MaxInt64)}},
		{column(22, "u", kind(schemas.UUID)), "UUID", bytes(schemas.UUID, strings.Repeat("\x00", 16), strings.Repeat("\xff", 16), "0123456789abcdef")},
		{column(23, "j", kind(schemas.JSONB)), "JSON", bytes(schemas.JSONB, `{}`, `{"a": [1, null, "ü"]}`, `"s"`, `1.50`, `null`)},
		{column(26, "tiny", numeric(2, 12)), "DECIMAL(12,12)", []schemas.Value{schemas.NewNumeric(99, 12), schemas.NewNumeric(-1, 12)}},
		{column(24, "nothing", kind(schemas.Text)), "VARCHAR", nil},
		{column(25, "no number", numeric(9, 3)), "DECIMAL(10,3)", nil},
	}
}

// wideTable has an integer key and a column of every kind.
func wideTable() *schemas.Table {
	t := &schemas.Table{Schema: "public", Name: "wide", Version: 1, Key: []uint32{1}}
	t.Columns = append(t.Columns, schemas.Column{ID: 1, Name: "id", Type: kind(schemas.Int64), NotNull: true})
	for _, c := range wideColumns() {
		t.Columns = append(t.Columns, c.Column)
	}
	return t
}

// wideRow takes a value of every column; one in six is NULL.
func wideRow(r *rand.Rand, id int64) schemas.Row {
	row := schemas.Row{schemas.NewInt(schemas.Int64, id)}
	for _, c := range wideColumns() {
		v := schemas.Null
		if len(c.values) > 0 && r.IntN(6) > 0 {
			v = c.values[r.IntN(len(c.values))]
		}
		row = append(row, v)
	}
	return row
}

// linesTable has a composite key whose order is not the columns', and enough rows
// for several row groups.
func linesTable() *schemas.Table {
	return &schemas.Table{Schema: "public", Name: "lines", Version: 1, Key: []uint32{3, 1}, Columns: []schemas.Column{
		{ID: 1, Name: "line", Type: kind(schemas.Int32), NotNull: true},
		column(2, "price", numeric(12, 2)),
		{ID: 3, Name: "code", Type: kind(schemas.Text), NotNull: true},
		column(4, "day", kind(schemas.Date))}}
}

func linesRow(i int64, price schemas.Value) schemas.Row {
	return schemas.Row{schemas.NewInt(schemas.Int32, i), price, schemas.NewText(fmt.Sprintf("code %d", i%97)), schemas.NewInt(schemas.Date, i/100)}
}

// eventsTable has no key: rows are only added.
func eventsTable() *schemas.Table {
	return &schemas.Table{Schema: "public", Name: "events", Version: 1, Columns: []schemas.Column{
		column(1, "n", kind(schemas.Int64)), column(2, "note", kind(schemas.Text))}}
}
