// Package transform maps changes of source tables to changes of output tables, and
// runs the workers that carry them from the stream into the warehouse.
package transform

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// Table says what becomes of the changes of one source table.
type Table struct {
	Source *schemas.Table // as captured
	Output *schemas.Table
	// Input are the ids by which expressions read the columns of Source.
	Input []expr.ColumnID
	// Exprs make the columns of Output.
	Exprs []expr.Expr
	// Where keeps rows for which it is true; nil keeps all.
	Where expr.Expr
	// NeedsBefore says that the output key reads more than the source key, so that
	// an update must come with its old row.
	NeedsBefore bool
	// Place, when not nil, tells where the SQL of a clause ("select" or "where")
	// stands that has a position: "shop.yaml:12:20". Errors of rows show it.
	Place func(clause string, at schemas.Pos) string
}

// Stage applies a Table to batches. It belongs to one goroutine.
//
// I5: an update whose row leaves the filter, or whose output key changes, deletes
// the row under its old key.
type Stage struct {
	table    *Table
	plain    []int          // by output column: the source column it copies, or -1
	computed []int          // output columns that are not plain
	key      []int          // output columns of the key
	keyOf    map[int]int    // output column → its place among the computed key columns
	reads    readSet        // what the filter and computed columns read
	whole    readSet        // what an emitted row must have
	keyReads readSet        // what a deleted row must have
	filter   *kernel.Filter // nil: no where
	eval     *kernel.Eval   // computed columns
	keyEval  *kernel.Eval   // computed key columns

	emits    []emit
	full     []uint32 // source rows of emitted rows, ascending
	gone     []uint32 // source rows of emitted deletes, ascending
	fullVecs []*vector.Vector
	goneVecs []*vector.Vector
}

// emit is one output change. at is its place in full or gone.
type emit struct {
	op  change.Op
	at  int
	row uint32
}

// keyOnly says whether only the change's key is written.
func (e emit) keyOnly() bool { return e.op == change.Delete || e.op == change.Before }

// readSet is columns of the source, with who reads them.
type readSet []int

// NewStage compiles a table's expressions.
func NewStage(t *Table) (*Stage, error) {
	s := &Stage{table: t, key: t.Output.KeyOrdinals(), keyOf: map[int]int{}}
	var exprs, keys []expr.Expr
	for i, e := range t.Exprs {
		s.plain = append(s.plain, plainColumn(t, e))
		if s.plain[i] < 0 {
			s.computed = append(s.computed, i)
			exprs = append(exprs, e)
		}
	}
	for _, k := range s.key {
		if s.plain[k] < 0 {
			s.keyOf[k] = len(keys)
			keys = append(keys, t.Exprs[k])
		}
		s.keyReads = s.keyReads.add(t, t.Exprs[k])
	}
	s.reads = append(s.reads, s.keyReads...)
	for _, e := range exprs {
		s.reads = s.reads.add(t, e)
	}
	if t.Where != nil {
		s.reads = s.reads.add(t, t.Where)
	}
	// A row that the warehouse may not have yet (it begins to match, or comes
	// under a new key) has to be whole.
	s.whole = append(s.whole, s.reads...)
	if t.Where != nil || t.NeedsBefore {
		for _, c := range s.plain {
			if c >= 0 {
				s.whole = append(s.whole, c)
			}
		}
	}
	return s, s.compile(exprs, keys)
}

func (s *Stage) compile(exprs, keys []expr.Expr) error {
	var err error
	if s.eval, err = newEval(exprs, s.table.Input); err != nil {
		return err
	}
	if s.keyEval, err = newEval(keys, s.table.Input); err != nil {
		return err
	}
	if s.table.Where == nil {
		return nil
	}
	c, err := kernel.CompileCondition(s.table.Where, s.table.Input)
	if err != nil {
		return err
	}
	s.filter, err = c.NewFilter(kernel.Env{})
	return err
}

func newEval(exprs []expr.Expr, input []expr.ColumnID) (*kernel.Eval, error) {
	p, err := kernel.Compile(exprs, input)
	if err != nil {
		return nil, err
	}
	return p.NewEval(kernel.Env{})
}

// plainColumn returns the source column that an expression copies, or -1.
func plainColumn(t *Table, e expr.Expr) int {
	if c, ok := e.(*expr.Column); ok {
		for i, id := range t.Input {
			if id == c.ID {
				return i
			}
		}
	}
	return -1
}

