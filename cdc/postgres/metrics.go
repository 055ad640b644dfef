package postgres

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the source measures.
type metrics struct {
	reg                            prometheus.Registerer
	bytes, transactions, changes   prometheus.Counter
	spilled, snapshotRows          prometheus.Counter
	retained, received, confirming prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, slot string) *metrics {
	labels := prometheus.Labels{"slot": slot}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "millrace", Subsystem: "postgres", Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "millrace", Subsystem: "postgres", Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		reg:          reg,
		bytes:        counter("received_bytes_total", "Bytes of replication messages received."),
		transactions: counter("transactions_total", "Committed transactions with captured changes."),
		changes:      counter("changes_total", "Changes of captured tables handed over."),
		spilled:      counter("spilled_bytes_total", "Bytes of large transactions written to disk until their commit."),
		snapshotRows: counter("snapshot_rows_total", "Rows read by snapshots."),
		retained:     gauge("slot_retained_bytes", "Log between the slot's confirmed position and the end of the log."),
		received:     gauge("received_lsn_bytes", "Position up to which every commit was handed over."),
		confirming:   gauge("confirmed_lsn_bytes", "Position confirmed to the slot."),
	}
	if reg != nil {
		for _, c := range m.all() {
			_ = reg.Register(c) // a second source of the slot counts without being seen
		}
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.bytes, m.transactions, m.changes, m.spilled, m.snapshotRows, m.retained, m.received, m.confirming}
}

func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.all() {
		m.reg.Unregister(c)
	}
}
