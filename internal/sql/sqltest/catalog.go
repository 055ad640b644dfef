// Package sqltest is an in-memory catalog for tests and benchmarks of the SQL engine: it
// keeps columns as the column store does, in narrow codes by block with zone maps.
package sqltest

import (
	"context"
	"fmt"
	"sort"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Catalog is a fixed set of tables.
type Catalog struct{ tables map[string]*Table }

// New makes a catalog.
func New(tables ...*Table) *Catalog {
	c := &Catalog{tables: map[string]*Table{}}
	for _, t := range tables {
		c.tables[t.schema.FullName()] = t
	}
	return c
}

// Table implements catalog.Catalog.
func (c *Catalog) Table(schema, name string) (catalog.Table, error) {
	if schema == "" {
		schema = "public"
	}
	if t, ok := c.tables[schema+"."+name]; ok {
		return t, nil
	}
	return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "relation %q does not exist", name)
}

// Tables implements catalog.Catalog.
func (c *Catalog) Tables() []string {
	var out []string
	for name := range c.tables {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Table is rows in blocks. It may be read concurrently once nothing is added.
type Table struct {
	schema *schemas.Table
	// BlockRows is the rows of a block; set before the first Append. 0: MorselRows.
	BlockRows int
	// Encode makes the stored form of a flat column; nil: Narrow.
	Encode func(v *vector.Vector) *vector.Vector

	blocks []*block
	rows   int64
}

type block struct {
	cols    []*vector.Vector
	min     []schemas.Value
	max     []schemas.Value
	visible vector.Bitmap
	rows    int
	bytes   int64
}

// NewTable makes an empty table of public with columns given as name and type.
func NewTable(name string, cols ...schemas.Column) *Table {
	t := &schemas.Table{Schema: "public", Name: name, Version: 1, Columns: cols}
	for i := range t.Columns {
		if t.Columns[i].ID == 0 {
			t.Columns[i].ID = uint32(i + 1)
		}
	}
	return &Table{schema: t}
}

// Col describes a column.
func Col(name string, kind schemas.Kind) schemas.Column {
	return schemas.Column{Name: name, Type: schemas.Type{Kind: kind}}
}

// Append adds rows.
func (t *Table) Append(rows ...schemas.Row) {
	for len(rows) > 0 {
		n := min(len(rows), t.blockRows())
		cols := make([]*vector.Vector, len(t.schema.Columns))
		for i, c := range t.schema.Columns {
			cols[i] = vector.New(c.Type, n)
			for _, r := range rows[:n] {
				cols[i].AppendValue(r[i])
			}
		}
		t.AppendBlock(cols, nil)
		rows = rows[n:]
	}
}

func (t *Table) blockRows() int {
	if t.BlockRows > 0 {
		return t.BlockRows
	}
	return catalog.MorselRows
}

// AppendBlock adds one block of flat columns; visible says which rows exist (nil: all).
func (t *Table) AppendBlock(cols []*vector.Vector, visible vector.Bitmap) {
	if len(cols) != len(t.schema.Columns) || len(cols) == 0 {
		panic(fmt.Sprintf("sqltest: %d columns for table %s", len(cols), t.schema.Name))
	}
	b := &block{visible: visible, rows: cols[0].Len}
	for _, c := range cols {
		lo, hi := extremes(c)
		b.min, b.max = append(b.min, lo), append(b.max, hi)
		if t.Encode != nil {
			c = t.Encode(c)
		} else {
			c = Narrow(c)
		}
		b.cols = append(b.cols, c)
		b.bytes += c.Size()
	}
	t.blocks = append(t.blocks, b)
	if visible != nil {
		t.rows += int64(visible.Count())
	} else {
		t.rows += int64(b.rows)
	}
}

// extremes finds the zone map of a column; NULL when it has no value.
func extremes(v *vector.Vector) (lo, hi schemas.Value) {
	at, to := -1, -1
	for i := range v.Len {
		if v.Null(i) {
			continue
		}
		if at < 0 || kernel.Compare(v, i, v, at) < 0 {
			at = i
		}
		if to < 0 || kernel.Compare(v, i, v, to) > 0 {
			to = i
		}
	}
	if at >= 0 {
		lo, hi = v.Value(at), v.Value(to)
	}
	return lo, hi
}

// Schema implements catalog.Table.
func (t *Table) Schema() *schemas.Table { return t.schema }

// Stats implements catalog.Table.
func (t *Table) Stats() catalog.Stats { return catalog.Stats{Rows: t.rows} }

// Rows returns every visible row.
func (t *Table) Rows() []schemas.Row {
	var out []schemas.Row
	for _, b := range t.blocks {
		for i := range b.rows {
			if b.visible != nil && !b.visible.Get(i) {
				continue
			}
			row := make(schemas.Row, len(b.cols))
			for c, v := range b.cols {
				row[c] = v.Value(i)
			}
			out = append(out, row)
		}
	}
	return out
}

// Scan implements catalog.Table.
func (t *Table) Scan(columns []int, bounds []catalog.Bound) (catalog.Scan, error) {
	s := &scan{columns: columns}
	for _, b := range t.blocks {
		if b.outside(bounds) {
			s.skipped.Add(int64(b.rows))
			continue
		}
		s.blocks = append(s.blocks, b)
	}
	return s, nil
}

// outside says whether zone maps exclude every row.
func (b *block) outside(bounds []catalog.Bound) bool {
	for _, x := range bounds {
		lo, hi := b.min[x.Column], b.max[x.Column]
		if lo.IsNull() || !x.Min.IsNull() && less(hi, x.Min) || !x.Max.IsNull() && less(x.Max, lo) {
			return true
		}
	}
	return false
}

func less(a, b schemas.Value) bool {
	t := schemas.Type{Kind: a.Kind()}
	return kernel.Compare(kernel.Constant(t, a, 1), 0, kernel.Constant(t, b, 1), 0) < 0
}

type scan struct {
	columns []int
	blocks  []*block
	skipped atomic.Int64
}

func (s *scan) Morsels() int   { return len(s.blocks) }
func (s *scan) Skipped() int64 { return s.skipped.Load() }
func (s *scan) Close()         {}

func (s *scan) Morsel(ctx context.Context, i int, dst *catalog.Chunk) error {
	b := s.blocks[i]
	dst.Rows, dst.Visible, dst.Columns, dst.Bytes = b.rows, b.visible, dst.Columns[:0], 0
	for _, c := range s.columns {
		dst.Columns = append(dst.Columns, b.cols[c])
		dst.Bytes += b.cols[c].Size()
	}
	return ctx.Err()
}
