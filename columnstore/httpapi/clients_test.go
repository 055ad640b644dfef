package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/columnstore/query"
)

func TestClientGoesAway(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, method := range []string{"GET", "POST"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, method, f.URL+"/v1/query?query=SELECT+*+FROM+slow", strings.NewReader("SELECT * FROM slow"))
		gone := make(chan error, 1)
		go func() {
			res, err := f.Client().Do(req)
			if err == nil {
				res.Body.Close()
			}
			gone <- err
		}()
		<-f.cat.at
		cancel()
		if err := <-gone; err == nil {
			t.Fatal("an answer came")
		}
		f.eventually("the query ends", f.idle)
	}
}

// A server's own deadline for reading the request must not end the query.
func TestReadTimeoutDoesNotCancel(t *testing.T) {
	f := startWith(t, queryOptions(), Options{BodyTimeout: 30 * time.Millisecond}, func(s *httptest.Server) { s.Config.ReadTimeout = 30 * time.Millisecond })
	for _, method := range []string{"GET", "POST"} {
		req, _ := http.NewRequest(method, f.URL+"/v1/query?timeout_ms=150&query=SELECT+*+FROM+slow", nil)
		if method == "POST" {
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader("SELECT * FROM slow")), 18
		}
		res, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 408 {
			t.Errorf("%s: %d, want the query's own timeout", method, res.StatusCode)
		}
	}
}

func (f *fixture) dial(request string) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	if _, err := io.WriteString(c, request); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func TestClientHangsSending(t *testing.T) {
	f := start(t, query.Options{Running: 1, Queued: 1}, Options{BodyTimeout: 200 * time.Millisecond})
	var hanging []net.Conn
	for range 8 {
		hanging = append(hanging, f.dial("POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nSELECT"))
	}
	if res, body := f.sql("SELECT 1", ""); res.StatusCode != 200 {
		t.Errorf("beside hanging clients: %s", body)
	}
	for _, c := range hanging {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(c)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || !strings.Contains(string(answer), `"timeout"`) {
			t.Errorf("%v: %q", err, answer)
		}
	}
}

// A client that does not read holds its slot no longer than its query's time.
func TestClientHangsReading(t *testing.T) {
	f := startWith(t, query.Options{Running: 1, Queued: 4}, Options{}, func(s *httptest.Server) {
		s.Config.ConnState = func(c net.Conn, st http.ConnState) {
			if tcp, ok := c.(*net.TCPConn); ok && st == http.StateNew {
				_ = tcp.SetWriteBuffer(4096)
			}
		}
	})
	close(f.cat.gate)
	f.dial("GET /v1/query?query_id=hangs&timeout_ms=300&query=SELECT+*+FROM+slow HTTP/1.1\r\nHost: x\r\n\r\n")
	f.eventually("the query runs", func() bool { return f.store.pins() == 1 })
	if res, body := f.sql("SELECT 1", "timeout_ms=5000"); res.StatusCode != 200 {
		t.Errorf("behind a client that does not read: %d %s", res.StatusCode, body)
	}
	f.eventually("the hanging query ends", f.idle)
}

func TestLateFailureBreaksTheBody(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, format := range []string{"json", "ndjson", "csv"} {
		res, err := f.Client().Post(f.URL+"/v1/query?format="+format, "text/plain", strings.NewReader("SELECT * FROM late"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || err == nil {
			t.Errorf("%s: status %d, error %v after %d bytes", format, res.StatusCode, err, len(body))
		}
		if len(body) < 1<<20 {
			t.Errorf("%s: only %d bytes came", format, len(body))
		}
		lines := strings.Split(strings.TrimSpace(string(body)), "\n")
		if last := lines[len(lines)-1]; (format == "ndjson") != (strings.HasPrefix(last, `{"$error":{"code":"corrupt"`)) {
			t.Errorf("%s ends with %.200s", format, last)
		}
	}
	// Within the first MiB the same failure has its status.
	res, body := f.sql("SELECT id FROM late", "")
	if e := f.failure(body); res.StatusCode != 500 {
		t.Errorf("early: %d %+v", res.StatusCode, e)
	}
	// Too many rows late, too.
	res, err := f.Client().Post(f.URL+"/v1/query?format=csv&max_rows=2600", "text/plain", strings.NewReader("SELECT * FROM late"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("a cut answer looks whole")
	}
}

// A bug after the first bytes must not look like the end of the answer.
func TestLatePanicBreaksTheBody(t *testing.T) {
	f := startWith(t, queryOptions(), Options{}, func(s *httptest.Server) {
		s.Config.Handler.(*Server).mux.HandleFunc("GET /late-bug", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			panic("a bug")
		})
	})
	res, err := f.Client().Get(f.URL + "/late-bug")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil || strings.Contains(string(body), "error") {
		t.Errorf("the body ended well: %.100q", body[max(0, len(body)-100):])
	}
	if !strings.Contains(f.log.String(), "a bug") {
		t.Error("the log does not tell")
	}
}

func TestLatencyByShape(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for _, text := range []string{"SELECT name FROM people WHERE id = 1", "select name  from people where id=2", "SELECT name FROM people WHERE id IN (1,2)", "SELECT nothing FROM people"} {
		f.sql(text, "")
	}
	f.sql("SELECT 1 / (id - 1) FROM people", "")
	byShape := map[string]query.Shape{}
	f.eventually("all are recorded", func() bool {
		for _, s := range f.query.Latencies().Shapes() {
			byShape[s.Statement] = s
		}
		return len(byShape) == 3
	})
	if s := byShape["SELECT NAME FROM people WHERE id = ?"]; s.Latency.Count != 2 || s.Errors != 0 || s.Latency.P50 <= 0 {
		t.Errorf("literals are not folded: %+v", byShape)
	}
	if _, body := f.do("GET", "/v1/latency", "", ""); !strings.Contains(body, `"errors":1`) || !strings.Contains(body, `"p999"`) || !strings.Contains(body, `"all_ms"`) {
		t.Errorf("latency: %s", body)
	}
}

func TestOtherEndpoints(t *testing.T) {
	f := start(t, queryOptions(), Options{})
	for path, says := range map[string]string{
		"/v1/tables": `"name":"public.people"`, "/v1/freshness": `"lsn":"0/1C8A40"`, "/v1/queries": `{"queries":[]}`,
		"/readyz": "ready", "/": "<title>Millrace</title>",
	} {
		if res, body := f.do("GET", path, "", ""); res.StatusCode != 200 || !strings.Contains(body, says) || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %.200s", path, res.StatusCode, body)
		}
	}
	if res, body := f.do("HEAD", "/v1/query?query=SELECT+1", "", ""); res.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", res.StatusCode, body)
	}
}
