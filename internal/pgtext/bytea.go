package pgtext

import (
	"encoding/hex"

	"github.com/millrace/millrace/schemas"
)

// ParseBytea appends the bytes that b stands for, in hex form (\x…) or escape form.
func ParseBytea(dst, b []byte) ([]byte, error) {
	if len(b) >= 2 && b[0] == '\\' && b[1] == 'x' {
		return parseHex(dst, b[2:])
	}
	for i := 0; i < len(b); {
		switch {
		case b[i] != '\\':
			dst = append(dst, b[i])
			i++
		case i+1 < len(b) && b[i+1] == '\\':
			dst = append(dst, '\\')
			i += 2
		case i+3 < len(b) && b[i+1] >= '0' && b[i+1] <= '3' && isOctal(b[i+2]) && isOctal(b[i+3]):
			dst = append(dst, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 4
		default:
			return dst, schemas.Errorf(schemas.CodeInvalidText, "22P02", "invalid input syntax for type bytea")
		}
	}
	return dst, nil
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

// parseHex reads pairs of digits; white space may stand between pairs.
func parseHex(dst, b []byte) ([]byte, error) {
	for i := 0; i < len(b); {
		if c := b[i]; c == ' ' || c == '\n' || c == '\t' || c == '\r' {
			i++
			continue
		}
		hi := hexDigit(b[i])
		if hi > 15 {
			return dst, errHex(b[i:])
		}
		if i+1 >= len(b) {
			return dst, schemas.Errorf(schemas.CodeInvalidText, "22023", "invalid hexadecimal data: odd number of digits")
		}
		lo := hexDigit(b[i+1])
		if lo > 15 {
			return dst, errHex(b[i+1:])
		}
		dst = append(dst, hi<<4|lo)
		i += 2
	}
	return dst, nil
}

func errHex(b []byte) error {
	r := []rune(string(b[:min(len(b), 4)]))
	return schemas.Errorf(schemas.CodeInvalidText, "22023", `invalid hexadecimal digit: "%c"`, r[0])
}

// AppendBytea writes bytes in hex form.
func AppendBytea(dst, b []byte) []byte {
	return hex.AppendEncode(append(dst, `\x`...), b)
}
