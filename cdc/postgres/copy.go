package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// copyReader takes the binary COPY of a table (PostgreSQL's documentation of COPY,
// "Binary Format"): a header, then for each row the number of fields and for each
// field its length, -1 for NULL, and bytes; at the end -1.
type copyReader struct {
	copier *copier
	ctx    context.Context
	table  *table
	batch  *change.Batch
	carry  []byte // the beginning of what the next message goes on with
	header bool   // was read
	ended  bool
	rows   int64
	err    error
}

var copySignature = []byte("PGCOPY\n\xff\r\n\x00")

// Write takes a message of the copy. The server sends a row a message, but the
// protocol does not promise it.
func (r *copyReader) Write(p []byte) (int, error) {
	data := p
	if len(r.carry) > 0 {
		r.carry = append(r.carry, p...)
		data = r.carry
	}
	rest, err := r.take(data)
	if err != nil {
		r.err = err
		return 0, err
	}
	r.carry = append(r.carry[:0], rest...)
	return len(p), nil
}

// take reads whole rows and returns the rest.
func (r *copyReader) take(b []byte) ([]byte, error) {
	if !r.header {
		const fixed = 19
		if len(b) < fixed {
			return b, nil
		}
		ext := int(binary.BigEndian.Uint32(b[15:]))
		if !bytes.HasPrefix(b, copySignature) || ext > 1<<20 {
			return nil, r.malformed()
		}
		if len(b) < fixed+ext {
			return b, nil
		}
		b, r.header = b[fixed+ext:], true
	}
	for len(b) >= 2 && !r.ended {
		n := int(int16(binary.BigEndian.Uint16(b)))
		if n == -1 {
			b, r.ended = b[2:], true
			break
		}
		if n != len(r.table.columns) {
			return nil, r.malformed()
		}
		size, whole := rowSize(b, n)
		if !whole {
			return b, nil
		}
		if err := r.row(b[2:size]); err != nil {
			return nil, err
		}
		b = b[size:]
	}
	return b, nil
}

// rowSize gives the bytes of a row of n fields, and whether b holds all of it.
func rowSize(b []byte, n int) (int, bool) {
	at := 2
	for range n {
		if at+4 > len(b) {
			return 0, false
		}
		if size := int32(binary.BigEndian.Uint32(b[at:])); size > 0 {
			at += int(size)
		}
		at += 4
	}
	return at, at <= len(b)
}

// row appends a row, which is whole.
func (r *copyReader) row(b []byte) error {
	for i, col := range r.table.columns {
		size := int32(binary.BigEndian.Uint32(b))
		b = b[4:]
		if size < 0 {
			r.batch.Cols[i].AppendNull()
			continue
		}
		if err := appendBinary(r.batch.Cols[i], b[:size]); err != nil {
			return valueError(r.table, col, err)
		}
		b = b[size:]
	}
	if r.rows > math.MaxUint32 {
		return schemas.Errorf(schemas.CodeTooLarge, "54000", "table %s has more than 2^32 rows", r.table.fullName())
	}
	r.batch.Ops = append(r.batch.Ops, change.Insert)
	r.batch.LSN = append(r.batch.LSN, r.copier.at)
	r.batch.Ordinal = append(r.batch.Ordinal, uint32(r.rows))
	r.rows++
	if n := r.batch.Len(); n >= snapshotRows || n%64 == 0 && r.batch.Bytes() >= snapshotBytes {
		return r.flush()
	}
	return nil
}

// flush hands the chunk over and waits until its batch is free again.
func (r *copyReader) flush() error {
	chunk := &copied{batch: r.batch, done: make(chan struct{}),
		state: load.Snapshot{Table: r.table.fullName(), RowsDone: r.rows, RowsTotal: max(r.table.estimatedRows, r.rows)}}
	select {
	case r.copier.full <- chunk:
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	}
	<-chunk.done
	r.copier.source.metrics.snapshotRows.Add(float64(r.batch.Len()))
	r.batch.Reset()
	return nil
}

func (r *copyReader) malformed() error {
	return schemas.Errorf(schemas.CodeSource, "08P01", "read table %s: PostgreSQL sent a copy of another shape", r.table.fullName())
}

// valueError says which column's value could not be taken.
func valueError(t *table, c *column, err error) error {
	return &schemas.Error{Code: schemas.CodeUnsupported, SQLState: "22000", Err: err,
		Message: "column " + t.fullName() + "." + c.name + " holds a value that cannot be captured",
		Hint:    "change the value or publish the table without the column, and resync"}
}
