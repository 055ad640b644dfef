package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// Snapshot chunks end at snapshotRows rows or snapshotBytes, whichever is first.
const (
	snapshotRows  = 4096
	snapshotBytes = 4 << 20
)

// slotPatience is after how long the wait for a new slot is explained in the log.
const slotPatience = 10 * time.Second

// Snapshot implements cdc.Source. The slot's own exported snapshot is read, so
// that a commit is either in it or in the stream, never both or neither (I2).
func (s *Source) Snapshot(ctx context.Context, sink cdc.SnapshotSink) (schemas.LSN, error) {
	d, err := s.last()
	if err != nil {
		return 0, err
	}
	checked, err := s.prepare(ctx, d)
	if err != nil {
		return 0, err
	}
	repl, err := s.connect(ctx, true)
	if err != nil {
		return 0, err
	}
	// The exported snapshot lives until this connection's next command.
	defer hangUp(repl)
	at, name, err := s.createSlot(ctx, repl)
	if err != nil {
		return 0, err
	}
	conns, err := s.readers(ctx, d.tables, name, checked)
	defer func() {
		for _, c := range conns {
			hangUp(c)
		}
	}()
	if err != nil {
		return 0, err
	}
	c := &copier{source: s, at: at, full: make(chan *copied), sink: sink}
	if err := c.run(ctx, conns, largestFirst(d.tables)); err != nil {
		return 0, err
	}
	s.log.Info("snapshot complete", "slot", s.opts.Slot, "lsn", at.String(), "tables", len(d.tables))
	return at, nil
}

// prepare makes the publication, removes a slot that an unfinished snapshot left,
// and returns the shape of the tables that it checked.
func (s *Source) prepare(ctx context.Context, d *description) (sh shape, err error) {
	err = s.withControl(ctx, func(c *pgconn.PgConn) error {
		cat, err := readCatalog(ctx, c, s.opts)
		if err != nil {
			return err
		}
		now, err := cat.captured(s.opts)
		if err != nil {
			return err
		}
		if err := same(d.tables, now); err != nil {
			return err
		}
		if sh, err = askShape(ctx, c, now); err != nil {
			return err
		}
		if err := s.ensurePublication(ctx, c, cat.publication, now); err != nil {
			return err
		}
		// What is published can only be seen once the publication exists.
		if cat, err = readCatalog(ctx, c, s.opts); err != nil {
			return err
		}
		if now, err = cat.captured(s.opts); err != nil {
			return err
		}
		if err := cat.publication.check(now); err != nil {
			return err
		}
		old, err := askSlot(ctx, c, s.opts.Slot)
		if err != nil || !old.exists {
			return err
		}
		if old.active {
			return old.busy()
		}
		if old.plugin != "pgoutput" || old.database != d.server.database {
			return old.check(d.server.database)
		}
		_, err = query(ctx, c, "drop the slot of an unfinished snapshot", "SELECT pg_drop_replication_slot($1)", s.opts.Slot)
		return err
	})
	return sh, err
}

// shape is what of tables and their partitions shows through a snapshot.
type shape struct{ columns, files string }

// askShape reads the catalog alone and locks no table. On a connection with a
// snapshot it tells the shape as of then.
func askShape(ctx context.Context, c *pgconn.PgConn, tables []*table) (shape, error) {
	oids := make([]string, len(tables))
	for i, t := range tables {
		oids[i] = fmt.Sprint(t.oid)
	}
	rows, err := query(ctx, c, "compare the tables", `
WITH RECURSIVE tree(oid) AS (
  SELECT unnest($1::oid[]) UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
), rels AS (SELECT c.* FROM tree JOIN pg_class c ON c.oid = tree.oid)
SELECT (SELECT coalesce(string_agg(concat_ws(' ', c.oid, c.relnamespace, c.relname, c.relreplident, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped), ';' ORDER BY c.oid, a.attnum), '')
        FROM rels c JOIN pg_attribute a ON a.attrelid = c.oid WHERE a.attnum > 0),
       (SELECT coalesce(string_agg(concat_ws(' ', oid, relfilenode), ';' ORDER BY oid), '') FROM rels)`, textArray(oids))
	if err != nil {
		return shape{}, err
	}
	return shape{string(rows[0][0]), string(rows[0][1])}, nil
}

