package exec

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// joinOp joins by hash: the build side becomes a table, the probe side streams through
// it. Without keys every pair is a candidate.
type joinOp struct {
	kind         plan.JoinKind
	build, probe joinSide
	swapped      bool // the left input is the build side
	cond         *kernel.Condition
}

// joinSide is one input.
type joinSide struct {
	op     operator
	node   plan.Node
	keys   *kernel.Program
	types  []schemas.Type // columns, then keys
	wanted []bool
	nkeys  int
}

func (s *joinSide) columns() int { return len(s.node.Columns()) }

func (q *query) compileJoin(n *plan.Join) (operator, error) {
	switch n.Kind {
	case plan.Inner, plan.Cross, plan.LeftOuter, plan.Semi, plan.Anti:
	default:
		return nil, unsupported(map[plan.JoinKind]string{plan.RightOuter: "RIGHT JOIN", plan.FullOuter: "FULL JOIN"}[n.Kind])
	}
	j := &joinOp{kind: n.Kind}
	left, err := q.joinSide(n.Left, n.Keys, func(k plan.JoinKey) expr.Expr { return k.Left })
	if err != nil {
		return nil, err
	}
	right, err := q.joinSide(n.Right, n.Keys, func(k plan.JoinKey) expr.Expr { return k.Right })
	if err != nil {
		return nil, err
	}
	j.probe, j.build = left, right
	if (n.Kind == plan.Inner || n.Kind == plan.Cross) && estimate(n.Left) < estimate(n.Right) {
		j.probe, j.build, j.swapped = right, left, true
	}
	if n.Cond != nil {
		both := append(ids(n.Left.Columns()), ids(n.Right.Columns())...)
		if j.cond, err = kernel.CompileCondition(n.Cond, both); err != nil {
			return nil, err
		}
	}
	return j, nil
}

func (q *query) joinSide(n plan.Node, keys []plan.JoinKey, pick func(plan.JoinKey) expr.Expr) (joinSide, error) {
	s := joinSide{node: n, types: typesOf(n.Columns()), nkeys: len(keys)}
	var err error
	if s.op, err = q.compile(n); err != nil {
		return s, err
	}
	for _, c := range n.Columns() {
		s.wanted = append(s.wanted, q.used[c.ID])
	}
	var exprs []expr.Expr
	for _, k := range keys {
		x := pick(k)
		exprs = append(exprs, x)
		s.types, s.wanted = append(s.types, x.Type()), append(s.wanted, true)
	}
	s.keys, err = compileExprs(n, exprs)
	return s, err
}

// estimate guesses the rows of a plan by its largest table.
func estimate(n plan.Node) int64 {
	if s, ok := n.(*plan.Scan); ok {
		rows := s.Table.Stats().Rows
		if s.Filter != nil {
			rows /= 4
		}
		return rows
	}
	var most int64
	for _, in := range n.Inputs() {
		most = max(most, estimate(in))
	}
	switch n.(type) {
	case *plan.Filter:
		return most / 4
	case *plan.Aggregate:
		return most / 8
	}
	return most
}

func (j *joinOp) run(q *query, newSink func(int) (sink, error)) error {
	seed := maphash.MakeSeed()
	table, err := j.buildTable(q, seed)
	if err != nil {
		return err
	}
	defer func() { _ = q.reserve(-table.held - table.rows.held) }()
	return j.probe.op.run(q, func(w int) (sink, error) {
		to, err := newSink(w)
		if err != nil {
			return nil, err
		}
		return j.newProbe(q, table, seed, to)
	})
}

// buildTable collects the build side and makes the table.
func (j *joinOp) buildTable(q *query, seed maphash.Seed) (*joinTable, error) {
	var mu sync.Mutex
	var parts []*buildSink
	err := j.build.op.run(q, func(int) (sink, error) {
		eval, err := j.build.keys.NewEval(q.env)
		s := &buildSink{q: q, side: &j.build, eval: eval, rows: newStore(j.build.types, j.build.wanted), hasher: kernel.Hasher{Seed: seed}}
		mu.Lock()
		defer mu.Unlock()
		parts = append(parts, s)
		return s, err
	})
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		parts = append(parts, &buildSink{rows: newStore(j.build.types, j.build.wanted)})
	}
	stores := make([]*store, len(parts))
	var hashes []uint64
	for i, p := range parts {
		stores[i] = p.rows
		if i == 0 {
			hashes = p.hashes
		} else {
			hashes = append(hashes, p.hashes...)
		}
	}
	rows, err := concat(q, stores)
	if err != nil {
		return nil, err
	}
	return newJoinTable(q, rows, hashes, j.build.columns())
}

// buildSink stores one worker's rows with the hash of their keys. Rows with a NULL key
// match nothing and are left out.
type buildSink struct {
	q      *query
	side   *joinSide
	eval   *kernel.Eval
	rows   *store
	hasher kernel.Hasher
	hashes []uint64
	chunk  uint64
	sel    []uint32
}

