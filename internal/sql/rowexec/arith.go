package rowexec

import (
	"math"
	"math/big"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

func outOfRange(k schemas.Kind) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22003", "%s out of range", k)
}

func bounds(k schemas.Kind) (lo, hi int64) {
	switch k {
	case schemas.Int16:
		return math.MinInt16, math.MaxInt16
	case schemas.Int32:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// intValue makes a whole number of a kind that must hold it.
func intValue(k schemas.Kind, n *big.Int) (schemas.Value, error) {
	lo, hi := bounds(k)
	if !n.IsInt64() || n.Int64() < lo || n.Int64() > hi {
		return schemas.Null, outOfRange(k)
	}
	return schemas.NewInt(k, n.Int64()), nil
}

// arith applies + - * / % to numbers.
func arith(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	switch {
	case !f.Args[0].IsNumber():
		return temporalArith(f, a)
	case f.Result.IsInteger():
		return intArith(f, big.NewInt(a[0].Int()), big.NewInt(a[1].Int()))
	case f.Result.IsFloat():
		return floatArith(f.Name, f.Result, toFloat(a[0]), toFloat(a[1]))
	}
	return decArith(f.Name, toDec(a[0]), toDec(a[1]))
}

func intArith(f *expr.Func, x, y *big.Int) (schemas.Value, error) {
	n := new(big.Int)
	switch f.Name {
	case "+":
		n.Add(x, y)
	case "-":
		n.Sub(x, y)
	case "*":
		n.Mul(x, y)
	default:
		if y.Sign() == 0 {
			return schemas.Null, divisionByZero()
		}
		if f.Name == "/" {
			n.Quo(x, y)
		} else {
			n.Rem(x, y)
		}
	}
	return intValue(f.Result, n)
}

func decArith(op string, x, y dec) (schemas.Value, error) {
	var d dec
	var err error
	switch op {
	case "+":
		d = x.add(y)
	case "-":
		d = x.add(y.neg())
	case "*":
		d = x.mul(y)
	case "/":
		d, err = x.div(y)
	default:
		d, err = x.mod(y)
	}
	if err != nil {
		return schemas.Null, err
	}
	return d.checked()
}

// floatArith follows float.h: an infinity out of finite numbers is an overflow, a
// zero out of others an underflow.
func floatArith(op string, k schemas.Kind, x, y float64) (schemas.Value, error) {
	var r float64
	switch op {
	case "+":
		r = x + y
	case "-":
		r = x - y
	case "*":
		r = x * y
	default:
		if y == 0 && !math.IsNaN(x) {
			return schemas.Null, divisionByZero()
		}
		r = x / y
	}
	if k == schemas.Float32 {
		r = float64(float32(r))
	}
	zeroIsRight := (op != "*" && op != "/") || x == 0 || op == "*" && y == 0 || op == "/" && math.IsInf(y, 0)
	return floatChecked(k, r, math.IsInf(x, 0) || math.IsInf(y, 0), zeroIsRight)
}

// floatChecked makes a result unless it overflowed or underflowed.
func floatChecked(k schemas.Kind, r float64, infOK, zeroOK bool) (schemas.Value, error) {
	if math.IsInf(r, 0) && !infOK {
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22003", "value out of range: overflow")
	}
	if r == 0 && !zeroOK {
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22003", "value out of range: underflow")
	}
	return schemas.NewFloat(k, r), nil
}

// negate is unary minus.
func negate(f *expr.Func, v schemas.Value) (schemas.Value, error) {
	switch {
	case f.Result.IsInteger():
		return intValue(f.Result, new(big.Int).Neg(big.NewInt(v.Int())))
	case f.Result.IsFloat():
		return schemas.NewFloat(f.Result, -v.Float()), nil
	case f.Result == schemas.Numeric:
		return decOf(v).neg().value(), nil
	}
	m, d, us := v.Interval()
	if m == math.MinInt32 || d == math.MinInt32 || us == math.MinInt64 {
		return schemas.Null, intervalRange()
	}
	return schemas.NewInterval(-m, -d, -us), nil
}
