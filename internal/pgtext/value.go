package pgtext

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// ParseValue reads a value of a type, modifiers applied as by an assignment.
func ParseValue[T string | []byte](t schemas.Type, text T) (schemas.Value, error) {
	return parseValue(t, []byte(text))
}

func parseValue(t schemas.Type, b []byte) (schemas.Value, error) {
	k := t.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		n, err := parseIntLayout(k, b)
		return valueOr(schemas.NewInt(k, n), err)
	case schemas.LayoutFloat:
		f, err := ParseFloat(k, b)
		return valueOr(schemas.NewFloat(k, f), err)
	case schemas.LayoutDecimal:
		n, err := ParseNumeric(t, b, nil)
		if err == nil && n.Text != nil {
			return schemas.NewNumericText(string(n.Text)), nil
		}
		return valueOr(schemas.NewNumeric(n.Coef, n.Scale), err)
	case schemas.LayoutInterval:
		m, d, us, err := ParseInterval(b)
		return valueOr(schemas.NewInterval(m, d, us), err)
	case schemas.LayoutBytes:
		s, err := parseBytesLayout(t, nil, b)
		return valueOr(schemas.NewBytes(k, string(s)), err)
	}
	return schemas.Null, errKind(t)
}

func valueOr(v schemas.Value, err error) (schemas.Value, error) {
	if err != nil {
		return schemas.Null, err
	}
	return v, nil
}

func errKind(t schemas.Type) error {
	return schemas.Errorf(schemas.CodeInternal, "XX000", "text of type %s cannot be read", t)
}

// parseIntLayout reads every kind that is held as an int64.
func parseIntLayout(k schemas.Kind, b []byte) (int64, error) {
	switch k {
	case schemas.Bool:
		v, err := ParseBool(b)
		if v {
			return 1, err
		}
		return 0, err
	case schemas.Date:
		return ParseDate(b)
	case schemas.Time:
		return ParseTime(b)
	case schemas.Timestamp:
		return ParseTimestamp(b)
	case schemas.TimestampTZ:
		return ParseTimestampTZ(b)
	}
	return ParseInt(k, b)
}

// parseBytesLayout reads every kind that is held as bytes. The result may alias b
// or be appended to buf.
func parseBytesLayout(t schemas.Type, buf, b []byte) ([]byte, error) {
	switch t.Kind {
	case schemas.UUID:
		u, err := ParseUUID(b)
		return append(buf, u[:]...), err
	case schemas.Bytea:
		return ParseBytea(buf, b)
	case schemas.JSONB:
		return AppendJSONB(buf, b)
	}
	return fitText(t, b)
}

// AppendTo reads a value of the vector's type, modifiers applied as by an
// assignment, and adds it to a flat vector. On an error the vector is unchanged.
func AppendTo(v *vector.Vector, b []byte) error {
	t := v.Type
	switch t.Kind.Layout() {
	case schemas.LayoutInt:
		n, err := parseIntLayout(t.Kind, b)
		if err != nil {
			return err
		}
		v.AppendInt(n)
	case schemas.LayoutFloat:
		f, err := ParseFloat(t.Kind, b)
		if err != nil {
			return err
		}
		v.AppendFloat(f)
	case schemas.LayoutDecimal:
		var buf [64]byte
		n, err := ParseNumeric(t, b, buf[:0])
		if err != nil {
			return err
		}
		if n.Text != nil {
			v.AppendDecimalText(n.Text)
		} else {
			v.AppendDecimal(n.Coef, n.Scale)
		}
	case schemas.LayoutInterval:
		m, d, us, err := ParseInterval(b)
		if err != nil {
			return err
		}
		v.AppendInterval(vector.Interval{Months: m, Days: d, Micros: us})
	case schemas.LayoutBytes:
		return appendBytesTo(v, b)
	default:
		return errKind(t)
	}
	return nil
}

func appendBytesTo(v *vector.Vector, b []byte) error {
	switch v.Type.Kind {
	case schemas.UUID:
		u, err := ParseUUID(b)
		if err != nil {
			return err
		}
		v.AppendBytes(u[:])
		return nil
	case schemas.Bytea, schemas.JSONB:
		buf := scratch.Get().(*[]byte)
		defer scratch.Put(buf)
		s, err := parseBytesLayout(v.Type, (*buf)[:0], b)
		if err != nil {
			return err
		}
		if cap(s) <= maxScratch {
			*buf = s
		}
		v.AppendBytes(s)
		return nil
	}
	s, err := fitText(v.Type, b)
	if err != nil {
		return err
	}
	v.AppendBytes(s)
	return nil
}

// scratch holds buffers for decoding, up to maxScratch bytes each.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const maxScratch = 64 << 10

// AppendValue writes a value as PostgreSQL prints it. NULL writes nothing. A
// char(n) is written without padding, which only its type knows: see AppendTyped.
func AppendValue(dst []byte, v schemas.Value) []byte {
	return AppendTyped(dst, schemas.Type{Kind: v.Kind()}, v)
}

// AppendTyped is AppendValue with the modifiers of the type applied to output.
func AppendTyped(dst []byte, t schemas.Type, v schemas.Value) []byte {
	if v.IsNull() {
		return dst
	}
	switch k := v.Kind(); k.Layout() {
	case schemas.LayoutInt:
		return appendIntLayout(dst, k, v.Int())
	case schemas.LayoutFloat:
		return AppendFloat(dst, k, v.Float())
	case schemas.LayoutDecimal:
		coef, scale, text, ok := v.Numeric()
		if !ok {
			return append(dst, text...)
		}
		return vector.AppendDecimalText(dst, coef, scale)
	case schemas.LayoutInterval:
		m, d, us := v.Interval()
		return AppendInterval(dst, m, d, us)
	case schemas.LayoutBytes:
		return appendBytesLayout(dst, t, []byte(v.Bytes()))
	default:
		panic(fmt.Sprintf("pgtext: print a value of %v", k))
	}
}

func appendIntLayout(dst []byte, k schemas.Kind, n int64) []byte {
	switch k {
	case schemas.Bool:
		return AppendBool(dst, n != 0)
	case schemas.Date:
		return AppendDate(dst, n)
	case schemas.Time:
		return AppendTime(dst, n)
	case schemas.Timestamp:
		return AppendTimestamp(dst, n)
	case schemas.TimestampTZ:
		return AppendTimestampTZ(dst, n)
	}
	return AppendInt(dst, n)
}

func appendBytesLayout(dst []byte, t schemas.Type, b []byte) []byte {
	switch t.Kind {
	case schemas.UUID:
		return AppendUUID(dst, b)
	case schemas.Bytea:
		return AppendBytea(dst, b)
	case schemas.JSONB:
		return append(dst, b...)
	}
	return appendText(dst, t, b)
}

// AppendVector writes row i of a vector of any encoding as PostgreSQL prints it.
// NULL writes nothing.
func AppendVector(dst []byte, v *vector.Vector, i int) []byte {
	if v.Null(i) {
		return dst
	}
	k := v.Type.Kind
	switch k.Layout() {
	case schemas.LayoutInt:
		return appendIntLayout(dst, k, v.Int(i))
	case schemas.LayoutFloat:
		return AppendFloat(dst, k, v.Float(i))
	case schemas.LayoutDecimal:
		return v.AppendDecimalAt(dst, i)
	case schemas.LayoutInterval:
		x := v.Interval(i)
		return AppendInterval(dst, x.Months, x.Days, x.Micros)
	default:
		return appendBytesLayout(dst, v.Type, v.Bytes(i))
	}
}
