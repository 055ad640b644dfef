package oltp

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// SlotPolicy says what happens to a replication slot that holds more log than its
// budget.
type SlotPolicy string

// The policies.
const (
	// SlotHold keeps the log, whatever it takes: the disk may fill. The default.
	SlotHold SlotPolicy = "hold"
	// SlotLose gives the log up: the slot is marked lost, and its reader fails
	// with a source_error until it resyncs.
	SlotLose SlotPolicy = "lose"
)

// Options configure a database. Only Dir is needed.
type Options struct {
	// Dir is the data folder, made when missing.
	Dir string
	// FS holds the files; nil is vfs.OS.
	FS vfs.FS
	// Clock gives commit times and paces background work; nil is clock.System.
	Clock clock.Clock
	// Engine names the storage engine of a new database; "" is "lsm". An existing
	// one keeps its engine, and another name is refused.
	Engine string
	// Logger hears of recovery, checkpoints and failures; nil is silent.
	Logger *slog.Logger
	// Metrics gets the database's metrics; nil is none.
	Metrics prometheus.Registerer

	// MemoryBytes is what the engine may use for write buffers and caches together.
	// 0 is 256 MiB. More means fewer flushes and fewer reads.
	MemoryBytes int64
	// LogSegmentBytes is the size of a segment of the commit log. 0 is 64 MiB.
	LogSegmentBytes int64
	// CheckpointBytes is how much log may be written until the engine checkpoints,
	// so how much recovery replays. 0 is 256 MiB.
	CheckpointBytes int64
	// CheckpointInterval is how often there is a checkpoint at least when
	// anything was written. 0 is 5 minutes.
	CheckpointInterval time.Duration
	// MaxTxBytes limits the keys and rows that one transaction writes, which it
	// holds in memory until it commits. 0 is 256 MiB; at most 768 MiB.
	MaxTxBytes int64
	// MaxAttempts is how often Update runs its function before it gives up on
	// conflicts. 0 is 100.
	MaxAttempts int

	// SlotMaxBytes and SlotMaxAge are the budget of each slot: how much log it may
	// hold, and how long it may go without confirming while log is held. 0 is
	// no limit. SlotPolicy says what happens over budget; "" is SlotHold, which
	// only warns.
	SlotMaxBytes int64
	SlotMaxAge   time.Duration
	SlotPolicy   SlotPolicy

	// OnCommit is called after every acknowledged commit that changed something, by
	// the goroutine that committed, with the time Commit took and the number of
	// changes. nil is none.
	OnCommit func(took time.Duration, changes int)
	// Seed feeds the jitter of retries.
	Seed uint64

	truncateBatch int // rows of a TRUNCATE that are deleted at once; tests set it
}

// Validate names every value that cannot be.
func (o Options) Validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("no Dir is given"))
	}
	for name, n := range map[string]int64{"MemoryBytes": o.MemoryBytes, "LogSegmentBytes": o.LogSegmentBytes,
		"CheckpointBytes": o.CheckpointBytes, "CheckpointInterval": int64(o.CheckpointInterval), "MaxAttempts": int64(o.MaxAttempts),
		"SlotMaxBytes": o.SlotMaxBytes, "SlotMaxAge": int64(o.SlotMaxAge)} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s %d is negative", name, n))
		}
	}
	if o.MaxTxBytes < 0 || o.MaxTxBytes > maxTxBytes {
		errs = append(errs, fmt.Errorf("MaxTxBytes %d is not between 0 and %d", o.MaxTxBytes, maxTxBytes))
	}
	if p := o.SlotPolicy; p != "" && p != SlotHold && p != SlotLose {
		errs = append(errs, fmt.Errorf("SlotPolicy %q is neither %q nor %q", p, SlotHold, SlotLose))
	}
	if len(errs) == 0 {
		return nil
	}
	return &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "database options", Err: errors.Join(errs...)}
}

// maxTxBytes keeps a transaction's before and after images within one log batch.
const maxTxBytes = 768 << 20

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	defaults := []struct {
		p *int64
		n int64
	}{
		{&o.MemoryBytes, 256 << 20}, {&o.LogSegmentBytes, 64 << 20}, {&o.CheckpointBytes, 256 << 20}, {&o.MaxTxBytes, 256 << 20},
	}
	for _, d := range defaults {
		if *d.p == 0 {
			*d.p = d.n
		}
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = 5 * time.Minute
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 100
	}
	if o.SlotPolicy == "" {
		o.SlotPolicy = SlotHold
	}
	if o.truncateBatch == 0 {
		o.truncateBatch = truncateBatch
	}
	return o
}
