// Package tuple encodes keys so that comparing bytes compares values, and rows
// compactly so that they decode straight into columns.
//
// A key is its table's id (4 bytes, big-endian) and its columns one after the
// other, none of them NULL:
//
//	boolean              1 byte
//	smallint, integer    2 or 4 bytes, big-endian, sign bit inverted
//	bigint, date, times  8 bytes, likewise
//	real, double         8 bytes: IEEE 754, all bits inverted when negative, else the sign
//	                     bit; -0 is 0, NaN is greatest
//	text, char, bytea    the bytes, 00 written as 00 FF, ended by 00 01; char without
//	                     trailing blanks
//	uuid                 16 bytes
//	numeric              class byte (-inf, negative, 0, positive, inf, NaN); for finite ones
//	                     the decimal exponent (4 bytes, sign inverted), the digits in pairs
//	                     plus one, 00; all inverted when negative. Trailing zeros do not count.
//
// A row is
//
//	schema version (uvarint) | NULL bitmap (a bit a column, in bytes) | values that are not NULL
//
// where integers and times are zigzag varints, real 4 and double 8 bytes little-endian,
// uuid and interval 16 bytes, strings their length (uvarint) and bytes, and numeric scale+1
// (uvarint) and coefficient (zigzag varint), or 0 and a string.
package tuple

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/schemas"
)

// AppendPrefix begins a key of a table.
func AppendPrefix(dst []byte, table uint32) []byte { return binary.BigEndian.AppendUint32(dst, table) }

// Successor returns, appended to dst, the smallest key greater than every key
// that begins with prefix, and nil when there is none.
func Successor(dst, prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] != 0xFF {
			dst = append(dst, prefix[:n]...)
			dst[len(dst)-1]++
			return dst
		}
	}
	return nil
}

// CanKey says whether values of a kind have an order that keys can hold.
func CanKey(k schemas.Kind) bool {
	return k.Layout() != schemas.LayoutNone && k != schemas.Interval && k != schemas.JSONB
}

// AppendKeyValue adds a value that is not NULL and of the kind given to a key.
func AppendKeyValue(dst []byte, k schemas.Kind, v schemas.Value) []byte {
	switch k {
	case schemas.Bool:
		return append(dst, byte(v.Int()))
	case schemas.Int16:
		return binary.BigEndian.AppendUint16(dst, uint16(v.Int())^1<<15)
	case schemas.Int32:
		return binary.BigEndian.AppendUint32(dst, uint32(v.Int())^1<<31)
	case schemas.Float32, schemas.Float64:
		return appendFloat(dst, v.Float())
	case schemas.Numeric:
		return appendNumeric(dst, v)
	case schemas.UUID:
		return append(dst, v.Bytes()...)
	case schemas.Char:
		return appendString(dst, trimBlanks(v.Bytes()))
	case schemas.Text, schemas.Varchar, schemas.Bytea:
		return appendString(dst, v.Bytes())
	}
	return binary.BigEndian.AppendUint64(dst, uint64(v.Int())^1<<63)
}

func appendFloat(dst []byte, f float64) []byte {
	bits := math.Float64bits(f)
	switch {
	case f == 0:
		bits = 1 << 63
	case f != f:
		bits = math.MaxUint64
	case bits>>63 == 1:
		bits = ^bits
	default:
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(dst, bits)
}

func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, 0xFF)
		}
	}
	return append(dst, 0, 1)
}

func trimBlanks(s string) string {
	for len(s) > 0 && s[len(s)-1] == ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// The classes of numerics, in PostgreSQL's order.
const (
	classNegInf = 1 + iota
	classNegative
	classZero
	classPositive
	classInf
	classNaN
)

func appendNumeric(dst []byte, v schemas.Value) []byte {
	digits, exponent, class := numericDigits(v)
	if class != classPositive && class != classNegative {
		return append(dst, class)
	}
	dst = append(dst, class)
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(exponent)^1<<31)
	for len(digits) > 0 {
		pair := 10 * (digits[0] - '0')
		if len(digits) > 1 {
			pair += digits[1] - '0'
		}
		dst = append(dst, pair+1)
		digits = digits[min(2, len(digits)):]
	}
	dst = append(dst, 0)
	if class == classNegative {
		for i := range dst[from:] {
			dst[from+i] = ^dst[from+i]
		}
	}
	return dst
}

// numericDigits takes a number apart: 0.digits × 10^exponent, the digits without
// zeros at either end.
func numericDigits(v schemas.Value) (digits []byte, exponent int32, class byte) {
	coef, scale, text, small := v.Numeric()
	if small {
		digits = appendInt(make([]byte, 0, 20), coef)
	} else {
		switch text {
		case "NaN":
			return nil, 0, classNaN
		case "Infinity":
			return nil, 0, classInf
		case "-Infinity":
			return nil, 0, classNegInf
		}
		digits = []byte(text)
		scale = 0
		if i := bytes.IndexByte(digits, '.'); i >= 0 {
			scale = len(digits) - i - 1
			digits = append(digits[:i], digits[i+1:]...)
		}
	}
	class = classPositive
	if len(digits) > 0 && digits[0] == '-' {
		class, digits = classNegative, digits[1:]
	}
	digits = bytes.TrimLeft(digits, "0")
	exponent = int32(len(digits) - scale)
	digits = bytes.TrimRight(digits, "0")
	if len(digits) == 0 {
		return nil, 0, classZero
	}
	return digits, exponent, class
}
