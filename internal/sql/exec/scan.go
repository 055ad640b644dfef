package exec

import (
	"errors"
	"sync/atomic"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/kernel"
	"github.com/millrace/millrace/internal/sql/plan"
)

// scanOp reads a table: workers take morsels from a counter.
type scanOp struct {
	node *plan.Scan
	cond *kernel.Condition // nil: all rows
}

func (q *query) compileScan(n *plan.Scan) (operator, error) {
	s := &scanOp{node: n}
	var err error
	if n.Filter != nil {
		s.cond, err = kernel.CompileCondition(n.Filter, ids(n.Out))
	}
	return s, err
}

func (s *scanOp) run(q *query, newSink func(int) (sink, error)) error {
	scan, err := s.node.Table.Scan(s.node.Ordinals, s.node.Bounds)
	if err != nil {
		return err
	}
	defer scan.Close()
	defer func() { q.rowsSkipped.Add(scan.Skipped()) }()
	var next atomic.Int64
	var stopped atomic.Bool
	workers := max(1, min(q.opt.Threads, scan.Morsels()))
	return q.parallel(workers, func(w int) error {
		to, err := newSink(w)
		if err != nil {
			return err
		}
		r := &scanWorker{q: q, scan: scan, next: &next, stopped: &stopped, to: to}
		if s.cond != nil {
			if r.filter, err = s.cond.NewFilter(q.env); err != nil {
				return err
			}
		}
		err = r.run()
		if errors.Is(err, errStop) {
			stopped.Store(true)
		}
		return err
	})
}

type scanWorker struct {
	q    *query
	scan catalog.Scan
	next *atomic.Int64
	// stopped says that another worker's consumer has enough.
	stopped *atomic.Bool
	to      sink
	filter  *kernel.Filter
	chunk   catalog.Chunk
	out     batch
	sel     []uint32
}

func (r *scanWorker) run() error {
	defer func() {
		if r.chunk.Release != nil {
			r.chunk.Release()
		}
	}()
	for {
		i := int(r.next.Add(1)) - 1
		if i >= r.scan.Morsels() {
			return r.to.close()
		}
		if r.stopped.Load() {
			return errStop
		}
		if err := r.q.check(); err != nil {
			return err
		}
		if err := r.scan.Morsel(r.q.ctx, i, &r.chunk); err != nil {
			return err
		}
		if err := r.morsel(); err != nil {
			return err
		}
	}
}

// morsel filters a chunk and pushes what is left in batches.
func (r *scanWorker) morsel() error {
	c := &r.chunk
	r.q.bytesRead.Add(c.Bytes)
	visible := c.Visible
	if visible != nil {
		r.q.rowsRead.Add(int64(visible.Count()))
	} else {
		r.q.rowsRead.Add(int64(c.Rows))
	}
	r.out.cols, r.out.chunk = c.Columns, r.q.nextChunk()
	rows := kernel.Rows{N: c.Rows}
	if r.filter != nil {
		r.filter.NewChunk()
		var err error
		if visible, err = r.filter.Chunk(c.Columns, c.Rows, visible, r.q.opt.BatchRows); err != nil {
			return err
		}
	}
	if visible != nil {
		if n := visible.Count(); n == 0 {
			return nil
		} else if n < c.Rows {
			r.sel = visible.AppendRows(r.sel[:0])
			rows = kernel.Rows{Sel: r.sel}
		}
	}
	return r.pushAll(rows)
}

func (r *scanWorker) pushAll(rows kernel.Rows) error {
	for lo := 0; lo < rows.Len(); lo += r.q.opt.BatchRows {
		if err := r.q.check(); err != nil {
			return err
		}
		r.out.rows = rows.Slice(lo, min(lo+r.q.opt.BatchRows, rows.Len()))
		if err := r.to.push(&r.out); err != nil {
			return err
		}
	}
	return nil
}
