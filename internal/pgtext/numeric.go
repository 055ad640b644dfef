package pgtext

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// PostgreSQL's limits of numeric: digits before and after the point.
const (
	maxNumericInt   = 131072
	maxNumericScale = 16383
)

// Numeric is a number as Millrace holds it: Coef × 10^-Scale when Text is nil,
// with |Coef| < 10^18 and Scale at most 18; otherwise PostgreSQL's text output.
type Numeric struct {
	Coef  int64
	Scale int
	Text  []byte
}

// ParseNumeric reads a numeric and applies the type's precision and scale
// (rounding half away from zero), if it has one. buf is scratch for Text.
func ParseNumeric(t schemas.Type, b, buf []byte) (Numeric, error) {
	s := trim(b)
	if n, ok := shortNumeric(s); ok {
		if t.Precision == 0 {
			return n, nil
		}
		if n, ok = n.fit(t); ok {
			return n, nil
		}
	}
	d, err := scanDecimal(s, b)
	if err != nil {
		return Numeric{}, err
	}
	if t.Precision > 0 {
		if err := d.constrain(t); err != nil {
			return Numeric{}, err
		}
	}
	text := d.append(buf[:0])
	if n, ok := shortNumeric(text); ok {
		return n, nil
	}
	return Numeric{Text: text}, nil
}

// shortNumeric reads the plain form of at most 18 digits.
func shortNumeric(s []byte) (Numeric, bool) {
	neg := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		neg, s = s[0] == '-', s[1:]
	}
	if len(s) == 0 || len(s) > 20 {
		return Numeric{}, false
	}
	var n int64
	scale, point, digits := 0, false, 0
	for _, c := range s {
		switch {
		case isDigit(c):
			if n >= pow10[17] {
				return Numeric{}, false
			}
			n = n*10 + int64(c-'0')
			digits++
			if point {
				scale++
			}
		case c == '.' && !point:
			point = true
		default:
			return Numeric{}, false
		}
	}
	if digits == 0 || scale > 18 {
		return Numeric{}, false
	}
	if neg {
		n = -n
	}
	return Numeric{Coef: n, Scale: scale}, true
}

// fit brings a short number to numeric(p,s) when that is simple.
func (n Numeric) fit(t schemas.Type) (Numeric, bool) {
	s := int(t.Scale)
	if s < 0 || s > 18 || n.Scale > s || t.Precision > 18 {
		return n, false
	}
	limit := pow10[t.Precision]
	up := pow10[s-n.Scale]
	c := n.Coef * up
	if n.Coef != 0 && (c/up != n.Coef || c >= limit || c <= -limit) {
		return n, false
	}
	return Numeric{Coef: c, Scale: s}, true
}

// decimal is an unpacked number: digits with the point before digits[point:]
// (which may lie outside digits) and scale digits shown after it.
type decimal struct {
	special string // NaN, Infinity, -Infinity
	neg     bool
	digits  []byte // '0'..'9', no leading zeros
	point   int
	scale   int
}

// scanDecimal reads every input form of numeric; b is the text for errors.
func scanDecimal(s, b []byte) (decimal, error) {
	var d decimal
	t := s
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		d.neg, t = t[0] == '-', t[1:]
	}
	switch {
	case equalFold(s, "nan"):
		return decimal{special: "NaN"}, nil
	case equalFold(t, "infinity") || equalFold(t, "inf"):
		if d.neg {
			return decimal{special: "-Infinity"}, nil
		}
		return decimal{special: "Infinity"}, nil
	}
	i := 0
	point, seen := -1, 0
	d.digits = make([]byte, 0, len(t))
	for ; i < len(t); i++ {
		c := t[i]
		if c == '.' && point < 0 {
			point = seen
			continue
		}
		if !isDigit(c) {
			break
		}
		d.digits = append(d.digits, c)
		seen++
	}
	if seen == 0 {
		return d, errSyntax("numeric", b)
	}
	if point < 0 {
		point = seen
	}
	exp := 0
	if i < len(t) && t[i]|0x20 == 'e' {
		e, n := scanExponent(t[i+1:])
		if n == 0 {
			return d, errSyntax("numeric", b)
		}
		if e >= maxExponent || e <= -maxExponent {
			return d, errOverflow()
		}
		exp, i = e, i+1+n
	}
	if i != len(t) {
		return d, errSyntax("numeric", b)
	}
	d.scale = max(0, seen-point-exp)
	d.point = point + exp
	d.strip()
	if d.scale > maxNumericScale || len(d.digits) > 0 && d.point > maxNumericInt {
		return d, errOverflow()
	}
	return d, nil
}

