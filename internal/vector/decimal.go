package vector

import (
	"math/big"
	"math/bits"
	"strconv"

	"github.com/millrace/millrace/schemas"
)

// max64 is the first coefficient that Dec64 does not hold.
const max64 = 1_000_000_000_000_000_000

var pow10 = [...]int64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
	10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
	10000000000000000, 100000000000000000, max64}

// AppendDecimal adds coef × 10^-scale to a flat decimal vector, raising the
// vector's scale or tier when it must.
func (v *Vector) AppendDecimal(coef int64, scale int) {
	if v.Dec == Dec128 {
		v.AppendWide(Int128{Hi: coef >> 63, Lo: uint64(coef)}, scale)
		return
	}
	if v.Len == 0 && v.Type.Precision == 0 && v.Dec == Dec64 {
		v.Scale = scale
	}
	if v.Dec == Dec64 && scale != v.Scale {
		v.noteScale(scale)
		if scale > v.Scale {
			v.rescale(scale)
		}
	}
	if v.DScale != nil {
		v.DScale = append(v.DScale, uint8(scale))
	}
	if v.Dec == Dec64 {
		if c, ok := mulPow10(coef, v.Scale-scale); ok {
			v.Ints = append(v.Ints, c)
			v.grow()
			return
		}
		v.toText()
	}
	v.Strs.Append(AppendDecimalText(nil, coef, scale))
	v.grow()
}

// AppendWide adds coef × 10^-scale, |coef| < 10^38, to a flat decimal vector, raising
// its scale or tier when it must.
func (v *Vector) AppendWide(coef Int128, scale int) {
	if n := int64(coef.Lo); v.Dec == Dec64 && coef.Hi == n>>63 && n > -max64 && n < max64 {
		v.AppendDecimal(n, scale)
		return
	}
	if v.Dec == Dec64 {
		v.Wide = make([]Int128, len(v.Ints), max(v.Len+1, cap(v.Ints)))
		for i, c := range v.Ints {
			v.Wide[i] = Int128{Hi: c >> 63, Lo: uint64(c)}
		}
		v.Dec, v.Ints = Dec128, v.Ints[:0]
		if v.Len == 0 {
			v.Scale = scale
		}
	}
	if v.Dec == Dec128 && scale != v.Scale {
		v.noteScale(scale)
		if scale > v.Scale {
			v.rescaleWide(scale)
		}
	}
	if v.Dec == Dec128 {
		if c, ok := scaleWide(coef, v.Scale-scale); ok {
			if v.DScale != nil {
				v.DScale = append(v.DScale, uint8(scale))
			}
			v.Wide = append(v.Wide, c)
			v.grow()
			return
		}
		v.toText()
	}
	v.Strs.Append(placePoint(nil, coef.Big().Append(nil, 10), scale))
	v.grow()
}

// rescaleWide raises the scale of every wide coefficient, to text when one no longer fits.
func (v *Vector) rescaleWide(scale int) {
	out := make([]Int128, len(v.Wide), cap(v.Wide))
	for i, c := range v.Wide {
		n, ok := scaleWide(c, scale-v.Scale)
		if !ok {
			v.toText()
			return
		}
		out[i] = n
	}
	v.Wide, v.Scale = out, scale
}

// scaleWide gives c × 10^n when the result fits Dec128.
func scaleWide(c Int128, n int) (Int128, bool) {
	neg := c.Hi < 0
	if neg {
		c = negWide(c)
	}
	for ; n > 0; n -= 18 {
		p := uint64(pow10[min(n, 18)])
		hi, lo := bits.Mul64(c.Lo, p)
		over, mid := bits.Mul64(uint64(c.Hi), p)
		sum, carry := bits.Add64(hi, mid, 0)
		c = Int128{Hi: int64(sum), Lo: lo}
		if over != 0 || carry != 0 || c.Hi < 0 {
			return c, false
		}
	}
	// 10^38 is the first magnitude out of the tier.
	if c.Hi > 0x4B3B4CA85A86C47A || c.Hi == 0x4B3B4CA85A86C47A && c.Lo >= 0x098A224000000000 {
		return c, false
	}
	if neg {
		c = negWide(c)
	}
	return c, true
}

func negWide(c Int128) Int128 {
	lo, carry := bits.Add64(^c.Lo, 1, 0)
	return Int128{Hi: int64(uint64(^c.Hi) + carry), Lo: lo}
}

// AppendDecimalText adds a number given as PostgreSQL's text output. The vector
// becomes DecText.
func (v *Vector) AppendDecimalText(b []byte) {
	if v.Dec != DecText {
		v.toText()
	}
	v.Strs.Append(b)
	v.grow()
}

// appendDecimalNull adds the payload of a NULL.
func (v *Vector) appendDecimalNull() {
	switch v.Dec {
	case Dec64:
		v.Ints = append(v.Ints, 0)
	case Dec128:
		v.Wide = append(v.Wide, Int128{})
	case DecText:
		v.Strs.Append(nil)
	}
	if v.DScale != nil {
		v.DScale = append(v.DScale, 0)
	}
}

