package serve

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

var orders = &schemas.Table{Schema: "public", Name: "orders", Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
	{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}, NotNull: true},
	{ID: 2, Name: "status", Type: schemas.Type{Kind: schemas.Text}}}}

// feed is a pipeline of one data partition into a store.
type feed struct {
	t          *testing.T
	store      *columnstore.Store
	epoch      uint64
	data, prog load.Lease
	lsn        schemas.LSN
	seq        uint64
}

func newFeed(t *testing.T, fresh *Freshness, reg prometheus.Registerer) *feed {
	store, err := columnstore.Open(columnstore.Options{Dir: t.TempDir(), OnVisible: fresh.Visible, Registerer: reg})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return &feed{t: t, store: store}
}

// begin registers the pipeline and starts its run.
func (f *feed) begin() {
	ctx := f.t.Context()
	require.NoError(f.t, f.store.Register(ctx, load.Pipeline{Name: "p", Version: "1", Source: "shop", Outputs: []load.Output{{Table: orders, Source: "public.orders"}}}))
	g, err := f.store.Grant(ctx, load.Run{Pipeline: "p", Source: "shop", Incarnation: "i", Progress: "p", Partitions: map[string]int32{"p": 1, "t": 1}})
	require.NoError(f.t, err)
	f.epoch = g.Epoch
	ls, err := f.store.Acquire(ctx, "p", "w", 0)
	require.NoError(f.t, err)
	f.prog = ls[0]
	_, err = f.store.Load(ctx, &load.Load{Lease: f.prog, Epoch: g.Epoch, Version: "1", From: 0, To: 1, Begin: &load.Begin{Epoch: g.Epoch}})
	require.NoError(f.t, err)
	ls, err = f.store.Acquire(ctx, "p", "w", 0)
	require.NoError(f.t, err)
	for _, l := range ls {
		if l.Partition.Topic == "t" {
			f.data = l
		}
	}
}

// commit makes one order visible at lsn, soon.
func (f *feed) commit(lsn schemas.LSN, id int64) {
	ctx := f.t.Context()
	b := change.New(orders, 1)
	b.Append(change.Insert, lsn, 0, schemas.Row{schemas.NewInt(schemas.Int64, id), schemas.NewText("open")}, nil)
	_, err := f.store.Load(ctx, &load.Load{Lease: f.data, Epoch: f.epoch, Version: "1", From: f.seq, To: f.seq + 1, Batches: []*change.Batch{b}})
	require.NoError(f.t, err)
	f.seq++
	_, err = f.store.Load(ctx, &load.Load{Lease: f.prog, Epoch: f.epoch, Version: "1", From: f.seq, To: f.seq + 1, Progress: []load.Progress{{
		Epoch: f.epoch, From: f.lsn, To: lsn, CommitTime: time.Now().UnixMicro(), Needs: []load.Need{{Partition: f.data.Partition, Sequence: f.seq}}}}})
	require.NoError(f.t, err)
	f.lsn = lsn
}

func get(t *testing.T, s *httptest.Server, path string) (int, map[string]any) {
	t.Helper()
	res, err := s.Client().Get(s.URL + path)
	require.NoError(t, err)
	defer res.Body.Close()
	var out map[string]any
	require.NoError(t, json.NewDecoder(res.Body).Decode(&out), path)
	return res.StatusCode, out
}

// TestStoreOverHTTP: a store answers from before its first load to a row that a
// client wrote and waits for.
func TestStoreOverHTTP(t *testing.T) {
	fresh, reg := &Freshness{}, prometheus.NewRegistry()
	f := newFeed(t, fresh, reg)
	s := httptest.NewServer(New(f.store, Options{Freshness: fresh, Gatherer: reg}))
	defer s.Close()

	status, body := get(t, s, "/v1/query?query=SELECT+1")
	require.Equal(t, 200, status, body)
	require.Nil(t, body["snapshot"].(map[string]any)["time"], "nothing is loaded yet")
	require.Zero(t, body["stats"].(map[string]any)["freshness_ms"])
	_, body = get(t, s, "/v1/tables")
	require.Empty(t, body["tables"])
	_, body = get(t, s, "/v1/freshness")
	require.Empty(t, body["sources"])

	f.begin()
	status, body = get(t, s, "/v1/query?query=SELECT+1&min_lsn=0/1&wait_ms=0")
	require.Equal(t, 412, status, body) // a source may still come

	f.commit(100, 7)
	status, body = get(t, s, "/v1/query?query=SELECT+id,status+FROM+orders&source=shop&min_lsn=0/64")
	require.Equal(t, 200, status, body)
	require.Equal(t, []any{[]any{"7", "open"}}, body["rows"])
	require.Equal(t, "0/64", body["snapshot"].(map[string]any)["lsn"])
	require.Less(t, body["stats"].(map[string]any)["freshness_ms"], 60_000.0)

	status, body = get(t, s, "/v1/query?query=SELECT+1&source=other&min_lsn=0/1&wait_ms=0")
	require.Equal(t, 404, status, body)
	status, body = get(t, s, "/v1/query?query=SELECT+1&source=shop&min_lsn=0/65&wait_ms=0")
	require.Equal(t, 412, status, body)

	_, body = get(t, s, "/v1/tables")
	table := body["tables"].([]any)[0].(map[string]any)
	require.Equal(t, "public.orders", table["name"])
	require.Equal(t, "ready", table["state"])
	require.Equal(t, 1.0, table["rows"])
	require.Equal(t, []any{"id"}, table["key"])
	require.Equal(t, "public.orders", table["source"])

	_, body = get(t, s, "/v1/freshness")
	source := body["sources"].([]any)[0].(map[string]any)
	require.Equal(t, "0/64", source["lsn"])
	require.Less(t, source["freshness_ms"], 60_000.0)
	visible := source["visible_ms"].(map[string]any)
	require.Equal(t, 1.0, visible["count"], "only what has a commit has an age")
	require.Less(t, visible["max"], 60_000.0)

	status, body = get(t, s, "/v1/query?query=SELECT+*+FROM+ordres")
	require.Equal(t, 400, status)
	require.Contains(t, body["error"].(map[string]any)["hint"], "orders")
	status, _ = get(t, s, "/readyz")
	require.Equal(t, 200, status)
	res, err := s.Client().Get(s.URL + "/metrics")
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.True(t, res.StatusCode == http.StatusOK && strings.Contains(string(text), "# TYPE"), "metrics: %.100s", text)
}

// TestClosedStoreIsNotReady: it says so instead of hanging.
func TestClosedStoreIsNotReady(t *testing.T) {
	f := newFeed(t, &Freshness{}, nil)
	f.begin()
	s := httptest.NewServer(New(f.store, Options{}))
	defer s.Close()
	require.NoError(t, f.store.Close())
	status, body := get(t, s, "/v1/query?query=SELECT+1&min_lsn=0/64&wait_ms=60000")
	require.GreaterOrEqual(t, status, 500, body)
}
