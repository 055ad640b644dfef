package columnstore

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/schemas"
)

// Stats tells how the store is.
type Stats struct {
	Version        uint64      `json:"version"`
	Tables         int         `json:"tables"`
	Rows           int64       `json:"rows"`
	Segments       int         `json:"segments"`
	SegmentBytes   int64       `json:"segment_bytes"`
	CacheBytes     int64       `json:"cache_bytes"`     // column blocks in memory
	UnflushedBytes int64       `json:"unflushed_bytes"` // rows in no segment
	IndexBytes     int64       `json:"index_bytes"`
	StagedLoads    int         `json:"staged_loads"`
	StagedRows     int64       `json:"staged_rows"`
	StagedBytes    int64       `json:"staged_bytes"` // in memory
	LogBytes       int64       `json:"log_bytes"`
	DurableW       schemas.LSN `json:"durable_w"` // of the pipeline that is furthest behind
	VisibleW       schemas.LSN `json:"visible_w"`
}

// Stats reads the statistics.
func (s *Store) Stats() Stats {
	n := s.writeStats()
	s.man.Read(func(m *manifest.State) {
		n.Segments = len(m.Segments)
		for _, meta := range m.Segments {
			n.SegmentBytes += meta.Bytes
		}
	})
	n.CacheBytes, n.LogBytes = s.cache.Bytes(), s.log.DiskBytes()
	s.ingest.Lock()
	defer s.ingest.Unlock()
	n.StagedBytes = s.ingest.staged
	first := true
	for _, p := range s.ingest.pipes {
		loads, rows := p.Staged()
		n.StagedLoads += loads
		n.StagedRows += int64(rows)
		if first || p.W < n.VisibleW {
			n.VisibleW, n.DurableW, first = p.W, p.DurableW, false
		}
	}
	return n
}

func (s *Store) writeStats() Stats {
	s.write.Lock()
	defer s.write.Unlock()
	st := s.visible.Load()
	n := Stats{Version: st.version, Tables: len(st.tables), UnflushedBytes: s.cache.Pinned()}
	for _, t := range st.tables {
		n.Rows += t.view.Rows()
	}
	for _, t := range s.write.tables {
		n.IndexBytes += t.t.IndexBytes()
		n.UnflushedBytes += t.t.OpenBytes()
	}
	return n
}

type metrics struct {
	registerer        prometheus.Registerer
	all               []prometheus.Collector
	loads             prometheus.Counter
	changes           prometheus.Counter
	compactions       prometheus.Counter
	publishErrors     prometheus.Counter
	maintainErrors    prometheus.Counter
	publishSeconds    prometheus.Histogram
	checkpointSeconds prometheus.Histogram
	fsyncSeconds      prometheus.Histogram
}

func newMetrics(s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "millrace", Subsystem: "columnstore", Name: name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "millrace", Subsystem: "columnstore", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 18)})
	}
	m := &metrics{registerer: s.opts.Registerer,
		loads:             counter("loads_total", "Loads acknowledged."),
		changes:           counter("changes_total", "Row changes published."),
		compactions:       counter("compactions_total", "Merges of segments."),
		publishErrors:     counter("publish_errors_total", "Publications that failed and are tried again."),
		maintainErrors:    counter("maintenance_errors_total", "Checkpoints and merges that failed and are tried again."),
		publishSeconds:    histogram("publish_seconds", "Time to apply and publish one version."),
		checkpointSeconds: histogram("checkpoint_seconds", "Time of a checkpoint."),
		fsyncSeconds:      histogram("load_log_fsync_seconds", "Time of an fdatasync of the load log."),
	}
	m.all = []prometheus.Collector{m.loads, m.changes, m.compactions, m.publishErrors, m.maintainErrors, m.publishSeconds, m.checkpointSeconds, m.fsyncSeconds}
	gauge := func(name, help string, f func(Stats) float64) {
		m.all = append(m.all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "millrace", Subsystem: "columnstore", Name: name, Help: help},
			func() float64 { return f(s.Stats()) }))
	}
	gauge("rows", "Visible rows.", func(n Stats) float64 { return float64(n.Rows) })
	gauge("segments", "Segment files.", func(n Stats) float64 { return float64(n.Segments) })
	gauge("segment_bytes", "Bytes of segment files.", func(n Stats) float64 { return float64(n.SegmentBytes) })
	gauge("cache_bytes", "Column blocks in memory.", func(n Stats) float64 { return float64(n.CacheBytes) })
	gauge("staged_bytes", "Loads in memory that wait to be published.", func(n Stats) float64 { return float64(n.StagedBytes) })
	gauge("log_bytes", "Load log on disk.", func(n Stats) float64 { return float64(n.LogBytes) })
	if m.registerer != nil {
		for _, c := range m.all {
			if err := m.registerer.Register(c); err != nil {
				s.opts.Logger.Warn("metric not registered", "error", err)
			}
		}
	}
	return m
}

func (m *metrics) close() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}
