package bind

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// aggregates collects the aggregates and groups of one SELECT.
type aggregates struct {
	aggs    []plan.Agg
	groupBy []plan.Named
}

// aggregate binds an aggregate call to a column that the Aggregate operator makes.
func (b *binder) aggregate(x *parse.Call, c *context) expr.Expr {
	switch {
	case c.inAggregate:
		b.fail(errorAt(x.Pos(), schemas.CodeType, "42803", "aggregate function calls cannot be nested"))
	case c.aggs == nil:
		b.fail(errorAt(x.Pos(), schemas.CodeType, "42803", "aggregate functions are not allowed in %s", c.clause))
	}
	inner := &context{scope: c.scope, aggs: c.aggs, inAggregate: true}
	args := b.exprs(x.Args, inner)
	agg := plan.Agg{Distinct: x.Distinct, At: x.Pos()}
	if x.Filter != nil {
		agg.Filter = b.boolean(x.Filter, inner, "FILTER")
	}
	typ := b.resolveAggregate(x, args, &agg)
	for i := range c.aggs.aggs {
		if have := &c.aggs.aggs[i]; sameAggregate(have, &agg) {
			return ref(have.Column, x.Pos())
		}
	}
	agg.Column = plan.Column{ID: b.newID(), Name: x.Name, Type: typ, NotNull: agg.Func.Name == "count"}
	c.aggs.aggs = append(c.aggs.aggs, agg)
	return ref(agg.Column, x.Pos())
}

// resolveAggregate finds the signature and coerces the arguments.
func (b *binder) resolveAggregate(x *parse.Call, args []expr.Expr, agg *plan.Agg) schemas.Type {
	if x.Star {
		if x.Name != "count" {
			b.fail(errorAt(x.Pos(), schemas.CodeUnknownFunc, "42883", "function %s() does not exist", x.Name).
				hint("%s(*) is not an aggregate function; name a column: %s(x)", x.Name, x.Name))
		}
		agg.Func = b.reg.Aggregate("count")[0]
		return schemas.Type{Kind: agg.Func.Result}
	}
	if x.Name == "count" && len(args) == 0 {
		b.fail(errorAt(x.Pos(), schemas.CodeUnknownFunc, "42809", "count(*) must be used to call a parameterless aggregate function"))
	}
	if x.Name == "count" && len(args) == 1 && args[0].Type().Kind == fn.Unknown {
		args[0] = b.coerce(args[0], schemas.Type{Kind: schemas.Text}, fn.Implicit)
	}
	i, ambiguous := b.reg.ResolveAggregate(x.Name, kindsOf(args))
	if i < 0 && ambiguous {
		b.fail(errorAt(x.Pos(), schemas.CodeAmbiguous, "42725", "function %s(%s) is not unique", x.Name, kindNames(kindsOf(args))).
			hint("could not choose a best candidate function; add explicit type casts"))
	}
	if i < 0 {
		b.fail(errorAt(x.Pos(), schemas.CodeUnknownFunc, "42883", "function %s(%s) does not exist", x.Name, kindNames(kindsOf(args))).
			hint("no aggregate of this name takes these types; you might need to add explicit type casts"))
	}
	agg.Func = b.reg.Aggregate(x.Name)[i]
	for j, k := range agg.Func.Args {
		agg.Args = append(agg.Args, b.coerce(args[j], schemas.Type{Kind: k}, fn.Implicit))
	}
	if agg.Distinct && !fn.Comparable(agg.Args[0].Type().Kind) {
		b.refuse(x.Pos(), "DISTINCT over type "+agg.Args[0].Type().String()+" is")
	}
	if agg.Func.Name == "min" || agg.Func.Name == "max" {
		agg.Distinct = false // changes nothing
		if agg.Func.Result == schemas.Char {
			return agg.Args[0].Type() // keeps its length, and with it the padding
		}
	}
	return schemas.Type{Kind: agg.Func.Result}
}

func sameAggregate(a, b *plan.Agg) bool {
	if a.Func != b.Func || a.Distinct != b.Distinct || !expr.Equal(a.Filter, b.Filter) || len(a.Args) != len(b.Args) {
		return false
	}
	for i := range a.Args {
		if !expr.Equal(a.Args[i], b.Args[i]) {
			return false
		}
	}
	return true
}

// group adds an expression to GROUP BY, once.
func (b *binder) group(a *aggregates, e expr.Expr, name string) {
	for _, g := range a.groupBy {
		if expr.Equal(g.Expr, e) {
			return
		}
	}
	if !fn.Comparable(e.Type().Kind) {
		b.refuse(e.Pos(), "GROUP BY over type "+e.Type().String()+" is")
	}
	a.groupBy = append(a.groupBy, plan.Named{Column: plan.Column{ID: b.newID(), Name: name, Type: e.Type()}, Expr: e})
}

// aboveGroups rewrites an expression of the SELECT list, HAVING or ORDER BY to read
// what the Aggregate operator puts out, and refuses columns that it does not.
func (b *binder) aboveGroups(e expr.Expr, a *aggregates, s *scope) expr.Expr {
	for _, g := range a.groupBy {
		if expr.Equal(g.Expr, e) {
			return ref(g.Column, e.Pos())
		}
	}
	if c, ok := e.(*expr.Column); ok {
		for _, agg := range a.aggs {
			if agg.Column.ID == c.ID {
				return e
			}
		}
		return b.dependent(c, a, s)
	}
	return expr.MapChildren(e, func(x expr.Expr) expr.Expr { return b.aboveGroups(x, a, s) })
}

// dependent allows a column of a table whose whole primary key is grouped by: it is
// one value per group (functional dependency, SELECT, GROUP BY clause).
func (b *binder) dependent(c *expr.Column, a *aggregates, s *scope) expr.Expr {
	rel, col := s.owner(c.ID)
	if rel != nil && len(rel.key) > 0 && groupedByKey(rel, a) {
		b.group(a, c, c.Name)
		return b.aboveGroups(c, a, s)
	}
	name := c.Name
	if rel != nil {
		name = rel.name + "." + col.Name
	}
	b.fail(errorAt(c.At, schemas.CodeType, "42803", "column %q must appear in the GROUP BY clause or be used in an aggregate function", name).
		hint("add %s to GROUP BY, or ask for an aggregate such as min(%s)", name, name))
	return nil
}

func groupedByKey(rel *relation, a *aggregates) bool {
	for _, id := range rel.key {
		found := false
		for _, g := range a.groupBy {
			c, ok := g.Expr.(*expr.Column)
			found = found || ok && c.ID == id
		}
		if !found {
			return false
		}
	}
	return true
}
