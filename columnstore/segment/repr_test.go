package segment

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

func TestNumericsAreDecimalsWhileOneScaleShowsAllDigits(t *testing.T) {
	n := schemas.NewNumeric
	many := schemas.NewNumericText("123456789012345678901234567890.5")
	for _, c := range []struct {
		name   string
		typ    schemas.Type
		chunks [][]schemas.Value
		repr   Repr
		scale  int
	}{
		{"one scale", schemas.Type{}, [][]schemas.Value{{n(15, 1), n(-20, 1)}, {n(1, 1)}}, Decimal, 1},
		{"NULL first", schemas.Type{}, [][]schemas.Value{{schemas.Null, schemas.Null, n(15000, 4), n(7, 4)}, {n(1, 4)}}, Decimal, 4},
		{"two scales", schemas.Type{}, [][]schemas.Value{{n(15, 1), n(150, 2)}}, Text, 0},
		{"NULL first, two scales", schemas.Type{}, [][]schemas.Value{{schemas.Null, n(150, 2), n(15, 1)}}, Text, 0},
		{"whole numbers between", schemas.Type{}, [][]schemas.Value{{schemas.Null, n(2, 0), n(150, 2)}}, Text, 0},
		{"scales of chunks differ", schemas.Type{}, [][]schemas.Value{{n(15, 1)}, {n(15, 2)}}, Text, 0},
		{"NaN", schemas.Type{}, [][]schemas.Value{{n(15, 1), schemas.NewNumericText("NaN")}}, Text, 0},
		{"many digits", schemas.Type{}, [][]schemas.Value{{many}}, Text, 0},
		{"declared", schemas.Type{Precision: 12, Scale: 2}, [][]schemas.Value{{schemas.Null, n(15, 2)}}, Decimal, 2},
		{"nothing", schemas.Type{Precision: 12, Scale: 2}, [][]schemas.Value{{schemas.Null, schemas.Null}}, Decimal, 2},
		{"a chunk of nothing", schemas.Type{}, [][]schemas.Value{{schemas.Null}, {n(15, 3)}}, Decimal, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.typ.Kind = schemas.Numeric
			var chunks []Chunk
			for _, values := range c.chunks {
				v := vector.New(c.typ, len(values))
				for _, x := range values {
					v.AppendValue(x)
				}
				chunks = append(chunks, Chunk{Rows: len(values), Cols: []*column.Block{column.Encode(v)}})
			}
			repr, scale := reprOf(c.typ, chunks, 0)
			require.Equal(t, c.repr, repr)
			require.Equal(t, c.scale, scale)
		})
	}
}
