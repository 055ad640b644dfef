package rowexec

import (
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

// function computes a call whose arguments have the kinds of f.Args; none is NULL
// unless f.NullCall.
type function func(f *expr.Func, a []schemas.Value) (schemas.Value, error)

// clocked are the functions that read the statement's time.
var clocked = map[string]func(now time.Time, f *expr.Func) (schemas.Value, error){
	"now": func(now time.Time, _ *expr.Func) (schemas.Value, error) {
		return schemas.NewInt(schemas.TimestampTZ, now.UnixMicro()), nil
	},
}

// functions by name; each looks at the kinds itself. Read-only.
var functions = map[string]function{
	"+": arith, "-": minus, "*": arith, "/": arith, "%": arith,
	"^": power, "power": power,
	"=": comparison(func(c int) bool { return c == 0 }), "<>": comparison(func(c int) bool { return c != 0 }),
	"<": comparison(func(c int) bool { return c < 0 }), "<=": comparison(func(c int) bool { return c <= 0 }),
	">": comparison(func(c int) bool { return c > 0 }), ">=": comparison(func(c int) bool { return c >= 0 }),
	fn.DistinctFrom:    distinct(true),
	fn.NotDistinctFrom: distinct(false),
	"greatest":         extreme(1), "least": extreme(-1),

	"abs": abs, "sign": sign, "ceil": integral, "floor": integral, "round": integral, "trunc": integral,
	"sqrt": sqrt, "cbrt": cbrt, "exp": exp, "ln": ln, "log": log, "div": div,

	"||": joined, "~~": like, "~~*": like, "like_escape": likeEscape, "starts_with": startsWith,
	"->": jsonGet, "->>": jsonGet,
	"length": length, "octet_length": octetLength, "lower": caseMap, "upper": caseMap, "initcap": initcap, "reverse": reverse,
	"btrim": trim, "ltrim": trim, "rtrim": trim, "lpad": pad, "rpad": pad, "substring": substring,
	"strpos": strpos, "left": leftRight, "right": leftRight, "repeat": repeat, "replace": replace,
	"translate": translate, "split_part": splitPart, "ascii": ascii, "chr": chr, "to_hex": toHex,
	"concat": concat, "concat_ws": concatWS,
	"md5": digest, "sha224": digest, "sha256": digest, "sha384": digest, "sha512": digest,
	"encode": encode, "decode": decode, "convert_to": convertTo, "convert_from": convertFrom,

	"date_trunc": dateTrunc, "extract": extract, "date_part": datePart, "age": age,
	"make_date": makeDate, "make_timestamp": makeTimestamp, "to_timestamp": toTimestamp, "timezone": timezone,
}

func minus(f *expr.Func, a []schemas.Value) (schemas.Value, error) {
	if len(a) == 1 {
		return negate(f, a[0])
	}
	return arith(f, a)
}

func comparison(holds func(c int) bool) function {
	return func(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
		return schemas.NewBool(holds(Compare(a[0], a[1]))), nil
	}
}

// distinct is IS [NOT] DISTINCT FROM: NULL equals NULL and nothing else.
func distinct(result bool) function {
	return func(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
		same := a[0].IsNull() && a[1].IsNull()
		if !a[0].IsNull() && !a[1].IsNull() {
			same = Compare(a[0], a[1]) == 0
		}
		return schemas.NewBool(same != result), nil
	}
}

// extreme is greatest (1) and least (-1), which skip NULLs; of equals the first wins.
func extreme(want int) function {
	return func(_ *expr.Func, a []schemas.Value) (schemas.Value, error) {
		best := schemas.Null
		for _, v := range a {
			if !v.IsNull() && (best.IsNull() || Compare(v, best)*want > 0) {
				best = v
			}
		}
		return best, nil
	}
}
