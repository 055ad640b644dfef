package wal

import (
	"errors"

	"github.com/millrace/millrace/schemas"
)

var (
	// ErrCorrupt is wrapped by errors about a record or header that was once
	// durable and is damaged (I8).
	ErrCorrupt = errors.New("log is corrupt")
	// ErrReleased says that records from the asked LSN on were truncated away.
	ErrReleased = errors.New("log position was released")
	// ErrAhead says that the asked LSN lies beyond the end of the log.
	ErrAhead = errors.New("log position is beyond the end")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log is closed")
)

// corrupt gives an error the code that users see.
func corrupt(err error) error {
	return &schemas.Error{Code: schemas.CodeCorrupt, SQLState: "XX001", Message: "read log", Err: err,
		Hint: "restore the data folder from a backup, or resync from the source"}
}
