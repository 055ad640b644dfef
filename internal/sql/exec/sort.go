package exec

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// sortOp orders rows: each worker sorts what it got, then the sorted lists are merged.
// With a limit a worker keeps little more than that many rows.
type sortOp struct {
	input   operator
	node    *plan.Sort
	program *kernel.Program
	types   []schemas.Type // input columns, then keys
	wanted  []bool
	plain   int // the first key is this input column; -1: computed
}

func (q *query) compileSort(n *plan.Sort) (operator, error) {
	in, err := q.compile(n.Input)
	if err != nil {
		return nil, err
	}
	s := &sortOp{input: in, node: n, types: typesOf(n.Input.Columns())}
	for _, c := range n.Input.Columns() {
		s.wanted = append(s.wanted, q.used[c.ID])
	}
	exprs := make([]expr.Expr, len(n.Keys))
	for i, k := range n.Keys {
		exprs[i] = k.Expr
		s.types, s.wanted = append(s.types, k.Expr.Type()), append(s.wanted, true)
	}
	s.plain = -1
	if len(exprs) > 0 {
		if from, ok := plainColumns(n.Input, exprs[:1]); ok {
			s.plain = from[0]
		}
	}
	s.program, err = compileExprs(n.Input, exprs)
	return s, err
}

func (s *sortOp) run(q *query, newSink func(int) (sink, error)) error {
	var mu sync.Mutex
	var lists []*sortedList
	err := s.input.run(q, func(int) (sink, error) {
		eval, err := s.program.NewEval(q.env)
		l := &sortSink{op: s, q: q, eval: eval, list: s.newList()}
		l.done = func(list *sortedList) {
			mu.Lock()
			defer mu.Unlock()
			lists = append(lists, list)
		}
		return l, err
	})
	if err != nil {
		return err
	}
	to, err := newSink(0)
	if err != nil {
		return err
	}
	if err := s.merge(q, lists, to); err != nil {
		return err
	}
	for _, l := range lists {
		_ = q.reserve(-l.store.held)
	}
	return to.close()
}

// sortedList is rows with an order.
type sortedList struct {
	op    *sortOp
	store *store
	order []sortRow
}

// sortRow is a row with the beginning of its first key, so that most comparisons need
// not look at the row.
type sortRow struct {
	prefix uint64
	row    uint32
}

func (s *sortOp) newList() *sortedList {
	return &sortedList{op: s, store: newStore(s.types, s.wanted)}
}

// keyAt is key column k of a store.
func (s *sortOp) keyAt(st *store, k int) *vector.Vector {
	return st.cols[len(st.cols)-len(s.node.Keys)+k]
}

// sort orders the rows; halt makes it end early, in no order.
func (l *sortedList) sort(halt *atomic.Bool) {
	st := l.store
	if st.rows == 0 {
		return
	}
	l.order = make([]sortRow, st.rows)
	for i := range l.order {
		l.order[i].row = uint32(i)
	}
	if len(l.op.node.Keys) == 0 {
		return
	}
	key := l.op.keyAt(st, 0)
	prefixes(l.order, key, l.op.node.Keys[0])
	slices.SortFunc(l.order, func(a, b sortRow) int {
		if halt.Load() {
			return 0 // the run is over: end soon, in any order
		}
		if a.prefix != b.prefix {
			if a.prefix < b.prefix {
				return -1
			}
			return 1
		}
		return l.op.compare(st, int(a.row), st, int(b.row))
	})
}

// compare orders two rows by all keys.
func (s *sortOp) compare(a *store, i int, b *store, j int) int {
	for k := range s.node.Keys {
		key := &s.node.Keys[k]
		if c := compareKey(s.keyAt(a, k), i, s.keyAt(b, k), j, key.Desc, key.NullsFirst); c != 0 {
			return c
		}
	}
	return 0
}

func compareKey(a *vector.Vector, i int, b *vector.Vector, j int, desc, nullsFirst bool) int {
	if p, q := a.Null(i), b.Null(j); p || q {
		switch {
		case p && q:
			return 0
		case p == nullsFirst:
			return -1
		}
		return 1
	}
	c := kernel.Compare(a, i, b, j)
	if desc {
		return -c
	}
	return c
}

