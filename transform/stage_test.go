package transform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/internal/vector"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
)

// items is the source of these tests. Its column note stands for a TOAST-able one.
var items = &schemas.Table{Schema: "public", Name: "items", Version: 1, Key: []uint32{1, 2}, Columns: []schemas.Column{
	{ID: 1, Name: "id", Type: schemas.Type{Kind: schemas.Int64}, NotNull: true},
	{ID: 2, Name: "line", Type: schemas.Type{Kind: schemas.Int32}, NotNull: true},
	{ID: 3, Name: "shop", Type: schemas.Type{Kind: schemas.Int32}, NotNull: true},
	{ID: 4, Name: "qty", Type: schemas.Type{Kind: schemas.Int32}},
	{ID: 5, Name: "price", Type: schemas.Type{Kind: schemas.Numeric, Precision: 12, Scale: 2}},
	{ID: 6, Name: "status", Type: schemas.Type{Kind: schemas.Text}},
	{ID: 7, Name: "note", Type: schemas.Type{Kind: schemas.Text}},
}}

const (
	colShop, colQty, colPrice, colStatus, colNote = 2, 3, 4, 5, 6
)

// plan binds SQL over a table, with the named output columns as key.
func plan(t testing.TB, source *schemas.Table, list, where string, key ...string) *Table {
	t.Helper()
	m, err := bind.Projection(source, list, where)
	if err != nil {
		t.Fatal(err)
	}
	out := &Table{Source: source, Output: &schemas.Table{Schema: "public", Name: "out", Version: 1}, Where: m.Where}
	sourceKey := map[expr.ColumnID]bool{}
	for i, c := range m.Input {
		out.Input = append(out.Input, c.ID)
		if source.IsKey(source.Columns[i].ID) {
			sourceKey[c.ID] = true
		}
	}
	for i, n := range m.Exprs {
		id := uint32(100 + i)
		out.Exprs = append(out.Exprs, n.Expr)
		out.Output.Columns = append(out.Output.Columns, schemas.Column{ID: id, Name: n.Column.Name, Type: n.Column.Type})
	}
	for _, k := range key {
		i := out.Output.ColumnNamed(k)
		out.Output.Key = append(out.Output.Key, out.Output.Columns[i].ID)
		for _, c := range expr.Columns(nil, out.Exprs[i]) {
			out.NeedsBefore = out.NeedsBefore || !sourceKey[c]
		}
	}
	return out
}

// source is a small table that changes at random and remembers how.
type source struct {
	rng    *rand.Rand
	rows   map[string]schemas.Row
	lsn    schemas.LSN
	before bool // updates come with old rows
	toast  bool // updates leave out unchanged notes
}

func (s *source) row(id, line int64) schemas.Row {
	maybe := func(v schemas.Value) schemas.Value {
		if s.rng.IntN(6) == 0 {
			return schemas.Null
		}
		return v
	}
	status := []string{"open", "paid", "shipped", "a longer status than fits a view"}[s.rng.IntN(4)]
	return schemas.Row{
		schemas.NewInt(schemas.Int64, id), schemas.NewInt(schemas.Int32, line), schemas.NewInt(schemas.Int32, s.rng.Int64N(3)),
		maybe(schemas.NewInt(schemas.Int32, s.rng.Int64N(5))), maybe(schemas.NewNumeric(s.rng.Int64N(100000), 2)),
		maybe(schemas.NewText(status)), maybe(schemas.NewText(strings.Repeat("n", s.rng.IntN(40)))),
	}
}

func keyOf(row schemas.Row) string { return fmt.Sprintf("%d/%d", row[0].Int(), row[1].Int()) }

// batch makes n random changes, several to a transaction.
func (s *source) batch(n int) *change.Batch {
	b := change.New(items, n)
	for ordinal := uint32(0); b.Len() < n; ordinal++ {
		if ordinal == 0 || s.rng.IntN(3) == 0 {
			s.lsn, ordinal = s.lsn+schemas.LSN(1+s.rng.IntN(50)), 0
		}
		id, line := s.rng.Int64N(12), s.rng.Int64N(3)
		row := s.row(id, line)
		old, exists := s.rows[keyOf(row)]
		switch {
		case !exists:
			b.Append(change.Insert, s.lsn, ordinal, row, nil)
			s.rows[keyOf(row)] = row
		case s.rng.IntN(4) == 0:
			s.delete(b, ordinal, old)
		case s.rng.IntN(6) == 0: // to another key
			to := s.row(s.rng.Int64N(12), s.rng.Int64N(3))
			if s.rows[keyOf(to)] == nil {
				s.delete(b, ordinal, old)
				b.Append(change.Insert, s.lsn, ordinal, to, nil)
				s.rows[keyOf(to)] = to
			}
		default:
			s.update(b, ordinal, old, row)
		}
	}
	return b
}

