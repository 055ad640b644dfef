package bind

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/schemas"
)

// call binds a function call: an aggregate, a scalar function, or a cast written as one.
func (b *binder) call(x *parse.Call, c *context) expr.Expr {
	if len(b.reg.Aggregate(x.Name)) > 0 {
		return b.aggregate(x, c)
	}
	switch {
	case x.Star:
		b.fail(errorAt(x.Pos(), schemas.CodeUnknownFunc, "42883", "function %s() does not exist: %s(*) is not an aggregate function", x.Name, x.Name))
	case x.Distinct:
		b.fail(errorAt(x.Pos(), schemas.CodeType, "42809", "DISTINCT specified, but %s is not an aggregate function", x.Name))
	case x.Filter != nil:
		b.fail(errorAt(x.Pos(), schemas.CodeType, "42809", "FILTER specified, but %s is not an aggregate function", x.Name))
	}
	args := b.exprs(x.Args, c)
	if e := b.convert(x, args); e != nil {
		return e
	}
	return b.function(x.Name, args, x.Pos())
}

// convert binds text(x), date(x): a call of one argument with the name of a type is a
// cast, unless a function has exactly this signature.
func (b *binder) convert(x *parse.Call, args []expr.Expr) expr.Expr {
	k, ok := parse.TypeNamed(x.Name)
	if !ok || len(args) != 1 || len(b.reg.Function(x.Name)) > 0 {
		return nil
	}
	from := args[0].Type().Kind
	if from != fn.Unknown && fn.CastContext(from, k) == fn.NoCast {
		b.noFunction(x.Name, kindsOf(args), x.Pos())
	}
	return b.coerce(args[0], schemas.Type{Kind: k}, fn.Explicit)
}

// function applies a scalar function to bound arguments.
func (b *binder) function(name string, args []expr.Expr, at schemas.Pos) expr.Expr {
	if name == "concat" || name == "concat_ws" {
		for i := range args {
			if name == "concat" || i > 0 {
				args[i] = b.outputArg(args[i])
			}
		}
	}
	kinds := kindsOf(args)
	if (name == "substring" || name == "substr") && len(kinds) > 1 && (kinds[1] == fn.Unknown || kinds[1].IsText()) && isText(args[1]) {
		b.refuse(args[1].Pos(), "SUBSTRING with a regular expression is")
	}
	s, ambiguous := b.reg.ResolveFunction(name, kinds)
	if s == nil && ambiguous {
		b.fail(errorAt(at, schemas.CodeAmbiguous, "42725", "function %s(%s) is not unique", name, kindNames(kinds)).
			hint("could not choose a best candidate function; add explicit type casts"))
	}
	if s == nil {
		b.noFunction(name, kinds, at)
	}
	return b.apply(s, args, at)
}

// isText says whether an argument is text, or a literal that would be.
func isText(e expr.Expr) bool {
	c, ok := e.(*expr.Const)
	return e.Type().Kind.IsText() || ok && !c.Value.IsNull() && c.Value.Kind() == schemas.Text
}

// outputArg is output with concat's t and f for booleans.
func (b *binder) outputArg(e expr.Expr) expr.Expr {
	if e.Type().Kind != schemas.Bool {
		return b.output(e)
	}
	letter := func(s string) expr.Expr {
		return &expr.Const{Node: node(schemas.Text, e.Pos()), Value: schemas.NewText(s)}
	}
	not := &expr.Not{Node: node(schemas.Bool, e.Pos()), Arg: e}
	return b.fold(&expr.Case{Node: node(schemas.Text, e.Pos()), Whens: []expr.When{{Cond: e, Then: letter("t")}, {Cond: not, Then: letter("f")}}})
}

// noFunction explains what is wrong with a call: the arguments, a name that is known
// elsewhere, or a name that is like another.
func (b *binder) noFunction(name string, kinds []schemas.Kind, at schemas.Pos) {
	err := errorAt(at, schemas.CodeUnknownFunc, "42883", "function %s(%s) does not exist", name, kindNames(kinds))
	if all := b.reg.Function(name); len(all) > 0 {
		var forms []string
		for _, s := range all {
			forms = append(forms, name+"("+kindNames(s.Args)+")")
		}
		slices.Sort(forms)
		b.fail(err.hint("there is %s; you might need to add explicit type casts", strings.Join(slices.Compact(forms), ", ")))
	}
	if slices.Contains(inPostgres, name) {
		b.refuse(at, "function "+name+" is")
	}
	b.fail(err.meant(name, append(b.reg.FunctionNames(), b.reg.AggregateNames()...)))
}

// inPostgres are well-known functions that there are not yet, so that a user reads
// "not supported" and not "does not exist".
var inPostgres = []string{"array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "stddev",
	"stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp", "corr", "covar_pop", "covar_samp", "regr_slope", "bool_and", "bool_or",
	"every", "bit_and", "bit_or", "mode", "percentile_cont", "percentile_disc", "row_number", "rank", "dense_rank", "percent_rank",
	"cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value", "random", "gen_random_uuid", "clock_timestamp",
	"timeofday", "to_char", "to_date", "to_number", "regexp_replace", "regexp_match", "regexp_matches", "regexp_split_to_array",
	"format", "quote_ident", "quote_literal", "unnest", "generate_series", "date_bin", "make_interval", "make_time", "make_timestamptz",
	"justify_days", "justify_hours", "justify_interval", "isfinite", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_build_object",
	"jsonb_array_length", "jsonb_typeof", "to_json", "to_jsonb", "array_length", "cardinality", "width_bucket", "sin", "cos", "tan",
	"asin", "acos", "atan", "atan2", "degrees", "radians", "pi", "gcd", "lcm", "factorial", "scale", "min_scale", "trim_scale",
	"overlay", "crc32", "hashtext", "pg_typeof", "version", "current_schema", "current_database", "grouping"}
