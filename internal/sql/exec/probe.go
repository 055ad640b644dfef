package exec

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// probeSink looks one worker's rows up in the table.
type probeSink struct {
	op     *joinOp
	q      *query
	table  *joinTable
	to     sink
	eval   *kernel.Eval
	filter *kernel.Filter
	hasher kernel.Hasher
	chunk  uint64

	in       *batch
	keys     []*vector.Vector
	hashes   []uint64
	probe    []uint32 // candidate pairs: dense probe rows
	build    []uint32 // and build rows plus 1
	matched  []bool   // by dense probe row
	abs      []uint32
	bufs     []kernel.Buffer
	out      batch
	compared *atomic.Int64
}

func (j *joinOp) newProbe(q *query, table *joinTable, seed maphash.Seed, to sink) (sink, error) {
	eval, err := j.probe.keys.NewEval(q.env)
	if err != nil {
		return nil, err
	}
	p := &probeSink{op: j, q: q, table: table, to: to, eval: eval, hasher: kernel.Hasher{Seed: seed}, compared: &q.pairs}
	if j.cond != nil {
		if p.filter, err = j.cond.NewFilter(q.env); err != nil {
			return nil, err
		}
	}
	n := j.probe.columns() + j.build.columns()
	p.bufs, p.out.cols = make([]kernel.Buffer, n), make([]*vector.Vector, n)
	return p, nil
}

func (p *probeSink) push(b *batch) error {
	if b.chunk != p.chunk {
		p.eval.NewChunk()
		p.chunk = b.chunk
	}
	var err error
	if p.keys, err = p.eval.Run(b.cols, b.rows); err != nil {
		return err
	}
	p.in = b
	n := b.rows.Len()
	if p.outer() {
		p.matched = extend(p.matched[:cap(p.matched)], n)[:n]
		clear(p.matched)
	}
	p.probe, p.build = p.probe[:0], p.build[:0]
	switch {
	case len(p.keys) == 0:
		err = p.pushPairs(n)
	case p.table.dense:
		err = p.pushDense(n)
	default:
		err = p.pushHashed(n)
	}
	if err == nil {
		err = p.flush()
	}
	if err == nil && p.outer() {
		err = p.pushRest(n)
	}
	return err
}

// outer says that it matters which probe rows found a match.
func (p *probeSink) outer() bool {
	return p.op.kind == plan.LeftOuter || p.op.kind == plan.Semi || p.op.kind == plan.Anti
}

func (p *probeSink) close() error { return p.to.close() }

