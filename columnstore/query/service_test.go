package query

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// memory is a store of one state that counts its pins.
type memory struct {
	catalog.Catalog
	mu     sync.Mutex
	pinned int
}

func (m *memory) Snapshot(ctx context.Context, _ string, min schemas.LSN) (Snapshot, error) {
	if min > 100 {
		<-ctx.Done()
		return nil, schemas.Errorf(schemas.CodeLSNNotReached, "55000", "not yet")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pinned++
	return state{m}, nil
}

func (m *memory) pins() int { m.mu.Lock(); defer m.mu.Unlock(); return m.pinned }

type state struct{ *memory }

func (s state) LSN() schemas.LSN { return 100 }
func (s state) Time() time.Time  { return time.Now().Add(time.Hour) } // a source whose clock is ahead
func (s state) Close()           { s.mu.Lock(); s.pinned--; s.mu.Unlock() }

func newService(t *testing.T, o Options) *Service {
	table := sqltest.NewTable("t", sqltest.Col("a", schemas.Int64))
	table.Append(schemas.Row{schemas.NewInt(schemas.Int64, 1)}, schemas.Row{schemas.NewInt(schemas.Int64, 2)})
	store := &memory{Catalog: sqltest.New(table)}
	s := New(store, o)
	t.Cleanup(func() {
		if store.pins() != 0 || len(s.Running()) != 0 || len(s.slots) != 0 {
			t.Errorf("left behind: %d pins, %d running, %d slots", store.pins(), len(s.Running()), len(s.slots))
		}
	})
	return s
}

func drain(t *testing.T, a *Answer) (rows int) {
	t.Helper()
	for {
		b, err := a.Next()
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return rows
		}
		rows += b.Rows
	}
}

func TestAnswer(t *testing.T) {
	s := newService(t, Options{})
	a, err := s.Query(t.Context(), Request{SQL: "SELECT a FROM t WHERE a >= $1", Params: []schemas.Value{schemas.NewText("2")}})
	if err != nil {
		t.Fatal(err)
	}
	if n := drain(t, a); n != 1 || a.ID == "" || a.Columns[0].Name != "a" {
		t.Errorf("%d rows, id %q, columns %v", n, a.ID, a.Columns)
	}
	if st := a.Stats(); st.Freshness != 0 || st.RowsRead != 2 {
		t.Errorf("stats %+v: a clock ahead is no negative age", st)
	}
	a.Close()
	a.Close()
	if n := s.Latencies().All().Count; n != 1 {
		t.Errorf("%d latencies after two closes", n)
	}
}

func TestDroppedAnswersAreNoLatency(t *testing.T) {
	s := newService(t, Options{})
	a, err := s.Query(t.Context(), Request{SQL: "SELECT a FROM t"})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if n := s.Latencies().All().Count; n != 0 || len(s.Latencies().Shapes()) != 0 {
		t.Errorf("%d latencies of an answer that nobody read", n)
	}
}

func TestShapesAreBounded(t *testing.T) {
	s := newService(t, Options{})
	const more = 40
	for i := range maxShapes + more {
		for _, literal := range []int{1, 2} {
			a, err := s.Query(t.Context(), Request{SQL: fmt.Sprintf("SELECT a AS x%d FROM t WHERE a = %d", i, literal)})
			if err != nil {
				t.Fatal(err)
			}
			drain(t, a)
			a.Close()
		}
	}
	shapes := s.Latencies().Shapes()
	if len(shapes) != maxShapes+1 || shapes[0].Statement != otherShapes || shapes[0].Latency.Count != 2*more || shapes[1].Latency.Count != 2 {
		t.Errorf("%d shapes, the first %+v", len(shapes), shapes[0])
	}
	if n := s.Latencies().All().Count; n != 2*(maxShapes+more) {
		t.Errorf("%d latencies in all", n)
	}
}

func TestWaitForLSNEndsWithItsReason(t *testing.T) {
	s := newService(t, Options{})
	ask := func(ctx context.Context, req Request, want schemas.Code) {
		t.Helper()
		req.SQL, req.MinLSN = "SELECT 1", 200
		if _, err := s.Query(ctx, req); schemas.CodeOf(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ask(t.Context(), Request{Wait: time.Millisecond}, schemas.CodeLSNNotReached)
	ask(t.Context(), Request{Wait: time.Hour, Timeout: time.Millisecond}, schemas.CodeTimeout)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone, Request{Wait: time.Hour}, schemas.CodeCanceled)
	go func() {
		for !s.Cancel("killed") {
			time.Sleep(time.Millisecond)
		}
	}()
	ask(t.Context(), Request{Wait: time.Hour, ID: "killed"}, schemas.CodeCanceled)
}

func TestQueueIsBoundedAndLeft(t *testing.T) {
	s := newService(t, Options{Running: 1, Queued: 1})
	first, err := s.Query(t.Context(), Request{SQL: "SELECT a FROM t"})
	if err != nil {
		t.Fatal(err)
	}
	// One that waits and runs out of time leaves the queue.
	for range 3 {
		if _, err := s.Query(t.Context(), Request{SQL: "SELECT 1", Timeout: time.Millisecond}); schemas.CodeOf(err) != schemas.CodeTimeout {
			t.Errorf("in the queue: %v", err)
		}
	}
	second := make(chan error, 1)
	go func() {
		a, err := s.Query(t.Context(), Request{SQL: "SELECT a FROM t"})
		if err == nil {
			a.Close()
		}
		second <- err
	}()
	for s.queued() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.Query(t.Context(), Request{SQL: "SELECT 1"}); schemas.CodeOf(err) != schemas.CodeOverloaded {
		t.Errorf("beyond the queue: %v", err)
	}
	first.Close()
	if err := <-second; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
}

func (s *Service) queued() int { s.mu.Lock(); defer s.mu.Unlock(); return s.mu.waiting }
