package kernel_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// columnTypes are the columns of the random table.
var columnTypes = []schemas.Type{
	{Kind: schemas.Bool}, {Kind: schemas.Int16}, {Kind: schemas.Int32}, {Kind: schemas.Int64},
	{Kind: schemas.Float32}, {Kind: schemas.Float64}, {Kind: schemas.Numeric, Precision: 10, Scale: 2}, {Kind: schemas.Numeric},
	{Kind: schemas.Text}, {Kind: schemas.Varchar}, {Kind: schemas.Char, Length: 5}, {Kind: schemas.Bytea},
	{Kind: schemas.Date}, {Kind: schemas.Time}, {Kind: schemas.Timestamp}, {Kind: schemas.TimestampTZ},
	{Kind: schemas.Interval}, {Kind: schemas.UUID}, {Kind: schemas.JSONB},
	{Kind: schemas.Text}, {Kind: schemas.Int32}, {Kind: schemas.Date},
}

// fewValues are columns drawn from three values only, so that dictionaries and constants
// happen.
const fewValues = 19

func randomValue(r *rand.Rand, t schemas.Type) schemas.Value {
	switch k := t.Kind; k {
	case schemas.Bool:
		return schemas.NewBool(r.IntN(2) == 0)
	case schemas.Int16, schemas.Int32, schemas.Int64:
		bits := map[schemas.Kind]int{schemas.Int16: 15, schemas.Int32: 31, schemas.Int64: 63}[k]
		switch r.IntN(12) {
		case 0:
			return schemas.NewInt(k, math.MaxInt64>>(63-bits))
		case 1:
			return schemas.NewInt(k, math.MinInt64>>(63-bits))
		case 2:
			return schemas.NewInt(k, r.Int64()>>(63-bits))
		}
		return schemas.NewInt(k, r.Int64N(40)-10)
	case schemas.Float32, schemas.Float64:
		list := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 1.5, 2.5, 1e10, -3e20, 1e-30, math.NaN(), math.Inf(1), math.Inf(-1), 1e300}
		f := list[r.IntN(len(list))]
		if k == schemas.Float32 && math.Abs(f) > 1e30 && !math.IsInf(f, 0) {
			f = 3e38
		}
		return schemas.NewFloat(k, f)
	case schemas.Numeric:
		if t.Precision > 0 {
			return schemas.NewNumeric(r.Int64N(2_000_000)-1_000_000, 2)
		}
		list := []string{"NaN", "Infinity", "-Infinity", "123456789012345678901234567890.123", "-0.00000000000000000000000000001", "99999999999999999999999999999999999999999999999"}
		if n := r.IntN(40); n < len(list) {
			return schemas.NewNumericText(list[n])
		}
		return schemas.NewNumeric(r.Int64N(100_000)-50_000, r.IntN(6))
	case schemas.Text, schemas.Varchar, schemas.Char:
		list := []string{"", "a", "abc", "ABC", "héllo wörld", "%a_", "12", "-7", "2024-02-29", "1.50", "true", "a longer string than twelve bytes", "日本語", "x,y,z", `a\b`, "hex"}
		s := list[r.IntN(len(list))]
		if k == schemas.Char {
			s = []string{"", "ab", "abc", "12", "x"}[r.IntN(5)]
		}
		return schemas.NewBytes(k, s)
	case schemas.Bytea:
		return schemas.NewBytes(k, []string{"", "\x00", "abc", "\xff\xfe", "0123456789abcdef"}[r.IntN(5)])
	case schemas.Date:
		return schemas.NewInt(k, r.Int64N(30000)-5000)
	case schemas.Time:
		return schemas.NewInt(k, r.Int64N(86_400_000_000))
	case schemas.Timestamp, schemas.TimestampTZ:
		switch r.IntN(20) {
		case 0:
			return schemas.NewInt(k, schemas.InfinityTime)
		case 1:
			return schemas.NewInt(k, schemas.NegInfinityTime)
		}
		return schemas.NewInt(k, r.Int64N(2_000_000_000_000_000)-500_000_000_000_000)
	case schemas.Interval:
		return schemas.NewInterval(int32(r.IntN(50)-25), int32(r.IntN(100)-50), r.Int64N(200_000_000_000)-100_000_000_000)
	case schemas.UUID:
		return schemas.NewBytes(k, fmt.Sprintf("%016d", r.IntN(5)))
	case schemas.JSONB:
		return schemas.NewBytes(k, []string{`{"a": 1, "b": "x"}`, `[1, 2, null]`, `"s"`, "1.50", "true", "null"}[r.IntN(6)])
	}
	panic(t)
}

