package exec_test

import (
	"fmt"
	"sort"
	"testing"

	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// TestTopKOfTies orders by a column of few values, so that the bound itself is met again
// and again, against a sort of all rows.
func TestTopKOfTies(t *testing.T) {
	for _, values := range []int64{3, 10, 300, 70_000} {
		table := sqltest.NewTable("ties", sqltest.Col("id", schemas.Int32), sqltest.Col("k", schemas.Int64),
			schemas.Column{Name: "n", Type: schemas.Type{Kind: schemas.Numeric, Precision: 9, Scale: 1}})
		table.BlockRows = 1500
		var rows []schemas.Row
		keys := make([]int64, 9000)
		for i := range keys {
			keys[i] = int64(i)*7919%values - 2
			rows = append(rows, schemas.Row{schemas.NewInt(schemas.Int32, int64(i)), schemas.NewInt(schemas.Int64, keys[i]), schemas.NewNumeric(keys[i], 1)})
		}
		table.Append(rows...)
		cat := sqltest.New(table)
		for _, desc := range []bool{false, true} {
			order := make([]int, len(keys))
			for i := range order {
				order[i] = i
			}
			sort.Slice(order, func(a, b int) bool {
				x, y := order[a], order[b]
				if keys[x] != keys[y] {
					return keys[x] < keys[y] != desc
				}
				return x > y
			})
			for _, sql := range []string{"SELECT id FROM ties ORDER BY k %s, id DESC LIMIT 40", "SELECT id FROM ties ORDER BY n %s, id DESC LIMIT 40", "SELECT id FROM ties ORDER BY k + 0 %s, id DESC LIMIT 40", "SELECT id FROM ties WHERE id >= 0 AND n + k IS NOT NULL ORDER BY n %s, id DESC LIMIT 40"} {
				sql = fmt.Sprintf(sql, map[bool]string{true: "DESC"}[desc])
				for _, batch := range []int{7, 100, 8192} {
					_, got, err := query(cat, sql, settings{opt: exec.Options{Threads: 1 + batch%2, BatchRows: batch}})
					if err != nil || len(got) != 40 {
						t.Fatal(len(got), err)
					}
					for i, row := range got {
						if row[0] != fmt.Sprint(order[i]) {
							t.Fatalf("%s, batch %d, %d values: row %d is %s, want %d", sql, batch, values, i, row[0], order[i])
						}
					}
				}
			}
		}
	}
}
