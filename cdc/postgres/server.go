package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/schemas"
)

// minVersion is the oldest PostgreSQL whose slots, publications and pgoutput are
// used as they are here.
const minVersion = 120000

// binaryVersion is the first whose pgoutput sends values in binary.
const binaryVersion = 140000

// server is what a cluster says of itself.
type server struct {
	version    int
	walLevel   string
	systemID   string
	timeline   int64
	end        schemas.LSN // the end of the flushed log
	database   string
	role       string
	superuser  bool
	replicates bool
	recovery   bool
	encoding   string
}

const serverSQL = `
SELECT current_setting('server_version_num')::int, current_setting('wal_level'),
       (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN NOT pg_is_in_recovery() THEN ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
       current_database(), current_user, r.rolsuper, r.rolreplication, pg_is_in_recovery(),
       current_setting('server_encoding')
FROM pg_roles r WHERE r.rolname = current_user`

func askServer(ctx context.Context, c *pgconn.PgConn) (server, error) {
	rows, err := query(ctx, c, "ask the server for its settings", serverSQL)
	if err != nil {
		return server{}, err
	}
	r := rows[0]
	lsn, err := schemas.ParseLSN(string(r[4]))
	if err != nil {
		return server{}, err
	}
	return server{
		version: int(fieldInt(r[0])), walLevel: string(r[1]), systemID: string(r[2]), timeline: fieldInt(r[3]), end: lsn,
		database: string(r[5]), role: string(r[6]), superuser: fieldBool(r[7]), replicates: fieldBool(r[8]),
		recovery: fieldBool(r[9]), encoding: string(r[10]),
	}, nil
}

// incarnation names this life of the log: a restored or promoted server has
// another timeline.
func (s server) incarnation() string { return fmt.Sprintf("%s/%d", s.systemID, s.timeline) }

// check refuses servers that cannot be followed.
func (s server) check() error {
	switch {
	case s.version < minVersion:
		return schemas.Errorf(schemas.CodeUnsupported, "0A000", "PostgreSQL %d is too old: version %d or newer is needed", s.version/10000, minVersion/10000)
	case s.recovery:
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "the server is a standby")
		e.Hint = "connect to the primary"
		return e
	case s.walLevel != "logical":
		e := schemas.Errorf(schemas.CodeSource, "55000", "wal_level is %q, but logical replication needs \"logical\"", s.walLevel)
		e.Hint = "run ALTER SYSTEM SET wal_level = 'logical' and restart PostgreSQL"
		return e
	}
	return nil
}

// slot is the state of a replication slot.
type slot struct {
	name      string
	exists    bool
	plugin    string
	database  string
	active    bool
	pid       int64
	confirmed schemas.LSN
	status    string // wal_status: reserved, extended, unreserved, lost; "" before 13
}

func askSlot(ctx context.Context, c *pgconn.PgConn, name string) (slot, error) {
	rows, err := query(ctx, c, "ask for the replication slot",
		`SELECT s.plugin, s.database, s.active, s.active_pid, s.confirmed_flush_lsn, to_jsonb(s)->>'wal_status'
		 FROM pg_replication_slots s WHERE s.slot_name = $1`, name)
	if err != nil || len(rows) == 0 {
		return slot{name: name}, err
	}
	r := rows[0]
	out := slot{name: name, exists: true, plugin: string(r[0]), database: string(r[1]), active: fieldBool(r[2]), pid: fieldInt(r[3]), status: string(r[5])}
	if r[4] != nil {
		if out.confirmed, err = schemas.ParseLSN(string(r[4])); err != nil {
			return slot{}, err
		}
	}
	return out, nil
}

// check refuses a slot of that name that is of no use here.
func (s slot) check(database string) error {
	e := &schemas.Error{Code: schemas.CodeSource, SQLState: "55000"}
	switch {
	case s.plugin != "pgoutput" || s.database != database:
		e.Message = fmt.Sprintf("replication slot %q belongs to somebody else: plugin %q, database %q", s.name, s.plugin, s.database)
		e.Hint = "choose another slot name"
	case s.status == "lost":
		e.Message = fmt.Sprintf("replication slot %q lost the log that it needs (max_slot_wal_keep_size)", s.name)
		e.Hint = "drop it and resync: SELECT pg_drop_replication_slot(" + quoteLiteral(s.name) + ")"
	default:
		return nil
	}
	return e
}

// busy is the error for a slot that another process reads.
func (s slot) busy() error {
	return &schemas.Error{Code: schemas.CodeInUse, SQLState: "55006", Retryable: true,
		Message: fmt.Sprintf("replication slot %q is active for PID %d", s.name, s.pid),
		Hint:    "stop the other capture, give each pipeline its own slot, or wait: it is retried"}
}
