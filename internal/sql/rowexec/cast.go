package rowexec

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/schemas"
)

// cast converts a value that is not NULL as an explicit CAST does: text that is
// too long is cut, numbers are rounded.
func cast(v schemas.Value, to schemas.Type) (schemas.Value, error) {
	from, k := v.Kind(), to.Kind
	switch {
	case from == schemas.JSONB && !k.IsText() && k != schemas.JSONB:
		return castJSON(v, to)
	case k.IsText():
		return fitText(textOf(v, k), to), nil
	case from.IsText():
		return parseText(v, to)
	case k.IsNumber() && (from.IsNumber() || from == schemas.Bool):
		return castNumber(v, to)
	case k == schemas.Bool && from.IsInteger():
		return schemas.NewBool(v.Int() != 0), nil
	case from == k:
		return v, nil
	}
	return castTemporal(v, k)
}

// textOf is the text of a value: its output form, but booleans in full.
func textOf(v schemas.Value, to schemas.Kind) string {
	switch v.Kind() {
	case schemas.Bool:
		return strconv.FormatBool(v.Bool())
	case schemas.Char:
		if to != schemas.Char {
			return strings.TrimRight(v.Bytes(), " ")
		}
	}
	return string(pgtext.AppendValue(nil, v))
}

func fitText(s string, to schemas.Type) schemas.Value {
	if to.Length > 0 && utf8.RuneCountInString(s) > int(to.Length) {
		s = string([]rune(s)[:to.Length])
	}
	if to.Kind == schemas.Char && to.Length > 0 {
		s = strings.TrimRight(s, " ")
	}
	return schemas.NewBytes(to.Kind, s)
}

func parseText(v schemas.Value, to schemas.Type) (schemas.Value, error) {
	return pgtext.ParseValue(to, textOf(v, schemas.Text))
}

func castNumber(v schemas.Value, to schemas.Type) (schemas.Value, error) {
	switch {
	case to.Kind == schemas.Numeric:
		return fitNumeric(v, to)
	case to.Kind == schemas.Float32 && v.Kind() != schemas.Float32:
		return toReal(v)
	case to.Kind.IsFloat():
		f := toFloat(v)
		if math.IsInf(f, 0) && v.Kind() == schemas.Numeric && decOf(v).special == 0 {
			return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22003", "%q is out of range for type double precision", decOf(v).String())
		}
		return schemas.NewFloat(to.Kind, f), nil
	}
	return toInteger(v, to.Kind)
}

func toReal(v schemas.Value) (schemas.Value, error) {
	if v.Kind() != schemas.Float64 {
		f, err := parseFloat(toDec(v).String(), 32)
		if err != nil {
			return schemas.Null, schemas.Errorf(schemas.CodeOutOfRange, "22003", "%q is out of range for type real", toDec(v).String())
		}
		return schemas.NewFloat(schemas.Float32, f), nil
	}
	f := v.Float()
	return floatChecked(schemas.Float32, float64(float32(f)), math.IsInf(f, 0), f == 0)
}

// parseFloat reads the text of a dec. Values out of range are errors, too small
// ones as well, as strtod says it to PostgreSQL.
func parseFloat(s string, bits int) (float64, error) {
	f, err := strconv.ParseFloat(s, bits)
	if err == nil && f == 0 && strings.ContainsAny(s, "123456789") {
		err = strconv.ErrRange
	}
	return f, err
}

// toInteger rounds: floats halves to even, numerics halves away from zero.
func toInteger(v schemas.Value, k schemas.Kind) (schemas.Value, error) {
	if v.Kind().IsFloat() {
		f := math.RoundToEven(v.Float())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return schemas.Null, outOfRange(k)
		}
		n, _ := big.NewFloat(f).Int(nil)
		return intValue(k, n)
	}
	d := toDec(v)
	switch d.special {
	case 'N':
		return schemas.Null, schemas.Errorf(schemas.CodeUnsupported, "0A000", "cannot convert NaN to %s", k)
	case '+', '-':
		return schemas.Null, schemas.Errorf(schemas.CodeUnsupported, "0A000", "cannot convert infinity to %s", k)
	}
	return intValue(k, d.round(0).coef)
}

