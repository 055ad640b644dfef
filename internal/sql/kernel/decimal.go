package kernel

import (
	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

var numeric = schemas.Type{Kind: schemas.Numeric}

// showAt is the display scale of row i.
func showAt(v *vector.Vector, i int) int {
	if v.DScale == nil {
		return v.Scale
	}
	if v.Enc == vector.Const {
		i = 0
	}
	return int(v.DScale[i])
}

// wideAt is the coefficient of row i at the scale of v, which is not DecText.
func wideAt(v *vector.Vector, i int) vector.Int128 {
	if v.Dec == vector.Dec64 {
		return decimal.Wide(v.Int(i))
	}
	switch v.Enc {
	case vector.Const:
		return v.Wide[0]
	case vector.Dict:
		return v.Dict.Wide[v.Codes.At(i)]
	}
	return v.Wide[i]
}

// NumAt is row i of a decimal vector; the row is not NULL.
func NumAt(v *vector.Vector, i int) decimal.Num {
	if v.Dec == vector.DecText {
		n, err := decimal.Parse(v.Bytes(i))
		if err != nil {
			panic("kernel: a decimal vector holds " + string(v.Bytes(i)))
		}
		return n
	}
	show := showAt(v, i)
	n := decimal.FromWide(wideAt(v, i), v.Scale)
	if show != v.Scale {
		n = decimal.Round(n, show)
	}
	return n
}

// numBuilder collects numbers of any size and scale into a vector of the narrowest tier.
type numBuilder struct {
	wide   []vector.Int128
	scales []uint8
	texts  []decimal.Num // all numbers so far, once one left the fixed tiers
	big    bool
	max    int
	mixed  bool
}

func (nb *numBuilder) add(x decimal.Num) {
	if !nb.big {
		if w, scale, ok := x.Wide(); ok {
			nb.addWide(w, scale)
			return
		}
		nb.toBig()
	}
	nb.texts = append(nb.texts, x)
}

func (nb *numBuilder) toBig() {
	nb.big = true
	for i, w := range nb.wide {
		nb.texts = append(nb.texts, decimal.FromWide(w, int(nb.scales[i])))
	}
}

func (nb *numBuilder) addWide(w vector.Int128, scale int) {
	if nb.big {
		nb.texts = append(nb.texts, decimal.FromWide(w, scale))
		return
	}
	if len(nb.scales) > 0 && scale != nb.max {
		nb.mixed = true
	}
	nb.max = max(nb.max, scale)
	nb.wide, nb.scales = append(nb.wide, w), append(nb.scales, uint8(scale))
}

// addSame adds a placeholder for a NULL: it must not widen or mix anything.
func (nb *numBuilder) addNull() {
	if nb.big {
		nb.texts = append(nb.texts, decimal.Num{})
		return
	}
	nb.wide, nb.scales = append(nb.wide, vector.Int128{}), append(nb.scales, uint8(nb.max))
}

// buildNums runs f for every row that is not skipped; f adds one number.
func buildNums(b *Buffer, n int, skip vector.Bitmap, f func(out *numBuilder, i int) error) error {
	nb := numBuilder{wide: make([]vector.Int128, 0, n), scales: make([]uint8, 0, n)}
	for i := range n {
		if skip.Get(i) {
			nb.addNull()
			continue
		}
		if err := f(&nb, i); err != nil {
			return &rowAt{i, err}
		}
	}
	nb.finish(b, skip)
	return nil
}

// finish makes the vector.
func (nb *numBuilder) finish(b *Buffer, skip vector.Bitmap) {
	if !nb.big && nb.mixed && !nb.rescale() {
		nb.toBig()
	}
	if nb.big {
		out := b.strings(numeric, len(nb.texts))
		var buf []byte
		for i, x := range nb.texts {
			buf = buf[:0]
			if !skip.Get(i) {
				buf = x.Append(buf)
			}
			out.Append(buf)
		}
		b.keepBytes()
		b.Vec.Dec = vector.DecText
		return
	}
	narrow := b.decimal64(numeric, len(nb.wide), nb.max)
	for i, w := range nb.wide {
		c, ok := decimal.To64(w)
		if !ok {
			copy(b.decimal128(numeric, len(nb.wide), nb.max), nb.wide)
			break
		}
		narrow[i] = c
	}
	if nb.mixed {
		b.Vec.DScale = nb.scales
	}
}

// rescale brings every coefficient to the largest scale.
func (nb *numBuilder) rescale() bool {
	out := make([]vector.Int128, len(nb.wide))
	for i, w := range nb.wide {
		c, ok := decimal.Scale128(w, nb.max-int(nb.scales[i]))
		if !ok {
			return false
		}
		out[i] = c
	}
	nb.wide = out
	return true
}

// coefs gives the coefficients of a Dec64 vector at a scale not below its own, in mem
// where they must be computed; ok is false when one would leave the tier.
func coefs(mem *[]int64, v *vector.Vector, n, scale int) ([]int64, bool) {
	up := scale - v.Scale
	if up == 0 && v.Enc == vector.Flat {
		return v.Ints[:n], true
	}
	if up > 18 {
		return nil, false
	}
	factor := decimal.Pow10(up)
	limit := (decimal.Max64 - 1) / factor
	out := resize(mem, n)
	if v.Enc == vector.Const {
		c := v.Ints[0]
		if c > limit || c < -limit {
			return nil, false
		}
		fill(out, c*factor)
		return out, true
	}
	var bad uint64
	for i, c := range v.Ints[:n] {
		bad |= uint64(limit-c) | uint64(c+limit)
		out[i] = c * factor
	}
	return out, bad>>63 == 0
}

func fill[T any](s []T, x T) {
	for i := range s {
		s[i] = x
	}
}

// inTier says whether all coefficients are those of Dec64.
func inTier(s []int64) bool {
	var bad uint64
	for _, c := range s {
		bad |= uint64(decimal.Max64-1-c) | uint64(c+decimal.Max64-1)
	}
	return bad>>63 == 0
}

// maxAbs bounds the magnitudes of s; it is at least 1.
func maxAbs(s []int64) uint64 {
	var m uint64
	for _, c := range s {
		m |= uint64(c ^ c>>63)
	}
	return m + 1
}

// decAdd is a + b, or a - b.
func decAdd(neg bool) kernelFunc {
	var memA, memB []int64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x, y := v[0], v[1]
		scale := max(x.Scale, y.Scale)
		if x.Dec == vector.Dec64 && y.Dec == vector.Dec64 {
			p, ok1 := coefs(&memA, x, n, scale)
			q, ok2 := coefs(&memB, y, n, scale)
			if ok1 && ok2 {
				out := b.decimal64(numeric, n, scale)
				if neg {
					subUnchecked(out, p, q)
				} else {
					addUnchecked(out, p, q)
				}
				if inTier(out) {
					b.Vec.DScale = joinScales(b, x, y, n, func(p, q int) int { return max(p, q) })
					return nil
				}
			}
		}
		if x.Dec != vector.DecText && y.Dec != vector.DecText && addWide(b, x, y, n, neg) {
			return nil
		}
		return buildNums(b, n, skip, func(out *numBuilder, i int) error {
			q := NumAt(y, i)
			if neg {
				q = decimal.Neg(q)
			}
			r, err := decimal.Add(NumAt(x, i), q)
			out.add(r)
			return err
		})
	}
}

