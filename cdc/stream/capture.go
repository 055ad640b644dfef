package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// stateWait is how long capture waits to learn a pipeline's state when nothing was
// ever loaded, since the question waits for a change.
const stateWait = 100 * time.Millisecond

// Capture follows one source and writes its changes to Kafka, run after run.
type Capture struct {
	source    cdc.Source
	warehouse Warehouse
	o         Options
	client    *client
	metrics   *captureMetrics
}

// Position is how far the source was written to the stream: the newest LSN whose
// progress record the broker acknowledged. Safe for concurrent use.
func (c *Capture) Position() schemas.LSN { return schemas.LSN(c.metrics.sent.Load()) }

// NewCapture makes a capture. It connects when it runs. The source stays the
// caller's to close.
func NewCapture(source cdc.Source, warehouse Warehouse, o Options) (*Capture, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	c, err := newClient(o.Brokers, "millrace-capture-"+o.Pipeline, o.Dial)
	if err != nil {
		return nil, err
	}
	return &Capture{source: source, warehouse: warehouse, o: o, client: c, metrics: newCaptureMetrics(o.Registry, o.Pipeline)}, nil
}

// Run captures until ctx ends (then it returns nil) or something has to be done by
// a person: that error is returned. Whatever else goes wrong starts a new run, with
// a new epoch, after a pause that grows while nothing gets through.
func (c *Capture) Run(ctx context.Context) error {
	defer c.client.close()
	backoff := c.firstBackoff()
	for {
		began := c.o.Clock.Now()
		err := c.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("the source ended")
		}
		if permanent(err) {
			return fmt.Errorf("capture %s: %w", c.o.Pipeline, err)
		}
		if c.o.Clock.Now().Sub(began) > c.o.MaxBackoff {
			backoff = c.firstBackoff()
		}
		c.metrics.restarts.Inc()
		c.o.Logger.Warn("capture starts a new run", "pipeline", c.o.Pipeline, "reason", err, "after", backoff)
		select {
		case <-c.o.Clock.After(backoff):
		case <-ctx.Done():
			return nil
		}
		backoff = min(2*backoff, c.o.MaxBackoff)
		c.client.forget()
	}
}

func (c *Capture) firstBackoff() time.Duration { return min(50*time.Millisecond, c.o.MaxBackoff) }

// run is one epoch: it ends with an error, always.
func (c *Capture) run(ctx context.Context) error {
	desc, err := c.source.Describe(ctx)
	if err != nil {
		return fmt.Errorf("describe the source: %w", err)
	}
	state, err := c.state(ctx)
	if err != nil {
		return fmt.Errorf("ask the warehouse: %w", err)
	}
	if err := c.resumable(desc, state.Incarnation, state.DurableW); err != nil {
		return err
	}
	declared := c.declare(desc, state.DurableW == 0)
	if err := c.client.ensureTopics(ctx, declared.Partitions, c.o.Replication); err != nil {
		return err
	}
	grant, err := c.warehouse.Grant(ctx, declared)
	if err != nil {
		return fmt.Errorf("register the run: %w", err)
	}
	if declared.Snapshot != (grant.W == 0) {
		return replay("the warehouse moved from %v to %v meanwhile", state.DurableW, grant.W)
	}
	if err := c.resumable(desc, desc.Incarnation, grant.W); err != nil {
		return err
	}
	r := newRun(c, desc, declared, grant)
	c.metrics.epoch.Set(float64(grant.Epoch))
	c.o.Logger.Info("capture run", "pipeline", c.o.Pipeline, "epoch", grant.Epoch, "from", grant.W, "source", desc.Kind, "incarnation", desc.Incarnation, "snapshot", declared.Snapshot)
	return r.run(ctx)
}

// state reads the warehouse's state without waiting long for it to change.
func (c *Capture) state(ctx context.Context) (load.State, error) {
	ctx, cancel := context.WithTimeout(ctx, stateWait)
	defer cancel()
	s, err := c.warehouse.State(ctx, c.o.Pipeline, 0)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		return s, nil
	}
	return s, err
}

// declare describes the run.
func (c *Capture) declare(desc cdc.Description, snapshot bool) load.Run {
	run := load.Run{
		Pipeline: c.o.Pipeline, Source: c.o.Source, Incarnation: desc.Incarnation, Tables: desc.Tables,
		Partitions: map[string]int32{}, Progress: ProgressTopic(c.o.Pipeline), Snapshot: snapshot,
	}
	for _, t := range desc.Tables {
		run.Partitions[TableTopic(c.o.Pipeline, t)] = c.o.Partitions
	}
	run.Partitions[run.Progress] = 1
	return run
}

// resumable checks that the source still holds every change after w. I2: it never
// starts later than that, and a person decides to give the difference up.
func (c *Capture) resumable(desc cdc.Description, incarnation string, w schemas.LSN) error {
	if w == 0 {
		return nil
	}
	stop := func(format string, args ...any) error {
		e := schemas.Errorf(schemas.CodeSource, "55000", format, args...)
		e.Hint = "load the source afresh: stop the pipeline, remove its data folder, start it"
		return e
	}
	switch {
	case incarnation != "" && incarnation != desc.Incarnation:
		return stop("the warehouse follows log %s of the source, which now writes log %s", incarnation, desc.Incarnation)
	case !desc.Resumable:
		return stop("the source no longer has the slot that held its changes after %v", w)
	case desc.Confirmed > w:
		return stop("the source's slot was moved to %v, past %v which the warehouse has", desc.Confirmed, w)
	case desc.End < w:
		return stop("the source's log ends at %v, before %v which the warehouse has: it was set back", desc.End, w)
	}
	return nil
}
