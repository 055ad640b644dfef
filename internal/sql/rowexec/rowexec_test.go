package rowexec

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

// samples are values of each kind, chosen to be at or near the edges.
var samples = map[schemas.Kind][]string{
	schemas.Bool:        {"true", "false"},
	schemas.Int16:       {"0", "1", "-7", "32767", "-32768"},
	schemas.Int32:       {"0", "3", "1", "12", "-2", "2147483647", "-2147483648"},
	schemas.Int64:       {"0", "5", "-1", "9223372036854775807", "-9223372036854775808", "1000000000000"},
	schemas.Float32:     {"0", "1.5", "-2.25", "3.4e38", "1e-30", "NaN", "Infinity", "0.1", "123456.7"},
	schemas.Float64:     {"0", "1.5", "-2.5", "1e300", "1e-300", "NaN", "Infinity", "-Infinity", "0.1", "12345678.123", "3"},
	schemas.Numeric:     {"0", "0.00", "1", "-1", "1.50", "2.5", "-2.5", "123456789012345678901234567890.123", "0.000001", "NaN", "Infinity", "-Infinity", "99999.99", "7", "10", "0.95"},
	schemas.Text:        {"", "a", "Hello, Wörld", "  pad ", "%l_o%", "hex", "5", "naïve ñ", "day", "hour", "UTC", "Europe/Berlin", "abcabc", "\\", "20240229"},
	schemas.Varchar:     {"", "abc", "12", "Ünï"},
	schemas.Char:        {"", "ab", "7"},
	schemas.Bytea:       {`\x`, `\x00ff61`, `\x6162`},
	schemas.Date:        {"1970-01-01", "2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "1999-12-31", "4713-01-01 BC", "10000-01-01"},
	schemas.Time:        {"00:00:00", "12:34:56.789", "23:59:59.999999"},
	schemas.Timestamp:   {"1970-01-01 00:00:00", "2024-02-29 23:59:59.999999", "infinity", "-infinity", "0100-06-01 12:00:00 BC", "2021-01-03 04:05:06.5", "1600-10-31 01:02:03"},
	schemas.TimestampTZ: {"1970-01-01 00:00:00+00", "2024-03-31 01:30:00+00", "infinity", "-infinity", "2021-12-31 23:00:00.25+00", "1985-07-05 10:00:00+00"},
	schemas.Interval:    {"00:00:00", "1 mon", "-1 year 2 days", "36:00:00.000001", "1 mon -1 days 00:00:01", "30 days"},
	schemas.UUID:        {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"},
	schemas.JSONB:       {`{"a": 1, "bb": [true, null, "x\ty"]}`, `[1, 2.50, {"a": null}]`, "3.75", `"text"`, "true", "null"},
}

func value(t *testing.T, k schemas.Kind, s string) schemas.Value {
	t.Helper()
	v, err := parseText(schemas.NewText(s), schemas.Type{Kind: k})
	if err != nil {
		t.Fatalf("%v %q: %v", k, s, err)
	}
	return v
}

func typed(k schemas.Kind, v schemas.Value) expr.Expr {
	return &expr.Const{Node: expr.Node{Typ: schemas.Type{Kind: k}}, Value: v}
}

var scope = &Scope{Now: time.Unix(1_700_000_000, 0)}

// refused says that an error means "there is no implementation".
func refused(err error) bool {
	var e *schemas.Error
	return errors.As(err, &e) && (e.Code == schemas.CodeInternal || e.Code == schemas.CodeUnsupported && len(e.Message) > 5 && e.Message[:5] == "a row")
}

func TestEveryFunctionIsImplemented(t *testing.T) {
	for _, f := range fn.Builtin().Impls() {
		answered := false
		combinations(f, func(args []string) {
			call := &expr.Call{Func: f}
			for i, s := range args {
				call.Args = append(call.Args, typed(argKind(f, i), value(t, argKind(f, i), s)))
			}
			v, err := scope.Eval(call, nil)
			var e *schemas.Error
			switch {
			case err != nil && (!errors.As(err, &e) || refused(err) || e.SQLState == ""):
				t.Errorf("%s%q: %v", f.Key(), args, err)
			case err == nil && !v.IsNull() && v.Kind() != f.Result:
				t.Errorf("%s%q gives a %v, not a %v", f.Key(), args, v.Kind(), f.Result)
			case err == nil && !v.IsNull():
				answered = true
			}
		})
		if !answered && !testing.Short() && f.Name != "convert_to" && f.Name != "convert_from" && f.Name != "make_timestamp" {
			t.Errorf("%s never gives a value", f.Key())
		}
	}
}

func argKind(f *expr.Func, i int) schemas.Kind { return f.Args[min(i, len(f.Args)-1)] }

// combinations calls visit with samples for the arguments of f: every pair of the
// first two (every fourth in short tests), and samples in turn for the others.
func combinations(f *expr.Func, visit func(args []string)) {
	n := len(f.Args)
	if f.Variadic {
		n++
	}
	if n == 0 {
		visit(nil)
		return
	}
	turn := 0
	for i := range samples[argKind(f, 0)] {
		for j := range samples[argKind(f, min(1, n-1))] {
			if testing.Short() && n > 1 && (i+j)%4 != 0 {
				continue
			}
			args := []string{samples[argKind(f, 0)][i]}
			if n > 1 {
				args = append(args, samples[argKind(f, 1)][j])
			}
			for k := 2; k < n; k++ {
				turn++
				list := samples[argKind(f, k)]
				args = append(args, list[(turn*7+k)%len(list)])
			}
			visit(args)
			if n == 1 {
				break
			}
		}
	}
}

func TestEveryCastIsImplemented(t *testing.T) {
	for _, c := range fn.Casts() {
		for _, s := range samples[c.From] {
			v := value(t, c.From, s)
			got, err := scope.Eval(&expr.Cast{Node: expr.Node{Typ: schemas.Type{Kind: c.To}}, Arg: typed(c.From, v)}, nil)
			if refused(err) || err == nil && !got.IsNull() && got.Kind() != c.To {
				t.Errorf("%v %q to %v: %#v, %v", c.From, s, c.To, got, err)
			}
		}
	}
}

func TestNullsAndShortCircuits(t *testing.T) {
	null := typed(schemas.Bool, schemas.Null)
	yes, no := typed(schemas.Bool, schemas.NewBool(true)), typed(schemas.Bool, schemas.NewBool(false))
	div := fn.Builtin().Impl("/(integer,integer)")
	one, zero := typed(schemas.Int32, schemas.NewInt(schemas.Int32, 1)), typed(schemas.Int32, schemas.NewInt(schemas.Int32, 0))
	boom := &expr.IsNull{Arg: &expr.Call{Node: expr.Node{At: schemas.Pos{Line: 3, Column: 4}}, Func: div, Args: []expr.Expr{one, zero}}}
	for _, c := range []struct {
		e    expr.Expr
		want schemas.Value
	}{
		{&expr.And{Args: []expr.Expr{null, no}}, schemas.NewBool(false)},
		{&expr.And{Args: []expr.Expr{null, yes}}, schemas.Null},
		{&expr.And{Args: []expr.Expr{no, boom}}, schemas.NewBool(false)},
		{&expr.Or{Args: []expr.Expr{null, yes}}, schemas.NewBool(true)},
		{&expr.Or{Args: []expr.Expr{null, no}}, schemas.Null},
		{&expr.Or{Args: []expr.Expr{yes, boom}}, schemas.NewBool(true)},
		{&expr.Not{Arg: null}, schemas.Null},
		{&expr.IsNull{Arg: null, Negate: true}, schemas.NewBool(false)},
		{&expr.Coalesce{Args: []expr.Expr{null, yes, boom}}, schemas.NewBool(true)},
		{&expr.Case{Whens: []expr.When{{Cond: null, Then: boom}, {Cond: yes, Then: no}}, Else: boom}, schemas.NewBool(false)},
		{&expr.Case{Whens: []expr.When{{Cond: no, Then: boom}}}, schemas.Null},
		{&expr.In{Arg: one, List: []schemas.Value{schemas.NewInt(schemas.Int32, 2)}, HasNull: true}, schemas.Null},
		{&expr.In{Arg: one, List: []schemas.Value{schemas.NewInt(schemas.Int32, 1)}, HasNull: true, Negate: true}, schemas.NewBool(false)},
	} {
		if got, err := scope.Eval(c.e, nil); err != nil || got != c.want {
			t.Errorf("%T: %#v, %v; want %#v", c.e, got, err, c.want)
		}
	}
	_, err := scope.Eval(&expr.And{Args: []expr.Expr{null, boom}}, nil)
	var e *schemas.Error
	if !errors.As(err, &e) || e.Code != schemas.CodeDivisionByZero || e.Pos.Line != 3 {
		t.Errorf("a failing argument that is needed: %v", err)
	}
}
