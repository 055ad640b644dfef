package oltp

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/tuple"
	"github.com/millrace/millrace/schemas"
)

// Get returns the row of a key. It fails with ErrNotFound when there is none.
func (tx *Tx) Get(table string, key ...schemas.Value) (schemas.Row, error) {
	t, err := tx.readable(table)
	if err != nil {
		return nil, err
	}
	if key, err = t.fullKey(key); err != nil {
		return nil, err
	}
	tx.key = t.codec.AppendTuple(tx.key[:0], key)
	data, err := tx.current(t)
	switch {
	case err != nil:
		return nil, err
	case data == nil:
		return nil, ErrNotFound
	}
	return t.decode(data)
}

// current returns the row of tx.key as the transaction sees it, nil for none. It holds
// until the next call.
func (tx *Tx) current(t *table) ([]byte, error) {
	if tx.opts.ReadOnly {
		return tx.stored(t, tx.key)
	}
	hash := tx.db.hashKey(tx.key)
	if e := tx.writes.find(tx.key, hash); e != nil {
		return e.after, nil
	}
	row, err := tx.stored(t, tx.key)
	if err == nil && tx.writes.few() {
		// What is read is often written next: it need not be looked up again.
		e := tx.writes.add(t, tx.key, hash, row)
		e.after = e.before
		row = e.before
	}
	return row, err
}

func (tx *Tx) readable(name string) (*table, error) {
	if tx.done {
		return nil, ErrTxDone
	}
	return tx.db.catalog.Load().table(name)
}

func (t *table) decode(data []byte) (schemas.Row, error) {
	row, err := t.codec.Decode(make(schemas.Row, 0, len(t.def.Columns)), data)
	return row, corrupt("read row", err)
}

// Range says which rows a scan returns and in which order. The zero Range is the
// whole table in key order.
type Range struct {
	// From and To bound the key by its first columns, of which there may be fewer
	// than the key has: rows with From ≤ key ≤ To, where a key that begins with
	// the given values is equal to them. Empty is open.
	From, To []schemas.Value
	// FromExclusive and ToExclusive leave out the keys that are equal to the bound.
	FromExclusive, ToExclusive bool
	// Reverse returns the rows in descending key order.
	Reverse bool
	// Where keeps only the rows it is true for: a lookup by other columns than the
	// key. It must not keep the row. nil keeps all.
	Where func(schemas.Row) bool
	// Limit is the number of rows to return at most; 0 is all.
	Limit int
}

// Prefix is the range of the keys that begin with values.
func Prefix(values ...schemas.Value) Range { return Range{From: values, To: values} }

// bounds gives the keys [lower, upper) of a range.
func (t *table) bounds(r Range) (lower, upper []byte, err error) {
	if r.From, err = t.conformKey(r.From); err != nil {
		return nil, nil, err
	}
	if r.To, err = t.conformKey(r.To); err != nil {
		return nil, nil, err
	}
	if lower = t.codec.AppendTuple(nil, r.From); r.FromExclusive && len(r.From) > 0 {
		lower = tuple.Successor(nil, lower)
	}
	if upper = t.codec.AppendTuple(nil, r.To); !r.ToExclusive || len(r.To) == 0 {
		upper = tuple.Successor(nil, upper)
	}
	return lower, upper, nil
}

// Scan returns the rows of a range as the transaction sees them. Rows that the
// loop's body writes while it scans may or may not be seen with their new values;
// keys it adds are not. After an error, the last pair, the scan ends.
func (tx *Tx) Scan(table string, r Range) iter.Seq2[schemas.Row, error] {
	return func(yield func(schemas.Row, error) bool) {
		if err := tx.scan(table, r, yield); err != nil {
			yield(nil, err)
		}
	}
}

// scan returns nil also when yield wants no more.
func (tx *Tx) scan(name string, r Range, yield func(schemas.Row, error) bool) error {
	t, err := tx.readable(name)
	if err != nil {
		return err
	}
	lower, upper, err := t.bounds(r)
	if err != nil || lower == nil || upper != nil && bytes.Compare(lower, upper) >= 0 {
		return err
	}
	c := cursor{tx: tx, reverse: r.Reverse, written: tx.writes.inRange(lower, upper)}
	if !tx.writes.hasTruncated(t.id) {
		if c.it, err = tx.db.engine.Iterate(lower, upper, tx.snap.lsn); err != nil {
			return tx.db.readError("scan table "+t.def.FullName(), err)
		}
		defer c.it.Close()
	}
	for n := 0; r.Limit == 0 || n < r.Limit; {
		data, err := c.next(tx.ctx)
		if err != nil || data == nil {
			return tx.scanError(t, err)
		}
		row, err := t.decode(data)
		if err != nil {
			return err
		}
		if r.Where != nil && !r.Where(row) {
			continue
		}
		n++
		if !yield(row, nil) {
			return nil
		}
		if tx.done {
			return ErrTxDone
		}
	}
	return nil
}

func (tx *Tx) scanError(t *table, err error) error {
	if err == nil || schemas.CodeOf(err) == schemas.CodeCanceled {
		return err
	}
	return tx.db.readError("scan table "+t.def.FullName(), err)
}

// cursor merges an engine's iterator with the transaction's own writes.
type cursor struct {
	tx      *Tx
	it      kv.Iterator // nil for none
	reverse bool
	started bool
	advance bool    // the iterator's row was returned
	stored  bool    // the iterator stands on a row
	written []int32 // entries to come, in key order
	steps   int
}

// checkEvery is how many rows a scan passes between looks at its context.
const checkEvery = 256

// next returns the next row, nil at the end.
func (c *cursor) next(ctx context.Context) ([]byte, error) {
	for {
		if c.steps++; c.steps%checkEvery == 0 && ctx.Err() != nil {
			return nil, canceled(context.Cause(ctx))
		}
		if !c.started || c.advance {
			c.move(!c.started)
			c.started, c.advance = true, false
		}
		e := c.peek()
		switch order := c.compare(e); {
		case e == nil && !c.stored:
			return nil, c.err()
		case order < 0: // the stored row comes first
			c.advance = true // only with the next call: it ends the row's life
			return c.it.Value(), nil
		case order == 0: // the transaction wrote it
			c.move(false)
		}
		c.pop()
		if e.after != nil && !e.gone {
			return e.after, nil
		}
	}
}

// compare orders the stored row before (< 0) or after the entry in the scan's
// direction; what is missing comes last.
func (c *cursor) compare(e *entry) int {
	switch {
	case !c.stored:
		return 1
	case e == nil:
		return -1
	}
	order := bytes.Compare(c.it.Key(), e.key)
	if c.reverse {
		return -order
	}
	return order
}

func (c *cursor) move(first bool) {
	switch {
	case c.it == nil:
	case first && c.reverse:
		c.stored = c.it.Last()
	case first:
		c.stored = c.it.First()
	case c.reverse:
		c.stored = c.it.Prev()
	default:
		c.stored = c.it.Next()
	}
}

// err tells an iterator's failure from its end (I8).
func (c *cursor) err() error {
	if c.it == nil {
		return nil
	}
	if err := c.it.Err(); err != nil {
		return fmt.Errorf("iterate: %w", err)
	}
	return nil
}

func (c *cursor) peek() *entry {
	n := len(c.written)
	switch {
	case n == 0:
		return nil
	case c.reverse:
		return &c.tx.writes.entries[c.written[n-1]]
	}
	return &c.tx.writes.entries[c.written[0]]
}

func (c *cursor) pop() {
	if c.reverse {
		c.written = c.written[:len(c.written)-1]
	} else {
		c.written = c.written[1:]
	}
}
