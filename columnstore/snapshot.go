package columnstore

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/suggest"
	"github.com/millrace/millrace/schemas"
)

var _ catalog.Catalog = (*Snapshot)(nil)

// At says which state a snapshot must have reached.
type At struct {
	// Source names the source that MinLSN is of; it may be empty when there is
	// only one.
	Source string
	// MinLSN is waited for, until the context ends. 0 takes what is there.
	MinLSN schemas.LSN
}

// Snapshot is one version of every table. It implements catalog.Catalog. It holds
// files and deletes until it is closed; it never blocks writers. Safe for
// concurrent use.
type Snapshot struct {
	store  *Store
	state  *state
	now    time.Time
	closed atomic.Bool
}

// Snapshot opens the newest version (I3), after waiting for at.MinLSN: when ctx
// ends first, the error is CodeLSNNotReached and retryable.
func (s *Store) Snapshot(ctx context.Context, at At) (*Snapshot, error) {
	for {
		changed := *s.changed.Load()
		st := s.pin()
		src, err := st.source(at)
		if err == nil && (at.MinLSN == 0 || src.W >= at.MinLSN) {
			return &Snapshot{store: s, state: st, now: s.opts.Clock.Now()}, nil
		}
		s.unpin(st)
		if err != nil && len(st.sources) > 0 { // before the first load any source may still come
			return nil, err
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return nil, errClosed
		case <-ctx.Done():
			message := fmt.Sprintf("source %s is at %s, before %s", src.Source, src.W, at.MinLSN)
			if err != nil {
				message = fmt.Sprintf("nothing was loaded yet, so %s is not reached", at.MinLSN)
			}
			return nil, &schemas.Error{Code: schemas.CodeLSNNotReached, SQLState: "55000", Retryable: true, Err: context.Cause(ctx),
				Message: message, Hint: "wait longer, or ask without min_lsn"}
		}
	}
}

// source finds the source that at speaks of.
func (st *state) source(at At) (SourceState, error) {
	var found []SourceState
	for _, src := range st.sources {
		if at.Source == "" || src.Source == at.Source {
			found = append(found, src)
		}
	}
	if at.MinLSN == 0 {
		return SourceState{}, nil
	}
	names := make([]string, 0, len(found))
	for _, f := range found {
		names = append(names, f.Source)
	}
	sort.Strings(names)
	names = slices.Compact(names)
	switch {
	case len(names) == 0:
		return SourceState{}, schemas.Errorf(schemas.CodeNotFound, "42704", "source %q is not known here", at.Source)
	case len(names) > 1:
		return SourceState{}, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "min_lsn needs a source: there are several",
			Hint: "write it as source:lsn, with one of " + strings.Join(names, ", ")}
	}
	least := found[0]
	for _, f := range found[1:] {
		if f.W < least.W {
			least = f
		}
	}
	return least, nil
}

// Version is the warehouse's own number of this state; they never go back.
func (n *Snapshot) Version() uint64 { return n.state.version }

// History names the history that the version belongs to.
func (n *Snapshot) History() string { return n.store.History() }

// Sources tells the boundary of every source (I4), sorted by pipeline.
func (n *Snapshot) Sources() []SourceState {
	out := make([]SourceState, 0, len(n.state.sources))
	for _, src := range n.state.sources {
		out = append(out, src)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Pipeline < out[j].Pipeline })
	return out
}

// W is the boundary of the only source; the least one when there are several.
func (n *Snapshot) W() schemas.LSN {
	var w schemas.LSN
	for i, src := range n.Sources() {
		if i == 0 || src.W < w {
			w = src.W
		}
	}
	return w
}

// CommitTime is when the newest commit that every source shows was acknowledged.
// It is zero before the first load.
func (n *Snapshot) CommitTime() time.Time {
	var t int64
	for i, src := range n.Sources() {
		if i == 0 || src.CommitTime < t {
			t = src.CommitTime
		}
	}
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(t).UTC()
}

// Freshness is how old the newest complete boundary was when the snapshot was
// opened (I4); negative clock differences count as zero, and it is zero before
// the first load.
func (n *Snapshot) Freshness() time.Duration {
	t := n.CommitTime()
	if t.IsZero() {
		return 0
	}
	return max(0, n.now.Sub(t))
}

// Table implements catalog.Catalog. The error's code is unknown_table, with a
// suggestion, or not_ready with the progress of the load.
func (n *Snapshot) Table(schema, name string) (catalog.Table, error) {
	if schema == "" {
		schema = "public"
	}
	t, ok := n.state.tables[schema+"."+name]
	if !ok {
		return nil, n.unknown(schema, name)
	}
	if !t.ready {
		return nil, t.notReady()
	}
	return t.view, nil
}

func (t visibleTable) notReady() error {
	progress := fmt.Sprintf("%d rows so far", t.rowsDone)
	if t.rowsTotal > 0 {
		progress = fmt.Sprintf("%d of about %d rows so far", t.rowsDone, t.rowsTotal)
	}
	return &schemas.Error{Code: schemas.CodeNotReady, SQLState: "57P03", Retryable: true,
		Message: fmt.Sprintf("table %s is still loading: %s", t.def.Schema.FullName(), progress), Hint: "ask again when the initial load is complete"}
}

func (n *Snapshot) unknown(schema, name string) error {
	hint := "GET /v1/tables lists the tables"
	var names []string
	for full := range n.state.tables {
		if in, other, _ := strings.Cut(full, "."); in == schema {
			names = append(names, other)
		}
	}
	sort.Strings(names)
	if near := suggest.Nearest(name, names); near != "" {
		hint = "did you mean " + schema + "." + near + "?"
	}
	return &schemas.Error{Code: schemas.CodeUnknownTable, SQLState: "42P01", Message: fmt.Sprintf("table %s.%s does not exist", schema, name), Hint: hint}
}

// Tables implements catalog.Catalog.
func (n *Snapshot) Tables() []string {
	out := make([]string, 0, len(n.state.tables))
	for name, t := range n.state.tables {
		if t.ready {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// TableInfo describes a table, also one that is still loading.
type TableInfo struct {
	Table     *schemas.Table `json:"table"`
	Pipeline  string         `json:"pipeline"`
	Source    string         `json:"source"`
	Ready     bool           `json:"ready"`
	Rows      int64          `json:"rows"`
	RowsDone  int64          `json:"rows_done,omitempty"`
	RowsTotal int64          `json:"rows_total,omitempty"`
}

// Infos describes all tables, sorted by name.
func (n *Snapshot) Infos() []TableInfo {
	out := make([]TableInfo, 0, len(n.state.tables))
	for _, t := range n.state.tables {
		out = append(out, TableInfo{Table: t.def.Schema, Pipeline: t.def.Pipeline, Source: t.def.Source, Ready: t.ready,
			Rows: t.view.Rows(), RowsDone: t.rowsDone, RowsTotal: t.rowsTotal})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Table.FullName() < out[j].Table.FullName() })
	return out
}

// Close lets go of the version. It is idempotent; nothing that the snapshot lent
// may be used after it.
func (n *Snapshot) Close() {
	if !n.closed.Swap(true) {
		n.store.unpin(n.state)
	}
}
