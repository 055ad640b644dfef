package demo

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/latency"
)

// Report is what a run of the demo found out. Times in the field names' units.
type Report struct {
	Engine          string      `json:"engine"`
	DurationS       float64     `json:"duration_s"`
	Transactions    int64       `json:"transactions"`
	Changes         int64       `json:"changes"`
	ChangesPerS     float64     `json:"changes_per_s"`
	Queries         int64       `json:"queries"`
	QueriesFailed   int64       `json:"queries_failed"`
	QueryLatencyMS  Percentiles `json:"query_latency_ms"`
	FreshnessMS     Percentiles `json:"freshness_ms"`
	CommitLatencyMS Percentiles `json:"commit_latency_ms"`
	PeakMemoryBytes int64       `json:"peak_memory_bytes"`
	Verified        Verified    `json:"verified"`
}

// Percentiles of a latency in milliseconds.
type Percentiles struct {
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
}

func percentiles(s latency.Summary) Percentiles {
	return Percentiles{s.P50, s.P95, s.P99, s.P999}
}

// Verified counts what was compared, at the end and on the way.
type Verified struct {
	Tables              int   `json:"tables"`
	Rows                int64 `json:"rows"`
	Mismatches          int64 `json:"mismatches"`
	InvariantChecks     int64 `json:"invariant_checks"`
	InvariantViolations int64 `json:"invariant_violations"`
	// First describes the first mismatch or violation.
	First string `json:"first,omitempty"`
}

// Exact says whether nothing was found wrong.
func (v Verified) Exact() bool { return v.Mismatches == 0 && v.InvariantViolations == 0 }

// WriteJSON writes the report as one document.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	line := func(name string, p Percentiles) {
		fmt.Fprintf(w, "  %-28s p50 %8.2f   p95 %8.2f   p99 %8.2f   p999 %8.2f  ms\n", name, p.P50, p.P95, p.P99, p.P999)
	}
	fmt.Fprintf(w, "\n%.1f s with engine %s: %d transactions, %d row changes (%.0f a second), %d queries\n",
		r.DurationS, r.Engine, r.Transactions, r.Changes, r.ChangesPerS, r.Queries)
	line("commit -> visible", r.FreshnessMS)
	line("query", r.QueryLatencyMS)
	line("commit", r.CommitLatencyMS)
	fmt.Fprintf(w, "  %-28s %.0f MiB\n", "peak memory", float64(r.PeakMemoryBytes)/(1<<20))
	v := r.Verified
	fmt.Fprintf(w, "verified: %d tables with %d rows against the source, %d mismatches; %d checks of the invariants, %d violations\n",
		v.Tables, v.Rows, v.Mismatches, v.InvariantChecks, v.InvariantViolations)
	if v.First != "" {
		fmt.Fprintln(w, "first:", v.First)
	}
	if r.QueriesFailed > 0 {
		fmt.Fprintf(w, "%d queries failed\n", r.QueriesFailed)
	}
}
