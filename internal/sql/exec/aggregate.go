package exec

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
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

// aggSink is one worker's aggregation.
type aggSink struct {
	op     *aggregateOp
	q      *query
	eval   *kernel.Eval
	seed   maphash.Seed
	table  *aggTable
	all    *aggRuns
	chunk  uint64
	dense  denseKeys
	hashes []uint64
	groups []uint32
	masked []vector.Vector
	seen   int // rows in the table
	spread *spreadRows
}

func (s *aggSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.eval.NewChunk()
		s.dense.reset()
		s.chunk = b.chunk
	}
	n := b.rows.Len()
	vecs, err := s.eval.Run(b.cols, b.rows)
	if err != nil {
		return err
	}
	if s.spread != nil {
		return s.spreadBatch(vecs, n)
	}
	groups, err := s.assign(b, vecs[:len(s.op.node.GroupBy)], n)
	if err != nil {
		return err
	}
	if err := s.table.fit(s.q); err != nil {
		return err
	}
	for i, a := range s.table.aggs {
		if err := a.update(groups, s.argument(i, vecs, n), n); err != nil {
			return err
		}
	}
	s.seen += n
	if s.op.mergeable && s.table.groups.groups() >= s.q.opt.GroupLimit {
		return s.setAside()
	}
	return nil
}

// argument is what an aggregate reads; nil for count(*).
func (s *aggSink) argument(i int, vecs []*vector.Vector, n int) *vector.Vector {
	at := s.op.args[i]
	var v *vector.Vector
	if at.arg >= 0 {
		v = vecs[at.arg]
	}
	if at.filter >= 0 {
		v = s.mask(i, v, vecs[at.filter], n)
	}
	return v
}

// setAside ends the table as a run and begins another in its slots, or goes over to
// spreading rows when grouping them at once brings little.
func (s *aggSink) setAside() error {
	if s.seen < worthwhile*s.table.groups.groups() {
		s.startSpread()
		return nil
	}
	s.seen = 0
	full := s.table
	s.all.add(full)
	s.dense.reset()
	var err error
	if s.table, err = s.op.newTable(s.seed); err != nil {
		return err
	}
	s.table.groups.takeSlots(full.groups)
	return full.account(s.q)
}

// assign gives the group of each row; nil when there is only one.
func (s *aggSink) assign(b *batch, keys []*vector.Vector, n int) ([]uint32, error) {
	if len(keys) == 0 {
		s.one()
		return nil, nil
	}
	s.groups = extend(s.groups[:cap(s.groups)], n)
	groups := s.groups[:n]
	if s.dense.assign(s, b, keys, groups) {
		return groups, nil
	}
	s.hashes = extend(s.hashes[:cap(s.hashes)], n)
	s.table.groups.find(groups, s.hashes[:n], keys)
	return groups, nil
}

// one makes the single group of an aggregation without GROUP BY.
func (s *aggSink) one() {
	if s.table.groups.groups() == 0 {
		s.table.groups.hashes = append(s.table.groups.hashes, 0)
	}
}

// mask makes the rows NULL that FILTER excludes. count(*) counts a stand-in.
func (s *aggSink) mask(i int, v, cond *vector.Vector, n int) *vector.Vector {
	nulls := vector.NewBitmap(n)
	for r := range n {
		if cond.Null(r) || cond.Int(r) == 0 || v != nil && v.Null(r) {
			nulls.Set(r)
		}
	}
	if s.masked == nil {
		s.masked = make([]vector.Vector, len(s.op.node.Aggs))
	}
	out := &s.masked[i]
	if v == nil {
		*out = vector.Vector{Type: schemas.Type{Kind: schemas.Bool}, Len: n, Ints: make([]int64, n), Nulls: nulls}
		return out
	}
	if v.Enc == vector.Const {
		v = spread(v, n)
	}
	*out = *v
	out.Nulls = nulls
	return out
}

// spread makes a flat vector of a Const.
func spread(v *vector.Vector, n int) *vector.Vector {
	out := vector.New(v.Type, n)
	kernel.Append(out, v, kernel.Rows{N: n})
	return out
}

func (s *aggSink) close() error {
	if len(s.op.node.GroupBy) == 0 {
		s.one() // no row at all still makes one group
		if err := s.table.fit(s.q); err != nil {
			return err
		}
	}
	s.all.add(s.table)
	return nil
}

