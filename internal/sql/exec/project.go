package exec

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
)

// projectOp computes columns. When it only passes columns on, it moves no data.
type projectOp struct {
	input   operator
	program *kernel.Program
	from    []int // plain columns
}

func (q *query) compileProject(n *plan.Project) (operator, error) {
	in, err := q.compile(n.Input)
	if err != nil {
		return nil, err
	}
	exprs := make([]expr.Expr, len(n.Exprs))
	for i := range n.Exprs {
		exprs[i] = n.Exprs[i].Expr
	}
	p := &projectOp{input: in}
	if p.program, err = compileExprs(n.Input, exprs); err != nil {
		return nil, err
	}
	if from, ok := plainColumns(n.Input, exprs); ok {
		p.from = from
	}
	return p, nil
}

func (p *projectOp) run(q *query, newSink func(int) (sink, error)) error {
	return p.input.run(q, func(w int) (sink, error) {
		to, err := newSink(w)
		if err != nil {
			return nil, err
		}
		if p.from != nil {
			return &pickSink{from: p.from, to: to, out: batch{cols: make([]*vector.Vector, len(p.from))}}, nil
		}
		eval, err := p.program.NewEval(q.env)
		return &projectSink{q: q, eval: eval, to: to}, err
	})
}

// pickSink reorders columns.
type pickSink struct {
	from []int
	to   sink
	out  batch
}

func (s *pickSink) push(b *batch) error {
	for i, f := range s.from {
		s.out.cols[i] = b.cols[f]
	}
	s.out.rows, s.out.chunk = b.rows, b.chunk
	return s.to.push(&s.out)
}

func (s *pickSink) close() error { return s.to.close() }

type projectSink struct {
	q     *query
	eval  *kernel.Eval
	to    sink
	out   batch
	chunk uint64
}

func (s *projectSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.eval.NewChunk()
		s.chunk = b.chunk
	}
	cols, err := s.eval.Run(b.cols, b.rows)
	if err != nil {
		return err
	}
	s.out = batch{cols: cols, rows: kernel.Rows{N: b.rows.Len()}, chunk: s.q.nextChunk()}
	return s.to.push(&s.out)
}

func (s *projectSink) close() error { return s.to.close() }

// filterOp keeps the rows for which a condition is true.
type filterOp struct {
	input operator
	cond  *kernel.Condition
}

func (q *query) compileFilter(n *plan.Filter) (operator, error) {
	if s, ok := n.Input.(*plan.Scan); ok && s.Filter == nil {
		fused := *s
		fused.Filter = n.Cond
		return q.compileScan(&fused)
	}
	in, err := q.compile(n.Input)
	if err != nil {
		return nil, err
	}
	cond, err := kernel.CompileCondition(n.Cond, ids(n.Input.Columns()))
	return &filterOp{input: in, cond: cond}, err
}

func (f *filterOp) run(q *query, newSink func(int) (sink, error)) error {
	return f.input.run(q, func(w int) (sink, error) {
		to, err := newSink(w)
		if err != nil {
			return nil, err
		}
		filter, err := f.cond.NewFilter(q.env)
		return &filterSink{filter: filter, to: to}, err
	})
}

type filterSink struct {
	filter *kernel.Filter
	to     sink
	out    batch
	chunk  uint64
}

func (s *filterSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.filter.NewChunk()
		s.chunk = b.chunk
	}
	rows, err := s.filter.Rows(b.cols, b.rows)
	if err != nil || rows.Len() == 0 {
		return err
	}
	s.out = batch{cols: b.cols, rows: rows, chunk: b.chunk}
	return s.to.push(&s.out)
}

func (s *filterSink) close() error { return s.to.close() }

// valuesOp makes rows of constant expressions.
type valuesOp struct {
	out  []plan.Column
	rows [][]expr.Expr
}

func (q *query) compileValues(n *plan.Values) (operator, error) {
	for _, row := range n.Rows {
		if _, err := kernel.Compile(row, nil); err != nil {
			return nil, err
		}
	}
	return &valuesOp{out: n.Out, rows: n.Rows}, nil
}

func (v *valuesOp) run(q *query, newSink func(int) (sink, error)) error {
	to, err := newSink(0)
	if err != nil {
		return err
	}
	cols := make([]*vector.Vector, len(v.out))
	for i, c := range v.out {
		cols[i] = vector.New(c.Type, len(v.rows))
	}
	for _, row := range v.rows {
		p, err := kernel.Compile(row, nil)
		if err != nil {
			return err
		}
		eval, err := p.NewEval(q.env)
		if err != nil {
			return err
		}
		out, err := eval.Run(nil, kernel.Rows{N: 1})
		if err != nil {
			return err
		}
		for i := range cols {
			cols[i].AppendValue(out[i].Value(0))
		}
	}
	for lo := 0; lo < len(v.rows); lo += q.opt.BatchRows {
		rows := kernel.Rows{Lo: lo, N: min(q.opt.BatchRows, len(v.rows)-lo)}
		if err := to.push(&batch{cols: cols, rows: rows, chunk: q.nextChunk()}); err != nil {
			return err
		}
	}
	return to.close()
}
