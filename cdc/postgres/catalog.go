package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/schemas"
)

// table is a table or partitioned table as the catalog has it.
type table struct {
	oid           uint32
	namespace     string
	name          string
	kind          byte // r table, p partitioned
	identity      byte // replica identity: d default, n nothing, f full, i index
	partition     bool // of a partitioned table
	unlogged      bool
	rowSecurity   bool // row-level security applies to the role
	mayRead       bool
	owned         bool // the role may add it to a publication
	estimatedRows int64
	bytes         int64 // by the last VACUUM or ANALYZE
	published     bool  // by the publication, under this name
	rowFilter     bool  // the publication filters its rows

	columns []*column // all that pgoutput sends and that are not left out, in order
	left    []*column // generated or left out
	primary []int16   // attribute numbers of the primary key, in key order
	replica []int16   // of the index of REPLICA IDENTITY USING INDEX

	// set by describe
	schema *schemas.Table
	key    []int16
	before bool
}

// column is one attribute.
type column struct {
	num       int16
	name      string
	oid       uint32 // its type's, a domain's own
	mod       int32
	display   string // the type as PostgreSQL writes it
	notNull   bool
	toastable bool
	generated bool
	excluded  bool
	typ       schemas.Type // Invalid when the type is not supported
}

func (t *table) fullName() string { return t.namespace + "." + t.name }

func (t *table) quoted() string { return quoteIdent(t.namespace) + "." + quoteIdent(t.name) }

// keyless tables are append-only: rows are kept under their position.
func (t *table) keyless() bool { return len(t.key) == 0 }

// toastColumns are the captured columns that an update may leave unsent.
func (t *table) toastColumns() []string {
	var names []string
	for _, c := range t.columns {
		if c.toastable {
			names = append(names, c.name)
		}
	}
	return names
}

// publication is what pg_publication says of ours.
type publication struct {
	name                              string
	exists, allTables, owned, viaRoot bool
	insert, update, delete, truncate  bool
}

// catalog is all tables that could be captured, and the publication.
type catalog struct {
	tables      []*table
	publication publication
	role        string
	database    string
}

// The catalog is read without functions that lock tables (pg_relation_size does): a
// table's owner may wait for a lock that our own snapshot holds.
const tablesSQL = `
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.relispartition, c.relpersistence = 'u',
       c.relrowsecurity AND row_security_active(c.oid),
       has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'), pg_has_role(c.relowner, 'USAGE'),
       greatest(c.reltuples, 0)::bigint, c.relpages::bigint * current_setting('block_size')::int
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence IN ('p', 'u')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname`

// A column can be TOASTed when its table has a TOAST table, which PostgreSQL makes
// when a row may be too long for a page; a partitioned table leaves that to its
// partitions. A domain's type is followed to its base; a domain's modifier stands in the
// innermost domain that has one.
const columnsSQL = `
WITH RECURSIVE base(oid, at, mod) AS (
  SELECT t.oid, t.oid, -1 FROM pg_type t
  UNION ALL
  SELECT b.oid, t.typbasetype, CASE WHEN b.mod = -1 THEN t.typtypmod ELSE b.mod END
  FROM base b JOIN pg_type t ON t.oid = b.at WHERE t.typtype = 'd'
), resolved AS (
  SELECT b.oid, b.at, b.mod FROM base b JOIN pg_type t ON t.oid = b.at WHERE t.typtype <> 'd'
)
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, a.attstorage <> 'p' AND (c.relkind = 'p' OR c.reltoastrelid <> 0), a.attgenerated <> '', r.at, CASE WHEN a.atttypmod = -1 THEN r.mod ELSE a.atttypmod END
FROM pg_attribute a JOIN resolved r ON r.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum`

const keysSQL = `
SELECT i.indrelid, i.indisprimary, i.indisreplident, i.indkey::text
FROM pg_index i
WHERE i.indrelid = ANY ($1::oid[]) AND (i.indisprimary OR i.indisreplident) AND i.indisvalid`

