package pipelines

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

// pgbench are the tables of pgbench -i.
func pgbench() []*schemas.Table {
	table := func(name string, key []uint32, columns ...schemas.Column) *schemas.Table {
		for i := range columns {
			columns[i].ID = uint32(i + 1)
		}
		return &schemas.Table{Schema: "public", Name: name, Version: 1, Columns: columns, Key: key}
	}
	i4 := func(name string) schemas.Column {
		return schemas.Column{Name: name, Type: schemas.Type{Kind: schemas.Int32}}
	}
	filler := func(n int32) schemas.Column {
		return schemas.Column{Name: "filler", Type: schemas.Type{Kind: schemas.Char, Length: n}}
	}
	return []*schemas.Table{
		table("pgbench_accounts", []uint32{1}, i4("aid"), i4("bid"), i4("abalance"), filler(84)),
		table("pgbench_branches", []uint32{1}, i4("bid"), i4("bbalance"), filler(88)),
		table("pgbench_history", nil, i4("tid"), i4("bid"), i4("aid"), i4("delta"), schemas.Column{Name: "mtime", Type: schemas.Type{Kind: schemas.Timestamp}}, filler(22)),
		table("pgbench_tellers", []uint32{1}, i4("tid"), i4("bid"), i4("tbalance"), filler(84)),
	}
}

func TestSamplePipelines(t *testing.T) {
	sources := map[string][]*schemas.Table{"demo.yaml": orderentry.Tables(), "pgbench.yaml": pgbench()}
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) != len(sources) {
		t.Fatalf("%v, %v: every sample needs its tables here", files, err)
	}
	env := func(name string) (string, bool) { return "postgres://u:secret@h/db", name == "MILLRACE_PG_DSN" }
	for _, f := range files {
		s, err := Load(f, env)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPlan(s, sources[f], nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range p.Tables {
			if err := table.Output.Validate(); err != nil {
				t.Errorf("%s: %v", f, err)
			}
		}
		if len(p.Tables) != len(sources[f]) {
			t.Errorf("%s: %d of %d tables", f, len(p.Tables), len(sources[f]))
		}
	}
}

func TestDemoPlan(t *testing.T) {
	s, err := Load("demo.yaml", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(s, orderentry.Tables(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !p.NeedsBefore["public.payments"] || len(p.NeedsBefore) != 1 {
		t.Errorf("old rows are needed of %v, want of payments alone", p.NeedsBefore)
	}
	for _, o := range p.Pipeline.Outputs {
		t.Logf("%s <- %s", o.Table.FullName(), o.Source)
		for _, c := range o.Table.Columns {
			t.Logf("   %s %s notnull=%v key=%v", c.Name, c.Type, c.NotNull, o.Table.IsKey(c.ID))
		}
	}
}
