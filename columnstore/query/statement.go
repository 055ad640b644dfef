package query

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/explain"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// bindParams reads the texts of parameters in the types that the statement has for them.
func bindParams(types []schemas.Type, texts []schemas.Value) ([]schemas.Value, error) {
	if len(types) != len(texts) {
		e := schemas.Errorf(schemas.CodeInvalid, "08P01", "the statement has %d parameters, the request gives %d", len(types), len(texts))
		e.Hint = "give a value for each of $1, $2, … in params"
		return nil, e
	}
	out := make([]schemas.Value, len(texts))
	for i, text := range texts {
		if text.IsNull() {
			continue
		}
		v, err := pgtext.ParseValue(types[i], text.Bytes())
		if err != nil {
			return nil, fmt.Errorf("parameter $%d: %w", i+1, err)
		}
		out[i] = v
	}
	return out, nil
}

// explained is the statement that answers with the plan of st, a line a row.
func explained(st *plan.Statement) (*plan.Statement, error) {
	if st.Analyze {
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "EXPLAIN ANALYZE is not supported")
		e.Hint = "EXPLAIN shows the plan; stats in the answer tell rows, bytes and times"
		return nil, e
	}
	text := schemas.Type{Kind: schemas.Text}
	lines := &plan.Values{Out: []plan.Column{{ID: 1, Name: "QUERY PLAN", Type: text, NotNull: true}}}
	for _, line := range strings.Split(strings.TrimRight(explain.Plan(st.Root), "\n"), "\n") {
		c := &expr.Const{Node: expr.Node{Typ: text}, Value: schemas.NewText(line)}
		lines.Rows = append(lines.Rows, []expr.Expr{c})
	}
	return &plan.Statement{Root: lines, Shape: st.Shape}, nil
}
