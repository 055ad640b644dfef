package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/schemas"
)

// connectError says why a connection could not be made and what to do.
func connectError(ctx context.Context, address, user string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out := &schemas.Error{Code: schemas.CodeSource, SQLState: "08001", Err: err, Retryable: true,
		Message: fmt.Sprintf("PostgreSQL at %s cannot be reached", address),
		Hint:    "check host and port of the DSN, and listen_addresses of the server"}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return out
	}
	out.SQLState, out.Err = pg.Code, serverError(pg)
	switch pg.Code {
	case "28P01", "28000":
		out.Code, out.Retryable = schemas.CodeUnauthorized, false
		out.Message = fmt.Sprintf("PostgreSQL at %s refuses role %q", address, user)
		out.Hint = "check user and password of the DSN, and pg_hba.conf of the server"
	case "3D000":
		out.Code, out.Retryable = schemas.CodeNotFound, false
		out.Message, out.Hint = fmt.Sprintf("PostgreSQL at %s has no such database", address), "check the database of the DSN"
	case "42501":
		out.Code, out.Retryable = schemas.CodeForbidden, false
		out.Message = fmt.Sprintf("role %q may not replicate", user)
		out.Hint = fmt.Sprintf("run as a superuser: ALTER ROLE %s REPLICATION", quoteIdent(user))
	case "57P03":
		out.Message, out.Hint = fmt.Sprintf("PostgreSQL at %s is starting or stopping", address), ""
	case "53300":
		out.Message = fmt.Sprintf("PostgreSQL at %s has no connection left", address)
		out.Hint = "raise max_connections or max_wal_senders"
	default:
		out.Message, out.Hint = fmt.Sprintf("PostgreSQL at %s refuses the connection", address), ""
	}
	return out
}

// serverError keeps of a server's error what a user needs.
func serverError(e *pgconn.PgError) error {
	s := e.Message
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return errors.New(s)
}

// wrap turns an error of a statement into a *schemas.Error that says what was
// being done. Losing the connection can be retried; what the server refuses
// mostly cannot.
func wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var own *schemas.Error
	if errors.As(err, &own) {
		return err
	}
	out := &schemas.Error{Code: schemas.CodeSource, Message: op, Err: err, Retryable: true}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		out.SQLState = "08006"
		out.Message = op + ": the connection to PostgreSQL broke"
		return out
	}
	out.SQLState, out.Err, out.Retryable = pg.Code, serverError(pg), false
	switch pg.Code {
	case "42501":
		out.Code = schemas.CodeForbidden
	case "55006": // the server names the pid
		out.Code, out.Retryable = schemas.CodeInUse, true
		out.Hint = "stop the other capture, give each pipeline its own slot, or wait: it is retried"
	case "57P01", "57P02", "57P03", "57P05", "53300", "40001", "40P01", "55P03", "08006", "08003", "57014":
		out.Retryable = true
	case "58P01":
		out.Hint = "the log that the slot needs was removed; resync from a new snapshot"
	case "53400":
		out.Hint = "raise max_replication_slots, or drop a slot that nobody uses: SELECT slot_name, active FROM pg_replication_slots"
	case "53100":
		out.Code = schemas.CodeDiskFull
	}
	return out
}

// withHint adds the next step to a refusal for lack of rights.
func withHint(err error, hint string) error {
	var e *schemas.Error
	if errors.As(err, &e) && e.Hint == "" && e.Code == schemas.CodeForbidden {
		e.Hint = hint
	}
	return err
}

// isLocked says whether a lock was not free within lockTimeout.
func isLocked(err error) bool {
	var e *schemas.Error
	return errors.As(err, &e) && e.SQLState == "55P03"
}
