package exec

import (
	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// sumNumAgg is sum and avg with a numeric result: exact sums in 128 bits at one scale for
// all groups, and in numbers of any size once that does not suffice.
type sumNumAgg struct {
	avg   bool
	acc   []numState
	scale int     // of the sums
	shown []uint8 // display scale of each group's sum; nil: scale
	any   bool    // a value was added, so scale is set
	big   []decimal.Num
	isBig bool
}

// numState is one group: sum and number of values side by side, for the cache's sake.
type numState struct {
	sum   vector.Int128
	count int64
}

var numericType = schemas.Type{Kind: schemas.Numeric}

func (a *sumNumAgg) grow(n int) {
	a.acc = extend(a.acc, n)
	if a.isBig {
		a.big = extend(a.big, n)
	}
	if a.shown != nil {
		a.shown = extend(a.shown, n)
	}
}

func (a *sumNumAgg) bytes() int64 {
	return 24*int64(cap(a.acc)) + 64*int64(cap(a.big))
}

func (a *sumNumAgg) update(groups []uint32, v *vector.Vector, n int) error {
	if v.Enc == vector.Const && v.Nulls.Get(0) {
		return nil
	}
	fixed := v.Type.Kind != schemas.Numeric || v.Dec == vector.Dec64
	if !a.isBig && fixed && v.DScale == nil && a.sameScale(v.Scale) {
		a.add64(groups, v, n)
		return nil
	}
	for i := range n {
		if v.Null(i) {
			continue
		}
		if err := a.addNum(groupAt(groups, i), number(v, i), 1); err != nil {
			return err
		}
	}
	return nil
}

// number is row i as a Num, integers too.
func number(v *vector.Vector, i int) decimal.Num {
	if v.Type.Kind != schemas.Numeric {
		return decimal.FromInt(v.Int(i), 0)
	}
	return kernel.NumAt(v, i)
}

// sameScale says whether numbers of a scale can be added as they are; the first decide
// the scale of the sums.
func (a *sumNumAgg) sameScale(scale int) bool {
	if !a.any {
		a.scale, a.any = scale, true
		return a.shown == nil
	}
	return a.shown == nil && scale == a.scale
}

// add64 adds 64-bit coefficients at the scale of the sums. A sum of fewer than 2^63 of
// them fits 128 bits.
func (a *sumNumAgg) add64(groups []uint32, v *vector.Vector, n int) {
	switch {
	case v.Enc == vector.Flat && v.Nulls == nil && groups == nil:
		s := sum64(v.Ints[:n])
		a.acc[0].sum = decimal.Add128(a.acc[0].sum, s)
		a.acc[0].count += int64(n)
	case v.Enc == vector.Flat && v.Nulls == nil:
		ints := v.Ints[:len(groups)]
		for i, g := range groups {
			s := &a.acc[g]
			s.sum = decimal.Add128(s.sum, decimal.Wide(ints[i]))
			s.count++
		}
	default:
		for i := range n {
			if !v.Null(i) {
				s := &a.acc[groupAt(groups, i)]
				s.sum = decimal.Add128(s.sum, decimal.Wide(v.Int(i)))
				s.count++
			}
		}
	}
}

// sum64 adds integers: high and low halves apart, so that neither overflows within a
// batch.
func sum64(s []int64) vector.Int128 {
	var hi int64
	var lo uint64
	for _, x := range s {
		hi += x >> 32
		lo += uint64(uint32(x))
	}
	return decimal.Add128(decimal.Mul64(hi, 1<<32), vector.Int128{Lo: lo})
}

// addNum adds a number that stands for count values.
func (a *sumNumAgg) addNum(g uint32, x decimal.Num, count int64) error {
	if !a.isBig && a.addWide(g, x) {
		a.acc[g].count += count
		return nil
	}
	a.toBig()
	sum, err := decimal.Add(a.big[g], x)
	a.big[g] = sum
	a.acc[g].count += count
	return err
}

// addWide adds within 128 bits, keeping display scales by group once they differ.
func (a *sumNumAgg) addWide(g uint32, x decimal.Num) bool {
	w, scale, ok := x.Wide()
	if !ok {
		return false
	}
	if !a.any {
		a.scale, a.any = scale, true
	}
	if a.shown == nil && scale != a.scale {
		a.shown = make([]uint8, len(a.acc), cap(a.acc))
		for i := range a.shown {
			if a.acc[i].count > 0 {
				a.shown[i] = uint8(a.scale)
			}
		}
	}
	if scale > a.scale && !a.rescale(scale) {
		return false
	}
	if w, ok = decimal.Scale128(w, a.scale-scale); !ok {
		return false
	}
	s, ok := decimal.AddFits(a.acc[g].sum, w)
	if !ok {
		return false
	}
	a.acc[g].sum = s
	if a.shown != nil {
		a.shown[g] = max(a.shown[g], uint8(scale))
	}
	return true
}

func (a *sumNumAgg) rescale(scale int) bool {
	out := make([]numState, len(a.acc), cap(a.acc))
	for i, s := range a.acc {
		sum, ok := decimal.Scale128(s.sum, scale-a.scale)
		if !ok || !decimal.Fits128(s.sum) {
			return false
		}
		out[i] = numState{sum, s.count}
	}
	a.acc, a.scale = out, scale
	return true
}

// total is the sum of a group.
func (a *sumNumAgg) total(g int) decimal.Num {
	if a.isBig {
		return a.big[g]
	}
	x := decimal.FromWide(a.acc[g].sum, a.scale)
	if a.shown != nil && int(a.shown[g]) != a.scale {
		x = decimal.Round(x, int(a.shown[g]))
	}
	return x
}

func (a *sumNumAgg) toBig() {
	if a.isBig {
		return
	}
	a.big = make([]decimal.Num, len(a.acc), cap(a.acc))
	for g := range a.acc {
		if a.acc[g].count > 0 {
			a.big[g] = a.total(g)
		}
	}
	a.isBig, a.shown = true, nil
}

func (a *sumNumAgg) merge(o aggregator, from, to []uint32) error {
	b := o.(*sumNumAgg)
	if !a.isBig && !b.isBig && a.shown == nil && b.shown == nil && (!a.any || !b.any || a.scale == b.scale) {
		if b.any {
			a.scale, a.any = b.scale, true
		}
		for i, f := range from {
			s := &a.acc[to[i]]
			s.sum = decimal.Add128(s.sum, b.acc[f].sum)
			s.count += b.acc[f].count
		}
		return nil
	}
	for i, f := range from {
		if b.acc[f].count == 0 {
			continue
		}
		if err := a.addNum(to[i], b.total(int(f)), b.acc[f].count); err != nil {
			return err
		}
	}
	return nil
}

func (a *sumNumAgg) result() (*vector.Vector, error) {
	v := vector.New(numericType, len(a.acc))
	for g := range a.acc {
		n := a.acc[g].count
		if n == 0 {
			v.AppendNull()
			continue
		}
		if !a.avg && !a.isBig && a.shown == nil && decimal.Fits128(a.acc[g].sum) {
			v.AppendWide(a.acc[g].sum, a.scale)
			continue
		}
		x := a.total(g)
		if a.avg {
			var err error
			if x, err = decimal.Div(x, decimal.FromInt(n, 0)); err != nil {
				return nil, err
			}
		}
		appendNum(v, x)
	}
	return v, nil
}

// appendNum adds a number to a flat decimal vector.
func appendNum(v *vector.Vector, x decimal.Num) {
	if w, scale, ok := x.Wide(); ok {
		v.AppendWide(w, scale)
		return
	}
	v.AppendDecimalText(x.Append(nil))
}
