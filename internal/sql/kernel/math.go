package kernel

import (
	"math"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/schemas"
)

func (t table) addMath() {
	for _, k := range []schemas.Kind{kF32, kF64} {
		t.addPure(eachFloat(k, func(a *args) (float64, error) { return -a.float(0), nil }), "-", k).safe = true
		t.addPure(eachFloat(k, func(a *args) (float64, error) { return math.Abs(a.float(0)), nil }), "abs", k).safe = true
	}
	for name, f := range map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor, "round": math.RoundToEven, "trunc": math.Trunc} {
		t.addPure(eachFloat(kF64, func(a *args) (float64, error) { return f(a.float(0)), nil }), name, kF64).safe = true
	}
	for name, f := range map[string]func(decimal.Num) decimal.Num{
		"abs": decimal.Abs, "ceil": decimal.Ceil, "floor": decimal.Floor,
		"round": func(n decimal.Num) decimal.Num { return decimal.Round(n, 0) },
		"trunc": func(n decimal.Num) decimal.Num { return decimal.Trunc(n, 0) },
	} {
		t.addPure(eachNum(func(a *args) (decimal.Num, error) { return f(a.num(0)), nil }), name, kNum)
	}
	t.addPure(eachNum(func(a *args) (decimal.Num, error) {
		return decimal.Round(a.num(0), int(a.int(1))), nil
	}), "round", kNum, kI32)
	t.addPure(eachNum(func(a *args) (decimal.Num, error) {
		return decimal.Trunc(a.num(0), int(a.int(1))), nil
	}), "trunc", kNum, kI32)
	t.addPure(eachNum(func(a *args) (decimal.Num, error) { return decimal.Mod(a.num(0), a.num(1)) }), "%", kNum, kNum)
	t.addPure(eachNum(func(a *args) (decimal.Num, error) { return decimal.DivTrunc(a.num(0), a.num(1)) }), "div", kNum, kNum)
}
