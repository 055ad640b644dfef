// Package pgtext reads and writes values in PostgreSQL's text representation,
// with PostgreSQL's rules, limits and error wording: what a cast from text
// accepts, what psql would print.
//
// The Parse functions take what PostgreSQL 15 takes as input under DateStyle
// 'ISO, MDY', IntervalStyle 'postgres' and time zone UTC; the Append functions
// write what it prints. Neither allocates on the forms that PostgreSQL itself
// prints. Errors are *schemas.Error with PostgreSQL's SQLSTATE.
package pgtext

import (
	"github.com/millrace/millrace/schemas"
)

// maxQuoted bounds how much of a bad value an error message repeats.
const maxQuoted = 200

func quoted(b []byte) string {
	if len(b) > maxQuoted {
		return string(b[:maxQuoted]) + "..."
	}
	return string(b)
}

// errSyntax is PostgreSQL's invalid_text_representation.
func errSyntax(typ string, b []byte) error {
	return schemas.Errorf(schemas.CodeInvalidText, "22P02", `invalid input syntax for type %s: "%s"`, typ, quoted(b))
}

// errRange is PostgreSQL's numeric_value_out_of_range for integers.
func errRange(typ string, b []byte) error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22003", `value "%s" is out of range for type %s`, quoted(b), typ)
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c-'0' <= 9 }

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 0x20
	}
	return c
}

// trim removes white space, as C's isspace sees it, from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// equalFold compares ASCII without case; word is in lower case.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if lower(c) != word[i] {
			return false
		}
	}
	return true
}

// append2 appends n with at least two digits.
func append2(dst []byte, n int) []byte {
	if n >= 100 {
		dst = appendUint(dst, uint64(n/100))
		n %= 100
	}
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendPadded appends n with at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	i := len(digits)
	for n > 0 || width > 0 {
		i--
		digits[i] = byte('0' + n%10)
		n /= 10
		width--
	}
	return append(dst, digits[i:]...)
}

func appendUint(dst []byte, n uint64) []byte { return appendPadded(dst, n, 1) }
