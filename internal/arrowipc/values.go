package arrowipc

import (
	"math"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// column reads one column's values.
func (d *decoder) column(v *vector.Vector, c column) (err error) {
	if v.Nulls, err = d.valid(); err != nil {
		return err
	}
	if v.Type.Kind == schemas.Numeric {
		v.Scale = int(c.scale)
	}
	if c.phys == physBinary {
		if v.Type.Kind == schemas.Numeric {
			v.Dec = vector.DecText
		}
		return d.binary(v)
	}
	p, err := d.fixed(c.phys.size())
	if err != nil {
		return err
	}
	switch c.phys {
	case physFloat32, physFloat64:
		v.Floats = floats(p, c.phys, d.rows)
	case physFixed16:
		v.Intervals = intervals(p, d.rows)
	case physDec128:
		v.Dec, v.Wide = vector.Dec128, wide(p, d.rows)
	default:
		v.Ints = ints(p, c.phys, d.rows)
		if v.Type.Kind == schemas.Numeric && c.phys == physInt64 {
			return checkCoefficients(v.Ints)
		}
	}
	return nil
}

// checkCoefficients holds Dec64's promise of at most 18 digits.
func checkCoefficients(xs []int64) error {
	const limit = 1_000_000_000_000_000_000
	for _, x := range xs {
		if x >= limit || x <= -limit {
			return corrupt("a coefficient of more than 18 digits")
		}
	}
	return nil
}

func ints(p []byte, phys physical, rows int) []int64 {
	out := make([]int64, rows)
	switch phys {
	case physInt8:
		for i := range out {
			out[i] = int64(int8(p[i]))
		}
	case physInt16:
		for i := range out {
			out[i] = int64(int16(le.Uint16(p[2*i:])))
		}
	case physInt32:
		for i := range out {
			out[i] = int64(int32(le.Uint32(p[4*i:])))
		}
	default:
		for i := range out {
			out[i] = int64(le.Uint64(p[8*i:]))
		}
	}
	return out
}

func floats(p []byte, phys physical, rows int) []float64 {
	out := make([]float64, rows)
	for i := range out {
		if phys == physFloat32 {
			out[i] = float64(math.Float32frombits(le.Uint32(p[4*i:])))
		} else {
			out[i] = math.Float64frombits(le.Uint64(p[8*i:]))
		}
	}
	return out
}

func intervals(p []byte, rows int) []vector.Interval {
	out := make([]vector.Interval, rows)
	for i := range out {
		q := p[16*i:]
		out[i] = vector.Interval{Months: int32(le.Uint32(q)), Days: int32(le.Uint32(q[4:])), Micros: int64(le.Uint64(q[8:]))}
	}
	return out
}

func wide(p []byte, rows int) []vector.Int128 {
	out := make([]vector.Int128, rows)
	for i := range out {
		out[i] = vector.Int128{Lo: le.Uint64(p[16*i:]), Hi: int64(le.Uint64(p[16*i+8:]))}
	}
	return out
}

// binary reads offsets and bytes. Bytes of strings that fit a view are not kept.
func (d *decoder) binary(v *vector.Vector) error {
	offsets, err := d.next()
	if err != nil {
		return err
	}
	data, err := d.next()
	if err != nil {
		return err
	}
	if len(offsets) != 4*(d.rows+1) || le.Uint32(offsets) != 0 || le.Uint32(offsets[4*d.rows:]) != uint32(len(data)) {
		return corrupt("string offsets do not cover their bytes")
	}
	kept := keepLong(offsets, data, d.rows)
	views := make([]vector.View, d.rows)
	for i := range views {
		lo, hi := le.Uint32(offsets[4*i:]), le.Uint32(offsets[4*i+4:])
		if lo > hi || uint64(hi) > uint64(len(data)) {
			return corrupt("a string from %d to %d", lo, hi)
		}
		views[i] = vector.MakeView(data[lo:hi], 0, lo)
	}
	v.Strs = vector.Strings{Views: views}
	if kept != nil {
		v.Strs.Bufs = [][]byte{kept}
	}
	return nil
}

// keepLong copies the strings' bytes when one is too long for a view.
func keepLong(offsets, data []byte, rows int) []byte {
	for i := range rows {
		if int64(le.Uint32(offsets[4*i+4:]))-int64(le.Uint32(offsets[4*i:])) > vector.InlineLen {
			return append([]byte(nil), data...)
		}
	}
	return nil
}

// absent reads the rows of column i that were not sent.
func (d *decoder) absent(b *change.Batch, i int) error {
	if err := d.full(); err != nil {
		return err
	}
	p, err := d.next()
	if err != nil {
		return err
	}
	b.Absent[i], err = d.bits(p)
	return err
}

// display reads display scales and checks that they can be shown.
func (d *decoder) display(v *vector.Vector) error {
	p, err := d.unsigned(1)
	if err != nil {
		return err
	}
	v.DScale = append(make([]uint8, 0, len(p)), p...)
	for i, s := range v.DScale {
		drop := v.Scale - int(s)
		if !v.Nulls.Get(i) && (drop < 0 || v.Dec == vector.Dec64 && drop > 18 && v.Ints[i] != 0) {
			return corrupt("display scale %d of a number of scale %d", s, v.Scale)
		}
	}
	return nil
}
