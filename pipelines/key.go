package pipelines

import (
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/fn"
	"github.com/millrace/millrace/schemas"
)

// copies returns the output column that copies a source column, or -1.
func copies(b *bound, source int) int {
	for i, n := range b.named {
		if c, ok := n.Expr.(*expr.Column); ok && c.ID == b.input[source] {
			return i
		}
	}
	return -1
}

// key sets the output key. The key contains the source's key, so that all changes
// of an output row come through one partition, in order.
func (p *planner) key(t *schemas.Table, b *bound, entry *Transform, out *schemas.Table) bool {
	at := entry.place("key")
	if len(t.Key) == 0 {
		if len(entry.Key) > 0 {
			p.doc.bad(at, "leave key out: the table is loaded append-only", "table %s has no primary key for key to contain", t.FullName())
		}
		return len(entry.Key) == 0
	}
	chosen := map[uint32]bool{}
	ok := true
	for i, name := range entry.Key {
		c := out.ColumnNamed(name)
		place := entry.at.get("key").list[i].pos
		if c < 0 {
			p.doc.bad(place, didYouMean(name, columnNames(out), "the columns are "), "key: %s has no output column %q", entry.To, name).Code = schemas.CodeUnknownColumn
			ok = false
			continue
		}
		col := &out.Columns[c]
		if chosen[col.ID] || !fn.Comparable(col.Type.Kind) {
			p.doc.bad(place, "", "key: column %q stands twice or has a type that cannot be compared (%s)", name, col.Type)
			ok = false
			continue
		}
		chosen[col.ID], col.NotNull = true, true
		out.Key = append(out.Key, col.ID)
	}
	return p.containsSourceKey(t, b, entry, out, chosen) && ok
}

func (p *planner) containsSourceKey(t *schemas.Table, b *bound, entry *Transform, out *schemas.Table, chosen map[uint32]bool) bool {
	ok := true
	for _, k := range t.KeyOrdinals() {
		c, name := copies(b, k), t.Columns[k].Name
		switch {
		case c < 0:
			p.doc.bad(entry.place("select"), "add "+name+" to select", "the output key contains the source's key, but select leaves out its column %q", name)
			ok = false
		case len(entry.Key) == 0:
			out.Columns[c].NotNull = true
			out.Key = append(out.Key, out.Columns[c].ID)
		case !chosen[out.Columns[c].ID]:
			p.doc.bad(entry.place("key"), "add "+out.Columns[c].Name+" to key", "the output key contains the source's key, but key leaves out its column %q", name)
			ok = false
		}
	}
	return ok
}

func columnNames(t *schemas.Table) []string {
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		out[i] = c.Name
	}
	return out
}

// readsBeyondKey says whether the output key reads columns besides the source's key.
func readsBeyondKey(t *schemas.Table, b *bound, out *schemas.Table) bool {
	for i, n := range b.named {
		if out.IsKey(out.Columns[i].ID) {
			for _, c := range b.reads(n.Expr) {
				if !t.IsKey(t.Columns[c].ID) {
					return true
				}
			}
		}
	}
	return false
}
