package kernel

import (
	"math"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
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
	sel   []uint32
	bits  vector.Bitmap
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
		test, err := newCodeTest(x, ids, c.input, env)
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
		t.rest.eval.NewChunk()
	}
	for _, r := range f.rest {
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
// memory of the filter.
func (f *Filter) Rows(cols []*vector.Vector, rows Rows) (Rows, error) {
	tests := make([]*restTest, 0, len(f.codes)+len(f.rest))
	for _, t := range f.codes {
		tests = append(tests, t.rest)
		for _, u := range t.also {
			tests = append(tests, u.rest)
		}
	}
	for _, r := range append(tests, f.rest...) {
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

// testKind is how a codeTest decides.
type testKind uint8

const (
	testRange testKind = iota // lo ≤ value ≤ hi
	testNull                  // IS NULL
	testDict                  // any expression of one column, over its dictionary
)

// codeTest decides a conjunct that reads one column on the codes of the column.
type codeTest struct {
	kind   testKind
	col    int
	negate bool
	op     cmpOp
	value  schemas.Value
	also   []*codeTest // more ranges of the same column
	rest   *restTest   // for encodings that the test does not know
	dict   *Eval       // over the one column
	cols   []*vector.Vector
	pass   []uint8
	small  Buffer
}

// newCodeTest gives nil when the conjunct is not of a form that codes can decide.
func newCodeTest(x expr.Expr, ids map[expr.ColumnID]int, input []expr.ColumnID, env Env) (*codeTest, error) {
	used := expr.Columns(nil, x)
	if len(used) != 1 {
		return nil, nil
	}
	col, ok := ids[used[0]]
	if !ok {
		return nil, nil
	}
	t := &codeTest{col: col}
	if n, ok := x.(*expr.IsNull); ok {
		if _, plain := n.Arg.(*expr.Column); plain {
			t.kind, t.negate = testNull, n.Negate
			return t, nil
		}
	}
	if t.asRange(x, env) {
		return t, nil
	}
	p, err := Compile([]expr.Expr{x}, used)
	if err != nil {
		return nil, err
	}
	if t.dict, err = p.NewEval(env); err != nil {
		return nil, err
	}
	if !t.dict.roots[0].safe() {
		return nil, nil
	}
	t.kind, t.cols = testDict, make([]*vector.Vector, 1)
	return t, nil
}

// asRange recognises column op constant.
func (t *codeTest) asRange(x expr.Expr, env Env) bool {
	call, ok := x.(*expr.Call)
	if !ok || len(call.Args) != 2 {
		return false
	}
	op, ok := cmpOps[call.Func.Name]
	if !ok {
		return false
	}
	a, b := call.Args[0], call.Args[1]
	if _, isCol := bareColumn(b); isCol {
		a, b, op = b, a, op.flip()
	}
	kind, ok := bareColumn(a)
	if !ok {
		return false
	}
	value, ok := constant(b, env)
	if !ok || value.IsNull() {
		return false
	}
	switch {
	case kind.Layout() == schemas.LayoutInt && value.Kind().Layout() == schemas.LayoutInt && kind != schemas.Bool:
	case kind == schemas.Numeric && value.Kind() == schemas.Numeric && decimal.FromValue(value).IsFinite():
	default:
		return false
	}
	t.kind, t.op, t.value = testRange, op, value
	if op == opNE {
		t.op, t.negate = opEQ, true
	}
	return true
}

// bareColumn looks through casts that change nothing but the width of an integer.
func bareColumn(x expr.Expr) (schemas.Kind, bool) {
	switch x := x.(type) {
	case *expr.Column:
		return x.Typ.Kind, true
	case *expr.Cast:
		k, ok := bareColumn(x.Arg)
		if ok && (k == x.Typ.Kind && k.IsInteger() || k == kI16 && (x.Typ.Kind == kI32 || x.Typ.Kind == kI64) || k == kI32 && x.Typ.Kind == kI64) {
			return k, true
		}
	}
	return 0, false
}

func constant(x expr.Expr, env Env) (schemas.Value, bool) {
	switch x := x.(type) {
	case *expr.Const:
		return x.Value, true
	case *expr.Param:
		if x.Index < len(env.Params) {
			return env.Params[x.Index], true
		}
	}
	return schemas.Null, false
}

// run clears the bits of rows that do not pass; done is false when the column has an
// encoding that needs evaluation.
func (t *codeTest) run(bits vector.Bitmap, cols []*vector.Vector, n int) (done bool, err error) {
	v := cols[t.col]
	if v.Enc == vector.Const {
		return false, nil
	}
	switch t.kind {
	case testNull:
		if t.negate {
			bits.AndNot(v.Nulls)
		} else {
			bits.And(v.Nulls)
		}
		return true, nil
	case testRange:
		return t.runRange(bits, v, n), nil
	}
	return t.runDict(bits, v, n)
}

// runRange intersects with one interval of values, or its complement.
func (t *codeTest) runRange(bits vector.Bitmap, v *vector.Vector, n int) bool {
	if v.Type.Kind == schemas.Numeric && v.Dec != vector.Dec64 || v.Enc == vector.Dict {
		return false
	}
	lo, hi := t.bounds(v)
	for _, u := range t.also {
		l, h := u.bounds(v)
		lo, hi = max(lo, l), min(hi, h)
	}
	if v.Enc == vector.FOR {
		rangeFOR(bits, v, n, lo, hi, t.negate)
	} else {
		rangeInts(bits, v.Ints[:n], lo, hi, t.negate)
	}
	bits.AndNot(v.Nulls)
	return true
}

// bounds gives the smallest and largest payload that pass; lo > hi when none does.
func (t *codeTest) bounds(v *vector.Vector) (lo, hi int64) {
	lo, hi = math.MinInt64, math.MaxInt64
	c, exact := t.value.Int(), true
	if v.Type.Kind == schemas.Numeric {
		// The constant as a whole number at the column's scale, rounded down.
		x := decimal.FromValue(t.value)
		scaled := decimal.Floor(decimal.New(x.Coef(), x.Scale()-v.Scale))
		exact = decimal.Cmp(scaled, decimal.New(x.Coef(), x.Scale()-v.Scale)) == 0
		switch k := scaled.Coef(); {
		case k.IsInt64():
			c = k.Int64()
		case k.Sign() > 0:
			c, exact = math.MaxInt64, false
		default: // below everything: the floor of "no payload"
			return boundsBelow(t.op)
		}
	}
	switch t.op {
	case opEQ:
		if !exact {
			return 1, 0
		}
		return c, c
	case opLE:
		return lo, c
	case opLT:
		if !exact {
			return lo, c
		}
		if c == math.MinInt64 {
			return 1, 0
		}
		return lo, c - 1
	case opGE:
		if exact {
			return c, hi
		}
	}
	if c == math.MaxInt64 {
		return 1, 0
	}
	return c + 1, hi
}

// boundsBelow is bounds for a constant below every payload.
func boundsBelow(op cmpOp) (lo, hi int64) {
	if op == opGT || op == opGE {
		return math.MinInt64, math.MaxInt64
	}
	return 1, 0
}

// runDict evaluates over the dictionary, or over all codes of a one-byte column, and looks
// the rows up.
func (t *codeTest) runDict(bits vector.Bitmap, v *vector.Vector, n int) (bool, error) {
	values := t.values(v)
	if values == nil {
		return false, nil
	}
	t.cols[0] = values
	out, err := t.dict.Run(t.cols, Rows{N: values.Len})
	if err != nil {
		return false, err
	}
	pass := resize(&t.pass, values.Len)
	for i := range pass {
		pass[i] = b2u(truth(out[0], i))
	}
	var nulls vector.Bitmap
	if v.Nulls != nil {
		t.cols[0] = Constant(v.Type, schemas.Null, 1)
		if out, err = t.dict.Run(t.cols, Rows{N: 1}); err != nil {
			return false, err
		}
		if truth(out[0], 0) {
			nulls = vector.NewBitmap(n)
			copy(nulls, bits)
			nulls.And(v.Nulls)
		}
	}
	passCodes(bits, &v.Codes, pass, n)
	bits.AndNot(v.Nulls)
	bits.Or(nulls)
	return true, nil
}

// values is the column of values that the codes stand for, when they are few.
func (t *codeTest) values(v *vector.Vector) *vector.Vector {
	switch {
	case v.Enc == vector.Dict && v.Dict.Len > 0 && v.Dict.Len <= v.Len:
		d := v.Dict
		if v.Type.Kind == schemas.Numeric && (d.Dec != v.Dec || d.Scale != v.Scale || v.DScale != nil) {
			return nil
		}
		return d
	case v.Enc == vector.FOR && v.Codes.U8 != nil && v.Len > 256 && v.DScale == nil:
		ints := resize(&t.small.ints, 256)
		for i := range ints {
			ints[i] = v.Base + int64(i)
		}
		t.small.Vec = vector.Vector{Type: v.Type, Len: 256, Ints: ints, Scale: v.Scale}
		return &t.small.Vec
	}
	return nil
}