func addUnchecked(out, a, b []int64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] + b[i]
	}
}

func subUnchecked(out, a, b []int64) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = a[i] - b[i]
	}
}

// addWide is the 128-bit tier of decAdd; false when a number leaves it.
func addWide(b *Buffer, x, y *vector.Vector, n int, neg bool) bool {
	scale := max(x.Scale, y.Scale)
	out := b.decimal128(numeric, n, scale)
	for i := range out {
		p, ok1 := decimal.Scale128(wideAt(x, i), scale-x.Scale)
		q, ok2 := decimal.Scale128(wideAt(y, i), scale-y.Scale)
		if neg {
			q = decimal.Neg128(q)
		}
		sum, ok := decimal.AddFits(p, q)
		if !ok || !ok1 || !ok2 {
			return false
		}
		out[i] = sum
	}
	b.Vec.DScale = joinScales(b, x, y, n, func(p, q int) int { return max(p, q) })
	return true
}

// joinScales computes display scales when an argument has some.
func joinScales(b *Buffer, x, y *vector.Vector, n int, f func(p, q int) int) []uint8 {
	if x.DScale == nil && y.DScale == nil {
		return nil
	}
	out := resize(&b.scales, n)
	for i := range out {
		out[i] = uint8(f(showAt(x, i), showAt(y, i)))
	}
	return out
}

