package expr

import (
	"testing"

	"github.com/millrace/millrace/schemas"
)

func col(id ColumnID) *Column {
	return &Column{Node: Node{Typ: schemas.Type{Kind: schemas.Int64}}, ID: id}
}

func num(n int64) *Const {
	return &Const{Node: Node{Typ: schemas.Type{Kind: schemas.Int64}}, Value: schemas.NewInt(schemas.Int64, n)}
}

func call(name string, args ...Expr) *Call {
	return &Call{Node: Node{Typ: schemas.Type{Kind: schemas.Int64}}, Args: args,
		Func: &Func{Name: name, Args: []schemas.Kind{schemas.Int64, schemas.Int64}, Result: schemas.Int64}}
}

// all has one of every kind of node over a column.
func all(id ColumnID) []Expr {
	b := Node{Typ: schemas.Type{Kind: schemas.Bool}}
	c := col(id)
	return []Expr{
		c, call("+", c, num(1)), &Cast{Node: b, Arg: c}, &And{Node: b, Args: []Expr{c, num(1)}}, &Or{Node: b, Args: []Expr{num(1), c}},
		&Not{Node: b, Arg: c}, &IsNull{Node: b, Arg: c}, &IsNull{Node: b, Arg: c, Negate: true},
		&In{Node: b, Arg: c, List: []schemas.Value{schemas.NewInt(schemas.Int64, 1)}}, &In{Node: b, Arg: c, HasNull: true},
		&Case{Node: b, Whens: []When{{Cond: c, Then: num(1)}}}, &Case{Node: b, Whens: []When{{Cond: num(1), Then: c}}, Else: num(2)},
		&Coalesce{Node: b, Args: []Expr{num(1), c}}, call("-", c, num(1)), call("+", c, num(2)),
	}
}

func TestEqual(t *testing.T) {
	a, b := all(1), all(1)
	for i := range a {
		for j := range b {
			if got := Equal(a[i], b[j]); got != (i == j) {
				t.Errorf("Equal(%d, %d) = %v", i, j, got)
			}
		}
		if Equal(a[i], all(2)[i]) {
			t.Errorf("%d: another column is equal", i)
		}
	}
	here, there := num(1), num(1)
	there.At = schemas.Pos{Line: 3}
	if !Equal(here, there) || !Equal(nil, nil) || Equal(here, nil) {
		t.Error("positions count, or nil does not")
	}
	sub := &Subquery{}
	if Equal(sub, sub) {
		t.Error("subqueries are equal")
	}
}

func TestMapReachesEveryArgument(t *testing.T) {
	for i, e := range all(1) {
		before := all(1)[i]
		changed := Map(e, func(x Expr) Expr {
			if c, ok := x.(*Column); ok && c.ID == 1 {
				return col(7)
			}
			return x
		})
		if !Equal(changed, all(7)[i]) {
			t.Errorf("%d: %T was not changed", i, e)
		}
		if !Equal(e, before) {
			t.Errorf("%d: %T was changed in place", i, e)
		}
		if same := Map(e, func(x Expr) Expr { return x }); same != e {
			t.Errorf("%d: %T was copied for nothing", i, e)
		}
		if ids := Columns(nil, e); len(ids) != 1 || ids[0] != 1 {
			t.Errorf("%d: %T reads %v", i, e, ids)
		}
	}
}
