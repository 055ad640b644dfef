package table

import (
	"context"
	"sync/atomic"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// View is a table as of one version. It is immutable, safe for concurrent use, and
// implements catalog.Table. Whoever holds one keeps its version pinned, so that
// the files and deletes it needs stay.
type View struct {
	schema  *schemas.Table
	version uint64
	entries []entry
	live    int64
	cache   *Cache
}

// entry is the first rows of one chunk.
type entry struct {
	c    *chunk
	rows int
	// frozen are the columns of a chunk that still grew when the view was made.
	frozen []*vector.Vector
}

// Schema implements catalog.Table.
func (v *View) Schema() *schemas.Table { return v.schema }

// Rows is the number of visible rows.
func (v *View) Rows() int64 { return v.live }

// Stats implements catalog.Table.
func (v *View) Stats() catalog.Stats {
	s := catalog.Stats{Rows: v.live, Columns: make([]catalog.ColumnStats, len(v.schema.Columns))}
	for i, col := range v.schema.Columns {
		c := &s.Columns[i]
		known := true
		for _, e := range v.entries {
			if e.frozen != nil {
				continue
			}
			z := e.c.zone(col.ID)
			known = known && z.Known
			c.Nulls += int64(z.Nulls)
			c.Min, c.Max = widen(c.Min, z.Min, -1), widen(c.Max, z.Max, 1)
		}
		if !known {
			c.Min, c.Max = schemas.Null, schemas.Null
		}
		if len(v.schema.Key) == 1 && v.schema.Key[0] == col.ID {
			c.Distinct = v.live
		}
	}
	return s
}

func widen(have, other schemas.Value, sign int) schemas.Value {
	if other.IsNull() {
		return have
	}
	if have.IsNull() {
		return other
	}
	if c, ok := column.Compare(other, have); ok && c*sign > 0 {
		return other
	}
	return have
}

// Scan implements catalog.Table.
func (v *View) Scan(columns []int, bounds []catalog.Bound) (catalog.Scan, error) {
	s := &scan{view: v, columns: columns}
	for i := range v.entries {
		e := &v.entries[i]
		if e.rows == 0 {
			continue
		}
		if v.prunes(e, bounds) {
			s.skipped += int64(e.rows)
			continue
		}
		s.picked = append(s.picked, e)
	}
	return s, nil
}

// prunes says whether no row of an entry can lie within the bounds.
func (v *View) prunes(e *entry, bounds []catalog.Bound) bool {
	if e.frozen != nil {
		return false
	}
	for _, b := range bounds {
		if b.Min.IsNull() && b.Max.IsNull() {
			continue
		}
		if z := e.c.zone(v.schema.Columns[b.Column].ID); !z.Overlaps(b.Min, b.Max) {
			return true
		}
	}
	return false
}

type scan struct {
	view    *View
	columns []int
	picked  []*entry
	skipped int64
	closed  atomic.Bool
}

// Morsels implements catalog.Scan.
func (s *scan) Morsels() int { return len(s.picked) }

// Skipped implements catalog.Scan.
func (s *scan) Skipped() int64 { return s.skipped }

// Close implements catalog.Scan.
func (s *scan) Close() { s.closed.Store(true) }

// Morsel implements catalog.Scan: it lends the blocks as they lie in memory.
func (s *scan) Morsel(ctx context.Context, i int, dst *catalog.Chunk) error {
	if dst.Release != nil {
		dst.Release()
		dst.Release, dst.Visible = nil, nil
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	e := s.picked[i]
	dst.Rows, dst.Bytes, dst.Columns = e.rows, 0, dst.Columns[:0]
	for _, col := range s.columns {
		v, n, err := s.view.column(e, s.view.schema.Columns[col])
		if err != nil {
			return err
		}
		dst.Bytes += n
		dst.Columns = append(dst.Columns, v)
	}
	dst.Visible, dst.Release = e.c.del.Load().mask(s.view.version, e.rows)
	return nil
}

// column returns a column of an entry and the bytes that it holds.
func (v *View) column(e *entry, col schemas.Column) (*vector.Vector, int64, error) {
	i := e.c.schema.Ordinal(col.ID)
	if i < 0 {
		return column.AllNull(col.Type, e.rows), 0, nil
	}
	if e.frozen != nil {
		return e.frozen[i], e.frozen[i].Size(), nil
	}
	b, err := e.c.block(v.cache, i)
	if err != nil {
		return nil, 0, err
	}
	return b.Vec, b.Bytes, nil
}
