// Package latency records durations and tells their percentiles: every latency
// that Millrace reports is p50, p95, p99 and p999 of one of these.
package latency

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of what a Recorder tells apart: from 1 µs to an hour at three significant
// digits. Longer ones count as an hour.
const (
	lowest  = int64(time.Microsecond)
	highest = int64(time.Hour)
	digits  = 3
)

// Recorder collects durations. The zero Recorder is not usable: call New.
// Safe for concurrent use.
type Recorder struct {
	mu struct {
		sync.Mutex
		h *hdrhistogram.Histogram
	}
}

// New makes an empty recorder.
func New() *Recorder {
	r := &Recorder{}
	r.mu.h = hdrhistogram.New(lowest, highest, digits)
	return r
}

// Record adds a duration; a negative one counts as zero.
func (r *Recorder) Record(d time.Duration) {
	n := min(max(int64(d), 0), highest)
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.mu.h.RecordValue(n) // within bounds by the line above
}

// Reset forgets everything.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.h.Reset()
}

// Summary is the percentiles of what was recorded, in milliseconds.
type Summary struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Summary tells the percentiles so far.
func (r *Recorder) Summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.mu.h
	ms := func(n int64) float64 { return float64(n/1000) / 1000 }
	return Summary{
		Count: h.TotalCount(),
		P50:   ms(h.ValueAtQuantile(50)),
		P95:   ms(h.ValueAtQuantile(95)),
		P99:   ms(h.ValueAtQuantile(99)),
		P999:  ms(h.ValueAtQuantile(99.9)),
		Max:   ms(h.Max()),
	}
}
