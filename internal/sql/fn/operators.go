package fn

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

// Short names for the tables below.
const (
	kBool  = schemas.Bool
	kI16   = schemas.Int16
	kI32   = schemas.Int32
	kI64   = schemas.Int64
	kF32   = schemas.Float32
	kF64   = schemas.Float64
	kNum   = schemas.Numeric
	kText  = schemas.Text
	kChar  = schemas.Char
	kBytes = schemas.Bytea
	kDate  = schemas.Date
	kTime  = schemas.Time
	kTS    = schemas.Timestamp
	kTSTZ  = schemas.TimestampTZ
	kIval  = schemas.Interval
	kUUID  = schemas.UUID
	kJSON  = schemas.JSONB
)

// mixed are PostgreSQL's operators over two widths of a number: they matter for
// resolution, and are computed in the wider type, which loses nothing.
var mixed = [][3]schemas.Kind{
	{kI16, kI32, kI32}, {kI32, kI16, kI32},
	{kI16, kI64, kI64}, {kI64, kI16, kI64},
	{kI32, kI64, kI64}, {kI64, kI32, kI64},
	{kF32, kF64, kF64}, {kF64, kF32, kF64},
}

func (r *Registry) addArithmetic() {
	for _, name := range []string{"+", "-", "*", "/"} {
		for _, k := range []schemas.Kind{kI16, kI32, kI64, kF32, kF64, kNum} {
			r.op(name, k, k, k)
		}
		for _, m := range mixed {
			r.opVia(name, r.impl(name, m[2], m[2], m[2]), m[2], m[0], m[1])
		}
	}
	for _, k := range []schemas.Kind{kI16, kI32, kI64, kNum} {
		mod := r.op("%", k, k, k)
		r.fnVia("mod", mod.Impl, k, k, k)
	}
	for _, k := range []schemas.Kind{kI16, kI32, kI64, kF32, kF64, kNum, kIval} {
		r.op("-", k, k)
	}
	for _, k := range []schemas.Kind{kF64, kNum} {
		power := r.fn("power", k, k, k)
		r.fnVia("pow", power.Impl, k, k, k)
		r.opVia("^", power.Impl, k, k, k)
	}
	r.addTimeArithmetic()
}

// addTimeArithmetic has the + - * / of dates, times and intervals. A date with an
// interval is a timestamp with that interval.
func (r *Registry) addTimeArithmetic() {
	r.op("+", kDate, kDate, kI32)
	r.opVia("+", r.impl("+", kDate, kDate, kI32), kDate, kI32, kDate).Swap = true
	r.op("-", kDate, kDate, kI32)
	r.op("-", kI32, kDate, kDate)
	r.op("+", kTS, kDate, kTime)
	r.opVia("+", r.impl("+", kTS, kDate, kTime), kTS, kTime, kDate).Swap = true
	for _, k := range []schemas.Kind{kTS, kTSTZ, kTime} {
		add := r.op("+", k, k, kIval)
		r.opVia("+", add.Impl, k, kIval, k).Swap = true
		r.op("-", k, k, kIval)
		r.op("-", kIval, k, k)
	}
	r.opVia("+", r.impl("+", kTS, kTS, kIval), kTS, kDate, kIval)
	r.opVia("+", r.impl("+", kTS, kTS, kIval), kTS, kIval, kDate).Swap = true
	r.opVia("-", r.impl("-", kTS, kTS, kIval), kTS, kDate, kIval)
	r.op("+", kIval, kIval, kIval)
	r.op("-", kIval, kIval, kIval)
	r.op("*", kIval, kIval, kF64)
	r.opVia("*", r.impl("*", kIval, kIval, kF64), kIval, kF64, kIval).Swap = true
	r.op("/", kIval, kIval, kF64)
}

// Comparable are the kinds with comparison operators and an ordering.
var comparable = []schemas.Kind{kBool, kI16, kI32, kI64, kF32, kF64, kNum, kText, kChar, kBytes,
	kDate, kTime, kTS, kTSTZ, kIval, kUUID}

// mixedTimes compare in the kind that holds both.
var mixedTimes = [][3]schemas.Kind{
	{kDate, kTS, kTS}, {kTS, kDate, kTS},
	{kDate, kTSTZ, kTSTZ}, {kTSTZ, kDate, kTSTZ},
	{kTS, kTSTZ, kTSTZ}, {kTSTZ, kTS, kTSTZ},
}

// Comparable says whether a kind has comparison operators, so that it can be
// grouped, ordered, joined and made distinct. Varchar is compared as text.
func Comparable(k schemas.Kind) bool {
	for _, c := range comparable {
		if c == k {
			return true
		}
	}
	return k == schemas.Varchar
}

// Names of the operators behind IS [NOT] DISTINCT FROM, which see NULLs.
const (
	DistinctFrom    = "is distinct from"
	NotDistinctFrom = "is not distinct from"
)

func (r *Registry) addComparisons() {
	for _, name := range []string{"=", "<>", "<", "<=", ">", ">=", DistinctFrom, NotDistinctFrom} {
		for _, k := range comparable {
			s := r.op(name, kBool, k, k)
			s.Impl.NullCall = name == DistinctFrom || name == NotDistinctFrom
		}
		for _, m := range append(mixed[:len(mixed):len(mixed)], mixedTimes...) {
			r.opVia(name, r.impl(name, kBool, m[2], m[2]), kBool, m[0], m[1])
		}
	}
	for _, name := range []string{"greatest", "least"} {
		for _, k := range comparable {
			f := &expr.Func{Name: name, Args: []schemas.Kind{k}, Variadic: true, Result: k, NullCall: true}
			r.impls[f.Key()] = f
			r.fnVia(name, f, k, k)
		}
	}
}

func (r *Registry) addTextOperators() {
	r.op("||", kText, kText, kText)
	r.op("||", kBytes, kBytes, kBytes)
	r.op("~~", kBool, kText, kText)
	r.op("~~*", kBool, kText, kText)
	r.fn("starts_with", kBool, kText, kText)
	r.opVia("^@", r.impl("starts_with", kBool, kText, kText), kBool, kText, kText)
	r.op("->", kJSON, kJSON, kText)
	r.op("->", kJSON, kJSON, kI32)
	r.op("->>", kText, kJSON, kText)
	r.op("->>", kText, kJSON, kI32)
}
