package kernel

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
)

// Condition is a compiled condition. It is immutable and may be shared.
type Condition struct {
	conjuncts []expr.Expr
	input     []expr.ColumnID
}

// CompileCondition prepares a condition over columns; see Compile.
func CompileCondition(cond expr.Expr, input []expr.ColumnID) (*Condition, error) {
	c := &Condition{conjuncts: conjuncts(nil, cond), input: input}
	_, err := Compile(c.conjuncts, input)
	return c, err
}

// conjuncts flattens AND.
func conjuncts(dst []expr.Expr, x expr.Expr) []expr.Expr {
	if and, ok := x.(*expr.And); ok {
		for _, a := range and.Args {
			dst = conjuncts(dst, a)
		}
		return dst
	}
	return append(dst, x)
}

// Filter runs a condition. It belongs to one goroutine.
//
// What compares one column with constants is decided on the column's codes for a whole
// chunk, as a bitmap; the rest is evaluated for the rows that are left.
type Filter struct {
	codes []*codeTest
	rest  []*restTest
	// inOrder is every conjunct as written, for Rows.
	inOrder []*restTest
	sel     []uint32
	bits    vector.Bitmap
}

// restTest is a conjunct that is evaluated row by row of a batch.
type restTest struct {
	eval *Eval
}

// NewFilter makes the state to run the condition with.
func (c *Condition) NewFilter(env Env) (*Filter, error) {
	f := &Filter{}
	ids := map[expr.ColumnID]int{}
	for i, id := range c.input {
		ids[id] = i
	}
	for _, x := range c.conjuncts {
		test, err := newCodeTest(x, ids, env)
		if err != nil {
			return nil, err
		}
		p, err := Compile([]expr.Expr{x}, c.input)
		if err != nil {
			return nil, err
		}
		eval, err := p.NewEval(env)
		if err != nil {
			return nil, err
		}
		rest := &restTest{eval: eval}
		f.inOrder = append(f.inOrder, rest)
		if test == nil {
			f.rest = append(f.rest, rest)
			continue
		}
		test.rest = rest
		if !f.merge(test) {
			f.codes = append(f.codes, test)
		}
	}
	return f, nil
}

// merge joins a range test with an earlier one of the same column.
func (f *Filter) merge(t *codeTest) bool {
	if t.kind != testRange || t.negate {
		return false
	}
	for _, u := range f.codes {
		if u.kind == testRange && !u.negate && u.col == t.col {
			u.also = append(u.also, t)
			return true
		}
	}
	return false
}

// NewChunk says that the columns have other memory than before.
func (f *Filter) NewChunk() {
	for _, t := range f.codes {
		if t.dict != nil {
			t.dict.NewChunk()
		}
	}
	for _, r := range f.inOrder {
		r.eval.NewChunk()
	}
}

// Chunk returns the rows of a chunk of n rows for which the condition is true, among
// those visible (nil: all). The bitmap is valid until the next call.
func (f *Filter) Chunk(cols []*vector.Vector, n int, visible vector.Bitmap, batch int) (vector.Bitmap, error) {
	f.bits = vector.Bitmap(resize((*[]uint64)(&f.bits), vector.Words(n)))
	if visible != nil {
		copy(f.bits, visible)
	} else {
		f.bits.Fill(n)
	}
	late := make([]*restTest, 0, len(f.codes)+len(f.rest))
	for _, t := range f.codes {
		done, err := t.run(f.bits, cols, n)
		if err != nil {
			return nil, err
		}
		if !done {
			late = append(late, t.rest)
			for _, u := range t.also {
				late = append(late, u.rest)
			}
		}
	}
	late = append(late, f.rest...)
	for _, r := range late {
		if !f.bits.Any() {
			break
		}
		f.sel = f.bits.AppendRows(f.sel[:0])
		for lo := 0; lo < len(f.sel); lo += batch {
			part := f.sel[lo:min(lo+batch, len(f.sel))]
			out, err := r.eval.Run(cols, Rows{Sel: part})
			if err != nil {
				return nil, err
			}
			dropFalse(f.bits, part, out[0])
		}
	}
	return f.bits, nil
}

// dropFalse removes the rows whose value is not true.
func dropFalse(bits vector.Bitmap, rows []uint32, v *vector.Vector) {
	if v.Enc == vector.Const && truth(v, 0) {
		return
	}
	for i, r := range rows {
		if !truth(v, i) {
			bits.Clear(int(r))
		}
	}
}

// Rows returns the rows among some of a batch for which the condition is true, in the
// memory of the filter. Conjuncts run in the order in which they are written, each for the
// rows that are left.
func (f *Filter) Rows(cols []*vector.Vector, rows Rows) (Rows, error) {
	for _, r := range f.inOrder {
		if rows.Len() == 0 {
			break
		}
		out, err := r.eval.Run(cols, rows)
		if err != nil {
			return rows, err
		}
		v := out[0]
		if v.Enc == vector.Const && truth(v, 0) {
			continue
		}
		sel := resize(&f.sel, rows.Len())[:0]
		for i := range rows.Len() {
			if truth(v, i) {
				sel = append(sel, uint32(rows.At(i)))
			}
		}
		rows = Rows{Sel: sel}
	}
	return rows, nil
}
