// Package table holds the rows of one table: chunks of up to 64 Ki rows, their
// deletes by version, the primary-key index, and the immutable views that scans
// read. One goroutine at a time changes a table; views are read by any number.
//
// An update marks the old row deleted and appends the new one (merge on write), so
// a scan is a plain column scan with a mask.
package table

import (
	"sync/atomic"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// maxChunkBytes seals a chunk of large rows early.
const maxChunkBytes = 64 << 20

// chunk is up to 64 Ki rows, the unit of scans, deletes and zones.
type chunk struct {
	id     uint32
	schema *schemas.Table // the columns that the chunk has
	rows   int            // final once sealed
	cols   []slot         // parallel schema.Columns; used once sealed
	del    atomic.Pointer[deletes]
	seg    atomic.Pointer[place]
	// dead says that no newer view has the chunk.
	dead atomic.Bool
	at   int // place in the cache's list, which guards it

	// What follows belongs to the one who changes the table.
	grow    []*vector.Vector // nil once sealed
	bytes   int64            // estimate while growing
	pend    []uint32         // rows deleted by the transaction under way
	encoded bool
}

// place is where a chunk lies in a segment.
type place struct {
	file  *segment.File
	chunk int
	cols  []int // index in the file's columns, parallel schema.Columns
}

func newChunk(id uint32, t *schemas.Table) *chunk {
	c := &chunk{id: id, schema: t, cols: make([]slot, len(t.Columns)), grow: make([]*vector.Vector, len(t.Columns))}
	for i, col := range t.Columns {
		c.grow[i] = vector.New(col.Type, 0)
	}
	c.del.Store(&deletes{})
	return c
}

// block returns column i of a sealed chunk, from memory or from its segment.
func (c *chunk) block(cache *Cache, i int) (*column.Block, error) {
	s := &c.cols[i]
	if b := s.block.Load(); b != nil {
		if !s.used.Load() {
			s.used.Store(true)
		}
		return b, nil
	}
	p := c.seg.Load()
	b, n, err := p.file.Column(p.chunk, p.cols[i])
	if err != nil {
		return nil, err
	}
	cache.reads.Add(n)
	if !c.dead.Load() && s.block.CompareAndSwap(nil, b) {
		s.used.Store(true)
		cache.bytes.Add(b.Bytes)
		if c.dead.Load() { // nobody would drop it
			c.drop(cache)
		}
		cache.shrink()
	}
	return b, nil
}

// vec returns column i for the one who changes the table, growing or sealed.
func (c *chunk) vec(cache *Cache, i int) (*vector.Vector, error) {
	if c.grow != nil {
		return c.grow[i], nil
	}
	b, err := c.block(cache, i)
	if err != nil {
		return nil, err
	}
	return b.Vec, nil
}

// seal ends a chunk's growth. Its columns stay flat until encode.
func (c *chunk) seal(cache *Cache) {
	for i, v := range c.grow {
		b := column.NewBlock(column.Freeze(v))
		c.cols[i].block.Store(b)
		cache.bytes.Add(b.Bytes)
		cache.pinned.Add(b.Bytes)
	}
	c.grow = nil
}

// narrow makes the narrow blocks of a sealed chunk. It is safe beside everything.
func (c *chunk) narrow() []*column.Block {
	blocks := make([]*column.Block, len(c.cols))
	for i := range c.cols {
		blocks[i] = column.Encode(c.cols[i].block.Load().Vec)
	}
	return blocks
}

// install replaces the flat blocks by narrow ones. Readers of the flat ones keep them.
func (c *chunk) install(cache *Cache, blocks []*column.Block) {
	c.encoded = true
	if c.dead.Load() {
		return
	}
	for i, b := range blocks {
		old := c.cols[i].block.Swap(b)
		cache.bytes.Add(b.Bytes - old.Bytes)
		cache.pinned.Add(b.Bytes - old.Bytes)
	}
}

// settle says that the chunk lies in a segment, from which it can be read again.
func (c *chunk) settle(cache *Cache, p *place) {
	for i := range c.cols {
		if b := c.cols[i].block.Load(); b != nil {
			cache.pinned.Add(-b.Bytes)
		}
	}
	c.seg.Store(p)
	cache.register(c)
}

// zone is what is known of a column, by id; a column that the chunk lacks is NULL.
func (c *chunk) zone(id uint32) column.Zone {
	i := c.schema.Ordinal(id)
	if i < 0 {
		return column.Zone{Known: true, Nulls: c.rows}
	}
	if p := c.seg.Load(); p != nil {
		return p.file.Meta().ZoneOf(p.chunk, p.cols[i])
	}
	if b := c.cols[i].block.Load(); b != nil {
		return b.Zone
	}
	return column.Zone{}
}