// decMul is a × b.
func decMul() kernelFunc {
	var memA, memB []int64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x, y := v[0], v[1]
		scale := x.Scale + y.Scale
		sum := func(p, q int) int { return p + q }
		if x.Dec == vector.Dec64 && y.Dec == vector.Dec64 && scale <= 255 {
			p, _ := coefs(&memA, x, n, x.Scale)
			q, _ := coefs(&memB, y, n, y.Scale)
			m1, m2 := maxAbs(p), maxAbs(q)
			if m1 <= (decimal.Max64-1)/m2 {
				out := b.decimal64(numeric, n, scale)
				p, q = p[:len(out)], q[:len(out)]
				for i := range out {
					out[i] = p[i] * q[i]
				}
			} else {
				out := b.decimal128(numeric, n, scale)
				p, q = p[:len(out)], q[:len(out)]
				for i := range out {
					out[i] = decimal.Mul64(p[i], q[i])
				}
			}
			b.Vec.DScale = joinScales(b, x, y, n, sum)
			return nil
		}
		if x.Dec != vector.DecText && y.Dec != vector.DecText && scale <= 255 && mulWide(b, x, y, n) {
			b.Vec.DScale = joinScales(b, x, y, n, sum)
			return nil
		}
		return buildNums(b, n, skip, func(out *numBuilder, i int) error {
			r, err := decimal.Mul(NumAt(x, i), NumAt(y, i))
			out.add(r)
			return err
		})
	}
}

func mulWide(b *Buffer, x, y *vector.Vector, n int) bool {
	out := b.decimal128(numeric, n, x.Scale+y.Scale)
	for i := range out {
		var ok bool
		if out[i], ok = decimal.Mul128(wideAt(x, i), wideAt(y, i)); !ok {
			return false
		}
	}
	return true
}

// decDiv is a / b with PostgreSQL's scale for each row.
func decDiv(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
	x, y := v[0], v[1]
	fixed := x.Dec != vector.DecText && y.Dec != vector.DecText
	return buildNums(b, n, skip, func(out *numBuilder, i int) error {
		if fixed && x.DScale == nil && y.DScale == nil {
			if d := wideAt(y, i); d != (vector.Int128{}) {
				if q, scale, ok := decimal.DivWide(wideAt(x, i), x.Scale, d, y.Scale); ok && scale <= 255 {
					if decimal.Fits128(q) {
						out.addWide(q, scale)
						return nil
					}
				}
			}
		}
		r, err := decimal.Div(NumAt(x, i), NumAt(y, i))
		out.add(r)
		return err
	})
}

// decNeg is -a.
func decNeg(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
	x := v[0]
	if x.Dec != vector.Dec64 {
		return eachNum(func(a *args) (decimal.Num, error) { return decimal.Neg(a.num(0)), nil })(b, v, n, skip)
	}
	out := b.decimal64(numeric, n, x.Scale)
	for i := range out {
		out[i] = -x.Int(i)
	}
	b.Vec.DScale = x.DScale
	return nil
}