// generator makes random expressions.
type generator struct {
	r     *rand.Rand
	impls map[schemas.Kind][]*expr.Func
	casts map[schemas.Kind][]fn.Cast
}

// slow or huge functions, which are left to tests of their own.
var leftOut = map[string]bool{"repeat": true, "lpad": true, "rpad": true, "power": true, "^": true, "exp": true, "ln": true, "log": true, "sqrt": true}

func newGenerator(r *rand.Rand) *generator {
	g := &generator{r: r, impls: map[schemas.Kind][]*expr.Func{}, casts: map[schemas.Kind][]fn.Cast{}}
	for _, f := range fn.Builtin().Impls() {
		if !leftOut[f.Name] {
			g.impls[f.Result] = append(g.impls[f.Result], f)
		}
	}
	for _, c := range fn.Casts() {
		g.casts[c.To] = append(g.casts[c.To], c)
	}
	return g
}

func (g *generator) leaf(k schemas.Kind) expr.Expr {
	if g.r.IntN(3) > 0 {
		start := g.r.IntN(len(columnTypes))
		for i := range columnTypes {
			c := (start + i) % len(columnTypes)
			if columnTypes[c].Kind == k {
				return &expr.Column{Node: expr.Node{Typ: columnTypes[c]}, ID: expr.ColumnID(c + 1)}
			}
		}
	}
	v := schemas.Null
	if g.r.IntN(8) > 0 {
		v = randomValue(g.r, schemas.Type{Kind: k})
	}
	return &expr.Const{Node: expr.Node{Typ: schemas.Type{Kind: k}}, Value: v}
}

func (g *generator) expr(k schemas.Kind, depth int) expr.Expr {
	if depth <= 0 || g.r.IntN(6) == 0 {
		return g.leaf(k)
	}
	node := expr.Node{Typ: schemas.Type{Kind: k}}
	switch n := g.r.IntN(12); {
	case n == 0:
		c := &expr.Case{Node: node}
		for range 1 + g.r.IntN(2) {
			c.Whens = append(c.Whens, expr.When{Cond: g.expr(schemas.Bool, depth-1), Then: g.expr(k, depth-1)})
		}
		if g.r.IntN(2) == 0 {
			c.Else = g.expr(k, depth-1)
		}
		return c
	case n == 1:
		return &expr.Coalesce{Node: node, Args: []expr.Expr{g.expr(k, depth-1), g.expr(k, depth-1)}}
	case n == 2 && len(g.casts[k]) > 0:
		c := g.casts[k][g.r.IntN(len(g.casts[k]))]
		switch {
		case k == schemas.Numeric && g.r.IntN(2) == 0:
			node.Typ.Precision, node.Typ.Scale = 6, 2
		case (k == schemas.Varchar || k == schemas.Char) && g.r.IntN(2) == 0:
			node.Typ.Length = 3
		}
		return &expr.Cast{Node: node, Arg: g.expr(c.From, depth-1)}
	case k == schemas.Bool && n < 8:
		return g.boolean(depth)
	}
	if fs := g.impls[k]; len(fs) > 0 {
		f := fs[g.r.IntN(len(fs))]
		c := &expr.Call{Node: node, Func: f}
		for _, a := range f.Args {
			c.Args = append(c.Args, g.arg(f, a, depth-1))
		}
		if f.Variadic {
			c.Args = append(c.Args, g.expr(f.Args[len(f.Args)-1], depth-1))
		}
		return c
	}
	return g.leaf(k)
}

