package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/schemas"
)

func queryOptions() query.Options { return query.Options{} }

func TestStatementErrors(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, c := range []struct {
		sql       string
		status    int
		code      schemas.Code
		state     string
		line, col int
		hint      string
	}{
		{"SELECT\n  1 +", 400, schemas.CodeSyntax, "42601", 2, 0, ""},
		{"SELECT *\nFROM peple", 400, schemas.CodeUnknownTable, "42P01", 2, 6, "people"},
		{"SELECT nmae FROM people", 400, schemas.CodeUnknownColumn, "42703", 1, 8, "name"},
		{"SELECT name + 1 FROM people", 400, "", "", 1, 0, ""},
		{"SELECT lenght(name) FROM people", 400, schemas.CodeUnknownFunc, "42883", 1, 8, "length"},
		{"SELECT id / (id - 1) FROM people", 400, schemas.CodeDivisionByZero, "22012", 0, 0, ""},
		{"SELECT name::integer FROM people", 400, schemas.CodeInvalidText, "22P02", 0, 0, ""},
		{"DROP TABLE people", 400, "", "", 0, 0, ""},
		{"SELECT * FROM loading", 503, schemas.CodeNotReady, "55000", 0, 0, ""},
	} {
		res, body := f.sql(c.sql, "query_id=q7")
		e := f.failure(body)
		if res.StatusCode != c.status || c.code != "" && e.Code != c.code || c.state != "" && e.SQLState != c.state || e.QueryID != "q7" ||
			c.line != 0 && e.Line != c.line || c.col != 0 && e.Column != c.col || !strings.Contains(e.Hint+e.Message, c.hint) {
			t.Errorf("%s: %d %+v", c.sql, res.StatusCode, e)
		}
		if c.line != 0 && e.Column == 0 || res.Header.Get("X-Query-Id") != "q7" || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: column %d, headers %v", c.sql, e.Column, res.Header)
		}
		if (c.status == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", c.sql, res.Header.Get("Retry-After"))
		}
	}
}

