package arrowipc

import (
	"math"
	"math/bits"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// AppendBatch appends a batch as one frame. Columns of any encoding are accepted
// and come back flat. The batch is only read.
func AppendBatch(dst []byte, b *change.Batch) []byte {
	e := encoder{batch: b, rows: b.Len(), cols: make([]column, len(b.Cols)), start: len(dst)}
	e.describe()
	dst = e.header(dst)
	return e.message(dst)
}

// encoder writes one frame.
type encoder struct {
	batch          *change.Batch
	rows           int
	cols           []column
	base           schemas.LSN
	lsnPhys        physical
	ordPhys        physical
	nodes, buffers int
	start          int // of the frame in the output

	out    []byte
	node   int // where the next Arrow field's node goes
	buffer int // where the next buffer's place goes
	body   int // where the body starts
}

// describe decides how every column is held.
func (e *encoder) describe() {
	b := e.batch
	e.nodes, e.buffers = 3, 6
	for i, v := range b.Cols {
		c := &e.cols[i]
		c.phys, c.scale = physOf(v, e.rows), int16(v.Scale)
		if i < len(b.Absent) && b.Absent[i].Any() {
			c.flags |= flagAbsent
		}
		if v.DScale != nil {
			c.flags |= flagDisplay
		}
		n, m := c.nodesAndBuffers()
		e.nodes, e.buffers = e.nodes+n, e.buffers+m
	}
	lo, hi := schemas.LSN(math.MaxUint64), schemas.LSN(0)
	for _, l := range b.LSN {
		lo, hi = min(lo, l), max(hi, l)
	}
	var ord uint32
	for _, o := range b.Ordinal {
		ord |= o
	}
	if e.rows == 0 {
		lo = hi
	}
	e.base, e.lsnPhys, e.ordPhys = lo, unsignedPhys(uint64(hi-lo)), unsignedPhys(uint64(ord))
}

// unsignedPhys is the narrowest width of an unsigned number.
func unsignedPhys(x uint64) physical {
	switch n := bits.Len64(x); {
	case n <= 8:
		return physInt8
	case n <= 16:
		return physInt16
	case n <= 32:
		return physInt32
	}
	return physInt64
}

// signedPhys is the narrowest width of numbers whose magnitudes, ones' complement
// for negative ones, were ORed.
func signedPhys(x uint64) physical { return unsignedPhys(x << 1) }

// physOf chooses how a column's values are held.
func physOf(v *vector.Vector, rows int) physical {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		return intPhys(v, rows)
	case schemas.LayoutFloat:
		return floatPhys(v, rows)
	case schemas.LayoutInterval:
		return physFixed16
	case schemas.LayoutDecimal:
		switch v.Dec {
		case vector.Dec64:
			return intPhys(v, rows)
		case vector.Dec128:
			return physDec128
		}
	}
	return physBinary
}

func intPhys(v *vector.Vector, rows int) physical {
	var seen uint64
	switch {
	case v.Enc == vector.Flat && v.Nulls == nil:
		for _, x := range v.Ints[:rows] {
			seen |= uint64(x ^ x>>63)
		}
	default:
		for i := range rows {
			if !v.Null(i) {
				x := v.Int(i)
				seen |= uint64(x ^ x>>63)
			}
		}
	}
	return signedPhys(seen)
}

func floatPhys(v *vector.Vector, rows int) physical {
	for i := range rows {
		if v.Null(i) {
			continue
		}
		f := v.Float(i)
		if math.Float64bits(float64(float32(f))) != math.Float64bits(f) {
			return physFloat64
		}
	}
	return physFloat32
}

// header appends the frame up to the Arrow message.
func (e *encoder) header(dst []byte) []byte {
	t := e.batch.Table
	name := t.FullName()
	dst = append(dst, magic0, magic1, version, 0, 0, 0, 0, 0)
	dst = le.AppendUint32(dst, t.Version)
	dst = le.AppendUint32(dst, uint32(e.rows))
	dst = le.AppendUint64(dst, uint64(e.base))
	dst = append(dst, byte(e.lsnPhys.size()), byte(e.ordPhys.size()))
	dst = le.AppendUint16(dst, uint16(len(e.cols)))
	dst = le.AppendUint16(dst, uint16(len(name)))
	dst = append(dst, name...)
	for _, c := range e.cols {
		dst = append(dst, byte(c.phys), c.flags)
		dst = le.AppendUint16(dst, uint16(c.scale))
	}
	return e.align(dst, e.start)
}