// noteScale starts keeping display scales once two differ.
func (v *Vector) noteScale(scale int) {
	if v.DScale == nil && scale != v.Scale {
		v.DScale = make([]uint8, v.Len, max(v.Len+1, cap(v.Ints)))
		for i := range v.DScale {
			v.DScale[i] = uint8(v.Scale)
		}
	}
}

// rescale raises the scale of every coefficient, to text when one no longer fits.
func (v *Vector) rescale(scale int) {
	up := scale - v.Scale
	for i, c := range v.Ints {
		n, ok := mulPow10(c, up)
		if !ok {
			for j := range v.Ints[:i] {
				v.Ints[j] = cutDigits(v.Ints[j], up)
			}
			v.toText()
			return
		}
		v.Ints[i] = n
	}
	v.Scale = scale
}

// toText turns the payload into DecText; display scales go into the text.
func (v *Vector) toText() {
	texts := Strings{Views: make([]View, 0, max(v.Len+1, cap(v.Ints), cap(v.Wide)))}
	var buf []byte
	for i := range v.Len {
		buf = buf[:0]
		if !v.Nulls.Get(i) {
			buf = v.AppendDecimalAt(buf, i)
		}
		texts.Append(buf)
	}
	v.Dec, v.Strs, v.DScale, v.Ints, v.Wide = DecText, texts, nil, v.Ints[:0], v.Wide[:0]
}

// mulPow10 gives c × 10^n when the result fits Dec64.
func mulPow10(c int64, n int) (int64, bool) {
	if n == 0 {
		return c, true
	}
	if n < 0 || n >= len(pow10) {
		return 0, c == 0 && n > 0
	}
	u := uint64(c)
	if c < 0 {
		u = -u
	}
	hi, lo := bits.Mul64(u, uint64(pow10[n]))
	if hi != 0 || lo >= max64 {
		return 0, false
	}
	return c * pow10[n], true
}

// AppendDecimalAt appends row i, not NULL, as PostgreSQL prints it.
func (v *Vector) AppendDecimalAt(dst []byte, i int) []byte {
	if v.Dec == DecText {
		return append(dst, v.Bytes(i)...)
	}
	show := v.Scale
	if v.DScale != nil {
		if v.Enc == Const {
			i = 0
		}
		show = int(v.DScale[i])
	}
	if v.Dec == Dec64 {
		return AppendDecimalText(dst, cutDigits(v.Int(i), v.Scale-show), show)
	}
	w := v.Wide[0]
	switch v.Enc {
	case Flat:
		w = v.Wide[i]
	case Dict:
		w = v.Dict.Wide[v.Codes.At(i)]
	}
	n := w.Big()
	if drop := v.Scale - show; drop > 0 {
		n.Quo(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(drop)), nil))
	}
	return placePoint(dst, n.Append(nil, 10), show)
}

// Big returns the number as a big.Int.
func (x Int128) Big() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(x.Hi), 64)
	return n.Add(n, new(big.Int).SetUint64(x.Lo))
}

// AppendDecimalText appends coef × 10^-scale with exactly scale digits after the point.
func AppendDecimalText(dst []byte, coef int64, scale int) []byte {
	var digits [20]byte
	return placePoint(dst, strconv.AppendInt(digits[:0], coef, 10), scale)
}

// placePoint appends an integer's digits with the point scale digits from the right.
func placePoint(dst, digits []byte, scale int) []byte {
	if len(digits) > 0 && digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if scale <= 0 {
		return append(dst, digits...)
	}
	if len(digits) <= scale {
		dst = append(dst, '0', '.')
		for range scale - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	dst = append(dst, '.')
	return append(dst, digits[len(digits)-scale:]...)
}

// maxScale64 is the largest scale of a value that is held as a coefficient.
const maxScale64 = 18

// cutDigits drops n digits, all zeros, from the end of a coefficient.
func cutDigits(c int64, n int) int64 {
	for ; n > 0 && c != 0; n -= 18 {
		c /= pow10[min(n, 18)]
	}
	return c
}

// decimalValue returns row i of a decimal vector.
func (v *Vector) decimalValue(i int) schemas.Value {
	if v.Dec == Dec64 {
		show := v.Scale
		if v.DScale != nil {
			at := i
			if v.Enc == Const {
				at = 0
			}
			show = int(v.DScale[at])
		}
		c := cutDigits(v.Int(i), v.Scale-show)
		if show <= maxScale64 {
			return schemas.NewNumeric(c, show)
		}
	}
	text := v.AppendDecimalAt(nil, i)
	return NumericValue(text)
}

// NumericValue makes the value of a number in PostgreSQL's text output: in 64
// bits when it has at most 18 digits and 18 of them after the point, as text
// otherwise, so that equal numbers of one display scale have one form.
func NumericValue(text []byte) schemas.Value {
	digits, neg := text, false
	if len(digits) > 0 && digits[0] == '-' {
		digits, neg = digits[1:], true
	}
	n, scale, point := int64(0), 0, false
	for _, c := range digits {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9' || n >= max64/10:
			return schemas.NewNumericText(string(text))
		}
		n = n*10 + int64(c-'0')
		if point {
			scale++
		}
	}
	if scale > 18 || len(digits) == 0 {
		return schemas.NewNumericText(string(text))
	}
	if neg {
		n = -n
	}
	return schemas.NewNumeric(n, scale)
}
