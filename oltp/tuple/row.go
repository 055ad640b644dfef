package tuple

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// ErrRow is wrapped by every error about a row that does not decode (I8).
var ErrRow = errors.New("row does not decode")

// Codec encodes the keys and rows of one version of a table. It is immutable.
type Codec struct {
	table  *schemas.Table
	id     uint32
	key    []int // ordinals of the key's columns
	isKey  []bool
	bitmap int // bytes
}

// NewCodec makes the codec of a table known to the engine by an id.
func NewCodec(id uint32, t *schemas.Table) *Codec {
	c := &Codec{table: t, id: id, key: t.KeyOrdinals(), isKey: make([]bool, len(t.Columns)), bitmap: (len(t.Columns) + 7) / 8}
	for _, i := range c.key {
		c.isKey[i] = true
	}
	return c
}

// Table is the table the codec is for.
func (c *Codec) Table() *schemas.Table { return c.table }

// ID is the id that begins the table's keys.
func (c *Codec) ID() uint32 { return c.id }

// AppendKey appends the key of a row whose values fit the table.
func (c *Codec) AppendKey(dst []byte, row schemas.Row) []byte {
	dst = AppendPrefix(dst, c.id)
	for _, i := range c.key {
		dst = AppendKeyValue(dst, c.table.Columns[i].Type.Kind, row[i])
	}
	return dst
}

// AppendTuple appends the key made of the first len(values) key columns; with
// fewer than all, the prefix of every key that begins so.
func (c *Codec) AppendTuple(dst []byte, values []schemas.Value) []byte {
	dst = AppendPrefix(dst, c.id)
	for i, v := range values {
		dst = AppendKeyValue(dst, c.table.Columns[c.key[i]].Type.Kind, v)
	}
	return dst
}

// KeyOrdinals are the indexes of the key's columns, in key order; not to be changed.
func (c *Codec) KeyOrdinals() []int { return c.key }

// AppendRow appends a row whose values fit the table.
func (c *Codec) AppendRow(dst []byte, row schemas.Row) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.table.Version))
	nulls := len(dst)
	for range c.bitmap {
		dst = append(dst, 0)
	}
	for i := range row {
		if row[i].IsNull() {
			dst[nulls+i/8] |= 1 << (i % 8)
			continue
		}
		dst = appendValue(dst, c.table.Columns[i].Type.Kind, row[i])
	}
	return dst
}

func appendValue(dst []byte, k schemas.Kind, v schemas.Value) []byte {
	switch k.Layout() {
	case schemas.LayoutInt:
		return binary.AppendVarint(dst, v.Int())
	case schemas.LayoutFloat:
		if k == schemas.Float32 {
			return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v.Float())))
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Float()))
	case schemas.LayoutInterval:
		months, days, micros := v.Interval()
		dst = binary.LittleEndian.AppendUint32(dst, uint32(months))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(days))
		return binary.LittleEndian.AppendUint64(dst, uint64(micros))
	case schemas.LayoutDecimal:
		coef, scale, text, small := v.Numeric()
		if small {
			return binary.AppendVarint(binary.AppendUvarint(dst, uint64(scale)+1), coef)
		}
		return appendText(append(dst, 0), text)
	}
	if k == schemas.UUID {
		return append(dst, v.Bytes()...)
	}
	return appendText(dst, v.Bytes())
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// open checks a row's version and returns its NULL bitmap and values.
func (c *Codec) open(row []byte) (nulls, values []byte, err error) {
	v, n := binary.Uvarint(row)
	if n <= 0 || len(row) < n+c.bitmap {
		return nil, nil, c.broken("cut short")
	}
	if v != uint64(c.table.Version) {
		return nil, nil, c.broken("written under schema version " + strconv.FormatUint(v, 10))
	}
	return row[n : n+c.bitmap], row[n+c.bitmap:], nil
}

func (c *Codec) broken(why string) error {
	return fmt.Errorf("table %s version %d: %w: %s", c.table.FullName(), c.table.Version, ErrRow, why)
}

// Decode appends the values of an encoded row to dst. The strings of the result
// share one allocation and nothing with data.
func (c *Codec) Decode(dst schemas.Row, data []byte) (schemas.Row, error) {
	nulls, rest, err := c.open(data)
	if err != nil {
		return dst, err
	}
	var shared string
	total := len(rest)
	for i := range c.table.Columns {
		if nulls[i/8]>>(i%8)&1 != 0 {
			dst = append(dst, schemas.Null)
			continue
		}
		k := c.table.Columns[i].Type.Kind
		f, n := readField(k, rest)
		if n == 0 {
			return dst, c.broken("column " + c.table.Columns[i].Name)
		}
		rest = rest[n:]
		var s string
		if len(f.text) > 0 {
			if shared == "" {
				shared = string(data[len(data)-total:])
			}
			end := total - len(rest)
			s = shared[end-len(f.text) : end]
		}
		dst = append(dst, f.value(k, s))
	}
	if len(rest) != 0 {
		return dst, c.broken("bytes after the last column")
	}
	return dst, nil
}

