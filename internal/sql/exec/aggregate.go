package exec

import (
	"hash/maphash"
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// aggregateOp groups rows. Each worker aggregates what it sees; when that becomes more
// groups than its cache likes, it sets them aside as a run, ordered by hash. In the end the
// runs are merged, partition of the hash by partition.
type aggregateOp struct {
	input     operator
	node      *plan.Aggregate
	program   *kernel.Program // group columns, then each aggregate's argument and filter
	plain     []int           // group column i is this input column; -1: computed
	args      []aggArg
	mergeable bool
}

// aggArg says which results of the program an aggregate reads; -1: none.
type aggArg struct{ arg, filter int }

func (q *query) compileAggregate(n *plan.Aggregate) (operator, error) {
	if n.Sets != nil {
		return nil, unsupported("GROUPING SETS")
	}
	in, err := q.compile(n.Input)
	if err != nil {
		return nil, err
	}
	op := &aggregateOp{input: in, node: n, mergeable: true}
	var exprs []expr.Expr
	for i := range n.GroupBy {
		exprs = append(exprs, n.GroupBy[i].Expr)
	}
	op.plain = make([]int, len(exprs))
	for i := range exprs {
		op.plain[i] = -1
		if from, ok := plainColumns(n.Input, exprs[i:i+1]); ok {
			op.plain[i] = from[0]
		}
	}
	for i := range n.Aggs {
		a := &n.Aggs[i]
		if len(a.OrderBy) > 0 || len(a.Args) > 1 {
			return nil, &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "0A000", Pos: a.At, Message: "this form of " + a.Func.Name + " is not supported"}
		}
		if _, err := newAggregator(a, maphash.Seed{}); err != nil {
			return nil, err
		}
		at := aggArg{-1, -1}
		if len(a.Args) == 1 {
			at.arg = len(exprs)
			exprs = append(exprs, a.Args[0])
		}
		if a.Filter != nil {
			at.filter = len(exprs)
			exprs = append(exprs, a.Filter)
		}
		op.args = append(op.args, at)
		op.mergeable = op.mergeable && !a.Distinct
	}
	op.program, err = compileExprs(n.Input, exprs)
	return op, err
}

// aggTable is groups with their aggregates.
type aggTable struct {
	groups *groupTable
	aggs   []aggregator
	known  int   // groups that the aggregates have room for
	held   int64 // bytes reserved
}

func (op *aggregateOp) newTable(seed maphash.Seed) (*aggTable, error) {
	keys := make([]plan.Column, len(op.node.GroupBy))
	for i := range keys {
		keys[i] = op.node.GroupBy[i].Column
		keys[i].Type = op.node.GroupBy[i].Expr.Type()
	}
	t := &aggTable{groups: newGroupTable(keys, seed)}
	for i := range op.node.Aggs {
		a, err := newAggregator(&op.node.Aggs[i], seed)
		if err != nil {
			return nil, err
		}
		t.aggs = append(t.aggs, a)
	}
	return t, nil
}

// fit gives the aggregates room for all groups and accounts for the memory.
func (t *aggTable) fit(q *query) error {
	n := t.groups.groups()
	if n > t.known {
		for _, a := range t.aggs {
			a.grow(n)
		}
		t.known = n
	}
	return t.account(q)
}

func (t *aggTable) account(q *query) error {
	now := t.groups.bytes()
	for _, a := range t.aggs {
		now += a.bytes()
	}
	err := q.reserve(now - t.held)
	t.held = now
	return err
}

// run aggregates the input and pushes the groups.
func (op *aggregateOp) run(q *query, newSink func(int) (sink, error)) error {
	all := &aggRuns{}
	seed := maphash.MakeSeed()
	err := op.input.run(q, func(int) (sink, error) {
		eval, err := op.program.NewEval(q.env)
		if err != nil {
			return nil, err
		}
		s := &aggSink{op: op, q: q, eval: eval, seed: seed, all: all}
		s.table, err = op.newTable(seed)
		return s, err
	})
	if err != nil {
		return err
	}
	parts, err := op.mergeAll(q, all, seed)
	if err != nil {
		return err
	}
	return op.emit(q, parts, newSink)
}

// aggRuns collects what the workers set aside.
type aggRuns struct {
	sync.Mutex
	runs   []*aggTable
	spread []*spreadRows
}

func (r *aggRuns) addSpread(s *spreadRows) {
	r.Lock()
	defer r.Unlock()
	r.spread = append(r.spread, s)
}

func (r *aggRuns) add(t *aggTable) {
	r.Lock()
	defer r.Unlock()
	r.runs = append(r.runs, t)
}
