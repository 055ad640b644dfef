package kernel

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

var boolean = schemas.Type{Kind: schemas.Bool}

// truth says whether row i of a boolean vector is true.
func truth(v *vector.Vector, i int) bool { return !v.Null(i) && v.Int(i) != 0 }

// logicNode is AND, or OR when any is set. An argument is evaluated only for the rows
// that the ones before it did not decide.
type logicNode struct {
	args   []node
	any    bool
	subs   []*frame
	buf    Buffer
	open   []uint32
	isSafe bool
}

func (c *compiler) logic(args []expr.Expr, any bool) (node, error) {
	nodes, err := c.all(args)
	if err != nil {
		return nil, err
	}
	n := &logicNode{args: nodes, any: any, isSafe: true}
	for _, a := range nodes {
		n.subs = append(n.subs, c.frame())
		n.isSafe = n.isSafe && a.safe()
	}
	return n, nil
}

func (n *logicNode) safe() bool { return n.isSafe }

func (n *logicNode) eval(f *frame) (*vector.Vector, error) {
	out := n.buf.bools(f.n)
	fill(out, b2u(!n.any))
	nulls := vector.NewBitmap(f.n)
	pos := all(&n.open, f.n)
	for k, a := range n.args {
		on := f
		whole := k == 0 || len(pos) == f.n || a.safe() && len(pos) > f.n/4
		if !whole {
			on = n.subs[k]
			f.narrow(on, pos)
		}
		v, err := a.eval(on)
		if err != nil {
			return nil, err
		}
		pos = n.apply(out, nulls, pos, v, whole)
		if len(pos) == 0 {
			break
		}
	}
	n.buf.Vec.Nulls = nil
	if nulls.Any() {
		n.buf.Vec.Nulls = nulls
	}
	return &n.buf.Vec, nil
}

// apply notes an argument's values for the open rows and returns those still open.
func (n *logicNode) apply(out []uint8, nulls vector.Bitmap, pos []uint32, v *vector.Vector, whole bool) []uint32 {
	left := pos[:0]
	decides := int64(b2u(n.any))
	for i, p := range pos {
		at := i
		if whole {
			at = int(p)
		}
		switch {
		case v.Null(at):
			nulls.Set(int(p))
			left = append(left, p)
		case v.Int(at) == decides:
			out[p] = uint8(decides)
			nulls.Clear(int(p))
		default:
			left = append(left, p)
		}
	}
	return left
}

// all is 0, 1, … n-1.
func all(mem *[]uint32, n int) []uint32 {
	s := resize(mem, n)
	for i := range s {
		s[i] = uint32(i)
	}
	return s
}

type notNode struct {
	arg node
	buf Buffer
}

func (n *notNode) safe() bool { return n.arg.safe() }
func (n *notNode) eval(f *frame) (*vector.Vector, error) {
	v, err := n.arg.eval(f)
	if err != nil {
		return nil, err
	}
	out := n.buf.bools(f.n)
	if v.Enc == vector.Const {
		if v.Null(0) {
			return n.buf.allNull(boolean, f.n), nil
		}
		fill(out, uint8(v.Ints[0]^1))
		return &n.buf.Vec, nil
	}
	for i, x := range v.Codes.U8[:f.n] {
		out[i] = x ^ 1
	}
	n.buf.Vec.Nulls = v.Nulls
	return &n.buf.Vec, nil
}

type isNullNode struct {
	arg    node
	negate bool
	buf    Buffer
}

func (n *isNullNode) safe() bool { return n.arg.safe() }
func (n *isNullNode) eval(f *frame) (*vector.Vector, error) {
	v, err := n.arg.eval(f)
	if err != nil {
		return nil, err
	}
	out := n.buf.bools(f.n)
	fill(out, b2u(n.negate))
	if v.Nulls != nil {
		for i := range out {
			out[i] = b2u(v.Null(i) != n.negate)
		}
	}
	return &n.buf.Vec, nil
}

// caseNode is CASE and, with conditions of its own making, COALESCE.
type caseNode struct {
	typ        schemas.Type
	conds      []node // nil entry: "the value is not NULL", of COALESCE
	thens      []node // one more than conds: ELSE
	condFrames []*frame
	thenFrames []*frame
	buf        Buffer
	open       []uint32
	isSafe     bool
	hits       [][]uint32
}