// prefixes computes the prefix of every row: smaller sorts first, equal decides nothing.
func prefixes(order []sortRow, key *vector.Vector, k plan.SortKey) {
	nullBit := uint64(1) << 63
	if k.NullsFirst {
		nullBit = 0
	}
	if wholeKey(key) {
		flip, nulls := intPrefix(k)
		for i := range order {
			order[i].prefix = (uint64(key.Ints[order[i].row])^flip)>>1 | nulls
		}
		return
	}
	for i := range order {
		row := int(order[i].row)
		if key.Null(row) {
			order[i].prefix = nullBit
			continue
		}
		p := orderBits(key, row)
		if k.Desc {
			p = ^p
		}
		order[i].prefix = p>>1 | (nullBit ^ 1<<63)
	}
}

// orderBits maps a value to a number that orders like it, as far as 64 bits go.
func orderBits(v *vector.Vector, i int) uint64 {
	switch v.Type.Kind.Layout() {
	case schemas.LayoutInt:
		return uint64(v.Int(i)) ^ 1<<63
	case schemas.LayoutFloat:
		f := v.Float(i)
		switch {
		case f == 0:
			return 1 << 63
		case f != f:
			return math.MaxUint64
		}
		b := math.Float64bits(f)
		if b>>63 != 0 {
			return ^b
		}
		return b | 1<<63
	case schemas.LayoutBytes:
		if v.Type.Kind == schemas.Char {
			return 0 // trailing blanks do not count, so bytes do not decide
		}
		var buf [8]byte
		copy(buf[:], v.Bytes(i))
		return binary.BigEndian.Uint64(buf[:])
	case schemas.LayoutDecimal:
		if v.Dec == vector.Dec64 {
			return uint64(v.Int(i)) ^ 1<<63
		}
	}
	return 0
}

// sortSink collects one worker's rows.
type sortSink struct {
	op    *sortOp
	q     *query
	eval  *kernel.Eval
	list  *sortedList
	chunk uint64
	done  func(*sortedList)

	bounded bool   // Limit rows are known
	bound   uint64 // prefix of the last of them
	last    schemas.Value
	lastInt int64              // last, when it is held as an integer or coefficient
	tier    vector.DecimalTier // of the decimal key when the bound was taken, with its scale:
	scale   int                // later rows may raise those of the list
	order   []sortRow
	abs     []uint32
}

func (s *sortSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.eval.NewChunk()
		s.chunk = b.chunk
	}
	rows, decided := s.boundCodes(b)
	if rows.Len() == 0 {
		return nil
	}
	keys, err := s.eval.Run(b.cols, rows)
	if err != nil {
		return err
	}
	dense := kernel.Rows{N: rows.Len()}
	if !decided {
		rows, dense = s.contenders(rows, keys)
	}
	n := rows.Len()
	if n == 0 {
		return nil
	}
	st := s.list.store
	st.append(0, b.cols, rows)
	st.append(len(b.cols), keys, dense)
	st.rows += n
	if limit := s.op.node.Limit; limit >= 0 && int64(st.rows) > 2*limit+int64(s.q.opt.BatchRows) {
		s.prune(int(limit))
	}
	return st.account(s.q, 24*int64(st.rows))
}

// contenders leaves out rows that cannot be among the first Limit: those whose first key
// sorts after that of Limit rows seen before. It gives them as rows of the columns and of
// the dense keys.
func (s *sortSink) contenders(rows kernel.Rows, keys []*vector.Vector) (of, dense kernel.Rows) {
	n := rows.Len()
	if !s.bounded || !s.comparablePrefixes(keys[0]) {
		return rows, kernel.Rows{N: n}
	}
	sel := s.within(keys[0], n)
	abs := make([]uint32, len(sel))
	for i, r := range sel {
		abs[i] = uint32(rows.At(int(r)))
	}
	return kernel.Rows{Sel: abs}, kernel.Rows{Sel: sel}
}

// within lists the rows whose prefix is not past the bound.
func (s *sortSink) within(key *vector.Vector, n int) []uint32 {
	sel := make([]uint32, 0, 64)
	if k := s.op.node.Keys[0]; wholeKey(key) {
		flip, nulls := intPrefix(k)
		for i, x := range key.Ints[:n] {
			if (uint64(x)^flip)>>1|nulls <= s.bound {
				sel = append(sel, uint32(i))
			}
		}
		return sel
	}
	s.order = extend(s.order[:cap(s.order)], n)[:n]
	for i := range s.order {
		s.order[i].row = uint32(i)
	}
	prefixes(s.order, key, s.op.node.Keys[0])
	for i := range s.order {
		if s.order[i].prefix <= s.bound {
			sel = append(sel, uint32(i))
		}
	}
	return sel
}

