package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// parseRelation reads a relation message: oid, schema, name, replica identity, and
// for each column flags, name, type and modifier. (The library's own reader
// trusts the message's lengths.)
func parseRelation(b []byte) (*pglogrepl.RelationMessage, bool) {
	c := cursor{b: b, ok: true}
	m := &pglogrepl.RelationMessage{RelationID: uint32(c.number(4)), Namespace: c.text(), RelationName: c.text(), ReplicaIdentity: uint8(c.number(1))}
	n := c.number(2)
	for i := uint64(0); i < n && c.ok; i++ {
		m.Columns = append(m.Columns, &pglogrepl.RelationMessageColumn{Flags: uint8(c.number(1)), Name: c.text(),
			DataType: uint32(c.number(4)), TypeModifier: int32(c.number(4))})
	}
	return m, c.ok
}

// cursor reads a message from its front; ok turns false at its end.
type cursor struct {
	b  []byte
	ok bool
}

// number reads a big-endian number of some bytes.
func (c *cursor) number(size int) uint64 {
	if len(c.b) < size {
		c.ok = false
		return 0
	}
	var n uint64
	for _, x := range c.b[:size] {
		n = n<<8 | uint64(x)
	}
	c.b = c.b[size:]
	return n
}

// text reads a string that ends with a zero byte.
func (c *cursor) text() string {
	end := bytes.IndexByte(c.b, 0)
	if end < 0 {
		c.ok = false
		return ""
	}
	s := string(c.b[:end])
	c.b = c.b[end+1:]
	return s
}

// feed takes the changes of one captured table.
type feed struct {
	table *table
	batch *change.Batch
	at    []int  // message column → ordinal in the batch, -1 for a column left out
	key   []bool // message column belongs to the key
	ready bool   // a relation message came, so at and key are known
}

func newFeed(t *table) *feed {
	return &feed{table: t, batch: change.New(t.schema, batchRows)}
}

// relation compares a relation message with the described table and learns the
// order of its columns. pgoutput sends one before a table's first change and after
// every ALTER TABLE.
func (f *feed) relation(m *pglogrepl.RelationMessage) error {
	t := f.table
	if m.Namespace != t.namespace || m.RelationName != t.name {
		return changed(t, fmt.Sprintf("it was renamed to %s.%s", m.Namespace, m.RelationName))
	}
	f.at, f.key = f.at[:0], f.key[:0]
	seen := 0
	for _, mc := range m.Columns {
		i := slices.IndexFunc(t.columns, func(c *column) bool { return c.name == mc.Name })
		if i < 0 {
			if !slices.ContainsFunc(t.left, func(c *column) bool { return c.name == mc.Name }) {
				return changed(t, fmt.Sprintf("column %s is new", mc.Name))
			}
			f.at, f.key = append(f.at, -1), append(f.key, false)
			continue
		}
		c := t.columns[i]
		if c.oid != mc.DataType || c.mod != mc.TypeModifier {
			return changed(t, fmt.Sprintf("column %s was %s and has another type", c.name, c.display))
		}
		f.at, f.key = append(f.at, i), append(f.key, slices.Contains(t.key, c.num))
		seen++
	}
	if seen < len(t.columns) {
		return changed(t, "it lacks column "+strings.Join(t.absent(m), ", "))
	}
	if m.ReplicaIdentity != t.identity {
		return changed(t, "its replica identity is another")
	}
	if !f.keysKnown(m) {
		return changed(t, "its primary key is another")
	}
	f.ready = true
	return nil
}

// keysKnown compares the key columns that the message marks with the described
// key. FULL marks every column, so that only the catalog knows the key.
func (f *feed) keysKnown(m *pglogrepl.RelationMessage) bool {
	if m.ReplicaIdentity == 'f' {
		return true
	}
	for i, mc := range m.Columns {
		if f.key[i] != (mc.Flags&1 != 0) {
			return false
		}
	}
	return true
}

// absent names the captured columns that a relation message lacks.
func (t *table) absent(m *pglogrepl.RelationMessage) []string {
	var names []string
	for _, c := range t.columns {
		if !slices.ContainsFunc(m.Columns, func(mc *pglogrepl.RelationMessageColumn) bool { return mc.Name == c.name }) {
			names = append(names, c.name)
		}
	}
	return names
}

// changed is the error that stops the capture of a table that is no longer what
// was described.
func changed(t *table, what string) error {
	e := schemas.Errorf(schemas.CodeSource, "42P17", "table %s was changed: %s", t.fullName(), what)
	e.Hint = "check the pipeline with `etl validate` and resync the table"
	return e
}

// difference says what differs between two descriptions of a table.
func difference(old, now *table) string {
	if old.oid != now.oid {
		return "it was dropped and made anew"
	}
	have := map[int16]*column{}
	for _, c := range append(slices.Clone(now.columns), now.left...) {
		have[c.num] = c
	}
	for _, c := range append(slices.Clone(old.columns), old.left...) {
		n := have[c.num]
		switch {
		case n == nil:
			return "column " + c.name + " was dropped"
		case n.name != c.name:
			return fmt.Sprintf("column %s was renamed to %s", c.name, n.name)
		case n.oid != c.oid || n.mod != c.mod:
			return fmt.Sprintf("column %s was %s and is %s", c.name, c.display, n.display)
		}
		delete(have, c.num)
	}
	for _, c := range have {
		return "column " + c.name + " is new"
	}
	if !slices.Equal(old.key, now.key) {
		return "its key is another"
	}
	return "its replica identity is another"
}
