package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Progress is due after progressCommits transactions or progressRows changes,
// though there is more to read.
const (
	progressCommits = 1000
	progressRows    = 16 << 10
)

// Stream implements cdc.Source.
func (s *Source) Stream(ctx context.Context, from schemas.LSN, sink cdc.Sink) error {
	d, err := s.last()
	if err != nil {
		return err
	}
	if err := s.withControl(ctx, func(c *pgconn.PgConn) error { return s.checkResume(ctx, c, d, from) }); err != nil {
		return err
	}
	conn, err := s.connect(ctx, true)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := s.start(ctx, conn, d, from); err != nil {
		return err
	}
	s.log.Info("streaming", "slot", s.opts.Slot, "from", from.String())
	return s.follow(ctx, conn, d, from, sink)
}

// checkResume refuses to stream unless every change after from is still there:
// PostgreSQL itself silently starts later (I2).
func (s *Source) checkResume(ctx context.Context, c *pgconn.PgConn, d *description, from schemas.LSN) error {
	srv, err := askServer(ctx, c)
	if err != nil {
		return err
	}
	if err := srv.check(); err != nil {
		return err
	}
	lost := func(state, format string, args ...any) error {
		e := schemas.Errorf(schemas.CodeSource, state, format, args...)
		e.Hint = "resync from a new snapshot"
		return e
	}
	if srv.incarnation() != d.Incarnation {
		return lost("55000", "the server is another, or was restored or promoted: system/timeline %s, not %s", srv.incarnation(), d.Incarnation)
	}
	if srv.end < from {
		return lost("55000", "the server's log ends at %s, before %s, where the stream goes on: it was cut back", srv.end, from)
	}
	slot, err := askSlot(ctx, c, s.opts.Slot)
	if err != nil {
		return err
	}
	switch {
	case !slot.exists:
		return lost("42704", "replication slot %q does not exist any more", s.opts.Slot)
	case slot.confirmed > from:
		return lost("55000", "replication slot %q is confirmed to %s and cannot go back to %s", s.opts.Slot, slot.confirmed, from)
	}
	if err := slot.check(srv.database); err != nil {
		return err
	}
	if slot.active {
		return slot.busy()
	}
	if err := s.Confirm(ctx, slot.confirmed); err != nil {
		return err
	}
	return s.watch(ctx, c, d)
}

// watch compares publication and tables with what is captured. The catalog is read
// by several statements, so that DDL in between is looked at again before it is told.
func (s *Source) watch(ctx context.Context, c *pgconn.PgConn, d *description) error {
	if s.compare(ctx, c, d) == nil {
		return nil
	}
	return s.compare(ctx, c, d)
}

func (s *Source) compare(ctx context.Context, c *pgconn.PgConn, d *description) error {
	cat, err := readCatalog(ctx, c, s.opts)
	if err != nil {
		return err
	}
	if !cat.publication.exists {
		e := schemas.Errorf(schemas.CodeSource, "42704", "publication %q does not exist any more", s.opts.Publication)
		e.Hint = "resync from a new snapshot"
		return e
	}
	now := make([]*table, 0, len(d.tables))
	for _, t := range d.tables {
		n := cat.find(t.fullName())
		if n == nil {
			return changed(t, "it was dropped or renamed")
		}
		if err := n.describe(); err != nil {
			return err
		}
		now = append(now, n)
	}
	if err := same(d.tables, now); err != nil {
		return err
	}
	return cat.publication.check(now)
}

// start begins replication from an LSN.
func (s *Source) start(ctx context.Context, conn *pgconn.PgConn, d *description, from schemas.LSN) error {
	args := []string{"proto_version '1'", "publication_names " + quoteLiteral(quoteIdent(s.opts.Publication))}
	if d.server.version >= binaryVersion && !s.text {
		args = append(args, "binary 'true'")
	}
	err := pglogrepl.StartReplication(ctx, conn, s.opts.Slot, pglogrepl.LSN(from),
		pglogrepl.StartReplicationOptions{Mode: pglogrepl.LogicalReplication, PluginArgs: args})
	return wrap(ctx, fmt.Sprintf("start replication from slot %q", s.opts.Slot), err)
}

// follow runs the stream with its helpers: the receiver, the status updates, the
// heartbeat.
func (s *Source) follow(ctx context.Context, conn *pgconn.PgConn, d *description, from schemas.LSN, sink cdc.Sink) (err error) {
	inner, cancel := context.WithCancel(ctx)
	st := &stream{source: s, sink: sink, from: from, to: from, txn: newTransaction(s.opts, s.metrics), status: newStatus(s, conn, from)}
	st.recv = newReceiver(conn, st.status.kick)
	st.dec = decoder{feeds: map[uint32]*feed{}, hand: st.hand, barrier: st.barrier}
	for _, t := range d.tables {
		f := newFeed(t)
		st.dec.feeds[t.oid] = f
		st.feeds = append(st.feeds, f)
	}
	var wg sync.WaitGroup
	wg.Go(func() { st.status.run(inner) })
	wg.Go(func() { st.heartbeat(inner, d) })
	defer func() {
		cancel()
		wg.Wait()
		st.recv.close()
		st.status.last()
		if e := st.txn.reset(); err == nil {
			err = e
		}
	}()
	return st.run(ctx)
}

