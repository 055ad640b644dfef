package rowexec

import (
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// maxResultScale is NUMERIC_MAX_RESULT_SCALE.
const maxResultScale = 2000

func domain(state, msg string) error { return schemas.Errorf(schemas.CodeOutOfRange, state, "%s", msg) }

func abs(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	switch {
	case f.Result.IsFloat():
		return schemas.NewFloat(f.Result, math.Abs(a[0].Float())), nil
	case f.Result.IsInteger():
		return intValue(f.Result, new(big.Int).Abs(big.NewInt(a[0].Int())))
	}
	return decOf(a[0]).abs().value(), nil
}

func sign(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		switch x := a[0].Float(); {
		case x > 0:
			return schemas.NewFloat(f.Result, 1), nil
		case x < 0:
			return schemas.NewFloat(f.Result, -1), nil
		}
		return schemas.NewFloat(f.Result, 0), nil // of NaN too
	}
	d := decOf(a[0])
	if d.special == 'N' {
		return d.value(), nil
	}
	return decInt(int64(d.sign())).value(), nil
}

// integral is ceil, floor, round and trunc, with a second argument too.
func integral(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		op := map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor, "round": math.RoundToEven, "trunc": math.Trunc}
		return schemas.NewFloat(f.Result, op[f.Name](a[0].Float())), nil
	}
	d, scale := decOf(a[0]), 0
	if len(a) == 2 {
		scale = int(max(min(a[1].Int(), maxScale), -131_076))
	}
	switch f.Name {
	case "ceil":
		return d.ceil().value(), nil
	case "floor":
		return d.floor().value(), nil
	case "round":
		return d.round(scale).checked()
	}
	return d.trunc(scale).value(), nil
}

// div is numeric division truncated to an integer.
func div(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	x, y := decOf(a[0]), decOf(a[1])
	if x.special != 0 || y.special != 0 {
		q, err := x.div(y)
		if err != nil {
			return schemas.Null, err
		}
		return q.value(), nil
	}
	if y.coef.Sign() == 0 {
		return schemas.Null, divisionByZero()
	}
	scale := max(x.scale, y.scale)
	return dec{coef: new(big.Int).Quo(x.at(scale), y.at(scale))}.checked()
}

func clampScale(n int, ds ...dec) int {
	for _, d := range ds {
		n = max(n, d.scale)
	}
	return min(max(n, 0), maxDisplayScale)
}

func sqrt(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	negative := domain("2201F", "cannot take square root of a negative number")
	if f.Result.IsFloat() {
		x := a[0].Float()
		if x < 0 {
			return schemas.Null, negative
		}
		return schemas.NewFloat(f.Result, math.Sqrt(x)), nil
	}
	d := decOf(a[0])
	switch {
	case d.special != 'N' && d.sign() < 0:
		return schemas.Null, negative
	case d.special != 0:
		return d.value(), nil
	}
	weight, _ := d.leading()
	scale := clampScale(minSigDigits-(weight*4/2+1), d)
	// Ten digits more, so that rounding an irrational root is right.
	extra := scale + 10
	root := new(big.Int).Sqrt(d.trunc(2 * extra).coef)
	return dec{coef: root, scale: extra}.round(scale).value(), nil
}

func cbrt(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	return schemas.NewFloat(f.Result, math.Cbrt(a[0].Float())), nil
}

func (d dec) apd() *apd.Decimal {
	return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(d.coef), int32(-d.scale))
}

// decFromAPD rounds to a scale.
func decFromAPD(x *apd.Decimal, scale int) dec {
	c := x.Coeff.MathBigInt()
	if x.Negative {
		c = new(big.Int).Neg(c)
	}
	d := dec{coef: c, scale: int(-x.Exponent)}
	if d.scale < 0 {
		d = dec{coef: new(big.Int).Mul(c, tenTo(-d.scale))}
	}
	return d.round(scale)
}

// precise runs an apd operation with so many significant digits.
func precise(digits int, op func(c *apd.Context, out *apd.Decimal) error) (*apd.Decimal, error) {
	c := apd.BaseContext.WithPrecision(uint32(max(digits, 20)))
	c.MaxExponent, c.MinExponent = apd.MaxExponent, apd.MinExponent
	out := new(apd.Decimal)
	err := op(c, out)
	return out, err
}