// same compares what was described with what there is now.
func same(described, now []*table) error {
	have := map[string]*table{}
	for _, t := range now {
		have[t.fullName()] = t
	}
	for _, t := range described {
		n := have[t.fullName()]
		if n == nil {
			return changed(t, "it was dropped, renamed or taken out of the publication")
		}
		if n.signature() != t.signature() {
			return changed(t, difference(t, n))
		}
	}
	if len(now) != len(described) {
		return schemas.Errorf(schemas.CodeSource, "55000", "the publication has other tables than when the run began")
	}
	return nil
}

// createSlot makes the slot and gives its consistent point and exported snapshot.
func (s *Source) createSlot(ctx context.Context, repl *pgconn.PgConn) (schemas.LSN, string, error) {
	patience := time.AfterFunc(slotPatience, func() {
		s.log.Warn("making the replication slot waits for running transactions of the source to end",
			"slot", s.opts.Slot, "see", "SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL")
	})
	defer patience.Stop()
	res, err := pglogrepl.CreateReplicationSlot(ctx, repl, s.opts.Slot, "pgoutput",
		pglogrepl.CreateReplicationSlotOptions{Mode: pglogrepl.LogicalReplication, SnapshotAction: "EXPORT_SNAPSHOT"})
	if err != nil {
		return 0, "", withHint(wrap(ctx, fmt.Sprintf("make replication slot %q", s.opts.Slot), err),
			"the role needs the attribute REPLICATION: ALTER ROLE … REPLICATION")
	}
	at, err := schemas.ParseLSN(res.ConsistentPoint)
	if err != nil {
		return 0, "", err
	}
	s.log.Info("made replication slot", "slot", s.opts.Slot, "lsn", at.String())
	return at, res.SnapshotName, nil
}

// begin opens a transaction on the exported snapshot.
func (s *Source) begin(ctx context.Context, snapshot string) (*pgconn.PgConn, error) {
	c, err := s.connect(ctx, false)
	if err != nil {
		return nil, err
	}
	// With row_security off, a policy that would hide rows is an error (I5).
	sql := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT " + quoteLiteral(snapshot) +
		"; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
	if err := exec(ctx, c, "open the snapshot", sql); err != nil {
		hangUp(c)
		return nil, err
	}
	return c, nil
}

// How long the lock of all tables is waited for. Each try stays below the source's
// deadlock_timeout (1 s), so that if it is part of a deadlock it gives way before a
// transaction of the application is chosen to (I6).
const (
	lockPatience = 10 * time.Second
	lockTry      = 500 * time.Millisecond
	lockBriefly  = 100 * time.Millisecond
)

