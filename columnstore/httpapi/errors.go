package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/millrace/millrace/schemas"
)

// StatusClientGone is the status of a query whose client went away or that was
// cancelled (nginx's 499): it stands in logs and metrics, and in the answer to a
// query cancelled by its id.
const StatusClientGone = 499

// statuses is the one mapping of error codes to HTTP. What is not here is a bug
// of the server: 500.
var statuses = map[schemas.Code]int{
	schemas.CodeSyntax: 400, schemas.CodeUnsupported: 400, schemas.CodeUnknownTable: 400,
	schemas.CodeUnknownColumn: 400, schemas.CodeUnknownFunc: 400, schemas.CodeAmbiguous: 400,
	schemas.CodeType: 400, schemas.CodeInvalidText: 400, schemas.CodeOutOfRange: 400,
	schemas.CodeDivisionByZero: 400, schemas.CodeInvalid: 400, schemas.CodeConstraint: 400,
	schemas.CodeUnauthorized:  401,
	schemas.CodeForbidden:     403,
	schemas.CodeNotFound:      404,
	schemas.CodeTimeout:       408,
	schemas.CodeDuplicateID:   409,
	schemas.CodeConflict:      409,
	schemas.CodeFenced:        409,
	schemas.CodeSnapshotGone:  410,
	schemas.CodeLSNNotReached: 412,
	schemas.CodeTooLarge:      413,
	schemas.CodeOverloaded:    429,
	schemas.CodeCanceled:      StatusClientGone,
	schemas.CodeNotReady:      503,
	schemas.CodeOutOfMemory:   507,
	schemas.CodeDiskFull:      507,
}

// errorBody is the shape of every error on the wire.
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code      schemas.Code `json:"code"`
	SQLState  string       `json:"sqlstate,omitempty"`
	Message   string       `json:"message"`
	Line      int          `json:"line,omitempty"`
	Column    int          `json:"column,omitempty"`
	Hint      string       `json:"hint,omitempty"`
	Retryable bool         `json:"retryable"`
	QueryID   string       `json:"query_id,omitempty"`
}

// describe gives status and body of an error. What is not a *schemas.Error is
// ours, not the client's: its text goes to the log, not to the client.
func describe(err error, queryID string) (int, errorBody) {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, errorBody{errorDetail{
			Code: schemas.CodeInternal, SQLState: "XX000", QueryID: queryID,
			Message: "something went wrong in the server", Hint: "the server's log has the reason beside this query_id",
		}}
	}
	status, ok := statuses[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	return status, errorBody{errorDetail{
		Code: e.Code, SQLState: e.SQLState, Message: e.Message, Line: e.Pos.Line, Column: e.Pos.Column,
		Hint: e.Hint, Retryable: e.Retryable, QueryID: queryID,
	}}
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error, queryID string) {
	status, body := describe(err, queryID)
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
		s.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "query_id", queryID, "error", err)
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if queryID != "" {
		w.Header().Set("X-Query-Id", queryID)
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client may be gone: nobody is left to tell
}