func exp(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		x := a[0].Float()
		return floatChecked(f.Result, math.Exp(x), math.IsInf(x, 0), math.IsInf(x, 0))
	}
	d := decOf(a[0])
	if d.special != 0 {
		if d.special == '-' {
			return decInt(0).value(), nil
		}
		return d.value(), nil
	}
	weight := max(min(toFloat(a[0])*0.434294481903252, maxResultScale), -maxResultScale)
	scale := clampScale(minSigDigits-int(weight), d)
	x := toFloat(a[0])
	if math.Abs(x) >= maxResultScale*3 {
		if x > 0 {
			return schemas.Null, domain("22003", "value overflows numeric format")
		}
		return dec{coef: new(big.Int), scale: scale}.value(), nil
	}
	out, err := precise(scale+int(weight)+30, func(c *apd.Context, out *apd.Decimal) error {
		_, err := c.Exp(out, d.apd())
		return err
	})
	if err != nil {
		return schemas.Null, err
	}
	return decFromAPD(out, scale).checked()
}

func logDomain(signum int) error {
	if signum == 0 {
		return domain("2201E", "cannot take logarithm of zero")
	}
	return domain("2201E", "cannot take logarithm of a negative number")
}

func ln(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		return floatLog(f.Result, a[0].Float(), math.Log)
	}
	d := decOf(a[0])
	if d.special != 'N' && d.sign() <= 0 {
		return schemas.Null, logDomain(d.sign())
	}
	if d.special != 0 {
		return d.value(), nil
	}
	scale := clampScale(minSigDigits-lnWeight(d), d)
	out, err := lnAt(d, scale+30)
	if err != nil {
		return schemas.Null, err
	}
	return decFromAPD(out, scale).value(), nil
}

// lnAt computes a natural logarithm with so many significant digits.
func lnAt(d dec, digits int) (*apd.Decimal, error) {
	return precise(digits, func(c *apd.Context, out *apd.Decimal) error {
		_, err := c.Ln(out, d.apd())
		return err
	})
}

func floatLog(k schemas.Kind, x float64, op func(float64) float64) (schemas.Value, error) {
	if x == 0 {
		return schemas.Null, logDomain(0)
	}
	if x < 0 {
		return schemas.Null, logDomain(-1)
	}
	return schemas.NewFloat(k, op(x)), nil
}

// lnWeight is estimate_ln_dweight of numeric.c: the decimal weight of ln(d).
func lnWeight(d dec) int {
	if d.sign() <= 0 {
		return 0
	}
	if d.cmp(dec{coef: big.NewInt(9), scale: 1}) >= 0 && d.cmp(dec{coef: big.NewInt(11), scale: 1}) <= 0 {
		x := d.add(decInt(-1))
		if x.coef.Sign() == 0 {
			return 0
		}
		weight, digit := x.leading()
		return weight*4 + int(math.Log10(float64(digit)))
	}
	weight, digit := d.leading()
	lnVar := math.Log(float64(digit)) + float64(weight*4)*2.302585092994046
	if rest := d.add(dec{coef: big.NewInt(int64(-digit)), scale: 0}.shift(weight * 4)); rest.coef.Sign() != 0 {
		second := rest.shift(-(weight - 1) * 4).abs().trunc(0)
		lnVar = math.Log(float64(digit)*10000+float64(second.coef.Int64())) + float64((weight-1)*4)*2.302585092994046
	}
	return int(math.Log10(math.Abs(lnVar)))
}

// shift multiplies by 10^n.
func (d dec) shift(n int) dec {
	s := dec{coef: d.coef, scale: d.scale - n}
	if s.scale < 0 {
		return dec{coef: new(big.Int).Mul(s.coef, tenTo(-s.scale))}
	}
	return s
}

// log is the logarithm to base 10, or to its first argument.
func log(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Result.IsFloat() {
		return floatLog(f.Result, a[0].Float(), math.Log10)
	}
	base, num := decInt(10), decOf(a[0])
	if len(a) == 2 {
		base, num = decOf(a[0]), decOf(a[1])
	}
	if base.special == 'N' || num.special == 'N' {
		return decNaN.value(), nil
	}
	for _, d := range []dec{base, num} {
		if d.sign() <= 0 {
			return schemas.Null, logDomain(d.sign())
		}
	}
	switch {
	case base.special != 0 && num.special != 0:
		return decNaN.value(), nil
	case base.special != 0:
		return decInt(0).value(), nil
	case num.special != 0:
		return decInf.value(), nil
	}
	scale := clampScale(minSigDigits-(lnWeight(num)-lnWeight(base)), base, num)
	lnBase, err := lnAt(base, scale+40)
	if err != nil {
		return schemas.Null, err
	}
	if lnBase.IsZero() {
		return schemas.Null, divisionByZero()
	}
	lnNum, err := lnAt(num, scale+40)
	if err != nil {
		return schemas.Null, err
	}
	out, err := precise(scale+30, func(c *apd.Context, out *apd.Decimal) error {
		_, err := c.Quo(out, lnNum, lnBase)
		return err
	})
	if err != nil {
		return schemas.Null, err
	}
	return decFromAPD(out, scale).value(), nil
}
