package decimal

import (
	"math/big"
	"math/bits"

	"github.com/millrace/millrace/internal/vector"
)

// Int128 is the coefficient of the middle tier.
type Int128 = vector.Int128

// Max64 and Max128 are the first coefficients that the two fixed tiers do not
// hold: 10^18 and 10^38.
const Max64 = 1_000_000_000_000_000_000

var max128 = Int128{Hi: 0x4B3B4CA85A86C47A, Lo: 0x098A224000000000}

var pow10 = [20]uint64{1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
	10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000, 1000000000000000,
	10000000000000000, 100000000000000000, Max64, 10 * Max64}

// Pow10 is 10^n for n in 0..18.
func Pow10(n int) int64 { return int64(pow10[n]) }

// Wide makes a 128-bit number of a 64-bit one.
func Wide(n int64) Int128 { return Int128{Hi: n >> 63, Lo: uint64(n)} }

// AddFits adds; ok is false when the sum leaves the tier.
func AddFits(a, b Int128) (sum Int128, ok bool) {
	sum = Add128(a, b)
	overflow := (a.Hi^sum.Hi)&(b.Hi^sum.Hi) < 0
	return sum, !overflow && Fits128(sum)
}

// Add128 adds without a check.
func Add128(a, b Int128) Int128 {
	lo, c := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(uint64(a.Hi), uint64(b.Hi), c)
	return Int128{Hi: int64(hi), Lo: lo}
}

// Sub128 subtracts without a check.
func Sub128(a, b Int128) Int128 { return Add128(a, Neg128(b)) }

// Neg128 negates.
func Neg128(a Int128) Int128 {
	lo, c := bits.Add64(^a.Lo, 1, 0)
	return Int128{Hi: int64(uint64(^a.Hi) + c), Lo: lo}
}

// Cmp128 orders two numbers.
func Cmp128(a, b Int128) int {
	switch {
	case a.Hi != b.Hi:
		if a.Hi < b.Hi {
			return -1
		}
		return 1
	case a.Lo != b.Lo:
		if a.Lo < b.Lo {
			return -1
		}
		return 1
	}
	return 0
}

// Fits128 says whether the magnitude is below 10^38.
func Fits128(a Int128) bool {
	if a.Hi < 0 {
		a = Neg128(a)
	}
	return a.Hi >= 0 && Cmp128(a, max128) < 0
}

// To64 gives the number in 64 bits when its magnitude is below 10^18.
func To64(a Int128) (int64, bool) {
	n := int64(a.Lo)
	return n, a.Hi == n>>63 && n > -Max64 && n < Max64
}

// ToInt64 gives the number in 64 bits when it fits int64.
func ToInt64(a Int128) (int64, bool) {
	n := int64(a.Lo)
	return n, a.Hi == n>>63
}

// Mul64 is the exact product of two 64-bit numbers.
func Mul64(a, b int64) Int128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return Int128{Hi: int64(hi) - (a>>63)&b - (b>>63)&a, Lo: lo}
}

// Mul128 multiplies; ok is false when the product leaves the tier.
func Mul128(a, b Int128) (Int128, bool) {
	neg := false
	if a.Hi < 0 {
		a, neg = Neg128(a), !neg
	}
	if b.Hi < 0 {
		b, neg = Neg128(b), !neg
	}
	if a.Hi != 0 && b.Hi != 0 {
		return Int128{}, false
	}
	if a.Hi != 0 {
		a, b = b, a
	}
	hi, lo := bits.Mul64(a.Lo, b.Lo)
	over, mid := bits.Mul64(a.Lo, uint64(b.Hi))
	sum, carry := bits.Add64(hi, mid, 0)
	p := Int128{Hi: int64(sum), Lo: lo}
	if over != 0 || carry != 0 || p.Hi < 0 || Cmp128(p, max128) >= 0 {
		return Int128{}, false
	}
	if neg {
		p = Neg128(p)
	}
	return p, true
}

// Scale128 is a × 10^n for n ≥ 0; ok is false when the product leaves the tier.
func Scale128(a Int128, n int) (Int128, bool) {
	if a == (Int128{}) {
		return a, true
	}
	for n > 18 {
		var ok bool
		if a, ok = Mul128(a, Wide(Max64)); !ok {
			return a, false
		}
		n -= 18
	}
	return Mul128(a, Wide(int64(pow10[n])))
}

// DivRound divides by a positive 64-bit number, rounding half away from zero.
func DivRound(a Int128, d uint64) Int128 {
	q, r := DivRem(a, d)
	neg := a.Hi < 0
	if neg {
		r = -r
	}
	if u := uint64(r); u >= d-u {
		if neg {
			return Sub128(q, Wide(1))
		}
		return Add128(q, Wide(1))
	}
	return q
}

// DivRem divides by a positive 64-bit number below 2^63, truncating.
func DivRem(a Int128, d uint64) (Int128, int64) {
	neg := a.Hi < 0
	if neg {
		a = Neg128(a)
	}
	hi, rem := uint64(a.Hi)/d, uint64(a.Hi)%d
	lo, rem := bits.Div64(rem, a.Lo, d)
	q := Int128{Hi: int64(hi), Lo: lo}
	if neg {
		return Neg128(q), -int64(rem)
	}
	return q, int64(rem)
}

// FromBig gives the number in 128 bits when its magnitude is below 10^38.
func FromBig(n *big.Int) (Int128, bool) {
	if n.BitLen() > 127 {
		return Int128{}, false
	}
	var words [2]uint64
	for i, w := range n.Bits() {
		words[i] = uint64(w)
	}
	v := Int128{Hi: int64(words[1]), Lo: words[0]}
	if Cmp128(v, max128) >= 0 {
		return Int128{}, false
	}
	if n.Sign() < 0 {
		v = Neg128(v)
	}
	return v, true
}

// Digits is the number of decimal digits of a magnitude; 0 has one.
func Digits(a Int128) int {
	if a.Hi < 0 {
		a = Neg128(a)
	}
	if a.Hi == 0 {
		return digits64(a.Lo)
	}
	q, r := DivRem(a, Max64)
	if q.Hi != 0 {
		q, _ = DivRem(q, Max64)
		return 36 + digits64(q.Lo)
	}
	_ = r
	return 18 + digits64(q.Lo)
}

func digits64(n uint64) int {
	d := (bits.Len64(n|1) * 1233) >> 12
	if d < len(pow10) && n >= pow10[d] {
		d++
	}
	return max(d, 1)
}
