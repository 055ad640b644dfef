package pipelines

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

func found(tables []*schemas.Table) []Found {
	var out []Found
	for i, t := range tables {
		out = append(out, Found{Table: t, Rows: int64(1000 * i)})
	}
	return out
}

// uncommented makes the example of a generated file part of it.
func uncommented(file []byte) string {
	var out []string
	for _, l := range strings.Split(string(file), "\n") {
		if at := strings.Index(string(file), "# transforms:"); at >= 0 && strings.Index(string(file), l) >= at {
			l = strings.TrimPrefix(l, "# ")
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

func TestGeneratedFilesHaveNoMistakes(t *testing.T) {
	odd := &schemas.Table{Schema: "public", Name: "Odd name", Version: 1, Key: []uint32{1}, Columns: []schemas.Column{
		{ID: 1, Name: "the key", Type: schemas.Type{Kind: schemas.UUID}}, {ID: 2, Name: "select", Type: schemas.Type{Kind: schemas.JSONB}}}}
	for _, c := range []struct {
		kind   string
		tables []*schemas.Table
	}{
		{SourceOLTP, orderentry.Tables()},
		{SourcePostgres, pgbench()},
		{SourcePostgres, pgbench()[2:3]},
		{SourcePostgres, []*schemas.Table{odd}},
	} {
		file := Generate("my-shop", c.kind, found(c.tables))
		full := map[string]bool{}
		for _, table := range c.tables {
			full[table.FullName()] = true
		}
		for _, text := range []string{string(file), uncommented(file)} {
			spec, err := Parse("generated.yaml", []byte(text), environment)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			p, err := NewPlan(spec, c.tables, full)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if len(p.Tables) != len(c.tables) {
				t.Errorf("%d of %d tables", len(p.Tables), len(c.tables))
			}
		}
	}
}

func TestVersionsFollowWhatDecidesTheOutput(t *testing.T) {
	version := func(more string) string {
		spec, err := Parse("x.yaml", []byte("pipeline: p\nsource: {type: oltp}\nsink: {type: warehouse}\n"+more), environment)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(spec, orderentry.Tables(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return p.Pipeline.Version
	}
	plain := version("")
	if plain != version("stream: {linger: 9ms}\n") {
		t.Error("the linger changes the version")
	}
	if version("transforms: [{table: orders, select: 'id, total+1 AS t', where: Total > 0}]\n") !=
		version("transforms:\n- table: orders\n  select: |\n    ID, -- the key\n    total + 1 as T\n  where: total>0\n") {
		t.Error("the way that SQL is written changes the version")
	}
	seen := map[string]bool{plain: true}
	for _, entry := range []string{"{table: orders, where: total > 0}", "{table: orders, where: total > 1}", "{table: orders, to: o}", "{table: orders, select: 'id, total'}", "{table: orders, key: [id, status]}"} {
		v := version("transforms: [" + entry + "]\n")
		if seen[v] {
			t.Errorf("%s does not change the version", entry)
		}
		seen[v] = true
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pipeline: p\nsource: {type: oltp}\nsink: {type: warehouse}\ntransforms:\n- table: orders\n  select: |\n    id, x\n")
	f.Add("a: &a [*a]\n? b\n: c\n")
	f.Add("pipeline: !!str ${X:${Y}}\n<<: {source: 1}")
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := Parse("f.yaml", []byte(text), environment)
		if err != nil {
			_ = err.Error()
			return
		}
		if _, err := NewPlan(spec, orderentry.Tables(), nil); err != nil {
			_ = err.Error()
		}
	})
}
