package oltp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/oltp/commitlog"
	"github.com/millrace/millrace/oltp/kv"
	"github.com/millrace/millrace/oltp/tuple"
	"github.com/millrace/millrace/schemas"
)

// catalogTable is the table id under whose prefix the engine holds the catalog:
// key (0, table id), value the definition.
const catalogTable = 0

// defaultSchema is where a bare table name looks.
const defaultSchema = "public"

// table is a table as the engine knows it. Immutable.
type table struct {
	id    uint32
	def   *schemas.Table
	codec *tuple.Codec
	isKey []bool
}

// definition is a table in the log and in the engine.
type definition struct {
	ID    uint32         `json:"id"`
	Table *schemas.Table `json:"table"`
}

func newTable(d definition) *table {
	t := &table{id: d.ID, def: d.Table, codec: tuple.NewCodec(d.ID, d.Table), isKey: make([]bool, len(d.Table.Columns))}
	for _, i := range t.codec.KeyOrdinals() {
		t.isKey[i] = true
	}
	return t
}

// catalog is one state of all tables. Immutable: a change makes a new one.
type catalog struct {
	byName map[string]*table // full names, and bare ones of the default schema
	byID   map[uint32]*table
	next   uint32 // id of the next table
}

func newCatalog(defs []definition) *catalog {
	c := &catalog{byName: map[string]*table{}, byID: map[uint32]*table{}, next: 1}
	for _, d := range defs {
		t := newTable(d)
		c.byID[t.id], c.byName[t.def.FullName()] = t, t
		if t.def.Schema == defaultSchema {
			c.byName[t.def.Name] = t
		}
		c.next = max(c.next, t.id+1)
	}
	return c
}

func (c *catalog) definitions() []definition {
	var defs []definition
	for id, t := range c.byID {
		defs = append(defs, definition{ID: id, Table: t.def})
	}
	slices.SortFunc(defs, func(a, b definition) int { return int(a.ID) - int(b.ID) })
	return defs
}

func (c *catalog) with(d definition) *catalog { return newCatalog(append(c.definitions(), d)) }

func (c *catalog) names() []string {
	var names []string
	for _, d := range c.definitions() {
		names = append(names, d.Table.FullName())
	}
	slices.Sort(names)
	return names
}

func (c *catalog) table(name string) (*table, error) {
	if t := c.byName[name]; t != nil {
		return t, nil
	}
	return nil, unknownTable(name, c)
}

// Table returns a table by its full name, or by its bare name in schema public.
func (db *DB) Table(name string) (*schemas.Table, error) {
	t, err := db.catalog.Load().table(name)
	if err != nil {
		return nil, err
	}
	return t.def, nil
}

// Tables returns every table, in the order they were made.
func (db *DB) Tables() []*schemas.Table {
	var tables []*schemas.Table
	for _, d := range db.catalog.Load().definitions() {
		tables = append(tables, d.Table)
	}
	return tables
}

// CreateTable makes a table and returns once it is durable. Schema "" is public;
// Version must be 0 or 1, and becomes 1; columns with id 0 get the next free one.
// It fails with CodeConstraint and 42P07 when the table exists, and with
// CodeUnsupported for keys of a type without a key order, and for no key.
func (db *DB) CreateTable(ctx context.Context, def schemas.Table) (*schemas.Table, error) {
	t, err := prepareTable(def)
	if err != nil {
		return nil, err
	}
	db.ddl.Lock()
	defer db.ddl.Unlock()
	c := db.catalog.Load()
	if _, exists := c.byName[t.FullName()]; exists {
		return nil, schemas.Errorf(schemas.CodeConstraint, "42P07", "table %s exists already", t.FullName())
	}
	d := definition{ID: c.next, Table: t}
	tx := transaction{snapshot: math.MaxUint64} // conflicts with nothing
	if err := tx.define(d); err != nil {
		return nil, err
	}
	if _, err := db.commit(ctx, &tx); err != nil {
		return nil, fmt.Errorf("create table %s: %w", t.FullName(), err)
	}
	db.catalog.Store(c.with(d))
	return t, nil
}

