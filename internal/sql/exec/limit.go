package exec

import (
	"errors"
	"math"
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// limitOp skips rows and passes some. It stops its input early. Ordered inputs come
// from one worker, so that a count shared among workers keeps the order.
type limitOp struct {
	input operator
	node  *plan.Limit
}

func (q *query) compileLimit(n *plan.Limit) (operator, error) {
	in, err := q.compile(n.Input)
	return &limitOp{input: in, node: n}, err
}

// amount evaluates LIMIT or OFFSET; none when the expression is absent or NULL.
func (q *query) amount(x expr.Expr, none int64, state, what string) (int64, error) {
	if x == nil {
		return none, nil
	}
	p, err := kernel.Compile([]expr.Expr{x}, nil)
	if err != nil {
		return 0, err
	}
	eval, err := p.NewEval(q.env)
	if err != nil {
		return 0, err
	}
	out, err := eval.Run(nil, kernel.Rows{N: 1})
	if err != nil {
		return 0, err
	}
	if out[0].Null(0) {
		return none, nil
	}
	if n := out[0].Int(0); n >= 0 {
		return n, nil
	}
	return 0, &schemas.Error{Code: schemas.CodeOutOfRange, SQLState: state, Message: what + " must not be negative", Pos: x.Pos()}
}

func (l *limitOp) run(q *query, newSink func(int) (sink, error)) error {
	count, err := q.amount(l.node.Count, math.MaxInt64, "2201W", "LIMIT")
	if err != nil {
		return err
	}
	offset, err := q.amount(l.node.Offset, 0, "2201X", "OFFSET")
	if err != nil {
		return err
	}
	shared := &limitState{skip: offset, left: count}
	err = l.input.run(q, func(w int) (sink, error) {
		to, err := newSink(w)
		if err != nil {
			return nil, err
		}
		return shared.sink(to), nil
	})
	if err == nil || errors.Is(err, errStop) { // ours: what is above must still finish
		err = shared.finish()
	}
	return err
}

// limitState is what the workers of a limit share.
type limitState struct {
	sync.Mutex
	skip, left int64
	sinks      []*limitSink
}

func (s *limitState) sink(to sink) sink {
	s.Lock()
	defer s.Unlock()
	l := &limitSink{state: s, to: to}
	s.sinks = append(s.sinks, l)
	return l
}

// take claims rows [lo, hi) of n; done when the limit is reached.
func (s *limitState) take(n int) (lo, hi int, done bool) {
	s.Lock()
	defer s.Unlock()
	lo = int(min(int64(n), s.skip))
	s.skip -= int64(lo)
	hi = lo + int(min(int64(n-lo), s.left))
	s.left -= int64(hi - lo)
	return lo, hi, s.left == 0
}

// finish closes the sinks of workers that were stopped.
func (s *limitState) finish() error {
	for _, l := range s.sinks {
		if err := l.close(); err != nil {
			return err
		}
	}
	return nil
}

type limitSink struct {
	state  *limitState
	to     sink
	out    batch
	closed bool
}

func (s *limitSink) push(b *batch) error {
	lo, hi, done := s.state.take(b.rows.Len())
	if hi > lo {
		s.out = batch{cols: b.cols, rows: b.rows.Slice(lo, hi), chunk: b.chunk}
		if err := s.to.push(&s.out); err != nil {
			return err
		}
	}
	if done {
		return errStop
	}
	return nil
}

func (s *limitSink) close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.to.close()
}