func readCatalog(ctx context.Context, c *pgconn.PgConn, o Options) (*catalog, error) {
	const op = "read the catalog"
	cat := &catalog{}
	rows, err := query(ctx, c, op, "SELECT current_user, current_database()")
	if err != nil {
		return nil, err
	}
	cat.role, cat.database = string(rows[0][0]), string(rows[0][1])
	if rows, err = query(ctx, c, op, tablesSQL); err != nil {
		return nil, err
	}
	byOID := map[int64]*table{}
	var oids []string
	for _, r := range rows {
		t := &table{oid: uint32(fieldInt(r[0])), namespace: string(r[1]), name: string(r[2]), kind: r[3][0], identity: r[4][0],
			partition: fieldBool(r[5]), unlogged: fieldBool(r[6]), rowSecurity: fieldBool(r[7]), mayRead: fieldBool(r[8]), owned: fieldBool(r[9]),
			estimatedRows: fieldInt(r[10]), bytes: fieldInt(r[11])}
		cat.tables = append(cat.tables, t)
		byOID[int64(t.oid)] = t
		oids = append(oids, string(r[0]))
	}
	if rows, err = query(ctx, c, op, columnsSQL, textArray(oids)); err != nil {
		return nil, err
	}
	for _, r := range rows {
		t := byOID[fieldInt(r[0])]
		col := &column{num: int16(fieldInt(r[1])), name: string(r[2]), oid: uint32(fieldInt(r[3])), mod: int32(fieldInt(r[4])), display: string(r[5]),
			notNull: fieldBool(r[6]), toastable: fieldBool(r[7]), generated: fieldBool(r[8]), typ: typeOf(uint32(fieldInt(r[9])), int32(fieldInt(r[10])))}
		col.excluded = slices.Contains(o.Exclude, t.fullName()+"."+col.name)
		if col.generated || col.excluded {
			t.left = append(t.left, col)
		} else {
			t.columns = append(t.columns, col)
		}
	}
	if rows, err = query(ctx, c, op, keysSQL, textArray(oids)); err != nil {
		return nil, err
	}
	for _, r := range rows {
		t, key := byOID[fieldInt(r[0])], attributes(string(r[3]))
		if fieldBool(r[1]) {
			t.primary = key
		}
		if fieldBool(r[2]) {
			t.replica = key
		}
	}
	return cat, cat.readPublication(ctx, c, o.Publication)
}

func attributes(s string) []int16 {
	var nums []int16
	for _, f := range strings.Fields(s) {
		nums = append(nums, int16(fieldInt([]byte(f))))
	}
	return nums
}

func (cat *catalog) readPublication(ctx context.Context, c *pgconn.PgConn, name string) error {
	const op = "read the publication"
	cat.publication.name = name
	rows, err := query(ctx, c, op, `SELECT puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, to_jsonb(p)->>'pubviaroot', pg_has_role(pubowner, 'USAGE')
		FROM pg_publication p WHERE pubname = $1`, name)
	if err != nil || len(rows) == 0 {
		return err
	}
	r := rows[0]
	cat.publication = publication{name: name, exists: true, allTables: fieldBool(r[0]), insert: fieldBool(r[1]), update: fieldBool(r[2]), delete: fieldBool(r[3]),
		truncate: fieldBool(r[4]), viaRoot: string(r[5]) == "true", owned: fieldBool(r[6])}
	rows, err = query(ctx, c, op, `SELECT p.schemaname, p.tablename, to_jsonb(p)->>'rowfilter', to_jsonb(p)->>'attnames' FROM pg_publication_tables p WHERE p.pubname = $1`, name)
	if err != nil {
		return err
	}
	for _, r := range rows {
		t := cat.find(string(r[0]) + "." + string(r[1]))
		if t == nil {
			continue
		}
		t.published, t.rowFilter = true, r[2] != nil
		if r[3] != nil {
			t.keepPublished(string(r[3]))
		}
	}
	return nil
}

// keepPublished leaves out the columns that a column list of the publication does
// not name. names is a JSON array.
func (t *table) keepPublished(names string) {
	listed := map[string]bool{}
	for _, n := range jsonStrings(names) {
		listed[n] = true
	}
	t.columns = slices.DeleteFunc(t.columns, func(c *column) bool {
		if listed[c.name] {
			return false
		}
		c.excluded = true
		t.left = append(t.left, c)
		return true
	})
}

func (cat *catalog) find(fullName string) *table {
	for _, t := range cat.tables {
		if t.fullName() == fullName {
			return t
		}
	}
	return nil
}

