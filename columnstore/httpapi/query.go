package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/schemas"
)

// holdBytes is how much of an answer is kept back before the status is sent, so
// that an error which comes early has a status of its own.
const holdBytes = 1 << 20

// queryRequest is the JSON body of POST /v1/query.
type queryRequest struct {
	SQL       string            `json:"sql"`
	Params    []json.RawMessage `json:"params"`
	Format    string            `json:"format"`
	Numbers   string            `json:"numbers"`
	QueryID   string            `json:"query_id"`
	Source    string            `json:"source"`
	MinLSN    *schemas.LSN      `json:"min_lsn"`
	WaitMS    *int64            `json:"wait_ms"`
	TimeoutMS int64             `json:"timeout_ms"`
	MaxMemory int64             `json:"max_memory_bytes"`
	MaxRows   int64             `json:"max_rows"`
}

// maxID bounds a query id, in bytes.
const maxID = 128

// lastWords is how long a client may take to read the end of a cancelled answer.
const lastWords = time.Second

// defaultWait is how long min_lsn is waited for when wait_ms is not given.
const defaultWait = 5 * time.Second

func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	req, err := s.readQuery(w, r)
	if req.QueryID == "" || !validID(req.QueryID) {
		req.QueryID = uuid.NewString() // so that every error has one to look for in the log
	}
	w.Header().Set("X-Query-Id", req.QueryID)
	if err != nil {
		s.fail(w, r, err, req.QueryID)
		return
	}
	enc, err := newEncoder(req.Format, req.Numbers, r.Header.Get("Accept"))
	if err != nil {
		s.fail(w, r, err, req.QueryID)
		return
	}
	q, err := req.toQuery(arrived)
	if err != nil {
		s.fail(w, r, err, req.QueryID)
		return
	}
	answer, err := s.queries.Query(r.Context(), q)
	if err != nil {
		s.fail(w, r, err, req.QueryID)
		return
	}
	defer answer.Close()
	defer unblock(w, answer)()
	if err := enc.accepts(answer.Columns); err != nil {
		answer.Fail(err)
		s.fail(w, r, err, answer.ID)
		return
	}
	s.send(w, r, answer, enc, req.MaxRows)
}

// unblock ends writes to a client that does not read when the query is cancelled or
// runs out of time: a hanging client holds its slot no longer than that (I9). The
// function that it returns ends the watch.
func unblock(w http.ResponseWriter, a *query.Answer) (end func()) {
	conn, fired := http.NewResponseController(w), make(chan struct{})
	stop := a.AfterCancel(func() {
		defer close(fired)
		_ = conn.SetWriteDeadline(time.Unix(1, 0)) // a writer without deadlines has no connection either
	})
	return func() {
		if !stop() {
			<-fired
			_ = conn.SetWriteDeadline(time.Time{})
		}
	}
}

// readQuery reads the request from the body (text or JSON) or the URL. The URL's
// parameters stand beside a text body too.
func (s *Server) readQuery(w http.ResponseWriter, r *http.Request) (queryRequest, error) {
	var req queryRequest
	if err := req.fromURL(r.URL.Query()); err != nil {
		return req, err
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return req, err
	}
	if r.Method != http.MethodPost { // GET, and HEAD which is routed with it
		req.SQL = r.URL.Query().Get("query")
		return req, req.check("give the statement as ?query=")
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/json" && !strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
		req.SQL = string(body)
		return req, req.check("send the statement as the body")
	}
	if err := req.fromJSON(body); err != nil {
		return req, err
	}
	return req, req.check(`give the statement as "sql"`)
}

// readBody reads the body to its end, of a GET too: only then is a client that goes
// away noticed. Nor may a read deadline outlive the request: it would look like one.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(s.opts.BodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.opts.MaxBody))
	if err == nil {
		_ = conn.SetReadDeadline(time.Time{})
		return body, nil
	}
	// The deadline stays, for whoever drops the rest of the body.
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		e := schemas.Errorf(schemas.CodeTooLarge, "54000", "the request is larger than %d bytes", tooLarge.Limit)
		e.Hint = "send a shorter statement"
		return nil, e
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, schemas.Errorf(schemas.CodeTimeout, "", "the request's body did not arrive in %v", s.opts.BodyTimeout)
	}
	return nil, schemas.Errorf(schemas.CodeInvalid, "", "the request's body ended early")
}

