package kernel

import (
	"math"
	"math/bits"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// flat gives the integers of a dense vector, a Const spread out in mem.
func flat(mem *[]int64, v *vector.Vector, n int) []int64 {
	switch {
	case v.Enc == vector.Const:
		out := resize(mem, n)
		fill(out, v.Ints[0])
		return out
	case v.Enc == vector.FOR: // boolean
		out := resize(mem, n)
		for i := range out {
			out[i] = int64(v.Codes.U8[i])
		}
		return out
	}
	return v.Ints[:n]
}

func flatFloats(mem *[]float64, v *vector.Vector, n int) []float64 {
	if v.Enc == vector.Const {
		out := resize(mem, n)
		fill(out, v.Floats[0])
		return out
	}
	return v.Floats[:n]
}

func outOfRange(k schemas.Kind) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22003", "%s out of range", k)
}

func divisionByZero() error {
	return schemas.Errorf(schemas.CodeDivisionByZero, "22012", "division by zero")
}

// half is 2^(bits-1) of an integer kind narrower than 64 bits, and 0 of bigint.
func half(k schemas.Kind) int64 {
	switch k {
	case schemas.Int16:
		return 1 << 15
	case schemas.Int32:
		return 1 << 31
	}
	return 0
}

// inRange says whether every integer fits the kind.
func inRange(s []int64, k schemas.Kind) bool {
	h := half(k)
	if h == 0 {
		return true
	}
	var bad uint64
	for _, x := range s {
		bad |= uint64(x+h) / uint64(2*h)
	}
	return bad == 0
}

// firstBad finds the first wanted row that fails; a NULL row's garbage does not.
func firstBad(n int, skip vector.Bitmap, bad func(i int) bool) int {
	for i := range n {
		if !skip.Get(i) && bad(i) {
			return i
		}
	}
	return -1
}

// intOp makes an operator of two integers of a kind.
func intOp(k schemas.Kind, name string) kernelFunc {
	var memA, memB []int64
	var run func(out, a, b []int64) bool
	exact := addExact
	switch name {
	case "+":
		run = addInts
	case "-":
		run, exact = subInts, subExact
	case "*":
		run, exact = mulInts, mulExact
	}
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x, y := flat(&memA, v[0], n), flat(&memB, v[1], n)
		out := b.flatInts(schemas.Type{Kind: k}, n)
		if run(out, x, y) && inRange(out, k) {
			return nil
		}
		h := half(k)
		i := firstBad(n, skip, func(i int) bool {
			r, ok := exact(x[i], y[i])
			return !ok || h != 0 && (r < -h || r >= h)
		})
		if i >= 0 {
			return &rowAt{i, outOfRange(k)}
		}
		return nil
	}
}

func addExact(a, b int64) (int64, bool) {
	r := a + b
	return r, (a^r)&(b^r) >= 0
}

func subExact(a, b int64) (int64, bool) {
	r := a - b
	return r, (a^b)&(a^r) >= 0
}

func mulExact(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	top := int64(hi) - (a>>63)&b - (b>>63)&a
	return int64(lo), top == int64(lo)>>63
}

func addInts(out, a, b []int64) bool {
	a, b = a[:len(out)], b[:len(out)]
	var bad int64
	for i := range out {
		r := a[i] + b[i]
		bad |= (a[i] ^ r) & (b[i] ^ r)
		out[i] = r
	}
	return bad >= 0
}

func subInts(out, a, b []int64) bool {
	a, b = a[:len(out)], b[:len(out)]
	var bad int64
	for i := range out {
		r := a[i] - b[i]
		bad |= (a[i] ^ b[i]) & (a[i] ^ r)
		out[i] = r
	}
	return bad >= 0
}

func mulInts(out, a, b []int64) bool {
	a, b = a[:len(out)], b[:len(out)]
	var bad int64
	for i := range out {
		x, y := a[i], b[i]
		hi, lo := bits.Mul64(uint64(x), uint64(y))
		bad |= (int64(hi) - (x>>63)&y - (y>>63)&x) ^ int64(lo)>>63
		out[i] = int64(lo)
	}
	return bad == 0
}

// intDiv is / and % of integers: truncating, 22012 for zero, 22003 for min / -1.
func intDiv(k schemas.Kind, rem bool) kernelFunc {
	return eachInt(k, func(a *args) (int64, error) {
		x, y := a.int(0), a.int(1)
		switch {
		case y == 0:
			return 0, divisionByZero()
		case y == -1 && rem:
			return 0, nil
		case rem:
			return x % y, nil
		case y == -1 && (x == math.MinInt64 || x == -half(k) && half(k) != 0):
			return 0, outOfRange(k)
		}
		return x / y, nil
	})
}

func intNeg(k schemas.Kind) kernelFunc {
	return eachInt(k, func(a *args) (int64, error) {
		x := a.int(0)
		if x == math.MinInt64 || half(k) != 0 && x == -half(k) {
			return 0, outOfRange(k)
		}
		return -x, nil
	})
}

func intAbs(k schemas.Kind) kernelFunc {
	return eachInt(k, func(a *args) (int64, error) {
		x := a.int(0)
		if x >= 0 {
			return x, nil
		}
		if x == math.MinInt64 || half(k) != 0 && x == -half(k) {
			return 0, outOfRange(k)
		}
		return -x, nil
	})
}

// floatOp makes an operator of two floats: PostgreSQL refuses results that overflow or
// underflow where the arguments did not.
func floatOp(k schemas.Kind, name string) kernelFunc {
	single := k == schemas.Float32
	var memA, memB []float64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x, y := flatFloats(&memA, v[0], n), flatFloats(&memB, v[1], n)
		out := b.flatFloats(schemas.Type{Kind: k}, n)
		suspect := runFloats(name, out, x, y)
		if single {
			for i, f := range out {
				out[i] = float64(float32(f))
			}
			suspect = true
		}
		if !suspect {
			return nil
		}
		for i := range out {
			if skip.Get(i) {
				continue
			}
			if err := checkFloat(name, x[i], y[i], out[i]); err != nil {
				return &rowAt{i, err}
			}
		}
		return nil
	}
}

// runFloats computes, and says whether a result is zero, infinite or NaN.
func runFloats(name string, out, a, b []float64) (suspect bool) {
	a, b = a[:len(out)], b[:len(out)]
	odd := 0
	switch name {
	case "+":
		for i := range out {
			r := a[i] + b[i]
			out[i] = r
			if r-r != 0 {
				odd++
			}
		}
	case "-":
		for i := range out {
			r := a[i] - b[i]
			out[i] = r
			if r-r != 0 {
				odd++
			}
		}
	case "*":
		for i := range out {
			r := a[i] * b[i]
			out[i] = r
			if r == 0 || r-r != 0 {
				odd++
			}
		}
	case "/":
		for i := range out {
			r := a[i] / b[i]
			out[i] = r
			if r == 0 || r-r != 0 {
				odd++
			}
		}
	}
	return odd > 0
}

func checkFloat(name string, a, b, r float64) error {
	inf := math.IsInf(a, 0) || math.IsInf(b, 0)
	switch {
	case name == "/" && b == 0 && !math.IsNaN(a):
		return divisionByZero()
	case math.IsInf(r, 0) && !inf:
		return schemas.Errorf(schemas.CodeOutOfRange, "22003", "value out of range: overflow")
	case r == 0 && name == "*" && a != 0 && b != 0, r == 0 && name == "/" && a != 0 && !math.IsInf(b, 0):
		return schemas.Errorf(schemas.CodeOutOfRange, "22003", "value out of range: underflow")
	}
	return nil
}
