package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"
)

// duck is DuckDB with the same tables, in memory.
type duck struct{ db *sql.DB }

func openDuck(ctx context.Context, n int) (*duck, error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, err
	}
	d := &duck{db: sql.OpenDB(connector)}
	d.db.SetMaxOpenConns(1)
	_, err = d.db.ExecContext(ctx, `CREATE TABLE staged (id BIGINT, orderkey BIGINT, customer INTEGER, quantity BIGINT, price BIGINT, discount BIGINT, tax BIGINT,
		flag VARCHAR, state VARCHAR, status VARCHAR, mode VARCHAR, day INTEGER, comment VARCHAR)`)
	if err != nil {
		return nil, err
	}
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = conn.Raw(func(c any) error { return appendLines(c.(driver.Conn), n) })
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		return nil, err
	}
	for _, s := range []string{
		`CREATE TABLE lines AS SELECT id, orderkey, customer, (quantity * 0.01)::DECIMAL(12,2) AS quantity, (price * 0.01)::DECIMAL(12,2) AS price,
			(discount * 0.01)::DECIMAL(12,2) AS discount, (tax * 0.01)::DECIMAL(12,2) AS tax, flag, state, status, mode, DATE '1970-01-01' + day AS day, comment FROM staged`,
		`DROP TABLE staged`,
		fmt.Sprintf(`CREATE TABLE customers AS SELECT i::INTEGER AS id, ['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'][i %% 5 + 1] AS region, 'Customer#' || lpad(i::VARCHAR, 6, '0') AS name FROM range(%d) r(i)`, customers),
	} {
		if _, err := d.db.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return d, nil
}

func appendLines(c driver.Conn, n int) error {
	a, err := duckdb.NewAppenderFromConn(c, "", "staged")
	if err != nil {
		return err
	}
	words := comments()
	generate(n, func(l *line) {
		if err == nil {
			err = a.AppendRow(l.id, l.orderkey, l.customer, l.quantity, l.price, l.discount, l.tax,
				flags[l.flag], states[l.state], statuses[l.status], modes[l.mode], l.day, words[l.comment])
		}
	})
	if err != nil {
		return err
	}
	return a.Close()
}

func (d *duck) threads(ctx context.Context, n int) error {
	_, err := d.db.ExecContext(ctx, fmt.Sprintf("SET threads = %d", n))
	return err
}

// query runs a statement and reads every row, as text.
func (d *duck) query(ctx context.Context, text string) ([][]string, error) {
	rows, err := d.db.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for rows.Next() {
		vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		row := make([]string, len(cols))
		for i, v := range vals {
			row[i] = fmt.Sprint(v)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
