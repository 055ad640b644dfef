package columnstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/table"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
)

// Options configure a store. Only Dir is required.
type Options struct {
	// Dir is the data folder; it is made when missing.
	Dir string
	// FS holds the files; nil is vfs.OS.
	FS vfs.FS
	// Clock is the time; nil is clock.System.
	Clock clock.Clock
	// Logger hears of changes of state; nil is silent.
	Logger *slog.Logger
	// Registerer takes the metrics; nil is none.
	Registerer prometheus.Registerer

	// MemoryBudget is bytes for column blocks, staged loads and rows that are not
	// in a segment yet; the index comes on top. 0 is 2 GiB. Queries' own memory is
	// not part of it.
	MemoryBudget int64
	// FlushBytes of rows in no segment start a checkpoint. 0 is 1/16 of the budget,
	// at most 64 MiB.
	FlushBytes int64
	// FlushInterval starts a checkpoint when anything changed. 0 is a minute.
	FlushInterval time.Duration
	// LogBytes of load log start a checkpoint. 0 is 256 MiB.
	LogBytes int64
	// MaxUnpublishedLog is how much load log may wait for W before loads of
	// partitions that W does not wait for are held back. 0 is 4 GiB.
	MaxUnpublishedLog int64
	// LogSegmentBytes is the size of a load log segment. 0 is 64 MiB.
	LogSegmentBytes int64
	// LeaseTTL is how long a lease lives without renewal. 0 is 10 s.
	LeaseTTL time.Duration
	// Compaction says which segments are merged; a zero field is its default:
	// SmallRows 512 Ki, SmallSegments 6, DeadShare 0.3, MaxRows 2 Mi.
	Compaction table.Policy
	// Manual leaves encoding, checkpoints and merges to Flush and Compact.
	Manual bool
	// OnVisible, when set, is told of every new version right after queries can see
	// it. It must be quick: publishing waits for it.
	OnVisible func(SourceState)
	// NewHistory names the history of a new store; nil draws 16 random bytes.
	NewHistory func() string

	// hooks disable a rule, so that a test sees it missed.
	hooks hooks
}

type hooks struct {
	ingest.Hooks
	earlyW  bool   // say that W is reached before its changes are visible
	between func() // called in between
}

// Validate names every value that cannot be.
func (o Options) Validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("a data folder is required"))
	}
	for name, n := range map[string]int64{"MemoryBudget": o.MemoryBudget, "FlushBytes": o.FlushBytes, "LogBytes": o.LogBytes,
		"MaxUnpublishedLog": o.MaxUnpublishedLog, "LogSegmentBytes": o.LogSegmentBytes, "FlushInterval": int64(o.FlushInterval), "LeaseTTL": int64(o.LeaseTTL)} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", name))
		}
	}
	return errors.Join(errs...)
}

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
	if o.NewHistory == nil {
		o.NewHistory = randomHistory
	}
	set(&o.MemoryBudget, 2<<30)
	set(&o.FlushBytes, min(64<<20, o.MemoryBudget/16))
	set(&o.FlushInterval, time.Minute)
	set(&o.LogBytes, 256<<20)
	set(&o.MaxUnpublishedLog, 4<<30)
	set(&o.LogSegmentBytes, 64<<20)
	set(&o.LeaseTTL, 10*time.Second)
	set(&o.Compaction.SmallRows, 512<<10)
	set(&o.Compaction.SmallSegments, 6)
	set(&o.Compaction.DeadShare, 0.3)
	set(&o.Compaction.MaxRows, 2<<20)
	return o
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func randomHistory() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}
