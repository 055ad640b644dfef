package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/schemas"
)

// createSQL makes the publication for tables.
func createPublicationSQL(name string, tables []*table) string {
	return "CREATE PUBLICATION " + quoteIdent(name) + " FOR TABLE " + quotedList(tables) + viaRootOption(tables)
}

// viaRootOption publishes partitioned tables as themselves, not as their partitions.
func viaRootOption(tables []*table) string {
	for _, t := range tables {
		if t.kind == 'p' {
			return " WITH (publish_via_partition_root = true)"
		}
	}
	return ""
}

func addToPublicationSQL(name string, tables []*table) string {
	return "ALTER PUBLICATION " + quoteIdent(name) + " ADD TABLE " + quotedList(tables)
}

func quotedList(tables []*table) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.quoted()
	}
	return strings.Join(names, ", ")
}

// unpublished are the tables that the publication does not hold.
func unpublished(tables []*table) []*table {
	var out []*table
	for _, t := range tables {
		if !t.published {
			out = append(out, t)
		}
	}
	return out
}

// ensurePublication makes the publication, or adds tables to it. It is called
// before the slot is made: a slot reads the publication as it was at each point of
// the log.
func (s *Source) ensurePublication(ctx context.Context, c *pgconn.PgConn, p publication, tables []*table) error {
	missing := unpublished(tables)
	var sql, op string
	switch {
	case !p.exists:
		sql, op = createPublicationSQL(s.opts.Publication, tables), fmt.Sprintf("make publication %q", s.opts.Publication)
	case len(missing) > 0:
		sql, op = addToPublicationSQL(s.opts.Publication, missing), fmt.Sprintf("add tables to publication %q", s.opts.Publication)
	default:
		return p.check(tables)
	}
	if err := exec(ctx, c, op, sql); err != nil {
		return withHint(err, "let the owner of the tables run: "+sql)
	}
	s.log.Info(op, "sql", sql)
	return nil
}

// check refuses a publication that leaves changes out.
func (p publication) check(tables []*table) error {
	if fix := p.flaw(); fix != "" {
		e := schemas.Errorf(schemas.CodeSource, "55000", "publication %q does not publish every kind of change", p.name)
		e.Hint = "run " + fix
		return e
	}
	for _, t := range tables {
		switch {
		case t.rowFilter:
			e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "publication %q filters the rows of %s", p.name, t.fullName())
			e.Hint = "filter with `where` in the pipeline, and publish the table without WHERE"
			return e
		case !t.published:
			return p.notPublished(t)
		}
	}
	return nil
}

// flaw gives the SQL that makes the publication complete; "" when it is.
func (p publication) flaw() string {
	if p.insert && p.update && p.delete && p.truncate {
		return ""
	}
	return "ALTER PUBLICATION " + quoteIdent(p.name) + " SET (publish = 'insert, update, delete, truncate')"
}

func (p publication) notPublished(t *table) error {
	e := schemas.Errorf(schemas.CodeSource, "55000", "table %s is not in publication %q", t.fullName(), p.name)
	e.Hint = "run " + addToPublicationSQL(p.name, []*table{t}) + " and resync"
	if t.kind == 'p' && !p.viaRoot {
		e.Message = fmt.Sprintf("publication %q publishes the partitions of %s, not the table", p.name, t.fullName())
		e.Hint = "run ALTER PUBLICATION " + quoteIdent(p.name) + " SET (publish_via_partition_root = true) and resync"
	}
	return e
}
