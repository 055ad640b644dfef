package table

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/pkindex"
	"github.com/millrace/millrace/columnstore/segment"
)

// Check verifies every structure of the newest version against the others: files
// against checksums, blocks against zones, visible rows against index and count.
// It is for the one who changes the table.
func (t *Table) Check(ctx context.Context, version uint64) error {
	var live int64
	var last *segment.File
	for _, c := range t.order {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if p := c.seg.Load(); p != nil && p.file != last {
			last = p.file
			if err := p.file.Verify(); err != nil {
				return err
			}
		}
		n, err := t.checkChunk(c, version)
		if err != nil {
			return err
		}
		live += n
	}
	if live != t.live {
		return corrupt(t, fmt.Errorf("%d rows are visible, %d were counted", live, t.live))
	}
	if len(t.keys) > 0 && int64(t.index.Len()) != live {
		return corrupt(t, fmt.Errorf("%d rows are visible, the index has %d keys", live, t.index.Len()))
	}
	return nil
}

func (t *Table) checkChunk(c *chunk, version uint64) (live int64, err error) {
	if t.chunks[c.id] != c {
		return 0, corrupt(t, fmt.Errorf("chunk %d is not the one with its number", c.id))
	}
	for i := range c.cols {
		v, err := c.vec(t.cache, i)
		if err != nil {
			return 0, err
		}
		if v.Len != c.rows {
			return 0, corrupt(t, fmt.Errorf("chunk %d has %d rows, column %d has %d", c.id, c.rows, c.schema.Columns[i].ID, v.Len))
		}
		if c.grow == nil {
			z := c.zone(c.schema.Columns[i].ID)
			for r := range v.Len {
				if x := v.Value(r); !x.IsNull() && !z.Overlaps(x, x) {
					return 0, corrupt(t, fmt.Errorf("chunk %d row %d column %d lies outside its zone", c.id, r, c.schema.Columns[i].ID))
				}
			}
		}
	}
	d := c.del.Load()
	dead := d.at(version)
	if d.upTo(version) != len(d.log) {
		return 0, corrupt(t, fmt.Errorf("chunk %d has deletes after version %d", c.id, version))
	}
	if got := dead.Count(); got != d.total() || got > c.rows {
		return 0, corrupt(t, fmt.Errorf("chunk %d: %d of %d rows are deleted, %d were noted", c.id, got, c.rows, d.total()))
	}
	live = int64(c.rows - dead.Count())
	if len(t.keys) == 0 {
		return live, nil
	}
	cols, err := t.keyColumns(c)
	if err != nil {
		return 0, err
	}
	hashes := make([]uint64, c.rows)
	column.HashKeys(hashes, cols)
	for row := range c.rows {
		if dead.Get(row) {
			continue
		}
		ref, found, err := t.index.Find(hashes[row], func(r pkindex.Ref) (bool, error) { return t.keyMatches(r, cols, row) })
		if err != nil {
			return 0, err
		}
		if !found || t.resolve(ref) != pkindex.MakeRef(c.id, row) {
			return 0, corrupt(t, fmt.Errorf("row %d of chunk %d is visible, but the index has another row for its key", row, c.id))
		}
	}
	return live, nil
}