// captured gives the tables to capture, described, and every reason why one
// cannot be.
func (cat *catalog) captured(o Options) ([]*table, error) {
	tables, err := cat.listed(o)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, t := range tables {
		t.before = slices.Contains(o.Before, t.fullName())
		if err := t.describe(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range o.Exclude {
		if !slices.ContainsFunc(tables, func(t *table) bool {
			return slices.ContainsFunc(t.left, func(c *column) bool { return t.fullName()+"."+c.name == name })
		}) {
			errs = append(errs, schemas.Errorf(schemas.CodeUnknownColumn, "42703", "the column %q to leave out does not exist in a captured table", name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return tables, nil
}

// listed gives the tables of the options, or else of the publication.
func (cat *catalog) listed(o Options) ([]*table, error) {
	var out []*table
	if len(o.Tables) == 0 {
		if !cat.publication.exists {
			e := schemas.Errorf(schemas.CodeSource, "42704", "publication %q does not exist, and no tables are listed", o.Publication)
			e.Hint = "list the tables to capture, or run CREATE PUBLICATION " + quoteIdent(o.Publication) + " FOR TABLE …"
			return nil, e
		}
		for _, t := range cat.tables {
			if t.published {
				out = append(out, t)
			}
		}
		if len(out) == 0 {
			return nil, schemas.Errorf(schemas.CodeSource, "42704", "publication %q has no tables", o.Publication)
		}
		return out, nil
	}
	var errs []error
	for _, name := range o.Tables {
		if t := cat.find(name); t != nil {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
			continue
		}
		errs = append(errs, cat.unknown(name))
	}
	return out, errors.Join(errs...)
}

func (cat *catalog) unknown(name string) error {
	e := schemas.Errorf(schemas.CodeUnknownTable, "42P01", "table %q does not exist in database %q", name, cat.database)
	_, bare, _ := strings.Cut(name, ".")
	for _, t := range cat.tables {
		if strings.EqualFold(t.fullName(), name) || t.name == bare || t.name == name {
			e.Hint = fmt.Sprintf("did you mean %q?", t.fullName())
			break
		}
	}
	return e
}

// describe makes the schema, with attribute numbers as column ids: PostgreSQL
// never gives one out twice within a table.
func (t *table) describe() error {
	var errs []error
	out := &schemas.Table{Schema: t.namespace, Name: t.name}
	for _, c := range t.columns {
		if c.typ.Kind == schemas.Invalid {
			errs = append(errs, unsupportedColumn(t, c))
		}
		out.Columns = append(out.Columns, schemas.Column{ID: uint32(c.num), Name: c.name, Type: c.typ, NotNull: c.notNull})
	}
	t.key = t.sourceKey()
	for _, n := range t.key {
		i := slices.IndexFunc(t.columns, func(c *column) bool { return c.num == n })
		if i < 0 {
			errs = append(errs, schemas.Errorf(schemas.CodeInvalid, "42P16", "table %s: a column of its key cannot be left out", t.fullName()))
			continue
		}
		t.columns[i].notNull, out.Columns[i].NotNull = true, true
		out.Key = append(out.Key, uint32(n))
	}
	if len(out.Columns) == 0 {
		errs = append(errs, schemas.Errorf(schemas.CodeUnsupported, "0A000", "table %s has no columns to capture", t.fullName()))
	}
	if t.unlogged {
		errs = append(errs, schemas.Errorf(schemas.CodeUnsupported, "0A000", "table %s is unlogged: its changes are in no log; run ALTER TABLE %s SET LOGGED", t.fullName(), t.quoted()))
	}
	// Nothing counts a table's changes; a hash of all that matters tells them apart.
	out.Version = crc32.ChecksumIEEE([]byte(t.signature()))
	t.schema = out
	return errors.Join(errs...)
}

// sourceKey is the key that deletes and updates name: the primary key, or the
// index of the replica identity where that was chosen.
func (t *table) sourceKey() []int16 {
	if t.identity == 'i' && len(t.replica) > 0 {
		return t.replica
	}
	return t.primary
}

func unsupportedColumn(t *table, c *column) error {
	e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "column %s.%s has type %s, which cannot be captured", t.fullName(), c.name, c.display)
	e.Hint = fmt.Sprintf("publish the table without it (PostgreSQL 15: %s), or run ALTER TABLE %s ALTER COLUMN %s TYPE text", t.publishedWithout(), t.quoted(), quoteIdent(c.name))
	return e
}

// publishedWithout is how a publication names the table's supported columns alone.
func (t *table) publishedWithout() string {
	var names []string
	for _, c := range t.columns {
		if c.typ.Kind != schemas.Invalid {
			names = append(names, quoteIdent(c.name))
		}
	}
	return "FOR TABLE " + t.quoted() + " (" + strings.Join(names, ", ") + ")"
}

// signature tells whether a table, as captured, is still the same.
func (t *table) signature() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %c %v", t.oid, t.fullName(), t.identity, t.key)
	for _, c := range append(slices.Clone(t.columns), t.left...) {
		fmt.Fprintf(&b, "; %d %s %d %d", c.num, c.name, c.oid, c.mod)
	}
	return b.String()
}

// largestFirst orders tables for a snapshot.
func largestFirst(tables []*table) []*table {
	out := slices.Clone(tables)
	sort.SliceStable(out, func(i, j int) bool { return out[i].bytes > out[j].bytes })
	return out
}
