package exec

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/vector"
)

// mergeAll makes one table, or one a partition of the hash when there are many groups.
func (op *aggregateOp) mergeAll(q *query, all *aggRuns, seed maphash.Seed) ([]*aggTable, error) {
	if len(all.runs) == 0 { // a source that had no worker
		t, err := op.newTable(seed)
		if err != nil {
			return nil, err
		}
		all.runs = append(all.runs, t)
	}
	if len(all.runs) == 1 && len(all.spread) == 0 {
		return all.runs, nil
	}
	total := 0
	for _, r := range all.runs {
		total += r.groups.groups()
	}
	bitsOf := 0
	if op.mergeable && len(op.node.GroupBy) > 0 && total > 4096 {
		bitsOf = bits.Len(uint(total / 8192))
		bitsOf = min(max(bitsOf, 2), 8)
	}
	if len(all.spread) > 0 {
		bitsOf = spreadBits
	}
	parts := make([]*aggTable, 1<<bitsOf)
	byPart := make([][][]uint32, len(all.runs))
	err := q.parallel(min(q.opt.Threads, len(all.runs)), func(w int) error {
		for i := w; i < len(all.runs); i += min(q.opt.Threads, len(all.runs)) {
			byPart[i] = partition(all.runs[i].groups.hashes, bitsOf)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var next atomic.Int64
	err = q.parallel(min(q.opt.Threads, len(parts)), func(int) error {
		for {
			p := int(next.Add(1)) - 1
			if p >= len(parts) {
				return nil
			}
			if err := q.check(); err != nil {
				return err
			}
			t, err := op.newTable(seed)
			if err != nil {
				return err
			}
			expected := 0 // rows that were spread are not counted: most may be of few groups
			for i := range all.runs {
				expected += len(byPart[i][p])
			}
			t.groups.expect(min(expected, total))
			for i, r := range all.runs {
				if err := t.mergeFrom(q, r, byPart[i][p]); err != nil {
					return err
				}
			}
			for _, sp := range all.spread {
				if sp.parts[p] == nil {
					continue
				}
				if err := t.addSpread(q, op, sp.parts[p]); err != nil {
					return err
				}
				sp.parts[p] = nil
			}
			parts[p] = t
		}
	})
	for _, r := range all.runs {
		_ = q.reserve(-r.held)
	}
	for _, sp := range all.spread {
		_ = q.reserve(-sp.held)
	}
	return parts, err
}

// partition lists groups by the top bits of their hash.
func partition(hashes []uint64, bitsOf int) [][]uint32 {
	counts := make([]int, 1<<bitsOf)
	for _, h := range hashes {
		counts[top(h, bitsOf)]++
	}
	all := make([]uint32, len(hashes))
	out := make([][]uint32, len(counts))
	at := 0
	for p, c := range counts {
		out[p] = all[at : at : at+c]
		at += c
	}
	for g, h := range hashes {
		p := top(h, bitsOf)
		out[p] = append(out[p], uint32(g))
	}
	return out
}

func top(h uint64, bitsOf int) uint64 { return h >> 1 >> (63 - uint(bitsOf)) }

// mergeFrom adds some groups of another table.
func (t *aggTable) mergeFrom(q *query, o *aggTable, from []uint32) error {
	to := make([]uint32, len(from))
	keys := o.groups.keys
	if o.groups.single && keys[0].Nulls == nil {
		for i, g := range from {
			to[i] = t.groups.findInt(o.groups.hashes[g], keys[0].Ints[g], false)
		}
	} else {
		for i, g := range from {
			to[i] = t.groups.findRow(o.groups.hashes[g], keys, int(g))
		}
	}
	if err := t.fit(q); err != nil {
		return err
	}
	for i, a := range t.aggs {
		if err := a.merge(o.aggs[i], from, to); err != nil {
			return err
		}
	}
	return nil
}

// emit pushes the groups, partitions in parallel.
func (op *aggregateOp) emit(q *query, parts []*aggTable, newSink func(int) (sink, error)) error {
	var next atomic.Int64
	return q.parallel(min(q.opt.Threads, len(parts)), func(w int) error {
		to, err := newSink(w)
		if err != nil {
			return err
		}
		for {
			p := int(next.Add(1)) - 1
			if p >= len(parts) {
				return to.close()
			}
			cols, n, err := parts[p].columns()
			if err != nil {
				return err
			}
			if err := q.pushAll(to, cols, n); err != nil {
				return err
			}
			_ = q.reserve(-parts[p].held)
			parts[p] = nil
		}
	})
}

func (t *aggTable) columns() ([]*vector.Vector, int, error) {
	cols := append([]*vector.Vector(nil), t.groups.keys...)
	for _, a := range t.aggs {
		v, err := a.result()
		if err != nil {
			return nil, 0, err
		}
		cols = append(cols, v)
	}
	return cols, t.groups.groups(), nil
}

// pushAll pushes n rows of columns in batches.
func (q *query) pushAll(to sink, cols []*vector.Vector, n int) error {
	chunk := q.nextChunk()
	for lo := 0; lo < n; lo += q.opt.BatchRows {
		if err := q.check(); err != nil {
			return err
		}
		rows := kernel.Rows{Lo: lo, N: min(q.opt.BatchRows, n-lo)}
		if err := to.push(&batch{cols: cols, rows: rows, chunk: chunk}); err != nil {
			return err
		}
	}
	return nil
}
