package table

import (
	"context"
	"fmt"
	"sort"

	"github.com/millrace/millrace/columnstore/column"
	"github.com/millrace/millrace/columnstore/pkindex"
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/internal/vector"
)

// Policy says which segments are merged.
type Policy struct {
	// SmallRows: a segment with fewer live rows is small. SmallSegments: so many
	// small ones are merged into one.
	SmallRows     int64
	SmallSegments int
	// DeadShare: a segment with a larger share of deleted rows is rewritten alone.
	DeadShare float64
	// MaxRows limits the rows of one merge.
	MaxRows int64
}

// Compaction merges some segments of a table into one. Pick it and Install it as
// the one who changes the table; Run beside everything else.
type Compaction struct {
	t       *Table
	version uint64 // rows deleted up to it are left out
	schema  *View
	chunks  []*chunk
	dels    []*deletes

	next   []*chunk        // the merged chunks
	origin [][]pkindex.Ref // per merged chunk: where each row was
	moved  map[uint32][]pkindex.Ref
	hashes [][]uint64
	step   int // merged chunks whose rows the index names already
}

// Pick chooses segments to merge at a version, which must stay pinned until
// Install, or returns nil. force picks all segments when there are two or any
// deleted row.
func (t *Table) Pick(version uint64, p Policy, force bool) *Compaction {
	if len(t.forward) > 0 {
		return nil
	}
	var small, chosen []run
	var smallRows int64
	for _, r := range t.runs() {
		switch {
		case force:
			if smallRows+r.live <= p.MaxRows {
				small, smallRows = append(small, r), smallRows+r.live
			}
		case float64(r.rows-r.live) > p.DeadShare*float64(r.rows) && r.live <= p.MaxRows:
			chosen = []run{r}
		case r.live < p.SmallRows && smallRows+r.live <= p.MaxRows:
			small, smallRows = append(small, r), smallRows+r.live
		}
	}
	if len(small) >= max(2, p.SmallSegments) || force && (len(small) >= 2 || len(small) == 1 && small[0].live < small[0].rows) {
		chosen = small
	}
	if chosen == nil {
		return nil
	}
	m := &Compaction{t: t, version: version, schema: t.View(version)}
	for _, r := range chosen {
		for _, c := range r.chunks {
			m.chunks, m.dels = append(m.chunks, c), append(m.dels, c.del.Load())
		}
	}
	return m
}

// run is the chunks of one segment.
type run struct {
	chunks     []*chunk
	rows, live int64
}

func (t *Table) runs() []run {
	var out []run
	var last *segment.File
	for _, c := range t.order {
		p := c.seg.Load()
		if p == nil {
			last = nil
			continue
		}
		if p.file != last {
			out = append(out, run{})
			last = p.file
		}
		r := &out[len(out)-1]
		r.chunks = append(r.chunks, c)
		r.rows += int64(c.rows)
		r.live += int64(c.rows - c.del.Load().total())
	}
	return out
}

// Run reads the chosen segments and writes the merged one. It returns the file, or
// nil when no row is left.
func (m *Compaction) Run(ctx context.Context, pool *segment.Pool, name func() (uint64, string)) (*segment.Meta, error) {
	chunks, err := m.merge(ctx)
	if err != nil || len(chunks) == 0 {
		return nil, err
	}
	id, file := name()
	meta, err := segment.Write(pool.FS, pool.Dir, file, m.schema.schema, chunks)
	if err != nil {
		return nil, err
	}
	meta.ID = id
	f := pool.Open(meta)
	for i, c := range chunks {
		n := &chunk{schema: m.schema.schema, rows: c.Rows, cols: make([]slot, len(c.Cols)), encoded: true}
		n.del.Store(&deletes{})
		for j, b := range c.Cols {
			n.cols[j].block.Store(b)
		}
		n.seg.Store(&place{file: f, chunk: i, cols: identity(len(c.Cols))})
		m.next = append(m.next, n)
		m.hashes = append(m.hashes, m.hash(c))
	}
	return meta, nil
}

func (m *Compaction) hash(c segment.Chunk) []uint64 {
	if len(m.t.keys) == 0 {
		return nil
	}
	cols := make([]*vector.Vector, len(m.schema.schema.Key))
	for k, ord := range m.schema.schema.KeyOrdinals() {
		cols[k] = c.Cols[ord].Vec
	}
	out := make([]uint64, c.Rows)
	column.HashKeys(out, cols)
	return out
}

// merge gathers the rows that live at the version.
func (m *Compaction) merge(ctx context.Context) ([]segment.Chunk, error) {
	b := &merger{view: m.schema}
	var sel []uint32
	for i, c := range m.chunks {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		sel = sel[:0]
		dead := m.dels[i].at(m.version)
		for r := range c.rows {
			if !dead.Get(r) {
				sel = append(sel, uint32(r))
			}
		}
		if err := b.add(c, sel); err != nil {
			return nil, err
		}
	}
	b.seal()
	m.origin = b.origin
	m.moved = make(map[uint32][]pkindex.Ref, len(m.chunks))
	return b.out, nil
}

