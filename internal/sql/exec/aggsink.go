package exec

import (
	"hash/maphash"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// aggSink is one worker's aggregation.
type aggSink struct {
	op     *aggregateOp
	q      *query
	eval   *kernel.Eval
	seed   maphash.Seed
	table  *aggTable
	all    *aggRuns
	chunk  uint64
	dense  denseKeys
	hashes []uint64
	groups []uint32
	masked []vector.Vector
	seen   int // rows in the table
	spread *spreadRows
}

func (s *aggSink) push(b *batch) error {
	if b.chunk != s.chunk {
		s.eval.NewChunk()
		s.dense.reset()
		s.chunk = b.chunk
	}
	n := b.rows.Len()
	vecs, err := s.eval.Run(b.cols, b.rows)
	if err != nil {
		return err
	}
	if s.spread != nil {
		return s.spreadBatch(vecs, n)
	}
	groups := s.assign(b, vecs[:len(s.op.node.GroupBy)], n)
	if err := s.table.fit(s.q); err != nil {
		return err
	}
	for i, a := range s.table.aggs {
		if err := a.update(groups, s.argument(i, vecs, n), n); err != nil {
			return err
		}
	}
	s.seen += n
	if s.op.mergeable && s.table.groups.groups() >= s.q.opt.GroupLimit {
		return s.setAside()
	}
	return nil
}

// argument is what an aggregate reads; nil for count(*).
func (s *aggSink) argument(i int, vecs []*vector.Vector, n int) *vector.Vector {
	at := s.op.args[i]
	var v *vector.Vector
	if at.arg >= 0 {
		v = vecs[at.arg]
	}
	if at.filter >= 0 {
		v = s.mask(i, v, vecs[at.filter], n)
	}
	return v
}

// setAside ends the table as a run and begins another in its slots, or goes over to
// spreading rows when grouping them at once brings little.
func (s *aggSink) setAside() error {
	if s.seen < worthwhile*s.table.groups.groups() {
		s.startSpread()
		return nil
	}
	s.seen = 0
	full := s.table
	s.all.add(full)
	s.dense.reset()
	var err error
	if s.table, err = s.op.newTable(s.seed); err != nil {
		return err
	}
	s.table.groups.takeSlots(full.groups)
	return full.account(s.q)
}

// assign gives the group of each row; nil when there is only one.
func (s *aggSink) assign(b *batch, keys []*vector.Vector, n int) []uint32 {
	if len(keys) == 0 {
		s.one()
		return nil
	}
	s.groups = extend(s.groups[:cap(s.groups)], n)
	groups := s.groups[:n]
	if s.dense.assign(s, b, keys, groups) {
		return groups
	}
	s.hashes = extend(s.hashes[:cap(s.hashes)], n)
	s.table.groups.find(groups, s.hashes[:n], keys)
	return groups
}

// one makes the single group of an aggregation without GROUP BY.
func (s *aggSink) one() {
	if s.table.groups.groups() == 0 {
		s.table.groups.hashes = append(s.table.groups.hashes, 0)
	}
}

// mask makes the rows NULL that FILTER excludes. count(*) counts a stand-in.
func (s *aggSink) mask(i int, v, cond *vector.Vector, n int) *vector.Vector {
	nulls := vector.NewBitmap(n)
	for r := range n {
		if cond.Null(r) || cond.Int(r) == 0 || v != nil && v.Null(r) {
			nulls.Set(r)
		}
	}
	if s.masked == nil {
		s.masked = make([]vector.Vector, len(s.op.node.Aggs))
	}
	out := &s.masked[i]
	if v == nil {
		*out = vector.Vector{Type: schemas.Type{Kind: schemas.Bool}, Len: n, Ints: make([]int64, n), Nulls: nulls}
		return out
	}
	if v.Enc == vector.Const {
		v = spread(v, n)
	}
	*out = *v
	out.Nulls = nulls
	return out
}

// spread makes a flat vector of a Const.
func spread(v *vector.Vector, n int) *vector.Vector {
	out := vector.New(v.Type, n)
	kernel.Append(out, v, kernel.Rows{N: n})
	return out
}

func (s *aggSink) close() error {
	if len(s.op.node.GroupBy) == 0 {
		s.one() // no row at all still makes one group
		if err := s.table.fit(s.q); err != nil {
			return err
		}
	}
	s.all.add(s.table)
	return nil
}
