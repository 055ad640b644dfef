package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/schemas/load"
	"github.com/millrace/millrace/transform"
)

// openFrom lets a worker read leased partitions through a consumer.
func openFrom(c *stream.Consumer) transform.Open {
	return func(_ context.Context, l load.Lease) (transform.Reader, error) {
		return &reader{from: c.Open(l)}, nil
	}
}

// reader gives a worker the stream's messages in the worker's terms.
type reader struct {
	from     *stream.Reader
	messages []transform.Message
	rest     []transform.Message // read, not yet handed over
}

// Next implements transform.Reader.
func (r *reader) Next(ctx context.Context, maxBytes int64) ([]transform.Message, error) {
	if len(r.rest) == 0 {
		if err := r.fill(ctx); err != nil {
			return nil, err
		}
	}
	n, bytes := 0, int64(0)
	for n < len(r.rest) && (n == 0 || bytes < maxBytes) {
		if b := r.rest[n].Batch; b != nil {
			bytes += b.Bytes()
		}
		n++
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out, nil
}

func (r *reader) fill(ctx context.Context) error {
	in, err := r.from.Next(ctx)
	if err != nil {
		return lost(err)
	}
	r.messages = r.messages[:0]
	for _, m := range in {
		r.messages = append(r.messages, transform.Message{
			Sequence: m.Sequence, NextOffset: m.NextOffset, Sent: m.Sent,
			Batch: m.Batch, Begin: m.Begin, Progress: m.Progress,
		})
	}
	r.rest = r.messages
	return nil
}

// Close implements transform.Reader.
func (r *reader) Close() error { return r.from.Close() }

// lost marks a broken stream in the worker's terms.
func lost(err error) error {
	var broken *stream.LostError
	if errors.As(err, &broken) {
		return fmt.Errorf("%w: %w", transform.ErrLost, err)
	}
	return err
}
