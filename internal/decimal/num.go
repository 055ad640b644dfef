// Package decimal computes with exact numbers as PostgreSQL's numeric does: 128-bit
// coefficients while they fit, arbitrary size beyond, with its scale rules.
package decimal

import (
	"cmp"
	"math/big"
	"strconv"

	"github.com/millrace/millrace/schemas"
)

// form tells finite numbers from the special ones.
type form uint8

const (
	finite form = iota
	negInf
	posInf
	nan
)

// maxDisplayScale is PostgreSQL's NUMERIC_MAX_DISPLAY_SCALE, minSigDigits its
// NUMERIC_MIN_SIG_DIGITS, maxScale its NUMERIC_DSCALE_MAX and maxWeight the digits it
// allows before the point.
const (
	maxDisplayScale = 1000
	minSigDigits    = 16
	maxScale        = 16383
	maxIntDigits    = 131072
)

// Num is a numeric of any size: coefficient × 10^-scale, where scale is also the
// number of digits shown after the point. The zero Num is 0. A Num is immutable.
type Num struct {
	form  form
	scale int
	coef  *big.Int // nil is 0
}

// The special numbers.
var (
	NaN    = Num{form: nan}
	Inf    = Num{form: posInf}
	NegInf = Num{form: negInf}
)

var bigZero = new(big.Int)

// New makes coef × 10^-scale. It keeps coef.
func New(coef *big.Int, scale int) Num { return Num{coef: coef, scale: scale} }

// FromInt makes coef × 10^-scale.
func FromInt(coef int64, scale int) Num { return Num{coef: big.NewInt(coef), scale: scale} }

// FromWide makes coef × 10^-scale.
func FromWide(coef Int128, scale int) Num { return Num{coef: coef.Big(), scale: scale} }

// Coef returns the coefficient; do not change it.
func (n Num) Coef() *big.Int {
	if n.coef == nil {
		return bigZero
	}
	return n.coef
}

// Scale is the number of digits after the point.
func (n Num) Scale() int { return n.scale }

// IsFinite is false for NaN and the infinities.
func (n Num) IsFinite() bool { return n.form == finite }

// IsNaN says whether the number is NaN.
func (n Num) IsNaN() bool { return n.form == nan }

// Sign is -1, 0 or 1; NaN counts as positive, as in ordering.
func (n Num) Sign() int {
	switch n.form {
	case finite:
		return n.Coef().Sign()
	case negInf:
		return -1
	}
	return 1
}

// Wide gives coefficient and scale when they fit the 128-bit tier.
func (n Num) Wide() (Int128, int, bool) {
	if n.form != finite || n.scale > 255 {
		return Int128{}, 0, false
	}
	w, ok := FromBig(n.Coef())
	return w, n.scale, ok
}

// FromValue reads a numeric value that is not NULL.
func FromValue(v schemas.Value) Num {
	coef, scale, text, ok := v.Numeric()
	if ok {
		return FromInt(coef, scale)
	}
	n, err := Parse([]byte(text))
	if err != nil {
		panic("decimal: value is not canonical: " + text)
	}
	return n
}

// Value makes a value of the number.
func (n Num) Value() schemas.Value {
	if n.form == finite && n.scale <= 18 && n.Coef().IsInt64() {
		if c := n.Coef().Int64(); c > -Max64 && c < Max64 {
			return schemas.NewNumeric(c, n.scale)
		}
	}
	return schemas.NewNumericText(string(n.Append(nil)))
}

// Append appends PostgreSQL's text output.
func (n Num) Append(dst []byte) []byte {
	switch n.form {
	case nan:
		return append(dst, "NaN"...)
	case posInf:
		return append(dst, "Infinity"...)
	case negInf:
		return append(dst, "-Infinity"...)
	}
	digits := n.Coef().Append(nil, 10)
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if n.scale <= 0 {
		return append(dst, digits...)
	}
	if len(digits) <= n.scale {
		dst = append(dst, '0', '.')
		for range n.scale - len(digits) {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[:len(digits)-n.scale]...)
	dst = append(dst, '.')
	return append(dst, digits[len(digits)-n.scale:]...)
}

// String is PostgreSQL's text output.
func (n Num) String() string { return string(n.Append(nil)) }

// Parse reads plain decimal notation, with an optional exponent, or NaN and the
// infinities in PostgreSQL's output spelling. Input in all the forms that
// PostgreSQL accepts is internal/pgtext's business.
func Parse(b []byte) (Num, error) {
	switch string(b) {
	case "NaN":
		return NaN, nil
	case "Infinity":
		return Inf, nil
	case "-Infinity":
		return NegInf, nil
	}
	digits := make([]byte, 0, len(b))
	scale, exp, point, seen := 0, 0, false, false
scan:
	for i, c := range b {
		switch {
		case (c == '-' || c == '+') && i == 0:
			if c == '-' {
				digits = append(digits, c)
			}
		case c == '.' && !point:
			point = true
		case c >= '0' && c <= '9':
			digits, seen = append(digits, c), true
			if point {
				scale++
			}
		case (c == 'e' || c == 'E') && seen:
			e, err := strconv.Atoi(string(b[i+1:]))
			if err != nil || e > maxIntDigits || e < -maxScale {
				return Num{}, badText(b)
			}
			exp = e
			break scan
		default:
			return Num{}, badText(b)
		}
	}
	if !seen {
		return Num{}, badText(b)
	}
	coef, ok := new(big.Int).SetString(string(digits), 10)
	if !ok {
		return Num{}, badText(b)
	}
	n := Num{coef: coef, scale: scale - exp}
	if n.scale < 0 {
		n = Num{coef: mulPow(coef, -n.scale)}
	}
	return n, nil
}

func badText(b []byte) error {
	return schemas.Errorf(schemas.CodeInvalidText, "22P02", "invalid input syntax for type numeric: %q", b)
}

// bigPow10 is 10^n.
func bigPow10(n int) *big.Int {
	if n < len(pow10) {
		return new(big.Int).SetUint64(pow10[n])
	}
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func mulPow(n *big.Int, by int) *big.Int {
	if by == 0 {
		return n
	}
	return new(big.Int).Mul(n, bigPow10(by))
}

// align brings two finite numbers to one scale.
func align(a, b Num) (x, y *big.Int, scale int) {
	scale = max(a.scale, b.scale)
	return mulPow(a.Coef(), scale-a.scale), mulPow(b.Coef(), scale-b.scale), scale
}

// Cmp orders numbers as PostgreSQL does: -Infinity first, NaN last and equal to
// itself.
func Cmp(a, b Num) int {
	if a.form != finite || b.form != finite {
		return cmp.Compare(rank(a), rank(b))
	}
	if sa, sb := a.Sign(), b.Sign(); sa != sb {
		if sa < sb {
			return -1
		}
		return 1
	}
	x, y, _ := align(a, b)
	return x.Cmp(y)
}

func rank(n Num) int {
	switch n.form {
	case negInf:
		return 0
	case posInf:
		return 2
	case nan:
		return 3
	}
	return 1
}
