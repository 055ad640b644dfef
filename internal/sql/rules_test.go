package sql_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/pgtext"
	"github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/exec"
	"github.com/millrace/millrace/internal/sql/rewrite"
	"github.com/millrace/millrace/internal/sql/sqltest"
	"github.com/millrace/millrace/schemas"
)

// ruleQueries touch every rule. Results are compared as sets, so LIMIT needs a total order.
var ruleQueries = []string{
	"select * from o where id > 20 and status = 'a'",
	"select o.id, c.name from o, c where o.cust = c.id and o.total > 5 and c.active",
	"select c.name, count(*), sum(o.total) from o join c on o.cust = c.id where o.small < 4 group by c.name having count(*) > 2",
	"select * from (select id, total * 2 as t, status from o where status <> 'b') q where t > 10 and 30 >= id",
	"select * from (select status, count(*) as n from o group by status) q where status > 'a' and n > 3",
	"select * from (select distinct status, small from o) q where small between 2 and 5",
	"select id from (select id, status from o union all select id, name from c) q where id between 3 and 40",
	"select id from (select id from o order by total desc nulls last, id limit 7) q where id > 3",
	"select id, total from o order by total desc nulls last, id limit 5 offset 3",
	"select count(*), count(id) from o",
	"select count(*), count(total) from o where small = 3",
	"select count(total), count(*) from o",
	"select id from o where small = 65539 or small > 65539 or small in (65539, 65540)",
	"select id from o where small < 65539 and small > -65539",
	"select count(distinct cust), sum(distinct small) from o",
	"select status, count(distinct cust) from o group by status",
	"select status, count(distinct cust), count(*) from o group by status",
	"select count(distinct small), count(distinct small) filter (where id > 9) from o",
	"select l.id, o.id, c.id from l, o, c where l.o = o.id and o.cust = c.id and l.qty + o.small > 6 and c.name < 'm'",
	"select a.id, b.id from c a, c b where a.id < b.id and a.active",
	"select count(*) from l, c",
	"select count(*) from (select from l join o on l.o = o.id) q",
	"select l.id, o.id from l, o where l.o = o.id and 7 = o.id",
	"select a.id, b.cust, c.name from o a join o b on a.cust = b.cust join c on b.cust = c.id where a.cust = 3 and c.id <> 4",
	"select a.id from o a, o b where a.small = b.small and b.small = a.cust and a.cust = 2 and a.small = 3",
	"select x.n, y.n from (select count(*) n from o) x, (select count(distinct cust) n from l join o on l.o = o.id) y",
	"select id from o where small in (1, 70000) or small = 70000 or 3 = small",
	"select id from o where small::bigint > 2 and small::integer <= 6 and big > 100 and cust <> 4",
	"select id from o where false or id = 3",
	"select id from o where true and 1 = 1",
	"select id from o where false",
	"select count(*) from o where false",
	"select status, count(*) from o where false group by status",
	"select max(id) from (select id from o where id < 50 limit 100) q",
	"with a as (select id as x, total from o), b as (select x as y, total * 2 as t from a) select y, t + t from b where y > 3",
	"select a.id from o a join o b using (id) where b.total is not null",
	"select coalesce(total, 0.00) + small as k, min(id) from o group by 1 having min(id) > 5",
	"select 1 / (small - small) from o where id < 0",
	"select id from o where small <> 0 and 10 / small > 2",
	"select q.id from (select id, small from o where small <> 0) q where 10 / q.small > 2",
	"select n from (select count(*) as n from o where id > 5) q where now() is null",
	"select n from (select status, count(*) as n from o group by status) q where now() is not null",
	"select id from (select id from o union all select id from c) q where now() is null or id < 3",
	"select status from o union select name from c",
	"select total from o where total > 3.5 and total < 100 and total <> 7",
	"select name from c where active is not true and name like '%a%'",
}

