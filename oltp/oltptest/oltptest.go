// Package oltptest gives tests sample tables, random rows and a naive copy of a
// database to compare with.
package oltptest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

func column(name string, k schemas.Kind) schemas.Column {
	return schemas.Column{Name: name, Type: schemas.Type{Kind: k}}
}

// Accounts has the key id and a balance.
func Accounts() schemas.Table {
	return schemas.Table{Name: "accounts", Key: []uint32{1}, Columns: []schemas.Column{
		column("id", schemas.Int64), column("balance", schemas.Int64), column("owner", schemas.Text)}}
}

// Account is a row of Accounts; an empty owner is NULL.
func Account(id, balance int64, owner string) schemas.Row {
	row := schemas.Row{schemas.NewInt(schemas.Int64, id), schemas.NewInt(schemas.Int64, balance), schemas.Null}
	if owner != "" {
		row[2] = schemas.NewText(owner)
	}
	return row
}

// ID is a key of Accounts.
func ID(id int64) schemas.Value { return schemas.NewInt(schemas.Int64, id) }

// Lines has the composite key (order_id, line).
func Lines() schemas.Table {
	return schemas.Table{Name: "lines", Key: []uint32{1, 2}, Columns: []schemas.Column{
		column("order_id", schemas.Int64), column("line", schemas.Int32), column("item", schemas.Text),
		{Name: "price", Type: schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}}}}
}

// Line is a row of Lines.
func Line(order int64, line int64, item string, cents int64) schemas.Row {
	return schemas.Row{schemas.NewInt(schemas.Int64, order), schemas.NewInt(schemas.Int32, line), schemas.NewText(item), schemas.NewNumeric(cents, 2)}
}

// Everything has a column of every kind; the key is a text and a numeric.
func Everything() schemas.Table {
	t := schemas.Table{Name: "everything", Key: []uint32{1, 2}}
	t.Columns = append(t.Columns, column("k1", schemas.Text), column("k2", schemas.Numeric))
	for k := schemas.Bool; k <= schemas.JSONB; k++ {
		t.Columns = append(t.Columns, column(fmt.Sprintf("c%d", k), k))
	}
	for i := range t.Columns {
		t.Columns[i].ID = uint32(i + 1)
	}
	return t
}

// RandomRow makes a row for a table; one value in five outside the key is NULL.
func RandomRow(r *rand.Rand, t *schemas.Table) schemas.Row {
	row := make(schemas.Row, len(t.Columns))
	for i, c := range t.Columns {
		if t.IsKey(c.ID) || r.IntN(5) > 0 {
			row[i] = RandomValue(r, c.Type.Kind)
		}
	}
	return row
}

// RandomValue makes a value of a kind, often an extreme one.
func RandomValue(r *rand.Rand, k schemas.Kind) schemas.Value {
	switch k.Layout() {
	case schemas.LayoutFloat:
		return schemas.NewFloat(k, []float64{0, 1, -1, 1e300, -1e-300, r.NormFloat64()}[r.IntN(6)])
	case schemas.LayoutDecimal:
		return randomNumeric(r)
	case schemas.LayoutInterval:
		return schemas.NewInterval(int32(r.Uint32()), int32(r.Uint32()), int64(r.Uint64()))
	case schemas.LayoutInt:
		return schemas.NewInt(k, randomInt(r, k))
	}
	switch k {
	case schemas.UUID:
		return schemas.NewBytes(k, randomBytes(r, 16))
	case schemas.Bytea:
		return schemas.NewBytes(k, randomBytes(r, r.IntN(40)))
	case schemas.JSONB:
		return schemas.NewBytes(k, fmt.Sprintf(`{"a": %d}`, r.IntN(100)))
	}
	return schemas.NewBytes(k, strings.TrimRight(strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(30)), " "))
}

func randomInt(r *rand.Rand, k schemas.Kind) int64 {
	switch k {
	case schemas.Bool:
		return int64(r.IntN(2))
	case schemas.Int16:
		return int64(int16(r.Uint32()))
	case schemas.Int32:
		return int64(int32(r.Uint32()))
	case schemas.Time:
		return r.Int64N(24 * 3600 * 1e6)
	}
	return []int64{0, 1, -1, schemas.InfinityTime, schemas.NegInfinityTime, int64(r.Uint64())}[r.IntN(6)]
}

