package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/jackc/pglogrepl"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// Batches are handed over at batchRows rows or batchBytes.
const (
	batchRows  = 4096
	batchBytes = 1 << 20
)

// field is a value in a message: how it is sent, and its bytes.
type field struct {
	form byte // n NULL, u unchanged TOAST value that was not sent, t text, b binary
	data []byte
}

// decoder turns the messages of pgoutput (PostgreSQL's documentation, "Logical
// Replication Message Formats") into batches. It copies values straight from the
// message into vectors.
type decoder struct {
	feeds     map[uint32]*feed // by oid; of the captured tables
	old, new  []field          // scratch
	lsn       schemas.LSN      // where the transaction ends
	ordinal   uint64
	hand      func(context.Context, *feed) error
	barrier   func(context.Context, load.Barrier) error
	unhandled int // changes since the last progress
}

// message takes one message of a transaction, in order.
func (d *decoder) message(ctx context.Context, m []byte) error {
	switch m[0] {
	case 'I', 'U', 'D':
		return d.row(ctx, m)
	case 'R':
		r, ok := parseRelation(m[1:])
		if !ok {
			return malformed("relation")
		}
		if f := d.feeds[r.RelationID]; f != nil {
			return f.relation(r)
		}
		return d.recreated(r)
	case 'T':
		return d.truncate(ctx, m)
	}
	return nil // type and origin messages, which say nothing that is needed
}

// recreated catches a table that was dropped and made anew under a captured name.
func (d *decoder) recreated(r *pglogrepl.RelationMessage) error {
	for _, f := range d.feeds {
		if f.table.namespace == r.Namespace && f.table.name == r.RelationName {
			return changed(f.table, "it was dropped and made anew")
		}
	}
	return nil
}

func malformed(what string) error {
	return schemas.Errorf(schemas.CodeSource, "08P01", "PostgreSQL sent a %s message of another shape", what)
}

// row takes an insert, update or delete.
func (d *decoder) row(ctx context.Context, m []byte) error {
	if len(m) < 6 {
		return malformed("row")
	}
	f := d.feeds[binary.BigEndian.Uint32(m[1:])]
	if f == nil {
		return nil // not captured
	}
	if !f.ready {
		return malformed("row before its relation")
	}
	op, b := m[0], m[5:]
	var err error
	d.old, d.new = d.old[:0], d.new[:0]
	var oldForm byte
	if b[0] == 'K' || b[0] == 'O' {
		oldForm = b[0]
		if d.old, b, err = fields(d.old, b[1:], len(f.at)); err != nil {
			return err
		}
	}
	if op != 'D' {
		if len(b) == 0 || b[0] != 'N' {
			return malformed("row")
		}
		if d.new, _, err = fields(d.new, b[1:], len(f.at)); err != nil {
			return err
		}
	}
	if op != 'I' && f.table.keyless() {
		return appendOnly(f.table, op)
	}
	switch op {
	case 'I':
		err = d.insert(f)
	case 'D':
		err = d.delete(f, oldForm)
	case 'U':
		err = d.update(f, oldForm)
	}
	if err != nil {
		return err
	}
	if n := f.batch.Len(); n >= batchRows || n%64 == 0 && f.batch.Bytes() >= batchBytes {
		return d.hand(ctx, f)
	}
	return nil
}

func appendOnly(t *table, op byte) error {
	what := "UPDATE"
	if op == 'D' {
		what = "DELETE"
	}
	e := schemas.Errorf(schemas.CodeSource, "55000", "%s in table %s, which has no primary key and is captured append-only", what, t.fullName())
	e.Hint = "give the table a primary key (ALTER TABLE " + t.quoted() + " ADD PRIMARY KEY …) or take it out of the pipeline, and resync"
	return e
}

// fields takes a tuple apart and returns the rest of the message.
func fields(dst []field, b []byte, want int) ([]field, []byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != want {
		return dst, nil, malformed("tuple")
	}
	b = b[2:]
	for range want {
		if len(b) == 0 {
			return dst, nil, malformed("tuple")
		}
		form := b[0]
		b = b[1:]
		if form == 'n' || form == 'u' {
			dst = append(dst, field{form: form})
			continue
		}
		if len(b) < 4 {
			return dst, nil, malformed("tuple")
		}
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-4 || form != 't' && form != 'b' {
			return dst, nil, malformed("tuple")
		}
		dst = append(dst, field{form: form, data: b[4 : 4+n]})
		b = b[4+n:]
	}
	return dst, b, nil
}

func (d *decoder) insert(f *feed) error {
	ord, err := d.next()
	if err != nil {
		return err
	}
	return d.emit(f, change.Insert, ord, d.new, false)
}