// delete sends the key alone, unless old rows are whole.
func (s *source) delete(b *change.Batch, ordinal uint32, old schemas.Row) {
	sent, absent := append(schemas.Row(nil), old...), vector.NewBitmap(len(old))
	if !s.before {
		for i := 2; i < len(old); i++ {
			sent[i] = schemas.Null
			absent.Set(i)
		}
	}
	b.Append(change.Delete, s.lsn, ordinal, sent, absent)
	delete(s.rows, keyOf(old))
}

func (s *source) update(b *change.Batch, ordinal uint32, old, row schemas.Row) {
	if s.before {
		b.Append(change.Before, s.lsn, ordinal, old, nil)
	}
	sent, absent := append(schemas.Row(nil), row...), vector.NewBitmap(len(row))
	if s.toast && s.rng.IntN(2) == 0 {
		row[colNote], sent[colNote] = old[colNote], schemas.Null
		absent.Set(colNote)
	}
	b.Append(change.Update, s.lsn, ordinal, sent, absent)
	s.rows[keyOf(row)] = row
}

// target folds output changes as the warehouse does.
type target struct {
	t    testing.TB
	rows map[string]schemas.Row
	// strict refuses deletes of rows that are not there and updates under another key.
	strict bool
}

func (x *target) key(table *schemas.Table, row schemas.Row) string {
	var parts []string
	for _, k := range table.KeyOrdinals() {
		parts = append(parts, fmt.Sprintf("%#v", row[k]))
	}
	return strings.Join(parts, "|")
}

func (x *target) fold(b *change.Batch) {
	for i, op := range b.Ops {
		row := b.Row(i)
		key := x.key(b.Table, row)
		old, exists := x.rows[key]
		for c := range row {
			if !b.IsAbsent(c, i) {
				continue
			}
			if op != change.Delete && !exists {
				x.t.Fatalf("change %d leaves out %s of a row that is not there", i, b.Table.Columns[c].Name)
			}
			if op == change.Delete && b.Table.IsKey(b.Table.Columns[c].ID) {
				x.t.Fatalf("change %d deletes without its key", i)
			}
			if exists {
				row[c] = old[c]
			}
		}
		switch op {
		case change.Insert, change.Update:
			x.rows[key] = row
		case change.Delete:
			if x.strict && !exists {
				x.t.Fatalf("change %d deletes a row that is not there", i)
			}
			delete(x.rows, key)
		default:
			x.t.Fatalf("change %d is a %v", i, op)
		}
	}
}

// expected evaluates the plan row by row over the source's rows.
func expected(t testing.TB, p *Table, rows map[string]schemas.Row) map[string]schemas.Row {
	scope := &rowexec.Scope{Columns: map[expr.ColumnID]int{}}
	for i, id := range p.Input {
		scope.Columns[id] = i
	}
	out, x := map[string]schemas.Row{}, &target{t: t}
	for _, row := range rows {
		ok, err := scope.Matches(p.Where, row)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		made := make(schemas.Row, len(p.Exprs))
		for i, e := range p.Exprs {
			if made[i], err = scope.Eval(e, row); err != nil {
				t.Fatal(err)
			}
		}
		out[x.key(p.Output, made)] = made
	}
	return out
}

func sameRows(t testing.TB, got, want map[string]schemas.Row) {
	t.Helper()
	for k, w := range want {
		g, ok := got[k]
		if !ok {
			t.Fatalf("row %s is missing", k)
		}
		for i := range w {
			if g[i] != w[i] {
				t.Fatalf("row %s, column %d: %#v, want %#v", k, i, g[i], w[i])
			}
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Fatalf("row %s should not be there", k)
		}
	}
}

