package table

import (
	"fmt"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/pkindex"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Table is one table's rows. Its methods are for one goroutine at a time, except
// where they say otherwise.
type Table struct {
	schema *schemas.Table
	keys   []int // ordinals of the key columns
	cache  *Cache

	chunks []*chunk // by id; nil once replaced
	order  []*chunk // those of the newest version, in scan order
	open   *chunk   // the last of order, growing; or nil
	live   int64    // visible rows of the newest version
	index  *pkindex.Index
	// forward maps rows of replaced chunks that the index may still name.
	forward map[uint32][]pkindex.Ref
}

// New makes an empty table.
func New(t *schemas.Table, cache *Cache) *Table {
	return &Table{schema: t, keys: t.KeyOrdinals(), cache: cache, index: pkindex.New(), forward: map[uint32][]pkindex.Ref{}}
}

// Schema is the present description.
func (t *Table) Schema() *schemas.Table { return t.schema }

// Alter takes on a new description: more columns, other names. Rows written so
// far read NULL in new columns.
func (t *Table) Alter(s *schemas.Table) {
	t.sealOpen()
	t.schema, t.keys = s, s.KeyOrdinals()
}

// View makes the view of the newest version.
func (t *Table) View(version uint64) *View {
	v := &View{schema: t.schema, version: version, entries: make([]entry, len(t.order)), live: t.live, cache: t.cache}
	for i, c := range t.order {
		e := entry{c: c, rows: c.rows}
		if c.grow != nil {
			e.frozen = make([]*vector.Vector, len(c.grow))
			for j, g := range c.grow {
				e.frozen[j] = column.Freeze(g)
			}
		}
		v.entries[i] = e
	}
	return v
}

// IndexBytes is the memory of the index.
func (t *Table) IndexBytes() int64 { return t.index.Bytes() }

// OpenBytes estimates what the growing chunk holds.
func (t *Table) OpenBytes() int64 {
	if t.open == nil {
		return 0
	}
	return t.open.bytes
}

func (t *Table) newChunk() (*chunk, error) {
	if len(t.chunks) >= 1<<24 {
		return nil, schemas.Errorf(schemas.CodeTooLarge, "54000", "table %s has used up its chunk numbers; restart to renumber", t.schema.FullName())
	}
	c := newChunk(uint32(len(t.chunks)), t.schema)
	t.chunks = append(t.chunks, c)
	return c, nil
}

// opened returns the chunk that rows are appended to.
func (t *Table) opened() (*chunk, error) {
	if t.open != nil && t.open.rows < column.MaxRows && t.open.bytes < maxChunkBytes {
		return t.open, nil
	}
	t.sealOpen()
	c, err := t.newChunk()
	if err != nil {
		return nil, err
	}
	t.open = c
	t.order = append(t.order[:len(t.order):len(t.order)], c)
	return c, nil
}

// sealOpen ends the growing chunk; one without rows vanishes.
func (t *Table) sealOpen() {
	c := t.open
	if c == nil {
		return
	}
	t.open = nil
	if c.rows > 0 {
		c.seal(t.cache)
		return
	}
	c.dead.Store(true)
	t.chunks[c.id] = nil
	t.order = t.order[: len(t.order)-1 : len(t.order)-1]
}

// resolve follows the map of a replaced chunk.
func (t *Table) resolve(r pkindex.Ref) pkindex.Ref {
	for len(t.forward) > 0 {
		m, ok := t.forward[r.Chunk()]
		if !ok {
			break
		}
		r = m[r.Row()]
	}
	return r
}

// keyMatches says whether a row has the key of row i of the key columns cols.
func (t *Table) keyMatches(ref pkindex.Ref, cols []*vector.Vector, i int) (bool, error) {
	ref = t.resolve(ref)
	c := t.chunks[ref.Chunk()]
	if c == nil {
		return false, fmt.Errorf("table %s: index names row %d of chunk %d, which is gone", t.schema.FullName(), ref.Row(), ref.Chunk())
	}
	for k, ord := range t.keys {
		j := ord
		if c.schema != t.schema {
			j = c.schema.Ordinal(t.schema.Columns[ord].ID)
		}
		v, err := c.vec(t.cache, j)
		if err != nil {
			return false, err
		}
		if !column.KeyEqual(cols[k], i, v, ref.Row()) {
			return false, nil
		}
	}
	return true, nil
}

// Fold moves deletes that every view from oldest on sees into bitmaps.
func (t *Table) Fold(oldest uint64) {
	for _, c := range t.order {
		if d := c.del.Load(); len(d.log) >= foldAt && c.grow == nil {
			c.del.Store(d.fold(oldest, c.rows))
		}
	}
}

// Encoding narrows the columns of one sealed chunk: Run beside everything else,
// then Install by the one who changes the table.
type Encoding struct {
	t      *Table
	c      *chunk
	blocks []*column.Block
}

// Unencoded returns an encoding to do, or nil.
func (t *Table) Unencoded() *Encoding {
	for _, c := range t.order {
		if c.grow == nil && !c.encoded && c.seg.Load() == nil {
			return &Encoding{t: t, c: c}
		}
	}
	return nil
}

// Run does the work.
func (e *Encoding) Run() { e.blocks = e.c.narrow() }

// Install makes the result the one that new reads get.
func (e *Encoding) Install() { e.c.install(e.t.cache, e.blocks) }
