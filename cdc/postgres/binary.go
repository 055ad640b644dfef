package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// PostgreSQL counts days and µs from 2000-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86_400_000_000
)

var errBinary = errors.New("the binary form has an unexpected length")

// appendBinary adds a value in the binary form of its type's send function.
func appendBinary(v *vector.Vector, b []byte) error {
	switch k := v.Type.Kind; k {
	case schemas.Text, schemas.Varchar, schemas.Bytea:
		v.AppendBytes(b)
	case schemas.Char:
		v.AppendBytes(unpad(v.Type, b))
	case schemas.UUID:
		if len(b) != 16 {
			return errBinary
		}
		v.AppendBytes(b)
	case schemas.JSONB:
		if len(b) < 2 || b[0] != 1 {
			return fmt.Errorf("jsonb of an unknown version")
		}
		v.AppendBytes(b[1:])
	case schemas.Numeric:
		return appendBinaryNumeric(v, b)
	case schemas.Float64:
		if len(b) != 8 {
			return errBinary
		}
		v.AppendFloat(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case schemas.Float32:
		if len(b) != 4 {
			return errBinary
		}
		v.AppendFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))))
	case schemas.Interval:
		if len(b) != 16 {
			return errBinary
		}
		v.AppendInterval(vector.Interval{Micros: int64(binary.BigEndian.Uint64(b)),
			Days: int32(binary.BigEndian.Uint32(b[8:])), Months: int32(binary.BigEndian.Uint32(b[12:]))})
	default:
		n, err := binaryInt(k, b)
		if err != nil {
			return err
		}
		v.AppendInt(n)
	}
	return nil
}

// unpad drops the blanks that char(n) was filled up with.
func unpad(t schemas.Type, b []byte) []byte {
	if t.Length == 0 {
		return b
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// binaryInt reads the kinds that are held as an int64.
func binaryInt(k schemas.Kind, b []byte) (int64, error) {
	var n int64
	switch len(b) {
	case 1:
		n = int64(b[0])
	case 2:
		n = int64(int16(binary.BigEndian.Uint16(b)))
	case 4:
		n = int64(int32(binary.BigEndian.Uint32(b)))
	case 8:
		n = int64(binary.BigEndian.Uint64(b))
	}
	if len(b) != binaryWidth(k) {
		return 0, errBinary
	}
	switch k {
	case schemas.Date:
		return dateFrom2000(n), nil
	case schemas.Timestamp, schemas.TimestampTZ:
		return timestampFrom2000(n)
	}
	return n, nil
}

func binaryWidth(k schemas.Kind) int {
	switch k {
	case schemas.Bool:
		return 1
	case schemas.Int16:
		return 2
	case schemas.Int32, schemas.Date:
		return 4
	case schemas.Int64, schemas.Time, schemas.Timestamp, schemas.TimestampTZ:
		return 8
	}
	return -1
}

func dateFrom2000(n int64) int64 {
	switch n {
	case math.MaxInt32:
		return schemas.InfinityTime
	case math.MinInt32:
		return schemas.NegInfinityTime
	}
	return n + epochDays
}

// timestampFrom2000 refuses the years from 294247 on, whose µs since 1970 do not
// fit: exact or a loud refusal (I5).
func timestampFrom2000(n int64) (int64, error) {
	switch {
	case n == math.MaxInt64:
		return schemas.InfinityTime, nil
	case n == math.MinInt64:
		return schemas.NegInfinityTime, nil
	case n >= schemas.InfinityTime-epochMicros:
		return 0, schemas.Errorf(schemas.CodeOutOfRange, "22008", "timestamp out of range: %d µs since 2000-01-01", n)
	}
	return n + epochMicros, nil
}

// Signs of a numeric's binary form.
const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInf      = 0xD000
	numericNegInf   = 0xF000
)

var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// appendBinaryNumeric reads number of digits, weight, sign and display scale, 16
// bits each, then the digits, base 10000: digit i counts 10000^(weight-i).
func appendBinaryNumeric(v *vector.Vector, b []byte) error {
	if len(b) < 8 {
		return errBinary
	}
	n := int(binary.BigEndian.Uint16(b))
	weight := int(int16(binary.BigEndian.Uint16(b[2:])))
	sign := binary.BigEndian.Uint16(b[4:])
	scale := int(binary.BigEndian.Uint16(b[6:]))
	digits := b[8:]
	if len(digits) != 2*n {
		return errBinary
	}
	switch sign {
	case numericNaN:
		v.AppendDecimalText([]byte("NaN"))
		return nil
	case numericInf:
		v.AppendDecimalText([]byte("Infinity"))
		return nil
	case numericNegInf:
		v.AppendDecimalText([]byte("-Infinity"))
		return nil
	}
	if coef, ok := shortCoefficient(digits, weight, scale); ok {
		if sign == numericNegative {
			coef = -coef
		}
		v.AppendDecimal(coef, scale)
		return nil
	}
	return pgtext.AppendTo(v, numericText(digits, weight, scale, sign == numericNegative))
}

// shortCoefficient gives the number × 10^scale when it has at most 18 digits.
func shortCoefficient(digits []byte, weight, scale int) (int64, bool) {
	if scale > 18 || len(digits) > 10 {
		return 0, false
	}
	var c uint64
	for i := 0; i < len(digits); i += 2 {
		hi, lo := bits.Mul64(c, 10000)
		if hi != 0 || lo > math.MaxUint64-9999 {
			return 0, false
		}
		c = lo + uint64(binary.BigEndian.Uint16(digits[i:]))
	}
	if c == 0 {
		return 0, true
	}
	// The last digit counts 10000^(weight-n+1).
	shift := (weight-len(digits)/2+1)*4 + scale
	switch {
	case shift < -18 || shift > 18:
		return 0, false
	case shift < 0:
		c /= pow10[-shift] // exact: PostgreSQL keeps no digits beyond the display scale
	default:
		hi, lo := bits.Mul64(c, pow10[shift])
		if hi != 0 {
			return 0, false
		}
		c = lo
	}
	return int64(c), c < pow10[18]
}

// numericText writes a number of any size as PostgreSQL prints it.
func numericText(digits []byte, weight, scale int, neg bool) []byte {
	group := func(i int) int {
		if i < 0 || 2*i >= len(digits) {
			return 0
		}
		return int(binary.BigEndian.Uint16(digits[2*i:]))
	}
	var out []byte
	if neg {
		out = append(out, '-')
	}
	start := len(out)
	for i := 0; i <= weight; i++ {
		if i == 0 {
			out = strconv.AppendInt(out, int64(group(0)), 10)
		} else {
			out = appendGroup(out, group(i))
		}
	}
	if len(out) == start {
		out = append(out, '0')
	}
	if scale == 0 {
		return out
	}
	out = append(out, '.')
	end := len(out) + scale
	for i := weight + 1; len(out) < end; i++ {
		out = appendGroup(out, group(i))
	}
	return out[:end]
}

func appendGroup(dst []byte, g int) []byte {
	return append(dst, byte('0'+g/1000), byte('0'+g/100%10), byte('0'+g/10%10), byte('0'+g%10))
}
