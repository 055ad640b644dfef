package schemas

import "fmt"

// Column describes one column. Its ID is permanent and unique within the table:
// names stand only here, batches and files carry ids.
type Column struct {
	ID      uint32 `json:"id"`
	Name    string `json:"name"`
	Type    Type   `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
}

// Table describes a table. It is immutable once shared; a change of schema makes
// a new one with the next Version.
type Table struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Version uint32   `json:"version"`
	Columns []Column `json:"columns"`
	// Key holds the ids of the primary key's columns in key order. An empty key
	// means append-only: rows are kept under the position that wrote them.
	Key []uint32 `json:"key,omitempty"`
}

// FullName is the schema-qualified name, "public.orders".
func (t *Table) FullName() string { return t.Schema + "." + t.Name }

// Ordinal returns the index in Columns of the column with an id, or -1.
func (t *Table) Ordinal(id uint32) int {
	for i := range t.Columns {
		if t.Columns[i].ID == id {
			return i
		}
	}
	return -1
}

// ColumnNamed returns the index in Columns of a name, or -1.
func (t *Table) ColumnNamed(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// KeyOrdinals returns the indexes in Columns of the key columns, in key order.
func (t *Table) KeyOrdinals() []int {
	ords := make([]int, len(t.Key))
	for i, id := range t.Key {
		ords[i] = t.Ordinal(id)
	}
	return ords
}

// IsKey says whether a column belongs to the primary key.
func (t *Table) IsKey(id uint32) bool {
	for _, k := range t.Key {
		if k == id {
			return true
		}
	}
	return false
}

// Validate checks that the description is consistent.
func (t *Table) Validate() error {
	if t.Schema == "" || t.Name == "" {
		return Errorf(CodeInvalid, "42602", "a table needs a schema and a name, not %q.%q", t.Schema, t.Name)
	}
	ids, names := map[uint32]bool{}, map[string]bool{}
	for _, c := range t.Columns {
		if c.Name == "" || c.Type.Kind == Invalid {
			return Errorf(CodeInvalid, "42P16", "table %s: column %d needs a name and a type", t.FullName(), c.ID)
		}
		if ids[c.ID] || names[c.Name] {
			return Errorf(CodeInvalid, "42701", "table %s: column %s (id %d) stands twice", t.FullName(), c.Name, c.ID)
		}
		ids[c.ID], names[c.Name] = true, true
	}
	for _, id := range t.Key {
		if !ids[id] {
			return fmt.Errorf("table %s: %w", t.FullName(), Errorf(CodeInvalid, "42P16", "key names column id %d, which does not exist", id))
		}
	}
	return nil
}