func TestRequestErrors(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	const asJSON = "application/json"
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		code                            schemas.Code
		says                            string
	}{
		{"POST", "/v1/query", "", strings.Repeat(" ", 1<<20+1), 413, schemas.CodeTooLarge, "1048576"},
		{"POST", "/v1/query", "", "", 400, schemas.CodeInvalid, "no statement"},
		{"GET", "/v1/query", "", "", 400, schemas.CodeInvalid, "?query="},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1"`, 400, schemas.CodeInvalid, "ends early"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1"} {}`, 400, schemas.CodeInvalid, "follows"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "fromat": "csv"}`, 400, schemas.CodeInvalid, "fromat"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "max_rows": "x"}`, 400, schemas.CodeInvalid, `"max_rows" cannot be a string`},
		{"POST", "/v1/query", asJSON, `["SELECT 1"]`, 400, schemas.CodeInvalid, "array"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "min_lsn": "zz"}`, 400, schemas.CodeInvalid, "zz"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "format": "xml"}`, 400, schemas.CodeUnsupported, "ndjson"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "numbers": "big"}`, 400, schemas.CodeInvalid, "big"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "max_rows": -1}`, 400, schemas.CodeInvalid, "negative"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "timeout_ms": -1}`, 400, schemas.CodeInvalid, "negative"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT 1", "wait_ms": -1}`, 400, schemas.CodeInvalid, "negative"},
		{"POST", "/v1/query?max_rows=-1", "", `SELECT 1`, 400, schemas.CodeInvalid, "max_rows"},
		{"POST", "/v1/query?wait_ms=1s", "", `SELECT 1`, 400, schemas.CodeInvalid, "wait_ms"},
		{"POST", "/v1/query?query_id=a%0d%0ab", "", `SELECT 1`, 400, schemas.CodeInvalid, "query_id"},
		{"POST", "/v1/query?query_id=" + strings.Repeat("a", 200), "", `SELECT 1`, 400, schemas.CodeInvalid, "query_id"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT $1::integer"}`, 400, schemas.CodeInvalid, "params"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT $1::integer", "params": ["x"]}`, 400, schemas.CodeInvalidText, "parameter $1"},
		{"POST", "/v1/query", asJSON, `{"sql": "SELECT $1::text", "params": ["a\u0000b"]}`, 400, "", "parameter $1"},
		{"GET", "/v1/nothing", "", "", 404, schemas.CodeNotFound, "/v1/nothing"},
		{"DELETE", "/v1/queries/none", "", "", 404, schemas.CodeNotFound, "none"},
		{"GET", "/v1/queries/none", "", "", 404, schemas.CodeNotFound, "none"},
	} {
		res, body := f.do(c.method, c.path, c.contentType, c.body)
		e := f.failure(body)
		if res.StatusCode != c.status || c.code != "" && e.Code != c.code || !strings.Contains(e.Message+e.Hint, c.says) {
			t.Errorf("%s %.60s %.60s: %d %+v", c.method, c.path, c.body, res.StatusCode, e)
		}
		if strings.Contains(body, "Go ") || strings.Contains(body, "queryRequest") {
			t.Errorf("an error speaks of the program: %s", body)
		}
		if strings.HasPrefix(c.path, "/v1/query?") || c.path == "/v1/query" {
			if e.QueryID == "" {
				t.Errorf("no query_id: %s", body)
			}
		}
	}
	huge := `{"sql": "SELECT 1", "timeout_ms": 9223372036854775807, "wait_ms": 9223372036854775807, "min_lsn": "0/1"}`
	if res, body := f.post(huge); res.StatusCode != 200 {
		t.Errorf("huge limits: %s", body)
	}
}

func TestMinLSN(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	res, body := f.post(`{"sql":"SELECT 1","min_lsn":"0/2000000","wait_ms":1}`)
	if e := f.failure(body); res.StatusCode != 412 || e.Code != schemas.CodeLSNNotReached {
		t.Errorf("not reached: %d %s", res.StatusCode, body)
	}
	got := make(chan string, 1)
	go func() {
		res, err := http.Get(f.URL + "/v1/query?query=SELECT+1&min_lsn=0/2000000&query_id=waits")
		if err != nil {
			got <- err.Error()
			return
		}
		res.Body.Close()
		got <- res.Header.Get("X-Snapshot-Lsn")
	}()
	f.eventually("the query waits", func() bool { _, ok := f.query.Lookup("waits"); return ok })
	f.store.advance(0x2000000)
	if lsn := <-got; lsn != "0/2000000" {
		t.Errorf("answered at %s", lsn)
	}
	// Whoever is cancelled, or out of time, while it waits is told so.
	res, body = f.post(`{"sql":"SELECT 1","min_lsn":"1/0","timeout_ms":5}`)
	if e := f.failure(body); res.StatusCode != 408 {
		t.Errorf("timeout while waiting: %d %+v", res.StatusCode, e)
	}
}

func TestLimits(t *testing.T) {
	f := start(t, queryOptions(), Options{MaxResult: 2 << 20})
	for _, c := range []struct {
		sql, args string
		status    int
		code      schemas.Code
	}{
		{"SELECT * FROM slow", "timeout_ms=20", 408, schemas.CodeTimeout},
		{"SELECT * FROM people", "max_rows=2", 413, schemas.CodeTooLarge},
		{"SELECT pad, id, count(*) FROM late WHERE id < 2000 GROUP BY pad, id", "max_memory_bytes=100", 507, schemas.CodeOutOfMemory},
	} {
		res, body := f.sql(c.sql, c.args)
		if e := f.failure(body); res.StatusCode != c.status || e.Code != c.code {
			t.Errorf("%s: %d %+v", c.sql, res.StatusCode, e)
		}
	}
	if res, body := f.sql("SELECT * FROM people", "max_rows=3"); res.StatusCode != 200 {
		t.Errorf("exactly max_rows: %s", body)
	}
}

func TestDuplicateAndCancel(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	type answer struct {
		status int
		body   string
	}
	first := make(chan answer, 1)
	go func() {
		res, body := f.sql("SELECT count(*) FROM slow WHERE id > 5", "query_id=a%2Fb")
		first <- answer{res.StatusCode, body}
	}()
	<-f.cat.at
	res, body := f.sql("SELECT 1", "query_id=a/b")
	if e := f.failure(body); res.StatusCode != 409 || e.Code != schemas.CodeDuplicateID {
		t.Errorf("duplicate: %d %+v", res.StatusCode, e)
	}
	if _, body := f.do("GET", "/v1/queries", "", ""); !strings.Contains(body, `"a/b"`) || !strings.Contains(body, "FROM slow") {
		t.Errorf("running: %s", body)
	}
	path := "/v1/queries/" + url.PathEscape("a/b")
	if res, body := f.do("GET", path, "", ""); res.StatusCode != 200 || !strings.Contains(body, "started") {
		t.Errorf("show: %d %s", res.StatusCode, body)
	}
	if res, body := f.do("DELETE", path, "", ""); res.StatusCode != 202 {
		t.Errorf("cancel: %d %s", res.StatusCode, body)
	}
	a := <-first
	if e := f.failure(a.body); a.status != StatusClientGone || e.Code != schemas.CodeCanceled || e.QueryID != "a/b" || !strings.Contains(e.Message, "by request") {
		t.Errorf("cancelled: %d %+v", a.status, e)
	}
	if res, _ := f.sql("SELECT 1", "query_id=a/b"); res.StatusCode != 200 {
		t.Errorf("the id is still taken: %d", res.StatusCode)
	}
}

func TestOverload(t *testing.T) {
	f := start(t, query.Options{Running: 1, Queued: 1}, Options{})
	done := make(chan int, 2)
	ask := func(id string) {
		res, _ := f.sql("SELECT count(*) FROM slow WHERE id > 5", "query_id="+id)
		done <- res.StatusCode
	}
	go ask("one")
	<-f.cat.at
	go ask("two")
	// The queue is full once the second waits: then the third is refused.
	f.eventually("the second waits", func() bool { return len(f.query.Running()) == 2 })
	f.eventually("the third is refused", func() bool {
		res, body := f.sql("SELECT 1", "timeout_ms=5")
		if res.StatusCode != 429 {
			return false
		}
		e := f.failure(body)
		if e.Code != schemas.CodeOverloaded || !e.Retryable || res.Header.Get("Retry-After") == "" {
			t.Errorf("refused with %+v", e)
		}
		return true
	})
	close(f.cat.gate)
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("a query that was admitted: %d", status)
		}
	}
}

func TestPanicAnswers500(t *testing.T) {
	f := start(t, query.Options{Running: 1}, Options{})
	for range 3 { // and no slot is lost
		res, body := f.sql("SELECT * FROM bug", "")
		e := f.failure(body)
		if res.StatusCode != 500 || e.Code != schemas.CodeInternal || e.QueryID == "" || strings.Contains(body, "goroutine") || strings.Contains(body, "secrets") {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "secrets") || !strings.Contains(log, "goroutine") {
		t.Errorf("the log does not tell: %s", log)
	}
	if res, body := f.sql("SELECT 1", "timeout_ms=1000"); res.StatusCode != 200 {
		t.Errorf("after the panics: %s", body)
	}
}

func TestUnknownErrorsStayInside(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	f.store.fail(errors.New("open /secret/path: bad"))
	res, body := f.sql("SELECT 1", "query_id=z")
	if e := f.failure(body); res.StatusCode != 500 || strings.Contains(body, "secret") || e.QueryID != "z" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if !strings.Contains(f.log.String(), "/secret/path") {
		t.Error("the log does not have it")
	}
	f.store.fail(&schemas.Error{Code: schemas.CodeNotReady, Message: "starting"})
	if res, _ := f.do("GET", "/readyz", "", ""); res.StatusCode != 503 {
		t.Errorf("readyz: %d", res.StatusCode)
	}
	if res, _ := f.do("GET", "/healthz", "", ""); res.StatusCode != 200 {
		t.Errorf("healthz: %d", res.StatusCode)
	}
}

func TestServeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := &http.Server{ReadHeaderTimeout: time.Second}
	stopped := make(chan struct{})
	srv.RegisterOnShutdown(func() { close(stopped) })
	cancel()
	if err := Serve(ctx, srv, func() error { <-stopped; return http.ErrServerClosed }, time.Second); err != nil {
		t.Error(err)
	}
}
