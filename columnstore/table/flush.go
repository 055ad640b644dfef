package table

import (
	"fmt"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/pkindex"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// maxSegmentChunks limits a flushed file.
const maxSegmentChunks = 32

// Capture is a table's chunks and deletes as of a version, on their way to disk.
type Capture struct {
	t       *Table
	Version uint64
	items   []captured
}

type captured struct {
	c     *chunk
	del   *deletes
	place *place // nil: not in a segment yet
}

// Capture ends the growing chunk and notes what the newest version consists of.
// The version stays pinned until Settle.
func (t *Table) Capture(version uint64) *Capture {
	t.sealOpen()
	k := &Capture{t: t, Version: version}
	for _, c := range t.order {
		k.items = append(k.items, captured{c: c, del: c.del.Load(), place: c.seg.Load()})
	}
	return k
}

// Unencoded returns an encoding that Write needs, or nil.
func (k *Capture) Unencoded() *Encoding {
	for _, it := range k.items {
		if it.place == nil && !it.c.encoded {
			return &Encoding{t: k.t, c: it.c}
		}
	}
	return nil
}

// Write writes the chunks that are in no segment yet, and returns the new files.
// It is safe beside everything. name makes a new file's name.
func (k *Capture) Write(pool *segment.Pool, name func() (uint64, string)) ([]*segment.Meta, error) {
	var metas []*segment.Meta
	for at := 0; at < len(k.items); {
		if k.items[at].place != nil {
			at++
			continue
		}
		end := at
		for end < len(k.items) && end-at < maxSegmentChunks && k.items[end].place == nil && k.items[end].c.schema == k.items[at].c.schema {
			end++
		}
		m, err := k.write(pool, name, k.items[at:end])
		if err != nil {
			return nil, err
		}
		metas = append(metas, m)
		at = end
	}
	return metas, nil
}

func (k *Capture) write(pool *segment.Pool, name func() (uint64, string), items []captured) (*segment.Meta, error) {
	chunks := make([]segment.Chunk, len(items))
	for i, it := range items {
		chunks[i] = segment.Chunk{Rows: it.c.rows, Cols: make([]*column.Block, len(it.c.cols))}
		for j := range it.c.cols {
			chunks[i].Cols[j] = it.c.cols[j].block.Load()
		}
	}
	id, file := name()
	m, err := segment.Write(pool.FS, pool.Dir, file, items[0].c.schema, chunks)
	if err != nil {
		return nil, err
	}
	m.ID = id
	f := pool.Open(m)
	for i := range items {
		items[i].place = &place{file: f, chunk: i, cols: identity(len(m.Columns))}
	}
	return m, nil
}

func identity(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// Settle lets the written chunks be read from their segments.
func (k *Capture) Settle() {
	for _, it := range k.items {
		if it.c.seg.Load() == nil && it.place != nil {
			if it.c.dead.Load() { // truncated meanwhile, and no longer counted
				it.c.seg.Store(it.place)
				continue
			}
			it.c.settle(k.t.cache, it.place)
		}
	}
	k.t.cache.shrink()
}

// SegmentState is a segment of a captured version with its deleted rows.
type SegmentState struct {
	ID uint64
	// Deleted has a bitmap a chunk; nil where nothing is deleted.
	Deleted []vector.Bitmap
}

// Segments lists the segments of the version, in scan order.
func (k *Capture) Segments() []SegmentState {
	var out []SegmentState
	for _, it := range k.items {
		id := it.place.file.Meta().ID
		if len(out) == 0 || out[len(out)-1].ID != id {
			out = append(out, SegmentState{ID: id, Deleted: make([]vector.Bitmap, len(it.place.file.Meta().Chunks))})
		}
		out[len(out)-1].Deleted[it.place.chunk] = it.del.at(k.Version)
	}
	return out
}

// Restored is a segment as the manifest has it.
type Restored struct {
	File    *segment.File
	Deleted []vector.Bitmap
}

// Restore fills an empty table from segments and builds the index. A key that is
// visible twice is corruption (I8).
func (t *Table) Restore(segments []Restored) error {
	for _, s := range segments {
		m := s.File.Meta()
		schema := &schemas.Table{Schema: t.schema.Schema, Name: t.schema.Name, Version: t.schema.Version, Key: t.schema.Key}
		for _, c := range m.Columns {
			schema.Columns = append(schema.Columns, schemas.Column{ID: c.ID, Name: fmt.Sprint(c.ID), Type: c.Type})
		}
		if sameColumns(schema, t.schema) {
			schema = t.schema
		}
		for i := range m.Chunks {
			c := &chunk{id: uint32(len(t.chunks)), schema: schema, rows: m.Chunks[i].Rows, cols: make([]slot, len(m.Columns)), encoded: true}
			d := &deletes{}
			if s.Deleted[i] != nil {
				d = restoredDeletes(s.Deleted[i], c.rows)
			}
			c.del.Store(d)
			c.settle(t.cache, &place{file: s.File, chunk: i, cols: identity(len(m.Columns))})
			t.chunks, t.order = append(t.chunks, c), append(t.order, c)
			t.live += int64(c.rows - d.count)
		}
	}
	return t.buildIndex()
}

func sameColumns(a, b *schemas.Table) bool {
	if len(a.Columns) != len(b.Columns) {
		return false
	}
	for i := range a.Columns {
		if a.Columns[i].ID != b.Columns[i].ID || a.Columns[i].Type != b.Columns[i].Type {
			return false
		}
	}
	return true
}

func restoredDeletes(base vector.Bitmap, rows int) *deletes {
	visible := vector.NewBitmap(rows)
	visible.Fill(rows)
	visible.AndNot(base)
	return &deletes{base: base, visible: visible, rows: rows, count: base.Count()}
}

func (t *Table) buildIndex() error {
	if len(t.keys) == 0 {
		return nil
	}
	var hashes []uint64
	for _, c := range t.order {
		cols, err := t.keyColumns(c)
		if err != nil {
			return err
		}
		hashes = append(hashes[:0], make([]uint64, c.rows)...)
		column.HashKeys(hashes, cols)
		base := c.del.Load().base
		row := 0
		match := func(ref pkindex.Ref) (bool, error) { return t.keyMatches(ref, cols, row) }
		for ; row < c.rows; row++ {
			if base.Get(row) {
				continue
			}
			_, twice, err := t.index.Put(hashes[row], pkindex.MakeRef(c.id, row), match)
			if err != nil {
				return err
			}
			if twice {
				return corrupt(t, fmt.Errorf("row %d of chunk %d has the key of an earlier row", row, c.id))
			}
		}
	}
	return nil
}

// keyColumns returns the key columns of a chunk.
func (t *Table) keyColumns(c *chunk) ([]*vector.Vector, error) {
	cols := make([]*vector.Vector, len(t.keys))
	for k, ord := range t.keys {
		v, err := c.vec(t.cache, c.schema.Ordinal(t.schema.Columns[ord].ID))
		if err != nil {
			return nil, err
		}
		cols[k] = v
	}
	return cols, nil
}

func corrupt(t *Table, err error) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "table " + t.schema.FullName(), Err: err,
		Hint: "restore the data folder from a backup, or resync from the source"}
}