func errOverflow() error {
	return schemas.Errorf(schemas.CodeOutOfRange, "22003", "value overflows numeric format")
}

// maxExponent bounds what may follow the e.
const maxExponent = 1<<30 - 1

// scanExponent reads what follows the e, at most maxExponent, and says how long it
// was: 0 when no number is there.
func scanExponent(t []byte) (exp, length int) {
	i := 0
	if len(t) > 0 && (t[0] == '-' || t[0] == '+') {
		i++
	}
	start := i
	for ; i < len(t) && isDigit(t[i]); i++ {
		exp = min(exp*10+int(t[i]-'0'), maxExponent)
	}
	if i == start {
		return 0, 0
	}
	if t[0] == '-' {
		exp = -exp
	}
	return exp, i
}

// strip removes leading zeros and the sign and place of zero.
func (d *decimal) strip() {
	lead := 0
	for lead < len(d.digits) && d.digits[lead] == '0' {
		lead++
	}
	d.digits = d.digits[lead:]
	d.point -= lead
	if len(d.digits) == 0 {
		d.neg, d.point = false, 0
	}
}

// constrain rounds to numeric(p,s) and refuses what is too large for it.
func (d *decimal) constrain(t schemas.Type) error {
	p, s := int(t.Precision), int(t.Scale)
	if d.special == "NaN" {
		return nil
	}
	if d.special != "" {
		e := schemas.Errorf(schemas.CodeOutOfRange, "22003", "numeric field overflow")
		e.Hint = "a field with precision " + itoa(p) + ", scale " + itoa(s) + " cannot hold an infinite value"
		return e
	}
	d.round(s)
	d.scale = max(s, 0)
	if len(d.digits) > 0 && d.point > p-s {
		e := schemas.Errorf(schemas.CodeOutOfRange, "22003", "numeric field overflow")
		bound := "1"
		if p != s {
			bound = "10^" + itoa(p-s)
		}
		e.Hint = "a field with precision " + itoa(p) + ", scale " + itoa(s) + " must round to an absolute value less than " + bound
		return e
	}
	return nil
}

func itoa(n int) string { return string(AppendInt(nil, int64(n))) }

// round keeps s digits after the point (before it, for negative s), rounding
// half away from zero.
func (d *decimal) round(s int) {
	keep := d.point + s
	if keep >= len(d.digits) {
		return
	}
	up := keep >= 0 && d.digits[keep] >= '5'
	d.digits = d.digits[:max(keep, 0)]
	if up {
		i := len(d.digits) - 1
		for ; i >= 0; i-- {
			if d.digits[i] != '9' {
				d.digits[i]++
				break
			}
			d.digits[i] = '0'
		}
		if i < 0 {
			d.digits = append([]byte{'1'}, d.digits...)
			d.point++
		}
	}
	d.strip()
}

// append writes the number as PostgreSQL prints it.
func (d *decimal) append(dst []byte) []byte {
	if d.special != "" {
		return append(dst, d.special...)
	}
	if d.neg {
		dst = append(dst, '-')
	}
	if d.point <= 0 {
		dst = append(dst, '0')
	}
	for i := range max(d.point, 0) {
		dst = append(dst, d.at(i))
	}
	if d.scale > 0 {
		dst = append(dst, '.')
		for i := range d.scale {
			dst = append(dst, d.at(d.point+i))
		}
	}
	return dst
}

func (d *decimal) at(i int) byte {
	if i < 0 || i >= len(d.digits) {
		return '0'
	}
	return d.digits[i]
}

// AppendNumeric writes a numeric.
func AppendNumeric(dst []byte, n Numeric) []byte {
	if n.Text != nil {
		return append(dst, n.Text...)
	}
	return vector.AppendDecimalText(dst, n.Coef, n.Scale)
}