func (q *queryRequest) check(hint string) error {
	if !validID(q.QueryID) {
		return schemas.Errorf(schemas.CodeInvalid, "", "query_id is not at most %d printable ASCII characters without spaces", maxID)
	}
	if strings.TrimSpace(q.SQL) == "" {
		e := schemas.Errorf(schemas.CodeInvalid, "", "there is no statement in the request")
		e.Hint = hint
		return e
	}
	return nil
}

func (q *queryRequest) fromJSON(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(q)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	if err == nil {
		return nil
	}
	reason := strings.TrimPrefix(err.Error(), "json: ")
	var misfit *json.UnmarshalTypeError
	var known *schemas.Error
	switch {
	case errors.As(err, &misfit):
		reason = fmt.Sprintf("%q cannot be a %s", misfit.Field, misfit.Value)
		if misfit.Field == "" {
			reason = "it is a " + misfit.Value
		}
	case errors.As(err, &known):
		reason = known.Message
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		reason = "it ends early"
	}
	e := schemas.Errorf(schemas.CodeInvalid, "", "the JSON body does not fit: %s", reason)
	e.Hint = `a body looks like {"sql": "SELECT 1", "format": "json", "timeout_ms": 1000}`
	return e
}

// validID says whether a query id can stand in a header and a path.
func validID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(id) <= maxID
}

func (q *queryRequest) fromURL(v url.Values) error {
	q.Format, q.Numbers, q.QueryID, q.Source = v.Get("format"), v.Get("numbers"), v.Get("query_id"), v.Get("source")
	for name, dst := range map[string]*int64{"timeout_ms": &q.TimeoutMS, "max_memory_bytes": &q.MaxMemory, "max_rows": &q.MaxRows} {
		if text := v.Get(name); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 0 {
				return schemas.Errorf(schemas.CodeInvalid, "", "%s is %q, which is not a count", name, text)
			}
			*dst = n
		}
	}
	if text := v.Get("wait_ms"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return schemas.Errorf(schemas.CodeInvalid, "", "wait_ms is %q, which is not a number of milliseconds", text)
		}
		q.WaitMS = &n
	}
	if text := v.Get("min_lsn"); text != "" {
		lsn, err := schemas.ParseLSN(text)
		if err != nil {
			return err
		}
		q.MinLSN = &lsn
	}
	return nil
}

func (q *queryRequest) toQuery(arrived time.Time) (query.Request, error) {
	if q.TimeoutMS < 0 || q.MaxMemory < 0 || q.MaxRows < 0 || q.WaitMS != nil && *q.WaitMS < 0 {
		return query.Request{}, schemas.Errorf(schemas.CodeInvalid, "", "a limit is negative: leave it out for the default")
	}
	out := query.Request{
		SQL: q.SQL, ID: q.QueryID, Source: q.Source, Start: arrived, Wait: defaultWait,
		Timeout: millis(q.TimeoutMS), Memory: q.MaxMemory,
	}
	if q.MinLSN != nil {
		out.MinLSN = *q.MinLSN
	}
	if q.WaitMS != nil {
		out.Wait = millis(*q.WaitMS)
	}
	for i, raw := range q.Params {
		v, err := param(raw)
		if err != nil {
			return out, fmt.Errorf("parameter $%d: %w", i+1, err)
		}
		out.Params = append(out.Params, v)
	}
	return out, nil
}

// millis bounds what a client asks for, so that it cannot overflow.
func millis(n int64) time.Duration {
	return time.Duration(min(n, int64(24*time.Hour/time.Millisecond))) * time.Millisecond
}

// param takes a JSON value as the text of a parameter, whose type the statement
// decides.
func param(raw json.RawMessage) (schemas.Value, error) {
	switch {
	case len(raw) == 0, string(raw) == "null":
		return schemas.Null, nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return schemas.NewText(s), err
	}
	return schemas.NewText(string(raw)), nil
}