// pushPairs pairs every row with every build row.
func (p *probeSink) pushPairs(n int) error {
	if p.compared.Add(int64(n)*int64(p.table.rows.rows)) > maxPairs {
		return &schemas.Error{Code: schemas.CodeTooLarge, SQLState: "54000", Message: errNested, Hint: "join on an equality of columns"}
	}
	for i := range n {
		for r := range p.table.rows.rows {
			if err := p.add(uint32(i), uint32(r+1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pushDense looks integer keys up by their place in the range.
func (p *probeSink) pushDense(n int) error {
	t, v := p.table, p.keys[0]
	size := uint64(len(t.heads))
	if v.Enc == vector.Flat && v.Nulls == nil && t.next == nil && !p.outer() {
		return p.pushUnique(v.Ints[:n])
	}
	for i := range n {
		if v.Null(i) {
			continue
		}
		at := uint64(v.Int(i) - t.base)
		if at >= size {
			continue
		}
		for r := t.heads[at]; r != 0; r = t.following(r) {
			if err := p.add(uint32(i), r); err != nil {
				return err
			}
		}
	}
	return nil
}

// pushUnique is the loop of a dense key without duplicates: at most one match a row.
func (p *probeSink) pushUnique(ints []int64) error {
	n := len(ints)
	p.probe, p.build = extend(p.probe[:cap(p.probe)], n)[:n], extend(p.build[:cap(p.build)], n)[:n]
	heads, base := p.table.heads, p.table.base
	k := 0
	for i, x := range ints {
		at := uint64(x - base)
		if at >= uint64(len(heads)) {
			continue
		}
		r := heads[at]
		p.probe[k], p.build[k] = uint32(i), r
		if r != 0 {
			k++
		}
	}
	p.probe, p.build = p.probe[:k], p.build[:k]
	return nil
}

// pushHashed follows the chains of the hash.
func (p *probeSink) pushHashed(n int) error {
	t := p.table
	p.hashes = extend(p.hashes[:cap(p.hashes)], n)
	hashes := p.hashes[:n]
	p.hasher.Hash(hashes, p.keys)
	for i, h := range hashes {
		r := t.heads[h&t.mask]
		if r == 0 || p.nullKey(i) {
			continue
		}
		for ; r != 0; r = t.following(r) {
			if t.hash[r-1] == h && p.equal(i, int(r-1)) {
				if err := p.add(uint32(i), r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *probeSink) nullKey(i int) bool {
	for _, k := range p.keys {
		if k.Null(i) {
			return true
		}
	}
	return false
}

func (p *probeSink) equal(i, row int) bool {
	for k, v := range p.keys {
		if !kernel.Equal(v, i, p.table.keys[k], row) {
			return false
		}
	}
	return true
}

// add notes a candidate pair.
func (p *probeSink) add(probe, build uint32) error {
	p.probe, p.build = append(p.probe, probe), append(p.build, build)
	if len(p.probe) >= p.q.opt.BatchRows {
		return p.flush()
	}
	return nil
}

// flush joins the candidate pairs and pushes those that hold.
func (p *probeSink) flush() error {
	n := len(p.probe)
	if n == 0 {
		return nil
	}
	if err := p.q.check(); err != nil {
		return err
	}
	rows := kernel.Rows{N: n}
	if p.filter != nil || !p.half() {
		p.gather()
	}
	p.out.chunk = p.q.nextChunk()
	if p.filter != nil {
		p.filter.NewChunk()
		var err error
		if rows, err = p.filter.Rows(p.out.cols, rows); err != nil {
			return err
		}
	}
	if p.outer() {
		for i := range rows.Len() {
			p.matched[p.probe[rows.At(i)]] = true
		}
	}
	p.probe, p.build = p.probe[:0], p.build[:0]
	if p.half() || rows.Len() == 0 {
		return nil
	}
	p.out.rows = rows
	return p.to.push(&p.out)
}

// half says that only probe rows are wanted.
func (p *probeSink) half() bool { return p.op.kind == plan.Semi || p.op.kind == plan.Anti }

// gather makes the columns of the candidate pairs, left before right.
func (p *probeSink) gather() {
	np, nb := p.op.probe.columns(), p.op.build.columns()
	probeAt, buildAt := 0, np
	if p.op.swapped {
		probeAt, buildAt = nb, 0
	}
	n := len(p.probe)
	p.abs = extend(p.abs[:cap(p.abs)], n)[:n]
	for i, r := range p.probe {
		p.abs[i] = uint32(p.in.rows.At(int(r)))
	}
	for c := range np {
		p.column(probeAt+c, p.in.cols[c], p.abs, p.op.probe.wanted[c])
	}
	for i, r := range p.build {
		p.abs[i] = r - 1
	}
	for c := range nb {
		p.column(buildAt+c, p.table.rows.cols[c], p.abs, p.op.build.wanted[c])
	}
}

func (p *probeSink) column(at int, src *vector.Vector, rows []uint32, wanted bool) {
	if !wanted {
		p.out.cols[at] = kernel.Constant(src.Type, schemas.Null, len(rows))
		return
	}
	p.out.cols[at] = p.bufs[at].Gather(src, kernel.Rows{Sel: rows})
}

// pushRest pushes the probe rows that a semi or anti join keeps, or that a left join
// pads with NULLs.
func (p *probeSink) pushRest(n int) error {
	sel := make([]uint32, 0, n)
	for i := range n {
		if p.matched[i] == (p.op.kind == plan.Semi) {
			sel = append(sel, uint32(p.in.rows.At(i)))
		}
	}
	if len(sel) == 0 {
		return nil
	}
	cols := append([]*vector.Vector(nil), p.in.cols...)
	if !p.half() {
		for c := range p.op.build.columns() {
			cols = append(cols, kernel.Constant(p.table.rows.cols[c].Type, schemas.Null, p.rowsOf(p.in)))
		}
	}
	return p.to.push(&batch{cols: cols, rows: kernel.Rows{Sel: sel}, chunk: p.in.chunk})
}

// rowsOf is how long the columns of a batch are at least.
func (p *probeSink) rowsOf(b *batch) int {
	if n := b.rows.Len(); n > 0 {
		return b.rows.At(n-1) + 1
	}
	return 0
}
