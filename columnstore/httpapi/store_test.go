package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// fakeStore is a store of one state, whose LSN the test moves.
type fakeStore struct {
	mu      sync.Mutex
	lsn     schemas.LSN
	changed chan struct{}
	cat     catalog.Catalog
	pinned  int
	err     error
}

func (f *fakeStore) Snapshot(ctx context.Context, _ string, min schemas.LSN) (query.Snapshot, error) {
	for {
		f.mu.Lock()
		lsn, changed, err := f.lsn, f.changed, f.err
		if err == nil && lsn >= min {
			f.pinned++
		}
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if lsn >= min {
			return &fakeSnapshot{f.cat, f, lsn}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, schemas.Errorf(schemas.CodeLSNNotReached, "55000", "the source is at %s, before %s", lsn, min)
		}
	}
}

func (f *fakeStore) advance(lsn schemas.LSN) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lsn = lsn
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeStore) pins() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pinned
}

func (f *fakeStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeStore) Ready() error { f.mu.Lock(); defer f.mu.Unlock(); return f.err }

func (f *fakeStore) Tables() []TableInfo {
	var out []TableInfo
	for _, name := range f.cat.Tables() {
		out = append(out, TableInfo{Name: name, Source: "shop", State: "ready", Columns: []ColumnInfo{{Name: "id", Type: "bigint"}}, Key: []string{"id"}})
	}
	return out
}

func (f *fakeStore) Freshness() []SourceFreshness {
	return []SourceFreshness{{Source: "shop", LSN: f.lsn, Version: 7, FreshnessMS: 12.5, Visible: latency.Summary{}}}
}

type fakeSnapshot struct {
	catalog.Catalog
	store *fakeStore
	lsn   schemas.LSN
}

func (s *fakeSnapshot) LSN() schemas.LSN { return s.lsn }
func (s *fakeSnapshot) Time() time.Time  { return time.Now().Add(-25 * time.Millisecond) }
func (s *fakeSnapshot) Close()           { s.store.mu.Lock(); s.store.pinned--; s.store.mu.Unlock() }

// special tables beside those of sqltest.
type fakeCatalog struct {
	*sqltest.Catalog
	gate chan struct{} // "slow" blocks until it is closed
	at   chan struct{} // told when a scan of "slow" blocks
	big  *sqltest.Table
}

func (c *fakeCatalog) Table(schema, name string) (catalog.Table, error) {
	switch name {
	case "loading":
		return nil, &schemas.Error{Code: schemas.CodeNotReady, SQLState: "55000", Message: "table loading still loads", Retryable: true}
	case "bug":
		panic("a bug with secrets")
	case "slow", "late":
		return &specialTable{c.big, c, name}, nil
	}
	return c.Catalog.Table(schema, name)
}

type specialTable struct {
	*sqltest.Table
	cat  *fakeCatalog
	name string
}

func (t *specialTable) Scan(cols []int, b []catalog.Bound) (catalog.Scan, error) {
	s, err := t.Table.Scan(cols, b)
	return &specialScan{s, t}, err
}

type specialScan struct {
	catalog.Scan
	table *specialTable
}

func (s *specialScan) Morsel(ctx context.Context, i int, dst *catalog.Chunk) error {
	if s.table.name == "slow" {
		select {
		case s.table.cat.at <- struct{}{}:
		default:
		}
		select {
		case <-s.table.cat.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else if i == s.Morsels()-1 {
		return schemas.Errorf(schemas.CodeCorrupt, "XX001", "a block does not match its checksum")
	}
	return s.Scan.Morsel(ctx, i, dst)
}

// fixture is a server with its parts.
type fixture struct {
	*httptest.Server
	t     *testing.T
	store *fakeStore
	cat   *fakeCatalog
	log   *syncBuffer
	query *query.Service
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func start(t *testing.T, q query.Options, o Options) *fixture {
	return startWith(t, q, o, func(*httptest.Server) {})
}

func startWith(t *testing.T, q query.Options, o Options, change func(*httptest.Server)) *fixture {
	t.Helper()
	cat := &fakeCatalog{Catalog: sqltest.New(kindsTable(), peopleTable()), gate: make(chan struct{}), at: make(chan struct{}, 1), big: bigTable()}
	f := &fixture{t: t, cat: cat, log: &syncBuffer{}, store: &fakeStore{lsn: 0x1C8A40, changed: make(chan struct{}), cat: cat}}
	if q.Threads == 0 {
		q.Threads = 1
	}
	f.query = query.New(f.store, q)
	o.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	f.Server = httptest.NewUnstartedServer(New(f.query, f.store, o))
	change(f.Server)
	f.Start()
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
		if n := f.store.pins(); n != 0 {
			t.Errorf("%d snapshots are pinned after all requests", n)
		}
		if r := f.query.Running(); len(r) != 0 {
			t.Errorf("queries run after all requests: %v", r)
		}
	})
	return f
}

// do sends a request and reads the whole answer.
func (f *fixture) do(method, path, contentType, body string) (*http.Response, string) {
	f.t.Helper()
	req, err := http.NewRequest(method, f.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := f.Client().Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatalf("%s %s: %v after %q", method, path, err, b)
	}
	return res, string(b)
}

func (f *fixture) sql(text, args string) (*http.Response, string) {
	f.t.Helper()
	return f.do("POST", "/v1/query?"+args, "", text)
}

// post sends the JSON form.
func (f *fixture) post(body string) (*http.Response, string) {
	f.t.Helper()
	return f.do("POST", "/v1/query", "application/json", body)
}

// failure reads the error document.
func (f *fixture) failure(body string) errorDetail {
	f.t.Helper()
	var e errorBody
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil || e.Error.Code == "" || e.Error.Message == "" {
		f.t.Fatalf("not the documented error: %v: %s", err, body)
	}
	return e.Error
}

// eventually waits for something that another goroutine does.
func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("not in 5 s: %s", what)
		}
	}
}

func (f *fixture) idle() bool { return len(f.query.Running()) == 0 && f.store.pins() == 0 }

func peopleTable() *sqltest.Table {
	t := sqltest.NewTable("people", sqltest.Col("id", schemas.Int64), sqltest.Col("name", schemas.Text))
	for i, n := range []string{"ann", "bob", "cy"} {
		t.Append(schemas.Row{schemas.NewInt(schemas.Int64, int64(i+1)), schemas.NewText(n)})
	}
	return t
}

// bigTable has about 3 MB of text in blocks.
func bigTable() *sqltest.Table {
	t := sqltest.NewTable("big", sqltest.Col("id", schemas.Int64), sqltest.Col("pad", schemas.Text))
	t.BlockRows = 500
	pad := schemas.NewText(strings.Repeat("x", 1000))
	var rows []schemas.Row
	for i := range 3000 {
		rows = append(rows, schemas.Row{schemas.NewInt(schemas.Int64, int64(i)), pad})
	}
	t.Append(rows...)
	return t
}
