package postgres

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
)

const (
	// statusInterval is how often a newly confirmed position is sent, statusSilence
	// how often one is sent at least, though the server cannot ask for one while
	// messages pile up here: wal_sender_timeout is 60 s by default.
	statusInterval = 200 * time.Millisecond
	statusSilence  = time.Second
)

// status sends standby status updates, beside a stream that may wait for its sink.
type status struct {
	source   *Source
	conn     *pgconn.PgConn
	received atomic.Uint64 // every commit up to here was read
	ask      atomic.Bool   // the server shall reply
	now      chan struct{}
	sent     uint64 // confirmed position of the last update
	at       time.Time
}

func newStatus(s *Source, conn *pgconn.PgConn, from schemas.LSN) *status {
	st := &status{source: s, conn: conn, now: make(chan struct{}, 1)}
	st.received.Store(uint64(from))
	return st
}

// kick sends an update soon.
func (st *status) kick() { signal(st.now) }

// run ends with ctx, or when the connection breaks: the receiver says why.
func (st *status) run(ctx context.Context) {
	for {
		forced := false
		select {
		case <-ctx.Done():
			return
		case <-st.now:
			forced = true
		case <-st.source.opts.Clock.After(statusInterval):
		}
		if !forced && st.source.confirmed.Load() == st.sent && st.source.opts.Clock.Now().Sub(st.at) < statusSilence {
			continue
		}
		if st.send() != nil {
			return
		}
	}
}

// send confirms what Confirm said and nothing else (I1). A position of 0 would
// let the library confirm what was only received, so nothing is sent then.
func (st *status) send() error {
	confirmed := st.source.confirmed.Load()
	if confirmed == 0 {
		return nil
	}
	received := max(st.received.Load(), confirmed)
	now := st.source.opts.Clock.Now()
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), st.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(received), WALFlushPosition: pglogrepl.LSN(confirmed), WALApplyPosition: pglogrepl.LSN(confirmed),
		ClientTime: now, ReplyRequested: st.ask.Swap(false),
	})
	if err != nil {
		return err
	}
	st.sent, st.at = confirmed, now
	st.source.metrics.confirming.Set(float64(confirmed))
	return nil
}

// last sends what was confirmed since, once nobody else sends.
func (st *status) last() {
	_ = st.conn.Conn().SetDeadline(time.Now().Add(time.Second)) // a closed connection fails at once
	if st.source.confirmed.Load() != st.sent {
		_ = st.send() // a position that gets lost is confirmed by the next run
	}
}

// horizonSQL reads the clock before the end of the log, which includes what is
// inserted and not yet flushed: a commit may be acknowledged before its flush
// (synchronous_commit = off).
const horizonSQL = `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, pg_current_wal_insert_lsn()`

// heartbeat asks how far the log reaches, and now and then whether the tables are
// still those that are captured.
func (st *stream) heartbeat(ctx context.Context, d *description) {
	clock := st.source.opts.Clock
	watched := clock.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clock.After(cdc.HeartbeatInterval):
		}
		watch := clock.Now().Sub(watched) >= st.source.opts.WatchInterval
		if watch {
			watched = clock.Now()
		}
		err := st.source.withControl(ctx, func(c *pgconn.PgConn) error {
			if watch {
				// A locked catalog is looked at again later.
				if err := st.source.watch(ctx, c, d); err != nil && !isLocked(err) {
					return err
				}
			}
			return st.probe(ctx, c)
		})
		if err != nil {
			if ctx.Err() == nil {
				st.recv.fail(fmt.Errorf("watch the source: %w", err))
			}
			return
		}
	}
}

func (st *stream) probe(ctx context.Context, c *pgconn.PgConn) error {
	rows, err := query(ctx, c, "ask for the end of the log", horizonSQL)
	if err != nil {
		return err
	}
	micros, err := strconv.ParseInt(string(rows[0][0]), 10, 64)
	if err != nil {
		return err
	}
	lsn, err := schemas.ParseLSN(string(rows[0][1]))
	if err != nil {
		return err
	}
	h := horizon{lsn: endOfRecord(lsn), time: micros}
	st.source.metrics.retained.Set(float64(h.lsn) - float64(st.source.confirmed.Load()))
	st.recv.reach(h)
	if schemas.LSN(st.status.received.Load()) < h.lsn {
		// The server tells how far it read when it has nothing to send.
		st.status.ask.Store(true)
		st.status.kick()
	}
	return nil
}

// Sizes of the log's page and its headers.
const (
	pageBytes   = 8192
	shortHeader = 24
	longHeader  = 40
)

// endOfRecord takes an insert position that stands after a page's header back to
// the end of the record before it, which is how far a reader gets.
func endOfRecord(lsn schemas.LSN) schemas.LSN {
	if in := lsn % pageBytes; in == shortHeader || in == longHeader {
		return lsn - in
	}
	return lsn
}
