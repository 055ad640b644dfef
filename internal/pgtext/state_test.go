package pgtext

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// stateOf takes a server's error apart.
func stateOf(err error) (state, message string) {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code, e.Message
	}
	return "", err.Error()
}