// arg makes an argument, a sensible constant where a word has a meaning.
func (g *generator) arg(f *expr.Func, k schemas.Kind, depth int) expr.Expr {
	words := map[string][]string{
		"date_trunc": {"day", "month", "year", "hour", "week", "quarter", "minute", "nonsense"},
		"extract":    {"year", "month", "day", "hour", "dow", "isodow", "quarter", "minute", "second", "epoch", "doy", "week", "nonsense"},
		"date_part":  {"year", "month", "epoch"}, "encode": {"hex", "base64"}, "decode": {"hex", "escape"},
		"convert_to": {"UTF8"}, "convert_from": {"UTF8"}, "timezone": {"UTC", "Europe/Berlin"},
	}
	if w := words[f.Name]; k == schemas.Text && w != nil && g.r.IntN(8) > 0 {
		return &expr.Const{Node: expr.Node{Typ: schemas.Type{Kind: k}}, Value: schemas.NewText(w[g.r.IntN(len(w))])}
	}
	return g.expr(k, depth)
}

func (g *generator) boolean(depth int) expr.Expr {
	node := expr.Node{Typ: schemas.Type{Kind: schemas.Bool}}
	kinds := []schemas.Kind{schemas.Int16, schemas.Int32, schemas.Int64, schemas.Numeric, schemas.Text, schemas.Date, schemas.Float64, schemas.Char, schemas.UUID}
	k := kinds[g.r.IntN(len(kinds))]
	switch g.r.IntN(5) {
	case 0:
		return &expr.And{Node: node, Args: []expr.Expr{g.expr(schemas.Bool, depth-1), g.expr(schemas.Bool, depth-1), g.expr(schemas.Bool, depth-2)}}
	case 1:
		return &expr.Or{Node: node, Args: []expr.Expr{g.expr(schemas.Bool, depth-1), g.expr(schemas.Bool, depth-1)}}
	case 2:
		return &expr.Not{Node: node, Arg: g.expr(schemas.Bool, depth-1)}
	case 3:
		return &expr.IsNull{Node: node, Arg: g.expr(k, depth-1), Negate: g.r.IntN(2) == 0}
	}
	in := &expr.In{Node: node, Arg: g.expr(k, depth-1), HasNull: g.r.IntN(4) == 0, Negate: g.r.IntN(2) == 0}
	for range 1 + g.r.IntN(12) {
		in.List = append(in.List, randomValue(g.r, schemas.Type{Kind: k}))
	}
	return in
}

// randomTable makes rows, and the same as flat columns.
func randomTable(r *rand.Rand, n int) ([]schemas.Row, []*vector.Vector) {
	rows := make([]schemas.Row, n)
	for i := range rows {
		rows[i] = make(schemas.Row, len(columnTypes))
	}
	cols := make([]*vector.Vector, len(columnTypes))
	for c, t := range columnTypes {
		cols[c] = vector.New(t, n)
		nulls := r.IntN(3) // none, some, many
		few := []schemas.Value{randomValue(r, t), randomValue(r, t), randomValue(r, t)}
		same := r.IntN(10) == 0
		for i := range rows {
			v := randomValue(r, t)
			if c >= fewValues {
				v = few[r.IntN(3)]
			}
			if same {
				v = few[0]
			} else if nulls > 0 && r.IntN(9/nulls) == 0 {
				v = schemas.Null
			}
			rows[i][c] = v
			cols[c].AppendValue(v)
		}
	}
	return rows, cols
}

func ids() []expr.ColumnID {
	out := make([]expr.ColumnID, len(columnTypes))
	for i := range out {
		out[i] = expr.ColumnID(i + 1)
	}
	return out
}

