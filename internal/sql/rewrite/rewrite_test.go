package rewrite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/internal/sql/explain"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/internal/sql/rewrite"
)

// TestRewrite runs the scripts: "passes" shows the plan after binding and after each rule
// that changed it; "plan" only the final plan, without the rules named by off.
func TestRewrite(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cat := catalogtest.Parse("")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			switch d.Cmd {
			case "catalog":
				cat = catalogtest.Parse(d.Input)
			case "passes":
				root := bound(t, cat, d.Input)
				last := explain.Plan(root)
				fmt.Fprintf(&b, "-- bound\n%s\n", last)
				rewrite.Plan(root, rewrite.Options{After: func(rule string, n plan.Node) {
					if now := explain.Plan(n); now != last {
						fmt.Fprintf(&b, "-- %s\n%s\n", rule, now)
						last = now
					}
				}})
			case "plan":
				off := map[string]bool{}
				for _, a := range d.CmdArgs {
					for _, v := range a.Vals {
						off[v] = true
					}
				}
				fmt.Fprintln(&b, explain.Plan(rewrite.Plan(bound(t, cat, d.Input), rewrite.Options{Off: off})))
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return b.String()
		})
	})
}

func bound(t *testing.T, cat *catalogtest.Catalog, sql string) plan.Node {
	s, err := parse.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	st, err := bind.Statement(s, cat, bind.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st.Root
}