func (c *compiler) caseOf(x *expr.Case) (node, error) {
	n := &caseNode{typ: x.Typ, isSafe: true}
	for _, w := range x.Whens {
		cond, err := c.compile(w.Cond)
		if err != nil {
			return nil, err
		}
		then, err := c.compile(w.Then)
		if err != nil {
			return nil, err
		}
		n.add(c, cond, then)
	}
	last := expr.Expr(&expr.Const{Node: expr.Node{Typ: x.Typ}})
	if x.Else != nil {
		last = x.Else
	}
	then, err := c.compile(last)
	n.add(c, nil, then)
	return n, err
}

func (n *caseNode) add(c *compiler, cond, then node) {
	if cond != nil {
		n.conds = append(n.conds, cond)
		n.isSafe = n.isSafe && cond.safe()
	}
	n.isSafe = n.isSafe && then != nil && then.safe()
	n.thens = append(n.thens, then)
	n.condFrames, n.thenFrames = append(n.condFrames, c.frame()), append(n.thenFrames, c.frame())
	n.hits = append(n.hits, nil)
}

func (n *caseNode) safe() bool { return n.isSafe }

func (n *caseNode) eval(f *frame) (*vector.Vector, error) {
	pos := all(&n.open, f.n)
	parts := make([]part, 0, len(n.thens))
	for k, then := range n.thens {
		hit := pos
		if k < len(n.conds) {
			v, whole, err := n.on(f, n.conds[k], n.condFrames[k], pos)
			if err != nil {
				return nil, err
			}
			hit, pos = n.split(k, pos, v, whole)
		}
		if len(hit) == 0 {
			continue
		}
		v, whole, err := n.on(f, then, n.thenFrames[k], hit)
		if err != nil {
			return nil, err
		}
		p := part{vec: v, to: hit}
		if whole {
			p.from = hit
		}
		parts = append(parts, p)
		if len(pos) == 0 {
			break
		}
	}
	return n.buf.assemble(n.typ, f.n, parts), nil
}

// on evaluates a node for the rows at pos, over the whole frame (whole) where that is
// not more work and cannot fail.
func (n *caseNode) on(f *frame, x node, sub *frame, pos []uint32) (v *vector.Vector, whole bool, err error) {
	if len(pos) == f.n || x.safe() && len(pos) > f.n/4 {
		v, err = x.eval(f)
		return v, true, err
	}
	f.narrow(sub, pos)
	v, err = x.eval(sub)
	return v, false, err
}

// split parts pos by the truth of a condition.
func (n *caseNode) split(k int, pos []uint32, v *vector.Vector, whole bool) (hit, rest []uint32) {
	hit, rest = n.hits[k][:0], pos[:0]
	for i, p := range pos {
		at := i
		if whole {
			at = int(p)
		}
		if truth(v, at) {
			hit = append(hit, p)
		} else {
			rest = append(rest, p)
		}
	}
	n.hits[k] = hit
	return hit, rest
}

// coalesceNode evaluates an argument for the rows in which those before it are NULL.
type coalesceNode struct {
	typ    schemas.Type
	args   []node
	subs   []*frame
	hits   [][]uint32
	open   []uint32
	buf    Buffer
	isSafe bool
}

func (c *compiler) coalesce(x *expr.Coalesce) (node, error) {
	nodes, err := c.all(x.Args)
	if err != nil {
		return nil, err
	}
	n := &coalesceNode{typ: x.Typ, args: nodes, isSafe: true, hits: make([][]uint32, len(nodes))}
	for _, a := range nodes {
		n.subs = append(n.subs, c.frame())
		n.isSafe = n.isSafe && a.safe()
	}
	return n, nil
}

func (n *coalesceNode) safe() bool { return n.isSafe }

func (n *coalesceNode) eval(f *frame) (*vector.Vector, error) {
	pos := all(&n.open, f.n)
	parts := make([]part, len(n.args))
	for k, a := range n.args {
		on, whole := f, len(pos) == f.n
		if !whole {
			on = n.subs[k]
			f.narrow(on, pos)
		}
		v, err := a.eval(on)
		if err != nil {
			return nil, err
		}
		if k == 0 && v.Nulls == nil {
			return v, nil
		}
		p := part{vec: v, from: make([]uint32, 0, len(pos))}
		hit, rest := n.hits[k][:0], pos[:0]
		for i, q := range pos {
			if v.Null(i) {
				rest = append(rest, q)
			} else {
				hit, p.from = append(hit, q), append(p.from, uint32(i))
			}
		}
		n.hits[k], pos, p.to = hit, rest, hit
		parts[k] = p
		if len(pos) == 0 {
			break
		}
	}
	done := parts[:0]
	for _, p := range parts {
		if len(p.to) > 0 {
			done = append(done, p)
		}
	}
	return n.buf.assemble(n.typ, f.n, done), nil
}
