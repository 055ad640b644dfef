package column

import (
	"bytes"
	"math"
	"math/big"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// zoneBytes is the longest string that a zone keeps.
const zoneBytes = 32

// Zone is what is known of a block's values.
type Zone struct {
	// Known says that Min and Max bound every value that is not NULL. They are
	// NULL when there is no such value.
	Known    bool
	Min, Max schemas.Value
	Nulls    int
}

func zoneOf(v *vector.Vector) Zone {
	z := Zone{Nulls: nulls(v)}
	if z.Nulls == v.Len {
		z.Known = true
		return z
	}
	k := v.Type.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		lo, hi := intRange(v)
		z.Known, z.Min, z.Max = true, schemas.NewInt(k, lo), schemas.NewInt(k, hi)
	case schemas.LayoutFloat:
		z.floats(v)
	case schemas.LayoutDecimal:
		if v.Dec == vector.Dec64 {
			lo, hi := intRange(v)
			z.Known, z.Min, z.Max = true, schemas.NewNumeric(lo, v.Scale), schemas.NewNumeric(hi, v.Scale)
		}
	case schemas.LayoutBytes:
		if k != schemas.JSONB {
			z.strings(v)
		}
	}
	return z
}

func nulls(v *vector.Vector) int {
	if v.Enc == vector.Const && v.Nulls.Get(0) {
		return v.Len
	}
	return v.Nulls.Count()
}

// floats orders NaN above everything, as PostgreSQL does.
func (z *Zone) floats(v *vector.Vector) {
	first := true
	var lo, hi float64
	for i, f := range v.Floats[:v.Len] {
		if v.Nulls.Get(i) {
			continue
		}
		if first {
			lo, hi, first = f, f, false
			continue
		}
		if compareFloat(f, lo) < 0 {
			lo = f
		}
		if compareFloat(f, hi) > 0 {
			hi = f
		}
	}
	z.Known, z.Min, z.Max = true, schemas.NewFloat(v.Type.Kind, lo), schemas.NewFloat(v.Type.Kind, hi)
}

func (z *Zone) strings(v *vector.Vector) {
	var lo, hi []byte
	first := true
	for i := range v.Len {
		if v.Nulls.Get(i) {
			continue
		}
		b := trim(v.Type.Kind, v.Strs.At(i))
		switch {
		case first:
			lo, hi, first = b, b, false
		case bytes.Compare(b, lo) < 0:
			lo = b
		case bytes.Compare(b, hi) > 0:
			hi = b
		}
	}
	if len(hi) > zoneBytes {
		return
	}
	z.Known = true
	// A prefix is a lower bound too.
	z.Min = schemas.NewBytes(v.Type.Kind, string(lo[:min(len(lo), zoneBytes)]))
	z.Max = schemas.NewBytes(v.Type.Kind, string(hi))
}

// trim removes what comparison of a kind ignores.
func trim(k schemas.Kind, b []byte) []byte {
	if k == schemas.Char {
		return bytes.TrimRight(b, " ")
	}
	return b
}

// Overlaps says whether a value in [lo, hi] may be in the block; a NULL end is
// open. NULLs never match.
func (z *Zone) Overlaps(lo, hi schemas.Value) bool {
	if !z.Known {
		return true
	}
	if z.Min.IsNull() {
		return lo.IsNull() && hi.IsNull()
	}
	if !hi.IsNull() {
		if c, ok := compare(z.Min, hi); ok && c > 0 {
			return false
		}
	}
	if !lo.IsNull() {
		if c, ok := compare(z.Max, lo); ok && c < 0 {
			return false
		}
	}
	return true
}

// compare orders two values of one kind; ok is false where it does not know.
func compare(a, b schemas.Value) (order int, ok bool) {
	if a.Kind().Layout() != b.Kind().Layout() {
		return 0, false
	}
	switch a.Kind().Layout() {
	case schemas.LayoutInt:
		return compareInt(a.Int(), b.Int()), true
	case schemas.LayoutFloat:
		return compareFloat(a.Float(), b.Float()), true
	case schemas.LayoutBytes:
		return bytes.Compare(trim(a.Kind(), []byte(a.Bytes())), trim(b.Kind(), []byte(b.Bytes()))), true
	case schemas.LayoutDecimal:
		x, xs, _, ok1 := a.Numeric()
		y, ys, _, ok2 := b.Numeric()
		if !ok1 || !ok2 {
			return 0, false
		}
		return compareDecimal(x, xs, y, ys), true
	}
	return 0, false
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareFloat(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a) || a > b:
		return 1
	case math.IsNaN(b) || a < b:
		return -1
	}
	return 0
}

func compareDecimal(x int64, xs int, y int64, ys int) int {
	if xs == ys {
		return compareInt(x, y)
	}
	a, b := big.NewInt(x), big.NewInt(y)
	ten := big.NewInt(10)
	if xs < ys {
		a.Mul(a, new(big.Int).Exp(ten, big.NewInt(int64(ys-xs)), nil))
	} else {
		b.Mul(b, new(big.Int).Exp(ten, big.NewInt(int64(xs-ys)), nil))
	}
	return a.Cmp(b)
}

// Compare orders two values of one kind for checks; ok is false where the order
// is not known.
func Compare(a, b schemas.Value) (order int, ok bool) { return compare(a, b) }
