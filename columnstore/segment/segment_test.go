package segment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/internal/vfs/vfstest"
	"github.com/millrace/millrace/schemas"
)

func wide() *schemas.Table {
	t := &schemas.Table{Schema: "public", Name: "wide", Version: 1}
	for i, ty := range []schemas.Type{
		{Kind: schemas.Bool}, {Kind: schemas.Int16}, {Kind: schemas.Int32}, {Kind: schemas.Int64}, {Kind: schemas.Float32},
		{Kind: schemas.Float64}, {Kind: schemas.Numeric}, {Kind: schemas.Numeric, Precision: 12, Scale: 2}, {Kind: schemas.Text},
		{Kind: schemas.Varchar, Length: 20}, {Kind: schemas.Char, Length: 4}, {Kind: schemas.Bytea}, {Kind: schemas.Date},
		{Kind: schemas.Time}, {Kind: schemas.Timestamp}, {Kind: schemas.TimestampTZ}, {Kind: schemas.Interval}, {Kind: schemas.UUID},
		{Kind: schemas.JSONB}, {Kind: schemas.Numeric}} {
		t.Columns = append(t.Columns, schemas.Column{ID: uint32(10 + i), Name: fmt.Sprintf("z%02d", 50-i), Type: ty, NotNull: i == 3})
	}
	return t
}

func randomValue(rng *rand.Rand, c schemas.Column, col int) schemas.Value {
	if !c.NotNull && rng.IntN(7) == 0 {
		return schemas.Null
	}
	k := c.Type.Kind
	switch k {
	case schemas.Bool:
		return schemas.NewBool(rng.IntN(2) == 0)
	case schemas.Int16:
		return schemas.NewInt(k, int64(int16(rng.Uint32())))
	case schemas.Int32:
		return schemas.NewInt(k, int64(int32(rng.Uint32())))
	case schemas.Int64, schemas.Time:
		return schemas.NewInt(k, int64(rng.Uint64()>>rng.IntN(64)))
	case schemas.Date, schemas.Timestamp, schemas.TimestampTZ:
		switch rng.IntN(20) {
		case 0:
			return schemas.NewInt(k, schemas.InfinityTime)
		case 1:
			return schemas.NewInt(k, schemas.NegInfinityTime)
		}
		return schemas.NewInt(k, int64(int32(rng.Uint32()))/2)
	case schemas.Float32, schemas.Float64:
		return schemas.NewFloat(k, []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), 1.5, -3e30, rng.NormFloat64()}[rng.IntN(7)])
	case schemas.Numeric:
		if c.Type.Precision > 0 {
			return schemas.NewNumeric(rng.Int64N(1e9)-5e8, 2)
		}
		if col == 19 {
			return []schemas.Value{schemas.NewNumericText("NaN"), schemas.NewNumericText("Infinity"), schemas.NewNumeric(1, 0),
				schemas.NewNumericText("123456789012345678901234567890.123")}[rng.IntN(4)]
		}
		return schemas.NewNumeric(rng.Int64N(1000), rng.IntN(4))
	case schemas.Interval:
		return schemas.NewInterval(int32(rng.Uint32()), -5, rng.Int64())
	case schemas.UUID:
		b := make([]byte, 16)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return schemas.NewBytes(k, string(b))
	}
	return schemas.NewBytes(k, []string{"", "x", "some longer text that is not inline", fmt.Sprint(rng.Uint64())}[rng.IntN(4)])
}

func build(t testing.TB, rng *rand.Rand, tbl *schemas.Table, sizes []int) ([]Chunk, [][]schemas.Row) {
	var chunks []Chunk
	var rows [][]schemas.Row
	for _, n := range sizes {
		cols := make([]*vector.Vector, len(tbl.Columns))
		for i, c := range tbl.Columns {
			cols[i] = vector.New(c.Type, n)
		}
		var rs []schemas.Row
		for range n {
			row := make(schemas.Row, len(cols))
			for i, c := range tbl.Columns {
				row[i] = randomValue(rng, c, i)
				cols[i].AppendValue(row[i])
			}
			rs = append(rs, row)
		}
		chunk := Chunk{Rows: n}
		for _, v := range cols {
			b := column.Encode(v)
			for r := range n {
				require.Equal(t, rs[r][len(chunk.Cols)], b.Vec.Value(r))
			}
			chunk.Cols = append(chunk.Cols, b)
		}
		chunks, rows = append(chunks, chunk), append(rows, rs)
	}
	return chunks, rows
}

func TestRoundTrip(t *testing.T) {
	fs := vfstest.NewMem()
	require.NoError(t, fs.MkdirAll("/d"))
	rng := rand.New(rand.NewPCG(1, 2))
	tbl := wide()
	chunks, rows := build(t, rng, tbl, []int{3000, 1, 20000})
	m, err := Write(fs, "/d", "a.parquet", tbl, chunks)
	require.NoError(t, err)
	require.Equal(t, int64(23001), m.Rows)
	f := Open(fs, "/d", m)
	defer f.Close()
	require.NoError(t, f.Verify())
	for g := range chunks {
		for i := range tbl.Columns {
			b, _, err := f.Column(g, i)
			require.NoError(t, err)
			for r, row := range rows[g] {
				require.Equal(t, row[i], b.Vec.Value(r), "chunk %d column %d row %d", g, i, r)
			}
			z, want := m.ZoneOf(g, i), chunks[g].Cols[i].Zone
			require.Equal(t, want, z)
		}
	}
}

// TestBitFlips inverts bits all over a file: every read either fails as corrupt or
// gives the right values, and Verify always fails.
func TestBitFlips(t *testing.T) {
	fs := vfstest.NewMem()
	require.NoError(t, fs.MkdirAll("/d"))
	rng := rand.New(rand.NewPCG(3, 4))
	tbl := wide()
	chunks, rows := build(t, rng, tbl, []int{200, 100})
	m, err := Write(fs, "/d", "a.parquet", tbl, chunks)
	require.NoError(t, err)
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for range rounds {
		at, bit := rng.Int64N(m.Bytes), uint(rng.IntN(8))
		require.NoError(t, fs.Flip("/d/a.parquet", at, bit))
		f := Open(fs, "/d", m)
		require.ErrorIs(t, f.Verify(), ErrCorrupt)
		for g := range chunks {
			for i := range tbl.Columns {
				b, _, err := f.Column(g, i)
				if err != nil {
					require.ErrorIs(t, err, ErrCorrupt)
					continue
				}
				for r, row := range rows[g] {
					require.Equal(t, row[i], b.Vec.Value(r))
				}
			}
		}
		f.Close()
		require.NoError(t, fs.Flip("/d/a.parquet", at, bit))
	}
	require.NoError(t, fs.Cut("/d/a.parquet", m.Bytes-1))
	_, _, err = Open(fs, "/d", m).Column(0, 0)
	require.ErrorIs(t, err, ErrCorrupt)
}
