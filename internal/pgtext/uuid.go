package pgtext

import "encoding/hex"

// ParseUUID reads a UUID: 32 hexadecimal digits, a hyphen allowed after each
// group of four, braces around allowed.
func ParseUUID(b []byte) ([16]byte, error) {
	var u [16]byte
	s := b
	if len(s) > 0 && s[0] == '{' {
		if s[len(s)-1] != '}' {
			return u, errSyntax("uuid", b)
		}
		s = s[1 : len(s)-1]
	}
	for i := range u {
		if len(s) < 2 {
			return u, errSyntax("uuid", b)
		}
		hi, lo := hexDigit(s[0]), hexDigit(s[1])
		if hi > 15 || lo > 15 {
			return u, errSyntax("uuid", b)
		}
		u[i], s = hi<<4|lo, s[2:]
		if len(s) > 0 && s[0] == '-' && i%2 == 1 && i < 15 {
			s = s[1:]
		}
	}
	if len(s) > 0 {
		return u, errSyntax("uuid", b)
	}
	return u, nil
}

// hexDigit gives the digit's value, or 255.
func hexDigit(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// AppendUUID writes the 16 bytes of a UUID in the form 8-4-4-4-12.
func AppendUUID(dst []byte, u []byte) []byte {
	if len(u) != 16 {
		return append(dst, u...)
	}
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		start := [...]int{0, 4, 6, 8, 10}[i]
		dst = hex.AppendEncode(dst, u[start:end])
	}
	return dst
}
