package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/schemas"
)

// Severity of a finding.
type Severity string

// The severities: an error keeps the pipeline from running exactly, a warning is
// something to know before it runs.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Finding is something that Validate found, with the SQL that settles it.
type Finding struct {
	Severity Severity `json:"severity"`
	Table    string   `json:"table,omitempty"`
	Message  string   `json:"message"`
	// Fix is SQL to run, or another next step; empty where nothing is to be done.
	Fix string `json:"fix,omitempty"`
}

// Validate connects and lists everything that would keep the pipeline from running
// or surprise its user. It changes nothing. The error says that it could not look.
func (s *Source) Validate(ctx context.Context) ([]Finding, error) {
	v := &validation{opts: s.opts}
	err := s.withControl(ctx, func(c *pgconn.PgConn) error { return v.all(ctx, c) })
	if err != nil {
		return nil, err
	}
	// The replication connection is refused by pg_hba.conf apart from the other.
	if v.mayReplicate {
		conn, err := s.connect(ctx, true)
		if err != nil {
			v.error("", err.Error(), "allow replication connections for the role in pg_hba.conf")
		}
		hangUp(conn)
	}
	return v.findings, nil
}

type validation struct {
	opts         Options
	findings     []Finding
	mayReplicate bool
}

func (v *validation) error(table, message, fix string) {
	v.findings = append(v.findings, Finding{SeverityError, table, message, fix})
}

func (v *validation) warn(table, message, fix string) {
	v.findings = append(v.findings, Finding{SeverityWarning, table, message, fix})
}

// refuse lists errors that are *schemas.Error with their hints as fixes.
func (v *validation) refuse(table string, err error) {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			v.refuse(table, e)
		}
		return
	}
	var e *schemas.Error
	if errors.As(err, &e) {
		bare := *e
		bare.Hint = ""
		v.error(table, bare.Error(), e.Hint)
		return
	}
	v.error(table, err.Error(), "")
}

func (v *validation) all(ctx context.Context, c *pgconn.PgConn) error {
	srv, err := askServer(ctx, c)
	if err != nil {
		return err
	}
	cat, err := readCatalog(ctx, c, v.opts)
	if err != nil {
		return err
	}
	sl, err := askSlot(ctx, c, v.opts.Slot)
	if err != nil {
		return err
	}
	v.server(srv, sl)
	if err := v.limits(ctx, c, sl); err != nil {
		return err
	}
	tables, err := cat.listed(v.opts)
	if err != nil {
		v.refuse("", err)
	}
	v.publication(cat, tables, srv)
	for _, t := range tables {
		t.before = slices.Contains(v.opts.Before, t.fullName())
		v.table(t, srv)
	}
	return nil
}

func (v *validation) server(srv server, sl slot) {
	if err := srv.check(); err != nil {
		v.refuse("", err)
	}
	v.mayReplicate = srv.superuser || srv.replicates
	if !v.mayReplicate {
		v.error("", fmt.Sprintf("role %q may not replicate", srv.role), "ALTER ROLE "+quoteIdent(srv.role)+" REPLICATION")
	}
	if srv.encoding == "SQL_ASCII" {
		v.error("", "the database has encoding SQL_ASCII, so that its text may be in any encoding", "load the data into a database with encoding UTF8")
	}
	if !sl.exists {
		return
	}
	if err := sl.check(srv.database); err != nil {
		v.refuse("", err)
	}
	if sl.active {
		v.warn("", fmt.Sprintf("replication slot %q is active for PID %d: a pipeline runs on it", sl.name, sl.pid), "")
	}
}

// limits checks that there is room for a slot, and how much log it may hold back (I6).
func (v *validation) limits(ctx context.Context, c *pgconn.PgConn, sl slot) error {
	rows, err := query(ctx, c, "ask for the server's limits", `SELECT current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),
		current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication), current_setting('max_slot_wal_keep_size', true)`)
	if err != nil {
		return err
	}
	r := rows[0]
	if !sl.exists && fieldInt(r[0]) <= fieldInt(r[1]) {
		v.error("", fmt.Sprintf("all %s replication slots are taken", r[0]), "ALTER SYSTEM SET max_replication_slots = "+fmt.Sprint(fieldInt(r[0])+5)+" and restart PostgreSQL, or drop a slot that nobody uses")
	}
	if fieldInt(r[2]) <= fieldInt(r[3]) && !sl.active {
		v.error("", fmt.Sprintf("all %s WAL senders are taken", r[2]), "ALTER SYSTEM SET max_wal_senders = "+fmt.Sprint(fieldInt(r[2])+5)+" and restart PostgreSQL")
	}
	if string(r[4]) == "-1" {
		v.warn("", "max_slot_wal_keep_size is unlimited: while the pipeline is down, the source keeps all its log and its disk may fill",
			"ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf()")
	}
	return nil
}