// merger grows merged chunks.
type merger struct {
	view   *View
	grow   []*vector.Vector
	from   []pkindex.Ref
	bytes  int64
	out    []segment.Chunk
	origin [][]pkindex.Ref
}

func (b *merger) add(c *chunk, sel []uint32) error {
	for len(sel) > 0 {
		if b.grow == nil {
			for _, col := range b.view.schema.Columns {
				b.grow = append(b.grow, vector.New(col.Type, 0))
			}
		}
		part := sel[:min(len(sel), column.MaxRows-len(b.from), 8<<10)]
		b.bytes = 0
		for i, col := range b.view.schema.Columns {
			v, _, err := b.view.column(&entry{c: c, rows: c.rows}, col)
			if err != nil {
				return err
			}
			column.Append(b.grow[i], v, part)
			b.bytes += b.grow[i].Size()
		}
		for _, r := range part {
			b.from = append(b.from, pkindex.MakeRef(c.id, int(r)))
		}
		sel = sel[len(part):]
		if len(b.from) == column.MaxRows || b.bytes >= maxChunkBytes {
			b.seal()
		}
	}
	return nil
}

func (b *merger) seal() {
	if len(b.from) == 0 {
		return
	}
	c := segment.Chunk{Rows: len(b.from)}
	for _, v := range b.grow {
		c.Cols = append(c.Cols, column.Encode(v))
	}
	b.out, b.origin = append(b.out, c), append(b.origin, b.from)
	b.grow, b.from = nil, nil
}

// Install replaces the chosen chunks by the merged ones in the newest version,
// with the deletes that came since. The table's content does not change: the
// caller makes a new view of the same version. It fails when the table was
// truncated or altered on the way; the merged file is then unused.
func (m *Compaction) Install() error {
	t := m.t
	for _, c := range m.chunks {
		if c.dead.Load() {
			return fmt.Errorf("table %s was truncated during a merge", t.schema.FullName())
		}
	}
	for i, n := range m.next {
		id, err := t.newChunk()
		if err != nil {
			return err
		}
		n.id = id.id
		t.chunks[n.id] = n
		for row, from := range m.origin[i] {
			m.forward(from, pkindex.MakeRef(n.id, row))
		}
	}
	m.replayDeletes()
	m.splice()
	for _, n := range m.next {
		for j := range n.cols {
			t.cache.bytes.Add(n.cols[j].block.Load().Bytes)
		}
		t.cache.register(n)
	}
	for _, c := range m.chunks {
		c.dead.Store(true)
		t.cache.forget(c)
		t.chunks[c.id] = nil
		if len(t.keys) > 0 {
			t.forward[c.id] = m.moved[c.id]
		}
	}
	return nil
}

func (m *Compaction) forward(from, to pkindex.Ref) {
	list := m.moved[from.Chunk()]
	if list == nil {
		list = make([]pkindex.Ref, column.MaxRows)
		for i := range list {
			list[i] = noRef
		}
		m.moved[from.Chunk()] = list
	}
	list[from.Row()] = to
}

// replayDeletes carries over what was deleted after the version.
func (m *Compaction) replayDeletes() {
	later := map[uint32][]deletion{}
	for _, c := range m.chunks {
		d := c.del.Load()
		for _, e := range d.log[d.upTo(m.version):] {
			to := m.moved[c.id][e.row]
			later[to.Chunk()] = append(later[to.Chunk()], deletion{e.version, uint32(to.Row())})
		}
	}
	for _, n := range m.next {
		log := later[n.id]
		sort.SliceStable(log, func(i, j int) bool { return log[i].version < log[j].version })
		n.del.Store(&deletes{log: log})
	}
}

// splice puts the merged chunks where the first of the chosen stood.
func (m *Compaction) splice() {
	gone := make(map[*chunk]bool, len(m.chunks))
	for _, c := range m.chunks {
		gone[c] = true
	}
	var order []*chunk
	for _, c := range m.t.order {
		if c == m.chunks[0] {
			order = append(order, m.next...)
		}
		if !gone[c] {
			order = append(order, c)
		}
	}
	m.t.order = order
}

// Reindex makes the index name the merged rows of one more chunk, as the one who
// changes the table, and says whether more are left. Until the last the index
// finds them through the old places.
func (m *Compaction) Reindex() (more bool) {
	t := m.t
	if m.step < len(m.next) && len(t.keys) > 0 {
		n := m.next[m.step]
		for row, from := range m.origin[m.step] {
			t.index.Move(m.hashes[m.step][row], from, pkindex.MakeRef(n.id, row))
		}
		m.step++
		if m.step < len(m.next) {
			return true
		}
	}
	for _, c := range m.chunks {
		delete(t.forward, c.id)
	}
	return false
}
