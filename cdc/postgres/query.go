package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// query runs one statement and returns its rows as text; nil is NULL. On a
// replication connection it must not have parameters.
func query(ctx context.Context, c *pgconn.PgConn, op, sql string, params ...string) ([][][]byte, error) {
	if len(params) == 0 {
		results, err := c.Exec(ctx, sql).ReadAll()
		if err != nil {
			return nil, wrap(ctx, op, err)
		}
		if len(results) == 0 {
			return nil, nil
		}
		return results[len(results)-1].Rows, nil
	}
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	r := c.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	if r.Err != nil {
		return nil, wrap(ctx, op, r.Err)
	}
	return r.Rows, nil
}

// exec runs statements without result.
func exec(ctx context.Context, c *pgconn.PgConn, op, sql string) error {
	_, err := query(ctx, c, op, sql)
	return err
}

func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteLiteral(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// textArray writes PostgreSQL's text form of text[].
func textArray(items []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

// Fields of a result row. The catalog's own output is well-formed; what is not is
// a mistake of ours that shows at once.
func fieldInt(b []byte) int64 {
	if b == nil {
		return 0
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("postgres: catalog gave %q for a number", b))
	}
	return n
}

func fieldBool(b []byte) bool { return len(b) == 1 && b[0] == 't' }