// stream is one run of Stream.
type stream struct {
	source *Source
	sink   cdc.Sink
	recv   *receiver
	status *status
	txn    *transaction
	dec    decoder
	feeds  []*feed

	from    schemas.LSN
	to      schemas.LSN // every commit up to here was decoded
	time    int64       // of the newest of them, or of the horizon that was reached
	moved   bool        // to or time since the last progress
	commits int         // since the last progress
}

func (st *stream) run(ctx context.Context) error {
	var spare []byte
	for {
		block, err := st.recv.take(spare)
		if len(block) == 0 && err != nil {
			return wrap(ctx, "read the replication stream", err)
		}
		if err := st.block(ctx, block); err != nil {
			return err
		}
		st.reached()
		if err := st.progress(ctx); err != nil {
			return err
		}
		spare = block
		if len(block) > 0 {
			continue // look once more before sleeping
		}
		select {
		case <-st.recv.wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// block handles received messages in order.
func (st *stream) block(ctx context.Context, block []byte) error {
	st.source.metrics.bytes.Add(float64(len(block)))
	return eachMessage(block, func(m []byte) error {
		if len(m) == 0 {
			return malformed("empty")
		}
		switch m[0] {
		case pglogrepl.XLogDataByteID:
			x, err := pglogrepl.ParseXLogData(m[1:])
			if err != nil || len(x.WALData) == 0 {
				return malformed("log data")
			}
			return st.data(ctx, x.WALData)
		case pglogrepl.PrimaryKeepaliveMessageByteID:
			k, err := pglogrepl.ParsePrimaryKeepaliveMessage(m[1:])
			if err != nil {
				return malformed("keepalive")
			}
			st.keepalive(k)
		}
		return nil
	})
}

// keepalive moves W past commits that touch no captured table. Within a
// transaction it says nothing new.
func (st *stream) keepalive(k pglogrepl.PrimaryKeepaliveMessage) {
	if !st.txn.open {
		st.advance(schemas.LSN(k.ServerWALEnd))
	}
}

func (st *stream) advance(to schemas.LSN) {
	if to > st.to {
		st.to, st.moved = to, true
		st.status.received.Store(uint64(to))
	}
}

// reached takes a horizon's time once everything before it was handed over.
func (st *stream) reached() {
	if h, ok := st.recv.reached(st.to); ok {
		st.time, st.moved = max(st.time, h.time), true
	}
}

// data handles a message of pgoutput.
func (st *stream) data(ctx context.Context, m []byte) error {
	switch m[0] {
	case 'B':
		return st.txn.begin()
	case 'C':
		return st.commit(ctx, m)
	}
	if !st.txn.open {
		return nil // logical messages outside of transactions
	}
	return st.txn.add(m)
}

// commit decodes the transaction that now has its place.
func (st *stream) commit(ctx context.Context, m []byte) error {
	var c pglogrepl.CommitMessage
	if !st.txn.open || c.Decode(m[1:]) != nil {
		return malformed("commit")
	}
	st.dec.lsn, st.dec.ordinal = schemas.LSN(c.TransactionEndLSN), 0
	// I2: what ends at or before from was handed over by an earlier run.
	if st.dec.lsn > st.from {
		if err := st.txn.each(func(m []byte) error { return st.dec.message(ctx, m) }); err != nil {
			return err
		}
	}
	if err := st.txn.reset(); err != nil {
		return err
	}
	st.advance(st.dec.lsn)
	st.time = max(st.time, c.CommitTime.UnixMicro())
	st.source.metrics.transactions.Inc()
	if st.commits++; st.commits >= progressCommits || st.dec.unhandled >= progressRows {
		return st.progress(ctx)
	}
	return nil
}

// hand gives a table's batch to the sink.
func (st *stream) hand(ctx context.Context, f *feed) error {
	if f.batch.Len() == 0 {
		return nil
	}
	if err := st.sink.Changes(ctx, f.batch); err != nil {
		return err
	}
	st.source.metrics.changes.Add(float64(f.batch.Len()))
	f.batch.Reset()
	return nil
}

func (st *stream) barrier(ctx context.Context, b load.Barrier) error { return st.sink.Barrier(ctx, b) }

// progress hands over what was decoded and says up to where.
func (st *stream) progress(ctx context.Context) error {
	if !st.moved || st.time == 0 {
		return nil // before the first commit or horizon there is no time to tell
	}
	for _, f := range st.feeds {
		if err := st.hand(ctx, f); err != nil {
			return err
		}
	}
	if err := st.sink.Progress(ctx, st.to, st.time); err != nil {
		return err
	}
	st.moved, st.commits, st.dec.unhandled = false, 0, 0
	st.source.metrics.received.Set(float64(st.to))
	return nil
}
