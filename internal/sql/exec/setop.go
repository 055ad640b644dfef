package exec

import (
	"hash/maphash"
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
)

// compileDistinct turns SELECT DISTINCT into a grouping by every column.
func (q *query) compileDistinct(n *plan.Distinct) (operator, error) {
	if len(n.On) > 0 {
		return q.compileDistinctOn(n)
	}
	agg := &plan.Aggregate{Input: n.Input}
	for _, c := range n.Input.Columns() {
		agg.GroupBy = append(agg.GroupBy, plan.Named{Column: c, Expr: &expr.Column{Node: expr.Node{Typ: c.Type}, ID: c.ID, Name: c.Name}})
	}
	return q.compileAggregate(agg)
}

// distinctOnOp passes the first row of each key.
type distinctOnOp struct {
	input operator
	keys  []plan.Column
	at    []int
}

func (q *query) compileDistinctOn(n *plan.Distinct) (operator, error) {
	in, err := q.compile(n.Input)
	d := &distinctOnOp{input: in}
	for _, id := range n.On {
		for i, c := range n.Input.Columns() {
			if c.ID == id {
				d.keys, d.at = append(d.keys, c), append(d.at, i)
			}
		}
	}
	return d, err
}

func (d *distinctOnOp) run(q *query, newSink func(int) (sink, error)) error {
	shared := &distinctOnState{table: newGroupTable(d.keys, maphash.MakeSeed())}
	return d.input.run(q, func(w int) (sink, error) {
		to, err := newSink(w)
		return &distinctOnSink{op: d, q: q, shared: shared, to: to, bufs: make([]kernel.Buffer, len(d.at))}, err
	})
}

// distinctOnState is shared, so that a key passes once whichever worker meets it.
type distinctOnState struct {
	sync.Mutex
	table *groupTable
	held  int64
}

type distinctOnSink struct {
	op     *distinctOnOp
	q      *query
	shared *distinctOnState
	to     sink
	bufs   []kernel.Buffer
	sel    []uint32
}

func (s *distinctOnSink) push(b *batch) error {
	keys := make([]*vector.Vector, len(s.op.at))
	for k, c := range s.op.at {
		keys[k] = s.bufs[k].Gather(b.cols[c], b.rows)
	}
	n := b.rows.Len()
	groups, hashes := make([]uint32, n), make([]uint64, n)
	s.sel = s.sel[:0]
	s.shared.Lock()
	t := s.shared.table
	next := uint32(t.groups())
	t.find(groups, hashes, keys)
	for i, g := range groups {
		if g == next { // groups are numbered in the order they appear
			s.sel = append(s.sel, uint32(b.rows.At(i)))
			next++
		}
	}
	grown := t.bytes() - s.shared.held
	s.shared.held += grown
	s.shared.Unlock()
	if err := s.q.reserve(grown); err != nil || len(s.sel) == 0 {
		return err
	}
	return s.to.push(&batch{cols: b.cols, rows: kernel.Rows{Sel: s.sel}, chunk: b.chunk})
}

func (s *distinctOnSink) close() error { return s.to.close() }

// unionOp is UNION ALL: the left rows, then the right ones, through the same sinks.
type unionOp struct{ inputs []operator }

func (q *query) compileSetOp(n *plan.SetOp) (operator, error) {
	if n.Kind != plan.Union {
		return nil, unsupported([]string{"UNION", "INTERSECT", "EXCEPT"}[n.Kind])
	}
	if !n.All {
		all := *n
		all.All = true
		return q.compileDistinct(&plan.Distinct{Input: &all})
	}
	u := &unionOp{}
	for _, side := range []plan.Node{n.Left, n.Right} {
		in, err := q.compile(side)
		if err != nil {
			return nil, err
		}
		u.inputs = append(u.inputs, in)
	}
	return u, nil
}

func (u *unionOp) run(q *query, newSink func(int) (sink, error)) error {
	shared := &unionSinks{make: newSink, open: map[int]*unionSink{}}
	for _, in := range u.inputs {
		if err := in.run(q, shared.get); err != nil {
			return err
		}
	}
	for _, s := range shared.open {
		if err := s.to.close(); err != nil {
			return err
		}
	}
	return nil
}

// unionSinks keeps a worker's sink from one input to the next.
type unionSinks struct {
	sync.Mutex
	make func(int) (sink, error)
	open map[int]*unionSink
}

func (u *unionSinks) get(w int) (sink, error) {
	u.Lock()
	defer u.Unlock()
	if s := u.open[w]; s != nil {
		return s, nil
	}
	to, err := u.make(w)
	if err != nil {
		return nil, err
	}
	u.open[w] = &unionSink{to: to}
	return u.open[w], nil
}

type unionSink struct{ to sink }

func (s *unionSink) push(b *batch) error { return s.to.push(b) }
func (s *unionSink) close() error        { return nil }
