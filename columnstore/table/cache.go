package table

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/columnstore/column"
)

// Cache counts the memory of column blocks and drops those that a segment can give
// back, least recently used first, once they exceed a budget. Readers keep what
// they hold: dropping only forgets.
type Cache struct {
	budget int64
	bytes  atomic.Int64 // every resident block
	pinned atomic.Int64 // of those, the ones not yet in a segment
	reads  atomic.Int64 // bytes read from segments

	mu struct {
		sync.Mutex
		chunks []*chunk // in segments, in clock order
		hand   int
	}
}

// NewCache makes a cache that aims at a budget in bytes.
func NewCache(budget int64) *Cache { return &Cache{budget: budget} }

// Bytes is the memory of all resident blocks; Pinned of those that are in no segment yet.
func (c *Cache) Bytes() int64  { return c.bytes.Load() }
func (c *Cache) Pinned() int64 { return c.pinned.Load() }

// Read is how many bytes were read from segments so far.
func (c *Cache) Read() int64 { return c.reads.Load() }

// slot is the place of one column of one chunk.
type slot struct {
	block atomic.Pointer[column.Block]
	used  atomic.Bool
}

// register makes a chunk's blocks droppable.
func (c *Cache) register(ch *chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch.at = len(c.mu.chunks)
	c.mu.chunks = append(c.mu.chunks, ch)
}

// forget takes out a chunk that no newer view has, and drops its blocks: nobody will
// ask for them but snapshots that are open now, and those can read the segment.
func (c *Cache) forget(ch *chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.mu.chunks) - 1
	c.mu.chunks[ch.at] = c.mu.chunks[last]
	c.mu.chunks[ch.at].at = ch.at
	c.mu.chunks[last] = nil
	c.mu.chunks = c.mu.chunks[:last]
	ch.drop(c)
}

// shrink drops blocks until the budget holds or nothing more can go.
func (c *Cache) shrink() {
	if c.bytes.Load() <= c.budget {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Three rounds: the first clears marks, the second drops what was not used
	// since, the third takes the columns that keys are verified against too.
	for round := range 3 {
		for range len(c.mu.chunks) {
			if c.bytes.Load() <= c.budget {
				return
			}
			if c.mu.hand >= len(c.mu.chunks) {
				c.mu.hand = 0
			}
			c.mu.chunks[c.mu.hand].sweep(c, round == 2)
			c.mu.hand++
		}
	}
}

// sweep gives every column a second chance.
func (ch *chunk) sweep(c *Cache, keys bool) {
	for i := range ch.cols {
		s := &ch.cols[i]
		if s.used.Swap(false) || !keys && ch.schema.IsKey(ch.schema.Columns[i].ID) {
			continue
		}
		if b := s.block.Swap(nil); b != nil {
			c.bytes.Add(-b.Bytes)
		}
	}
}

// drop forgets all columns of a chunk that lies in a segment.
func (ch *chunk) drop(c *Cache) {
	for i := range ch.cols {
		if b := ch.cols[i].block.Swap(nil); b != nil {
			c.bytes.Add(-b.Bytes)
		}
	}
}
