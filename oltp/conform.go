package oltp

import (
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// conform checks a row against its table and returns it with every value in the
// column's own kind. The row given is not changed; the result may be it.
func (t *table) conform(row schemas.Row) (schemas.Row, error) {
	cols := t.def.Columns
	if len(row) != len(cols) {
		return nil, schemas.Errorf(schemas.CodeType, "42601", "table %s has %d columns, the row has %d values", t.def.FullName(), len(cols), len(row))
	}
	copied := false
	for i := range cols {
		if row[i].IsNull() {
			if cols[i].NotNull || t.isKey[i] {
				return nil, schemas.Errorf(schemas.CodeConstraint, "23502", "column %s of table %s must not be NULL", cols[i].Name, t.def.FullName())
			}
			continue
		}
		v, err := conformValue(cols[i].Type, row[i])
		if err != nil {
			err.Message = "column " + cols[i].Name + " of table " + t.def.FullName() + ": " + err.Message
			return nil, err
		}
		if v != row[i] {
			if !copied {
				row, copied = append(schemas.Row(nil), row...), true
			}
			row[i] = v
		}
	}
	return row, nil
}

// conformKey checks values for the first key columns.
func (t *table) conformKey(values []schemas.Value) ([]schemas.Value, error) {
	ords := t.codec.KeyOrdinals()
	if len(values) > len(ords) {
		return nil, schemas.Errorf(schemas.CodeType, "42601", "the key of table %s has %d columns, %d values were given", t.def.FullName(), len(ords), len(values))
	}
	copied := false
	for i := range values {
		c := t.def.Columns[ords[i]]
		if values[i].IsNull() {
			return nil, schemas.Errorf(schemas.CodeConstraint, "23502", "key column %s of table %s is never NULL", c.Name, t.def.FullName())
		}
		v, err := conformValue(c.Type, values[i])
		if err != nil {
			err.Message = "key column " + c.Name + " of table " + t.def.FullName() + ": " + err.Message
			return nil, err
		}
		if v != values[i] {
			if !copied {
				values, copied = append([]schemas.Value(nil), values...), true
			}
			values[i] = v
		}
	}
	return values, nil
}

// conformValue gives a value that is not NULL the kind of a type. It converts where
// nothing can be lost and refuses loudly otherwise (I5).
func conformValue(t schemas.Type, v schemas.Value) (schemas.Value, *schemas.Error) {
	k := v.Kind()
	switch {
	case t.Kind.IsInteger() && k.IsInteger():
		return conformInteger(t.Kind, v)
	case t.Kind == schemas.Numeric && k == schemas.Numeric:
		return conformNumeric(t, v)
	case t.Kind.IsText() && k.IsText():
		return conformText(t, v)
	case t.Kind == schemas.Float64 && k == schemas.Float32:
		return schemas.NewFloat(schemas.Float64, v.Float()), nil
	case t.Kind != k:
		return v, schemas.Errorf(schemas.CodeType, "42804", "is of type %s, the value of type %s", t, k)
	case k == schemas.UUID && len(v.Bytes()) != 16:
		return v, schemas.Errorf(schemas.CodeInvalidText, "22P02", "a uuid has 16 bytes, not %d", len(v.Bytes()))
	case k == schemas.JSONB && !json.Valid([]byte(v.Bytes())):
		return v, schemas.Errorf(schemas.CodeInvalidText, "22P02", "the value is not JSON")
	case k == schemas.Time && (v.Int() < 0 || v.Int() > 24*3600*1e6):
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22008", "a time of %d µs since midnight is out of range", v.Int())
	}
	return v, nil
}

func conformInteger(k schemas.Kind, v schemas.Value) (schemas.Value, *schemas.Error) {
	n := v.Int()
	if k == schemas.Int16 && n != int64(int16(n)) || k == schemas.Int32 && n != int64(int32(n)) {
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22003", "%d is out of range for type %s", n, k)
	}
	if v.Kind() == k {
		return v, nil
	}
	return schemas.NewInt(k, n), nil
}

func conformText(t schemas.Type, v schemas.Value) (schemas.Value, *schemas.Error) {
	s := v.Bytes()
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return v, schemas.Errorf(schemas.CodeInvalidText, "22021", "the text is not valid UTF-8 without NUL characters")
	}
	if t.Kind == schemas.Char {
		s = strings.TrimRight(s, " ")
	}
	if n := int(t.Length); n > 0 && len(s) > n && utf8.RuneCountInString(s) > n {
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22001", "the text of %d characters is too long for type %s", utf8.RuneCountInString(s), t)
	}
	if v.Kind() == t.Kind && len(s) == len(v.Bytes()) {
		return v, nil
	}
	return schemas.NewBytes(t.Kind, s), nil
}

// conformNumeric gives a number of numeric(p,s) exactly s digits after the point,
// as PostgreSQL shows it. A number with more is refused, not rounded.
func conformNumeric(t schemas.Type, v schemas.Value) (schemas.Value, *schemas.Error) {
	coef, scale, text, small := v.Numeric()
	if !small {
		if !validNumericText(text) {
			return v, schemas.Errorf(schemas.CodeInvalidText, "22P02", "%q is not a number", text)
		}
		v = vector.NumericValue([]byte(text))
		coef, scale, text, small = v.Numeric()
	}
	if t.Precision == 0 {
		return v, nil
	}
	if !small {
		return conformLongNumeric(t, v, text)
	}
	for ; scale > int(t.Scale); scale-- {
		if coef%10 != 0 {
			return v, schemas.Errorf(schemas.CodeOutOfRange, "22003", "the number has more than %d digits after the point", t.Scale)
		}
		coef /= 10
	}
	for ; scale < int(t.Scale); scale++ {
		if coef > math.MaxInt64/100 || coef < math.MinInt64/100 {
			return conformLongNumeric(t, v, string(vector.AppendDecimalText(nil, coef, scale)))
		}
		coef *= 10
	}
	if digits(coef) > int(t.Precision) {
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22003", "the number has more than %d digits before the point", t.Precision-t.Scale)
	}
	return schemas.NewNumeric(coef, scale), nil
}

// conformLongNumeric does the same on text.
func conformLongNumeric(t schemas.Type, v schemas.Value, text string) (schemas.Value, *schemas.Error) {
	if text == "NaN" {
		return v, nil
	}
	whole, frac, _ := strings.Cut(text, ".")
	scale := int(t.Scale)
	if len(frac) > scale && strings.Trim(frac[scale:], "0") != "" {
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22003", "the number has more than %d digits after the point", t.Scale)
	}
	if strings.HasSuffix(text, "Infinity") || len(strings.TrimLeft(strings.TrimPrefix(whole, "-"), "0")) > int(t.Precision)-scale {
		return v, schemas.Errorf(schemas.CodeOutOfRange, "22003", "the number has more than %d digits before the point", t.Precision-t.Scale)
	}
	frac = (frac + strings.Repeat("0", max(0, scale-len(frac))))[:scale]
	if scale > 0 {
		whole += "." + frac
	}
	return vector.NumericValue([]byte(whole)), nil
}

func digits(n int64) int {
	count := 0
	for ; n != 0; n /= 10 {
		count++
	}
	return count
}

// validNumericText says whether a text is what PostgreSQL prints for a number.
func validNumericText(s string) bool {
	if s == "NaN" || s == "Infinity" || s == "-Infinity" {
		return true
	}
	whole, frac, point := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return whole != "" && strings.Trim(whole, "0123456789") == "" && (!point || frac != "" && strings.Trim(frac, "0123456789") == "")
}
