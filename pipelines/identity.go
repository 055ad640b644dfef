package pipelines

import (
	"strings"

	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/transform"
)

// identity holds the conditions under which PostgreSQL sends what a plan reads. An
// update leaves out values of TOAST-able columns that it did not change, and old
// rows hold the key alone, unless the table has REPLICA IDENTITY FULL (I5).
func (p *planner) identity(t *schemas.Table, b *bound, entry *Transform, plan *transform.Table) {
	if p.spec.Source.Type != SourcePostgres || p.full[t.FullName()] || len(t.Key) == 0 {
		return
	}
	alter := transform.ReplicaIdentityFull(t)
	if toast := toasted(t, everyColumn(t)); b.where != nil && len(toast) > 0 {
		p.doc.bad(entry.place("where"), alter, "table %s is filtered and has columns whose unchanged values PostgreSQL leaves out of updates (%s): a row that begins to match could not be written whole",
			t.FullName(), strings.Join(toast, ", "))
		return
	}
	for i, n := range b.named {
		_, plain := n.Expr.(*expr.Column)
		if plain && !plan.Output.IsKey(plan.Output.Columns[i].ID) {
			continue
		}
		if toast := toasted(t, b.reads(n.Expr)); len(toast) > 0 && !onlyKey(t, b.reads(n.Expr)) {
			p.doc.bad(entry.selectAt(n.Expr), alter, "output column %q reads %s, whose unchanged values PostgreSQL leaves out of updates",
				n.Column.Name, strings.Join(toast, ", "))
			return
		}
	}
	if plan.NeedsBefore {
		p.doc.bad(entry.place("key"), alter, "the key of %s reads more than the primary key of %s, and PostgreSQL sends old rows with their key alone", entry.To, t.FullName())
	}
}

// toasted names the columns among some that PostgreSQL may store out of line.
func toasted(t *schemas.Table, columns []int) []string {
	var out []string
	for _, c := range columns {
		if !t.IsKey(t.Columns[c].ID) && canBeToasted(t.Columns[c].Type) {
			out = append(out, t.Columns[c].Name)
		}
	}
	return out
}

// canBeToasted says whether a value can be larger than the pointer that would stand
// in its place, 18 bytes.
func canBeToasted(t schemas.Type) bool {
	switch t.Kind {
	case schemas.Text, schemas.Varchar, schemas.Char:
		return t.Length == 0 || t.Length > 4 // characters of up to 4 bytes
	case schemas.Numeric:
		return t.Precision == 0 || t.Precision > 24 // 2 bytes hold 4 digits
	case schemas.Bytea, schemas.JSONB:
		return true
	}
	return false
}

func everyColumn(t *schemas.Table) []int {
	out := make([]int, len(t.Columns))
	for i := range out {
		out[i] = i
	}
	return out
}

func onlyKey(t *schemas.Table, columns []int) bool {
	for _, c := range columns {
		if !t.IsKey(t.Columns[c].ID) {
			return false
		}
	}
	return true
}
