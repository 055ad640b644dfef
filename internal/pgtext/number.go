package pgtext

import (
	"math"
	mathbits "math/bits"
	"strconv"
	"unsafe"

	"github.com/millrace/millrace/schemas"
)

// ParseBool reads a boolean: unique prefixes of true, false, yes, no, and on, off, 1, 0.
func ParseBool(b []byte) (bool, error) {
	t := trim(b)
	if len(t) == 1 {
		switch t[0] {
		case 't', 'T', 'y', 'Y', '1':
			return true, nil
		case 'f', 'F', 'n', 'N', '0':
			return false, nil
		}
		return false, errSyntax("boolean", b)
	}
	switch {
	case foldPrefix(t, "true"), foldPrefix(t, "yes"), equalFold(t, "on"):
		return true, nil
	case foldPrefix(t, "false"), foldPrefix(t, "no"), len(t) >= 2 && foldPrefix(t, "off"):
		return false, nil
	}
	return false, errSyntax("boolean", b)
}

// foldPrefix says whether b, not empty, is a prefix of word without case.
func foldPrefix(b []byte, word string) bool {
	return len(b) > 0 && len(b) <= len(word) && equalFold(b, word[:len(b)])
}

// AppendBool writes t or f, a boolean's output form.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 't')
	}
	return append(dst, 'f')
}

// ParseInt reads an integer of kind Int16, Int32 or Int64.
func ParseInt(k schemas.Kind, b []byte) (int64, error) {
	t := trim(b)
	neg := false
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		neg, t = t[0] == '-', t[1:]
	}
	if len(t) == 0 {
		return 0, errSyntax(k.String(), b)
	}
	limit := maxInt(k)
	var n uint64
	for _, c := range t {
		if !isDigit(c) {
			return 0, errSyntax(k.String(), b)
		}
		// n stays below 2^63+1 here, so that n*10 cannot wrap below it.
		if n > limit/10+1 || n*10+uint64(c-'0') > limit+1 {
			return 0, errRange(k.String(), b)
		}
		n = n*10 + uint64(c-'0')
	}
	if !neg && n > limit {
		return 0, errRange(k.String(), b)
	}
	if neg {
		return -int64(n), nil
	}
	return int64(n), nil
}

func maxInt(k schemas.Kind) uint64 {
	switch k {
	case schemas.Int16:
		return math.MaxInt16
	case schemas.Int32:
		return math.MaxInt32
	}
	return math.MaxInt64
}

// AppendInt writes an integer.
func AppendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// ParseFloat reads a real or double precision, rounded to nearest even.
func ParseFloat(k schemas.Kind, b []byte) (float64, error) {
	t := trim(b)
	if len(t) == 0 {
		return 0, errSyntax(k.String(), b)
	}
	if f, ok := specialFloat(t); ok {
		return f, nil
	}
	num := t[:floatPrefix(t)]
	if len(num) == 0 {
		return 0, errSyntax(k.String(), b)
	}
	bits := 64
	if k == schemas.Float32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(unsafe.String(&num[0], len(num)), bits)
	if err != nil || f == 0 && !zeroMantissa(num) {
		if bits == 32 {
			num = b
		}
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22003", `"%s" is out of range for type %s`, quoted(num), k)
	}
	if len(num) < len(t) {
		return 0, errSyntax(k.String(), b)
	}
	return f, nil
}

// floatPrefix gives the length of the decimal number that t starts with, as C's
// strtod would take it.
func floatPrefix(t []byte) int {
	i, digits := 0, 0
	run := func() {
		for i < len(t) && isDigit(t[i]) {
			i++
			digits++
		}
	}
	if t[0] == '-' || t[0] == '+' {
		i++
	}
	run()
	if i < len(t) && t[i] == '.' {
		i++
		run()
	}
	if digits == 0 {
		return 0
	}
	end := i
	if i < len(t) && t[i]|0x20 == 'e' {
		i++
		if i < len(t) && (t[i] == '-' || t[i] == '+') {
			i++
		}
		digits = 0
		if run(); digits > 0 {
			end = i
		}
	}
	return end
}

// zeroMantissa says whether a number that was read as 0 is written as 0.
func zeroMantissa(t []byte) bool {
	for _, c := range t {
		if c == 'e' || c == 'E' {
			break
		}
		if c >= '1' && c <= '9' {
			return false
		}
	}
	return true
}

func specialFloat(t []byte) (float64, bool) {
	if c := t[len(t)-1] | 0x20; c != 'n' && c != 'y' && c != 'f' {
		return 0, false
	}
	sign := 1
	switch {
	case equalFold(t, "nan"):
		return math.NaN(), true
	case t[0] == '-':
		sign, t = -1, t[1:]
	case t[0] == '+':
		t = t[1:]
	}
	if equalFold(t, "infinity") || equalFold(t, "inf") {
		return math.Inf(sign), true
	}
	return 0, false
}

// AppendFloat writes a real or double precision with the fewest digits that read
// back as the same value.
func AppendFloat(dst []byte, k schemas.Kind, f float64) []byte {
	switch {
	case f != f:
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	bits, low, high, digits := 64, 1e-4, 1e15, 17
	if k == schemas.Float32 {
		bits, low, high, digits = 32, float64(float32(1e-4)), 1e6, 9
	}
	if abs := math.Abs(f); abs == 0 || abs >= low && abs < high {
		return strconv.AppendFloat(dst, f, 'f', -1, bits)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	for n := significant(dst[start:]); n < digits && onMidpoint(f, bits, dst[start:]); n++ {
		dst = strconv.AppendFloat(dst[:start], f, 'e', n, bits)
	}
	return dst
}

// significant counts the digits of the mantissa of d.ddde±dd.
func significant(s []byte) int {
	n := 0
	for _, c := range s {
		if c == 'e' {
			break
		}
		if isDigit(c) {
			n++
		}
	}
	return n
}

// onMidpoint says whether a decimal in form d.ddde±dd that reads as f lies exactly
// between f and a neighbour. It does read as f, by rounding to even, but
// PostgreSQL does not use it and takes more digits.
func onMidpoint(f float64, bits int, s []byte) bool {
	frac, exp := math.Frexp(math.Abs(f))
	mantBits := 53
	if bits == 32 {
		mantBits = 24
	}
	mant := uint64(math.Ldexp(frac, mantBits))
	exp -= mantBits // f = mant × 2^exp
	if mant&1 != 0 {
		return false // rounding to even never takes a midpoint to an odd mantissa
	}
	var d uint64
	scale, point := 0, false
	for i, c := range s {
		if c == 'e' {
			e, _ := strconv.Atoi(string(s[i+1:]))
			scale = e - scale
			break
		}
		if isDigit(c) {
			d = d*10 + uint64(c-'0')
			if point {
				scale++
			}
		}
		point = point || c == '.'
	}
	for d%10 == 0 {
		d /= 10
		scale++
	}
	// d × 10^scale = odd × 2^two
	two := mathbits.TrailingZeros64(d)
	odd := d >> two
	for two += scale; scale > 0 && odd < 1<<56; scale-- {
		odd *= 5
	}
	for ; scale < 0 && odd%5 == 0; scale++ {
		odd /= 5
	}
	if scale != 0 {
		return false
	}
	// Midpoints are (2 mant ± 1) × 2^(exp-1); below a power of two the neighbour
	// is twice as near, and the midpoint is (4 mant - 1) × 2^(exp-2).
	if mant == 1<<(mantBits-1) && two == exp-2 && odd == 4*mant-1 {
		return true
	}
	return two == exp-1 && (odd == 2*mant+1 || odd == 2*mant-1)
}

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}
