package sstable

import (
	"sync"
	"sync/atomic"
)

const (
	cacheShards = 16
	// cacheOverhead is what an entry costs beside its content.
	cacheOverhead = 128
)

// Cache holds the content of blocks, by file and offset, under a byte budget.
// Eviction is CLOCK: a block used since the hand last passed stays.
type Cache struct {
	shards       [cacheShards]cacheShard
	hits, misses atomic.Int64
}

type cacheKey struct{ file, offset uint64 }

type cacheShard struct {
	sync.Mutex
	budget, bytes int
	blocks        map[cacheKey]*cacheEntry
	ring          []*cacheEntry
	hand          int
}

type cacheEntry struct {
	key     cacheKey
	content []byte
	used    bool
}

// NewCache makes a cache of so many bytes.
func NewCache(bytes int) *Cache {
	c := &Cache{}
	for i := range c.shards {
		c.shards[i].budget = bytes / cacheShards
		c.shards[i].blocks = map[cacheKey]*cacheEntry{}
	}
	return c
}

// Hits and Misses count lookups.
func (c *Cache) Hits() int64 { return c.hits.Load() }

// Misses counts lookups that had to read.
func (c *Cache) Misses() int64 { return c.misses.Load() }

// Bytes is what the cache holds.
func (c *Cache) Bytes() int64 {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.Lock()
		n += s.bytes
		s.Unlock()
	}
	return int64(n)
}

func (c *Cache) shard(k cacheKey) *cacheShard {
	h := (k.file*0x9E3779B97F4A7C15 + k.offset) * 0xD1B54A32D192ED03
	return &c.shards[h>>60]
}

func (c *Cache) get(k cacheKey) []byte {
	s := c.shard(k)
	s.Lock()
	e := s.blocks[k]
	if e == nil {
		s.Unlock()
		c.misses.Add(1)
		return nil
	}
	e.used = true
	content := e.content
	s.Unlock()
	c.hits.Add(1)
	return content
}

func (c *Cache) put(k cacheKey, content []byte) {
	s := c.shard(k)
	size := len(content) + cacheOverhead
	s.Lock()
	defer s.Unlock()
	if s.blocks[k] != nil || size > s.budget {
		return
	}
	for s.bytes+size > s.budget {
		s.evict()
	}
	e := &cacheEntry{key: k, content: content}
	s.blocks[k] = e
	s.ring = append(s.ring, e)
	s.bytes += size
}

// evict removes the first block under the hand that was not used since it passed.
func (s *cacheShard) evict() {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if e.used {
			e.used = false
			s.hand++
			continue
		}
		last := len(s.ring) - 1
		s.ring[s.hand], s.ring[last] = s.ring[last], nil
		s.ring = s.ring[:last]
		delete(s.blocks, e.key)
		s.bytes -= len(e.content) + cacheOverhead
		return
	}
}
