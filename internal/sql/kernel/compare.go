package kernel

import (
	"bytes"
	"math"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// cmpOp is a comparison; its bits say which outcomes it accepts.
type cmpOp uint8

const (
	less    cmpOp = 1
	equal   cmpOp = 2
	greater cmpOp = 4

	opEQ = equal
	opNE = less | greater
	opLT = less
	opLE = less | equal
	opGT = greater
	opGE = greater | equal
)

var cmpOps = map[string]cmpOp{"=": opEQ, "<>": opNE, "<": opLT, "<=": opLE, ">": opGT, ">=": opGE}

// flip is the operator with its sides exchanged.
func (op cmpOp) flip() cmpOp { return op&equal | op&less<<2 | op&greater>>2 }

// accepts says whether an outcome (-1, 0, 1) makes the comparison true.
func (op cmpOp) accepts(c int) bool { return op>>uint(c+1)&1 != 0 }

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

type ordered interface{ int64 | uint64 | float64 }

func compareSlices[T ordered](op cmpOp, out []uint8, a, b []T) {
	a, b = a[:len(out)], b[:len(out)]
	switch op {
	case opEQ:
		for i := range out {
			out[i] = b2u(a[i] == b[i])
		}
	case opNE:
		for i := range out {
			out[i] = b2u(a[i] != b[i])
		}
	case opLT:
		for i := range out {
			out[i] = b2u(a[i] < b[i])
		}
	case opLE:
		for i := range out {
			out[i] = b2u(a[i] <= b[i])
		}
	case opGT:
		for i := range out {
			out[i] = b2u(a[i] > b[i])
		}
	case opGE:
		for i := range out {
			out[i] = b2u(a[i] >= b[i])
		}
	}
}

func compareConst[T ordered](op cmpOp, out []uint8, a []T, c T) {
	a = a[:len(out)]
	switch op {
	case opEQ:
		for i := range out {
			out[i] = b2u(a[i] == c)
		}
	case opNE:
		for i := range out {
			out[i] = b2u(a[i] != c)
		}
	case opLT:
		for i := range out {
			out[i] = b2u(a[i] < c)
		}
	case opLE:
		for i := range out {
			out[i] = b2u(a[i] <= c)
		}
	case opGT:
		for i := range out {
			out[i] = b2u(a[i] > c)
		}
	case opGE:
		for i := range out {
			out[i] = b2u(a[i] >= c)
		}
	}
}

// comparison makes the kernel of an operator over two values of a kind.
func comparison(op cmpOp, k schemas.Kind) kernelFunc {
	switch k.Layout() {
	case schemas.LayoutInt:
		return compareInts(op)
	case schemas.LayoutFloat:
		return compareFloats(op)
	case schemas.LayoutDecimal:
		return compareDecimals(op)
	}
	return compareRows(op)
}

// compareRows compares row by row, for what has no loop of its own.
func compareRows(op cmpOp) kernelFunc {
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		out := b.bools(n)
		for i := range out {
			out[i] = 0
			if !skip.Get(i) {
				out[i] = b2u(op.accepts(Compare(v[0], i, v[1], i)))
			}
		}
		return nil
	}
}

func compareInts(op cmpOp) kernelFunc {
	var memA, memB []int64
	return func(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
		out := b.bools(n)
		switch {
		case v[1].Enc == vector.Const:
			compareConst(op, out, flat(&memA, v[0], n), v[1].Ints[0])
		case v[0].Enc == vector.Const:
			compareConst(op.flip(), out, flat(&memA, v[1], n), v[0].Ints[0])
		default:
			compareSlices(op, out, flat(&memA, v[0], n), flat(&memB, v[1], n))
		}
		return nil
	}
}

// compareFloats compares as PostgreSQL does: NaN equals itself and is greater than
// everything.
func compareFloats(op cmpOp) kernelFunc {
	var memA, memB []float64
	return func(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
		x, y := flatFloats(&memA, v[0], n), flatFloats(&memB, v[1], n)
		out := b.bools(n)
		if !hasNaN(x) && !hasNaN(y) {
			compareSlices(op, out, x, y)
			return nil
		}
		for i := range out {
			out[i] = b2u(op.accepts(CompareFloat(x[i], y[i])))
		}
		return nil
	}
}

