package kernel

import (
	"math"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// cast compiles a conversion.
func (c *compiler) cast(x *expr.Cast) (node, error) {
	arg, err := c.compile(x.Arg)
	if err != nil {
		return nil, err
	}
	from, to := x.Arg.Type(), x.Typ
	if sameHeld(from, to) {
		return &retypeNode{arg: arg, typ: to}, nil
	}
	fn, safe := castKernel(from, to)
	return &callNode{args: []node{arg}, vecs: make([]*vector.Vector, 1), run: fn, typ: to, at: x.At,
		strict: true, infallible: safe, perDict: true, owner: c.eval}, nil
}

// sameHeld says whether a conversion changes nothing but the type's name.
func sameHeld(from, to schemas.Type) bool {
	f, t := from.Kind, to.Kind
	switch {
	case f == t:
		return to.Precision == 0 && to.Length == 0 || from == to
	case f.IsInteger() && t.IsInteger():
		return f < t
	case (f == kText || f == schemas.Varchar) && (t == kText || t == schemas.Varchar):
		return to.Length == 0
	case f == kF32 && t == kF64:
		return true
	case f == kTS && t == kTSTZ, f == kTSTZ && t == kTS: // the session's zone is UTC
		return true
	}
	return false
}

// retypeNode passes a vector on under another type.
type retypeNode struct {
	arg node
	typ schemas.Type
	out vector.Vector
}

func (n *retypeNode) safe() bool { return n.arg.safe() }
func (n *retypeNode) eval(f *frame) (*vector.Vector, error) {
	v, err := n.arg.eval(f)
	if err != nil {
		return nil, err
	}
	n.out = *v
	n.out.Type = n.typ
	return &n.out, nil
}

// castKernel finds the loop of a conversion; safe says that it cannot fail.
func castKernel(from, to schemas.Type) (fn kernelFunc, safe bool) {
	f, t := from.Kind, to.Kind
	switch {
	case f.IsInteger() && t.IsInteger():
		return narrowInt(t), false
	case f.IsInteger() && t == kNum && to.Precision == 0:
		return intToNumeric, false
	case f.IsInteger() && t.IsFloat():
		return eachFloat(t, func(a *args) (float64, error) {
			if t == kF32 {
				return float64(float32(a.int(0))), nil
			}
			return float64(a.int(0)), nil
		}), true
	case f == kNum && t.IsInteger():
		return eachInt(t, func(a *args) (int64, error) {
			return decimal.ToInt(a.num(0), intBits(t), t.String())
		}), false
	case f.IsFloat() && t.IsInteger():
		return eachInt(t, func(a *args) (int64, error) { return floatToInt(a.float(0), t) }), false
	case f == kNum && t == kNum:
		return fitNumeric(to), false
	case (f == kText || f == schemas.Varchar) && (t.IsInteger() || t == kDate || t == kTS || t == kTSTZ):
		return parseInt(t), false
	case t == kText && (f.Layout() == schemas.LayoutInt && f != kBool || f == kNum || f.IsFloat()):
		return eachBytes(t, func(dst []byte, a *args) ([]byte, error) {
			return notNil(pgtext.AppendVector(dst, a.vecs[0], a.row)), nil
		}), true
	case f == kTS && t == kDate, f == kTSTZ && t == kDate:
		return eachInt(t, func(a *args) (int64, error) { return dayOf(a.int(0)), nil }), true
	case f == kDate && (t == kTS || t == kTSTZ):
		return eachInt(t, func(a *args) (int64, error) { return midnight(a.int(0)) }), false
	}
	return castValues(to), false
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func intBits(k schemas.Kind) int {
	switch k {
	case kI16:
		return 16
	case kI32:
		return 32
	}
	return 64
}

func narrowInt(t schemas.Kind) kernelFunc {
	var mem []int64
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		src := flat(&mem, v[0], n)
		out := b.flatInts(schemas.Type{Kind: t}, n)
		copy(out, src)
		if inRange(out, t) {
			return nil
		}
		h := half(t)
		if i := firstBad(n, skip, func(i int) bool { return out[i] < -h || out[i] >= h }); i >= 0 {
			return &rowAt{i, outOfRange(t)}
		}
		return nil
	}
}

// intToNumeric keeps 64 bits while they hold at most 18 digits.
func intToNumeric(b *Buffer, v []*vector.Vector, n int, _ vector.Bitmap) error {
	var mem []int64
	src := flat(&mem, v[0], n)
	if inTier(src) {
		copy(b.decimal64(numeric, n, 0), src)
		return nil
	}
	for i, out := 0, b.decimal128(numeric, n, 0); i < n; i++ {
		out[i] = decimal.Wide(src[i])
	}
	return nil
}

func floatToInt(f float64, t schemas.Kind) (int64, error) {
	r := math.RoundToEven(f)
	limit := math.Ldexp(1, intBits(t)-1)
	if math.IsNaN(f) || r < -limit || r >= limit {
		return 0, outOfRange(t)
	}
	return int64(r), nil
}

// fitNumeric applies precision and scale.
func fitNumeric(to schemas.Type) kernelFunc {
	slow := eachNum(func(a *args) (decimal.Num, error) {
		return decimal.Fit(a.num(0), int(to.Precision), int(to.Scale))
	})
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		x := v[0]
		if x.Enc == vector.Flat && x.Dec == vector.Dec64 && x.Scale == int(to.Scale) && x.DScale == nil && to.Precision <= 18 {
			limit := decimal.Pow10(int(to.Precision))
			i := firstBad(n, skip, func(i int) bool { return x.Ints[i] >= limit || x.Ints[i] <= -limit })
			if i < 0 {
				copy(b.decimal64(numeric, n, x.Scale), x.Ints[:n])
				return nil
			}
		}
		return slow(b, v, n, skip)
	}
}

// parseInt reads text as what is held in an integer.
func parseInt(t schemas.Kind) kernelFunc {
	return eachInt(t, func(a *args) (int64, error) {
		switch t {
		case kDate:
			return pgtext.ParseDate(a.bytes(0))
		case kTS:
			return pgtext.ParseTimestamp(a.bytes(0))
		case kTSTZ:
			return pgtext.ParseTimestampTZ(a.bytes(0))
		}
		return pgtext.ParseInt(t, a.bytes(0))
	})
}
