package sql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/explain"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/plan"
	"github.com/millrace/millrace/schemas"
)

// Run starts a prepared statement. EXPLAIN answers with the plan as rows of text; EXPLAIN
// ANALYZE first runs it to its end, drops the rows, and adds what they cost.
func Run(ctx context.Context, st *plan.Statement, opt exec.Options) (*exec.Result, error) {
	if !st.Explain {
		return exec.Run(ctx, st, opt)
	}
	lines := planLines(st.Root)
	if st.Analyze {
		cost, err := measure(ctx, st, opt)
		if err != nil {
			return nil, err
		}
		lines = append(lines, cost...)
	}
	return exec.Run(ctx, &plan.Statement{Root: textRows(lines), Params: st.Params, Shape: st.Shape}, opt)
}

// Columns are the columns that Run answers with.
func Columns(st *plan.Statement) []plan.Column {
	if st.Explain {
		return textRows(nil).Columns()
	}
	return st.Root.Columns()
}

func planLines(root plan.Node) []string { return strings.Split(explain.Plan(root), "\n") }

// measure runs a statement for its costs.
func measure(ctx context.Context, st *plan.Statement, opt exec.Options) (lines []string, err error) {
	start := clock.System.Now()
	res, err := exec.Run(ctx, st, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Close()) }()
	rows := 0
	for {
		batch, err := res.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		rows += batch.Rows
	}
	s := res.Stats()
	return []string{
		fmt.Sprintf("Rows: %d  (read=%d skipped=%d bytes=%d)", rows, s.RowsRead, s.RowsSkipped, s.BytesRead),
		fmt.Sprintf("Peak Memory: %d kB", (s.PeakMemory+1023)/1024),
		fmt.Sprintf("Execution Time: %.3f ms", float64(clock.System.Now().Sub(start).Microseconds())/1000),
	}, nil
}

// textRows is EXPLAIN's answer: a column of lines.
func textRows(lines []string) *plan.Values {
	text := schemas.Type{Kind: schemas.Text}
	values := &plan.Values{Out: []plan.Column{{ID: 1, Name: "QUERY PLAN", Type: text, NotNull: true}}}
	for _, line := range lines {
		values.Rows = append(values.Rows, []expr.Expr{&expr.Const{Node: expr.Node{Typ: text}, Value: schemas.NewText(line)}})
	}
	return values
}
