package exec

import (
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// store keeps rows of columns in flat vectors, strings with few values in one with a
// dictionary. A column that nobody reads is a Const NULL.
type store struct {
	cols  []*vector.Vector
	dicts []*dictColumn // of the columns that are a Dict
	rows  int
	held  int64
}

func newStore(types []schemas.Type, wanted []bool) *store {
	s := &store{cols: make([]*vector.Vector, len(types)), dicts: make([]*dictColumn, len(types))}
	for i, t := range types {
		if wanted == nil || wanted[i] {
			s.cols[i] = vector.New(t, 0)
		} else {
			s.cols[i] = kernel.Constant(t, schemas.Null, 0)
		}
	}
	return s
}

func typesOf(cols []plan.Column) []schemas.Type {
	out := make([]schemas.Type, len(cols))
	for i, c := range cols {
		out[i] = c.Type
	}
	return out
}

// append copies rows of columns from number at on.
func (s *store) append(at int, cols []*vector.Vector, rows kernel.Rows) {
	for i, c := range cols {
		s.appendTo(at+i, c, rows)
	}
}

// appendTo copies rows of one column.
func (s *store) appendTo(i int, c *vector.Vector, rows kernel.Rows) {
	dst := s.cols[i]
	if dst.Enc == vector.Const {
		dst.Len += rows.Len()
		return
	}
	if dst.Len == 0 && c.Enc == vector.Dict && dst.Type.Kind.Layout() == schemas.LayoutBytes && dst.Enc == vector.Flat {
		s.dicts[i] = &dictColumn{}
		s.dicts[i].start(dst)
	}
	if dst.Enc == vector.Dict {
		if s.dicts[i].append(dst, c, rows) {
			return
		}
		dst = flatten(dst)
		s.cols[i], s.dicts[i] = dst, nil
	}
	kernel.Append(dst, c, rows)
}

// account reserves what the store grew by.
func (s *store) account(q *query, more int64) error {
	now := more
	for _, c := range s.cols {
		now += c.Size()
	}
	err := q.reserve(now - s.held)
	s.held = now
	return err
}

// concat joins stores of the same columns, in parallel by column.
func concat(q *query, stores []*store) (*store, error) {
	if len(stores) == 1 {
		return stores[0], nil
	}
	out := stores[0]
	err := q.parallel(min(q.opt.Threads, max(1, len(out.cols))), func(w int) error {
		for c := w; c < len(out.cols); c += min(q.opt.Threads, len(out.cols)) {
			for _, s := range stores[1:] {
				out.appendTo(c, s.cols[c], kernel.Rows{N: s.rows})
			}
		}
		return nil
	})
	for _, s := range stores[1:] {
		out.rows += s.rows
		_ = q.reserve(-s.held)
	}
	if err == nil {
		err = out.account(q, 0)
	}
	return out, err
}
