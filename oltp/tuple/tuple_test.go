package tuple_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/oltp/oltptest"
	"github.com/millrace/millrace/oltp/tuple"
	"github.com/millrace/millrace/schemas"
)

// compare is PostgreSQL's order of two values of a kind, written naively.
func compare(k schemas.Kind, a, b schemas.Value) int {
	switch k.Layout() {
	case schemas.LayoutInt:
		return cmp.Compare(a.Int(), b.Int())
	case schemas.LayoutFloat:
		x, y := a.Float(), b.Float()
		switch {
		case math.IsNaN(x) || math.IsNaN(y):
			return cmp.Compare(rank(math.IsNaN(x)), rank(math.IsNaN(y)))
		}
		return cmp.Compare(x, y)
	case schemas.LayoutDecimal:
		return compareNumeric(a, b)
	}
	if k == schemas.Char {
		return strings.Compare(strings.TrimRight(a.Bytes(), " "), strings.TrimRight(b.Bytes(), " "))
	}
	return strings.Compare(a.Bytes(), b.Bytes())
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareNumeric(a, b schemas.Value) int {
	class := func(v schemas.Value) (int, *big.Rat) {
		coef, scale, text, small := v.Numeric()
		switch {
		case text == "NaN":
			return 2, nil
		case text == "Infinity":
			return 1, nil
		case text == "-Infinity":
			return -1, nil
		case small:
			text = string(vector.AppendDecimalText(nil, coef, scale))
		}
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			panic(text)
		}
		return 0, r
	}
	ca, x := class(a)
	cb, y := class(b)
	if ca != cb || ca != 0 {
		return cmp.Compare(ca, cb)
	}
	return x.Cmp(y)
}

// extremes are values that random ones miss.
func extremes(k schemas.Kind) []schemas.Value {
	var out []schemas.Value
	switch k.Layout() {
	case schemas.LayoutFloat:
		for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.MaxFloat32} {
			out = append(out, schemas.NewFloat(k, f))
		}
	case schemas.LayoutDecimal:
		for _, s := range []string{"0", "0.00", "-0.001", "0.001", "0.0010", "1", "1.0", "10", "100", "-1", "-1.00", "-10", "9.99", "99.9", "-9.99", "-9.991",
			"123456789012345678901234567890", "123456789012345678901234567890.0", "-123456789012345678901234567891", "0." + strings.Repeat("0", 40) + "1", "NaN", "Infinity", "-Infinity"} {
			out = append(out, vector.NumericValue([]byte(s)))
		}
	case schemas.LayoutBytes:
		if k == schemas.UUID {
			return nil
		}
		for _, s := range []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "ab", "\xff", "\xff\xff", "a ", "a  "} {
			out = append(out, schemas.NewBytes(k, s))
		}
	}
	return out
}

// TestKeysSortLikeValues compares the bytes of keys with the values' order, also when
// another column follows.
func TestKeysSortLikeValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for k := schemas.Bool; k <= schemas.JSONB; k++ {
		if !tuple.CanKey(k) {
			continue
		}
		table := &schemas.Table{Schema: "s", Name: "t", Version: 1, Key: []uint32{1, 2}, Columns: []schemas.Column{
			{ID: 1, Name: "a", Type: schemas.Type{Kind: k}}, {ID: 2, Name: "b", Type: schemas.Type{Kind: schemas.Int16}}}}
		c := tuple.NewCodec(7, table)
		values := extremes(k)
		for range 150 {
			values = append(values, oltptest.RandomValue(r, k))
		}
		for _, a := range values {
			for _, b := range values {
				x, y := schemas.NewInt(schemas.Int16, int64(r.IntN(3)-1)), schemas.NewInt(schemas.Int16, int64(r.IntN(3)-1))
				want := cmp.Or(compare(k, a, b), compare(schemas.Int16, x, y))
				ka, kb := c.AppendKey(nil, schemas.Row{a, x}), c.AppendKey(nil, schemas.Row{b, y})
				require.Equal(t, want, bytes.Compare(ka, kb), "%v: %#v, %#v", k, a, b)
				prefix := c.AppendTuple(nil, []schemas.Value{a})
				require.True(t, bytes.HasPrefix(ka, prefix))
				inside := bytes.Compare(kb, prefix) >= 0 && bytes.Compare(kb, tuple.Successor(nil, prefix)) < 0
				require.Equal(t, compare(k, a, b) == 0, inside, "the prefix's range holds exactly its keys")
			}
		}
	}
}

func TestSuccessor(t *testing.T) {
	require.Equal(t, []byte{1, 3}, tuple.Successor(nil, []byte{1, 2, 0xFF}))
	require.Nil(t, tuple.Successor(nil, []byte{0xFF, 0xFF}))
}

func everything() *tuple.Codec {
	table := oltptest.Everything()
	table.Schema, table.Version = "public", 3
	return tuple.NewCodec(5, &table)
}

// TestRowsRoundTrip decodes random rows as values and as columns.
func TestRowsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	c := everything()
	var cols []*vector.Vector
	for _, col := range c.Table().Columns {
		cols = append(cols, vector.New(col.Type, 0))
	}
	var rows []schemas.Row
	for range 500 {
		row := oltptest.RandomRow(r, c.Table())
		data := c.AppendRow(nil, row)
		got, err := c.Decode(nil, data)
		require.NoError(t, err)
		require.Equal(t, row, got)
		key, err := c.KeyOf(nil, data)
		require.NoError(t, err)
		require.Equal(t, c.AppendKey(nil, row), key)
		require.NoError(t, c.AppendTo(cols, data))
		rows = append(rows, row)
	}
	for i, row := range rows {
		for j, v := range cols {
			require.Equal(t, row[j], v.Value(i), "row %d, column %s", i, c.Table().Columns[j].Name)
		}
	}
}

// TestDamagedRows cuts and flips: an error or another row, never a panic, and a cut
// row is always an error.
func TestDamagedRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	c := everything()
	for range 200 {
		data := c.AppendRow(nil, oltptest.RandomRow(r, c.Table()))
		for n := range data {
			_, err := c.Decode(nil, data[:n])
			require.ErrorIs(t, err, tuple.ErrRow)
		}
		_, err := c.Decode(nil, append(slices.Clone(data), 0))
		require.ErrorIs(t, err, tuple.ErrRow)
	}
	old := everything()
	old.Table().Version = 2
	data := old.AppendRow(nil, oltptest.RandomRow(r, c.Table()))
	_, err := c.Decode(nil, data)
	require.ErrorContains(t, err, "schema version 2")
}

func FuzzDecode(f *testing.F) {
	c := everything()
	r := rand.New(rand.NewPCG(4, 4))
	for range 20 {
		f.Add(c.AppendRow(nil, oltptest.RandomRow(r, c.Table())))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		row, err := c.Decode(nil, data)
		cols := make([]*vector.Vector, len(c.Table().Columns))
		for i, col := range c.Table().Columns {
			cols[i] = vector.New(col.Type, 1)
		}
		if fmt.Sprint(err) != fmt.Sprint(c.AppendTo(cols, data)) {
			t.Fatal("values and columns disagree")
		}
		if err != nil {
			return
		}
		again, err := c.Decode(nil, c.AppendRow(nil, row))
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", row) {
			t.Fatalf("%#v became %#v, %v", row, again, err)
		}
	})
}
