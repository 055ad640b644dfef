package rowexec

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// digest is md5, as hexadecimal text, and the SHA-2 family, as bytes.
func digest(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	b := []byte(a[0].Bytes())
	var sum []byte
	switch f.Name {
	case "md5":
		m := md5.Sum(b)
		return text(hex.EncodeToString(m[:]))
	case "sha224":
		x := sha256.Sum224(b)
		sum = x[:]
	case "sha256":
		x := sha256.Sum256(b)
		sum = x[:]
	case "sha384":
		x := sha512.Sum384(b)
		sum = x[:]
	default:
		x := sha512.Sum512(b)
		sum = x[:]
	}
	return schemas.NewBytes(schemas.Bytea, string(sum)), nil
}

func invalid(format string, args ...any) error {
	return schemas.Errorf(schemas.CodeInvalid, "22023", format, args...)
}

func encode(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	b := []byte(a[0].Bytes())
	switch strings.ToLower(a[1].Bytes()) {
	case "hex":
		return text(hex.EncodeToString(b))
	case "base64":
		s := base64.StdEncoding.EncodeToString(b)
		var lines []string
		for ; len(s) > 76; s = s[76:] {
			lines = append(lines, s[:76])
		}
		return text(strings.Join(append(lines, s), "\n"))
	case "escape":
		var out strings.Builder
		for _, c := range b {
			switch {
			case c == 0 || c >= 0x80:
				fmt.Fprintf(&out, "\\%03o", c)
			case c == '\\':
				out.WriteString(`\\`)
			default:
				out.WriteByte(c)
			}
		}
		return text(out.String())
	}
	return schemas.Null, invalid("unrecognized encoding: %q", a[1].Bytes())
}

func decode(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s := a[0].Bytes()
	var b []byte
	var err error
	switch strings.ToLower(a[1].Bytes()) {
	case "hex":
		b, err = decodeHex(s)
	case "base64":
		b, err = decodeBase64(s)
	case "escape":
		b, err = decodeEscape(s)
	default:
		err = invalid("unrecognized encoding: %q", a[1].Bytes())
	}
	if err != nil {
		return schemas.Null, err
	}
	return schemas.NewBytes(schemas.Bytea, string(b)), nil
}

func isBlank(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' }

// decodeHex allows blanks between pairs of digits.
func decodeHex(s string) ([]byte, error) {
	var out []byte
	r := []rune(s)
	for i := 0; i < len(r); i++ {
		if isBlank(r[i]) {
			continue
		}
		hi := strings.IndexRune("0123456789abcdef", lowerRune(r[i]))
		if hi < 0 {
			return nil, invalid("invalid hexadecimal digit: %q", string(r[i]))
		}
		if i++; i >= len(r) {
			return nil, invalid("invalid hexadecimal data: odd number of digits")
		}
		lo := strings.IndexRune("0123456789abcdef", lowerRune(r[i]))
		if lo < 0 {
			return nil, invalid("invalid hexadecimal digit: %q", string(r[i]))
		}
		out = append(out, byte(hi<<4|lo))
	}
	return out, nil
}

func lowerRune(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(lowerByte(byte(r)))
	}
	return r
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if isBlank(r) {
			return -1
		}
		return r
	}, s)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "invalid base64 sequence", Err: err}
	}
	return b, nil
}

func decodeEscape(s string) ([]byte, error) {
	bad := schemas.Errorf(schemas.CodeInvalidText, "22P02", "invalid input syntax for type bytea")
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\\' {
			out = append(out, '\\')
			i++
			continue
		}
		if i+3 >= len(s) || s[i+1] > '3' {
			return nil, bad
		}
		n := 0
		for _, c := range s[i+1 : i+4] {
			if c < '0' || c > '7' {
				return nil, bad
			}
			n = n*8 + int(c-'0')
		}
		out = append(out, byte(n))
		i += 3
	}
	return out, nil
}

// encodingName refuses every encoding but UTF-8, the one there is.
func encodingName(s string) error {
	switch strings.ToLower(s) {
	case "utf8", "utf-8", "utf_8", "unicode":
		return nil
	}
	return schemas.Errorf(schemas.CodeUnsupported, "0A000", "encoding %q is not supported, only UTF8", s)
}

func convertTo(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	return schemas.NewBytes(schemas.Bytea, a[0].Bytes()), encodingName(a[1].Bytes())
}

func convertFrom(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if err := encodingName(a[1].Bytes()); err != nil {
		return schemas.Null, err
	}
	s := a[0].Bytes()
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return schemas.Null, schemas.Errorf(schemas.CodeInvalidText, "22021", "invalid byte sequence for encoding \"UTF8\"")
	}
	return text(s)
}
