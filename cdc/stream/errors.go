package stream

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// ErrSuperseded says that a newer epoch owns the partition: the lease that the
// reader was opened with is old, and its owner asks for the present ones.
var ErrSuperseded = &schemas.Error{Code: schemas.CodeFenced, SQLState: "55000", Message: "a newer epoch owns the stream", Retryable: true}

// LostError says that a partition's stream of an epoch cannot be continued: the
// owner of the lease reports it (load.Warehouse.Lost) and the source replays.
type LostError struct {
	Partition load.Partition
	Epoch     uint64
	Reason    string
	Err       error
}

// Error names partition, epoch and reason.
func (e *LostError) Error() string {
	s := fmt.Sprintf("partition %s/%d, epoch %d: %s", e.Partition.Topic, e.Partition.Index, e.Epoch, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the error that users see.
func (e *LostError) Unwrap() []error {
	return []error{&schemas.Error{Code: schemas.CodeStream, SQLState: "58030", Message: "the stream has a hole", Retryable: true}, e.Err}
}

// replayError ends a run so that a new one begins.
type replayError struct{ reason string }

func (e *replayError) Error() string { return "the stream starts anew: " + e.reason }

func replay(format string, args ...any) error { return &replayError{fmt.Sprintf(format, args...)} }

func isReplay(err error) bool {
	var r *replayError
	return errors.As(err, &r)
}

func corrupt(format string, args ...any) error {
	return schemas.Errorf(schemas.CodeCorrupt, "XX001", format, args...)
}

// permanent says whether a run that failed with err would fail again: the source
// or the configuration refuses, and a person has to act.
func permanent(err error) bool {
	var e *schemas.Error
	if !errors.As(err, &e) || e.Retryable {
		return false
	}
	switch e.Code {
	case schemas.CodeIO, schemas.CodeTimeout, schemas.CodeCanceled, schemas.CodeFenced, schemas.CodeNotReady, schemas.CodeOverloaded,
		schemas.CodeNotFound: // a worker has yet to register the pipeline
		return false
	}
	return true
}
