package stream

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/schemas/load"
)

// captureMetrics are what capture measures.
type captureMetrics struct {
	epoch, lsn               prometheus.Gauge
	restarts, rows           prometheus.Counter
	messages, bytes, retries prometheus.Counter
	produce, interval        prometheus.Histogram
	buffered                 prometheus.Gauge
	sent                     atomic.Uint64 // as lsn, for Capture.Position
}

// latencyBuckets reach from 0.1 ms to about 26 s.
var latencyBuckets = prometheus.ExponentialBuckets(0.0001, 2, 19)

func newCaptureMetrics(reg prometheus.Registerer, pipeline string) *captureMetrics {
	labels := prometheus.Labels{"pipeline": pipeline}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "millrace", Subsystem: "capture", Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "millrace", Subsystem: "capture", Name: name, Help: help, ConstLabels: labels})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "millrace", Subsystem: "capture", Name: name, Help: help, ConstLabels: labels, Buckets: latencyBuckets})
	}
	m := &captureMetrics{
		epoch:    gauge("epoch", "Epoch of the present run."),
		lsn:      gauge("progress_lsn_bytes", "Newest LSN whose progress record the broker acknowledged."),
		restarts: counter("restarts_total", "Runs that ended and were started anew."),
		rows:     counter("rows_total", "Changes taken from the source."),
		messages: counter("messages_total", "Messages that the broker acknowledged."),
		bytes:    counter("bytes_total", "Bytes of messages that the broker acknowledged."),
		retries:  counter("produce_retries_total", "Record batches that were sent again."),
		produce:  histogram("produce_seconds", "Time of a produce request, over all its partitions."),
		interval: histogram("interval_seconds", "Time from the source's progress point to its acknowledged progress record."),
		buffered: gauge("buffered_bytes", "Rows that wait to be sent."),
	}
	register(reg, m.epoch, m.lsn, m.restarts, m.rows, m.messages, m.bytes, m.retries, m.produce, m.interval, m.buffered)
	return m
}

// readerMetrics are what a worker's consumer measures.
type readerMetrics struct {
	fetches, messages, bytes, dropped prometheus.Counter
	lost                              prometheus.Counter
	age                               prometheus.Histogram
	lag                               *prometheus.GaugeVec
}

func newReaderMetrics(reg prometheus.Registerer, worker string) *readerMetrics {
	labels := prometheus.Labels{"worker": worker}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "millrace", Subsystem: "stream", Name: name, Help: help, ConstLabels: labels})
	}
	m := &readerMetrics{
		fetches:  counter("fetches_total", "Fetch requests."),
		messages: counter("messages_total", "Messages handed over."),
		bytes:    counter("bytes_total", "Bytes of records fetched."),
		dropped:  counter("dropped_total", "Records of lower epochs and repeated sequences."),
		lost:     counter("lost_total", "Partitions whose stream could not be continued."),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "millrace", Subsystem: "stream", Name: "message_age_seconds",
			Help: "Time from building a message in capture to handing it over.", ConstLabels: labels, Buckets: latencyBuckets}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "millrace", Subsystem: "stream", Name: "lag_records",
			Help: "Records in the broker that were not fetched yet.", ConstLabels: labels}, []string{"topic", "partition"}),
	}
	register(reg, m.fetches, m.messages, m.bytes, m.dropped, m.lost, m.age, m.lag)
	return m
}

// register is lenient: a second capture of a name keeps its own, unseen metrics.
func register(reg prometheus.Registerer, cs ...prometheus.Collector) {
	if reg == nil {
		return
	}
	for _, c := range cs {
		_ = reg.Register(c)
	}
}

// labelsOf are the label values of a partition.
func labelsOf(p load.Partition) []string { return []string{p.Topic, itoa(p.Index)} }
