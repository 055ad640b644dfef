package oltp

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/wal"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/schemas"
)

// counters count since the database was opened.
type counters struct {
	commits, changes, conflicts, retries, checkpoints atomic.Int64
}

// Stats are a database's figures for reports. Counters begin with Open.
type Stats struct {
	LogID      string      `json:"log_id"`
	DurableLSN schemas.LSN `json:"durable_lsn"`
	OldestLSN  schemas.LSN `json:"oldest_lsn"` // where the log begins
	LogBytes   int64       `json:"log_bytes"`  // of disk
	// Commits are acknowledged transactions that changed something.
	Commits   int64 `json:"commits"`
	Changes   int64 `json:"changes"`
	Conflicts int64 `json:"conflicts"`
	Retries   int64 `json:"retries"` // by Update, after conflicts
	// Checkpoint is the LSN that recovery would start from.
	Checkpoint  schemas.LSN `json:"checkpoint"`
	Checkpoints int64       `json:"checkpoints"`
	// Running transactions, and the oldest LSN that one reads at.
	Running        int         `json:"running"`
	OldestSnapshot schemas.LSN `json:"oldest_snapshot"`
	Engine         kv.Stats    `json:"engine"`
	Slots          []SlotInfo  `json:"slots"`
}

// Stats returns the figures of now.
func (db *DB) Stats() Stats {
	running, oldest := db.snapshots.stats(db.visible())
	return Stats{
		LogID: db.LogID(), DurableLSN: db.DurableLSN(), OldestLSN: db.log.OldestLSN(), LogBytes: db.log.DiskBytes(),
		Commits: db.counters.commits.Load(), Changes: db.counters.changes.Load(),
		Conflicts: db.counters.conflicts.Load(), Retries: db.counters.retries.Load(),
		Checkpoint: schemas.LSN(db.engine.DurableLSN()), Checkpoints: db.counters.checkpoints.Load(),
		Running: running, OldestSnapshot: schemas.LSN(oldest),
		Engine: db.engine.Stats(), Slots: db.Slots(),
	}
}

// prefix begins the names of all metrics.
const prefix = "millrace_oltp_"

// metrics are what Options.Metrics gets.
type metrics struct {
	commit     prometheus.Histogram
	fsync      prometheus.Histogram
	groupSize  prometheus.Histogram
	collectors []prometheus.Collector
	registered bool
}

func newMetrics() *metrics {
	latency := prometheus.ExponentialBuckets(50e-6, 2, 18) // 50 µs to 6.5 s
	return &metrics{
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "commit_seconds", Buckets: latency,
			Help: "Time from Commit to its acknowledgement."}),
		fsync: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "log_fsync_seconds", Buckets: latency,
			Help: "Time of one fdatasync of the commit log."}),
		groupSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "log_group_records", Buckets: prometheus.ExponentialBuckets(1, 2, 12),
			Help: "Records that one fdatasync of the commit log made durable."}),
	}
}

// sync is called after each fdatasync of the log.
func (m *metrics) sync(s wal.SyncInfo) {
	m.fsync.Observe(s.Sync.Seconds())
	m.groupSize.Observe(float64(s.Records))
}

func (m *metrics) register(db *DB, to prometheus.Registerer) error {
	if to == nil {
		return nil
	}
	m.collectors = []prometheus.Collector{m.commit, m.fsync, m.groupSize,
		counter("commits_total", "Acknowledged commits.", &db.counters.commits),
		counter("changes_total", "Row changes of acknowledged commits.", &db.counters.changes),
		counter("conflicts_total", "Commits refused because another transaction was first.", &db.counters.conflicts),
		counter("checkpoints_total", "Checkpoints of the engine.", &db.counters.checkpoints),
		gauge("log_bytes", "Disk space of the commit log.", db.log.DiskBytes),
		gauge("engine_disk_bytes", "Disk space of the storage engine.", func() int64 { return db.engine.Stats().DiskBytes }),
		gauge("engine_memory_bytes", "Memory of the storage engine.", func() int64 { return db.engine.Stats().MemoryBytes }),
		gauge("slot_held_bytes", "Log that the slot furthest behind holds.", db.heldBytes),
	}
	for i, c := range m.collectors {
		if err := to.Register(c); err != nil {
			m.collectors = m.collectors[:i]
			m.registered = true
			return &schemas.Error{Code: schemas.CodeInvalid, Message: "register metrics of the database", Err: err}
		}
	}
	m.registered = true
	return nil
}

func (m *metrics) unregister(from prometheus.Registerer) {
	if !m.registered {
		return
	}
	for _, c := range m.collectors {
		from.Unregister(c)
	}
	m.registered = false
}

func counter(name, help string, n *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + name, Help: help}, func() float64 { return float64(n.Load()) })
}

func gauge(name, help string, read func() int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, func() float64 { return float64(read()) })
}

func (db *DB) heldBytes() (held int64) {
	for _, s := range db.Slots() {
		held = max(held, s.HeldBytes)
	}
	return held
}
