// Package httpapi serves the warehouse over HTTP: queries, tables, freshness,
// latencies, health, metrics and the console page.
package httpapi

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/schemas"
)

// Status is what the server tells about the store besides query results.
type Status interface {
	// Ready is nil when queries can be answered.
	Ready() error
	// Tables describes every table, loading ones too.
	Tables() []TableInfo
	// Freshness describes every source.
	Freshness() []SourceFreshness
}

// TableInfo describes a table in GET /v1/tables.
type TableInfo struct {
	Name    string       `json:"name"`
	Source  string       `json:"source"` // the table of the source that it comes from
	State   string       `json:"state"`  // "ready" or "loading"
	Rows    int64        `json:"rows"`
	Columns []ColumnInfo `json:"columns"`
	Key     []string     `json:"key"`
	// RowsLoaded and RowsTotal tell how far the first snapshot is, while loading.
	RowsLoaded int64 `json:"rows_loaded,omitempty"`
	RowsTotal  int64 `json:"rows_total,omitempty"`
}

// ColumnInfo describes a column.
type ColumnInfo struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
}

// SourceFreshness tells how far a source's changes are visible. Visible is the
// distribution, since the start, of the time from a commit's acknowledgement to
// its first visibility.
type SourceFreshness struct {
	Source      string          `json:"source"`
	LSN         schemas.LSN     `json:"lsn"`
	Version     uint64          `json:"version"`
	Time        time.Time       `json:"time,omitzero"` // not before the first load
	FreshnessMS float64         `json:"freshness_ms"`
	Visible     latency.Summary `json:"visible_ms"`
}

// Options of a Server.
type Options struct {
	Logger *slog.Logger
	// Gatherer of /metrics; nil leaves it out.
	Gatherer prometheus.Gatherer
	// MaxBody in bytes of a request; default 1 MiB.
	MaxBody int64
	// BodyTimeout is how long a client may take to send its request; default 30 s.
	BodyTimeout time.Duration
	// MaxResult in bytes of an answer; default 256 MiB.
	MaxResult int64
}

// Server is the HTTP surface of one warehouse.
type Server struct {
	queries *query.Service
	status  Status
	log     *slog.Logger
	opts    Options
	mux     *http.ServeMux
}

//go:embed console.html
var console []byte

// New makes a server over a query service.
func New(queries *query.Service, status Status, opts Options) *Server {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MaxBody == 0 {
		opts.MaxBody = 1 << 20
	}
	if opts.BodyTimeout == 0 {
		opts.BodyTimeout = 30 * time.Second
	}
	if opts.MaxResult == 0 {
		opts.MaxResult = 256 << 20
	}
	s := &Server{queries: queries, status: status, log: opts.Logger, opts: opts, mux: http.NewServeMux()}
	s.routes()
	return s
}

func (s *Server) routes() {
	s.mux.HandleFunc("POST /v1/query", s.query)
	s.mux.HandleFunc("GET /v1/query", s.query)
	s.mux.HandleFunc("GET /v1/queries", s.listQueries)
	s.mux.HandleFunc("GET /v1/queries/{id}", s.showQuery)
	s.mux.HandleFunc("DELETE /v1/queries/{id}", s.cancelQuery)
	s.mux.HandleFunc("GET /v1/tables", s.tables)
	s.mux.HandleFunc("GET /v1/freshness", s.freshness)
	s.mux.HandleFunc("GET /v1/latency", s.latency)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	if s.opts.Gatherer != nil {
		s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{}))
	}
	s.mux.HandleFunc("GET /{$}", s.console)
	s.mux.HandleFunc("/", s.notFound)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	t := &tracked{ResponseWriter: w}
	defer s.survive(t, r)
	s.mux.ServeHTTP(t, r)
}

// tracked remembers whether an answer began, after which no status can be sent.
type tracked struct {
	http.ResponseWriter
	began bool
}

func (t *tracked) WriteHeader(status int) {
	t.began = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	t.began = true
	return t.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// survive turns a bug of ours into an answer and a line in the log: one request
// never takes the server with it (I9).
func (s *Server) survive(w *tracked, r *http.Request) {
	bug := recover()
	if bug == nil {
		return
	}
	if bug == http.ErrAbortHandler { //nolint:errorlint // a panic's value, as net/http compares it
		panic(bug)
	}
	s.log.ErrorContext(r.Context(), "bug in a request", "path", r.URL.Path, "panic", bug, "stack", string(debug.Stack()))
	if w.began {
		panic(http.ErrAbortHandler) // a part is never taken for the whole
	}
	s.fail(w, r, fmt.Errorf("panic: %v", bug), w.Header().Get("X-Query-Id"))
}

func (s *Server) console(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'")
	_, _ = w.Write(console)
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	e := schemas.Errorf(schemas.CodeNotFound, "", "there is no %s %s here", r.Method, r.URL.Path)
	e.Hint = "the API is POST /v1/query, GET /v1/query, /v1/tables, /v1/freshness, /v1/latency, /v1/queries, /healthz, /readyz, /metrics"
	s.fail(w, r, e, "")
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.status.Ready(); err != nil {
		s.fail(w, r, err, "")
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Server) tables(w http.ResponseWriter, _ *http.Request) {
	tables := s.status.Tables()
	if tables == nil {
		tables = []TableInfo{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"tables": tables})
}

func (s *Server) freshness(w http.ResponseWriter, _ *http.Request) {
	sources := s.status.Freshness()
	if sources == nil {
		sources = []SourceFreshness{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"sources": sources})
}

func (s *Server) latency(w http.ResponseWriter, _ *http.Request) {
	l := s.queries.Latencies()
	writeJSON(w, http.StatusOK, map[string]any{"all_ms": l.All(), "statements": l.Shapes()})
}

func (s *Server) listQueries(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"queries": s.queries.Running()})
}

func (s *Server) showQuery(w http.ResponseWriter, r *http.Request) {
	q, ok := s.queries.Lookup(r.PathValue("id"))
	if !ok {
		s.fail(w, r, noSuchQuery(r.PathValue("id")), "")
		return
	}
	writeJSON(w, http.StatusOK, q)
}

func (s *Server) cancelQuery(w http.ResponseWriter, r *http.Request) {
	if !s.queries.Cancel(r.PathValue("id")) {
		s.fail(w, r, noSuchQuery(r.PathValue("id")), "")
		return
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"query_id": r.PathValue("id"), "status": "cancelling"})
}

func noSuchQuery(id string) error {
	e := schemas.Errorf(schemas.CodeNotFound, "", "no query with id %q is running", id)
	e.Hint = "GET /v1/queries lists those that are"
	return e
}

// Serve answers on a listener until ctx ends, then lets running requests finish
// for up to grace.
func Serve(ctx context.Context, srv *http.Server, serve func() error, grace time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- serve() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close() // whoever still reads after the grace is cut off
	}
	<-done //nolint:errcheck // http.ErrServerClosed
	return nil
}