func TestStageEqualsTheRowModel(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for _, c := range []struct {
		name, list, where string
		key               []string
		strict            bool // no needless deletes
	}{
		{name: "pass through", list: "*", key: []string{"id", "line"}, strict: true},
		{name: "some columns", list: "line, note, id", key: []string{"id", "line"}, strict: true},
		{name: "computed", list: "id, line, qty * price AS total, upper(status) AS s, note, coalesce(qty, 0) + 1 AS q", key: []string{"id", "line"}, strict: true},
		{name: "filtered", list: "id, line, status, price", where: "status IN ('paid', 'shipped')", key: []string{"id", "line"}},
		{name: "filter that fails for excluded rows", list: "id, line, 100 / qty AS share", where: "qty <> 0", key: []string{"id", "line"}},
		{name: "computed key", list: "id, line, id * 10 + line AS packed, note", key: []string{"packed", "id", "line"}, strict: true},
		{name: "re-keyed", list: "id, line, shop, qty, note", key: []string{"shop", "id", "line"}, strict: true},
		{name: "re-keyed by an expression", list: "id, line, coalesce(status, 'none') || shop AS bucket, price", key: []string{"id", "bucket", "line"}, strict: true},
		{name: "re-keyed and filtered", list: "id, line, shop, price / 3 AS third", where: "price > 300 AND qty > 0", key: []string{"shop", "line", "id"}},
		{name: "nothing matches", list: "id, line", where: "qty > 1000", key: []string{"id", "line"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan(t, items, c.list, c.where, c.key...)
			for seed := range uint64(rounds) {
				src := &source{rng: rand.New(rand.NewPCG(seed, 7)), rows: map[string]schemas.Row{}, before: p.NeedsBefore, toast: c.where == "" && !p.NeedsBefore}
				stage, err := NewStage(p)
				if err != nil {
					t.Fatal(err)
				}
				got := &target{t: t, rows: map[string]schemas.Row{}, strict: c.strict}
				out := change.New(p.Output, 0)
				for range 12 {
					in := src.batch(1 + src.rng.IntN(30))
					first := out.Len()
					if err := stage.Apply(in, out); err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
					tail := change.New(p.Output, 0)
					var rows []uint32
					for i := first; i < out.Len(); i++ {
						rows = append(rows, uint32(i))
					}
					tail.AppendRows(out, rows)
					got.fold(tail)
					sameRows(t, got.rows, expected(t, p, src.rows))
				}
				ordered(t, out)
			}
		})
	}
}

// ordered checks that positions never go back, and that nothing is deleted only to
// be written again under the same key.
func ordered(t testing.TB, b *change.Batch) {
	t.Helper()
	for i := 1; i < b.Len(); i++ {
		if b.LSN[i] < b.LSN[i-1] || b.LSN[i] == b.LSN[i-1] && b.Ordinal[i] < b.Ordinal[i-1] {
			t.Fatalf("change %d stands before the one it follows", i)
		}
		x := &target{t: t}
		if b.Ops[i-1] == change.Delete && b.Ops[i] == change.Update && b.LSN[i] == b.LSN[i-1] && b.Ordinal[i] == b.Ordinal[i-1] &&
			x.key(b.Table, b.Row(i-1)) == x.key(b.Table, b.Row(i)) {
			t.Fatalf("change %d deletes the row that the next one replaces", i-1)
		}
	}
}

func apply(t *testing.T, p *Table, in *change.Batch) (*change.Batch, error) {
	t.Helper()
	s, err := NewStage(p)
	if err != nil {
		t.Fatal(err)
	}
	out := change.New(p.Output, 0)
	return out, s.Apply(in, out)
}

func TestAnOldRowAndItsUpdateMayComeApart(t *testing.T) {
	p := plan(t, items, "id, line, shop", "", "shop", "id", "line")
	src := &source{rng: rand.New(rand.NewPCG(1, 1)), rows: map[string]schemas.Row{}, before: true}
	old, row := src.row(1, 1), src.row(1, 1)
	row[colShop] = old[colShop]
	first, second := change.New(items, 1), change.New(items, 1)
	first.Append(change.Before, 9, 0, old, nil)
	second.Append(change.Update, 9, 0, row, nil)
	out, err := apply(t, p, first)
	if err != nil || out.Len() != 1 || out.Ops[0] != change.Delete {
		t.Fatalf("an old row alone: %v, %v", out.Ops, err)
	}
	if _, err := apply(t, p, second); schemas.CodeOf(err) != schemas.CodeInternal {
		t.Fatalf("an update without its old row: %v", err)
	}
}

