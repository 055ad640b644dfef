// Package postgres captures the committed changes of a PostgreSQL database: a
// consistent snapshot by COPY, then logical replication with the plugin pgoutput.
//
// Two connections serve a run. The replication connection carries the stream; an
// ordinary one asks the catalog and, while the stream is idle, how far the log
// reaches. A snapshot adds one connection for each table that is read at a time.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
)

// Options configure capture. DSN is needed, and Slot and Publication unless
// their default fits; the rest has useful zero values.
type Options struct {
	// DSN says where the database is and who connects, as a URL or in libpq's form.
	// Errors and logs never show its password.
	DSN string
	// Slot is the replication slot, made by Snapshot; default "millrace". Each
	// pipeline needs its own.
	Slot string
	// Publication names what is published; default "millrace". Snapshot makes it
	// when it does not exist, or adds missing tables, if the role may.
	Publication string
	// Tables are the full names of the tables to capture, "public.orders"; nil is
	// all tables of the publication, which must exist then.
	Tables []string
	// Exclude are columns to leave out, "public.orders.note", for types that
	// cannot be captured or data that must not leave.
	Exclude []string
	// Before lists, by full name, the tables whose updates carry their old row;
	// they need REPLICA IDENTITY FULL.
	Before []string
	// SnapshotConnections is how many tables a snapshot reads at a time; default 2.
	SnapshotConnections int
	// TransactionMemory is how many bytes of one transaction are held in memory;
	// the rest goes to SpillDir; default 64 MiB.
	TransactionMemory int64
	// SpillDir takes the part of a transaction beyond TransactionMemory; default
	// the system's folder for temporary files.
	SpillDir string
	// WatchInterval is how often slot, publication and tables are compared with
	// what is captured while streaming, since DROP TABLE and ALTER PUBLICATION
	// leave no mark in the stream; default 10 s.
	WatchInterval time.Duration
	// FS holds SpillDir; nil is vfs.OS.
	FS vfs.FS
	// Clock paces heartbeats; nil is clock.System.
	Clock clock.Clock
	// Logger takes changes of state; nil discards them.
	Logger *slog.Logger
	// Metrics registers the source's metrics; nil leaves them unregistered.
	Metrics prometheus.Registerer
}

// Defaults of Options.
const (
	DefaultSlot              = "millrace"
	DefaultPublication       = "millrace"
	defaultConnections       = 2
	defaultTransactionMemory = 64 << 20
	defaultWatchInterval     = 10 * time.Second
)

// lockTimeout, in ms, bounds every wait for a lock, so that capture never stands in
// a queue of the source for long (I6). What fails is retried.
const lockTimeout = "10000"

func (o Options) withDefaults() Options {
	if o.Slot == "" {
		o.Slot = DefaultSlot
	}
	if o.Publication == "" {
		o.Publication = DefaultPublication
	}
	if o.SnapshotConnections <= 0 {
		o.SnapshotConnections = defaultConnections
	}
	if o.TransactionMemory <= 0 {
		o.TransactionMemory = defaultTransactionMemory
	}
	if o.SpillDir == "" {
		o.SpillDir = os.TempDir()
	}
	if o.WatchInterval <= 0 {
		o.WatchInterval = defaultWatchInterval
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

var slotName = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)

// Validate joins every mistake that can be seen without connecting.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	if o.DSN == "" {
		errs = append(errs, invalid("a PostgreSQL source needs a DSN, such as postgres://user:password@host:5432/database"))
	} else if _, err := pgconn.ParseConfig(o.DSN); err != nil {
		errs = append(errs, &schemas.Error{Code: schemas.CodeInvalid, SQLState: "22023", Message: "the DSN of the PostgreSQL source cannot be read", Err: err})
	}
	if !slotName.MatchString(o.Slot) {
		errs = append(errs, invalid("the slot name %q may hold only lower-case letters, digits and underscores, at most 63", o.Slot))
	}
	if len(o.Publication) > 63 || strings.ContainsRune(o.Publication, 0) {
		errs = append(errs, invalid("the publication name %q is longer than 63 bytes", o.Publication))
	}
	for _, t := range append(append([]string(nil), o.Tables...), o.Before...) {
		if strings.Count(t, ".") < 1 {
			errs = append(errs, invalid("the table %q needs its schema: %q", t, "public."+t))
		}
	}
	for _, c := range o.Exclude {
		if strings.Count(c, ".") < 2 {
			errs = append(errs, invalid("the column %q to leave out needs schema and table: public.orders.note", c))
		}
	}
	return errors.Join(errs...)
}

func invalid(format string, args ...any) *schemas.Error {
	return schemas.Errorf(schemas.CodeInvalid, "22023", format, args...)
}

