package oltp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/schemas"
)

// Insert adds a row, its values in the order of the table's columns. It fails with
// CodeConstraint: 23505 when the table has the key, 23502 for a NULL that is
// not allowed; and with type_error, out_of_range or invalid_text for a value that
// the column does not hold exactly. A failed write changes nothing, and the
// transaction may go on.
func (tx *Tx) Insert(table string, row schemas.Row) error {
	e, t, row, err := tx.entryOf(table, row)
	if err != nil {
		return err
	}
	if e.after != nil {
		return duplicateKey(t, t.keyText(row))
	}
	return tx.put(e, t, row)
}

// Upsert adds a row or replaces the one with its key.
func (tx *Tx) Upsert(table string, row schemas.Row) error {
	e, t, row, err := tx.entryOf(table, row)
	if err != nil {
		return err
	}
	return tx.put(e, t, row)
}

// Update replaces the row that has the given row's key. It fails with ErrNotFound
// when there is none.
func (tx *Tx) Update(table string, row schemas.Row) error {
	e, t, row, err := tx.entryOf(table, row)
	if err != nil {
		return err
	}
	if e.after == nil {
		return ErrNotFound
	}
	return tx.put(e, t, row)
}

// UpdateKey replaces the row of a key by one that may have another key: a deletion
// and an insertion then. It fails with ErrNotFound when there is no row of the old
// key, and with 23505 when there is one of the new key.
func (tx *Tx) UpdateKey(table string, key []schemas.Value, row schemas.Row) error {
	t, row, err := tx.target(table, row)
	if err != nil {
		return err
	}
	same := true
	ords := t.codec.KeyOrdinals()
	if key, err = t.fullKey(key); err != nil {
		return err
	}
	old := make(schemas.Row, len(t.def.Columns))
	for i, ord := range ords {
		old[ord] = key[i]
		same = same && key[i] == row[ord]
	}
	if same {
		return tx.Update(table, row)
	}
	e, err := tx.entry(t) // of the new key, which target left in tx.key
	if err != nil {
		return err
	}
	taken := e.after != nil
	tx.key = t.codec.AppendKey(tx.key[:0], old)
	if slices.Equal(tx.key, e.key) {
		return tx.Update(table, row) // equal though written differently, 1.0 and 1.00
	}
	o, err := tx.entry(t)
	switch {
	case err != nil:
		return err
	case o.after == nil:
		return ErrNotFound
	case taken:
		return duplicateKey(t, t.keyText(row))
	}
	o.after, o.written = nil, true
	tx.key = t.codec.AppendKey(tx.key[:0], row)
	if e, err = tx.entry(t); err != nil { // again: entries move
		return err
	}
	return tx.put(e, t, row)
}

// entryOf is the entry of a row's key, and the row in the table's own types.
func (tx *Tx) entryOf(name string, row schemas.Row) (*entry, *table, schemas.Row, error) {
	t, row, err := tx.target(name, row)
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := tx.entry(t)
	return e, t, row, err
}

// Delete removes the row of a key. It fails with ErrNotFound when there is none.
func (tx *Tx) Delete(table string, key ...schemas.Value) error {
	t, err := tx.writable(table)
	if err != nil {
		return err
	}
	if key, err = t.fullKey(key); err != nil {
		return err
	}
	tx.key = t.codec.AppendTuple(tx.key[:0], key)
	e, err := tx.entry(t)
	if err != nil {
		return err
	}
	if e.after == nil {
		return ErrNotFound
	}
	e.after, e.written = nil, true
	return nil
}

// Truncate removes every row of a table. It conflicts with every transaction that
// writes to the table at the same time. Its commit takes time with the number of
// rows, and holds up other commits meanwhile.
func (tx *Tx) Truncate(table string) error {
	t, err := tx.writable(table)
	if err != nil {
		return err
	}
	tx.writes.truncate(t.id)
	return nil
}

func (tx *Tx) writable(name string) (*table, error) {
	switch {
	case tx.done:
		return nil, ErrTxDone
	case tx.opts.ReadOnly:
		return nil, ErrReadOnly
	}
	return tx.db.catalog.Load().table(name)
}

// target checks a row and leaves its key in tx.key.
func (tx *Tx) target(name string, row schemas.Row) (*table, schemas.Row, error) {
	t, err := tx.writable(name)
	if err != nil {
		return nil, nil, err
	}
	if row, err = t.conform(row); err != nil {
		return nil, nil, err
	}
	tx.key = t.codec.AppendKey(tx.key[:0], row)
	return t, row, nil
}

// fullKey checks the values of a whole key.
func (t *table) fullKey(key []schemas.Value) ([]schemas.Value, error) {
	if len(key) != len(t.def.Key) {
		return nil, schemas.Errorf(schemas.CodeType, "42601", "the key of table %s has %d columns, %d values were given", t.def.FullName(), len(t.def.Key), len(key))
	}
	return t.conformKey(key)
}

// entry returns the write set's entry for tx.key, made when missing. It stays valid
// until the next call.
func (tx *Tx) entry(t *table) (*entry, error) {
	hash := tx.db.hashKey(tx.key)
	if e := tx.writes.find(tx.key, hash); e != nil {
		return e, nil
	}
	before, err := tx.stored(t, tx.key)
	if err != nil {
		return nil, err
	}
	if err := tx.room(len(tx.key) + len(before)); err != nil {
		return nil, err
	}
	e := tx.writes.add(t, tx.key, hash, before)
	e.after = e.before
	return e, nil
}

// stored returns the row of a key at the snapshot, nil when there is none. It holds
// until the next call.
func (tx *Tx) stored(t *table, key []byte) ([]byte, error) {
	if tx.writes.hasTruncated(t.id) {
		return nil, nil
	}
	row, err := tx.db.engine.Get(tx.old[:0], key, tx.snap.lsn)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, tx.db.readError("read row", fmt.Errorf("table %s: %w", t.def.FullName(), err))
	}
	tx.old = row
	return row, nil
}

// put makes a row the entry's.
func (tx *Tx) put(e *entry, t *table, row schemas.Row) error {
	tx.row = t.codec.AppendRow(tx.row[:0], row)
	if err := tx.room(len(tx.row)); err != nil {
		return err
	}
	e.after, e.written = tx.writes.arena.copy(tx.row), true
	tx.writes.bytes += int64(len(tx.row))
	return nil
}

// room refuses what would make the transaction too large (I6).
func (tx *Tx) room(n int) error {
	if limit := tx.db.opts.MaxTxBytes; tx.writes.bytes+int64(n) > limit {
		return schemas.Errorf(schemas.CodeTooLarge, "54000", "the transaction writes more than %d bytes; commit in smaller steps", limit)
	}
	return nil
}

// Lock makes the commit fail with CodeConflict when another transaction that ran
// at the same time wrote the row of a key, or locked it, as if this one had written
// it; the row need not exist. It guards a decision that was made by reading a row.
// A transaction that only locks commits nothing and so never conflicts.
func (tx *Tx) Lock(table string, key ...schemas.Value) error {
	t, err := tx.writable(table)
	if err != nil {
		return err
	}
	if key, err = t.fullKey(key); err != nil {
		return err
	}
	tx.key = t.codec.AppendTuple(tx.key[:0], key)
	e, err := tx.entry(t)
	if err != nil {
		return err
	}
	e.locked = true
	return nil
}