// mergeAll makes one table, or one a partition of the hash when there are many groups.
func (op *aggregateOp) mergeAll(q *query, all *aggRuns, seed maphash.Seed) ([]*aggTable, error) {
	if len(all.runs) == 0 { // a source that had no worker
		t, err := op.newTable(seed)
		if err != nil {
			return nil, err
		}
		all.runs = append(all.runs, t)
	}
	if len(all.runs) == 1 && len(all.spread) == 0 {
		return all.runs, nil
	}
	total := 0
	for _, r := range all.runs {
		total += r.groups.groups()
	}
	bitsOf := 0
	if op.mergeable && len(op.node.GroupBy) > 0 && total > 4096 {
		bitsOf = bits.Len(uint(total / 8192))
		bitsOf = min(max(bitsOf, 2), 8)
	}
	if len(all.spread) > 0 {
		bitsOf = spreadBits
	}
	parts := make([]*aggTable, 1<<bitsOf)
	byPart := make([][][]uint32, len(all.runs))
	err := q.parallel(min(q.opt.Threads, len(all.runs)), func(w int) error {
		for i := w; i < len(all.runs); i += min(q.opt.Threads, len(all.runs)) {
			byPart[i] = partition(all.runs[i].groups.hashes, bitsOf)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var next atomic.Int64
	err = q.parallel(min(q.opt.Threads, len(parts)), func(int) error {
		for {
			p := int(next.Add(1)) - 1
			if p >= len(parts) {
				return nil
			}
			if err := q.check(); err != nil {
				return err
			}
			t, err := op.newTable(seed)
			if err != nil {
				return err
			}
			expected := 0 // rows that were spread are not counted: most may be of few groups
			for i := range all.runs {
				expected += len(byPart[i][p])
			}
			t.groups.expect(min(expected, total))
			for i, r := range all.runs {
				if err := t.mergeFrom(q, r, byPart[i][p]); err != nil {
					return err
				}
			}
			for _, sp := range all.spread {
				if sp.parts[p] == nil {
					continue
				}
				if err := t.addSpread(q, op, sp.parts[p]); err != nil {
					return err
				}
				sp.parts[p] = nil
			}
			parts[p] = t
		}
	})
	for _, r := range all.runs {
		_ = q.reserve(-r.held)
	}
	for _, sp := range all.spread {
		_ = q.reserve(-sp.held)
	}
	return parts, err
}

// partition lists groups by the top bits of their hash.
func partition(hashes []uint64, bitsOf int) [][]uint32 {
	counts := make([]int, 1<<bitsOf)
	for _, h := range hashes {
		counts[top(h, bitsOf)]++
	}
	all := make([]uint32, len(hashes))
	out := make([][]uint32, len(counts))
	at := 0
	for p, c := range counts {
		out[p] = all[at : at : at+c]
		at += c
	}
	for g, h := range hashes {
		p := top(h, bitsOf)
		out[p] = append(out[p], uint32(g))
	}
	return out
}

func top(h uint64, bitsOf int) uint64 { return h >> 1 >> (63 - uint(bitsOf)) }

// mergeFrom adds some groups of another table.
func (t *aggTable) mergeFrom(q *query, o *aggTable, from []uint32) error {
	to := make([]uint32, len(from))
	keys := o.groups.keys
	if o.groups.single && keys[0].Nulls == nil {
		for i, g := range from {
			to[i] = t.groups.findInt(o.groups.hashes[g], keys[0].Ints[g], false)
		}
	} else {
		for i, g := range from {
			to[i] = t.groups.findRow(o.groups.hashes[g], keys, int(g))
		}
	}
	if err := t.fit(q); err != nil {
		return err
	}
	for i, a := range t.aggs {
		if err := a.merge(o.aggs[i], from, to); err != nil {
			return err
		}
	}
	return nil
}

// emit pushes the groups, partitions in parallel.
func (op *aggregateOp) emit(q *query, parts []*aggTable, newSink func(int) (sink, error)) error {
	var next atomic.Int64
	return q.parallel(min(q.opt.Threads, len(parts)), func(w int) error {
		to, err := newSink(w)
		if err != nil {
			return err
		}
		for {
			p := int(next.Add(1)) - 1
			if p >= len(parts) {
				return to.close()
			}
			cols, n, err := parts[p].columns()
			if err != nil {
				return err
			}
			if err := q.pushAll(to, cols, n); err != nil {
				return err
			}
			_ = q.reserve(-parts[p].held)
			parts[p] = nil
		}
	})
}

func (t *aggTable) columns() ([]*vector.Vector, int, error) {
	cols := append([]*vector.Vector(nil), t.groups.keys...)
	for _, a := range t.aggs {
		v, err := a.result()
		if err != nil {
			return nil, 0, err
		}
		cols = append(cols, v)
	}
	return cols, t.groups.groups(), nil
}

// pushAll pushes n rows of columns in batches.
func (q *query) pushAll(to sink, cols []*vector.Vector, n int) error {
	chunk := q.nextChunk()
	for lo := 0; lo < n; lo += q.opt.BatchRows {
		if err := q.check(); err != nil {
			return err
		}
		rows := kernel.Rows{Lo: lo, N: min(q.opt.BatchRows, n-lo)}
		if err := to.push(&batch{cols: cols, rows: rows, chunk: chunk}); err != nil {
			return err
		}
	}
	return nil
}
