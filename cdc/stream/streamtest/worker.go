package streamtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Work loads a pipeline's partitions, as they are, until ctx ends. It holds at most
// max leases.
func Work(ctx context.Context, w load.Warehouse, pipeline, name string, max int, o stream.ConsumerOptions) error {
	o.Worker = name
	k, err := stream.NewConsumer(o)
	if err != nil {
		return err
	}
	defer func() { _ = k.Close() }()
	type held struct {
		token  uint64
		cancel context.CancelFunc
	}
	running, done := map[load.Partition]held{}, sync.WaitGroup{}
	defer done.Wait()
	for ctx.Err() == nil {
		leases, err := w.Acquire(ctx, pipeline, name, max)
		if err == nil {
			for _, l := range leases {
				if h, ok := running[l.Partition]; ok && h.token == l.Token {
					continue
				} else if ok {
					h.cancel()
				}
				one, cancel := context.WithCancel(ctx)
				running[l.Partition] = held{l.Token, cancel}
				done.Add(1)
				go func() {
					defer done.Done()
					read(one, w, k, l)
				}()
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	for _, h := range running {
		h.cancel()
	}
	return nil
}

// read loads one partition until its lease ends.
func read(ctx context.Context, w load.Warehouse, k *stream.Consumer, l load.Lease) {
	r := k.Open(l)
	defer func() { _ = r.Close() }()
	next := l.NextSequence
	for {
		ms, err := r.Next(ctx)
		var lost *stream.LostError
		if errors.As(err, &lost) {
			_ = w.Lost(ctx, l, lost.Error())
		}
		if err != nil {
			return
		}
		ld := &load.Load{Lease: l, Epoch: l.Epoch, From: next}
		for _, m := range ms {
			next, ld.NextOffset = m.Sequence+1, m.NextOffset
			switch m.Kind {
			case stream.KindData:
				ld.Batches = append(ld.Batches, m.Batch)
			case stream.KindBegin:
				ld.Begin = m.Begin
			case stream.KindProgress:
				ld.Progress = append(ld.Progress, *m.Progress)
			}
		}
		ld.To = next
		for {
			_, err := w.Load(ctx, ld)
			if err == nil {
				break
			}
			if schemas.CodeOf(err) != schemas.CodeNotReady || ctx.Err() != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
