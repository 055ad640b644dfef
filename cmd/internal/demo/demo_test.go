package demo

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// briefly are the options of a short demo on free ports.
func briefly(t *testing.T) Options {
	return Options{
		Duration: 2 * time.Second, Rate: 5000, QueryRate: 20, HTTP: "127.0.0.1:0", Kafka: "127.0.0.1:0",
		Dir: t.TempDir(), Progress: testWriter{t}, Seed: 1,
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// TestDemo runs it twice on one folder: the second run resumes.
func TestDemo(t *testing.T) {
	o := briefly(t)
	for range 2 {
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r.WriteText(testWriter{t})
		if !r.Verified.Exact() || r.Verified.Tables != 6 || r.Verified.Rows == 0 || r.Verified.InvariantChecks == 0 || r.QueriesFailed > 0 {
			t.Errorf("%+v", r)
		}
	}
}

// TestInterrupted ends a demo early, as Ctrl-C does: it still verifies and reports.
func TestInterrupted(t *testing.T) {
	o := briefly(t)
	o.Duration = 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = addressFinder{func(string, ...any) { time.AfterFunc(500*time.Millisecond, cancel) }}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil || !r.Verified.Exact() || r.Verified.Tables != 6 {
		t.Errorf("%+v", r)
	}
}

// tamper stands between workers and warehouse and changes loads.
type tamper struct {
	load.Warehouse
	change func(*load.Load)
}

func (w tamper) Load(ctx context.Context, l *load.Load) (load.Reply, error) {
	w.change(l)
	return w.Warehouse.Load(ctx, l)
}

// TestSeesCorruptRow changes one value on its way into the warehouse: the
// verification must find it.
func TestSeesCorruptRow(t *testing.T) {
	const victim = 7
	var done atomic.Bool
	o := briefly(t)
	o.Wrap = func(w load.Warehouse) load.Warehouse {
		return tamper{w, func(l *load.Load) {
			for _, b := range l.Batches {
				if b.Table.Name != "customers" {
					continue
				}
				ids, countries := b.Cols[b.Table.ColumnNamed("id")], b.Cols[b.Table.ColumnNamed("country")]
				for i := range b.Len() {
					if ids.Int(i) == victim {
						countries.Strs.Views[i].Len = 1 // "DE" becomes "D"
						done.Store(true)
					}
				}
			}
		}}
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !done.Load() || r.Verified.Mismatches != 1 || !strings.Contains(r.Verified.First, "customers") {
		t.Errorf("one value was changed; the demo found %+v", r.Verified)
	}
}

// TestSeesHalfTransaction takes the needs of one table out of the progress records, so
// that a transaction is published before its payments have come: the invariants must
// show it.
func TestSeesHalfTransaction(t *testing.T) {
	o := briefly(t)
	o.Wrap = func(w load.Warehouse) load.Warehouse {
		return tamper{w, func(l *load.Load) {
			for i := range l.Progress {
				p := &l.Progress[i]
				if p.Snapshot != nil || p.From == 0 {
					continue
				}
				var kept []load.Need
				for _, n := range p.Needs {
					if !strings.HasSuffix(n.Partition.Topic, ".payments") {
						kept = append(kept, n)
					}
				}
				p.Needs = kept
			}
			if strings.HasSuffix(l.Lease.Partition.Topic, ".payments") && l.From > 0 {
				time.Sleep(30 * time.Millisecond)
			}
		}}
	}
	r, err := Run(t.Context(), o)
	if err != nil && schemas.CodeOf(err) == schemas.CodeInternal {
		t.Fatal(err)
	}
	if r == nil || r.Verified.InvariantViolations == 0 {
		t.Errorf("half transactions were published; the demo found %+v, %v", r, err)
	}
}
