// Package streamtest has a source, a warehouse and a worker in memory, simple
// enough to be the oracle of the stream's tests.
package streamtest

import (
	"fmt"
	"sort"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// State is tables as maps: of full name, then of key.
type State map[string]map[string]schemas.Row

// Key is a row's key as text; the whole row's where the table has none.
func Key(t *schemas.Table, row schemas.Row) string {
	if len(t.Key) == 0 {
		return fmt.Sprintf("%#v", row)
	}
	s := ""
	for _, i := range t.KeyOrdinals() {
		s += fmt.Sprintf("%#v|", row[i])
	}
	return s
}

// Fold applies transactions to a state, which it changes and returns.
func Fold(s State, txns []Txn) State {
	if s == nil {
		s = State{}
	}
	for _, t := range txns {
		for i, c := range t.Changes {
			s.Apply(c, t.LSN, uint32(i))
		}
	}
	return s
}

// Apply makes one change. Rows without a key are kept under their position.
func (s State) Apply(c Change, lsn schemas.LSN, ordinal uint32) {
	name := c.Table.FullName()
	if c.Truncate || s[name] == nil {
		s[name] = map[string]schemas.Row{}
	}
	if c.Truncate {
		return
	}
	key := Key(c.Table, c.Row)
	if len(c.Table.Key) == 0 {
		key = fmt.Sprintf("%016X.%08X", uint64(lsn), ordinal)
	}
	switch c.Op {
	case change.Delete:
		delete(s[name], key)
	case change.Insert, change.Update:
		s[name][key] = c.Row
	}
}

// Rows are a table's rows in order of their keys.
func (s State) Rows(t *schemas.Table) []schemas.Row {
	m := s[t.FullName()]
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	rows := make([]schemas.Row, len(keys))
	for i, k := range keys {
		rows[i] = m[k]
	}
	return rows
}

// Diff says where two states differ, "" when they do not. Rows of tables without
// a key are compared as a set, since a snapshot gives them another position.
func Diff(tables []*schemas.Table, want, got State) string {
	for _, t := range tables {
		w, g := want.contents(t), got.contents(t)
		if len(w) != len(g) {
			return fmt.Sprintf("%s: %d rows, want %d", t.FullName(), len(g), len(w))
		}
		for i := range w {
			if w[i] != g[i] {
				return fmt.Sprintf("%s: row %s, want %s", t.FullName(), g[i], w[i])
			}
		}
	}
	return ""
}

func (s State) contents(t *schemas.Table) []string {
	var out []string
	for _, r := range s[t.FullName()] {
		out = append(out, fmt.Sprintf("%#v", r))
	}
	sort.Strings(out)
	return out
}