func (s *buildSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.eval.NewChunk()
		s.chunk = b.chunk
	}
	keys, err := s.eval.Run(b.cols, b.rows)
	if err != nil {
		return err
	}
	n := b.rows.Len()
	if s.side.nkeys > 0 {
		if kept := keyed(&s.sel, keys, n); len(kept) < n {
			abs := make([]uint32, len(kept))
			for i, k := range kept {
				abs[i] = uint32(b.rows.At(int(k)))
			}
			if keys, err = s.eval.Run(b.cols, kernel.Rows{Sel: abs}); err != nil {
				return err
			}
			b = &batch{cols: b.cols, rows: kernel.Rows{Sel: abs}, chunk: b.chunk}
			n = len(abs)
		}
		at := len(s.hashes)
		s.hashes = extend(s.hashes, at+n)
		s.hasher.Hash(s.hashes[at:], keys)
	}
	s.rows.append(0, b.cols, b.rows)
	s.rows.append(len(b.cols), keys, kernel.Rows{N: n})
	if s.rows.rows += n; s.rows.rows >= 1<<31 {
		return schemas.Errorf(schemas.CodeOutOfMemory, "53200", "a join holds more than 2^31 rows of one side")
	}
	return s.rows.account(s.q, 8*int64(cap(s.hashes)))
}

func (s *buildSink) close() error { return nil }

// keyed lists the rows in which no key is NULL.
func keyed(mem *[]uint32, keys []*vector.Vector, n int) []uint32 {
	out := extend((*mem)[:cap(*mem)], n)[:0]
	for i := range n {
		ok := true
		for _, k := range keys {
			ok = ok && !k.Null(i)
		}
		if ok {
			out = append(out, uint32(i))
		}
	}
	*mem = out
	return out
}

// joinTable is chains of build rows by bucket: of the hash, or of the key itself when
// that is one integer of a dense range.
type joinTable struct {
	rows  *store
	keys  []*vector.Vector
	heads []uint32 // row plus 1 by bucket
	next  []uint32 // row plus 1 of the next row in the bucket; nil: no bucket has two
	hash  []uint64
	mask  uint64
	dense bool
	base  int64
	held  int64
}

func newJoinTable(q *query, rows *store, hashes []uint64, columns int) (*joinTable, error) {
	t := &joinTable{rows: rows, keys: rows.cols[columns:], hash: hashes}
	if len(t.keys) == 0 {
		return t, nil
	}
	size := uint64(1024)
	for size < uint64(2*rows.rows) {
		size *= 2
	}
	if lo, hi, ok := denseRange(t.keys, rows.rows); ok {
		t.dense, t.base = true, lo
		size = uint64(hi-lo) + 1
	} else {
		t.mask = size - 1
	}
	t.held = int64(4*size) + int64(4*rows.rows)
	if err := q.reserve(t.held); err != nil {
		return nil, err
	}
	t.heads, t.next = make([]uint32, size), make([]uint32, rows.rows)
	workers := q.opt.Threads
	if rows.rows < 16<<10 {
		workers = 1
	}
	duplicates := make([]bool, workers)
	err := q.parallel(workers, func(w int) error {
		from, to := size*uint64(w)/uint64(workers), size*uint64(w+1)/uint64(workers)
		duplicates[w] = t.link(from, to)
		return nil
	})
	unique := true
	for _, d := range duplicates {
		unique = unique && !d
	}
	if unique {
		t.next = nil
	}
	return t, err
}

// denseRange says whether one integer key covers its range well enough for an array.
func denseRange(keys []*vector.Vector, rows int) (lo, hi int64, ok bool) {
	if len(keys) != 1 || keys[0].Type.Kind.Layout() != schemas.LayoutInt || rows == 0 {
		return 0, 0, false
	}
	ints := keys[0].Ints[:rows]
	lo, hi = extremeOf(ints, -1), extremeOf(ints, 1)
	span := uint64(hi) - uint64(lo)
	return lo, hi, span < uint64(4*rows)+1024
}

// link chains the rows of buckets [from, to); it says whether a bucket has several.
func (t *joinTable) link(from, to uint64) (duplicates bool) {
	for r := range t.rows.rows {
		var b uint64
		if t.dense {
			b = uint64(t.keys[0].Ints[r] - t.base)
		} else {
			b = t.hash[r] & t.mask
		}
		if b-from >= to-from {
			continue
		}
		duplicates = duplicates || t.heads[b] != 0
		t.next[r], t.heads[b] = t.heads[b], uint32(r+1)
	}
	return duplicates
}

// following is the next row of a chain.
func (t *joinTable) following(row uint32) uint32 {
	if t.next == nil {
		return 0
	}
	return t.next[row-1]
}

var errNested = fmt.Sprintf("a join without an equality compares more than %d pairs of rows", maxPairs)

// maxPairs bounds a join without keys (I9).
const maxPairs = int64(1e10)
