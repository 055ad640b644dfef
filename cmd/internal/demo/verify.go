package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql/expr"
	"github.com/millrace/millrace/internal/sql/rowexec"
	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/transform"
)

// verifier compares the warehouse with the source: each row of a source snapshot
// goes through the pipeline's expressions one by one, in an evaluator that shares
// no code with the transform workers, and must be found in the answer over HTTP
// at the same LSN, and nothing else (I2, I5).
type verifier struct {
	db     *oltp.DB
	tables []*transform.Table
	client client.Client
}

// content is a table as a multiset of rows, each as the text of its values.
type content map[string]int

// verify waits until the warehouse shows at, at which the source stands still, and
// compares every table.
func (v *verifier) verify(ctx context.Context, at schemas.LSN) (Verified, error) {
	var out Verified
	for _, t := range v.tables {
		want, rows, err := v.expected(ctx, t)
		if err != nil {
			return out, fmt.Errorf("evaluate table %s: %w", t.Source.FullName(), err)
		}
		got, lsn, err := v.answered(ctx, t.Output, at)
		if err != nil {
			return out, fmt.Errorf("read table %s from the warehouse: %w", t.Output.FullName(), err)
		}
		out.Tables++
		out.Rows += rows
		n, first := differences(want, got)
		out.Mismatches += n
		if n > 0 && out.First == "" {
			out.First = fmt.Sprintf("table %s at LSN %s: %s", t.Output.FullName(), lsn, first)
		}
	}
	return out, nil
}

// expected folds the source through the pipeline, row by row.
func (v *verifier) expected(ctx context.Context, t *transform.Table) (content, int64, error) {
	want, rows := content{}, int64(0)
	scope := rowexec.Scope{Columns: map[expr.ColumnID]int{}}
	for i, id := range t.Input {
		scope.Columns[id] = i
	}
	err := v.db.View(ctx, func(tx *oltp.Tx) error {
		for row, err := range tx.Scan(t.Source.FullName(), oltp.Range{}) {
			if err != nil {
				return err
			}
			keep, err := scope.Matches(t.Where, row)
			if err != nil {
				return err
			}
			if !keep {
				continue
			}
			text, err := outputText(&scope, t, row)
			if err != nil {
				return err
			}
			want[text]++
			rows++
		}
		return nil
	})
	return want, rows, err
}

func outputText(scope *rowexec.Scope, t *transform.Table, row schemas.Row) (string, error) {
	var b []byte
	for i, e := range t.Exprs {
		x, err := scope.Eval(e, row)
		if err != nil {
			return "", err
		}
		b = appendCell(b, i, x.IsNull())
		b = pgtext.AppendTyped(b, t.Output.Columns[i].Type, x)
	}
	return string(b), nil
}

// appendCell starts a value in a row's text. The separators cannot stand in a text
// of PostgreSQL's: no value holds a zero byte.
func appendCell(dst []byte, i int, null bool) []byte {
	if i > 0 {
		dst = append(dst, 0)
	}
	if null {
		dst = append(dst, 0, 'N')
	}
	return dst
}

// answered reads a table over HTTP in a state at or after an LSN.
func (v *verifier) answered(ctx context.Context, t *schemas.Table, at schemas.LSN) (content, schemas.LSN, error) {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
	}
	wait := int64(60_000)
	text := fmt.Sprintf(`SELECT %s FROM "%s"."%s"`, strings.Join(names, ", "), t.Schema, t.Name)
	r, err := v.client.Query(ctx, client.Request{SQL: text, MinLSN: &at, WaitMS: &wait, TimeoutMS: 120_000})
	if err != nil {
		return nil, 0, err
	}
	got := content{}
	var b []byte
	for _, row := range r.Rows {
		b = b[:0]
		for i, raw := range row {
			b = appendCell(b, i, string(raw) == "null")
			b = append(b, cellText(raw, t.Columns[i].Type.Kind)...)
		}
		got[string(b)]++
	}
	return got, r.Snapshot.LSN, nil
}

// cellText is a JSON value as PostgreSQL's text.
func cellText(raw json.RawMessage, k schemas.Kind) string {
	switch {
	case string(raw) == "null":
		return ""
	case k == schemas.Bool:
		return string(raw[:1])
	case len(raw) > 0 && raw[0] == '"' && k != schemas.JSONB:
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	}
	return string(raw)
}

// differences counts rows that only one side has, a changed row once, and
// describes the first in order of text.
func differences(want, got content) (int64, string) {
	var missing, extra int64
	var examples []string
	for row, n := range want {
		if d := n - got[row]; d > 0 {
			missing += int64(d)
			examples = append(examples, "missing "+readable(row))
		}
	}
	for row, n := range got {
		if d := n - want[row]; d > 0 {
			extra += int64(d)
			examples = append(examples, "extra "+readable(row))
		}
	}
	if len(examples) == 0 {
		return 0, ""
	}
	sort.Strings(examples)
	return max(missing, extra), fmt.Sprintf("%d rows missing, %d extra; %s; %s", missing, extra, examples[0], examples[len(examples)-1])
}

func readable(row string) string {
	row = strings.ReplaceAll(row, "\x00N", "NULL")
	return "(" + strings.ReplaceAll(row, "\x00", ", ") + ")"
}