func state(err error) string {
	var e *schemas.Error
	if errors.As(err, &e) {
		return e.SQLState
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// same compares values; NaN equals NaN, -0 differs from 0 only as PostgreSQL shows it.
func same(a, b schemas.Value) bool {
	if a == b {
		return true
	}
	if a.Kind() == b.Kind() && a.Kind().IsFloat() {
		return math.IsNaN(a.Float()) && math.IsNaN(b.Float())
	}
	return false
}

var now = time.Date(2024, 5, 17, 12, 34, 56, 789000, time.UTC)

// TestAgainstRows compares programs with the row-at-a-time model over random
// expressions, data, encodings and selections.
func TestAgainstRows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rounds := 3000
	if testing.Short() {
		rounds = 1000
	}
	r := rand.New(rand.NewPCG(seed, 1))
	g := newGenerator(r)
	var rows []schemas.Row
	var cols []*vector.Vector
	where := map[expr.ColumnID]int{}
	for i, id := range ids() {
		where[id] = i
	}
	scope := &rowexec.Scope{Columns: where, Now: now}
	failed := 0
	for round := range rounds {
		if round%20 == 0 {
			var flat []*vector.Vector
			sizes := []int{1, 2, 63, 300, 1000, 8192}
			if testing.Short() {
				sizes = sizes[:5]
			}
			rows, flat = randomTable(r, sizes[r.IntN(len(sizes))])
			cols = make([]*vector.Vector, len(flat))
			encode := sqltest.Random(r)
			for i, v := range flat {
				cols[i] = encode(v)
			}
		}
		kind := columnTypes[r.IntN(len(columnTypes))].Kind
		x := g.expr(kind, 1+r.IntN(4))
		p, err := kernel.Compile([]expr.Expr{x}, ids())
		if err != nil {
			t.Fatalf("round %d: %s: %v", round, show(x), err)
		}
		eval, err := p.NewEval(kernel.Env{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		sel := kernel.Rows{N: len(rows)}
		if r.IntN(2) == 0 {
			sel = kernel.Rows{Sel: []uint32{}}
			for i := range rows {
				if r.IntN(3) > 0 {
					sel.Sel = append(sel.Sel, uint32(i))
				}
			}
		} else if len(rows) > 2 {
			sel = kernel.Rows{Lo: 1, N: len(rows) - 2}
		}
		out, good, bad, err := eval.RunEach(cols, sel)
		if err != nil {
			t.Fatalf("round %d: %s: %v", round, show(x), err)
		}
		got := map[int]string{}
		for _, e := range bad {
			got[e.Row] = state(e.Err)
		}
		values := map[int]schemas.Value{}
		for i := range good.Len() {
			values[good.At(i)] = out[0].Value(i)
		}
		for i := range sel.Len() {
			at := sel.At(i)
			want, err := scope.Eval(x, rows[at])
			if state(err) != got[at] || err == nil && !same(want, values[at]) {
				t.Errorf("round %d, row %d: %s\n got %#v %s\nwant %#v %v", round, at, show(x), values[at], got[at], want, err)
				if failed++; failed > 8 {
					t.FailNow()
				}
				break
			}
		}
	}
}

// show prints an expression.
func show(x expr.Expr) string {
	switch x := x.(type) {
	case *expr.Const:
		return fmt.Sprintf("%#v", x.Value)
	case *expr.Column:
		return fmt.Sprintf("c%d:%v", x.ID-1, x.Typ)
	case *expr.Cast:
		return fmt.Sprintf("cast(%s as %v)", show(x.Arg), x.Typ)
	case *expr.Call:
		return x.Func.Key() + list(x.Args)
	case *expr.Case:
		var parts []expr.Expr
		for _, w := range x.Whens {
			parts = append(parts, w.Cond, w.Then)
		}
		if x.Else != nil {
			parts = append(parts, x.Else)
		}
		return "case" + list(parts)
	case *expr.In:
		return fmt.Sprintf("in(%s, %#v null:%v not:%v)", show(x.Arg), x.List, x.HasNull, x.Negate)
	case *expr.IsNull:
		return fmt.Sprintf("isnull(%s, not:%v)", show(x.Arg), x.Negate)
	}
	return fmt.Sprintf("%T%s", x, list(expr.Children(x)))
}

func list(xs []expr.Expr) string {
	s := "("
	for i, x := range xs {
		if i > 0 {
			s += ", "
		}
		s += show(x)
	}
	return s + ")"
}

// TestEverythingHasAKernel compares the registry with the implementations.
func TestEverythingHasAKernel(t *testing.T) {
	for _, f := range fn.Builtin().Impls() {
		if !kernel.Has(f) {
			t.Errorf("%s has no implementation", f.Key())
		}
	}
	for _, c := range fn.Casts() {
		x := &expr.Cast{Node: expr.Node{Typ: schemas.Type{Kind: c.To}}, Arg: &expr.Const{Node: expr.Node{Typ: schemas.Type{Kind: c.From}}}}
		if _, err := kernel.Compile([]expr.Expr{x}, nil); err != nil {
			t.Errorf("cast %v to %v: %v", c.From, c.To, err)
		}
	}
}