// wholeKey says whether a key column is plain integers, or coefficients, without NULLs.
func wholeKey(v *vector.Vector) bool {
	whole := v.Type.Kind.Layout() == schemas.LayoutInt || v.Type.Kind == schemas.Numeric && v.Dec == vector.Dec64
	return whole && v.Enc == vector.Flat && v.Nulls == nil
}

// intPrefix gives what makes the prefix of an integer x: (x ^ flip) >> 1 | nulls.
func intPrefix(k plan.SortKey) (flip, nulls uint64) {
	flip = 1 << 63
	if k.Desc {
		flip = ^flip
	}
	if k.NullsFirst {
		nulls = 1 << 63 // NULLs have 0 there
	}
	return flip, nulls
}

// comparablePrefixes says whether prefixes of a column mean the same as the bound: those
// of decimals depend on tier and scale.
func (s *sortSink) comparablePrefixes(v *vector.Vector) bool {
	return v.Type.Kind != schemas.Numeric || v.Dec == vector.Dec64 && s.tier == vector.Dec64 && v.Scale == s.scale
}

// prune keeps the first limit rows.
func (s *sortSink) prune(limit int) {
	s.list.sort(&s.q.halt)
	fresh := s.op.newList()
	sel := make([]uint32, limit)
	for i := range sel {
		sel[i] = s.list.order[i].row
	}
	fresh.store.append(0, s.list.store.cols, kernel.Rows{Sel: sel})
	fresh.store.rows, fresh.store.held = limit, s.list.store.held
	if limit > 0 && len(s.op.node.Keys) > 0 {
		at := s.list.order[limit-1]
		s.bounded, s.bound = true, at.prefix
		key := s.op.keyAt(s.list.store, 0)
		s.tier, s.scale = key.Dec, key.Scale
		s.last = key.Value(int(at.row))
		if wholeKey(key) {
			s.lastInt = key.Ints[at.row]
		} else {
			s.last = schemas.Null
		}
	}
	s.list = fresh
}

func (s *sortSink) close() error {
	s.list.sort(&s.q.halt)
	s.done(s.list)
	return nil
}

// merge pushes the rows of sorted lists in order.
func (s *sortOp) merge(q *query, lists []*sortedList, to sink) error {
	left := int64(math.MaxInt64)
	if s.node.Limit >= 0 {
		left = s.node.Limit
	}
	at := make([]int, len(lists))
	columns := len(s.node.Input.Columns())
	for left > 0 {
		if err := q.check(); err != nil {
			return err
		}
		out := newStore(s.types[:columns], s.wanted[:columns])
		n := int(min(left, int64(q.opt.BatchRows)))
		out.rows = s.take(lists, at, n, out)
		if out.rows == 0 {
			return nil
		}
		left -= int64(out.rows)
		if err := to.push(&batch{cols: out.cols, rows: kernel.Rows{N: out.rows}, chunk: q.nextChunk()}); err != nil {
			return err
		}
	}
	return nil
}

// take appends the next n rows of all lists to out; runs from one list go together.
func (s *sortOp) take(lists []*sortedList, at []int, n int, out *store) int {
	taken := 0
	var sel []uint32
	from := -1
	flush := func() {
		if len(sel) > 0 {
			out.append(0, lists[from].store.cols[:len(out.cols)], kernel.Rows{Sel: sel})
			sel = sel[:0]
		}
	}
	for taken < n {
		best := -1
		for i, l := range lists {
			if at[i] < len(l.order) && (best < 0 || s.before(l, at[i], lists[best], at[best])) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		if best != from {
			flush()
			from = best
		}
		sel = append(sel, lists[best].order[at[best]].row)
		at[best]++
		taken++
	}
	flush()
	return taken
}

// before says whether row i of list a comes before row j of list b. Prefixes of
// decimals compare only within a list, whose scale they have.
func (s *sortOp) before(a *sortedList, i int, b *sortedList, j int) bool {
	return s.compare(a.store, int(a.order[i].row), b.store, int(b.order[j].row)) < 0
}
