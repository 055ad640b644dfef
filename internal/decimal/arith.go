package decimal

import (
	"math/big"

	"github.com/millrace/millrace/schemas"
)

// ErrDivisionByZero is PostgreSQL's division_by_zero.
func errDivisionByZero() error {
	return schemas.Errorf(schemas.CodeDivisionByZero, "22012", "division by zero")
}

// checked refuses a number that PostgreSQL could not hold and cuts digits that
// it would not keep.
func checked(n Num) (Num, error) {
	if n.scale > maxScale {
		n = Round(n, maxScale)
	}
	if n.coef != nil && n.coef.BitLen() > 430000 { // about 131072 digits
		if len(n.coef.String())-n.scale > maxIntDigits {
			return n, schemas.Errorf(schemas.CodeOutOfRange, "22003", "value overflows numeric format")
		}
	}
	return n, nil
}

// Neg is -a.
func Neg(a Num) Num {
	switch a.form {
	case negInf:
		return Inf
	case posInf:
		return NegInf
	case nan:
		return NaN
	}
	return Num{coef: new(big.Int).Neg(a.Coef()), scale: a.scale}
}

// Abs is |a|.
func Abs(a Num) Num {
	if a.Sign() < 0 {
		return Neg(a)
	}
	return a
}

// Add is a + b at the larger scale.
func Add(a, b Num) (Num, error) {
	if a.form != finite || b.form != finite {
		switch {
		case a.form == nan || b.form == nan:
			return NaN, nil
		case a.form == finite:
			return b, nil
		case b.form == finite || a.form == b.form:
			return a, nil
		}
		return NaN, nil
	}
	x, y, scale := align(a, b)
	return checked(Num{coef: new(big.Int).Add(x, y), scale: scale})
}

// Sub is a - b at the larger scale.
func Sub(a, b Num) (Num, error) { return Add(a, Neg(b)) }

// Mul is a × b at the sum of the scales.
func Mul(a, b Num) (Num, error) {
	if a.form != finite || b.form != finite {
		s := a.Sign() * b.Sign()
		switch {
		case a.form == nan || b.form == nan || s == 0:
			return NaN, nil
		case s > 0:
			return Inf, nil
		}
		return NegInf, nil
	}
	return checked(Num{coef: new(big.Int).Mul(a.Coef(), b.Coef()), scale: a.scale + b.scale})
}

// Div is a / b, rounded at the scale that PostgreSQL's select_div_scale gives.
func Div(a, b Num) (Num, error) {
	if a.form != finite || b.form != finite {
		return divSpecial(a, b)
	}
	if b.Sign() == 0 {
		return Num{}, errDivisionByZero()
	}
	return DivAt(a, b, divScale(a, b)), nil
}

func divSpecial(a, b Num) (Num, error) {
	switch {
	case a.form == nan || b.form == nan:
		return NaN, nil
	case a.form == finite:
		return Num{}, nil // PostgreSQL gives a plain 0
	case b.form != finite:
		return NaN, nil
	}
	switch s := a.Sign() * b.Sign(); {
	case s == 0:
		return Num{}, errDivisionByZero()
	case s > 0:
		return Inf, nil
	}
	return NegInf, nil
}

// DivAt is a / b rounded half away from zero to scale digits; b is not 0.
func DivAt(a, b Num, scale int) Num {
	x, y := a.Coef(), b.Coef()
	if up := scale + b.scale - a.scale; up >= 0 {
		x = mulPow(x, up)
	} else {
		y = mulPow(y, -up)
	}
	return Num{coef: quoRound(x, y), scale: scale}
}

// quoRound divides, rounding half away from zero.
func quoRound(x, y *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	r.Abs(r).Lsh(r, 1)
	if r.CmpAbs(y) >= 0 {
		if x.Sign()*y.Sign() < 0 {
			q.Sub(q, big.NewInt(1))
		} else {
			q.Add(q, big.NewInt(1))
		}
	}
	return q
}

// leading gives weight and first digit in base 10000, as PostgreSQL stores them.
func leading(n Num) (weight, first int) {
	if n.Sign() == 0 {
		return 0, 0
	}
	var buf [64]byte
	text := new(big.Int).Abs(n.Coef()).Append(buf[:0], 10)
	return leadingDigits(len(text), n.scale, func(i int) int { return int(text[i] - '0') })
}

// leadingDigits does it from the decimal digits.
func leadingDigits(count, scale int, digit func(int) int) (weight, first int) {
	exp := count - 1 - scale
	weight = exp >> 2 // floor
	for i := range exp - 4*weight + 1 {
		first *= 10
		if i < count {
			first += digit(i)
		}
	}
	return weight, first
}

// divScale is PostgreSQL's select_div_scale.
func divScale(a, b Num) int {
	w1, f1 := leading(a)
	w2, f2 := leading(b)
	return scaleOf(w1, f1, w2, f2, a.scale, b.scale)
}

func scaleOf(w1, f1, w2, f2, s1, s2 int) int {
	q := w1 - w2
	if f1 <= f2 {
		q--
	}
	return min(max(minSigDigits-4*q, s1, s2, 0), maxDisplayScale)
}

// DivWide is Div in the 128-bit tier: coefficient and scale of a/b. b is not 0; ok
// is false when an intermediate number does not fit.
func DivWide(a Int128, sa int, b Int128, sb int) (Int128, int, bool) {
	w1, f1 := leadingWide(a, sa)
	w2, f2 := leadingWide(b, sb)
	scale := scaleOf(w1, f1, w2, f2, sa, sb)
	d, small := ToInt64(b)
	up := scale + sb - sa
	if !small || up < 0 || d == -1<<63 {
		return Int128{}, 0, false
	}
	x, ok := Scale128(a, up)
	if !ok {
		return Int128{}, 0, false
	}
	if d < 0 {
		x, d = Neg128(x), -d
	}
	return DivRound(x, uint64(d)), scale, true
}

func leadingWide(n Int128, scale int) (weight, first int) {
	if n == (Int128{}) {
		return 0, 0
	}
	if n.Hi < 0 {
		n = Neg128(n)
	}
	count := Digits(n)
	exp := count - 1 - scale
	weight = exp >> 2
	keep := exp - 4*weight + 1 // decimal digits of the first base-10000 digit
	if keep > count {
		return weight, int(n.Lo * pow10[keep-count])
	}
	drop := count - keep
	for drop > 18 {
		n, _ = DivRem(n, Max64)
		drop -= 18
	}
	n, _ = DivRem(n, pow10[drop])
	return weight, int(n.Lo)
}

// Mod is the remainder of truncating division, with the sign of a.
func Mod(a, b Num) (Num, error) {
	if a.form != finite || b.form != finite {
		switch {
		case a.form == nan || b.form == nan:
			return NaN, nil
		case a.form != finite:
			if b.Sign() == 0 {
				return Num{}, errDivisionByZero()
			}
			return NaN, nil
		}
		return a, nil
	}
	if b.Sign() == 0 {
		return Num{}, errDivisionByZero()
	}
	x, y, scale := align(a, b)
	return Num{coef: new(big.Int).Rem(x, y), scale: scale}, nil
}

// DivTrunc is a / b cut to a whole number, PostgreSQL's div(a, b).
func DivTrunc(a, b Num) (Num, error) {
	if a.form != finite || b.form != finite {
		return divSpecial(a, b)
	}
	if b.Sign() == 0 {
		return Num{}, errDivisionByZero()
	}
	x, y, _ := align(a, b)
	return Num{coef: new(big.Int).Quo(x, y)}, nil
}
