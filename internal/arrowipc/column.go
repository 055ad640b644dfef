package arrowipc

import (
	"math"

	"github.com/millrace/millrace/internal/vector"
)

// column writes a column's values. A NULL row's value is written as zero.
func (e *encoder) column(v *vector.Vector, c column) {
	e.valid(v)
	from := len(e.out)
	switch c.phys {
	case physBinary:
		e.binary(v)
		return
	case physFloat32:
		for i := range e.rows {
			if v.Null(i) {
				e.out = le.AppendUint32(e.out, 0)
				continue
			}
			e.out = le.AppendUint32(e.out, math.Float32bits(float32(v.Float(i))))
		}
	case physFloat64:
		for i := range e.rows {
			if v.Null(i) {
				e.out = le.AppendUint64(e.out, 0)
				continue
			}
			e.out = le.AppendUint64(e.out, math.Float64bits(v.Float(i)))
		}
	case physFixed16:
		e.intervals(v)
	case physDec128:
		e.wide(v)
	default:
		e.ints(v, c.phys)
	}
	e.end(from)
}

func (e *encoder) ints(v *vector.Vector, p physical) {
	if v.Enc == vector.Flat && v.Nulls == nil {
		for _, x := range v.Ints[:e.rows] {
			e.out = appendInt(e.out, p, uint64(x))
		}
		return
	}
	for i := range e.rows {
		var x int64
		if !v.Null(i) {
			x = v.Int(i)
		}
		e.out = appendInt(e.out, p, uint64(x))
	}
}

func (e *encoder) intervals(v *vector.Vector) {
	for i := range e.rows {
		var x vector.Interval
		if !v.Null(i) {
			x = v.Intervals[place(v, i)]
		}
		e.out = le.AppendUint32(e.out, uint32(x.Months))
		e.out = le.AppendUint32(e.out, uint32(x.Days))
		e.out = le.AppendUint64(e.out, uint64(x.Micros))
	}
}

// wide writes 128-bit coefficients as Arrow does, low half first.
func (e *encoder) wide(v *vector.Vector) {
	for i := range e.rows {
		var x vector.Int128
		switch {
		case v.Null(i):
		case v.Enc == vector.Dict:
			x = v.Dict.Wide[v.Codes.At(i)]
		default:
			x = v.Wide[place(v, i)]
		}
		e.out = le.AppendUint64(e.out, x.Lo)
		e.out = le.AppendUint64(e.out, uint64(x.Hi))
	}
}

// place is where row i of a flat or constant payload stands.
func place(v *vector.Vector, i int) int {
	if v.Enc == vector.Const {
		return 0
	}
	return i
}

// binary writes offsets and bytes.
func (e *encoder) binary(v *vector.Vector) {
	from := len(e.out)
	e.out = le.AppendUint32(e.out, 0)
	total := 0
	for i := range e.rows {
		if !v.Null(i) {
			total += len(v.Bytes(i))
		}
		if total > math.MaxInt32 {
			panic("arrowipc: a column of a batch holds more than 2 GiB")
		}
		e.out = le.AppendUint32(e.out, uint32(total))
	}
	e.end(from)
	from = len(e.out)
	for i := range e.rows {
		if !v.Null(i) {
			e.out = append(e.out, v.Bytes(i)...)
		}
	}
	e.end(from)
}

// bitmap writes a field of booleans; rows past the bitmap's end are false.
func (e *encoder) bitmap(m vector.Bitmap) {
	e.valid(nil)
	from := len(e.out)
	for w := range vector.Words(e.rows) {
		var x uint64
		if w < len(m) {
			x = m[w] & rowMask(w, e.rows)
		}
		e.out = le.AppendUint64(e.out, x)
	}
	e.out = e.out[:from+(e.rows+7)/8]
	e.end(from)
}

// display writes display scales.
func (e *encoder) display(v *vector.Vector) {
	e.valid(nil)
	from := len(e.out)
	for i := range e.rows {
		var s uint8
		if !v.Null(i) {
			s = v.DScale[place(v, i)]
		}
		e.out = append(e.out, s)
	}
	e.end(from)
}
