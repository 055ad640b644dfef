// Package fn is the registry of functions, operators, aggregates and casts, with
// PostgreSQL's signatures and PostgreSQL's rules for choosing among them.
package fn

import (
	"sort"
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Signature is one way to call a function or operator: what resolution sees. Several
// signatures may share the implementation Impl, which is what executors provide.
type Signature struct {
	Name     string
	Args     []schemas.Kind
	Variadic bool // the last of Args may repeat
	Result   schemas.Kind
	// Impl computes it. Arguments are cast to Impl.Args, after Swap and Extra.
	Impl *expr.Func
	// Swap exchanges the two arguments: integer + date is date + integer.
	Swap bool
	// Extra are constants appended to the arguments: lpad(s, n) is lpad(s, n, ' ').
	Extra []schemas.Value
}

// Registry holds all signatures. It is immutable and safe for concurrent use.
type Registry struct {
	operators  map[string][]*Signature
	functions  map[string][]*Signature
	aggregates map[string][]*plan.AggFunc
	impls      map[string]*expr.Func
}

// Builtin returns the registry of everything built in.
var Builtin = sync.OnceValue(func() *Registry {
	r := &Registry{
		operators:  map[string][]*Signature{},
		functions:  map[string][]*Signature{},
		aggregates: map[string][]*plan.AggFunc{},
		impls:      map[string]*expr.Func{},
	}
	r.addArithmetic()
	r.addComparisons()
	r.addTextOperators()
	r.addMath()
	r.addText()
	r.addBytes()
	r.addDateTime()
	r.addAggregates()
	return r
})

// Operator returns the signatures of an operator, prefix and infix.
func (r *Registry) Operator(name string) []*Signature { return r.operators[name] }

// Function returns the signatures of a function.
func (r *Registry) Function(name string) []*Signature { return r.functions[name] }

// Aggregate returns the signatures of an aggregate function.
func (r *Registry) Aggregate(name string) []*plan.AggFunc { return r.aggregates[name] }

// Impls returns everything an executor must implement for scalar expressions,
// besides the node kinds of internal/sql/expr, sorted by key.
func (r *Registry) Impls() []*expr.Func {
	out := make([]*expr.Func, 0, len(r.impls))
	for _, f := range r.impls {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key() < out[j].Key() })
	return out
}

// Impl returns the implementation with a key, or nil.
func (r *Registry) Impl(key string) *expr.Func { return r.impls[key] }

// Aggregates returns every aggregate that an executor must implement, sorted.
func (r *Registry) Aggregates() []*plan.AggFunc {
	var out []*plan.AggFunc
	for _, name := range r.AggregateNames() {
		out = append(out, r.aggregates[name]...)
	}
	return out
}

// OperatorNames, FunctionNames and AggregateNames list names, sorted.
func (r *Registry) OperatorNames() []string { return names(r.operators) }

// FunctionNames lists the scalar functions.
func (r *Registry) FunctionNames() []string { return names(r.functions) }

// AggregateNames lists the aggregate functions.
func (r *Registry) AggregateNames() []string { return names(r.aggregates) }

func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// impl interns an implementation by its key.
func (r *Registry) impl(name string, result schemas.Kind, args ...schemas.Kind) *expr.Func {
	f := &expr.Func{Name: name, Args: args, Result: result}
	if have := r.impls[f.Key()]; have != nil {
		return have
	}
	r.impls[f.Key()] = f
	return f
}

// op registers an operator that has its own implementation.
func (r *Registry) op(name string, result schemas.Kind, args ...schemas.Kind) *Signature {
	return r.opVia(name, r.impl(name, result, args...), result, args...)
}

// opVia registers an operator that f implements.
func (r *Registry) opVia(name string, f *expr.Func, result schemas.Kind, args ...schemas.Kind) *Signature {
	s := &Signature{Name: name, Args: args, Result: result, Impl: f}
	r.operators[name] = append(r.operators[name], s)
	return s
}

// fn registers a function that has its own implementation.
func (r *Registry) fn(name string, result schemas.Kind, args ...schemas.Kind) *Signature {
	return r.fnVia(name, r.impl(name, result, args...), result, args...)
}

// fnVia registers a function that f implements.
func (r *Registry) fnVia(name string, f *expr.Func, result schemas.Kind, args ...schemas.Kind) *Signature {
	s := &Signature{Name: name, Args: args, Result: result, Impl: f, Variadic: f.Variadic}
	r.functions[name] = append(r.functions[name], s)
	return s
}

// alias registers all signatures of a function under another name.
func (r *Registry) alias(name, of string) {
	for _, s := range r.functions[of] {
		c := *s
		c.Name = name
		r.functions[name] = append(r.functions[name], &c)
	}
}
