package rewrite

import (
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/schemas"
)

// BoundScans derives from the filter of each scan the range of values that every
// matching row has in a column, by which the table skips blocks. The filter stays: a
// bound includes its ends and is a hint.
func BoundScans(n plan.Node) plan.Node {
	s, ok := n.(*plan.Scan)
	if !ok {
		return plan.MapInputs(n, BoundScans)
	}
	var bounds []catalog.Bound
	for _, c := range conjuncts(nil, s.Filter) {
		if b, ok := boundOf(c, s); ok {
			bounds = narrow(bounds, b)
		}
	}
	if bounds == nil {
		return s
	}
	c := *s
	c.Bounds = bounds
	return &c
}

// boundOf reads one conjunct.
func boundOf(e expr.Expr, s *plan.Scan) (catalog.Bound, bool) {
	switch e := e.(type) {
	case *expr.Call:
		if len(e.Args) == 2 {
			return comparison(e.Func.Name, e.Args[0], e.Args[1], s)
		}
	case *expr.In:
		return inBound(e, s)
	case *expr.Column: // a boolean column that must be true
		if col := scanned(e, s); col >= 0 && e.Typ.Kind == schemas.Bool {
			return catalog.Bound{Column: col, Min: schemas.NewBool(true), Max: schemas.NewBool(true)}, true
		}
	}
	return catalog.Bound{}, false
}

// flipped is the comparison with its sides exchanged.
var flipped = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

func comparison(op string, a, b expr.Expr, s *plan.Scan) (catalog.Bound, bool) {
	if _, ok := a.(*expr.Const); ok {
		a, b, op = b, a, flipped[op]
	}
	k, ok := b.(*expr.Const)
	if !ok || k.Value.IsNull() || !orderly(k.Value) {
		return catalog.Bound{}, false
	}
	col, v, ok := columnBound(a, k.Value, s)
	if !ok {
		return catalog.Bound{}, false
	}
	out := catalog.Bound{Column: col}
	switch op {
	case "=":
		out.Min, out.Max = v, v
	case "<", "<=":
		out.Max = v
	case ">", ">=":
		out.Min = v
	default:
		return out, false
	}
	return out, true
}

// columnBound finds the scanned column, seen through widening casts when the constant
// fits the column's own kind.
func columnBound(a expr.Expr, v schemas.Value, s *plan.Scan) (int, schemas.Value, bool) {
	if c, ok := a.(*expr.Cast); ok {
		from := c.Arg.Type().Kind
		switch {
		case from.IsInteger() && c.Typ.Kind.IsInteger() && v.Kind().IsInteger():
			if !fits(v.Int(), from) {
				return 0, v, false
			}
			a, v = c.Arg, schemas.NewInt(from, v.Int())
		case from == schemas.Varchar && c.Typ.Kind == schemas.Text:
			a, v = c.Arg, schemas.NewBytes(schemas.Varchar, v.Bytes())
		}
	}
	c, ok := a.(*expr.Column)
	if !ok || c.Typ.Kind != v.Kind() {
		return 0, v, false
	}
	col := scanned(c, s)
	return col, v, col >= 0
}

func fits(n int64, k schemas.Kind) bool {
	switch k {
	case schemas.Int16:
		return n == int64(int16(n))
	case schemas.Int32:
		return n == int64(int32(n))
	}
	return true
}

// orderly says whether a value's place among others is beyond doubt for whoever keeps
// minima and maxima: not for NaN, nor for what pads or has several spellings.
func orderly(v schemas.Value) bool {
	switch k := v.Kind(); {
	case k.IsFloat():
		return v.Float() == v.Float()
	case k == schemas.Numeric:
		_, _, text, ok := v.Numeric()
		return ok || text != "NaN"
	case k == schemas.Char, k == schemas.Interval, k == schemas.JSONB:
		return false
	}
	return true
}

// scanned is the index in the table of a scanned column, or -1.
func scanned(c *expr.Column, s *plan.Scan) int {
	for i, out := range s.Out {
		if out.ID == c.ID {
			return s.Ordinals[i]
		}
	}
	return -1
}

// inBound spans the least and the greatest of a list.
func inBound(e *expr.In, s *plan.Scan) (catalog.Bound, bool) {
	if e.Negate || len(e.List) == 0 {
		return catalog.Bound{}, false
	}
	out := catalog.Bound{}
	for i, v := range e.List {
		col, v, ok := columnBound(e.Arg, v, s)
		if !ok || !orderly(v) {
			return out, false
		}
		if i == 0 || rowexec.Compare(v, out.Min) < 0 {
			out.Min = v
		}
		if i == 0 || rowexec.Compare(v, out.Max) > 0 {
			out.Max = v
		}
		out.Column = col
	}
	return out, true
}

// narrow intersects a bound with those of the same column.
func narrow(bounds []catalog.Bound, b catalog.Bound) []catalog.Bound {
	for i := range bounds {
		have := &bounds[i]
		if have.Column != b.Column {
			continue
		}
		if !b.Min.IsNull() && (have.Min.IsNull() || rowexec.Compare(b.Min, have.Min) > 0) {
			have.Min = b.Min
		}
		if !b.Max.IsNull() && (have.Max.IsNull() || rowexec.Compare(b.Max, have.Max) < 0) {
			have.Max = b.Max
		}
		return bounds
	}
	return append(bounds, b)
}
