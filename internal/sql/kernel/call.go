package kernel

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// kernelFunc computes n rows of args, dense vectors, into b.Vec. Rows set in skip are NULL
// whatever the payload; a strict function need not compute them and must not fail
// because of them. It may set b.Vec.Nulls for further NULLs. The row of an error is
// given as a rowAt.
type kernelFunc func(b *Buffer, args []*vector.Vector, n int, skip vector.Bitmap) error

// rowAt is an error with the dense row that caused it.
type rowAt struct {
	row int
	err error
}

func (e *rowAt) Error() string { return e.err.Error() }

// callNode applies a function.
type callNode struct {
	args       []node
	vecs       []*vector.Vector
	run        kernelFunc
	typ        schemas.Type
	at         schemas.Pos
	strict     bool // a NULL argument makes a NULL result
	infallible bool
	perDict    bool // may run over dictionary values once instead of rows
	owner      *Eval
	buf        Buffer
	skip       vector.Bitmap
	dict       dictCache
}

func (n *callNode) safe() bool {
	if !n.infallible {
		return false
	}
	for _, a := range n.args {
		if !a.safe() {
			return false
		}
	}
	return true
}

func (n *callNode) eval(f *frame) (*vector.Vector, error) {
	allConst, null := true, false
	for i, a := range n.args {
		v, err := a.eval(f)
		if err != nil {
			return nil, err
		}
		null = null || v.Enc == vector.Const && v.Nulls.Get(0)
		allConst = allConst && v.Enc == vector.Const
		n.vecs[i] = v
	}
	if f.n == 0 || null && n.strict {
		return n.buf.allNull(n.typ, f.n), nil
	}
	if n.perDict {
		if v := n.overDict(f.n); v != nil {
			return v, nil
		}
	}
	rows := f.n
	if allConst && n.strict && len(n.args) > 0 {
		rows = 1
	}
	var skip vector.Bitmap
	if n.strict {
		skip = n.nulls(rows)
	}
	if err := n.run(&n.buf, n.vecs, rows, skip); err != nil {
		return nil, n.place(f, err)
	}
	v := &n.buf.Vec
	v.Type, v.Nulls = n.typ, orNulls(v.Nulls, skip)
	if rows != f.n {
		n.spread(f.n)
	}
	return v, nil
}

func (n *callNode) place(f *frame, err error) error {
	if r, ok := err.(*rowAt); ok { //nolint:errorlint // never wrapped
		return f.fail(r.row, r.err, n.at)
	}
	return f.fail(0, err, n.at)
}

// nulls is the rows in which an argument is NULL; nil for none.
func (n *callNode) nulls(rows int) vector.Bitmap {
	var out vector.Bitmap
	shared := false
	for _, v := range n.vecs {
		if v.Nulls == nil || v.Enc == vector.Const {
			continue // a NULL Const was handled before
		}
		switch {
		case out == nil:
			out, shared = v.Nulls, true
		case shared:
			own := vector.Bitmap(resize((*[]uint64)(&n.skip), vector.Words(rows)))
			copy(own, out)
			out, shared = own, false
			fallthrough
		default:
			out.Or(v.Nulls)
		}
	}
	return out
}

// orNulls joins what a function made NULL (its own memory) with what was NULL before.
func orNulls(made, before vector.Bitmap) vector.Bitmap {
	if made == nil {
		return before
	}
	made.Or(before)
	return made
}

// spread makes one computed row a Const of n rows.
func (n *callNode) spread(rows int) {
	v := &n.buf.Vec
	if v.Enc == vector.FOR {
		v.Ints = resize(&n.buf.ints, 1)
		v.Ints[0] = v.Base + int64(v.Codes.At(0))
		v.Codes = vector.Codes{}
	}
	v.Enc, v.Len = vector.Const, rows
}

// dictCache remembers the results of a function over a dictionary.
type dictCache struct {
	dict  *vector.Vector
	chunk uint64
	ok    bool
	buf   Buffer
	out   Buffer
}

// overDict runs the function over the values of the one dictionary argument when all
// others are constant and the dictionary is not longer than the batch. It gives nil
// when that does not apply, or when a value fails: no wanted row may have that value.
func (n *callNode) overDict(rows int) *vector.Vector {
	at := -1
	for i, v := range n.vecs {
		switch {
		case v.Enc == vector.Dict && at < 0:
			at = i
		case v.Enc != vector.Const:
			return nil
		}
	}
	if at < 0 {
		return nil
	}
	arg := n.vecs[at]
	d := &n.dict
	if d.dict != arg.Dict || d.chunk != n.owner.chunks {
		if arg.Dict.Len > rows || arg.Dict.Len == 0 {
			return nil
		}
		d.dict, d.chunk = arg.Dict, n.owner.chunks
		n.vecs[at] = arg.Dict
		d.ok = n.run(&d.buf, n.vecs, arg.Dict.Len, nil) == nil && d.buf.Vec.Nulls == nil
		n.vecs[at] = arg
	}
	if !d.ok {
		return nil
	}
	return d.spread(arg, n.typ, rows)
}

// spread maps the codes of arg to the results.
func (d *dictCache) spread(arg *vector.Vector, t schemas.Type, rows int) *vector.Vector {
	res, all := &d.buf.Vec, Rows{N: rows}
	switch {
	case t.Kind == schemas.Bool:
		out := d.out.bools(rows)
		lookUp(out, res.Codes.U8, &arg.Codes, all)
	case t.Kind.Layout() == schemas.LayoutBytes:
		v := d.out.start(t, rows)
		v.Enc, v.Codes, v.Dict = vector.Dict, arg.Codes, res
	case t.Kind.Layout() == schemas.LayoutInt:
		lookUp(d.out.flatInts(t, rows), res.Ints, &arg.Codes, all)
	default:
		return nil
	}
	d.out.Vec.Nulls = arg.Nulls
	return &d.out.Vec
}
