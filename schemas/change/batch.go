// Package change holds change batches: rows of one table that were inserted,
// updated or deleted, as columns, each with the position that did it.
package change

import (
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
)

// Op is what happened to a row. The numbers stand in file and message formats.
type Op uint8

// The operations.
const (
	// Insert carries a new row.
	Insert Op = 1
	// Update carries the row after the update, under an unchanged source key. It
	// also stands for "insert or replace".
	Update Op = 2
	// Delete carries the old row: its key columns, and the others where the
	// source has them (otherwise they are Absent).
	Delete Op = 3
	// Before carries the old row of the Update that follows it at the same
	// position. Capture sends it only for tables whose pipeline needs it. Of an
	// Insert that follows so, it is the key that the row had until then: a change of
	// key left values unsent, which the row under the old key has.
	Before Op = 4
)

// String gives the name of the operation.
func (o Op) String() string {
	return [...]string{"invalid", "insert", "update", "delete", "before"}[min(o, 5)%5]
}

// Batch is changes of one table, in position order within a partition. An update
// that changes the source key is a Delete of the old key and an Insert.
// The zero Batch with Table set is empty and may be appended to.
type Batch struct {
	Table   *schemas.Table
	Ops     []Op
	LSN     []schemas.LSN // end of the commit record
	Ordinal []uint32      // place within the transaction
	// Cols parallel Table.Columns; flat unless the producer says otherwise.
	Cols []*vector.Vector
	// Absent parallels Cols: rows whose value was not sent, because it is an
	// unchanged TOAST value (Update) or not in the old row's image (Delete,
	// Before). The vector holds NULL there. nil when every value was sent.
	Absent []vector.Bitmap
}

// New makes an empty batch with room for n rows.
func New(t *schemas.Table, n int) *Batch {
	b := &Batch{
		Table: t, Ops: make([]Op, 0, n), LSN: make([]schemas.LSN, 0, n), Ordinal: make([]uint32, 0, n),
		Cols: make([]*vector.Vector, len(t.Columns)), Absent: make([]vector.Bitmap, len(t.Columns)),
	}
	for i, c := range t.Columns {
		b.Cols[i] = vector.New(c.Type, n)
	}
	return b
}

// At is the position of change i, within the source and incarnation that the reader
// knows.
func (b *Batch) At(i int) schemas.Position {
	return schemas.Position{LSN: b.LSN[i], Ordinal: b.Ordinal[i]}
}

// Moved says whether the change at i is an Insert that comes with its old key.
func (b *Batch) Moved(i int) bool {
	return b.Ops[i] == Insert && b.paired(i)
}

// Paired says whether the Update at i comes with its old row.
func (b *Batch) Paired(i int) bool {
	return b.Ops[i] == Update && b.paired(i)
}

func (b *Batch) paired(i int) bool {
	return i > 0 && b.Ops[i-1] == Before && b.At(i-1) == b.At(i)
}

// Len is the number of changes.
func (b *Batch) Len() int { return len(b.Ops) }

// Append adds a change. Absent values are given by the bits of absent, one a
// column (nil for none); row holds NULL there.
func (b *Batch) Append(op Op, lsn schemas.LSN, ordinal uint32, row schemas.Row, absent vector.Bitmap) {
	n := len(b.Ops)
	b.Ops = append(b.Ops, op)
	b.LSN = append(b.LSN, lsn)
	b.Ordinal = append(b.Ordinal, ordinal)
	for i, c := range b.Cols {
		c.AppendValue(row[i])
		if absent.Get(i) {
			b.SetAbsent(i, n)
		}
	}
}

// AppendRows adds rows of another batch of the same table, copying them.
func (b *Batch) AppendRows(src *Batch, rows []uint32) {
	first := len(b.Ops)
	for _, r := range rows {
		b.Ops = append(b.Ops, src.Ops[r])
		b.LSN = append(b.LSN, src.LSN[r])
		b.Ordinal = append(b.Ordinal, src.Ordinal[r])
	}
	for c, v := range b.Cols {
		v.AppendRows(src.Cols[c], rows)
		if c >= len(src.Absent) || src.Absent[c] == nil {
			continue
		}
		for i, r := range rows {
			if src.IsAbsent(c, int(r)) {
				b.SetAbsent(c, first+i)
			}
		}
	}
}

// SetAbsent marks a row's value of a column as not sent.
func (b *Batch) SetAbsent(col, row int) {
	for len(b.Absent[col]) < vector.Words(row+1) {
		b.Absent[col] = append(b.Absent[col], 0)
	}
	b.Absent[col].Set(row)
}

// IsAbsent says whether a row's value of a column was not sent.
func (b *Batch) IsAbsent(col, row int) bool {
	m := b.Absent[col]
	return row>>6 < len(m) && m.Get(row)
}

// Row returns a change's values as a row; absent ones are NULL.
func (b *Batch) Row(i int) schemas.Row {
	row := make(schemas.Row, len(b.Cols))
	for c, v := range b.Cols {
		row[c] = v.Value(i)
	}
	return row
}

// Bytes estimates the memory of the batch.
func (b *Batch) Bytes() int64 {
	n := int64(len(b.Ops)) * 13
	for _, c := range b.Cols {
		n += c.Size()
	}
	return n
}

// Reset empties the batch for reuse.
func (b *Batch) Reset() {
	b.Ops, b.LSN, b.Ordinal = b.Ops[:0], b.LSN[:0], b.Ordinal[:0]
	for i, c := range b.Cols {
		c.Reset()
		b.Absent[i] = nil
	}
}
