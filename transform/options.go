package transform

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// ErrLost is wrapped by a reader's error that says that the partition's stream of
// this epoch cannot be continued: a gap, an offset out of range, a wiped log. The
// worker reports it and the source replays.
var ErrLost = errors.New("the stream cannot be continued")

// Warehouse is what a worker asks of the load protocol's server (load.Warehouse).
type Warehouse interface {
	Register(ctx context.Context, p load.Pipeline) error
	Acquire(ctx context.Context, pipeline, worker string, max int) ([]load.Lease, error)
	Release(ctx context.Context, leases []load.Lease) error
	Load(ctx context.Context, l *load.Load) (load.Reply, error)
	Lost(ctx context.Context, l load.Lease, reason string) error
}

// Message is one message of a partition. A message without Batch, Begin and
// Progress (the marker of an epoch) only advances the sequence.
type Message struct {
	Sequence   uint64
	NextOffset int64 // the broker's offset after the message
	Sent       int64 // when capture built it, µs since 1970 UTC
	Batch      *change.Batch
	Begin      *load.Begin
	Progress   *load.Progress
}

// Reader reads a leased partition. It has one caller at a time.
type Reader interface {
	// Next returns messages of the lease's epoch, in sequence order from the
	// lease's NextSequence on: it waits for one, and adds what is at hand, up to
	// about maxBytes of batches. The slice is valid until the next call. Errors of
	// code fenced say that a newer epoch began; those that wrap ErrLost that the
	// stream broke; other errors may be retried by calling Next again.
	Next(ctx context.Context, maxBytes int64) ([]Message, error)
	Close() error
}

// Open opens a reader at a lease's NextSequence, to be found at or after its Offset.
type Open func(ctx context.Context, l load.Lease) (Reader, error)

// Options are how a worker behaves. Pipeline, Tables, Name, Warehouse and Open are
// required; the zero value of the others is useful.
type Options struct {
	// Pipeline is registered when the worker starts.
	Pipeline load.Pipeline
	// Tables are the plans of the pipeline's tables.
	Tables []*Table
	// Name tells this worker from the others of the pipeline.
	Name      string
	Warehouse Warehouse
	Open      Open

	// MaxLeases is the most partitions to hold; default 1024. Fewer leave more to
	// other workers.
	MaxLeases int
	// LoadBytes is about how much of a backlog one load takes; default 4 MiB. More
	// loads faster, in more memory for each partition.
	LoadBytes int64
	// RenewEvery is the time between two renewals of leases; default 500 ms. It
	// must be well below the time after which leases expire.
	RenewEvery time.Duration
	// MaxBackoff limits the wait between two attempts; default 5 s.
	MaxBackoff time.Duration

	Clock    clock.Clock           // default the system's
	Logger   *slog.Logger          // default none
	Registry prometheus.Registerer // default none
}

// Validate names every mistake.
func (o *Options) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, schemas.Errorf(schemas.CodeInvalid, "22023", format, args...))
		}
	}
	bad(o.Pipeline.Name == "" || o.Pipeline.Version == "", "a worker needs the name and version of its pipeline")
	bad(o.Name == "", "a worker needs a name")
	bad(o.Warehouse == nil || o.Open == nil, "a worker needs a warehouse and a stream")
	bad(len(o.Tables) == 0, "a worker needs tables")
	bad(o.MaxLeases < 0 || o.LoadBytes < 0 || o.RenewEvery < 0 || o.MaxBackoff < 0, "limits and times of a worker cannot be negative")
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.MaxLeases == 0 {
		o.MaxLeases = 1024
	}
	if o.LoadBytes == 0 {
		o.LoadBytes = 4 << 20
	}
	if o.RenewEvery == 0 {
		o.RenewEvery = 500 * time.Millisecond
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 5 * time.Second
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
