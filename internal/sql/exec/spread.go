package exec

import (
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// spreadBits is the logarithm of the partitions that rows are spread over: each then has
// few enough groups for the cache.
const spreadBits = 7

// worthwhile is how many rows a group must have on average for aggregating at once to be
// better than spreading rows.
const worthwhile = 3

// spreadRows are rows that a worker left for later, by partition of their hash: columns
// are the keys, then the argument of each aggregate that has one.
type spreadRows struct {
	parts [1 << spreadBits]*store
	rows  [1 << spreadBits][]uint32 // of the batch, by partition
	types []schemas.Type
	held  int64
}

// startSpread begins to leave rows for later.
func (s *aggSink) startSpread() {
	s.spread = &spreadRows{}
	for i := range s.op.node.GroupBy {
		s.spread.types = append(s.spread.types, s.op.node.GroupBy[i].Expr.Type())
	}
	for i := range s.op.node.Aggs {
		if len(s.op.node.Aggs[i].Args) > 0 {
			s.spread.types = append(s.spread.types, s.op.node.Aggs[i].Args[0].Type())
		} else if s.op.args[i].filter >= 0 {
			s.spread.types = append(s.spread.types, schemas.Type{Kind: schemas.Bool})
		}
	}
	s.all.addSpread(s.spread)
}

// spreadBatch adds the rows of a batch to the partitions.
func (s *aggSink) spreadBatch(vecs []*vector.Vector, n int) error {
	sp := s.spread
	keys := vecs[:len(s.op.node.GroupBy)]
	s.hashes = extend(s.hashes[:cap(s.hashes)], n)[:n]
	s.table.groups.hasher.Hash(s.hashes, keys)
	for p := range sp.rows {
		sp.rows[p] = sp.rows[p][:0]
	}
	for i, h := range s.hashes {
		p := top(h, spreadBits)
		sp.rows[p] = append(sp.rows[p], uint32(i))
	}
	cols := append([]*vector.Vector(nil), keys...)
	for i := range s.op.node.Aggs {
		if v := s.argument(i, vecs, n); v != nil {
			cols = append(cols, v)
		}
	}
	for p, rows := range sp.rows {
		if len(rows) == 0 {
			continue
		}
		if sp.parts[p] == nil {
			sp.parts[p] = newStore(sp.types, nil)
		}
		sp.parts[p].append(0, cols, kernel.Rows{Sel: rows})
		sp.parts[p].rows += len(rows)
	}
	return sp.account(s.q, cols, n)
}

// account estimates the growth from the batch; asking every partition would take longer
// than spreading.
func (sp *spreadRows) account(q *query, cols []*vector.Vector, n int) error {
	bytes := int64(0)
	for _, v := range cols {
		switch v.Type.Kind.Layout() {
		case schemas.LayoutBytes:
			bytes += 48 * int64(n)
		default:
			bytes += 16 * int64(n)
		}
	}
	sp.held += bytes
	return q.reserve(bytes)
}

// addSpread aggregates the rows of a partition that a worker left.
func (t *aggTable) addSpread(q *query, op *aggregateOp, rows *store) error {
	bufs := make([]kernel.Buffer, len(rows.cols))
	cols := make([]*vector.Vector, len(rows.cols))
	keys := len(op.node.GroupBy)
	groups, hashes := make([]uint32, 0, defaultBatch), make([]uint64, 0, defaultBatch)
	for lo := 0; lo < rows.rows; lo += defaultBatch {
		n := min(defaultBatch, rows.rows-lo)
		for i, c := range rows.cols {
			cols[i] = bufs[i].Gather(c, kernel.Rows{Lo: lo, N: n})
		}
		groups, hashes = groups[:n], hashes[:n]
		t.groups.find(groups, hashes, cols[:keys])
		if err := t.fit(q); err != nil {
			return err
		}
		at := keys
		for i, a := range t.aggs {
			var v *vector.Vector
			if op.args[i].arg >= 0 || op.args[i].filter >= 0 {
				v = cols[at]
				at++
			}
			if err := a.update(groups, v, n); err != nil {
				return err
			}
		}
	}
	return nil
}
