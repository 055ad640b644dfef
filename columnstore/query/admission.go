package query

import (
	"sort"
	"time"

	"github.com/millrace/millrace/schemas"
)

// Running describes a query that is being executed or waits for its turn.
type Running struct {
	ID      string    `json:"query_id"`
	SQL     string    `json:"sql"`
	Started time.Time `json:"started"`
	kill    func()
}

// register enters the query under its id until it ends.
func (s *Service) register(a *Answer, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.running[a.ID] != nil {
		e := schemas.Errorf(schemas.CodeDuplicateID, "42710", "a query with id %q is running", a.ID)
		e.Hint = "wait for it, cancel it with DELETE /v1/queries/" + a.ID + ", or leave query_id out"
		return e
	}
	cancel := a.cancel
	s.mu.running[a.ID] = &Running{ID: a.ID, SQL: text, Started: a.start, kill: func() { cancel(errKilled) }}
	a.release = append(a.release, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.mu.running, a.ID)
	})
	return nil
}

// admit waits for a slot. When too many wait already the client is told to come
// back, rather than let the queue grow (I9).
func (s *Service) admit(a *Answer) error {
	free := func() { a.release = append(a.release, func() { <-s.slots }) }
	select {
	case s.slots <- struct{}{}:
		free()
		return nil
	default:
	}
	if !s.enqueue() {
		e := schemas.Errorf(schemas.CodeOverloaded, "53300", "%d queries are running and %d wait", s.opts.Running, s.opts.Queued)
		e.Hint, e.Retryable = "try again in a moment", true
		return e
	}
	defer s.dequeue()
	select {
	case s.slots <- struct{}{}:
		free()
		return nil
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
}

func (s *Service) enqueue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.waiting >= s.opts.Queued {
		return false
	}
	s.mu.waiting++
	return true
}

func (s *Service) dequeue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.waiting--
}

// Running lists the queries that run or wait, oldest first.
func (s *Service) Running() []Running {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Running, 0, len(s.mu.running))
	for _, r := range s.mu.running {
		out = append(out, *r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Started.Before(out[j].Started) })
	return out
}

// Lookup returns a running query by id.
func (s *Service) Lookup(id string) (Running, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.mu.running[id]
	if r == nil {
		return Running{}, false
	}
	return *r, true
}

// Cancel ends a running query; false when no such query runs.
func (s *Service) Cancel(id string) bool {
	s.mu.Lock()
	r := s.mu.running[id]
	s.mu.Unlock()
	if r == nil {
		return false
	}
	r.kill()
	return true
}
