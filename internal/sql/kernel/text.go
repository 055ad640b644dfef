package kernel

import (
	"bytes"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

func (t table) addText() {
	t.addPure(mapBytes(lower), "lower", kText).cheap()
	t.addPure(mapBytes(upper), "upper", kText).cheap()
	t.addPure(eachInt(kI32, func(a *args) (int64, error) {
		return int64(utf8.RuneCount(a.bytes(0))), nil
	}), "length", kText).cheap()
	for _, k := range []schemas.Kind{kText, kBytes} {
		t.addPure(eachInt(kI32, func(a *args) (int64, error) { return int64(len(a.bytes(0))), nil }), "octet_length", k).cheap()
		t.addPure(concatenate(k), "||", k, k).safe = true
	}
	t.addPure(eachInt(kI32, func(a *args) (int64, error) { return int64(len(a.bytes(0))), nil }), "length", kBytes).cheap()
	t.addPure(eachBool(func(a *args) (bool, error) { return bytes.HasPrefix(a.bytes(0), a.bytes(1)), nil }), "starts_with", kText, kText).cheap()
	t.addPure(eachInt(kI32, func(a *args) (int64, error) {
		s := a.bytes(0)
		i := bytes.Index(s, a.bytes(1))
		if i < 0 {
			return 0, nil
		}
		return int64(utf8.RuneCount(s[:i]) + 1), nil
	}), "strpos", kText, kText).cheap()
	t.addPure(eachBytes(kText, substring), "substring", kText, kI32, kI32).once()
	t.addPure(eachBytes(kText, substring), "substring", kText, kI32).once()
	t.addPure(eachBytes(kText, func(_ []byte, a *args) ([]byte, error) {
		s := a.bytes(0)
		return notNil(s[:charOffset(s, endOf(s, a.int(1)))]), nil
	}), "left", kText, kI32).once()
	t.addPure(eachBytes(kText, func(_ []byte, a *args) ([]byte, error) {
		s := a.bytes(0)
		n := int64(utf8.RuneCount(s))
		k := a.int(1)
		if k < 0 {
			k = max(n+k, 0)
		}
		return notNil(s[charOffset(s, max(n-k, 0)):]), nil
	}), "right", kText, kI32).once()
	t.add(func() kernelFunc { return like(false) }, "~~", kText, kText).perValue = true
	t.add(func() kernelFunc { return like(true) }, "~~*", kText, kText).perValue = true
}

// endOf is the number of characters that left(s, n) keeps.
func endOf(s []byte, n int64) int64 {
	if n < 0 {
		return max(int64(utf8.RuneCount(s))+n, 0)
	}
	return n
}

// charOffset is the byte at which character n (from 0) starts, or the end.
func charOffset(s []byte, n int64) int {
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRune(s[at:])
		at += size
	}
	return at
}

// lower and upper change ASCII letters alone, as collation C does.
func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

func mapBytes(f func(byte) byte) kernelFunc {
	return eachBytes(kText, func(dst []byte, a *args) ([]byte, error) {
		for _, c := range a.bytes(0) {
			dst = append(dst, f(c))
		}
		return notNil(dst), nil
	})
}

func concatenate(k schemas.Kind) kernelFunc {
	return eachBytes(k, func(dst []byte, a *args) ([]byte, error) {
		dst = append(dst, a.bytes(0)...)
		return notNil(append(dst, a.bytes(1)...)), nil
	})
}

// substring is (string, from) and (string, from, for), in characters from 1.
func substring(_ []byte, a *args) ([]byte, error) {
	s, from := a.bytes(0), a.int(1)
	start := max(from, 1)
	s = s[charOffset(s, start-1):]
	if len(a.vecs) == 3 {
		n := a.int(2)
		if n < 0 {
			return nil, schemas.Errorf(schemas.CodeOutOfRange, "22011", "negative substring length not allowed")
		}
		if end := from + n; end <= start {
			s = s[:0]
		} else {
			s = s[:charOffset(s, end-start)]
		}
	}
	return notNil(s), nil
}