// readers opens the connections that read the snapshot. Each holds a lock of every
// table against changes of shape and TRUNCATE, which show through a snapshot, and
// takes it before anything is read: a reader that came to wait behind a TRUNCATE
// that waits for another reader would wait for ever. Further connections that do
// not get the lock at once are done without.
//
// What happened between the slot's point (or prepare, for columns) and the lock is
// seen in the tables' shape, and tried again. Locking first and making the slot
// then could wait for ever too: the slot waits for transactions that wait for the lock.
func (s *Source) readers(ctx context.Context, tables []*table, snapshot string, checked shape) (conns []*pgconn.PgConn, err error) {
	for i := range min(s.opts.SnapshotConnections, len(tables)) {
		c, err := s.begin(ctx, snapshot)
		if err != nil {
			return conns, err
		}
		conns = append(conns, c)
		if i > 0 {
			if err := lock(ctx, c, tables, lockBriefly); isLocked(err) {
				hangUp(c)
				return conns[:i], nil
			} else if err != nil {
				return conns, err
			}
			continue
		}
		if err := s.lockFirst(ctx, c, tables, checked); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

// lock locks all tables or none.
func lock(ctx context.Context, c *pgconn.PgConn, tables []*table, wait time.Duration) error {
	err := exec(ctx, c, "lock the tables for the snapshot", fmt.Sprintf("SAVEPOINT before_lock; SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE; RELEASE before_lock",
		wait.Milliseconds(), quotedList(tables)))
	return withHint(err, "the role needs SELECT: GRANT SELECT ON "+quotedList(tables)+" TO …")
}

func (s *Source) lockFirst(ctx context.Context, c *pgconn.PgConn, tables []*table, checked shape) error {
	deadline := s.opts.Clock.Now().Add(lockPatience)
	for {
		err := lock(ctx, c, tables, lockTry)
		if err == nil {
			break
		}
		if !isLocked(err) || s.opts.Clock.Now().After(deadline) {
			return err
		}
		if err := exec(ctx, c, "wait for the tables", "ROLLBACK TO before_lock; RELEASE before_lock"); err != nil {
			return err
		}
		select {
		case <-s.opts.Clock.After(lockBriefly):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	then, err := askShape(ctx, c, tables)
	if err != nil {
		return err
	}
	return s.withControl(ctx, func(now *pgconn.PgConn) error {
		current, err := askShape(ctx, now, tables)
		if err == nil && (current.columns != checked.columns || current.files != then.files) {
			err = &schemas.Error{Code: schemas.CodeSource, SQLState: "55000", Retryable: true, Message: "a table was changed, truncated or rewritten while the snapshot began"}
		}
		return err
	})
}

// copier reads tables side by side and hands their rows over one chunk at a time.
type copier struct {
	source *Source
	at     schemas.LSN
	full   chan *copied
	sink   cdc.SnapshotSink
}

// copied is a chunk on its way to the sink; done says that its batch is free.
type copied struct {
	batch *change.Batch
	state load.Snapshot
	done  chan struct{}
}

func (c *copier) run(ctx context.Context, conns []*pgconn.PgConn, tables []*table) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan *table, len(tables))
	for _, t := range tables {
		todo <- t
	}
	close(todo)
	var wg sync.WaitGroup
	for _, conn := range conns {
		wg.Go(func() {
			if err := c.read(ctx, conn, todo); err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		wg.Wait()
		close(c.full)
	}()
	for chunk := range c.full {
		if ctx.Err() == nil {
			if err := c.hand(ctx, chunk); err != nil {
				cancel(err)
			}
		}
		close(chunk.done)
	}
	return context.Cause(ctx)
}

func (c *copier) hand(ctx context.Context, chunk *copied) error {
	if chunk.batch.Len() > 0 {
		if err := c.sink.Changes(ctx, chunk.batch); err != nil {
			return err
		}
	}
	return c.sink.Chunk(ctx, chunk.state)
}

// read copies tables until none is left.
func (c *copier) read(ctx context.Context, conn *pgconn.PgConn, todo <-chan *table) error {
	for t := range todo {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.table(ctx, conn, t); err != nil {
			return err
		}
	}
	return nil
}

// table copies one table.
func (c *copier) table(ctx context.Context, conn *pgconn.PgConn, t *table) error {
	r := &copyReader{copier: c, ctx: ctx, table: t, batch: change.New(t.schema, snapshotRows)}
	_, err := conn.CopyTo(ctx, r, copySQL(t))
	if r.err != nil {
		return r.err
	}
	if err != nil {
		return withHint(wrap(ctx, "read table "+t.fullName(), err), "the role needs SELECT: GRANT SELECT ON "+t.quoted()+" TO …")
	}
	if !r.ended {
		return schemas.Errorf(schemas.CodeSource, "08P01", "read table %s: the copy ended early", t.fullName())
	}
	return r.flush()
}

// copySQL reads the table's own rows, as pgoutput will publish them: partitions
// belong to a partitioned table, children by inheritance do not.
func copySQL(t *table) string {
	names := make([]string, len(t.columns))
	for i, col := range t.columns {
		names[i] = quoteIdent(col.name)
	}
	from := t.quoted() + " (" + strings.Join(names, ", ") + ")"
	if t.kind == 'p' {
		from = "(SELECT " + strings.Join(names, ", ") + " FROM " + t.quoted() + ")"
	}
	return "COPY " + from + " TO STDOUT (FORMAT binary)"
}