func randomNumeric(r *rand.Rand) schemas.Value {
	switch r.IntN(8) {
	case 0:
		return schemas.NewNumericText([]string{"NaN", "Infinity", "-Infinity"}[r.IntN(3)])
	case 1:
		return schemas.NewNumericText(fmt.Sprintf("%d%018d.%d", 1+r.IntN(9), r.Int64N(1e18), r.IntN(1000)))
	}
	return schemas.NewNumeric(r.Int64N(2e6)-1e6, r.IntN(6))
}

func randomBytes(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32()) >> (r.IntN(2) * 7) // many zeros and ones
	}
	return string(b)
}

// Copy is a naive copy of a database: per table, rows by the text of their key.
type Copy map[string]map[string]schemas.Row

// Clone copies the copy. Rows are shared.
func (c Copy) Clone() Copy {
	out := Copy{}
	for name, rows := range c {
		out[name] = maps.Clone(rows)
	}
	return out
}

// Key shows a row's key.
func Key(t *schemas.Table, row schemas.Row) string {
	var b strings.Builder
	for _, i := range t.KeyOrdinals() {
		fmt.Fprintf(&b, "%#v|", row[i])
	}
	return b.String()
}

// Put sets a row.
func (c Copy) Put(t *schemas.Table, row schemas.Row) {
	if c[t.FullName()] == nil {
		c[t.FullName()] = map[string]schemas.Row{}
	}
	c[t.FullName()][Key(t, row)] = row
}

// Remove removes a row.
func (c Copy) Remove(t *schemas.Table, row schemas.Row) { delete(c[t.FullName()], Key(t, row)) }

// Fold applies a batch of changes. It says what cannot be: an insert of a row that
// is there, a deletion or old row that is not the one there.
func (c Copy) Fold(b *change.Batch) error {
	for i, op := range b.Ops {
		row := b.Row(i)
		have, there := c[b.Table.FullName()][Key(b.Table, row)]
		wrong := false
		switch op {
		case change.Insert:
			wrong = there
			c.Put(b.Table, row)
		case change.Update:
			wrong = !there
			c.Put(b.Table, row)
		case change.Delete:
			wrong = !slices.Equal(have, row)
			c.Remove(b.Table, row)
		case change.Before:
			wrong = !slices.Equal(have, row)
		}
		if wrong {
			return fmt.Errorf("%s of %#v at %s/%d does not fit the copy's %#v", op, row, b.LSN[i], b.Ordinal[i], have)
		}
	}
	return nil
}

// Truncate empties a table.
func (c Copy) Truncate(b load.Barrier) { delete(c, b.Table) }

// Dump reads everything a transaction sees.
func Dump(t testing.TB, db *oltp.DB, tx *oltp.Tx) Copy {
	t.Helper()
	out := Copy{}
	for _, table := range db.Tables() {
		for row, err := range tx.Scan(table.FullName(), oltp.Range{}) {
			if err != nil {
				t.Fatalf("scan %s: %v", table.FullName(), err)
			}
			out.Put(table, row)
		}
	}
	return out
}

// DumpNow reads everything that is durable.
func DumpNow(t testing.TB, db *oltp.DB) (out Copy) {
	t.Helper()
	if err := db.View(context.Background(), func(tx *oltp.Tx) error {
		out = Dump(t, db, tx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Diff describes the first difference of two copies, "" for none. Tables without
// rows equal missing ones.
func Diff(want, got Copy) string {
	for name := range union(want, got) {
		for key := range union(want[name], got[name]) {
			w, inWant := want[name][key]
			g, inGot := got[name][key]
			if inWant != inGot || !slices.Equal(w, g) {
				return fmt.Sprintf("table %s key %s: want %#v, got %#v", name, key, w, g)
			}
		}
	}
	return ""
}

func union[V any](a, b map[string]V) map[string]bool {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// Create makes tables.
func Create(t testing.TB, db *oltp.DB, tables ...schemas.Table) {
	t.Helper()
	for _, table := range tables {
		if _, err := db.CreateTable(context.Background(), table); err != nil {
			t.Fatal(err)
		}
	}
}
