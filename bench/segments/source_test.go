// Package segments tests that another engine reads the warehouse's Parquet files:
// DuckDB, with the exported deletion bitmaps applied, finds every value that the
// warehouse's own query finds.
package segments

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/bench/loader"
	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// source is a pipeline that loads committed changes into a store of its own.
type source struct {
	t       *testing.T
	dir     string
	store   *columnstore.Store
	loader  *loader.Loader
	ordinal uint32
}

func newSource(t *testing.T, tables ...*schemas.Table) *source {
	s := &source{t: t, dir: t.TempDir()}
	s.open()
	t.Cleanup(func() { s.check(s.store.Close()) })
	s.loader = loader.New(s.store)
	s.check(s.loader.Begin(context.Background(), "1", false, tables...))
	return s
}

func (s *source) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// open opens the store without background work, so that files change only when asked.
func (s *source) open() {
	s.t.Helper()
	var err error
	s.store, err = columnstore.Open(columnstore.Options{Dir: s.dir, Manual: true, MemoryBudget: 512 << 20})
	s.check(err)
}

func (s *source) reopen() {
	s.t.Helper()
	s.check(s.store.Close())
	s.open()
	s.check(s.loader.Reopened(context.Background(), s.store))
}

// add appends a change at the position of the next commit.
func (s *source) add(b *change.Batch, op change.Op, row schemas.Row) {
	b.Append(op, s.loader.LSN, s.ordinal, row, nil)
	s.ordinal++
}

// commit loads the batches as one transaction and waits until it is visible.
func (s *source) commit(batches ...*change.Batch) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.check(s.loader.Commit(ctx, batches...))
	s.ordinal = 0
}
