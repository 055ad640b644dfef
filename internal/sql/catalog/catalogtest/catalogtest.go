// Package catalogtest has a catalog of schemas and statistics without rows, for tests of
// binding and planning.
package catalogtest

import (
	"bufio"
	"fmt"
	"sort"
	"strings"

	"github.com/millrace/millrace/internal/sql/catalog"
	"github.com/millrace/millrace/schemas"
)

// Catalog is tables by full name.
type Catalog struct{ tables map[string]*Table }

// Table implements catalog.Table without rows.
type Table struct {
	schema *schemas.Table
	stats  catalog.Stats
}

// Parse reads a catalog, a line a table: "orders 1000: id bigint key, customer integer
// not null distinct 50, total numeric(12,2)". The number is its rows. It panics on
// anything else.
func Parse(text string) *Catalog {
	c := &Catalog{tables: map[string]*Table{}}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			t := parseTable(line)
			c.tables[t.schema.FullName()] = t
		}
	}
	return c
}

func parseTable(line string) *Table {
	head, columns, ok := strings.Cut(line, ": ")
	t := &Table{schema: &schemas.Table{Schema: "public"}}
	if _, err := fmt.Sscanf(head, "%s %d", &t.schema.Name, &t.stats.Rows); err != nil || !ok {
		panic("not a table: " + line)
	}
	if s, n, ok := strings.Cut(t.schema.Name, "."); ok {
		t.schema.Schema, t.schema.Name = s, n
	}
	for i, def := range splitColumns(columns) {
		name, typ, _ := strings.Cut(strings.TrimSpace(def), " ")
		col, stats := schemas.Column{ID: uint32(i + 1), Name: name}, catalog.ColumnStats{}
		if before, n, ok := strings.Cut(typ, " distinct "); ok {
			fmt.Sscan(n, &stats.Distinct)
			typ = before
		}
		if before, ok := strings.CutSuffix(typ, " key"); ok {
			typ, t.schema.Key = before, append(t.schema.Key, col.ID)
			stats.Distinct = t.stats.Rows
		}
		typ, col.NotNull = strings.CutSuffix(typ, " not null")
		col.Type = ParseType(typ)
		t.schema.Columns = append(t.schema.Columns, col)
		t.stats.Columns = append(t.stats.Columns, stats)
	}
	return t
}

// splitColumns splits at commas outside parentheses.
func splitColumns(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// ParseType reads what schemas.Type.String writes.
func ParseType(s string) schemas.Type {
	base, mods, _ := strings.Cut(s, "(")
	var t schemas.Type
	for k := schemas.Bool; k <= schemas.JSONB; k++ {
		if k.String() == base {
			t.Kind = k
		}
	}
	switch {
	case t.Kind == schemas.Invalid:
		panic("not a type: " + s)
	case t.Kind == schemas.Numeric && mods != "":
		fmt.Sscanf(mods, "%d,%d", &t.Precision, &t.Scale)
	case mods != "":
		fmt.Sscanf(mods, "%d", &t.Length)
	}
	return t
}

// Table implements catalog.Catalog.
func (c *Catalog) Table(schema, name string) (catalog.Table, error) {
	if schema == "" {
		schema = "public"
	}
	t, ok := c.tables[schema+"."+name]
	if !ok {
		return nil, schemas.Errorf(schemas.CodeUnknownTable, "42P01", "relation %q does not exist", name)
	}
	return t, nil
}

// Tables implements catalog.Catalog.
func (c *Catalog) Tables() []string {
	var out []string
	for name := range c.tables {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// Schema implements catalog.Table.
func (t *Table) Schema() *schemas.Table { return t.schema }

// Stats implements catalog.Table.
func (t *Table) Stats() catalog.Stats { return t.stats }

// Scan implements catalog.Table: there are no rows to scan.
func (t *Table) Scan([]int, []catalog.Bound) (catalog.Scan, error) {
	return nil, schemas.Errorf(schemas.CodeInternal, "XX000", "a test catalog has no rows")
}
