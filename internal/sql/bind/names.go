package bind

import (
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

// shortNames are the type names that PostgreSQL gives columns made by casts.
var shortNames = map[schemas.Kind]string{
	schemas.Bool: "bool", schemas.Int16: "int2", schemas.Int32: "int4", schemas.Int64: "int8",
	schemas.Float32: "float4", schemas.Float64: "float8", schemas.Numeric: "numeric", schemas.Text: "text",
	schemas.Varchar: "varchar", schemas.Char: "bpchar", schemas.Bytea: "bytea", schemas.Date: "date", schemas.Time: "time",
	schemas.Timestamp: "timestamp", schemas.TimestampTZ: "timestamptz", schemas.Interval: "interval",
	schemas.UUID: "uuid", schemas.JSONB: "jsonb",
}

// nameOf chooses the name of an output without AS, as PostgreSQL's FigureColname; strong
// names win over those around them.
func nameOf(x parse.Expr) (name string, strong bool) {
	switch x := x.(type) {
	case *parse.Column:
		return x.Parts[len(x.Parts)-1].Name, true
	case *parse.Call:
		return x.Name, true
	case *parse.Cast:
		if n, strong := nameOf(x.Arg); strong {
			return n, true
		}
		return shortNames[x.Type.Kind], false
	case *parse.Case:
		if x.Else != nil {
			if n, strong := nameOf(x.Else); strong {
				return n, true
			}
		}
		return "case", false
	case *parse.Coalesce:
		return "coalesce", true
	case *parse.NullIf:
		return "nullif", true
	case *parse.MinMax:
		if x.Least {
			return "least", true
		}
		return "greatest", true
	case *parse.Current:
		return x.What, true
	}
	return "?column?", false
}
