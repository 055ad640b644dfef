package vfs

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/millrace/millrace/schemas"
)

// ErrLocked says that another process, or another open handle of this one,
// holds a lock.
var ErrLocked = errors.New("locked by another process")

// Typed gives a file error the code that users see: CodeDiskFull, CodeInUse or
// CodeIO (I10). An error that has a code keeps it; nil stays nil.
func Typed(op string, err error) error {
	var typed *schemas.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &schemas.Error{Code: schemas.CodeDiskFull, SQLState: "53100", Message: op, Err: err,
			Hint: "free space on the data folder's disk; reads go on meanwhile", Retryable: true}
	case errors.Is(err, ErrLocked):
		return &schemas.Error{Code: schemas.CodeInUse, SQLState: "55006", Message: op, Err: err,
			Hint: "stop the other process or use another data folder"}
	default:
		return &schemas.Error{Code: schemas.CodeIO, SQLState: "58030", Message: op, Err: err}
	}
}
