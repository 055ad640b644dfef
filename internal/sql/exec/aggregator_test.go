package exec

import (
	"hash/maphash"
	"testing"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// TestEveryAggregateIsImplemented runs each aggregate of the registry over no row and over
// NULLs, and merges: the type of the result is the registry's.
func TestEveryAggregateIsImplemented(t *testing.T) {
	for _, f := range fn.Builtin().Aggregates() {
		a := &plan.Agg{Func: f, Column: plan.Column{Type: schemas.Type{Kind: f.Result}}}
		var nulls *vector.Vector
		for _, k := range f.Args {
			typ := schemas.Type{Kind: k}
			a.Args = append(a.Args, &expr.Const{Node: expr.Node{Typ: typ}})
			nulls = vector.New(typ, 3)
			for range 3 {
				nulls.AppendNull()
			}
		}
		for _, distinct := range []bool{false, true} {
			a.Distinct = distinct && len(a.Args) > 0
			seed := maphash.MakeSeed()
			one, err := newAggregator(a, seed)
			if err != nil {
				t.Errorf("%s(%v): %v", f.Name, f.Args, err)
				continue
			}
			two, _ := newAggregator(a, seed)
			one.grow(2)
			two.grow(1)
			if err := two.update([]uint32{0, 0, 0}, nulls, 3); err != nil {
				t.Error(err)
			}
			if err := one.merge(two, []uint32{0}, []uint32{1}); err != nil {
				t.Error(err)
			}
			v, err := one.result()
			if err != nil || v.Len != 2 || v.Type.Kind != f.Result {
				t.Errorf("%s(%v): %v of %d rows, want %v: %v", f.Name, f.Args, v.Type, v.Len, f.Result, err)
			}
			for g := range 2 {
				if null := v.Null(g); null != (f.Name != "count") {
					t.Errorf("%s(%v) of no value: NULL is %v", f.Name, f.Args, null)
				}
			}
		}
	}
}
