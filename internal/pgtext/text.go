package pgtext

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/millrace/millrace/schemas"
)

// checkText refuses what PostgreSQL cannot hold in a text: bytes that are not
// UTF-8, and zero bytes.
func checkText(b []byte) error {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return errEncoding(b[i:])
	}
	if utf8.Valid(b) {
		return nil
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return errEncoding(b[i:])
		}
		i += n
	}
	return nil
}

func errEncoding(b []byte) error {
	return schemas.Errorf(schemas.CodeInvalidText, "22021", `invalid byte sequence for encoding "UTF8": 0x%s`, fmt.Sprintf("%02x", b[0]))
}

// fitText applies varchar(n) and char(n) as an assignment does: what exceeds n
// characters must be blanks, which are cut off. A char(n) is held without its
// trailing blanks.
func fitText(t schemas.Type, b []byte) ([]byte, error) {
	if err := checkText(b); err != nil {
		return nil, err
	}
	if t.Length > 0 && len(b) > int(t.Length) {
		if cut := prefixRunes(b, int(t.Length)); cut < len(b) {
			if len(bytes.TrimRight(b[cut:], " ")) > 0 {
				return nil, schemas.Errorf(schemas.CodeOutOfRange, "22001", "value too long for type %s", t)
			}
			b = b[:cut]
		}
	}
	if t.Kind == schemas.Char && t.Length > 0 {
		b = bytes.TrimRight(b, " ")
	}
	return b, nil
}

// prefixRunes gives the length in bytes of the first n characters.
func prefixRunes(b []byte, n int) int {
	i := 0
	for ; n > 0 && i < len(b); n-- {
		_, size := utf8.DecodeRune(b[i:])
		i += size
	}
	return i
}

// appendText writes a character string; a char(n) gets its blanks back.
func appendText(dst []byte, t schemas.Type, b []byte) []byte {
	dst = append(dst, b...)
	if t.Kind == schemas.Char && t.Length > 0 {
		for n := utf8.RuneCount(b); n < int(t.Length); n++ {
			dst = append(dst, ' ')
		}
	}
	return dst
}
