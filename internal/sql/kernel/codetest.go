package kernel

import (
	"math"

	"github.com/millrace/millrace/internal/decimal"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

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
func newCodeTest(x expr.Expr, ids map[expr.ColumnID]int, env Env) (*codeTest, error) {
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
