package stream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Warehouse is what capture asks of the load protocol's server.
type Warehouse interface {
	// Grant gives a run its epoch, durably.
	Grant(ctx context.Context, run load.Run) (load.Grant, error)
	// State reads a pipeline's progress, after waiting until DurableW exceeds
	// after or Replay is set or ctx ends (the state is returned in every case).
	State(ctx context.Context, pipeline string, after schemas.LSN) (load.State, error)
}

// Options are how a capture behaves. The zero value of all but Pipeline, Source
// and Brokers is useful.
type Options struct {
	// Pipeline and Source name what is captured; topics begin with Pipeline.
	Pipeline, Source string
	// Brokers are addresses host:port to begin with.
	Brokers []string
	// Dial connects to a broker; default plain TCP.
	Dial Dial
	// Partitions of each table's topic; default 4. More let more workers share a
	// table and cost a message more per interval.
	Partitions int32
	// Replication of the topics; default 1. confirm: broker needs 3.
	Replication int
	// Linger is the least time between the starts of two intervals; default 4 ms.
	// A change that comes after a pause of as much is sent at once. Less
	// lowers latency and makes more, smaller messages.
	Linger time.Duration
	// MaxMessageBytes is the largest record batch that the broker takes; default
	// 1,000,000. A message over it goes in chunks.
	MaxMessageBytes int
	// BatchBytes is the size at which a partition's rows become a message without
	// waiting; default 256 KiB.
	BatchBytes int64
	// BufferBytes limits the rows that wait to be sent; default 16 MiB. The source
	// waits beyond it.
	BufferBytes int64
	// FullEvery is how often a progress record names every partition; default 1 s.
	FullEvery time.Duration
	// VerifyEvery is how often the ends of all partitions are compared with what
	// the broker acknowledged; default 1 s.
	VerifyEvery time.Duration
	// MaxBackoff limits the wait between two attempts; default 10 s.
	MaxBackoff time.Duration
	// Trim, when set, is told from time to time how far each partition was
	// loaded: records before offset are no longer needed. The embedded broker
	// has no retention of its own.
	Trim func(ctx context.Context, p load.Partition, offset int64) error

	Clock    clock.Clock           // default the system's
	Logger   *slog.Logger          // default none
	Registry prometheus.Registerer // default none
}

// Validate names every mistake.
func (o *Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, schemas.Errorf(schemas.CodeInvalid, "22023", format, args...))
	}
	if o.Pipeline == "" || o.Source == "" {
		bad("capture needs the names of its pipeline and its source")
	}
	if o.Partitions < 0 || o.Partitions > 1024 {
		bad("partitions must be from 1 to 1024, not %d", o.Partitions)
	}
	if o.MaxMessageBytes != 0 && o.MaxMessageBytes < 1024 {
		bad("the largest message must be at least 1024 bytes, not %d", o.MaxMessageBytes)
	}
	if o.Linger < 0 || o.Linger > time.Minute {
		bad("linger must be from 0 to 1m, not %v", o.Linger)
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	wait := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	if o.Replication == 0 {
		o.Replication = 1
	}
	if o.MaxMessageBytes == 0 {
		o.MaxMessageBytes = 1_000_000
	}
	def(&o.BatchBytes, 256<<10)
	def(&o.BufferBytes, 16<<20)
	wait(&o.Linger, 4*time.Millisecond)
	wait(&o.FullEvery, time.Second)
	wait(&o.VerifyEvery, time.Second)
	wait(&o.MaxBackoff, 10*time.Second)
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