// delete emits the old row: its key, or all of it under REPLICA IDENTITY FULL.
func (d *decoder) delete(f *feed, oldForm byte) error {
	if oldForm == 0 {
		return malformed("delete")
	}
	ord, err := d.next()
	if err != nil {
		return err
	}
	return d.emit(f, change.Delete, ord, d.old, oldForm == 'K')
}

// update emits the new row. An old row comes with it when the key changed, when a
// key value is TOASTed, or always under REPLICA IDENTITY FULL.
func (d *decoder) update(f *feed, oldForm byte) error {
	moved := false
	if oldForm != 0 {
		for i := range d.new {
			// The old image holds what the new one did not send again.
			if d.new[i].form == 'u' && (oldForm == 'O' || f.key[i]) {
				d.new[i] = d.old[i]
			}
			if f.key[i] && (d.old[i].form != d.new[i].form || !bytes.Equal(d.old[i].data, d.new[i].data)) {
				moved = true
			}
		}
	}
	ord, err := d.next()
	if err != nil {
		return err
	}
	if !moved {
		if f.table.before && oldForm == 'O' {
			if err := d.emit(f, change.Before, ord, d.old, false); err != nil {
				return err
			}
		}
		return d.emit(f, change.Update, ord, d.new, false)
	}
	if err := d.emit(f, change.Delete, ord, d.old, oldForm == 'K'); err != nil {
		return err
	}
	if ord, err = d.next(); err != nil {
		return err
	}
	if d.unsent(f) {
		if err := d.emit(f, change.Before, ord, d.old, true); err != nil {
			return err
		}
	}
	return d.emit(f, change.Insert, ord, d.new, false)
}

// unsent says whether the new row lacks a captured value.
func (d *decoder) unsent(f *feed) bool {
	for i := range d.new {
		if d.new[i].form == 'u' && f.at[i] >= 0 {
			return true
		}
	}
	return false
}

// next gives the ordinal of a change. A key change takes two.
func (d *decoder) next() (uint32, error) {
	if d.ordinal > math.MaxUint32 {
		return 0, schemas.Errorf(schemas.CodeTooLarge, "54000", "the transaction that ends at %s has more than 2^32 changes", d.lsn)
	}
	d.ordinal++
	return uint32(d.ordinal - 1), nil
}

// emit appends a row. Of an image that holds only the key, the rest is absent.
func (d *decoder) emit(f *feed, op change.Op, ord uint32, row []field, keyOnly bool) error {
	b := f.batch
	n := len(b.Ops)
	for i := range row {
		at := f.at[i]
		if at < 0 {
			continue
		}
		v := b.Cols[at]
		switch form := row[i].form; {
		case form == 'u' || keyOnly && !f.key[i]:
			v.AppendNull()
			b.SetAbsent(at, n)
		case form == 'n':
			v.AppendNull()
		default:
			if err := appendField(v, row[i]); err != nil {
				return valueError(f.table, f.table.columns[at], err)
			}
		}
	}
	b.Ops = append(b.Ops, op)
	b.LSN = append(b.LSN, d.lsn)
	b.Ordinal = append(b.Ordinal, ord)
	d.unhandled++
	return nil
}

// appendField adds a value. What the server prints as text or jsonb is canonical
// already.
func appendField(v *vector.Vector, f field) error {
	if f.form == 'b' {
		return appendBinary(v, f.data)
	}
	switch v.Type.Kind {
	case schemas.Text, schemas.Varchar, schemas.JSONB:
		v.AppendBytes(f.data)
		return nil
	case schemas.Char:
		v.AppendBytes(unpad(v.Type, f.data))
		return nil
	}
	return pgtext.AppendTo(v, f.data)
}

// truncate emits a barrier for each captured table of a TRUNCATE.
func (d *decoder) truncate(ctx context.Context, m []byte) error {
	if len(m) < 6 {
		return malformed("truncate")
	}
	n := int(binary.BigEndian.Uint32(m[1:]))
	if len(m) != 6+4*n {
		return malformed("truncate")
	}
	for i := range n {
		f := d.feeds[binary.BigEndian.Uint32(m[6+4*i:])]
		if f == nil {
			continue
		}
		ord, err := d.next()
		if err != nil {
			return err
		}
		if err := d.barrier(ctx, load.Barrier{LSN: d.lsn, Ordinal: ord, Table: f.table.fullName(), Kind: load.BarrierTruncate}); err != nil {
			return fmt.Errorf("hand over TRUNCATE of %s: %w", f.table.fullName(), err)
		}
		d.unhandled++
	}
	return nil
}
