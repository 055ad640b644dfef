package columnstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/columnstore/ingest"
	"github.com/millrace/millrace/columnstore/loadlog"
	"github.com/millrace/millrace/columnstore/manifest"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// recordAt is a decoded record of the load log.
type recordAt = loadlog.Record

// Load implements load.Warehouse. The batches are the caller's again when it
// returns. It waits while too much is staged, except for what W waits for, and
// fails with CodeFenced, CodeStream (a gap), CodeDiskFull or CodeIO; a load that
// was loaded before is acknowledged again.
func (s *Store) Load(ctx context.Context, l *load.Load) (load.Reply, error) {
	if err := s.validate(l); err != nil {
		return load.Reply{}, err
	}
	buf, err := loadlog.Encode(make([]byte, 0, estimate(l)), l.Lease.Pipeline, l)
	if err != nil {
		return load.Reply{}, err
	}
	rec, err := loadlog.Decode(buf)
	if err != nil {
		return load.Reply{}, err
	}
	if err := s.awaitRoom(ctx, l); err != nil {
		return load.Reply{}, err
	}
	end, err := s.accept(l, rec, buf)
	if err != nil {
		return load.Reply{}, err
	}
	// I1: nothing is acknowledged before it is durable. A load that is on its way
	// to disk is waited for even when the caller has gone: it may well be durable.
	if err := s.log.WaitDurable(context.WithoutCancel(ctx), end); err != nil {
		return load.Reply{}, vfs.Typed("write load log", err)
	}
	s.metrics.loads.Inc()
	return s.settle(l.Lease.Pipeline)
}

func estimate(l *load.Load) int64 {
	n := int64(256)
	for _, b := range l.Batches {
		n += b.Bytes() / 2
	}
	return n
}

// accept admits a load and appends it to the log, and returns the position that
// must be durable before the reply.
func (s *Store) accept(l *load.Load, rec *recordAt, buf []byte) (schemas.LSN, error) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p, err := s.pipe(l.Lease.Pipeline)
	if err != nil {
		return 0, err
	}
	known, err := p.Admit(l, s.opts.hooks.Hooks)
	if err != nil {
		return 0, err
	}
	if known {
		return s.log.AppendedLSN(), nil
	}
	start, end, err := s.log.Append(buf)
	if err != nil {
		return 0, vfs.Typed("append to load log", err)
	}
	p.Accept(l)
	s.ingest.pending = append(s.ingest.pending, accepted{p, rec, start, end})
	return end, nil
}

// settle takes up every load that is durable by now, in log order, and makes the
// reply for a pipeline.
func (s *Store) settle(pipeline string) (load.Reply, error) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	durable, n := s.log.DurableLSN(), 0
	grew := false
	for _, a := range s.ingest.pending {
		if a.end > durable {
			break
		}
		n++
		s.stage(a.pipe, a.rec, a.start)
		s.ingest.settled = a.end
	}
	if n > 0 {
		clear(s.ingest.pending[:n])
		s.ingest.pending = s.ingest.pending[n:]
		for _, p := range s.ingest.pipes {
			grew = p.Advance() || grew
		}
		signal(s.wakePublish)
	}
	if grew {
		s.notify()
	}
	p, err := s.pipe(pipeline)
	if err != nil {
		return load.Reply{}, err
	}
	return load.Reply{DurableW: p.DurableW, VisibleW: s.visible.Load().sources[pipeline].W, Credit: max(0, s.stageBudget()-s.ingest.staged)}, nil
}

func (s *Store) stageBudget() int64 { return s.opts.MemoryBudget / 8 }

// stage gives a durable record to its pipeline. Beyond the budget its rows stay in
// the load log alone, to be read from there when they are published.
func (s *Store) stage(p *ingest.Pipe, rec *recordAt, start schemas.LSN) {
	st := p.Durable(rec, start)
	if st == nil {
		return
	}
	if s.ingest.staged+st.Bytes > s.stageBudget() {
		st.Batches = nil
		return
	}
	s.ingest.staged += st.Bytes
}

// awaitRoom holds a load back while the unpublished part of the log is too long,
// unless W waits for its partition.
func (s *Store) awaitRoom(ctx context.Context, l *load.Load) error {
	for {
		changed := *s.changed.Load()
		if s.hasRoom(l) {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return errClosed
		case <-ctx.Done():
			return &schemas.Error{Code: schemas.CodeOverloaded, SQLState: "53000", Retryable: true, Err: context.Cause(ctx),
				Message: fmt.Sprintf("partition %s/%d must wait until more is published", l.Lease.Partition.Topic, l.Lease.Partition.Index),
				Hint:    "load the partitions that the progress records wait for, then try again"}
		}
	}
}