// like matches the patterns of LIKE and ILIKE, escaped by backslash. A constant pattern
// is taken apart once.
func like(fold bool) kernelFunc {
	var known []byte
	var pat *pattern
	return func(b *Buffer, v []*vector.Vector, n int, skip vector.Bitmap) error {
		out := b.bools(n)
		var text []byte
		for i := range out {
			out[i] = 0
			if skip.Get(i) {
				continue
			}
			if p := v[1].Bytes(i); pat == nil || !bytes.Equal(p, known) {
				known = append(known[:0], p...)
				pat = newPattern(known, fold)
			}
			s := v[0].Bytes(i)
			if fold {
				text = append(text[:0], s...)
				for k := range text {
					text[k] = lower(text[k])
				}
				s = text
			}
			ok, err := pat.match(s)
			if err != nil {
				return &rowAt{i, err}
			}
			out[i] = b2u(ok)
		}
		return nil
	}
}

// pattern is a LIKE pattern: when it has no _, a list of literals between % signs;
// otherwise matched character by character.
type pattern struct {
	literals [][]byte // between % signs, the first and last anchored
	general  []byte   // the pattern itself
}

func newPattern(p []byte, fold bool) *pattern {
	if fold {
		p = append([]byte(nil), p...)
		for i := range p {
			p[i] = lower(p[i])
		}
	}
	literals := [][]byte{nil}
	for i := 0; i < len(p); i++ {
		last := len(literals) - 1
		switch c := p[i]; {
		case c == '%':
			literals = append(literals, nil)
		case c == '_' || c == '\\' && i+1 == len(p):
			return &pattern{general: append([]byte(nil), p...)}
		case c == '\\':
			i++
			literals[last] = append(literals[last], p[i])
		default:
			literals[last] = append(literals[last], c)
		}
	}
	return &pattern{literals: literals}
}

func (p *pattern) match(s []byte) (bool, error) {
	if p.literals == nil {
		return matchLike(s, p.general)
	}
	first, last := p.literals[0], p.literals[len(p.literals)-1]
	if len(p.literals) == 1 {
		return bytes.Equal(s, first), nil
	}
	if len(s) < len(first)+len(last) || !bytes.HasPrefix(s, first) || !bytes.HasSuffix(s, last) {
		return false, nil
	}
	s = s[len(first) : len(s)-len(last)]
	for _, l := range p.literals[1 : len(p.literals)-1] {
		i := bytes.Index(s, l)
		if i < 0 {
			return false, nil
		}
		s = s[i+len(l):]
	}
	return true, nil
}

// matchLike walks both strings, going back to the last % where it must. An escape at the
// end is an error only where the match gets to it.
func matchLike(s, p []byte) (bool, error) {
	si, pi, star, mark := 0, 0, -1, 0
	for {
		if pi < len(p) && p[pi] == '%' {
			star, mark = pi, si
			pi++
			continue
		}
		ok := false
		next := pi
		switch {
		case pi >= len(p):
			if si >= len(s) {
				return true, nil
			}
		case si >= len(s):
			return false, nil
		case p[pi] == '_':
			ok, next = true, pi+1
		case p[pi] == '\\':
			if pi+1 >= len(p) {
				return false, schemas.Errorf(schemas.CodeInvalid, "22025", "LIKE pattern must not end with escape character")
			}
			ok, next = s[si] == p[pi+1], pi+2
		default:
			ok, next = s[si] == p[pi], pi+1
		}
		if ok {
			if p[pi] == '_' {
				_, size := utf8.DecodeRune(s[si:])
				si += size
			} else {
				si++
			}
			pi = next
			continue
		}
		if star < 0 || mark >= len(s) {
			return false, nil
		}
		_, size := utf8.DecodeRune(s[mark:])
		mark += size
		si, pi = mark, star+1
	}
}
