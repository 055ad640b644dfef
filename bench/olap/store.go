package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/millrace/millrace/bench/loader"
	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// own is a warehouse on disk with the tables, and a snapshot of it that is queried.
type own struct {
	dir   string
	store *columnstore.Store
	*columnstore.Snapshot
}

// openOwn loads the tables through the load protocol, writes them to segments and
// merges these, as the warehouse does by itself in time.
func openOwn(ctx context.Context, n int) (o *own, err error) {
	o = &own{}
	if o.dir, err = os.MkdirTemp("", "millrace-olap-"); err != nil {
		return nil, err
	}
	if o.store, err = columnstore.Open(columnstore.Options{Dir: o.dir}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(o.dir))
	}
	if err = o.load(ctx, n); err == nil {
		o.Snapshot, err = o.store.Snapshot(ctx, columnstore.At{})
	}
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *own) close() error {
	if o.Snapshot != nil {
		o.Snapshot.Close()
	}
	return errors.Join(o.store.Close(), os.RemoveAll(o.dir))
}

func (o *own) load(ctx context.Context, n int) error {
	l, lines, custs := loader.New(o.store), linesTable(), customersTable()
	if err := l.Begin(ctx, "1", false, lines, custs); err != nil {
		return err
	}
	const commit = 64 << 10 // rows
	b, words := change.New(lines, commit), comments()
	var err error
	flush := func() {
		if err == nil && b.Len() > 0 {
			err = l.Commit(ctx, b)
			b.Reset()
		}
	}
	generate(n, func(x *line) {
		appendLine(b, x, l.LSN, words)
		if b.Len() == commit {
			flush()
		}
	})
	flush()
	if err != nil {
		return err
	}
	c := change.New(custs, customers)
	for i := range customers {
		c.Append(change.Insert, l.LSN, uint32(i), schemas.Row{schemas.NewInt(schemas.Int32, int64(i)),
			schemas.NewText(regions[i%5]), schemas.NewText(fmt.Sprintf("Customer#%06d", i))}, nil)
	}
	if err := l.Commit(ctx, c); err != nil {
		return err
	}
	return errors.Join(o.store.Flush(ctx), o.store.Compact(ctx), o.store.Flush(ctx))
}

// appendLine adds a row to a batch of the lines table.
func appendLine(b *change.Batch, l *line, at schemas.LSN, words []string) {
	b.Ops, b.LSN, b.Ordinal = append(b.Ops, change.Insert), append(b.LSN, at), append(b.Ordinal, uint32(b.Len()))
	b.Cols[0].AppendInt(l.id)
	b.Cols[1].AppendInt(l.orderkey)
	b.Cols[2].AppendInt(int64(l.customer))
	for i, x := range []int64{l.quantity, l.price, l.discount, l.tax} {
		b.Cols[3+i].AppendDecimal(x, 2)
	}
	for i, s := range []string{flags[l.flag], states[l.state], statuses[l.status], modes[l.mode]} {
		b.Cols[7+i].AppendBytes([]byte(s))
	}
	b.Cols[11].AppendInt(int64(l.day))
	b.Cols[12].AppendBytes([]byte(words[l.comment]))
}
