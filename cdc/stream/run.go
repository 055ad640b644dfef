package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// run is one epoch of a capture: one incarnation, one set of tables, one number of
// partitions.
type run struct {
	c        *Capture
	o        Options
	declared load.Run
	grant    load.Grant
	gather   *gatherer
	sender   *sender
	ledger   *ledger
	placed   chan struct{} // closed once the source streams from its place
}

func newRun(c *Capture, desc cdc.Description, declared load.Run, grant load.Grant) *run {
	r := &run{c: c, o: c.o, declared: declared, grant: grant, gather: newGatherer(c.o, c.metrics, desc.Tables), placed: make(chan struct{})}
	r.sender = &sender{o: c.o, client: c.client, metrics: c.metrics, epoch: grant.Epoch}
	own := *r.sender // the progress topic is written beside the data
	r.ledger = newLedger(&own, c.o.Pipeline, r.gather.parts, grant.W)
	return r
}

// run opens the epoch and follows the source until something fails.
func (r *run) run(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return fmt.Errorf("open epoch %d: %w", r.grant.Epoch, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.flush(ctx) })
	g.Go(func() error { return r.ledger.run(ctx) })
	g.Go(func() error { return r.watch(ctx) })
	g.Go(func() error { return r.verify(ctx) })
	g.Go(func() error { return r.follow(ctx) })
	return g.Wait()
}

// open writes a marker into every partition, then the begin record.
func (r *run) open(ctx context.Context) error {
	begin := load.Begin{Epoch: r.grant.Epoch, From: r.grant.W}
	boxes := make([]*outbox, len(r.gather.parts))
	for i, p := range r.gather.parts {
		records, err := r.sender.message(p, KindMarker, 0, func(dst []byte) []byte { return dst })
		if err != nil {
			return err
		}
		boxes[i] = &outbox{part: p, records: records}
	}
	if err := r.sender.send(ctx, boxes); err != nil {
		return err
	}
	for _, p := range r.gather.parts {
		begin.Markers = append(begin.Markers, load.Marker{Partition: p.id, Offset: p.log.end.Load() - 1})
	}
	return r.ledger.begin(ctx, begin)
}

// follow reads the source: a snapshot first if nothing was ever loaded.
func (r *run) follow(ctx context.Context) error {
	from := r.grant.W
	if r.declared.Snapshot {
		s, err := r.c.source.Snapshot(ctx, snapshotSink{r.gather})
		if err != nil {
			return fmt.Errorf("snapshot of the source: %w", err)
		}
		from = s
		if err := r.gather.Progress(ctx, s, r.o.Clock.Now().UnixMicro()); err != nil {
			return err
		}
		r.o.Logger.Info("snapshot read", "pipeline", r.o.Pipeline, "epoch", r.grant.Epoch, "lsn", s)
	}
	if err := r.c.source.Stream(ctx, from, &placedSink{gatherer: r.gather, placed: r.placed}); err != nil {
		return fmt.Errorf("follow the source from %v: %w", from, err)
	}
	return errors.New("the source ended its stream")
}

// placedSink tells, with the first thing it is handed, that the source has found the
// place to stream from.
type placedSink struct {
	*gatherer
	placed chan struct{}
	told   bool
}

func (s *placedSink) tell() {
	if !s.told {
		s.told = true
		close(s.placed)
	}
}

// Changes implements cdc.Sink.
func (s *placedSink) Changes(ctx context.Context, b *change.Batch) error {
	s.tell()
	return s.gatherer.Changes(ctx, b)
}

// Barrier implements cdc.Sink.
func (s *placedSink) Barrier(ctx context.Context, b load.Barrier) error {
	s.tell()
	return s.gatherer.Barrier(ctx, b)
}

// Progress implements cdc.Sink.
func (s *placedSink) Progress(ctx context.Context, to schemas.LSN, commitTime int64) error {
	s.tell()
	return s.gatherer.Progress(ctx, to, commitTime)
}

// snapshotSink is the gatherer while a snapshot is read.
type snapshotSink struct{ *gatherer }

// Chunk implements cdc.SnapshotSink.
func (s snapshotSink) Chunk(_ context.Context, c load.Snapshot) error {
	s.mark(mark{at: s.clock.Now(), snapshot: &c})
	return nil
}

