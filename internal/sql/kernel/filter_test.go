package kernel_test

import (
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

// simple makes a conjunct of the forms that codes decide: column op constant.
func (g *generator) simple() expr.Expr {
	c := g.r.IntN(len(columnTypes))
	for !fn.Comparable(columnTypes[c].Kind) || columnTypes[c].Kind == schemas.Varchar {
		c = g.r.IntN(len(columnTypes))
	}
	typ := columnTypes[c]
	col := &expr.Column{Node: expr.Node{Typ: typ}, ID: expr.ColumnID(c + 1)}
	node := expr.Node{Typ: schemas.Type{Kind: schemas.Bool}}
	if g.r.IntN(8) == 0 {
		return &expr.IsNull{Node: node, Arg: col, Negate: g.r.IntN(2) == 0}
	}
	k := schemas.Type{Kind: typ.Kind}
	value := &expr.Const{Node: expr.Node{Typ: k}, Value: randomValue(g.r, typ)}
	if g.r.IntN(3) == 0 {
		value.Value = randomValue(g.r, k)
	}
	op := []string{"=", "<>", "<", "<=", ">", ">="}[g.r.IntN(6)]
	f := fn.Builtin().Impl((&expr.Func{Name: op, Args: []schemas.Kind{typ.Kind, typ.Kind}}).Key())
	args := []expr.Expr{col, value}
	if g.r.IntN(4) == 0 {
		args[0], args[1] = args[1], args[0]
	}
	return &expr.Call{Node: node, Func: f, Args: args}
}

// TestFilterAgainstRows compares filters on codes with the model, over whole chunks with
// a visible mask and over some rows of a batch.
func TestFilterAgainstRows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rounds := 4000
	if testing.Short() {
		rounds = 800
	}
	r := rand.New(rand.NewPCG(seed, 2))
	g := newGenerator(r)
	where := map[expr.ColumnID]int{}
	for i, id := range ids() {
		where[id] = i
	}
	scope := &rowexec.Scope{Columns: where, Now: now}
	var rows []schemas.Row
	var cols []*vector.Vector
	for round := range rounds {
		if round%20 == 0 {
			var flat []*vector.Vector
			rows, flat = randomTable(r, []int{1, 64, 65, 400, 1000}[r.IntN(5)])
			cols = make([]*vector.Vector, len(flat))
			encode := sqltest.Random(r)
			for i, v := range flat {
				cols[i] = encode(v)
			}
		}
		cond := g.simple()
		if n := r.IntN(4); n > 0 {
			and := &expr.And{Node: expr.Node{Typ: schemas.Type{Kind: schemas.Bool}}, Args: []expr.Expr{cond}}
			for range n {
				and.Args = append(and.Args, g.simple())
			}
			if r.IntN(3) == 0 {
				and.Args = append(and.Args, g.expr(schemas.Bool, 2))
			}
			cond = and
		}
		c, err := kernel.CompileCondition(cond, ids())
		if err != nil {
			t.Fatal(err)
		}
		f, err := c.NewFilter(kernel.Env{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		n := len(rows)
		var visible vector.Bitmap
		if r.IntN(2) == 0 {
			visible = vector.NewBitmap(n)
			for i := range n {
				if r.IntN(4) > 0 {
					visible.Set(i)
				}
			}
		}
		got, err := f.Chunk(cols, n, visible, 1+r.IntN(100))
		failed := err != nil
		for i := range n {
			if visible != nil && !visible.Get(i) {
				if !failed && got.Get(i) {
					t.Fatalf("round %d: row %d is not visible", round, i)
				}
				continue
			}
			want, rowErr := scope.Matches(cond, rows[i])
			if rowErr != nil {
				failed = true // the filter may decide the row by a later conjunct first
			}
			if !failed && got.Get(i) != want {
				t.Fatalf("round %d, row %d: got %v, want %v: %s over %#v", round, i, got.Get(i), want, show(cond), rows[i])
			}
		}
		if failed {
			continue
		}
		f.NewChunk()
		some, err := f.Rows(cols, kernel.Rows{Lo: n / 3, N: n - n/3})
		if err != nil { // an invisible row that fails
			continue
		}
		in := map[int]bool{}
		for i := range some.Len() {
			in[some.At(i)] = true
		}
		for i := n / 3; i < n; i++ {
			if want, _ := scope.Matches(cond, rows[i]); in[i] != want {
				t.Fatalf("round %d, row %d: Rows gives %v, want %v: %s", round, i, in[i], want, show(cond))
			}
		}
	}
}
