package rowexec

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/millrace/millrace/schemas"
)

// PostgreSQL's limits of display scale (numeric.h).
const (
	maxDisplayScale = 1000
	maxScale        = 16383
	minSigDigits    = 16
)

// dec is a numeric: coef × 10^-scale shown with scale digits, or one of the
// three special values.
type dec struct {
	special byte // 0, 'N' NaN, '+' Infinity, '-' -Infinity
	coef    *big.Int
	scale   int
}

var (
	decNaN    = dec{special: 'N'}
	decInf    = dec{special: '+'}
	decNegInf = dec{special: '-'}
)

func decInt(n int64) dec { return dec{coef: big.NewInt(n)} }

// decOf reads a numeric value.
func decOf(v schemas.Value) dec {
	coef, scale, text, ok := v.Numeric()
	if ok {
		return dec{coef: big.NewInt(coef), scale: scale}
	}
	return parseDec(text)
}

// parseDec reads a number that a value holds or that Go formatted: "NaN",
// "Infinity", "+Inf" and the like, or digits with point and exponent.
func parseDec(s string) dec {
	switch strings.ToLower(s) {
	case "nan":
		return decNaN
	case "infinity", "+inf":
		return decInf
	case "-infinity", "-inf":
		return decNegInf
	}
	mantissa, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		exp, _ = strconv.Atoi(s[i+1:])
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	d := dec{coef: new(big.Int), scale: len(frac) - exp}
	if _, ok := d.coef.SetString(whole+frac, 10); !ok {
		panic(fmt.Sprintf("rowexec: %q is not a number", s)) // values hold numbers
	}
	if d.scale < 0 {
		return dec{coef: d.coef.Mul(d.coef, tenTo(-d.scale))}
	}
	return d
}

