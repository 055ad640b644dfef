package rowexec

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// maxText is the largest string a function makes: PostgreSQL's limit of a value.
const maxText = 1 << 30

func text(s string) (schemas.Value, error) { return schemas.NewText(s), nil }

func int4(n int) (schemas.Value, error) { return schemas.NewInt(schemas.Int32, int64(n)), nil }

func joined(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	return schemas.NewBytes(f.Result, a[0].Bytes()+a[1].Bytes()), nil
}

// length counts characters of text, bytes of bytea.
func length(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Args[0] == schemas.Bytea {
		return int4(len(a[0].Bytes()))
	}
	return int4(utf8.RuneCountInString(a[0].Bytes()))
}

func octetLength(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	return int4(len(a[0].Bytes()))
}

func lowerByte(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

func upperByte(b byte) byte {
	if b >= 'a' && b <= 'z' {
		b -= 'a' - 'A'
	}
	return b
}

func mapBytes(s string, f func(byte) byte) string {
	b := []byte(s)
	for i := range b {
		b[i] = f(b[i])
	}
	return string(b)
}

// caseMap is lower and upper, which change ASCII letters alone in collation "C".
func caseMap(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Name == "upper" {
		return text(mapBytes(a[0].Bytes(), upperByte))
	}
	return text(mapBytes(a[0].Bytes(), lowerByte))
}

func initcap(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	inWord := false
	return text(mapBytes(a[0].Bytes(), func(b byte) byte {
		was := inWord
		inWord = lowerByte(b) >= 'a' && lowerByte(b) <= 'z' || b >= '0' && b <= '9'
		if was {
			return lowerByte(b)
		}
		return upperByte(b)
	}))
}

func reverse(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	r := []rune(a[0].Bytes())
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return text(string(r))
}

// trim is btrim, ltrim and rtrim with the set of characters to remove.
func trim(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, set := a[0].Bytes(), a[1].Bytes()
	in := func(r rune) bool { return strings.ContainsRune(set, r) }
	if f.Name != "rtrim" {
		s = strings.TrimLeftFunc(s, in)
	}
	if f.Name != "ltrim" {
		s = strings.TrimRightFunc(s, in)
	}
	return text(s)
}

// pad is lpad and rpad; both cut what is too long from the right.
func pad(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, n, fill := []rune(a[0].Bytes()), max(int(a[1].Int()), 0), []rune(a[2].Bytes())
	if len(s) >= n {
		return text(string(s[:n]))
	}
	if len(fill) == 0 {
		return text(string(s))
	}
	if n > maxText/4 {
		return schemas.Null, tooLong()
	}
	var more []rune
	for i := range n - len(s) {
		more = append(more, fill[i%len(fill)])
	}
	if f.Name == "lpad" {
		return text(string(more) + string(s))
	}
	return text(string(s) + string(more))
}

func tooLong() error {
	return schemas.Errorf(schemas.CodeOutOfRange, "54000", "requested length too large")
}

// substring is (string, from) and (string, from, for), counted from 1.
func substring(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	units := strings.Split(a[0].Bytes(), "") // characters
	if f.Args[0] == schemas.Bytea {
		units = strings.Split(latin(a[0].Bytes()), "")
	}
	from, to := a[1].Int(), int64(len(units))+1
	if len(a) == 3 {
		if a[2].Int() < 0 {
			return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22011", "negative substring length not allowed")
		}
		to = min(to, from+a[2].Int())
	}
	from = max(from, 1)
	if from >= to {
		return schemas.NewBytes(f.Result, ""), nil
	}
	s := strings.Join(units[from-1:to-1], "")
	if f.Args[0] == schemas.Bytea {
		s = unlatin(s)
	}
	return schemas.NewBytes(f.Result, s), nil
}

// latin makes a character of each byte, unlatin the reverse.
func latin(b string) string {
	var s strings.Builder
	for i := range len(b) {
		s.WriteRune(rune(b[i]))
	}
	return s.String()
}

func unlatin(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func strpos(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s := a[0].Bytes()
	i := strings.Index(s, a[1].Bytes())
	if i < 0 {
		return int4(0)
	}
	return int4(utf8.RuneCountInString(s[:i]) + 1)
}

// leftRight takes n characters from one end; a negative n leaves -n at the other.
func leftRight(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, n := []rune(a[0].Bytes()), int(a[1].Int())
	if n < 0 {
		n = max(len(s)+n, 0)
	}
	n = min(n, len(s))
	if f.Name == "left" {
		return text(string(s[:n]))
	}
	return text(string(s[len(s)-n:]))
}

func repeat(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, n := a[0].Bytes(), max(int(a[1].Int()), 0)
	if len(s)*n > maxText-8 {
		return schemas.Null, tooLong()
	}
	return text(strings.Repeat(s, n))
}

func replace(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if a[1].Bytes() == "" {
		return a[0], nil
	}
	return text(strings.ReplaceAll(a[0].Bytes(), a[1].Bytes(), a[2].Bytes()))
}

func translate(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	from, to := []rune(a[1].Bytes()), []rune(a[2].Bytes())
	return text(strings.Map(func(r rune) rune {
		for i, c := range from {
			if c == r {
				if i < len(to) {
					return to[i]
				}
				return -1
			}
		}
		return r
	}, a[0].Bytes()))
}

func splitPart(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	s, sep, n := a[0].Bytes(), a[1].Bytes(), int(a[2].Int())
	if n == 0 {
		return schemas.Null, schemas.Errorf(schemas.CodeInvalid, "22023", "field position must not be zero")
	}
	parts := []string{s}
	if sep != "" && s != "" {
		parts = strings.Split(s, sep)
	}
	if n < 0 {
		n += len(parts) + 1
	}
	if n < 1 || n > len(parts) {
		return text("")
	}
	return text(parts[n-1])
}

func ascii(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	for _, r := range a[0].Bytes() {
		return int4(int(r))
	}
	return int4(0)
}

func chr(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	n := a[0].Int()
	switch {
	case n < 0:
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22023", "character number must be positive")
	case n == 0:
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "54000", "null character not permitted")
	case n > utf8.MaxRune:
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "54000", "requested character too large for encoding: %d", n)
	case !utf8.ValidRune(rune(n)):
		return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "54000", "requested character not valid for encoding: %d", n)
	}
	return text(string(rune(n)))
}

func toHex(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if f.Args[0] == schemas.Int32 {
		return text(strconv.FormatUint(uint64(uint32(a[0].Int())), 16))
	}
	return text(strconv.FormatUint(uint64(a[0].Int()), 16))
}

func startsWith(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	return schemas.NewBool(strings.HasPrefix(a[0].Bytes(), a[1].Bytes())), nil
}

// concat skips NULLs.
func concat(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	var s strings.Builder
	for _, v := range a {
		s.WriteString(v.Bytes())
	}
	return text(s.String())
}

// concatWS skips NULLs after the separator, and is NULL when that is.
func concatWS(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if a[0].IsNull() {
		return schemas.Null, nil
	}
	var parts []string
	for _, v := range a[1:] {
		if !v.IsNull() {
			parts = append(parts, v.Bytes())
		}
	}
	return text(strings.Join(parts, a[0].Bytes()))
}
