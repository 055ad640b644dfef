// Package kernel compiles bound expressions to programs over vectors: each node runs
// one concrete loop over a batch.
//
// A batch is dense: columns are gathered for the wanted rows when an expression first
// reads them, and every loop runs over all rows of the gathered vectors. AND, OR, CASE
// and COALESCE gather anew for the rows that an argument is still wanted for, so that an
// excluded row never raises an error.
package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Rows names rows of a set of columns: Sel when it is not nil, ascending; otherwise the N
// rows from Lo.
type Rows struct {
	Lo, N int
	Sel   []uint32
}

// Len is the number of rows.
func (r Rows) Len() int {
	if r.Sel != nil {
		return len(r.Sel)
	}
	return r.N
}

// At is the place of row i in the columns.
func (r Rows) At(i int) int {
	if r.Sel != nil {
		return int(r.Sel[i])
	}
	return r.Lo + i
}

// Slice gives rows [lo, hi) of them.
func (r Rows) Slice(lo, hi int) Rows {
	if r.Sel != nil {
		return Rows{Sel: r.Sel[lo:hi]}
	}
	return Rows{Lo: r.Lo + lo, N: hi - lo}
}

// Env is what a program needs beside columns.
type Env struct {
	// Params are the values of $1, $2, …
	Params []schemas.Value
	// Now is the time of the statement, for now().
	Now time.Time
}

// RowError is an error of one row. Row is its place in the columns.
type RowError struct {
	Row int
	Err error
}

// Error implements error; the row is for those who ask.
func (e *RowError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

// Program is a compiled list of expressions. It is immutable and may be shared.
type Program struct {
	exprs []expr.Expr
	input map[expr.ColumnID]int
}

// Compile prepares expressions over columns with the given ids; evaluation passes the
// columns in this order. It fails with code unsupported, unknown_function or internal when
// something has no implementation.
func Compile(exprs []expr.Expr, input []expr.ColumnID) (*Program, error) {
	p := &Program{exprs: exprs, input: make(map[expr.ColumnID]int, len(input))}
	for i, id := range input {
		p.input[id] = i
	}
	_, err := p.build(Env{}, false)
	return p, err
}

// Eval runs a program. It belongs to one goroutine.
type Eval struct {
	roots  []node
	out    []*vector.Vector
	top    frame
	chunks uint64 // counts NewChunk, so that caches by dictionary notice
}

// NewEval makes the state to run the program with.
func (p *Program) NewEval(env Env) (*Eval, error) {
	return p.build(env, true)
}

func (p *Program) build(env Env, bound bool) (*Eval, error) {
	c := &compiler{input: p.input, env: env, bound: bound, eval: &Eval{}}
	e := c.eval
	for _, x := range p.exprs {
		n, err := c.compile(x)
		if err != nil {
			return nil, err
		}
		e.roots = append(e.roots, n)
	}
	e.out = make([]*vector.Vector, len(e.roots))
	e.top.init(len(p.input))
	return e, nil
}

// NewChunk says that the columns of the next Run have other memory than the last ones,
// so that nothing remembered by address holds.
func (e *Eval) NewChunk() { e.chunks++ }

// Run evaluates over rows of cols. The vectors it returns are dense, of rows.Len()
// rows and any encoding, and valid until the next Run. An error is a *RowError where a
// row is to blame: the first one of the first expression that failed.
func (e *Eval) Run(cols []*vector.Vector, rows Rows) ([]*vector.Vector, error) {
	e.top.reset(cols, rows)
	for i, n := range e.roots {
		v, err := n.eval(&e.top)
		if err != nil {
			return nil, err
		}
		e.out[i] = v
	}
	return e.out, nil
}

// RunEach is Run for callers that go on without the rows that fail: it returns the
// vectors for the rows that succeeded, which rows those are, and the others' errors.
func (e *Eval) RunEach(cols []*vector.Vector, rows Rows) ([]*vector.Vector, Rows, []*RowError, error) {
	out, err := e.Run(cols, rows)
	if err == nil {
		return out, rows, nil, nil
	}
	var failed []*RowError
	if err = e.failures(cols, rows, err, &failed); err != nil {
		return nil, Rows{}, nil, err
	}
	good := make([]uint32, 0, rows.Len())
	next := 0
	for i := range rows.Len() {
		if at := rows.At(i); next < len(failed) && failed[next].Row == at {
			next++
		} else {
			good = append(good, uint32(at))
		}
	}
	rows = Rows{Sel: good}
	out, err = e.Run(cols, rows)
	return out, rows, failed, err
}

// failures finds all failing rows, ascending, by halving: k of n cost k log n runs.
func (e *Eval) failures(cols []*vector.Vector, rows Rows, err error, to *[]*RowError) error {
	var row *RowError
	if !errors.As(err, &row) {
		return err
	}
	n := rows.Len()
	if n == 1 {
		*to = append(*to, row)
		return nil
	}
	for _, half := range []Rows{rows.Slice(0, n/2), rows.Slice(n/2, n)} {
		if _, err := e.Run(cols, half); err != nil {
			if err := e.failures(cols, half, err, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// node is a compiled expression.
type node interface {
	// eval returns a dense vector of f.n rows, valid until the node's next eval.
	eval(f *frame) (*vector.Vector, error)
	// safe says that no row can fail.
	safe() bool
}

// frame is the rows that a part of a program runs over, with the columns gathered so
// far.
type frame struct {
	cols   []*vector.Vector
	rows   Rows
	n      int
	loaded []*vector.Vector // by column; nil: not yet
	mine   []Buffer         // memory of loaded
	sel    []uint32         // memory of rows.Sel in frames below the top
}

func (f *frame) init(columns int) {
	f.loaded, f.mine = make([]*vector.Vector, columns), make([]Buffer, columns)
}

func (f *frame) reset(cols []*vector.Vector, rows Rows) {
	f.cols, f.rows, f.n = cols, rows, rows.Len()
	clear(f.loaded)
}

// narrow makes sub the frame of the rows at pos of f.
func (f *frame) narrow(sub *frame, pos []uint32) {
	sub.sel = sub.sel[:0]
	if f.rows.Sel != nil {
		for _, p := range pos {
			sub.sel = append(sub.sel, f.rows.Sel[p])
		}
	} else {
		for _, p := range pos {
			sub.sel = append(sub.sel, uint32(f.rows.Lo)+p)
		}
	}
	sub.reset(f.cols, Rows{Sel: sub.sel})
}

// load gathers a column once per frame.
func (f *frame) load(col int) *vector.Vector {
	if v := f.loaded[col]; v != nil {
		return v
	}
	v := f.mine[col].Gather(f.cols[col], f.rows)
	f.loaded[col] = v
	return v
}

// fail makes the error of row i of the frame.
func (f *frame) fail(i int, err error, at schemas.Pos) error {
	var known *RowError
	if errors.As(err, &known) {
		return err
	}
	var e *schemas.Error
	if errors.As(err, &e) && !e.Pos.Known() && at.Known() {
		c := *e
		c.Pos = at
		err = &c
	}
	return &RowError{Row: f.rows.At(i), Err: err}
}

func internalf(format string, args ...any) error {
	return &schemas.Error{Code: schemas.CodeInternal, SQLState: "XX000", Message: fmt.Sprintf(format, args...)}
}
