package postgres

import (
	"encoding/json"

	"github.com/millrace/millrace/schemas"
)

// typeOf maps a base type and its modifier; Invalid when it cannot be captured.
// The numbers are the fixed oids of pg_type.dat.
func typeOf(oid uint32, mod int32) schemas.Type {
	switch oid {
	case 16:
		return schemas.Type{Kind: schemas.Bool}
	case 17:
		return schemas.Type{Kind: schemas.Bytea}
	case 20:
		return schemas.Type{Kind: schemas.Int64}
	case 21:
		return schemas.Type{Kind: schemas.Int16}
	case 23:
		return schemas.Type{Kind: schemas.Int32}
	case 25:
		return schemas.Type{Kind: schemas.Text}
	case 700:
		return schemas.Type{Kind: schemas.Float32}
	case 701:
		return schemas.Type{Kind: schemas.Float64}
	case 1042:
		return schemas.Type{Kind: schemas.Char, Length: length(mod)}
	case 1043:
		return schemas.Type{Kind: schemas.Varchar, Length: length(mod)}
	case 1082:
		return schemas.Type{Kind: schemas.Date}
	case 1083:
		return schemas.Type{Kind: schemas.Time}
	case 1114:
		return schemas.Type{Kind: schemas.Timestamp}
	case 1184:
		return schemas.Type{Kind: schemas.TimestampTZ}
	case 1186:
		return schemas.Type{Kind: schemas.Interval}
	case 1700:
		return numericType(mod)
	case 2950:
		return schemas.Type{Kind: schemas.UUID}
	case 3802:
		return schemas.Type{Kind: schemas.JSONB}
	}
	return schemas.Type{}
}

// varHeader is PostgreSQL's VARHDRSZ, which modifiers of varlena types include.
const varHeader = 4

func length(mod int32) int32 { return max(mod-varHeader, 0) }

// numericType unpacks precision and scale; the scale is an 11-bit signed number.
func numericType(mod int32) schemas.Type {
	t := schemas.Type{Kind: schemas.Numeric}
	if mod >= varHeader {
		m := mod - varHeader
		t.Precision = int16(m >> 16 & 0xffff)
		t.Scale = int16((m&0x7ff ^ 1024) - 1024)
	}
	return t
}

// jsonStrings reads a JSON array of strings.
func jsonStrings(s string) []string {
	var out []string
	if json.Unmarshal([]byte(s), &out) != nil {
		return nil
	}
	return out
}