func (v *validation) publication(cat *catalog, tables []*table, srv server) {
	p := cat.publication
	missing := unpublished(tables)
	owned := !slices.ContainsFunc(missing, func(t *table) bool { return !t.owned })
	switch {
	case !p.exists && len(tables) > 0:
		fix := createPublicationSQL(v.opts.Publication, tables)
		if owned {
			v.warn("", fmt.Sprintf("publication %q does not exist and will be made, if the role may create in the database", v.opts.Publication), fix)
		} else {
			v.error("", fmt.Sprintf("publication %q does not exist, and role %q does not own the tables", v.opts.Publication, srv.role), fix)
		}
	case p.exists && len(missing) > 0:
		fix := addToPublicationSQL(v.opts.Publication, missing)
		if owned && p.owned {
			v.warn("", fmt.Sprintf("%d tables will be added to publication %q", len(missing), p.name), fix)
		} else {
			v.error("", fmt.Sprintf("%d tables are not in publication %q", len(missing), p.name), fix)
		}
	}
	if p.exists && p.flaw() != "" {
		v.error("", fmt.Sprintf("publication %q does not publish every kind of change", p.name), p.flaw())
	}
}

func (v *validation) table(t *table, srv server) {
	name := t.fullName()
	if err := t.describe(); err != nil {
		v.refuse(name, err)
	}
	if !t.mayRead {
		v.error(name, fmt.Sprintf("role %q may not read the table", srv.role), "GRANT USAGE ON SCHEMA "+quoteIdent(t.namespace)+" TO "+quoteIdent(srv.role)+"; GRANT SELECT ON "+t.quoted()+" TO "+quoteIdent(srv.role))
	}
	if t.rowSecurity {
		v.error(name, "row-level security hides rows from the role", "ALTER ROLE "+quoteIdent(srv.role)+" BYPASSRLS")
	}
	if t.rowFilter {
		v.error(name, "the publication filters the rows of the table", "filter with `where` in the pipeline, and publish the table without WHERE")
	}
	for _, c := range t.left {
		if c.generated {
			v.warn(name, "column "+c.name+" is generated: PostgreSQL does not publish it, so it is left out", "")
		}
	}
	if t.kind == 'p' {
		v.warn(name, "the table is partitioned: TRUNCATE, DROP and DETACH of a single partition are not in the stream", "resync the table after such a statement")
	}
	v.identity(t)
}

// identity says what an update or delete will tell.
func (v *validation) identity(t *table) {
	name := t.fullName()
	full := "ALTER TABLE " + t.quoted() + " REPLICA IDENTITY FULL"
	switch {
	case t.keyless() && t.identity == 'f':
		v.warn(name, "the table has no primary key: its rows are loaded append-only, and the first UPDATE or DELETE stops the pipeline", "ALTER TABLE "+t.quoted()+" ADD PRIMARY KEY (…)")
	case t.keyless():
		v.warn(name, "the table has no primary key: its rows are loaded append-only, and once it is published PostgreSQL refuses UPDATE and DELETE on it", "ALTER TABLE "+t.quoted()+" ADD PRIMARY KEY (…)")
	case t.identity == 'n':
		v.error(name, "the table has REPLICA IDENTITY NOTHING: once it is published PostgreSQL refuses UPDATE and DELETE on it", "ALTER TABLE "+t.quoted()+" REPLICA IDENTITY DEFAULT")
	}
	if t.before && t.identity != 'f' {
		v.error(name, "the pipeline needs the old rows of updates", full)
	}
}

// TableInfo is a table as `etl init` lists it.
type TableInfo struct {
	Name  string         `json:"name"` // schema-qualified
	Table *schemas.Table `json:"table"`
	// Rows and Bytes are PostgreSQL's estimates, by the last VACUUM or ANALYZE.
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes"`
	// AppendOnly says that it has no key.
	AppendOnly bool `json:"append_only"`
	// Unsupported are columns that must be left out, "schema.table.column", with
	// their types as PostgreSQL writes them.
	Unsupported map[string]string `json:"unsupported,omitempty"`
	// Full says that REPLICA IDENTITY FULL is set, Toast which columns an update
	// may leave unsent otherwise.
	Full  bool     `json:"full"`
	Toast []string `json:"toast,omitempty"`
}

// Tables lists the tables of the database that could be captured, whatever
// Options.Tables says: partitioned tables, but not their partitions.
func (s *Source) Tables(ctx context.Context) ([]TableInfo, error) {
	var out []TableInfo
	err := s.withControl(ctx, func(c *pgconn.PgConn) error {
		cat, err := readCatalog(ctx, c, s.opts)
		if err != nil {
			return err
		}
		for _, t := range cat.tables {
			if t.partition || t.unlogged {
				continue
			}
			info := TableInfo{Name: t.fullName(), Rows: t.estimatedRows, Bytes: t.bytes, Full: t.identity == 'f'}
			for _, col := range t.columns {
				if col.typ.Kind == schemas.Invalid {
					if info.Unsupported == nil {
						info.Unsupported = map[string]string{}
					}
					info.Unsupported[t.fullName()+"."+col.name] = col.display
				}
			}
			t.columns = slices.DeleteFunc(t.columns, func(c *column) bool { return c.typ.Kind == schemas.Invalid })
			if t.describe() != nil {
				continue // no columns are left, or its key cannot be captured
			}
			info.Table, info.AppendOnly, info.Toast = t.schema, t.keyless(), t.toastColumns()
			out = append(out, info)
		}
		return nil
	})
	return out, err
}
