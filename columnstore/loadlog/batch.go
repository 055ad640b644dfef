package loadlog

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

const (
	flagNulls  = 1
	flagAbsent = 2
	flagText   = 4 // decimals as text
	flagScales = 8 // decimals with a display scale a row
)

func (w *writer) changes(b *change.Batch, lo, hi schemas.LSN) error {
	n := b.Len()
	if len(b.LSN) != n || len(b.Ordinal) != n || len(b.Cols) != len(b.Table.Columns) {
		return schemas.Errorf(schemas.CodeInvalid, "22023", "batch is inconsistent: %d ops, %d LSNs, %d ordinals, %d of %d columns",
			n, len(b.LSN), len(b.Ordinal), len(b.Cols), len(b.Table.Columns))
	}
	for _, op := range b.Ops {
		w.byte(byte(op))
	}
	w.uvarint(uint64(lo))
	w.codes(n, uint64(hi-lo), func(i int) uint64 { return uint64(b.LSN[i] - lo) })
	w.words(n, func(i int) uint64 { return uint64(b.Ordinal[i]) })
	w.uvarint(uint64(len(b.Cols)))
	for i, c := range b.Table.Columns {
		if b.Cols[i] == nil || b.Cols[i].Len != n {
			return schemas.Errorf(schemas.CodeInvalid, "22023", "column %s does not have %d rows", c.Name, n)
		}
		if b.Cols[i].Type.Kind.Layout() != c.Type.Kind.Layout() {
			return schemas.Errorf(schemas.CodeInvalid, "42804", "column %s is %v, its vector %v", c.Name, c.Type, b.Cols[i].Type)
		}
		w.column(c, b.Cols[i], absentOf(b, i))
	}
	return nil
}

func absentOf(b *change.Batch, i int) vector.Bitmap {
	if i >= len(b.Absent) || !b.Absent[i].Any() {
		return nil
	}
	return b.Absent[i]
}

func (w *writer) column(c schemas.Column, v *vector.Vector, absent vector.Bitmap) {
	v = flat(c.Type, v)
	var flags byte
	if v.Nulls.Any() {
		flags |= flagNulls
	}
	if absent != nil {
		flags |= flagAbsent
	}
	if v.Dec == vector.DecText {
		flags |= flagText
	}
	if v.DScale != nil {
		flags |= flagScales
	}
	w.uvarint(uint64(c.ID))
	w.byte(byte(c.Type.Kind))
	w.byte(flags)
	if flags&flagNulls != 0 {
		w.bitmap(v.Nulls, v.Len)
	}
	if flags&flagAbsent != 0 {
		w.bitmap(absent, v.Len)
	}
	w.payload(v)
}

// flat returns a flat vector of the column's own layout and of a tier that the log
// knows, copying only when it must.
func flat(t schemas.Type, v *vector.Vector) *vector.Vector {
	if v.Enc == vector.Flat && v.Dec != vector.Dec128 {
		return v
	}
	out := vector.New(t, v.Len)
	for i := range v.Len {
		column.AppendRow(out, v, i)
	}
	return out
}

func (w *writer) bitmap(b vector.Bitmap, n int) {
	for i := range vector.Words(n) {
		var x uint64
		if i < len(b) {
			x = b[i]
		}
		w.b = binary.LittleEndian.AppendUint64(w.b, x)
	}
}

func (w *writer) payload(v *vector.Vector) {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		w.ints(v.Ints)
	case schemas.LayoutFloat:
		for _, f := range v.Floats {
			w.b = binary.LittleEndian.AppendUint64(w.b, math.Float64bits(f))
		}
	case schemas.LayoutInterval:
		for _, x := range v.Intervals {
			w.b = binary.LittleEndian.AppendUint32(w.b, uint32(x.Months))
			w.b = binary.LittleEndian.AppendUint32(w.b, uint32(x.Days))
			w.b = binary.LittleEndian.AppendUint64(w.b, uint64(x.Micros))
		}
	case schemas.LayoutBytes:
		w.strings(&v.Strs, v.Len)
	case schemas.LayoutDecimal:
		if v.Dec == vector.DecText {
			w.strings(&v.Strs, v.Len)
			return
		}
		w.uvarint(uint64(v.Scale))
		if v.DScale != nil {
			w.b = append(w.b, v.DScale...)
		}
		w.ints(v.Ints)
	}
}

