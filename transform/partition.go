package transform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// partition loads one leased partition. While a load waits to be durable, messages
// gather in the broker: under backlog loads grow, when idle each message goes at once.
type partition struct {
	w      *Worker
	lease  load.Lease
	next   uint64 // sequence
	stages map[string]*Stage
	out    map[string]*change.Batch // by output table, filled anew for every load
}

// keepBytes is how large a batch may be that is kept to be filled again.
const keepBytes = 1 << 20

func newPartition(w *Worker, l load.Lease) *partition {
	return &partition{w: w, lease: l, next: l.NextSequence, stages: map[string]*Stage{}, out: map[string]*change.Batch{}}
}

// run loads until ctx ends, the lease is fenced, the stream is lost or a row fails.
func (p *partition) run(ctx context.Context) error {
	var reader Reader
	err := p.w.retry(ctx, "open the stream", func() (err error) {
		reader, err = p.w.o.Open(ctx, p.lease)
		return err
	})
	if err != nil {
		return err
	}
	err = p.loop(ctx, reader)
	return errors.Join(err, reader.Close())
}

func (p *partition) loop(ctx context.Context, reader Reader) error {
	for ctx.Err() == nil {
		var messages []Message
		err := p.w.retry(ctx, "read the stream", func() (err error) {
			messages, err = reader.Next(ctx, p.w.o.LoadBytes)
			return err
		})
		if err != nil {
			return err
		}
		l, err := p.build(messages)
		if err != nil {
			return err
		}
		if l.To == l.From {
			continue
		}
		if err := p.load(ctx, l); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// build makes the load of some messages. I2: a repeated sequence is dropped, a gap
// is never passed over.
func (p *partition) build(messages []Message) (*load.Load, error) {
	start := p.w.o.Clock.Now()
	l := &load.Load{Lease: p.lease, Epoch: p.lease.Epoch, Version: p.w.o.Pipeline.Version, From: p.next, To: p.next}
	p.empty()
	for i := range messages {
		m := &messages[i]
		if m.Sequence < l.To {
			continue
		}
		if m.Sequence > l.To {
			return nil, fmt.Errorf("%w: sequence %d follows %d", ErrLost, m.Sequence, l.To)
		}
		if err := p.add(l, m); err != nil {
			return nil, err
		}
		l.To, l.NextOffset = m.Sequence+1, m.NextOffset
		p.w.metrics.received(start, m)
	}
	p.w.metrics.transformSeconds.Observe(p.w.o.Clock.Now().Sub(start).Seconds())
	return l, nil
}

// empty makes the batches of the last load, which the warehouse has given back,
// ready for the next.
func (p *partition) empty() {
	for name, b := range p.out {
		if b.Bytes() > keepBytes {
			delete(p.out, name)
			continue
		}
		b.Reset()
	}
}

// add puts a message into a load.
func (p *partition) add(l *load.Load, m *Message) error {
	switch {
	case m.Begin != nil:
		l.Begin = m.Begin
	case m.Progress != nil:
		l.Progress = append(l.Progress, *m.Progress)
	case m.Batch != nil:
		s, err := p.stage(m.Batch.Table)
		if err != nil || s == nil {
			return err
		}
		name := s.Output().FullName()
		b := p.out[name]
		if b == nil {
			b = change.New(s.Output(), m.Batch.Len())
			p.out[name] = b
		}
		before := b.Len()
		if err := s.Apply(m.Batch, b); err != nil {
			return err
		}
		if before == 0 && b.Len() > 0 {
			l.Batches = append(l.Batches, b)
		}
		p.w.metrics.rowsIn.Add(float64(m.Batch.Len()))
		p.w.metrics.rowsOut.Add(float64(b.Len() - before))
	}
	return nil
}

// stage finds the stage of a source table, which has to be the one that was planned.
func (p *partition) stage(t *schemas.Table) (*Stage, error) {
	if s := p.stages[t.FullName()]; s != nil {
		return s, nil
	}
	plan := p.w.tables[t.FullName()]
	if plan == nil {
		return nil, schemas.Errorf(schemas.CodeInvalid, "42P01", "the stream has table %s, which pipeline %s does not", t.FullName(), p.w.o.Pipeline.Name)
	}
	if !sameColumns(t, plan.Source) {
		return nil, &schemas.Error{Code: schemas.CodeSource, SQLState: "42P16",
			Message: fmt.Sprintf("table %s has other columns in the stream than in the plan of pipeline %s", t.FullName(), p.w.o.Pipeline.Name),
			Hint:    "a captured table was altered: restart the pipeline, so that it is planned and captured anew"}
	}
	s, err := NewStage(plan)
	p.stages[t.FullName()] = s
	return s, err
}

func sameColumns(a, b *schemas.Table) bool {
	if len(a.Columns) != len(b.Columns) {
		return false
	}
	for i, c := range a.Columns {
		if c.ID != b.Columns[i].ID || c.Type != b.Columns[i].Type {
			return false
		}
	}
	return true
}

// load makes a load durable. Only then does the partition go on (I1).
func (p *partition) load(ctx context.Context, l *load.Load) error {
	start := p.w.o.Clock.Now()
	what := fmt.Sprintf("load %s/%d [%d,%d)", p.lease.Partition.Topic, p.lease.Partition.Index, l.From, l.To)
	var reply load.Reply
	err := p.w.retry(ctx, what, func() (err error) {
		reply, err = p.w.o.Warehouse.Load(ctx, l)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	p.next = l.To
	p.w.progressed(p.lease.Partition)
	p.w.metrics.loaded(p.w.o.Clock.Now().Sub(start), l, reply)
	return p.yield(ctx, reply)
}

// yield waits a little while the warehouse takes no more.
func (p *partition) yield(ctx context.Context, reply load.Reply) error {
	if reply.Credit > 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.w.o.Clock.After(2 * time.Millisecond):
		return nil
	}
}