// align pads with zeros to a multiple of 8 from a place.
func (e *encoder) align(dst []byte, from int) []byte {
	for (len(dst)-from)&7 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// message appends the Arrow message: metadata with room for what is only known
// afterwards, then the body.
func (e *encoder) message(dst []byte) []byte {
	meta, size := len(dst), metaSize(e.nodes, e.buffers)
	dst = append(dst, make([]byte, size)...)
	e.out, e.node, e.buffer, e.body = dst, meta+metaFixed, meta+metaFixed+16*e.nodes+8, len(dst)
	e.positions()
	for i, v := range e.batch.Cols {
		e.column(v, e.cols[i])
		if e.cols[i].flags&flagAbsent != 0 {
			e.bitmap(e.batch.Absent[i])
		}
		if e.cols[i].flags&flagDisplay != 0 {
			e.display(v)
		}
	}
	putMeta(e.out[meta:meta+size], e.rows, e.nodes, e.buffers, len(e.out)-e.body)
	le.PutUint32(e.out[e.start+4:], uint32(len(e.out)-e.start-8))
	return e.out
}

// field notes an Arrow field of all rows.
func (e *encoder) field(nulls int) {
	le.PutUint64(e.out[e.node:], uint64(e.rows))
	le.PutUint64(e.out[e.node+8:], uint64(nulls))
	e.node += 16
}

// end notes the buffer that was written since from, and pads it.
func (e *encoder) end(from int) {
	le.PutUint64(e.out[e.buffer:], uint64(from-e.body))
	le.PutUint64(e.out[e.buffer+8:], uint64(len(e.out)-from))
	e.buffer += 16
	e.out = e.align(e.out, e.body)
}

// positions writes the columns op, lsn and ordinal.
func (e *encoder) positions() {
	b := e.batch
	e.valid(nil)
	from := len(e.out)
	for _, op := range b.Ops {
		e.out = append(e.out, byte(op))
	}
	e.end(from)
	e.valid(nil)
	from = len(e.out)
	for _, l := range b.LSN {
		e.out = appendInt(e.out, e.lsnPhys, uint64(l-e.base))
	}
	e.end(from)
	e.valid(nil)
	from = len(e.out)
	for _, o := range b.Ordinal {
		e.out = appendInt(e.out, e.ordPhys, uint64(o))
	}
	e.end(from)
}

// appendInt appends the low bytes of x.
func appendInt(dst []byte, p physical, x uint64) []byte {
	switch p {
	case physInt8:
		return append(dst, byte(x))
	case physInt16:
		return le.AppendUint16(dst, uint16(x))
	case physInt32:
		return le.AppendUint32(dst, uint32(x))
	}
	return le.AppendUint64(dst, x)
}

// valid opens a field with its validity buffer, empty when no row is NULL.
func (e *encoder) valid(v *vector.Vector) {
	from, nulls := len(e.out), 0
	if v != nil && v.Nulls != nil {
		if nulls = countNulls(v, e.rows); nulls > 0 {
			for w := range vector.Words(e.rows) {
				e.out = le.AppendUint64(e.out, validWord(v, w, e.rows))
			}
			e.out = e.out[:from+(e.rows+7)/8]
		}
	}
	e.field(nulls)
	e.end(from)
}

func countNulls(v *vector.Vector, rows int) int {
	if v.Enc == vector.Const {
		if v.Null(0) {
			return rows
		}
		return 0
	}
	n := 0
	for w := range vector.Words(rows) {
		n += bits.OnesCount64(v.Nulls[w] & rowMask(w, rows))
	}
	return n
}

// validWord is 64 rows of the validity bitmap.
func validWord(v *vector.Vector, w, rows int) uint64 {
	if v.Enc == vector.Const {
		return 0 // written only when row 0, and so every row, is NULL
	}
	return ^v.Nulls[w] & rowMask(w, rows)
}

// rowMask has the bits of word w that stand for rows.
func rowMask(w, rows int) uint64 {
	if left := rows - w*64; left < 64 {
		return 1<<uint(left) - 1
	}
	return ^uint64(0)
}