func prepareTable(def schemas.Table) (*schemas.Table, error) {
	t := def
	t.Columns, t.Key = slices.Clone(def.Columns), slices.Clone(def.Key)
	if t.Schema == "" {
		t.Schema = defaultSchema
	}
	if t.Version > 1 {
		return nil, schemas.Errorf(schemas.CodeInvalid, "42P16", "table %s: a new table has version 1, not %d", t.FullName(), t.Version)
	}
	t.Version = 1
	numberColumns(t.Columns)
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if len(t.Key) == 0 {
		return nil, schemas.Errorf(schemas.CodeUnsupported, "0A000", "table %s: a table without a primary key is not supported", t.FullName())
	}
	for i, id := range t.Key {
		c := &t.Columns[t.Ordinal(id)]
		if slices.Contains(t.Key[:i], id) {
			return nil, schemas.Errorf(schemas.CodeInvalid, "42701", "table %s: column %s stands twice in the key", t.FullName(), c.Name)
		}
		if !tuple.CanKey(c.Type.Kind) {
			return nil, schemas.Errorf(schemas.CodeUnsupported, "0A000", "table %s: column %s of type %s cannot be in the primary key", t.FullName(), c.Name, c.Type)
		}
		c.NotNull = true
	}
	return &t, nil
}

func numberColumns(cols []schemas.Column) {
	next := uint32(1)
	for _, c := range cols {
		next = max(next, c.ID+1)
	}
	for i := range cols {
		if cols[i].ID == 0 {
			cols[i].ID = next
			next++
		}
	}
}

// define makes a transaction that adds a table.
func (tx *transaction) define(d definition) error {
	data, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode table %s: %w", d.Table.FullName(), err)
	}
	tx.log.Add(commitlog.Define, d.ID, nil, data)
	tx.ops = append(tx.ops, kv.Op{Key: catalogKey(d.ID), Value: data})
	return nil
}

func catalogKey(id uint32) []byte {
	return tuple.AppendPrefix(tuple.AppendPrefix(nil, catalogTable), id)
}

// decodeDefinition reads a table from the log or the engine.
func decodeDefinition(data []byte) (definition, error) {
	var d definition
	err := json.Unmarshal(data, &d)
	if err == nil && (d.Table == nil || d.ID == catalogTable) {
		err = errors.New("no table")
	}
	if err == nil {
		err = d.Table.Validate()
	}
	if err != nil {
		return d, corrupt("read table definition", fmt.Errorf("%w: %w", kv.ErrCorrupt, err))
	}
	return d, nil
}

// loadCatalog reads the catalog that the engine holds at an LSN.
func loadCatalog(e kv.Engine, lsn uint64) (*catalog, error) {
	lower := tuple.AppendPrefix(nil, catalogTable)
	it, err := e.Iterate(lower, tuple.Successor(nil, lower), lsn)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var defs []definition
	for ok := it.First(); ok; ok = it.Next() {
		d, err := decodeDefinition(it.Value())
		if err != nil {
			return nil, err
		}
		defs = append(defs, d)
	}
	return newCatalog(defs), it.Err()
}

// keyText shows a row's key for messages.
func (t *table) keyText(row schemas.Row) string {
	var b strings.Builder
	for i, ord := range t.codec.KeyOrdinals() {
		if i > 0 {
			b.WriteString(", ")
		}
		v := row[ord]
		if v.Kind().Layout() == schemas.LayoutInt {
			fmt.Fprintf(&b, "%s=%d", t.def.Columns[ord].Name, v.Int())
		} else {
			fmt.Fprintf(&b, "%s=%#v", t.def.Columns[ord].Name, v)
		}
	}
	return b.String()
}
