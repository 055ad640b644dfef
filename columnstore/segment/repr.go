package segment

import (
	"fmt"
	"math"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Repr is how a column stands in a file, where its type alone does not say.
type Repr string

// The representations.
const (
	Plain   Repr = ""        // after the type, see docs/formats/segment.md
	Decimal Repr = "decimal" // numeric as DECIMAL over INT64
	Text    Repr = "text"    // numeric as PostgreSQL's text
)

// reprOf picks the representation of a column from the blocks to be written.
func reprOf(t schemas.Type, chunks []Chunk, col int) (r Repr, scale int) {
	if t.Kind != schemas.Numeric {
		return Plain, 0
	}
	known := false
	for _, c := range chunks {
		v := c.Cols[col].Vec
		if v.Enc == vector.Const && v.Nulls.Get(0) {
			continue
		}
		if v.Dec != vector.Dec64 || !oneScale(v) || v.Scale < 0 || v.Scale > 18 || known && v.Scale != scale {
			return Text, 0
		}
		known, scale = true, v.Scale
	}
	if !known {
		scale = min(max(int(t.Scale), 0), 18)
	}
	return Decimal, scale
}

// oneScale says whether every number of a decimal vector shows all of its digits:
// NULLs before the first number make scales a row that do not differ.
func oneScale(v *vector.Vector) bool {
	if v.DScale == nil {
		return true
	}
	if v.Enc != vector.Flat {
		return false
	}
	for i, s := range v.DScale {
		if int(s) != v.Scale && !v.Null(i) {
			return false
		}
	}
	return true
}

// node describes a column to Parquet.
func node(c schemas.Column, m ColumnMeta) parquet.Node {
	n := leaf(c.Type, m)
	if textual(c.Type, m) {
		n = parquet.Encoded(n, &parquet.RLEDictionary)
	}
	n = parquet.Compressed(n, &parquet.Snappy)
	if !c.NotNull || m.Nullable {
		n = parquet.Optional(n)
	}
	return parquet.FieldID(n, int(c.ID))
}

func textual(t schemas.Type, m ColumnMeta) bool {
	return t.Kind.IsText() || t.Kind == schemas.JSONB || m.Repr == Text
}

func leaf(t schemas.Type, m ColumnMeta) parquet.Node {
	switch t.Kind {
	case schemas.Bool:
		return parquet.Leaf(parquet.BooleanType)
	case schemas.Int16:
		return parquet.Int(16)
	case schemas.Int32:
		return parquet.Int(32)
	case schemas.Int64:
		return parquet.Int(64)
	case schemas.Float32:
		return parquet.Leaf(parquet.FloatType)
	case schemas.Float64:
		return parquet.Leaf(parquet.DoubleType)
	case schemas.Numeric:
		if m.Repr == Text {
			return parquet.String()
		}
		precision := 18
		if t.Precision > 0 && t.Precision < 18 && m.Scale == int(t.Scale) {
			precision = max(int(t.Precision), m.Scale, 10) // of fewer digits Parquet wants INT32
		}
		return parquet.Decimal(m.Scale, precision, parquet.Int64Type)
	case schemas.Text, schemas.Varchar, schemas.Char:
		return parquet.String()
	case schemas.JSONB:
		return parquet.JSON()
	case schemas.Date:
		return parquet.Date()
	case schemas.Time:
		return parquet.TimeAdjusted(parquet.Microsecond, false)
	case schemas.Timestamp:
		return parquet.TimestampAdjusted(parquet.Microsecond, false)
	case schemas.TimestampTZ:
		return parquet.TimestampAdjusted(parquet.Microsecond, true)
	case schemas.Interval:
		return parquet.Leaf(parquet.FixedLenByteArrayType(16))
	case schemas.UUID:
		return parquet.UUID()
	}
	return parquet.Leaf(parquet.ByteArrayType)
}

// Infinite dates and timestamps stand in files as DuckDB has them.
const (
	fileInfDate    = math.MaxInt32
	fileNegInfDate = -math.MaxInt32
	fileNegInfTime = -math.MaxInt64
)

func dateToFile(n int64) (int32, error) {
	switch {
	case n == schemas.InfinityTime:
		return fileInfDate, nil
	case n == schemas.NegInfinityTime:
		return fileNegInfDate, nil
	case n >= fileInfDate || n <= fileNegInfDate:
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "date of %d days cannot be stored", n)
	}
	return int32(n), nil
}

func dateFromFile(n int32) int64 {
	switch n {
	case fileInfDate:
		return schemas.InfinityTime
	case fileNegInfDate:
		return schemas.NegInfinityTime
	}
	return int64(n)
}

// value gives row i of a column, not NULL, as Parquet has it. scratch is reused.
func value(v *vector.Vector, i int, m ColumnMeta, scratch []byte) (parquet.Value, []byte, error) {
	k := v.Type.Kind
	switch k {
	case schemas.Bool:
		return parquet.BooleanValue(v.Int(i) != 0), scratch, nil
	case schemas.Int16, schemas.Int32:
		return parquet.Int32Value(int32(v.Int(i))), scratch, nil
	case schemas.Date:
		n, err := dateToFile(v.Int(i))
		return parquet.Int32Value(n), scratch, err
	case schemas.Timestamp, schemas.TimestampTZ:
		n := v.Int(i)
		if n == schemas.NegInfinityTime {
			n = fileNegInfTime
		}
		return parquet.Int64Value(n), scratch, nil
	case schemas.Int64, schemas.Time:
		return parquet.Int64Value(v.Int(i)), scratch, nil
	case schemas.Float32:
		return parquet.FloatValue(float32(v.Float(i))), scratch, nil
	case schemas.Float64:
		return parquet.DoubleValue(v.Float(i)), scratch, nil
	case schemas.Numeric:
		if m.Repr == Decimal {
			return parquet.Int64Value(v.Int(i)), scratch, nil
		}
		at := len(scratch)
		scratch = v.AppendDecimalAt(scratch, i)
		return parquet.ByteArrayValue(scratch[at:len(scratch):len(scratch)]), scratch, nil
	case schemas.Interval:
		at := len(scratch)
		scratch = appendInterval(scratch, v, i)
		return parquet.FixedLenByteArrayValue(scratch[at:len(scratch):len(scratch)]), scratch, nil
	case schemas.UUID:
		b := v.Bytes(i)
		if len(b) != 16 {
			return parquet.Value{}, scratch, fmt.Errorf("uuid of %d bytes", len(b))
		}
		return parquet.FixedLenByteArrayValue(b), scratch, nil
	}
	return parquet.ByteArrayValue(v.Bytes(i)), scratch, nil
}

func appendInterval(dst []byte, v *vector.Vector, i int) []byte {
	if v.Enc == vector.Const {
		i = 0
	}
	x := v.Intervals[i]
	for s := 0; s < 32; s += 8 {
		dst = append(dst, byte(x.Months>>s))
	}
	for s := 0; s < 32; s += 8 {
		dst = append(dst, byte(x.Days>>s))
	}
	for s := 0; s < 64; s += 8 {
		dst = append(dst, byte(x.Micros>>s))
	}
	return dst
}

// hasNull says whether any block of a column holds a NULL.
func hasNull(chunks []Chunk, col int) bool {
	for _, c := range chunks {
		if c.Cols[col].Vec.Nulls.Any() {
			return true
		}
	}
	return false
}

// encodeRead makes the block of a column that was read.
func encodeRead(v *vector.Vector) *column.Block { return column.Encode(v) }
