package fn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/schemas"
)

// TestKeys shows every key that executors implement: a change here is a change there.
func TestKeys(t *testing.T) {
	datadriven.RunTest(t, "testdata/keys", func(t *testing.T, d *datadriven.TestData) string {
		var b strings.Builder
		switch d.Cmd {
		case "functions":
			for _, f := range Builtin().Impls() {
				fmt.Fprintf(&b, "%s %s", f.Key(), f.Result)
				if f.Volatility != 0 {
					b.WriteString(" stable")
				}
				if f.NullCall {
					b.WriteString(" null-call")
				}
				b.WriteByte('\n')
			}
		case "aggregates":
			for _, a := range Builtin().Aggregates() {
				fmt.Fprintf(&b, "%s%v %s\n", a.Name, a.Args, a.Result)
			}
		case "casts":
			for _, c := range Casts() {
				fmt.Fprintf(&b, "%s -> %s %d\n", c.From, c.To, c.Context)
			}
		}
		return b.String()
	})
}

// TestResolve holds PostgreSQL's choices without a server at hand: expected results
// were read from PostgreSQL 15.
func TestResolve(t *testing.T) {
	r := Builtin()
	for _, c := range []struct {
		op   string
		args []schemas.Kind
		want schemas.Kind // Invalid: none
	}{
		{"+", []schemas.Kind{kI16, kI32}, kI32},
		{"+", []schemas.Kind{kI32, kF32}, kF64},
		{"+", []schemas.Kind{kF32, kF32}, kF32},
		{"+", []schemas.Kind{kNum, kF32}, kF64},
		{"+", []schemas.Kind{kI64, kNum}, kNum},
		{"+", []schemas.Kind{kI32, Unknown}, kI32},
		{"+", []schemas.Kind{kTS, Unknown}, kTS},
		{"-", []schemas.Kind{kDate, Unknown}, kI32},
		{"-", []schemas.Kind{kTS, Unknown}, kIval},
		{"*", []schemas.Kind{kI32, kIval}, kIval},
		{"^", []schemas.Kind{kI32, kI32}, kF64},
		{"^", []schemas.Kind{kNum, kI32}, kNum},
		{"||", []schemas.Kind{Unknown, Unknown}, kText},
		{"||", []schemas.Kind{schemas.Varchar, kChar}, kText},
		{"=", []schemas.Kind{kDate, kTSTZ}, kBool},
		{"=", []schemas.Kind{kText, kI32}, Unknown},
		{"+", []schemas.Kind{kText, kI32}, Unknown},
		{"+", []schemas.Kind{kBool, kBool}, Unknown},
		{"+", []schemas.Kind{Unknown, Unknown}, Unknown},
	} {
		got := Unknown
		if s, _ := r.ResolveOperator(c.op, c.args); s != nil {
			got = s.Result
		}
		if got != c.want {
			t.Errorf("%s%v gives %v, want %v", c.op, c.args, got, c.want)
		}
	}
}

func TestCommonKind(t *testing.T) {
	for _, c := range []struct {
		in   []schemas.Kind
		want schemas.Kind
	}{
		{[]schemas.Kind{Unknown, Unknown}, kText},
		{[]schemas.Kind{kI16, kI64, kI32}, kI64},
		{[]schemas.Kind{kNum, kF32}, kF32},
		{[]schemas.Kind{kDate, kTS, kTSTZ}, kTSTZ},
		{[]schemas.Kind{kI32, kText}, Unknown},
		{[]schemas.Kind{schemas.Varchar, kText}, schemas.Varchar},
		{[]schemas.Kind{kBool, Unknown}, kBool},
	} {
		if got := CommonKind(c.in); got != c.want {
			t.Errorf("%v have %v in common, want %v", c.in, got, c.want)
		}
	}
}