func (s *Store) hasRoom(l *load.Load) bool {
	if int64(s.log.AppendedLSN()-s.log.OldestLSN()) <= s.opts.MaxUnpublishedLog {
		return true
	}
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p := s.ingest.pipes[l.Lease.Pipeline]
	return p == nil || int64(s.log.AppendedLSN()-s.replayFrom()) <= s.opts.MaxUnpublishedLog || p.Awaited(l.Lease.Partition)
}

// replayFrom is where the oldest load starts that is not wholly published. ingest
// is held.
func (s *Store) replayFrom() schemas.LSN {
	from := s.ingest.settled
	for _, p := range s.ingest.pipes {
		if at, ok := p.Oldest(); ok && at < from {
			from = at
		}
	}
	return from
}

// pipe finds a pipeline; ingest is held.
func (s *Store) pipe(name string) (*ingest.Pipe, error) {
	if p := s.ingest.pipes[name]; p != nil {
		return p, nil
	}
	return nil, &schemas.Error{Code: schemas.CodeNotFound, SQLState: "42704", Message: fmt.Sprintf("pipeline %q is not registered", name),
		Hint: "register it before loading"}
}

// change commits a control, and tables with it, and makes it the present one; ingest
// is held, and with tables write too. A nil control changes nothing.
func (s *Store) change(p *ingest.Pipe, c *manifest.Control, defs ...manifest.Def) error {
	if c == nil {
		return nil
	}
	if err := s.man.Commit(&manifest.Edit{Control: c, Tables: defs}); err != nil {
		return err
	}
	p.Take(c)
	if len(defs) > 0 {
		s.define(defs)
	}
	s.notify()
	return nil
}

// Grant implements load.Warehouse.
func (s *Store) Grant(_ context.Context, run load.Run) (load.Grant, error) {
	s.write.Lock()
	defer s.write.Unlock()
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p, err := s.pipe(run.Pipeline)
	if err != nil {
		return load.Grant{}, err
	}
	c, err := p.Granted(run, uint64(s.opts.Clock.Now().UnixMicro()))
	if err != nil {
		return load.Grant{}, err
	}
	defs, err := s.defs(c.Pipeline)
	if err != nil {
		return load.Grant{}, err
	}
	if err := s.change(p, c, defs...); err != nil {
		return load.Grant{}, err
	}
	s.opts.Logger.Info("epoch granted", "pipeline", run.Pipeline, "epoch", c.Epoch, "w", p.DurableW, "snapshot", run.Snapshot)
	return load.Grant{Epoch: c.Epoch, W: p.DurableW, History: s.History()}, nil
}

// Acquire implements load.Warehouse.
func (s *Store) Acquire(_ context.Context, pipeline, worker string, limit int) ([]load.Lease, error) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p, err := s.pipe(pipeline)
	if err != nil {
		return nil, err
	}
	c, give := p.Acquire(worker, limit, s.opts.Clock.Now(), s.opts.LeaseTTL)
	if err := s.change(p, c); err != nil {
		return nil, err
	}
	return give(), nil
}

// Release implements load.Warehouse.
func (s *Store) Release(_ context.Context, leases []load.Lease) error {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	by := map[string][]load.Lease{}
	for _, l := range leases {
		by[l.Pipeline] = append(by[l.Pipeline], l)
	}
	for name, ls := range by {
		p, err := s.pipe(name)
		if err != nil {
			return err
		}
		if err := s.change(p, p.Released(ls)); err != nil {
			return err
		}
	}
	return nil
}

// Lost implements load.Warehouse.
func (s *Store) Lost(_ context.Context, l load.Lease, reason string) error {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p, err := s.pipe(l.Pipeline)
	if err != nil {
		return err
	}
	c := p.LostAt(l.Epoch, reason)
	if c != nil {
		s.opts.Logger.Warn("epoch cannot continue", "pipeline", l.Pipeline, "epoch", l.Epoch, "reason", reason)
	}
	return s.change(p, c)
}

// State implements load.Warehouse.
func (s *Store) State(ctx context.Context, pipeline string, after schemas.LSN) (load.State, error) {
	for {
		changed := *s.changed.Load()
		st, err := s.loadState(pipeline)
		if err != nil || st.DurableW > after || st.Replay != "" {
			return st, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return st, nil
		case <-s.ctx.Done():
			return st, errClosed
		}
	}
}

func (s *Store) loadState(pipeline string) (load.State, error) {
	s.ingest.Lock()
	defer s.ingest.Unlock()
	p, err := s.pipe(pipeline)
	if err != nil {
		return load.State{}, err
	}
	return load.State{Source: p.Control.Source, Incarnation: p.Incarnation(), Epoch: p.Epoch(), DurableW: p.DurableW,
		VisibleW: s.visible.Load().sources[pipeline].W, Replay: p.Replay(), Leases: p.Leases()}, nil
}
