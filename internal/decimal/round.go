package decimal

import (
	"math"
	"math/big"
	"strconv"

	"github.com/millrace/millrace/schemas"
)

// Round rounds half away from zero to digits after the point (negative: before
// it), and shows max(digits, 0) of them.
func Round(a Num, digits int) Num { return cut(a, digits, quoRound) }

// Trunc cuts towards zero.
func Trunc(a Num, digits int) Num {
	return cut(a, digits, func(x, y *big.Int) *big.Int { return new(big.Int).Quo(x, y) })
}

// Floor is the largest whole number that is not larger.
func Floor(a Num) Num {
	return cut(a, 0, func(x, y *big.Int) *big.Int { return new(big.Int).Div(x, y) }) // y > 0: Div floors
}

// Ceil is the smallest whole number that is not smaller.
func Ceil(a Num) Num { return Neg(Floor(Neg(a))) }

func cut(a Num, digits int, quo func(x, y *big.Int) *big.Int) Num {
	if a.form != finite {
		return a
	}
	digits = min(max(digits, -maxIntDigits), maxScale)
	if digits >= a.scale {
		return Num{coef: mulPow(a.Coef(), digits-a.scale), scale: digits}
	}
	q := quo(a.Coef(), bigPow10(a.scale-digits))
	if digits < 0 {
		return Num{coef: mulPow(q, -digits)}
	}
	return Num{coef: q, scale: digits}
}

// Fit makes the number a numeric(precision, scale), or fails with 22003.
func Fit(a Num, precision, scale int) (Num, error) {
	if precision == 0 || a.form == nan {
		return a, nil
	}
	if a.form == finite {
		r := Round(a, scale)
		if new(big.Int).Abs(r.Coef()).Cmp(bigPow10(precision-scale+r.scale)) < 0 {
			return r, nil
		}
	}
	hint := "A field with precision " + strconv.Itoa(precision) + ", scale " + strconv.Itoa(scale)
	if a.form != finite {
		hint += " cannot hold an infinite value."
	} else if precision == scale {
		hint += " must round to an absolute value less than 1."
	} else {
		hint += " must round to an absolute value less than 10^" + strconv.Itoa(precision-scale) + "."
	}
	return Num{}, &schemas.Error{Code: schemas.CodeOutOfRange, SQLState: "22003", Message: "numeric field overflow", Hint: hint}
}

// ToInt rounds to a whole number of at most bits bits, or fails with 22003 naming
// the type.
func ToInt(a Num, bitSize int, typeName string) (int64, error) {
	if a.form != finite {
		what := "infinity"
		if a.form == nan {
			what = "NaN"
		}
		return 0, schemas.Errorf(schemas.CodeUnsupported, "0A000", "cannot convert %s to %s", what, typeName)
	}
	c := Round(a, 0).Coef()
	if c.IsInt64() {
		n := c.Int64()
		if bitSize == 64 || n >= -1<<(bitSize-1) && n < 1<<(bitSize-1) {
			return n, nil
		}
	}
	return 0, schemas.Errorf(schemas.CodeOutOfRange, "22003", "%s out of range", typeName)
}

// FromFloat makes a number of a float as PostgreSQL does: with 15 significant
// digits, or 6 of a real.
func FromFloat(f float64, single bool) Num {
	switch {
	case math.IsNaN(f):
		return NaN
	case math.IsInf(f, 1):
		return Inf
	case math.IsInf(f, -1):
		return NegInf
	}
	digits := 15
	if single {
		digits = 6
	}
	n, err := Parse(strconv.AppendFloat(nil, f, 'e', digits-1, 64))
	if err != nil {
		panic("decimal: " + err.Error())
	}
	return trimZeros(n)
}

// trimZeros drops the zeros that formatting to a fixed number of digits added.
func trimZeros(n Num) Num {
	ten, r := big.NewInt(10), new(big.Int)
	for n.scale > 0 {
		q, r := new(big.Int).QuoRem(n.Coef(), ten, r)
		if r.Sign() != 0 {
			return n
		}
		n = Num{coef: q, scale: n.scale - 1}
	}
	return n
}

// Float gives the nearest double; ok is false when it is out of range.
func (n Num) Float() (f float64, ok bool) {
	switch n.form {
	case nan:
		return math.NaN(), true
	case posInf:
		return math.Inf(1), true
	case negInf:
		return math.Inf(-1), true
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	return f, err == nil && (f != 0 || n.Sign() == 0)
}

// MinScale is the number of digits after the point that are needed; TrimScale shows
// just those.
func MinScale(n Num) int { return trimZeros(n).scale }

// TrimScale drops zeros at the end of the fraction.
func TrimScale(n Num) Num { return trimZeros(n) }