// send streams the answer. Up to holdBytes nothing has left, and an error still
// gets its status; later the connection is cut, so that no client takes a part
// for the whole.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *query.Answer, enc encoder, maxRows int64) {
	out := &sender{w: w, server: s, answer: a}
	buf := enc.begin(nil, a)
	var rows int64
	for {
		b, err := a.Next()
		if err == nil && b != nil {
			if rows += int64(b.Rows); maxRows > 0 && rows > maxRows {
				err = tooLarge("the result has more than %d rows", maxRows, "raise max_rows, or ask for less with LIMIT")
			}
		}
		if err == nil && b == nil {
			break
		}
		if err == nil {
			buf = enc.rows(buf, b, a.Columns)
			buf, err = out.offer(buf, enc.contentType())
		}
		if err != nil {
			s.abort(w, r, a, enc, err, out.started)
			return
		}
	}
	buf = enc.end(buf, a)
	if err := out.flush(buf, enc.contentType()); err != nil {
		a.Fail(err)
	}
}

// abort ends an answer that failed.
func (s *Server) abort(w http.ResponseWriter, r *http.Request, a *query.Answer, enc encoder, err error, started bool) {
	a.Fail(err)
	if !started {
		s.fail(w, r, err, a.ID)
		return
	}
	_, body := describe(err, a.ID)
	if tail := enc.broken(nil, body); tail != nil {
		conn := http.NewResponseController(w)
		_ = conn.SetWriteDeadline(time.Now().Add(lastWords))
		_, _ = w.Write(tail)
		_ = conn.Flush() // the abort drops what is still buffered
	}
	panic(http.ErrAbortHandler) // no end of the body: the client sees it broken
}

func tooLarge(format string, n int64, hint string) error {
	e := schemas.Errorf(schemas.CodeTooLarge, "54000", format, n)
	e.Hint = hint
	return e
}

// sender holds the answer back until it must go out.
type sender struct {
	w       http.ResponseWriter
	server  *Server
	answer  *query.Answer
	started bool
	sent    int64
}

// offer sends the buffer once it is over holdBytes, and returns what to go on
// appending to.
func (o *sender) offer(buf []byte, contentType string) ([]byte, error) {
	if o.sent+int64(len(buf)) > o.server.opts.MaxResult {
		return buf, tooLarge("the result is larger than %d bytes", o.server.opts.MaxResult, "ask for fewer rows or columns")
	}
	if len(buf) < holdBytes {
		return buf, nil
	}
	if err := o.flush(buf, contentType); err != nil {
		return buf, err
	}
	return buf[:0], nil
}

func (o *sender) flush(buf []byte, contentType string) error {
	if !o.started {
		o.headers(contentType)
		o.started = true
	}
	o.sent += int64(len(buf))
	if _, err := o.w.Write(buf); err != nil {
		return schemas.Errorf(schemas.CodeCanceled, "57014", "the client went away: %v", err)
	}
	return nil
}

func (o *sender) headers(contentType string) {
	h, st := o.w.Header(), o.answer.Stats()
	h.Set("Content-Type", contentType)
	h.Set("X-Query-Id", o.answer.ID)
	h.Set("X-Snapshot-Lsn", o.answer.Snapshot.LSN().String())
	h.Set("X-Freshness-Ms", strconv.FormatFloat(ms(st.Freshness), 'f', 3, 64))
	h.Set("Server-Timing", fmt.Sprintf("queue;dur=%.3f, plan;dur=%.3f, exec;dur=%.3f", ms(st.Queue), ms(st.Plan), ms(st.Exec)))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// encoder writes an answer in one format.
type encoder interface {
	contentType() string
	// accepts says whether the format can hold these columns.
	accepts(cols []column) error
	begin(dst []byte, a *query.Answer) []byte
	rows(dst []byte, b *exec.Batch, cols []column) []byte
	end(dst []byte, a *query.Answer) []byte
	// broken gives the last words of an answer that failed half-way; nil: none.
	broken(dst []byte, body errorBody) []byte
}
