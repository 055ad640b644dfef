package kernel

import (
	"hash/maphash"
	"math"
	"math/big"
	"math/bits"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Hasher hashes columns so that values that are equal in SQL have equal hashes. It
// belongs to one goroutine; hashers with one Seed agree.
type Hasher struct {
	Seed maphash.Seed
	dict []uint64
}

const (
	mixA     = 0x9E3779B97F4A7C15
	mixB     = 0xD6E8FEB86659FD93
	nullHash = 0xA0761D6478BD642F
)

func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x^mixB, mixA)
	return hi ^ lo
}

// join adds the hash of a further column.
func join(h, x uint64) uint64 { return mix(h<<5 ^ h>>59 ^ x) }

// Hash sets out[i] to the hash of row i of dense columns. All NULLs are alike.
func (h *Hasher) Hash(out []uint64, cols []*vector.Vector) {
	for k, v := range cols {
		if k == 0 {
			h.first(out, v)
		} else {
			h.further(out, v)
		}
	}
	if len(cols) == 0 {
		clear(out)
	}
}

func (h *Hasher) first(out []uint64, v *vector.Vector) {
	if v.Enc == vector.Flat && v.Type.Kind.Layout() == schemas.LayoutInt {
		for i, x := range v.Ints[:len(out)] {
			out[i] = mix(uint64(x))
		}
		if v.Nulls != nil {
			for i := range out {
				if v.Nulls.Get(i) {
					out[i] = nullHash
				}
			}
		}
		return
	}
	at := h.column(v)
	for i := range out {
		out[i] = at(i)
	}
}

func (h *Hasher) further(out []uint64, v *vector.Vector) {
	if v.Enc == vector.Flat && v.Type.Kind.Layout() == schemas.LayoutInt && v.Nulls == nil {
		for i, x := range v.Ints[:len(out)] {
			out[i] = join(out[i], mix(uint64(x)))
		}
		return
	}
	at := h.column(v)
	for i := range out {
		out[i] = join(out[i], at(i))
	}
}

// column gives the hash of a row of a column.
func (h *Hasher) column(v *vector.Vector) func(i int) uint64 {
	if v.Enc == vector.Const {
		x := uint64(nullHash)
		if !v.Null(0) {
			x = h.value(v, 0)
		}
		return func(int) uint64 { return x }
	}
	if v.Enc == vector.Dict && v.Dict.Len <= v.Len {
		dict := resize(&h.dict, v.Dict.Len)
		for i := range dict {
			dict[i] = h.value(v.Dict, i)
		}
		return func(i int) uint64 {
			if v.Nulls.Get(i) {
				return nullHash
			}
			return dict[v.Codes.At(i)]
		}
	}
	return func(i int) uint64 {
		if v.Nulls.Get(i) {
			return nullHash
		}
		return h.value(v, i)
	}
}

// value hashes a row that is not NULL.
func (h *Hasher) value(v *vector.Vector, i int) uint64 {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		return mix(uint64(v.Int(i)))
	case schemas.LayoutFloat:
		return mix(floatBits(v.Float(i)))
	case schemas.LayoutInterval:
		s := intervalSpan(IntervalAt(v, i))
		return mix(s.Lo ^ mix(uint64(s.Hi)))
	case schemas.LayoutDecimal:
		return h.number(v, i)
	}
	b := v.Bytes(i)
	if v.Type.Kind == schemas.Char {
		b = trimBlanks(b)
	}
	return maphash.Bytes(h.Seed, b)
}

// floatBits makes equal floats equal: -0 is 0, every NaN is one.
func floatBits(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case f != f:
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

// number hashes a decimal without the zeros at its end, so that display scale and
// tier do not matter.
func (h *Hasher) number(v *vector.Vector, i int) uint64 {
	if v.Dec == vector.Dec64 {
		return hash64(v.Int(i), v.Scale)
	}
	if v.Dec == vector.Dec128 {
		return hashWide(wideAt(v, i), v.Scale)
	}
	n := NumAt(v, i)
	if !n.IsFinite() {
		return maphash.Bytes(h.Seed, v.Bytes(i))
	}
	n = decimal.TrimScale(n)
	if w, ok := decimal.FromBig(n.Coef()); ok {
		return hashWide(w, n.Scale())
	}
	coef, scale := new(big.Int).Set(n.Coef()), n.Scale()
	ten, rem := big.NewInt(10), new(big.Int)
	for {
		q, _ := new(big.Int).QuoRem(coef, ten, rem)
		if rem.Sign() != 0 {
			break
		}
		coef, scale = q, scale-1
	}
	if w, ok := decimal.FromBig(coef); ok {
		return hashWide(w, scale)
	}
	return maphash.Bytes(h.Seed, coef.Bytes()) ^ mix(uint64(scale)) ^ uint64(coef.Sign())
}

func hash64(c int64, scale int) uint64 {
	if c == 0 {
		return mix(0)
	}
	for c%10 == 0 {
		c, scale = c/10, scale-1
	}
	return mix(uint64(c)) + uint64(scale)*mixA
}

func hashWide(c vector.Int128, scale int) uint64 {
	for {
		if n, ok := decimal.To64(c); ok {
			return hash64(n, scale)
		}
		q, r := decimal.DivRem(c, 10)
		if r != 0 {
			break
		}
		c, scale = q, scale-1
	}
	return mix(c.Lo^mix(uint64(c.Hi))) + uint64(scale)*mixA
}

// Equal says whether row i of a equals row j of b, of one kind; NULL equals NULL here,
// as in grouping.
func Equal(a *vector.Vector, i int, b *vector.Vector, j int) bool {
	p, q := a.Null(i), b.Null(j)
	if p || q {
		return p && q
	}
	if a.Type.Kind.Layout() == schemas.LayoutInt {
		return a.Int(i) == b.Int(j)
	}
	return Compare(a, i, b, j) == 0
}
