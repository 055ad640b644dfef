package oltp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/schemas"
)

var (
	// ErrNotFound says that a table has no row of a key, for Get, Update and Delete.
	ErrNotFound error = &schemas.Error{Code: schemas.CodeNotFound, SQLState: "02000", Message: "no row has this key"}
	// ErrTxDone says that a transaction was committed or rolled back before.
	ErrTxDone error = &schemas.Error{Code: schemas.CodeInvalid, SQLState: "25P01", Message: "the transaction has ended"}
	// ErrReadOnly says that a read-only transaction was asked to write.
	ErrReadOnly error = &schemas.Error{Code: schemas.CodeInvalid, SQLState: "25006", Message: "the transaction is read-only"}
	// ErrClosed says that the database was closed.
	ErrClosed error = &schemas.Error{Code: schemas.CodeNotReady, SQLState: "57P01", Message: "the database is closed"}
)

// errConflict is shared: conflicts are frequent under load.
var errConflict error = &schemas.Error{Code: schemas.CodeConflict, SQLState: "40001", Retryable: true,
	Message: "another transaction committed a change of the same row first", Hint: "run the transaction again"}

func unknownTable(name string, c *catalog) error {
	e := schemas.Errorf(schemas.CodeUnknownTable, "42P01", "table %q does not exist", name)
	if names := c.names(); len(names) > 0 {
		e.Hint = "tables: " + strings.Join(names, ", ")
	}
	return e
}

func duplicateKey(t *table, key string) error {
	return schemas.Errorf(schemas.CodeConstraint, "23505", "table %s has a row with key (%s) already", t.def.FullName(), key)
}

// corrupt gives an error about damaged data the code that users see (I8).
func corrupt(op string, err error) error {
	var typed *schemas.Error
	if err == nil || errors.As(err, &typed) {
		return err
	}
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: op, Err: err,
		Hint: "restore the data folder from a backup"}
}

// readError is what a failed read of the engine means: the end of the database, or
// damage.
func (db *DB) readError(op string, err error) error {
	if err != nil && db.closing.Load() {
		return ErrClosed
	}
	return corrupt(op, err)
}

func lostSlot(name, why string) error {
	return &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Message: fmt.Sprintf("replication slot %q: %s", name, why),
		Hint: "drop the slot and resync from a new snapshot"}
}
