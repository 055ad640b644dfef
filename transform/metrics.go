package transform

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// metrics are what a worker measures.
type metrics struct {
	rowsIn, rowsOut, bytesOut     prometheus.Counter
	loads, retries, fenced, lost  prometheus.Counter
	leases                        prometheus.Gauge
	streamSeconds                 prometheus.Histogram
	transformSeconds, loadSeconds prometheus.Histogram

	mu struct {
		sync.Mutex
		stats Stats
	}
}

// latencyBuckets reach from 0.1 ms to about 26 s.
var latencyBuckets = prometheus.ExponentialBuckets(0.0001, 2, 19)

func newMetrics(o Options) *metrics {
	labels := prometheus.Labels{"pipeline": o.Pipeline.Name, "worker": o.Name}
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "millrace", Subsystem: "transform", Name: name, Help: help, ConstLabels: labels}
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts(opts(name, help)))
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "millrace", Subsystem: "transform", Name: name, Help: help, ConstLabels: labels, Buckets: latencyBuckets})
	}
	m := &metrics{
		rowsIn:           counter("rows_in_total", "Changes read from the stream."),
		rowsOut:          counter("rows_out_total", "Changes that transforms made of them."),
		bytesOut:         counter("bytes_out_total", "Bytes of loaded batches."),
		loads:            counter("loads_total", "Loads that became durable."),
		retries:          counter("retries_total", "Calls that failed and were tried again."),
		fenced:           counter("fenced_total", "Leases that ended because something newer owns the partition."),
		lost:             counter("lost_total", "Streams that could not be continued."),
		leases:           prometheus.NewGauge(prometheus.GaugeOpts(opts("leases", "Partitions held."))),
		streamSeconds:    histogram("stream_seconds", "Time from building a message in capture to its arrival here."),
		transformSeconds: histogram("transform_seconds", "Time to transform the messages of a load."),
		loadSeconds:      histogram("load_seconds", "Time until a load is durable."),
	}
	if o.Registry != nil {
		for _, c := range []prometheus.Collector{m.rowsIn, m.rowsOut, m.bytesOut, m.loads, m.retries, m.fenced, m.lost, m.leases,
			m.streamSeconds, m.transformSeconds, m.loadSeconds} {
			_ = o.Registry.Register(c) // a second worker of a name keeps its own
		}
	}
	return m
}

// Stats is what a worker did so far, for a live view.
type Stats struct {
	Messages, Loads int64
	RowsOut         int64
	Bytes           int64 // of loaded batches
	// Stream is how long the newest message was under way from capture, Load how
	// long the newest load took to be durable.
	Stream, Load time.Duration
	// DurableW and VisibleW are the newest boundaries the warehouse told.
	DurableW, VisibleW schemas.LSN
}

// Stats returns the present numbers. Safe for concurrent use.
func (w *Worker) Stats() Stats {
	w.metrics.mu.Lock()
	defer w.metrics.mu.Unlock()
	return w.metrics.mu.stats
}

func (m *metrics) received(now time.Time, msg *Message) {
	age := max(now.Sub(time.UnixMicro(msg.Sent)), 0)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.stats.Messages++
	if msg.Sent != 0 {
		m.streamSeconds.Observe(age.Seconds())
		m.mu.stats.Stream = age
	}
}

func (m *metrics) loaded(took time.Duration, l *load.Load, reply load.Reply) {
	bytes, rows := int64(0), int64(0)
	for _, b := range l.Batches {
		bytes += b.Bytes()
		rows += int64(b.Len())
	}
	m.loads.Inc()
	m.bytesOut.Add(float64(bytes))
	m.loadSeconds.Observe(took.Seconds())
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.mu.stats
	s.Loads++
	s.Bytes, s.RowsOut, s.Load = s.Bytes+bytes, s.RowsOut+rows, took
	s.DurableW, s.VisibleW = max(s.DurableW, reply.DurableW), max(s.VisibleW, reply.VisibleW)
}