func (r readSet) add(t *Table, e expr.Expr) readSet {
	for _, id := range expr.Columns(nil, e) {
		for i, in := range t.Input {
			if in == id {
				r = append(r, i)
			}
		}
	}
	return r
}

// Output is the table that the stage writes.
func (s *Stage) Output() *schemas.Table { return s.table.Output }

// Apply appends the output of a batch to out, a batch of Output. Errors name the
// table, the row's key and its position; out is then unchanged.
func (s *Stage) Apply(in, out *change.Batch) error {
	if len(in.Cols) != len(s.table.Input) {
		return schemas.Errorf(schemas.CodeInternal, "XX000", "transform %s: a batch of %d columns, planned for %d", s.table.Source.FullName(), len(in.Cols), len(s.table.Input))
	}
	keep, err := s.matching(in)
	if err != nil {
		return err
	}
	if err := s.decide(in, keep); err != nil {
		return err
	}
	if err := s.evaluate(in); err != nil {
		return err
	}
	if s.table.NeedsBefore {
		s.dropUnchangedKeys(in)
	}
	s.write(in, out)
	return nil
}

// matching returns the rows that the filter keeps, as a bitmap over the batch.
func (s *Stage) matching(in *change.Batch) (vector.Bitmap, error) {
	keep, rows := vector.NewBitmap(in.Len()), make([]uint32, 0, in.Len())
	for i, op := range in.Ops {
		if op == change.Insert || op == change.Update || op == change.Before && s.table.NeedsBefore {
			rows = append(rows, uint32(i))
			keep.Set(i)
		}
	}
	if s.filter == nil || len(rows) == 0 {
		return keep, nil
	}
	if err := s.present(in, s.reads, rows); err != nil {
		return nil, err
	}
	s.filter.NewChunk()
	kept, err := s.filter.Rows(in.Cols, kernel.Rows{Sel: rows})
	if err != nil {
		return nil, s.rowError(in, "where", err)
	}
	keep.Zero()
	for i := range kept.Len() {
		keep.Set(kept.At(i))
	}
	return keep, nil
}

// decide lists what to emit, before keys are known.
func (s *Stage) decide(in *change.Batch, keep vector.Bitmap) error {
	s.emits, s.full, s.gone = s.emits[:0], s.full[:0], s.gone[:0]
	for i, op := range in.Ops {
		switch {
		case op == change.Insert && keep.Get(i), op == change.Update && keep.Get(i):
			s.emits = append(s.emits, emit{op, len(s.full), uint32(i)})
			s.full = append(s.full, uint32(i))
		case op == change.Before && i+1 < in.Len() && in.Moved(i+1):
			s.emits = append(s.emits, emit{change.Before, len(s.gone), uint32(i)})
			s.gone = append(s.gone, uint32(i))
		case op == change.Delete, op == change.Before && keep.Get(i), op == change.Update && !s.table.NeedsBefore:
			s.emits = append(s.emits, emit{change.Delete, len(s.gone), uint32(i)})
			s.gone = append(s.gone, uint32(i))
		}
		if op != change.Insert && len(s.table.Output.Key) == 0 && op != change.Before {
			return s.failed(in, i, schemas.Errorf(schemas.CodeSource, "0A000", "%s in a table without a primary key", op))
		}
		if op == change.Update && s.table.NeedsBefore && !in.Paired(i) {
			return s.failed(in, i, schemas.Errorf(schemas.CodeInternal, "XX000", "the update came without its old row, which the output key needs"))
		}
	}
	return nil
}

// evaluate computes the columns of emitted rows and the keys of deleted ones.
func (s *Stage) evaluate(in *change.Batch) error {
	if err := s.present(in, s.whole, s.full); err != nil {
		return err
	}
	if err := s.present(in, s.keyReads, s.gone); err != nil {
		return err
	}
	var err error
	if s.fullVecs, err = s.run(s.eval, in, s.full, len(s.computed)); err != nil {
		return err
	}
	if s.goneVecs, err = s.run(s.keyEval, in, s.gone, len(s.keyOf)); err != nil {
		return err
	}
	return s.checkKeys(in)
}

func (s *Stage) run(e *kernel.Eval, in *change.Batch, rows []uint32, exprs int) ([]*vector.Vector, error) {
	if len(rows) == 0 || exprs == 0 {
		return nil, nil
	}
	e.NewChunk()
	out, err := e.Run(in.Cols, kernel.Rows{Sel: rows})
	if err != nil {
		return nil, s.rowError(in, "select", err)
	}
	return out, nil
}