func tenTo(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// String is PostgreSQL's text output.
func (d dec) String() string {
	switch d.special {
	case 'N':
		return "NaN"
	case '+':
		return "Infinity"
	case '-':
		return "-Infinity"
	}
	s := new(big.Int).Abs(d.coef).String()
	if d.scale > 0 {
		if len(s) <= d.scale {
			s = strings.Repeat("0", d.scale-len(s)+1) + s
		}
		s = s[:len(s)-d.scale] + "." + s[len(s)-d.scale:]
	}
	if d.coef.Sign() < 0 {
		s = "-" + s
	}
	return s
}

// value holds the number as compactly as schemas.Value allows, so that equal
// numbers of one display scale compare with ==.
func (d dec) value() schemas.Value {
	limit := big.NewInt(1_000_000_000_000_000_000)
	if d.special == 0 && d.coef.CmpAbs(limit) < 0 && d.scale <= 18 {
		return schemas.NewNumeric(d.coef.Int64(), d.scale)
	}
	return schemas.NewNumericText(d.String())
}

// checked refuses what PostgreSQL's format cannot hold: more than 131072 digits
// before the point.
func (d dec) checked() (schemas.Value, error) {
	if d.special == 0 && d.coef.BitLen() > 3*131072 && len(new(big.Int).Abs(d.coef).String())-d.scale > 131072 {
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22003", "value overflows numeric format")
	}
	return d.value(), nil
}

// at gives the coefficient at a scale that is not smaller than d's.
func (d dec) at(scale int) *big.Int {
	if scale == d.scale {
		return d.coef
	}
	return new(big.Int).Mul(d.coef, tenTo(scale-d.scale))
}

// rank orders the special values around the finite: -Infinity, finite, Infinity, NaN.
func (d dec) rank() int {
	switch d.special {
	case '-':
		return -1
	case '+':
		return 1
	case 'N':
		return 2
	}
	return 0
}

func (d dec) cmp(e dec) int {
	if d.special != 0 || e.special != 0 {
		return d.rank() - e.rank()
	}
	scale := max(d.scale, e.scale)
	return d.at(scale).Cmp(e.at(scale))
}

// sign is of a number that is not NaN.
func (d dec) sign() int {
	if d.special != 0 {
		return d.rank()
	}
	return d.coef.Sign()
}

func (d dec) neg() dec {
	switch d.special {
	case 'N':
		return d
	case '+':
		return decNegInf
	case '-':
		return decInf
	}
	return dec{coef: new(big.Int).Neg(d.coef), scale: d.scale}
}

func (d dec) add(e dec) dec {
	if d.special != 0 || e.special != 0 {
		switch {
		case d.special == 'N' || e.special == 'N' || d.rank()*e.rank() < 0:
			return decNaN
		case d.special != 0:
			return d
		}
		return e
	}
	scale := max(d.scale, e.scale)
	return dec{coef: new(big.Int).Add(d.at(scale), e.at(scale)), scale: scale}
}

func (d dec) mul(e dec) dec {
	if d.special != 0 || e.special != 0 {
		if d.special == 'N' || e.special == 'N' {
			return decNaN
		}
		return infinity(d.sign() * e.sign())
	}
	p := dec{coef: new(big.Int).Mul(d.coef, e.coef), scale: d.scale + e.scale}
	if p.scale > maxScale {
		p = p.round(maxScale)
	}
	return p
}

// infinity has the sign of n; of 0 it is NaN.
func infinity(n int) dec {
	switch {
	case n > 0:
		return decInf
	case n < 0:
		return decNegInf
	}
	return decNaN
}

func divisionByZero() error {
	return schemas.Errorf(schemas.CodeDivisionByZero, "22012", "division by zero")
}

func (d dec) div(e dec) (dec, error) {
	switch {
	case d.special == 'N' || e.special == 'N':
		return decNaN, nil
	case d.special != 0 && e.special != 0:
		return decNaN, nil
	case e.special != 0:
		return decInt(0), nil
	case e.coef.Sign() == 0:
		return dec{}, divisionByZero()
	case d.special != 0:
		return infinity(d.sign() * e.sign()), nil
	}
	scale := divScale(d, e)
	// d/e at scale = d.coef × 10^(scale - d.scale + e.scale) / e.coef
	num, den := new(big.Int).Set(d.coef), new(big.Int).Set(e.coef)
	if up := scale - d.scale + e.scale; up >= 0 {
		num.Mul(num, tenTo(up))
	} else {
		den.Mul(den, tenTo(-up))
	}
	return dec{coef: quoRound(num, den), scale: scale}, nil
}

// quoRound divides, halves away from zero.
func quoRound(num, den *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(num, den, new(big.Int))
	if r.Lsh(r, 1).CmpAbs(den) >= 0 {
		if num.Sign()*den.Sign() < 0 {
			return q.Sub(q, big.NewInt(1))
		}
		return q.Add(q, big.NewInt(1))
	}
	return q
}

// divScale is select_div_scale of PostgreSQL's numeric.c: at least 16 significant
// digits, counted in digits of base 10000.
func divScale(d, e dec) int {
	w1, f1 := d.leading()
	w2, f2 := e.leading()
	q := w1 - w2
	if f1 <= f2 {
		q--
	}
	return min(max(minSigDigits-q*4, d.scale, e.scale, 0), maxDisplayScale)
}

// leading returns weight and value of the first base-10000 digit that is not zero.
func (d dec) leading() (weight, digit int) {
	if d.coef.Sign() == 0 {
		return 0, 0
	}
	s := new(big.Int).Abs(d.coef).String()
	exp := len(s) - 1 - d.scale // decimal exponent of the first digit
	weight = exp >> 2
	take := exp - weight*4 + 1
	for i := range take {
		digit *= 10
		if i < len(s) {
			digit += int(s[i] - '0')
		}
	}
	return weight, digit
}

func (d dec) mod(e dec) (dec, error) {
	switch {
	case d.special == 'N' || e.special == 'N':
		return decNaN, nil
	case e.special == 0 && e.coef.Sign() == 0:
		return dec{}, divisionByZero()
	case d.special != 0:
		return decNaN, nil
	case e.special != 0:
		return d, nil
	}
	scale := max(d.scale, e.scale)
	return dec{coef: new(big.Int).Rem(d.at(scale), e.at(scale)), scale: scale}, nil
}

// round gives the number at a scale, negative ones too (shown as 0), halves away
// from zero.
func (d dec) round(scale int) dec { return d.rescale(scale, quoRound) }

// trunc is round towards zero.
func (d dec) trunc(scale int) dec {
	return d.rescale(scale, func(n, m *big.Int) *big.Int { return new(big.Int).Quo(n, m) })
}

func (d dec) rescale(scale int, quo func(n, m *big.Int) *big.Int) dec {
	if d.special != 0 {
		return d
	}
	if scale >= d.scale {
		return dec{coef: d.at(scale), scale: scale}
	}
	c := quo(d.coef, tenTo(d.scale-scale))
	if scale < 0 {
		return dec{coef: c.Mul(c, tenTo(-scale))}
	}
	return dec{coef: c, scale: scale}
}

// floor and ceil of PostgreSQL give scale 0.
func (d dec) floor() dec {
	return d.rescale(0, func(n, m *big.Int) *big.Int { return new(big.Int).Div(n, m) })
}

func (d dec) ceil() dec { return d.neg().floor().neg() }

func (d dec) abs() dec {
	if d.special == 'N' || d.sign() >= 0 {
		return d
	}
	return d.neg()
}
