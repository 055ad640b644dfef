package expr

import "slices"

// Walk calls visit for e and, while it returns true, for everything below it.
func Walk(e Expr, visit func(Expr) bool) {
	if e == nil || !visit(e) {
		return
	}
	for _, a := range Children(e) {
		Walk(a, visit)
	}
}

// Children lists the direct arguments.
func Children(e Expr) []Expr {
	switch e := e.(type) {
	case *Call:
		return e.Args
	case *Cast:
		return []Expr{e.Arg}
	case *And:
		return e.Args
	case *Or:
		return e.Args
	case *Not:
		return []Expr{e.Arg}
	case *IsNull:
		return []Expr{e.Arg}
	case *In:
		return []Expr{e.Arg}
	case *Coalesce:
		return e.Args
	case *Case:
		var out []Expr
		for _, w := range e.Whens {
			out = append(out, w.Cond, w.Then)
		}
		if e.Else != nil {
			out = append(out, e.Else)
		}
		return out
	case *Subquery:
		if e.Arg != nil {
			return []Expr{e.Arg}
		}
	}
	return nil
}

// Columns appends the ids of the columns that e reads, each once.
func Columns(dst []ColumnID, e Expr) []ColumnID {
	Walk(e, func(x Expr) bool {
		if c, ok := x.(*Column); ok {
			for _, id := range dst {
				if id == c.ID {
					return true
				}
			}
			dst = append(dst, c.ID)
		}
		return true
	})
	return dst
}

// Equal says whether two expressions are the same but for their positions, so that
// over the same row they give the same value. Subqueries are never equal.
func Equal(a, b Expr) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if a.Type() != b.Type() || !sameNode(a, b) {
		return false
	}
	x, y := Children(a), Children(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !Equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

// sameNode compares what two nodes hold besides type and children.
func sameNode(a, b Expr) bool {
	switch a := a.(type) {
	case *Const:
		b, ok := b.(*Const)
		return ok && a.Value == b.Value
	case *Column:
		b, ok := b.(*Column)
		return ok && a.ID == b.ID
	case *Param:
		b, ok := b.(*Param)
		return ok && a.Index == b.Index
	case *Call:
		b, ok := b.(*Call)
		return ok && (a.Func == b.Func || a.Func.Key() == b.Func.Key())
	case *Cast:
		_, ok := b.(*Cast)
		return ok
	case *And:
		_, ok := b.(*And)
		return ok
	case *Or:
		_, ok := b.(*Or)
		return ok
	case *Not:
		_, ok := b.(*Not)
		return ok
	case *IsNull:
		b, ok := b.(*IsNull)
		return ok && a.Negate == b.Negate
	case *In:
		b, ok := b.(*In)
		return ok && a.Negate == b.Negate && a.HasNull == b.HasNull && slices.Equal(a.List, b.List)
	case *Case:
		b, ok := b.(*Case)
		return ok && len(a.Whens) == len(b.Whens) && (a.Else == nil) == (b.Else == nil)
	case *Coalesce:
		_, ok := b.(*Coalesce)
		return ok
	}
	return false
}

// Map rebuilds e bottom-up: change gets each node with its arguments already changed
// and returns it or what replaces it. Nodes whose arguments stay are not copied.
func Map(e Expr, change func(Expr) Expr) Expr {
	if e == nil {
		return nil
	}
	return change(MapChildren(e, func(x Expr) Expr { return Map(x, change) }))
}

// MapChildren rebuilds e over its changed arguments; e itself when none changed.
func MapChildren(e Expr, change func(Expr) Expr) Expr {
	switch x := e.(type) {
	case *Call:
		if args, ok := mapAll(x.Args, change); ok {
			return &Call{Node: x.Node, Func: x.Func, Args: args}
		}
	case *Cast:
		if a := change(x.Arg); a != x.Arg {
			return &Cast{Node: x.Node, Arg: a, Implicit: x.Implicit}
		}
	case *And:
		if args, ok := mapAll(x.Args, change); ok {
			return &And{Node: x.Node, Args: args}
		}
	case *Or:
		if args, ok := mapAll(x.Args, change); ok {
			return &Or{Node: x.Node, Args: args}
		}
	case *Not:
		if a := change(x.Arg); a != x.Arg {
			return &Not{Node: x.Node, Arg: a}
		}
	case *IsNull:
		if a := change(x.Arg); a != x.Arg {
			return &IsNull{Node: x.Node, Arg: a, Negate: x.Negate}
		}
	case *In:
		if a := change(x.Arg); a != x.Arg {
			c := *x
			c.Arg = a
			return &c
		}
	case *Coalesce:
		if args, ok := mapAll(x.Args, change); ok {
			return &Coalesce{Node: x.Node, Args: args}
		}
	case *Case:
		return mapCase(x, change)
	}
	return e
}

func mapAll(args []Expr, change func(Expr) Expr) ([]Expr, bool) {
	out, changed := make([]Expr, len(args)), false
	for i, a := range args {
		out[i] = change(a)
		changed = changed || out[i] != a
	}
	return out, changed
}

func mapCase(x *Case, change func(Expr) Expr) Expr {
	out, changed := &Case{Node: x.Node, Whens: make([]When, len(x.Whens))}, false
	for i, w := range x.Whens {
		out.Whens[i] = When{Cond: change(w.Cond), Then: change(w.Then)}
		changed = changed || out.Whens[i] != w
	}
	if x.Else != nil {
		out.Else = change(x.Else)
		changed = changed || out.Else != x.Else
	}
	if !changed {
		return x
	}
	return out
}