// AppendTo appends the values of an encoded row to the columns, which parallel
// the table's. After an error the columns are of different lengths.
func (c *Codec) AppendTo(cols []*vector.Vector, data []byte) error {
	nulls, rest, err := c.open(data)
	if err != nil {
		return err
	}
	for i, v := range cols {
		if nulls[i/8]>>(i%8)&1 != 0 {
			v.AppendNull()
			continue
		}
		k := c.table.Columns[i].Type.Kind
		f, n := readField(k, rest)
		if n == 0 {
			return c.broken("column " + c.table.Columns[i].Name)
		}
		rest = rest[n:]
		f.appendTo(k, v)
	}
	if len(rest) != 0 {
		return c.broken("bytes after the last column")
	}
	return nil
}

// KeyOf appends the key of an encoded row.
func (c *Codec) KeyOf(dst, data []byte) ([]byte, error) {
	row, err := c.Decode(make(schemas.Row, 0, len(c.table.Columns)), data)
	if err != nil {
		return dst, err
	}
	for _, i := range c.key {
		if row[i].IsNull() {
			return dst, c.broken("NULL in key column " + c.table.Columns[i].Name)
		}
	}
	return c.AppendKey(dst, row), nil
}

// field is one value as it stands in a row.
type field struct {
	n     int64 // LayoutInt, float bits, coefficient, interval's µs
	text  []byte
	scale int // numeric; -1 is text
	hi    uint64
}

// readField reads a value and returns the bytes it took, 0 when it is damaged.
// The text, where there is one, is the last that was read.
func readField(k schemas.Kind, b []byte) (f field, n int) {
	switch k.Layout() {
	case schemas.LayoutInt:
		f.n, n = binary.Varint(b)
		return f, max(n, 0)
	case schemas.LayoutFloat:
		return readFloat(k, b)
	case schemas.LayoutInterval:
		if len(b) < 16 {
			return f, 0
		}
		f.hi, f.n = binary.LittleEndian.Uint64(b), int64(binary.LittleEndian.Uint64(b[8:]))
		return f, 16
	case schemas.LayoutDecimal:
		return readNumeric(b)
	case schemas.LayoutBytes:
		if k == schemas.UUID {
			if len(b) < 16 {
				return f, 0
			}
			f.text = b[:16]
			return f, 16
		}
		f.text, n = readText(b)
		return f, n
	}
	return f, 0
}

func readFloat(k schemas.Kind, b []byte) (f field, n int) {
	if k == schemas.Float32 {
		if len(b) < 4 {
			return f, 0
		}
		f.n = int64(math.Float64bits(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))))
		return f, 4
	}
	if len(b) < 8 {
		return f, 0
	}
	f.n = int64(binary.LittleEndian.Uint64(b))
	return f, 8
}

func readNumeric(b []byte) (f field, n int) {
	scale, n := binary.Uvarint(b)
	if n <= 0 || scale > math.MaxInt16 {
		return f, 0
	}
	f.scale = int(scale) - 1
	if f.scale < 0 {
		text, m := readText(b[n:])
		if m == 0 || len(text) == 0 {
			return f, 0
		}
		f.text = text
		return f, n + m
	}
	coef, m := binary.Varint(b[n:])
	if m <= 0 {
		return f, 0
	}
	f.n = coef
	return f, n + m
}

func readText(b []byte) (text []byte, n int) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, 0
	}
	return b[n : n+int(size)], n + int(size)
}

// value makes a Value; s is the text as a string.
func (f field) value(k schemas.Kind, s string) schemas.Value {
	switch k.Layout() {
	case schemas.LayoutInt:
		return schemas.NewInt(k, f.n)
	case schemas.LayoutFloat:
		return schemas.NewFloat(k, math.Float64frombits(uint64(f.n)))
	case schemas.LayoutInterval:
		return schemas.NewInterval(int32(uint32(f.hi)), int32(uint32(f.hi>>32)), f.n)
	case schemas.LayoutDecimal:
		if f.scale < 0 {
			return schemas.NewNumericText(s)
		}
		return schemas.NewNumeric(f.n, f.scale)
	}
	return schemas.NewBytes(k, s)
}

func (f field) appendTo(k schemas.Kind, v *vector.Vector) {
	switch k.Layout() {
	case schemas.LayoutInt:
		v.AppendInt(f.n)
	case schemas.LayoutFloat:
		v.AppendFloat(math.Float64frombits(uint64(f.n)))
	case schemas.LayoutDecimal:
		if f.scale < 0 {
			v.AppendDecimalText(f.text)
		} else {
			v.AppendDecimal(f.n, f.scale)
		}
	case schemas.LayoutBytes:
		v.AppendBytes(f.text)
	default:
		v.AppendValue(f.value(k, ""))
	}
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
