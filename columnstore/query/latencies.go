package query

import (
	"sort"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/latency"
)

// maxShapes bounds the memory that clients' statements can take here; what comes
// later counts under otherShapes.
const (
	maxShapes   = 512
	otherShapes = "(other statements)"
)

// Latencies keeps the time from a request's arrival to its last row, by the shape
// of the statement.
type Latencies struct {
	all *latency.Recorder
	mu  struct {
		sync.Mutex
		shapes map[string]*shape
	}
}

type shape struct {
	times  *latency.Recorder
	errors int64
}

// Shape is one statement shape's report, times in milliseconds.
type Shape struct {
	Statement string          `json:"statement"`
	Errors    int64           `json:"errors"`
	Latency   latency.Summary `json:"latency_ms"`
}

func newLatencies() *Latencies {
	l := &Latencies{all: latency.New()}
	l.mu.shapes = map[string]*shape{}
	return l
}

// record counts a query that ended. One that was neither answered in full nor
// failed was dropped by its client and says nothing about latency.
func (l *Latencies) record(statement string, d time.Duration, failed error, done bool) {
	if statement == "" || failed == nil && !done {
		return
	}
	s := l.shape(statement)
	if failed != nil {
		l.mu.Lock()
		s.errors++
		l.mu.Unlock()
		return
	}
	s.times.Record(d)
	l.all.Record(d)
}

func (l *Latencies) shape(statement string) *shape {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.mu.shapes[statement]
	if s == nil && len(l.mu.shapes) >= maxShapes {
		statement = otherShapes
		s = l.mu.shapes[statement]
	}
	if s == nil {
		s = &shape{times: latency.New()}
		l.mu.shapes[statement] = s
	}
	return s
}

// All is the percentiles over every statement.
func (l *Latencies) All() latency.Summary { return l.all.Summary() }

// Shapes reports every shape, the most frequent first.
func (l *Latencies) Shapes() []Shape {
	l.mu.Lock()
	out := make([]Shape, 0, len(l.mu.shapes))
	for text, s := range l.mu.shapes {
		out = append(out, Shape{Statement: text, Errors: s.errors, Latency: s.times.Summary()})
	}
	l.mu.Unlock()
	sort.Slice(out, func(i, j int) bool {
		if out[i].Latency.Count != out[j].Latency.Count {
			return out[i].Latency.Count > out[j].Latency.Count
		}
		return out[i].Statement < out[j].Statement
	})
	return out
}