// flush sends what was gathered, one interval after the other. The next one is
// gathered meanwhile, and the progress record of the last one written.
func (r *run) flush(ctx context.Context) error {
	var started time.Time
	for {
		select {
		case <-r.gather.kick:
		case <-ctx.Done():
			return ctx.Err()
		}
		if wait := r.o.Linger - r.o.Clock.Now().Sub(started); wait > 0 {
			select {
			case <-r.o.Clock.After(wait):
			case <-r.gather.urgent:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		started = r.o.Clock.Now()
		if err := r.interval(ctx); err != nil {
			return err
		}
	}
}

// interval sends all rows gathered so far, then hands over the points they reach.
func (r *run) interval(ctx context.Context) error {
	t := r.gather.take()
	boxes, err := r.sender.data(t)
	if err != nil {
		return err
	}
	r.gather.recycle(t)
	if err := r.sender.send(ctx, boxes); err != nil {
		return err
	}
	r.ledger.add(t.marks, t.parts)
	r.gather.release(t.bytes)
	return nil
}

// isPlaced says whether the source streams from its place. Until then nothing is
// confirmed: what is left of the former epoch may carry the durable W past the place
// of this run, and a slot that was moved past it cannot be streamed from it.
func (r *run) isPlaced() bool {
	select {
	case <-r.placed:
		return true
	default:
		return false
	}
}

// watch confirms to the source what the warehouse made durable, and ends the run
// when the warehouse asks for another.
func (r *run) watch(ctx context.Context) error {
	known, wait := r.grant.W, 100*time.Millisecond
	trimmed := r.o.Clock.Now()
	for ctx.Err() == nil {
		s, err := r.poll(ctx, known)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			r.o.Logger.Warn("cannot read the warehouse's progress, trying again", "pipeline", r.o.Pipeline, "error", err, "after", wait)
			_ = sleep(ctx, wait)
			wait = min(2*wait, r.o.MaxBackoff)
			continue
		}
		wait = 100 * time.Millisecond
		if s.Epoch > r.grant.Epoch {
			return replay("epoch %d of another capture took over from %d", s.Epoch, r.grant.Epoch)
		}
		if s.Replay != "" && s.Epoch == r.grant.Epoch {
			return replay("%s", s.Replay)
		}
		if s.DurableW > known && r.isPlaced() {
			known = s.DurableW
			// I1: only what is durable in the warehouse may be forgotten.
			if err := r.c.source.Confirm(ctx, known); err != nil && ctx.Err() == nil {
				if permanent(err) {
					return fmt.Errorf("confirm %v to the source: %w", known, err)
				}
				r.o.Logger.Warn("cannot confirm to the source", "pipeline", r.o.Pipeline, "lsn", known, "error", err)
			}
		} else {
			_ = sleep(ctx, time.Millisecond) // a warehouse that does not wait must not be asked in a tight loop
		}
		if now := r.o.Clock.Now(); r.o.Trim != nil && now.Sub(trimmed) > time.Second {
			trimmed = now
			r.trim(ctx, s.Leases)
		}
	}
	return ctx.Err()
}

// poll asks for the state once, for up to half a minute.
func (r *run) poll(ctx context.Context, known schemas.LSN) (load.State, error) {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := r.c.warehouse.State(limited, r.o.Pipeline, known)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return s, nil
	}
	return s, err
}

// trim tells how far partitions were loaded. Only offsets of this epoch are
// offsets of this log.
func (r *run) trim(ctx context.Context, leases []load.Lease) {
	for _, l := range leases {
		if l.Epoch != r.grant.Epoch || l.Offset <= 0 {
			continue
		}
		if err := r.o.Trim(ctx, l.Partition, l.Offset); err != nil && ctx.Err() == nil {
			r.o.Logger.Warn("cannot trim", "topic", l.Partition.Topic, "partition", l.Partition.Index, "offset", l.Offset, "error", err)
		}
	}
}

// verify compares the partitions' ends with what was acknowledged: a broker that
// lost its tail, or everything, shows at the next write only where there is one.
func (r *run) verify(ctx context.Context) error {
	parts := append([]*partition{r.ledger.part}, r.gather.parts...)
	missing := 0
	for {
		select {
		case <-r.o.Clock.After(r.o.VerifyEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		err := r.verifyOnce(ctx, parts)
		switch {
		case isReplay(err):
			return err
		case isMissing(err):
			if missing++; missing > 1 {
				return replay("%v", err)
			}
		default:
			missing = 0 // a broker that is away is the sender's concern
		}
	}
}

func (r *run) verifyOnce(ctx context.Context, parts []*partition) error {
	groups, err := r.c.client.byLeader(ctx, len(parts), func(i int) load.Partition { return parts[i].id })
	if err != nil {
		return err
	}
	for _, group := range groups {
		ask := make([]wanted, len(group))
		for i, at := range group {
			ask[i] = wanted{parts[at].id, parts[at].log.end.Load()}
		}
		answers, err := r.c.client.fetch(ctx, ask, 0, 1)
		if err != nil {
			return err
		}
		for i, a := range answers {
			if errors.Is(a.err, kafka.OffsetOutOfRange) {
				return replay("partition %s/%d was cut before offset %d, which it had acknowledged", ask[i].partition.Topic, ask[i].partition.Index, ask[i].offset)
			}
			if a.err != nil {
				return fmt.Errorf("partition %s/%d: %w", ask[i].partition.Topic, ask[i].partition.Index, a.err)
			}
		}
	}
	return nil
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
