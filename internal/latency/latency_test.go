package latency

import (
	"testing"
	"time"
)

func TestSummary(t *testing.T) {
	r := New()
	if s := r.Summary(); s.Count != 0 || s.P999 != 0 {
		t.Fatalf("an empty recorder tells %+v", s)
	}
	for i := range 1000 {
		r.Record(time.Duration(i+1) * time.Millisecond)
	}
	r.Record(-time.Second) // a clock that went back
	r.Record(100 * time.Hour)
	s := r.Summary()
	within := func(name string, got, want float64) {
		if got < want*0.99 || got > want*1.01 {
			t.Errorf("%s is %v ms, want about %v", name, got, want)
		}
	}
	if s.Count != 1002 {
		t.Errorf("count %d", s.Count)
	}
	within("p50", s.P50, 500)
	within("p95", s.P95, 950)
	within("p99", s.P99, 990)
	within("p999", s.P999, 1000)
	within("max", s.Max, 3_600_000)
	r.Reset()
	if r.Summary().Count != 0 {
		t.Error("reset keeps something")
	}
}