func hasNaN(s []float64) bool {
	odd := 0
	for _, f := range s {
		if f != f {
			odd++
		}
	}
	return odd > 0
}

func compareDecimals(op cmpOp) kernelFunc {
	var memA, memB []int64
	rows := compareRows(op)
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x, y := v[0], v[1]
		if x.Dec == vector.Dec64 && y.Dec == vector.Dec64 {
			scale := max(x.Scale, y.Scale)
			p, ok1 := coefs(&memA, x, n, scale)
			q, ok2 := coefs(&memB, y, n, scale)
			if ok1 && ok2 {
				compareSlices(op, b.bools(n), p, q)
				return nil
			}
		}
		return rows(b, v, n, skip)
	}
}

// CompareFloat orders floats as PostgreSQL does.
func CompareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	}
	return -1
}

// trimBlanks drops the blanks at the end, which char(n) ignores.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

const (
	usPerDay     = int64(86400) * 1000000
	daysPerMonth = 30
)

// intervalSpan is PostgreSQL's measure of an interval for comparison: 30-day months,
// 24-hour days, in µs.
func intervalSpan(x vector.Interval) vector.Int128 {
	days := int64(x.Months)*daysPerMonth + int64(x.Days)
	return decimal.Add128(decimal.Mul64(days, usPerDay), decimal.Wide(x.Micros))
}

// CompareInterval orders intervals as PostgreSQL does.
func CompareInterval(a, b vector.Interval) int {
	return decimal.Cmp128(intervalSpan(a), intervalSpan(b))
}

// Compare orders row i of a and row j of b, of one kind and not NULL, as
// PostgreSQL does with collation C.
func Compare(a *vector.Vector, i int, b *vector.Vector, j int) int {
	switch a.Type.Kind.Layout() {
	case schemas.LayoutInt:
		x, y := a.Int(i), b.Int(j)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case schemas.LayoutFloat:
		return CompareFloat(a.Float(i), b.Float(j))
	case schemas.LayoutBytes:
		if a.Type.Kind == schemas.Char {
			return bytes.Compare(trimBlanks(a.Bytes(i)), trimBlanks(b.Bytes(j)))
		}
		return bytes.Compare(a.Bytes(i), b.Bytes(j))
	case schemas.LayoutInterval:
		return CompareInterval(IntervalAt(a, i), IntervalAt(b, j))
	}
	return compareNumAt(a, i, b, j)
}

func compareNumAt(a *vector.Vector, i int, b *vector.Vector, j int) int {
	if a.Dec != vector.DecText && b.Dec != vector.DecText && a.Scale == b.Scale {
		return decimal.Cmp128(wideAt(a, i), wideAt(b, j))
	}
	return decimal.Cmp(NumAt(a, i), NumAt(b, j))
}

// distinct is IS [NOT] DISTINCT FROM.
func distinct(not bool) kernelFunc {
	return func(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
		out := b.bools(n)
		for i := range out {
			p, q := v[0].Null(i), v[1].Null(i)
			same := p && q || !p && !q && Compare(v[0], i, v[1], i) == 0
			out[i] = b2u(same == not)
		}
		return nil
	}
}

// extreme is greatest and least: NULLs are left out. It collects the winning rows and
// lets assemble copy them.
func extreme(t schemas.Type, sign int) kernelFunc {
	return func(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
		parts := make([]part, len(v))
		for k := range v {
			parts[k].vec = v[k]
		}
		for i := range n {
			best := -1
			for k := range v {
				if !v[k].Null(i) && (best < 0 || sign*Compare(v[k], i, v[best], i) > 0) {
					best = k
				}
			}
			if best >= 0 {
				parts[best].from = append(parts[best].from, uint32(i))
				parts[best].to = append(parts[best].to, uint32(i))
			}
		}
		b.assemble(t, n, parts)
		return nil
	}
}
