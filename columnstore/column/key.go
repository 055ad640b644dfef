package column

import (
	"bytes"
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// HashKeys fills dst with a hash of each row's key. Keys that are equal as
// PostgreSQL compares them hash alike, whatever their encoding, tier or scale.
func HashKeys(dst []uint64, cols []*vector.Vector) {
	for i := range dst {
		dst[i] = 0x9E3779B97F4A7C15
	}
	for _, v := range cols {
		hashColumn(dst, v)
	}
}

func mix(h, x uint64) uint64 {
	hi, lo := bits.Mul64(h^x^0xA0761D6478BD642F, 0xE7037ED1A0B428DB)
	h = hi ^ lo
	hi, lo = bits.Mul64(h^0x8EBC6AF09C88C6E3, 0x589965CC75374CC3)
	return hi ^ lo
}

func hashColumn(dst []uint64, v *vector.Vector) {
	k := v.Type.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		for i := range dst {
			dst[i] = mix(dst[i], uint64(v.Int(i)))
		}
	case schemas.LayoutFloat:
		for i := range dst {
			dst[i] = mix(dst[i], floatKey(v.Float(i)))
		}
	case schemas.LayoutBytes:
		for i := range dst {
			dst[i] = mix(dst[i], xxhash.Sum64(trim(k, v.Bytes(i))))
		}
	case schemas.LayoutDecimal:
		for i := range dst {
			coef, scale, text := decimalKey(v, i)
			if text != nil {
				dst[i] = mix(dst[i], xxhash.Sum64(text))
				continue
			}
			dst[i] = mix(mix(dst[i], uint64(coef)), uint64(scale))
		}
	case schemas.LayoutInterval:
		for i := range dst {
			days, us := intervalKey(v, i)
			dst[i] = mix(mix(dst[i], uint64(days)), uint64(us))
		}
	}
}

// floatKey maps equal floats to equal bits: -0 is 0 and every NaN is one.
func floatKey(f float64) uint64 {
	switch {
	case f == 0:
		return 0
	case math.IsNaN(f):
		return math.Float64bits(math.NaN())
	}
	return math.Float64bits(f)
}

// decimalKey gives a number without trailing zeros, in 64 bits where it fits.
func decimalKey(v *vector.Vector, i int) (coef int64, scale int, text []byte) {
	if v.Dec == vector.Dec64 {
		coef, scale = v.Int(i), v.Scale
	} else {
		b := v.AppendDecimalAt(nil, i)
		if bytes.IndexByte(b, '.') >= 0 {
			b = bytes.TrimRight(bytes.TrimRight(b, "0"), ".")
		}
		var ok bool
		if coef, scale, _, ok = vector.NumericValue(b).Numeric(); !ok {
			return 0, 0, b
		}
	}
	if coef == 0 {
		return 0, 0, nil
	}
	for scale > 0 && coef%10 == 0 {
		coef, scale = coef/10, scale-1
	}
	return coef, scale, nil
}

const dayMicros = 24 * 3600 * 1_000_000

// intervalKey counts a month as 30 days and a day as 24 hours, as PostgreSQL does.
func intervalKey(v *vector.Vector, i int) (days, us int64) {
	if v.Enc == vector.Const {
		i = 0
	}
	x := v.Intervals[i]
	days, us = int64(x.Months)*30+int64(x.Days)+x.Micros/dayMicros, x.Micros%dayMicros
	if us < 0 {
		days, us = days-1, us+dayMicros
	}
	return days, us
}

// KeyEqual says whether row i of a and row j of b hold equal values, not NULL.
func KeyEqual(a *vector.Vector, i int, b *vector.Vector, j int) bool {
	k := a.Type.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		return a.Int(i) == b.Int(j)
	case schemas.LayoutFloat:
		return floatKey(a.Float(i)) == floatKey(b.Float(j))
	case schemas.LayoutBytes:
		return bytes.Equal(trim(k, a.Bytes(i)), trim(k, b.Bytes(j)))
	case schemas.LayoutDecimal:
		ac, as, at := decimalKey(a, i)
		bc, bs, bt := decimalKey(b, j)
		return ac == bc && as == bs && bytes.Equal(at, bt)
	case schemas.LayoutInterval:
		ad, au := intervalKey(a, i)
		bd, bu := intervalKey(b, j)
		return ad == bd && au == bu
	}
	return false
}
