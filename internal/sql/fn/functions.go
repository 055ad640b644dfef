package fn

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
)

func (r *Registry) addMath() {
	for _, k := range []schemas.Kind{kI16, kI32, kI64, kF32, kF64, kNum} {
		r.fn("abs", k, k)
	}
	for _, name := range []string{"ceil", "floor", "round", "trunc", "sign", "sqrt", "exp", "ln", "log"} {
		r.fn(name, kF64, kF64)
		r.fn(name, kNum, kNum)
	}
	r.alias("ceiling", "ceil")
	r.alias("log10", "log")
	r.fn("log", kNum, kNum, kNum)
	r.fn("round", kNum, kNum, kI32)
	r.fn("trunc", kNum, kNum, kI32)
	r.fn("div", kNum, kNum, kNum)
	r.fn("cbrt", kF64, kF64)
}

func (r *Registry) addText() {
	r.fn("length", kI32, kText)
	r.fn("length", kI32, kBytes)
	for _, name := range []string{"char_length", "character_length"} {
		r.fnVia(name, r.impl("length", kI32, kText), kI32, kText)
	}
	r.fn("octet_length", kI32, kText)
	r.fnVia("octet_length", r.impl("length", kI32, kBytes), kI32, kBytes)
	for _, name := range []string{"lower", "upper", "initcap", "reverse"} {
		r.fn(name, kText, kText)
	}
	space := schemas.NewText(" ")
	for _, name := range []string{"btrim", "ltrim", "rtrim"} {
		f := r.fn(name, kText, kText, kText).Impl
		r.fnVia(name, f, kText, kText).Extra = []schemas.Value{space}
	}
	for _, name := range []string{"lpad", "rpad"} {
		f := r.fn(name, kText, kText, kI32, kText).Impl
		r.fnVia(name, f, kText, kText, kI32).Extra = []schemas.Value{space}
	}
	for _, k := range []schemas.Kind{kText, kBytes} {
		r.fn("substring", k, k, kI32)
		r.fn("substring", k, k, kI32, kI32)
	}
	r.alias("substr", "substring")
	r.fn("strpos", kI32, kText, kText)
	r.fnVia("position", r.impl("strpos", kI32, kText, kText), kI32, kText, kText)
	r.fn("left", kText, kText, kI32)
	r.fn("right", kText, kText, kI32)
	r.fn("repeat", kText, kText, kI32)
	r.fn("replace", kText, kText, kText, kText)
	r.fn("translate", kText, kText, kText, kText)
	r.fn("split_part", kText, kText, kText, kI32)
	r.fn("ascii", kI32, kText)
	r.fn("chr", kText, kI32)
	r.fn("to_hex", kText, kI64)
	r.fn("to_hex", kText, kI32)
	r.fn("like_escape", kText, kText, kText)
	r.variadic("concat", kText)
	r.variadic("concat_ws", kText, kText)
}

// variadic registers a text function of any number of arguments of any kind, which
// skips NULLs: the binder turns each argument into text as output would.
func (r *Registry) variadic(name string, args ...schemas.Kind) {
	f := &expr.Func{Name: name, Args: args, Variadic: true, Result: kText, NullCall: true}
	r.impls[f.Key()] = f
	r.fnVia(name, f, kText, args...)
}

func (r *Registry) addBytes() {
	r.fn("md5", kText, kText)
	r.fn("md5", kText, kBytes)
	for _, name := range []string{"sha224", "sha256", "sha384", "sha512"} {
		r.fn(name, kBytes, kBytes)
	}
	r.fn("encode", kText, kBytes, kText)
	r.fn("decode", kBytes, kText, kText)
	r.fn("convert_to", kBytes, kText, kText)
	r.fn("convert_from", kText, kBytes, kText)
}

func (r *Registry) addDateTime() {
	for _, k := range []schemas.Kind{kTS, kTSTZ, kIval} {
		r.fn("date_trunc", k, kText, k)
	}
	r.fn("date_trunc", kTSTZ, kText, kTSTZ, kText)
	for _, k := range []schemas.Kind{kDate, kTime, kTS, kTSTZ, kIval} {
		r.fn("extract", kNum, kText, k)
	}
	for _, k := range []schemas.Kind{kTime, kTS, kTSTZ, kIval} {
		r.fn("date_part", kF64, kText, k)
	}
	r.fnVia("date_part", r.impl("date_part", kF64, kText, kTS), kF64, kText, kDate)
	r.fn("age", kIval, kTS, kTS)
	r.fn("age", kIval, kTSTZ, kTSTZ)
	now := r.fn("now", kTSTZ).Impl
	now.Volatility = expr.Stable
	r.fnVia("transaction_timestamp", now, kTSTZ)
	r.fnVia("statement_timestamp", now, kTSTZ)
	r.fn("make_date", kDate, kI32, kI32, kI32)
	r.fn("make_timestamp", kTS, kI32, kI32, kI32, kI32, kI32, kF64)
	r.fn("to_timestamp", kTSTZ, kF64)
	r.fn("timezone", kTS, kText, kTSTZ)
	r.fn("timezone", kTSTZ, kText, kTS)
	r.fn("timezone", kTS, kIval, kTSTZ)
	r.fn("timezone", kTSTZ, kIval, kTS)
}