// Source captures one database. It implements cdc.Source.
type Source struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics
	text    bool // ask for values as text, as before binaryVersion

	// confirmed is what Confirm was told last; the stream's status updates and
	// nothing else move the slot to it.
	confirmed atomic.Uint64

	mu struct {
		sync.Mutex
		described *description // of the last Describe
		closed    bool
	}
	// ctl is the ordinary connection, used by one call at a time.
	ctl struct {
		sync.Mutex
		conn *pgconn.PgConn
	}
}

var _ cdc.Source = (*Source)(nil)

// description is what Describe found.
type description struct {
	cdc.Description
	server server
	tables []*table
}

// New makes a source. It does not connect.
func New(o Options) (*Source, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	return &Source{opts: o, log: o.Logger, metrics: newMetrics(o.Metrics, o.Slot)}, nil
}

// Describe implements cdc.Source. It checks what would keep the stream from
// running: wal_level, the version, the slot's state, the tables and their types.
func (s *Source) Describe(ctx context.Context) (cdc.Description, error) {
	var d *description
	err := s.withControl(ctx, func(c *pgconn.PgConn) (err error) {
		d, err = s.describe(ctx, c)
		return err
	})
	if err != nil {
		return cdc.Description{}, err
	}
	s.mu.Lock()
	s.mu.described = d
	s.mu.Unlock()
	return d.Description, nil
}

func (s *Source) describe(ctx context.Context, c *pgconn.PgConn) (*description, error) {
	srv, err := askServer(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := srv.check(); err != nil {
		return nil, err
	}
	cat, err := readCatalog(ctx, c, s.opts)
	if err != nil {
		return nil, err
	}
	tables, err := cat.captured(s.opts)
	if err != nil {
		return nil, err
	}
	slot, err := askSlot(ctx, c, s.opts.Slot)
	if err != nil {
		return nil, err
	}
	d := &description{server: srv, tables: tables}
	d.Kind, d.Incarnation, d.End = "postgres", srv.incarnation(), srv.end
	for _, t := range tables {
		d.Tables = append(d.Tables, t.schema)
	}
	if slot.exists {
		if err := slot.check(srv.database); err != nil {
			return nil, err
		}
		d.Resumable, d.Confirmed = true, slot.confirmed
	}
	return d, nil
}

// last returns what Describe found; Snapshot and Stream rely on it.
func (s *Source) last() (*description, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.described == nil {
		return nil, schemas.Errorf(schemas.CodeInternal, "XX000", "the source was not described yet")
	}
	return s.mu.described, nil
}

// Confirm implements cdc.Source: the slot moves with the next status update of
// the stream.
func (s *Source) Confirm(_ context.Context, lsn schemas.LSN) error {
	for {
		old := s.confirmed.Load()
		if uint64(lsn) <= old || s.confirmed.CompareAndSwap(old, uint64(lsn)) {
			return nil
		}
	}
}

// Close implements cdc.Source. A Stream that runs ends by its context.
func (s *Source) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	s.ctl.Lock()
	defer s.ctl.Unlock()
	hangUp(s.ctl.conn)
	s.ctl.conn = nil
	s.metrics.unregister()
	return nil
}

// withControl runs f on the ordinary connection, made anew when it broke.
func (s *Source) withControl(ctx context.Context, f func(*pgconn.PgConn) error) error {
	s.ctl.Lock()
	defer s.ctl.Unlock()
	s.mu.Lock()
	closed := s.mu.closed
	s.mu.Unlock()
	if closed {
		return schemas.Errorf(schemas.CodeCanceled, "57014", "the source is closed")
	}
	if s.ctl.conn == nil || s.ctl.conn.IsClosed() {
		conn, err := s.connect(ctx, false)
		if err != nil {
			return err
		}
		s.ctl.conn = conn
	}
	err := f(s.ctl.conn)
	if err != nil {
		// The connection may be within a failed exchange; a new one costs little.
		hangUp(s.ctl.conn)
		s.ctl.conn = nil
	}
	return err
}

// hangUp closes a connection, politely for a moment.
func hangUp(c *pgconn.PgConn) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.Close(ctx)
}

// connect opens a connection; a replication one speaks that protocol too.
func (s *Source) connect(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(s.opts.DSN)
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	if cfg.RuntimeParams == nil {
		cfg.RuntimeParams = map[string]string{}
	}
	if _, ok := cfg.RuntimeParams["application_name"]; !ok {
		cfg.RuntimeParams["application_name"] = "millrace " + s.opts.Slot
	}
	// What text output depends on, whatever the role's settings are.
	for k, v := range map[string]string{"client_encoding": "UTF8", "datestyle": "ISO, MDY", "intervalstyle": "postgres",
		"timezone": "UTC", "extra_float_digits": "1", "bytea_output": "hex", "search_path": "pg_catalog", "lock_timeout": lockTimeout} {
		cfg.RuntimeParams[k] = v
	}
	if replication {
		cfg.RuntimeParams["replication"] = "database"
		pace(cfg)
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(ctx, fmt.Sprintf("%s:%d", cfg.Host, cfg.Port), cfg.User, err)
	}
	return conn, nil
}