// TestRulesKeepAnswers runs every query with all rules, with none, with each rule alone
// and with each left out: the answers must be the same.
func TestRulesKeepAnswers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cat := ruleTables(rand.New(rand.NewPCG(seed, 1)))
	var all []string
	for _, r := range rewrite.Rules() {
		all = append(all, r.Name)
	}
	sets := map[string][]string{"all rules": nil, "no rules": all}
	for i, name := range all {
		sets["without "+name] = []string{name}
		sets["only "+name] = append(slices.Clone(all[:i]), all[i+1:]...)
	}
	for _, query := range ruleQueries {
		want := rowsWithout(cat, query, all)
		for label, off := range sets {
			if got := rowsWithout(cat, query, off); got != want {
				t.Errorf("%s\n%s:\n%s\nno rules:\n%s", query, label, got, want)
			}
		}
	}
}

func ruleTables(r *rand.Rand) *sqltest.Catalog {
	maybe := func(v schemas.Value) schemas.Value {
		if r.IntN(6) == 0 {
			return schemas.Null
		}
		return v
	}
	i64 := func(n int) schemas.Value { return schemas.NewInt(schemas.Int64, int64(n)) }
	orders := sqltest.NewTable("o", sqltest.Col("id", schemas.Int64), sqltest.Col("cust", schemas.Int32), sqltest.Col("status", schemas.Text),
		sqltest.Col("total", schemas.Numeric), sqltest.Col("small", schemas.Int16), sqltest.Col("big", schemas.Int64))
	for i := range 120 {
		orders.Append(schemas.Row{i64(i), maybe(schemas.NewInt(schemas.Int32, r.Int64N(15))), maybe(schemas.NewText(string(rune('a' + r.IntN(4))))),
			maybe(schemas.NewNumeric(r.Int64N(2000), 2)), maybe(schemas.NewInt(schemas.Int16, r.Int64N(8))), i64(r.IntN(1000))})
	}
	customers := sqltest.NewTable("c", sqltest.Col("id", schemas.Int32), sqltest.Col("name", schemas.Text), sqltest.Col("active", schemas.Bool))
	for i := range 15 {
		customers.Append(schemas.Row{schemas.NewInt(schemas.Int32, int64(i)), schemas.NewText(fmt.Sprintf("%c%c", 'a'+r.IntN(20), 'a'+r.IntN(3))), maybe(schemas.NewBool(r.IntN(2) == 0))})
	}
	lines := sqltest.NewTable("l", sqltest.Col("id", schemas.Int32), sqltest.Col("o", schemas.Int64), sqltest.Col("qty", schemas.Int32))
	for i := range 200 {
		lines.Append(schemas.Row{schemas.NewInt(schemas.Int32, int64(i)), maybe(i64(r.IntN(130))), schemas.NewInt(schemas.Int32, r.Int64N(9))})
	}
	return sqltest.New(orders, customers, lines)
}

// rowsWithout runs a query without some rules and gives its rows sorted, or its error.
func rowsWithout(cat *sqltest.Catalog, query string, off []string) string {
	opt := sql.Options{Rewrite: rewrite.Options{Off: map[string]bool{}}}
	for _, name := range off {
		opt.Rewrite.Off[name] = true
	}
	ctx := context.Background()
	st, err := sql.Prepare(ctx, query, cat, opt)
	if err != nil {
		return err.Error()
	}
	res, err := exec.Run(ctx, st, exec.Options{Threads: 2})
	if err != nil {
		return err.Error()
	}
	defer res.Close()
	var rows []string
	for {
		b, err := res.Next(ctx)
		if err == io.EOF {
			slices.Sort(rows)
			return strings.Join(rows, "\n")
		}
		if err != nil {
			return err.Error()
		}
		for i := range b.Rows {
			var row []string
			for c, v := range b.Vectors {
				cell := "NULL"
				if !v.Null(i) {
					cell = string(pgtext.AppendTyped(nil, res.Columns()[c].Type, v.Value(i)))
				}
				row = append(row, cell)
			}
			rows = append(rows, strings.Join(row, "|"))
		}
	}
}