// fitNumeric applies precision and scale. A float gives its 15 (real: 6)
// significant digits.
func fitNumeric(v schemas.Value, to schemas.Type) (schemas.Value, error) {
	var d dec
	if v.Kind().IsFloat() {
		digits := 15
		if v.Kind() == schemas.Float32 {
			digits = 6
		}
		d = parseDec(strconv.FormatFloat(v.Float(), 'g', digits, 64))
		if d.special == 0 && d.coef.Sign() != 0 {
			d = d.shorten()
		}
	} else {
		d = toDec(v)
	}
	if to.Precision == 0 || d.special == 'N' {
		return d.value(), nil
	}
	precision, scale := int(to.Precision), int(to.Scale)
	if d.special != 0 {
		return schemas.Null, overflow(to, "cannot hold an infinite value")
	}
	d = d.round(scale)
	if d.at(max(d.scale, scale)).CmpAbs(tenTo(precision+max(0, d.scale-scale))) >= 0 {
		return schemas.Null, overflow(to, fmt.Sprintf("must round to an absolute value less than 10^%d", precision-scale))
	}
	return d.value(), nil
}

func overflow(to schemas.Type, what string) error {
	e := schemas.Errorf(schemas.CodeOutOfRange, "22003", "numeric field overflow")
	e.Hint = fmt.Sprintf("a field with precision %d, scale %d %s", to.Precision, to.Scale, what)
	return e
}

// shorten drops trailing zeros after the point.
func (d dec) shorten() dec {
	for d.scale > 0 {
		q, r := new(big.Int).QuoRem(d.coef, big.NewInt(10), new(big.Int))
		if r.Sign() != 0 {
			break
		}
		d = dec{coef: q, scale: d.scale - 1}
	}
	return d
}

func castJSON(v schemas.Value, to schemas.Type) (schemas.Value, error) {
	doc := v.Bytes()
	kind := map[byte]string{'n': "null", '"': "string", '[': "array", '{': "object", 't': "boolean", 'f': "boolean"}[doc[0]]
	switch {
	case to.Kind == schemas.Bool && kind == "boolean":
		return schemas.NewBool(doc[0] == 't'), nil
	case to.Kind != schemas.Bool && kind == "":
		d := parseDec(doc)
		return cast(d.value(), to)
	case kind == "":
		kind = "numeric"
	}
	return schemas.Null, invalid("cannot cast jsonb %s to type %s", kind, schemas.Type{Kind: to.Kind})
}

// castTemporal converts among dates, times, timestamps and intervals; the zone is UTC.
func castTemporal(v schemas.Value, to schemas.Kind) (schemas.Value, error) {
	from, n := v.Kind(), v.Int()
	isStamp := from == schemas.Timestamp || from == schemas.TimestampTZ
	switch {
	case from == schemas.Date && (to == schemas.Timestamp || to == schemas.TimestampTZ):
		us, err := dateMicros(n)
		return schemas.NewInt(to, us), err
	case isStamp && infinite(n) && to == schemas.Time:
		return schemas.Null, nil
	case isStamp && infinite(n), isStamp && (to == schemas.Timestamp || to == schemas.TimestampTZ):
		return schemas.NewInt(to, n), nil
	case isStamp && to == schemas.Date:
		return schemas.NewInt(to, truncTime(civil(n), "day").Unix()/86_400), nil
	case isStamp && to == schemas.Time:
		return schemas.NewInt(to, n-truncTime(civil(n), "day").UnixMicro()), nil
	case from == schemas.Time && to == schemas.Interval:
		return schemas.NewInterval(0, 0, n), nil
	case from == schemas.Interval && to == schemas.Time:
		_, _, us := v.Interval()
		return schemas.NewInt(to, ((us%microsPerDay)+microsPerDay)%microsPerDay), nil
	}
	return schemas.Null, schemas.Errorf(schemas.CodeUnsupported, "0A000", "cannot cast %s to %s", from, to)
}
