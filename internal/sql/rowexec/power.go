package rowexec

import (
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

func power(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		return floatPower(f.Result, a[0].Float(), a[1].Float())
	}
	return decPower(decOf(a[0]), decOf(a[1]))
}

func zeroToNegative() error {
	return domain("2201F", "zero raised to a negative power is undefined")
}

func complexPower() error {
	return domain("2201F", "a negative number raised to a non-integer power yields a complex result")
}

// floatPower is dpow of PostgreSQL's float.c.
func floatPower(k schemas.Kind, x, y float64) (schemas.Value, error) {
	switch {
	case math.IsNaN(x):
		if y == 0 {
			return schemas.NewFloat(k, 1), nil
		}
		return schemas.NewFloat(k, x), nil
	case math.IsNaN(y):
		if x == 1 {
			return schemas.NewFloat(k, 1), nil
		}
		return schemas.NewFloat(k, y), nil
	case x == 0 && y < 0:
		return schemas.Null, zeroToNegative()
	case x < 0 && math.Floor(y) != y:
		return schemas.Null, complexPower()
	}
	r := math.Pow(x, y)
	inf := math.IsInf(x, 0) || math.IsInf(y, 0)
	return floatChecked(k, r, inf, inf || x == 0)
}

// decPower is numeric_power and power_var of numeric.c, with the scales of
// PostgreSQL 15.
func decPower(x, y dec) (schemas.Value, error) {
	if x.special != 0 || y.special != 0 {
		return specialPower(x, y)
	}
	whole := y.cmp(y.trunc(0)) == 0
	switch {
	case x.sign() == 0 && y.sign() < 0:
		return schemas.Null, zeroToNegative()
	case x.sign() < 0 && !whole:
		return schemas.Null, complexPower()
	}
	if n := y.trunc(0).coef; whole && n.IsInt64() && n.Int64() == int64(int32(n.Int64())) {
		return intPower(x, int(n.Int64()), clampScale(minSigDigits, x))
	}
	if x.sign() == 0 {
		return dec{coef: new(big.Int), scale: minSigDigits}.value(), nil
	}
	negative := x.sign() < 0 && y.trunc(0).coef.Bit(0) == 1
	return lnPower(x.abs(), y, negative)
}

// intPower is exact up to the scale: by repeated squaring where the digits stay
// few, by logarithms otherwise.
func intPower(x dec, n, scale int) (schemas.Value, error) {
	if x.coef.Sign() == 0 {
		if n == 0 {
			return dec{coef: big.NewInt(1)}.round(scale).value(), nil
		}
		return dec{coef: new(big.Int), scale: scale}.value(), nil
	}
	digits := float64(n) * math.Log10(math.Abs(toFloat(x.value())))
	switch {
	case digits > 131072:
		return schemas.Null, domain("22003", "value overflows numeric format")
	case digits+1 < float64(-scale):
		return dec{coef: new(big.Int), scale: scale}.value(), nil
	}
	out, err := precise(max(int(digits), 0)+scale+40, func(c *apd.Context, out *apd.Decimal) error {
		return squareUp(c, out, x.apd(), n)
	})
	if err != nil {
		return schemas.Null, err
	}
	return decFromAPD(out, scale).checked()
}

// squareUp raises to a whole power by squaring.
func squareUp(c *apd.Context, out, x *apd.Decimal, n int) error {
	out.SetInt64(1)
	base := new(apd.Decimal).Set(x)
	for m := uint64(max(n, -n)); m > 0; m >>= 1 {
		if m&1 == 1 {
			if _, err := c.Mul(out, out, base); err != nil {
				return err
			}
		}
		if m > 1 {
			if _, err := c.Mul(base, base, base); err != nil {
				return err
			}
		}
	}
	if n < 0 {
		_, err := c.Quo(out, apd.New(1, 0), out)
		return err
	}
	return nil
}

func lnPower(x, y dec, negative bool) (schemas.Value, error) {
	rough, err := lnAt(x, 40)
	if err != nil {
		return schemas.Null, err
	}
	l, err := rough.Float64()
	if err != nil {
		return schemas.Null, err
	}
	val := l * toFloat(y.value())
	if math.Abs(val) > maxResultScale*3.01 {
		if val > 0 {
			return schemas.Null, domain("22003", "value overflows numeric format")
		}
		return dec{coef: new(big.Int), scale: maxDisplayScale}.value(), nil
	}
	weight := int(val * 0.434294481903252)
	scale := clampScale(minSigDigits-weight, x, y)
	digits := scale + max(weight, 0) + 40
	exact, err := lnAt(x, digits)
	if err != nil {
		return schemas.Null, err
	}
	out, err := precise(digits, func(c *apd.Context, out *apd.Decimal) error {
		if _, err := c.Mul(out, exact, y.apd()); err != nil {
			return err
		}
		_, err := c.Exp(out, out)
		return err
	})
	if err != nil {
		return schemas.Null, err
	}
	d := decFromAPD(out, scale)
	if negative {
		d = d.neg()
	}
	return d.checked()
}

// specialPower is the handling of NaN and infinities in numeric_power.
func specialPower(x, y dec) (schemas.Value, error) {
	one := decInt(1)
	switch {
	case x.special == 'N':
		if y.special == 0 && y.sign() == 0 {
			return one.value(), nil
		}
		return decNaN.value(), nil
	case y.special == 'N':
		if x.special == 0 && x.cmp(one) == 0 {
			return one.value(), nil
		}
		return decNaN.value(), nil
	case x.sign() == 0 && y.sign() < 0:
		return schemas.Null, zeroToNegative()
	case x.sign() < 0 && y.special == 0 && y.cmp(y.trunc(0)) != 0:
		return schemas.Null, complexPower()
	case x.special == 0 && x.cmp(one) == 0, y.special == 0 && y.sign() == 0:
		return one.value(), nil
	case x.special == 0 && x.sign() == 0:
		return decInt(0).value(), nil
	case y.special != 0:
		return infinitePower(x, y), nil
	case y.sign() < 0:
		return decInt(0).value(), nil
	case x.special == '+':
		return decInf.value(), nil
	}
	if y.trunc(0).coef.Bit(0) == 1 {
		return decNegInf.value(), nil
	}
	return decInf.value(), nil
}

// infinitePower is x to ±Infinity for x other than 0 and 1.
func infinitePower(x, y dec) schemas.Value {
	size := 1
	if x.special == 0 {
		size = x.abs().cmp(decInt(1))
	}
	switch {
	case size == 0: // -1
		return decInt(1).value()
	case (size > 0) == (y.special == '+'):
		return decInf.value()
	}
	return decInt(0).value()
}
