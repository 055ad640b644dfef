package pipelines

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

// environment is what the scripts see.
func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"MILLRACE_PG_DSN": "postgres://app:hunter2@db/shop", "PARTITIONS": "8", "TABLE": "customers", "EMPTY": "",
	}[name]
	return v, ok
}

// TestScripts runs testdata: "plan" plans its input over the order-entry tables and
// shows the plan, or every problem. Run it with -rewrite to write down what is.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "plan" {
				t.Fatalf("unknown command %q", d.Cmd)
			}
			full := map[string]bool{}
			for _, arg := range d.CmdArgs {
				if arg.Key == "full" {
					for _, v := range arg.Vals {
						full["public."+v] = true
					}
				}
			}
			tables := append(orderentry.Tables(), pgbench()...)
			spec, err := Parse("shop.yaml", []byte(d.Input+"\n"), environment)
			if err != nil {
				return said(t, err)
			}
			p, err := NewPlan(spec, tables, full)
			if err != nil {
				return said(t, err)
			}
			return shownPlan(p)
		})
	})
}

// said shows problems, and checks that none tells a password.
func said(t *testing.T, err error) string {
	var list *Errors
	if !errors.As(err, &list) || len(list.Problems) == 0 {
		t.Fatalf("not a list of problems: %v", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is shown: %v", err)
	}
	if schemas.CodeOf(err) == schemas.CodeInternal {
		t.Errorf("without a code: %v", err)
	}
	return err.Error() + "\n"
}

func shownPlan(p *Plan) string {
	var b strings.Builder
	for i, o := range p.Pipeline.Outputs {
		if o.Table.FullName() == o.Source && p.Tables[i].Where == nil && len(o.Table.Columns) == len(p.Tables[i].Source.Columns) && !p.NeedsBefore[o.Source] && len(p.Pipeline.Outputs) > 4 {
			continue // passes unchanged
		}
		b.WriteString(o.Source + " -> " + o.Table.FullName() + ":")
		for _, c := range o.Table.Columns {
			b.WriteString(" " + c.Name + " " + c.Type.String())
			if c.NotNull {
				b.WriteString(" not null")
			}
			b.WriteString(",")
		}
		b.WriteString(" key")
		for _, k := range o.Table.KeyOrdinals() {
			b.WriteString(" " + o.Table.Columns[k].Name)
		}
		if p.NeedsBefore[o.Source] {
			b.WriteString("; needs old rows")
		}
		b.WriteString("\n")
	}
	for _, n := range p.Notices {
		b.WriteString("notice: " + n + "\n")
	}
	return b.String()
}

func TestJSONSchemaIsWhatTheParserKnows(t *testing.T) {
	const file = "pipeline.schema.json"
	if flag.Lookup("rewrite").Value.String() == "true" { // datadriven's
		if err := os.WriteFile(file, JSONSchema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(JSONSchema()) {
		t.Error("pipeline.schema.json is not what the parser knows: run go test ./pipelines -rewrite")
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s, err := Load("pgbench.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	if s.Source.DSN.Reveal() != "postgres://app:hunter2@db/shop" {
		t.Errorf("the DSN is %q", s.Source.DSN.Reveal())
	}
	for _, shown := range []string{s.String(), s.Source.DSN.String(), errorfAll(s)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("a password is shown: %s", shown)
		}
	}
}

func errorfAll(s *Spec) string { return fmt.Sprintf("%v %+v %#v", s.Source, s.Source, s.Source.DSN) }

func TestTheDocsListEveryKey(t *testing.T) {
	page, err := os.ReadFile("../docs/pipelines.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(prefix string, keys []key)
	look = func(prefix string, keys []key) {
		for _, k := range keys {
			name := prefix + k.name
			if k.shape == section {
				look(name+".", k.keys)
				continue
			}
			if !strings.Contains(string(page), "| `"+name+"` |") {
				t.Errorf("docs/pipelines.md has no row for %s", name)
			}
			if k.shape == sections {
				look("", k.keys)
			}
		}
	}
	look("", fileKeys)
}
