package pipelines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/orderentry"
	"github.com/millrace/millrace/transform"
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

func TestErrorsOfRowsShowTheirPlaceInTheFile(t *testing.T) {
	s, err := Parse("shop.yaml", []byte(`pipeline: p
source: {type: oltp}
sink: {type: warehouse}
transforms:
  - table: stock
    select: |
      product_id,
      100 / quantity AS share
  - table: order_lines
    where: 1 / quantity > 0
`), environment)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(s, orderentry.Tables(), nil)
	if err != nil {
		t.Fatal(err)
	}
	zero := schemas.NewInt(schemas.Int32, 0)
	one := schemas.NewInt(schemas.Int64, 1)
	for table, c := range map[string]struct {
		row  schemas.Row
		want string
	}{
		"public.stock":       {schemas.Row{one, zero, zero, schemas.NewInt(schemas.TimestampTZ, 0)}, "(select of shop.yaml:8:"},
		"public.order_lines": {schemas.Row{one, zero, one, zero, schemas.NewNumeric(1, 2)}, "(where of shop.yaml:10:"},
	} {
		for _, plan := range p.Tables {
			if plan.Source.FullName() != table {
				continue
			}
			stage, err := transform.NewStage(plan)
			if err != nil {
				t.Fatal(err)
			}
			in := change.New(plan.Source, 1)
			in.Append(change.Insert, 1, 0, c.row, nil)
			err = stage.Apply(in, change.New(plan.Output, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
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
