package bind_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/internal/sql/bind"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
	"github.com/millrace/millrace/internal/sql/explain"
	"github.com/millrace/millrace/internal/sql/parse"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// TestBind runs the scripts: "catalog" sets the tables; "bind" shows columns with their
// types, parameters and the plan; "types" and "errors" take a statement a line;
// "projection" has a table's name, then a list, then perhaps "where" and a condition.
func TestBind(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cat := catalogtest.Parse("")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			switch d.Cmd {
			case "catalog":
				cat = catalogtest.Parse(d.Input)
			case "bind":
				st, err := bindText(cat, d.Input)
				if err != nil {
					return describe(err)
				}
				fmt.Fprintln(&b, columns(st.Root.Columns()))
				for i, p := range st.Params {
					fmt.Fprintf(&b, "$%d %s\n", i+1, p)
				}
				fmt.Fprintln(&b, explain.Plan(st.Root))
			case "types", "errors":
				for _, sql := range strings.Split(d.Input, "\n") {
					st, err := bindText(cat, sql)
					if err != nil {
						fmt.Fprintf(&b, "%s\n  %s", sql, describe(err))
						continue
					}
					fmt.Fprintf(&b, "%s\n  %s\n", sql, columns(st.Root.Columns()))
				}
			case "projection":
				var table string
				d.ScanArgs(t, "table", &table)
				list, where, _ := strings.Cut(d.Input, "\nwhere\n")
				tab, err := cat.Table("", table)
				if err != nil {
					t.Fatal(err)
				}
				m, err := bind.Projection(tab.Schema(), list, where)
				if err != nil {
					return describe(err)
				}
				for _, n := range m.Exprs {
					fmt.Fprintf(&b, "%s %s = %s\n", n.Column.Name, n.Column.Type, explain.Expr(n.Expr))
				}
				if m.Where != nil {
					fmt.Fprintf(&b, "where %s\n", explain.Expr(m.Where))
				}
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return b.String()
		})
	})
}

func bindText(cat *catalogtest.Catalog, sql string) (*plan.Statement, error) {
	s, err := parse.Parse(sql)
	if err != nil {
		return nil, err
	}
	return bind.Statement(s, cat, bind.Options{})
}

func columns(cols []plan.Column) string {
	var out []string
	for _, c := range cols {
		s := c.Name + " " + c.Type.String()
		if c.NotNull {
			s += " not null"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func describe(err error) string {
	var e *schemas.Error
	if !errors.As(err, &e) {
		return fmt.Sprintf("not a schemas.Error: %v\n", err)
	}
	s := fmt.Sprintf("%s %s at %d:%d: %s", e.Code, e.SQLState, e.Pos.Line, e.Pos.Column, e.Message)
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s + "\n"
}
