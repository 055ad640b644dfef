package schemas

import (
	"errors"
	"fmt"
)

// Code is the stable machine name of an error. It is mapped once each to an HTTP
// status (columnstore/httpapi), a wire-protocol response and an exit code (cmd).
type Code string

// The codes, grouped by what the user can do about them.
const (
	CodeSyntax         Code = "syntax_error"
	CodeUnsupported    Code = "unsupported"
	CodeUnknownTable   Code = "unknown_table"
	CodeUnknownColumn  Code = "unknown_column"
	CodeUnknownFunc    Code = "unknown_function"
	CodeAmbiguous      Code = "ambiguous_name"
	CodeType           Code = "type_error"
	CodeInvalidText    Code = "invalid_text"
	CodeOutOfRange     Code = "out_of_range"
	CodeDivisionByZero Code = "division_by_zero"
	CodeInvalid        Code = "invalid_input" // a file, flag or request that cannot be right

	CodeConflict    Code = "conflict"     // another transaction was first
	CodeConstraint  Code = "constraint"   // key exists, NULL in NOT NULL
	CodeDuplicateID Code = "duplicate_id" // a query id that is running

	CodeTimeout       Code = "timeout"
	CodeCanceled      Code = "canceled"
	CodeTooLarge      Code = "too_large"     // a result or body over its limit
	CodeOutOfMemory   Code = "out_of_memory" // over a memory budget
	CodeOverloaded    Code = "overloaded"    // admission refused, try again
	CodeNotReady      Code = "not_ready"     // starting, or a table still loading
	CodeLSNNotReached Code = "lsn_not_reached"
	CodeSnapshotGone  Code = "snapshot_gone"

	CodeUnauthorized Code = "unauthorized"
	CodeForbidden    Code = "forbidden"
	CodeNotFound     Code = "not_found"

	CodeSource   Code = "source_error" // the source refuses or cannot be followed
	CodeStream   Code = "stream_error" // the broker refuses or has lost data
	CodeFenced   Code = "fenced"       // a newer epoch, lease or pipeline owns this
	CodeCorrupt  Code = "corrupt"      // a checksum or structure does not hold
	CodeDiskFull Code = "disk_full"
	CodeIO       Code = "io_error"
	CodeInUse    Code = "in_use" // a lock, port or slot somebody else holds
	CodeInternal Code = "internal"
)

// Pos is a place in a text that a person wrote. Zero is "nowhere".
type Pos struct {
	Offset int // in bytes, from 0
	Line   int // from 1
	Column int // in characters, from 1
}

// Known says whether the position points anywhere.
func (p Pos) Known() bool { return p.Line > 0 }

// Error is the one error that users see. Message says what is wrong, Hint the
// next step. Everything that crosses a border of the system is one of these or
// wraps one.
type Error struct {
	Code      Code
	SQLState  string // five characters, PostgreSQL's; empty where none fits
	Message   string
	Hint      string
	Pos       Pos
	Retryable bool // the same request may succeed later
	Err       error
}

// Error gives message, place and hint on one line.
func (e *Error) Error() string {
	s := e.Message
	if e.Pos.Known() {
		s = fmt.Sprintf("%s (line %d, column %d)", s, e.Pos.Line, e.Pos.Column)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a formatted message.
func Errorf(code Code, sqlstate, format string, args ...any) *Error {
	return &Error{Code: code, SQLState: sqlstate, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the outermost Error in a chain, CodeInternal when
// there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