func (w *writer) strings(s *vector.Strings, n int) {
	w.words(n, func(i int) uint64 { return uint64(s.Views[i].Len) })
	for i := range n {
		w.b = append(w.b, s.At(i)...)
	}
}

// Changes decodes a batch as changes of a table, whose columns it finds by id. A
// column that the batch lacks is NULL. Strings alias the record's bytes.
func (b *Batch) Changes(t *schemas.Table) (*change.Batch, error) {
	n := b.Rows
	r := reader{b: b.data}
	out := &change.Batch{Table: t, Ops: make([]change.Op, n), LSN: make([]schemas.LSN, n), Ordinal: make([]uint32, n),
		Cols: make([]*vector.Vector, len(t.Columns)), Absent: make([]vector.Bitmap, len(t.Columns))}
	for i, op := range r.take(n) {
		out.Ops[i] = change.Op(op)
	}
	words(&r, out.LSN)
	words(&r, out.Ordinal)
	for range r.count() {
		id, kind, flags := uint32(r.uvarint()), schemas.Kind(r.byte()), r.byte()
		i := t.Ordinal(id)
		if r.err == nil && (i < 0 || t.Columns[i].Type.Kind != kind) {
			r.fail(fmt.Sprintf("column %d of kind %v is not in table %s", id, kind, t.FullName()))
		}
		if r.err != nil {
			return nil, r.err
		}
		v := &vector.Vector{Type: t.Columns[i].Type, Len: n}
		if flags&flagNulls != 0 {
			v.Nulls = r.bitmap(n)
		}
		if flags&flagAbsent != 0 {
			out.Absent[i] = r.bitmap(n)
		}
		r.payload(v, flags)
		out.Cols[i] = v
	}
	for i, c := range t.Columns {
		if out.Cols[i] == nil {
			out.Cols[i] = column.AllNull(c.Type, n)
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes in a batch")
	}
	return out, r.err
}

func (r *reader) bitmap(n int) vector.Bitmap {
	b := r.take(8 * vector.Words(n))
	if r.err != nil {
		return nil
	}
	out := vector.NewBitmap(n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return out
}

func (r *reader) payload(v *vector.Vector, flags byte) {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		v.Ints = make([]int64, v.Len)
		r.ints(v.Ints)
	case schemas.LayoutFloat:
		b := r.take(8 * v.Len)
		v.Floats = make([]float64, len(b)/8)
		for i := range v.Floats {
			v.Floats[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	case schemas.LayoutInterval:
		b := r.take(16 * v.Len)
		v.Intervals = make([]vector.Interval, len(b)/16)
		for i := range v.Intervals {
			x := b[16*i:]
			v.Intervals[i] = vector.Interval{Months: int32(binary.LittleEndian.Uint32(x)), Days: int32(binary.LittleEndian.Uint32(x[4:])),
				Micros: int64(binary.LittleEndian.Uint64(x[8:]))}
		}
	case schemas.LayoutBytes:
		r.strings(v)
	case schemas.LayoutDecimal:
		if flags&flagText != 0 {
			v.Dec = vector.DecText
			r.strings(v)
			return
		}
		v.Scale = int(r.uvarint())
		if flags&flagScales != 0 {
			v.DScale = r.take(v.Len)
		}
		v.Ints = make([]int64, v.Len)
		r.ints(v.Ints)
	default:
		r.fail("bad column kind")
	}
}

func (r *reader) strings(v *vector.Vector) {
	if v.Len == 0 {
		return
	}
	lens := make([]uint32, v.Len)
	words(r, lens)
	total := uint64(0)
	for _, n := range lens {
		total += uint64(n)
	}
	if total > uint64(len(r.b)) {
		r.fail("short strings")
		return
	}
	b := r.take(int(total))
	v.Strs = vector.Strings{Views: make([]vector.View, v.Len), Bufs: [][]byte{b}}
	off := uint32(0)
	for i, n := range lens {
		v.Strs.Views[i] = vector.MakeView(b[off:off+n], 0, off)
		off += n
	}
}