func TestErrorsNameTableKeyAndPosition(t *testing.T) {
	src := &source{rng: rand.New(rand.NewPCG(1, 1))}
	row := src.row(42, 7)
	row[colQty] = schemas.NewInt(schemas.Int32, 0)
	in := change.New(items, 1)
	in.Append(change.Insert, 0x1_00000020, 3, row, nil)
	out, err := apply(t, plan(t, items, "id, line, 1 / qty AS q", "", "id", "line"), in)
	var e *schemas.Error
	if !errors.As(err, &e) || e.Code != schemas.CodeDivisionByZero || e.SQLState != "22012" {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"public.items", "id=42, line=7", "1/20", "change 3", "division by zero"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	if out.Len() != 0 {
		t.Error("a failed batch left rows behind")
	}
}

func TestValuesThatWereNotSentAreNeverRead(t *testing.T) {
	src := &source{rng: rand.New(rand.NewPCG(1, 1))}
	absent := vector.NewBitmap(len(items.Columns))
	absent.Set(colNote)
	row := src.row(1, 1)
	row[colNote] = schemas.Null
	in := change.New(items, 1)
	in.Append(change.Update, 5, 0, row, absent)
	for _, c := range []struct{ list, where string }{
		{"id, line, length(note) AS n", ""},
		{"id, line", "note IS NULL"},
		{"id, line, note", "true"},
	} {
		_, err := apply(t, plan(t, items, c.list, c.where, "id", "line"), in)
		if schemas.CodeOf(err) != schemas.CodeSource || !strings.Contains(err.Error(), "ALTER TABLE public.items REPLICA IDENTITY FULL;") {
			t.Errorf("%v: %v", c, err)
		}
	}
	out, err := apply(t, plan(t, items, "note, line, id", "", "id", "line"), in)
	if err != nil || !out.IsAbsent(0, 0) || out.IsAbsent(1, 0) {
		t.Errorf("a plain column passes the mark on: %v", err)
	}
}

// A change of key that left values unsent: the old key is made like the new one, and
// stays before the insert.
func TestAnOldKeyGoesWithItsInsert(t *testing.T) {
	src := &source{rng: rand.New(rand.NewPCG(1, 1))}
	old, row := src.row(1, 1), src.row(2, 1)
	onlyKey, noNote := vector.NewBitmap(len(items.Columns)), vector.NewBitmap(len(items.Columns))
	for i := 2; i < len(old); i++ {
		old[i] = schemas.Null
		onlyKey.Set(i)
	}
	noNote.Set(colNote)
	row[colNote] = schemas.Null
	in := change.New(items, 3)
	in.Append(change.Delete, 5, 0, old, onlyKey)
	in.Append(change.Before, 5, 1, old, onlyKey)
	in.Append(change.Insert, 5, 1, row, noNote)
	out, err := apply(t, plan(t, items, "note, line, id + 100 AS number", "", "number", "line"), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() != 3 || out.Ops[0] != change.Delete || !out.Moved(2) || !out.IsAbsent(0, 2) {
		t.Fatalf("%v, absent %v", out.Ops, out.Absent)
	}
	for i, want := range []int64{101, 101, 102} {
		if got := out.Cols[2].Int(i); got != want || out.IsAbsent(2, i) || out.Cols[1].Int(i) != 1 {
			t.Errorf("change %d has key %d, %d", i, got, out.Cols[1].Int(i))
		}
	}
}

func TestKeysAreNeverNull(t *testing.T) {
	src := &source{rng: rand.New(rand.NewPCG(1, 1))}
	row := src.row(1, 1)
	row[colStatus] = schemas.Null
	in := change.New(items, 1)
	in.Append(change.Insert, 5, 0, row, nil)
	for _, list := range []string{"id, line, status", "id, line, upper(status) AS status"} {
		if _, err := apply(t, plan(t, items, list, "", "id", "line", "status"), in); schemas.CodeOf(err) != schemas.CodeConstraint {
			t.Errorf("%s: %v", list, err)
		}
	}
}

func TestTablesWithoutAKeyOnlyGrow(t *testing.T) {
	log := &schemas.Table{Schema: "public", Name: "log", Version: 1, Columns: items.Columns}
	p := plan(t, log, "qty, note", "qty > 1")
	src := &source{rng: rand.New(rand.NewPCG(1, 1))}
	in := change.New(log, 0)
	want := 0
	for i := range 50 {
		row := src.row(1, 1)
		in.Append(change.Insert, 5, uint32(i), row, nil)
		if !row[colQty].IsNull() && row[colQty].Int() > 1 {
			want++
		}
	}
	out, err := apply(t, p, in)
	if err != nil || out.Len() != want {
		t.Fatalf("%d rows, %v; want %d", out.Len(), err, want)
	}
	in.Append(change.Update, 6, 0, src.row(1, 1), nil)
	if _, err := apply(t, p, in); schemas.CodeOf(err) != schemas.CodeSource {
		t.Errorf("an update: %v", err)
	}
}
