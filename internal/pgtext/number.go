package pgtext

import (
	"errors"
	"math"
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
	var n uint64
	over := false
	for _, c := range t {
		if !isDigit(c) {
			return 0, errSyntax(k.String(), b)
		}
		if n > (math.MaxUint64-9)/10 {
			over = true
			continue
		}
		n = n*10 + uint64(c-'0')
	}
	limit := maxInt(k)
	if neg {
		limit++
	}
	if over || n > limit {
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
	if !floatChars(t) {
		return 0, errSyntax(k.String(), b)
	}
	bits := 64
	if k == schemas.Float32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(unsafe.String(&t[0], len(t)), bits)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, errSyntax(k.String(), b)
	}
	if err != nil || f == 0 && !zeroMantissa(t) {
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22003", `"%s" is out of range for type %s`, quoted(t), k)
	}
	return f, nil
}

// floatChars keeps out what Go reads and PostgreSQL does not: underscores, and
// names other than those of specialFloat. C's strtod reads hexadecimal too.
func floatChars(t []byte) bool {
	digits := t
	if digits[0] == '-' || digits[0] == '+' {
		digits = digits[1:]
	}
	if len(digits) == 0 || digits[0] != '.' && !isDigit(digits[0]) {
		return false
	}
	for _, c := range digits {
		if !isDigit(c) && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return false
		}
	}
	return true
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
	bits, plainDigits := 64, 15
	if k == schemas.Float32 {
		bits, plainDigits = 32, 6
	}
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-4 && abs < float64(pow10[plainDigits]) {
		return strconv.AppendFloat(dst, f, 'f', -1, bits)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, bits)
}

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}
