package pgtext

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/millrace/millrace/schemas"
)

// maxJSONDepth bounds nesting, as max_stack_depth does in PostgreSQL.
const maxJSONDepth = 2000

// AppendJSONB checks that b is JSON and appends what PostgreSQL prints for it as
// jsonb: keys by length, then bytes; the last of equal keys; numbers as numeric;
// one space after colons and commas.
func AppendJSONB(dst, b []byte) ([]byte, error) {
	p := parsers.Get().(*jsonParser)
	defer parsers.Put(p)
	p.b, p.pos, p.depth = b, 0, 0
	p.keys, p.pairs = p.keys[:0], p.pairs[:0]
	out, err := p.value(dst)
	if err != nil {
		return dst, err
	}
	p.space()
	if p.pos < len(b) {
		return dst, p.unexpected()
	}
	return out, nil
}

var parsers = sync.Pool{New: func() any { return new(jsonParser) }}

type jsonParser struct {
	b     []byte
	pos   int
	depth int
	keys  []byte     // decoded keys of the open objects
	pairs []jsonPair // of the open objects
	tmp   []byte
}

// jsonPair is a member of an object: its decoded key in keys, its rendered text in
// the output.
type jsonPair struct{ keyLo, keyHi, lo, hi, order int }

func (p *jsonParser) space() {
	for p.pos < len(p.b) {
		switch p.b[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *jsonParser) fail(detail string) error {
	e := schemas.Errorf(schemas.CodeInvalidText, "22P02", "invalid input syntax for type json")
	e.Hint = detail
	return e
}

// unexpected names the token at the current place.
func (p *jsonParser) unexpected() error {
	if p.pos >= len(p.b) {
		return p.fail("the input string ended unexpectedly")
	}
	end := p.pos + 1
	for end < len(p.b) && end-p.pos < 40 && (isAlpha(p.b[end]) || isDigit(p.b[end]) || p.b[end] >= 0x80 || p.b[end] == '_') {
		end++
	}
	return p.fail(fmt.Sprintf("token %q at byte %d is invalid", p.b[p.pos:end], p.pos+1))
}

func (p *jsonParser) value(dst []byte) ([]byte, error) {
	p.space()
	if p.pos >= len(p.b) {
		return dst, p.unexpected()
	}
	switch c := p.b[p.pos]; {
	case c == '{' || c == '[':
		if p.depth++; p.depth > maxJSONDepth {
			return dst, schemas.Errorf(schemas.CodeTooLarge, "54001", "JSON is nested deeper than %d levels", maxJSONDepth)
		}
		defer func() { p.depth-- }()
		if c == '{' {
			return p.object(dst)
		}
		return p.array(dst)
	case c == '"':
		p.pos++
		start := len(p.keys)
		if err := p.decodeString(); err != nil {
			return dst, err
		}
		dst = appendJSONString(dst, p.keys[start:])
		p.keys = p.keys[:start]
		return dst, nil
	case c == '-' || isDigit(c):
		return p.number(dst)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(p.b[p.pos:], []byte(word)) {
			end := p.pos + len(word)
			if end == len(p.b) || !isAlpha(p.b[end]) && !isDigit(p.b[end]) && p.b[end] < 0x80 && p.b[end] != '_' {
				p.pos = end
				return append(dst, word...), nil
			}
		}
	}
	return dst, p.unexpected()
}

func (p *jsonParser) array(dst []byte) ([]byte, error) {
	p.pos++
	dst = append(dst, '[')
	for first := true; ; first = false {
		p.space()
		if first && p.pos < len(p.b) && p.b[p.pos] == ']' {
			p.pos++
			return append(dst, ']'), nil
		}
		if !first {
			dst = append(dst, ", "...)
		}
		var err error
		if dst, err = p.value(dst); err != nil {
			return dst, err
		}
		done, err := p.closeOrComma(']')
		if err != nil {
			return dst, err
		}
		if done {
			return append(dst, ']'), nil
		}
	}
}

func (p *jsonParser) closeOrComma(end byte) (bool, error) {
	p.space()
	if p.pos >= len(p.b) || p.b[p.pos] != end && p.b[p.pos] != ',' {
		return false, p.unexpected()
	}
	p.pos++
	return p.b[p.pos-1] == end, nil
}

func (p *jsonParser) object(dst []byte) ([]byte, error) {
	p.pos++
	dst = append(dst, '{')
	firstPair, firstKey, body := len(p.pairs), len(p.keys), len(dst)
	for {
		p.space()
		if len(p.pairs) == firstPair && p.pos < len(p.b) && p.b[p.pos] == '}' {
			p.pos++
			return append(dst, '}'), nil
		}
		if p.pos >= len(p.b) || p.b[p.pos] != '"' {
			return dst, p.unexpected()
		}
		p.pos++
		keyLo := len(p.keys)
		if err := p.decodeString(); err != nil {
			return dst, err
		}
		keyHi := len(p.keys)
		p.space()
		if p.pos >= len(p.b) || p.b[p.pos] != ':' {
			return dst, p.unexpected()
		}
		p.pos++
		lo := len(dst)
		dst = append(appendJSONString(dst, p.keys[keyLo:keyHi]), ": "...)
		var err error
		if dst, err = p.value(dst); err != nil {
			return dst, err
		}
		p.pairs = append(p.pairs, jsonPair{keyLo, keyHi, lo, len(dst), len(p.pairs)})
		done, err := p.closeOrComma('}')
		if err != nil {
			return dst, err
		}
		if done {
			break
		}
	}
	dst = p.arrange(dst, body, p.pairs[firstPair:])
	p.pairs, p.keys = p.pairs[:firstPair], p.keys[:firstKey]
	return append(dst, '}'), nil
}

// arrange puts the rendered pairs, which stand one after another from body on,
// in key order with commas between.
func (p *jsonParser) arrange(dst []byte, body int, pairs []jsonPair) []byte {
	slices.SortFunc(pairs, func(a, b jsonPair) int {
		ka, kb := p.keys[a.keyLo:a.keyHi], p.keys[b.keyLo:b.keyHi]
		if len(ka) != len(kb) {
			return len(ka) - len(kb)
		}
		if c := bytes.Compare(ka, kb); c != 0 {
			return c
		}
		return a.order - b.order
	})
	p.tmp = append(p.tmp[:0], dst[body:]...)
	dst = dst[:body]
	for i, a := range pairs {
		if i+1 < len(pairs) {
			b := pairs[i+1]
			if bytes.Equal(p.keys[a.keyLo:a.keyHi], p.keys[b.keyLo:b.keyHi]) {
				continue
			}
		}
		if len(dst) > body {
			dst = append(dst, ", "...)
		}
		dst = append(dst, p.tmp[a.lo-body:a.hi-body]...)
	}
	return dst
}

// number reads JSON's number and writes it as numeric.
func (p *jsonParser) number(dst []byte) ([]byte, error) {
	start, i := p.pos, p.pos
	run := func() bool {
		at := i
		for i < len(p.b) && isDigit(p.b[i]) {
			i++
		}
		return i > at
	}
	if p.b[i] == '-' {
		i++
	}
	zero := i < len(p.b) && p.b[i] == '0'
	intStart := i
	ok := run() && !(zero && i > intStart+1)
	if ok && i < len(p.b) && p.b[i] == '.' {
		i++
		ok = run()
	}
	if ok && i < len(p.b) && p.b[i]|0x20 == 'e' {
		i++
		if i < len(p.b) && (p.b[i] == '+' || p.b[i] == '-') {
			i++
		}
		ok = run()
	}
	if !ok || i < len(p.b) && (isAlpha(p.b[i]) || p.b[i] >= 0x80 || p.b[i] == '_') {
		return dst, p.unexpected()
	}
	text := p.b[start:i]
	p.pos = i
	if n, ok := shortNumeric(text); ok {
		return AppendNumeric(dst, n), nil
	}
	d, err := scanDecimal(text, text)
	if err != nil {
		return dst, err
	}
	return d.append(dst), nil
}

// decodeString appends to keys the string whose opening quote was read.
func (p *jsonParser) decodeString() error {
	for p.pos < len(p.b) {
		c := p.b[p.pos]
		switch {
		case c == '"':
			p.pos++
			return nil
		case c < ' ':
			return p.fail(fmt.Sprintf("character with value 0x%02x must be escaped", c))
		case c == '\\':
			if err := p.escape(); err != nil {
				return err
			}
		case c < utf8.RuneSelf:
			p.keys = append(p.keys, c)
			p.pos++
		default:
			r, n := utf8.DecodeRune(p.b[p.pos:])
			if r == utf8.RuneError && n <= 1 {
				return errEncoding(p.b[p.pos:])
			}
			p.keys = append(p.keys, p.b[p.pos:p.pos+n]...)
			p.pos += n
		}
	}
	return p.unexpected()
}

func (p *jsonParser) escape() error {
	if p.pos+1 >= len(p.b) {
		p.pos = len(p.b)
		return p.unexpected()
	}
	c := p.b[p.pos+1]
	p.pos += 2
	switch c {
	case '"', '\\', '/':
		p.keys = append(p.keys, c)
	case 'b':
		p.keys = append(p.keys, '\b')
	case 'f':
		p.keys = append(p.keys, '\f')
	case 'n':
		p.keys = append(p.keys, '\n')
	case 'r':
		p.keys = append(p.keys, '\r')
	case 't':
		p.keys = append(p.keys, '\t')
	case 'u':
		return p.unicodeEscape()
	default:
		return p.fail(fmt.Sprintf(`escape sequence "\%c" is invalid`, c))
	}
	return nil
}

func (p *jsonParser) unicodeEscape() error {
	r, err := p.hex4()
	if err != nil {
		return err
	}
	switch {
	case r == 0:
		e := schemas.Errorf(schemas.CodeUnsupported, "22P05", "unsupported Unicode escape sequence")
		e.Hint = `\u0000 cannot be converted to text`
		return e
	case r >= 0xDC00 && r <= 0xDFFF:
		return p.fail("Unicode low surrogate must follow a high surrogate")
	case r >= 0xD800 && r <= 0xDBFF:
		if !bytes.HasPrefix(p.b[p.pos:], []byte(`\u`)) {
			return p.fail("Unicode low surrogate must follow a high surrogate")
		}
		p.pos += 2
		low, err := p.hex4()
		if err != nil {
			return err
		}
		if low < 0xDC00 || low > 0xDFFF {
			return p.fail("Unicode low surrogate must follow a high surrogate")
		}
		r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
	}
	p.keys = utf8.AppendRune(p.keys, r)
	return nil
}

func (p *jsonParser) hex4() (rune, error) {
	if p.pos+4 > len(p.b) {
		p.pos = len(p.b)
		return 0, p.unexpected()
	}
	var r rune
	for _, c := range p.b[p.pos : p.pos+4] {
		d := hexDigit(c)
		if d > 15 {
			return 0, p.fail(`"\u" must be followed by four hexadecimal digits`)
		}
		r = r<<4 | rune(d)
	}
	p.pos += 4
	return r, nil
}

// appendJSONString writes a string with PostgreSQL's choice of escapes.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < ' ' {
				dst = fmt.Appendf(dst, `\u%04x`, c)
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}
