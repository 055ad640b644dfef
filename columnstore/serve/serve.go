// Package serve answers for a store over HTTP: it joins the storage, the query
// service and the HTTP surface, which know one another only as interfaces.
package serve

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/columnstore/httpapi"
	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/schemas"
)

// Freshness keeps the percentiles of commit to visible, by pipeline. Its Visible
// goes into columnstore.Options.OnVisible. The zero Freshness is ready.
type Freshness struct {
	mu struct {
		sync.Mutex
		pipelines map[string]*latency.Recorder
	}
}

// Visible records that a version can be seen. One without a commit has no age.
func (f *Freshness) Visible(s columnstore.SourceState) {
	if s.CommitTime == 0 {
		return
	}
	f.of(s.Pipeline).Record(time.Since(time.UnixMicro(s.CommitTime)))
}

func (f *Freshness) of(pipeline string) *latency.Recorder {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.pipelines == nil {
		f.mu.pipelines = map[string]*latency.Recorder{}
	}
	r := f.mu.pipelines[pipeline]
	if r == nil {
		r = latency.New()
		f.mu.pipelines[pipeline] = r
	}
	return r
}

// Options of a handler. The zero value works.
type Options struct {
	Query  query.Options
	Logger *slog.Logger
	// Gatherer of /metrics; nil leaves it out.
	Gatherer prometheus.Gatherer
	// Freshness is what the store's OnVisible feeds; nil: no percentiles.
	Freshness *Freshness
}

// New makes the HTTP handler of a store.
func New(store *columnstore.Store, o Options) http.Handler {
	if o.Freshness == nil {
		o.Freshness = &Freshness{}
	}
	s := served{store, o.Freshness}
	return httpapi.New(query.New(s, o.Query), s, httpapi.Options{Logger: o.Logger, Gatherer: o.Gatherer})
}

// served is a store in the terms of the query service and the HTTP surface.
type served struct {
	store *columnstore.Store
	fresh *Freshness
}

// snapshot gives a store's snapshot the names the query service knows.
type snapshot struct{ *columnstore.Snapshot }

func (s snapshot) LSN() schemas.LSN { return s.W() }
func (s snapshot) Time() time.Time  { return s.CommitTime() }

// Snapshot implements query.Store.
func (s served) Snapshot(ctx context.Context, source string, minLSN schemas.LSN) (query.Snapshot, error) {
	snap, err := s.store.Snapshot(ctx, columnstore.At{Source: source, MinLSN: minLSN})
	if err != nil {
		return nil, err
	}
	return snapshot{snap}, nil
}

// Ready implements httpapi.Status: a store that opened answers.
func (s served) Ready() error {
	snap, err := s.store.Snapshot(context.Background(), columnstore.At{})
	if err == nil {
		snap.Close()
	}
	return err
}

// Tables implements httpapi.Status.
func (s served) Tables() []httpapi.TableInfo {
	snap, err := s.store.Snapshot(context.Background(), columnstore.At{})
	if err != nil {
		return nil
	}
	defer snap.Close()
	var out []httpapi.TableInfo
	for _, t := range snap.Infos() {
		out = append(out, describe(t))
	}
	return out
}

func describe(t columnstore.TableInfo) httpapi.TableInfo {
	info := httpapi.TableInfo{
		Name: t.Table.FullName(), Source: t.Source, State: "loading", Rows: t.Rows,
		RowsLoaded: t.RowsDone, RowsTotal: t.RowsTotal, Key: []string{}, Columns: []httpapi.ColumnInfo{},
	}
	if t.Ready {
		info.State, info.RowsLoaded, info.RowsTotal = "ready", 0, 0
	}
	for _, c := range t.Table.Columns {
		info.Columns = append(info.Columns, httpapi.ColumnInfo{Name: c.Name, Type: c.Type.String(), Nullable: !c.NotNull})
	}
	for _, i := range t.Table.KeyOrdinals() {
		info.Key = append(info.Key, t.Table.Columns[i].Name)
	}
	return info
}

// Freshness implements httpapi.Status.
func (s served) Freshness() []httpapi.SourceFreshness {
	snap, err := s.store.Snapshot(context.Background(), columnstore.At{})
	if err != nil {
		return nil
	}
	defer snap.Close()
	var out []httpapi.SourceFreshness
	for _, src := range snap.Sources() {
		f := httpapi.SourceFreshness{
			Source: src.Source, LSN: src.W, Version: snap.Version(), Visible: s.fresh.of(src.Pipeline).Summary(),
		}
		if src.CommitTime != 0 {
			at := time.UnixMicro(src.CommitTime).UTC()
			f.Time = at
			f.FreshnessMS = max(0, float64(time.Since(at).Microseconds())/1000)
		}
		out = append(out, f)
	}
	return out
}
