package exec_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// queryMaker writes random statements that cannot fail, so that both engines must give
// the same rows whatever order they evaluate in.
type queryMaker struct{ r *rand.Rand }

func (q *queryMaker) pick(s ...string) string { return s[q.r.IntN(len(s))] }

// number makes a numeric expression over table s. Division is guarded.
func (q *queryMaker) number(depth int) string {
	if depth <= 0 || q.r.IntN(4) == 0 {
		return q.pick("s.qty", "s.id", "s.amount", "s.cust", "3", "2.50", "0", "-7", "length(s.note)", "s.amount", "s.qty")
	}
	a, b := q.number(depth-1), q.number(depth-1)
	switch q.r.IntN(9) {
	case 0, 1:
		return fmt.Sprintf("(%s + %s)", a, b)
	case 2:
		return fmt.Sprintf("(%s - %s)", a, b)
	case 3:
		return fmt.Sprintf("(%s * 1.5)", a)
	case 4:
		return fmt.Sprintf("(%s / nullif(%s, 0))", a, b)
	case 5:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", q.boolean(depth-1), a, b)
	case 6:
		return fmt.Sprintf("coalesce(%s, %s)", a, b)
	case 7:
		return fmt.Sprintf("round((%s)::numeric, %d)", a, q.r.IntN(4)-1)
	}
	return fmt.Sprintf("%s(%s, %s)", q.pick("greatest", "least"), a, b)
}

func (q *queryMaker) text(depth int) string {
	if depth <= 0 || q.r.IntN(3) == 0 {
		return q.pick("s.note", "s.status", "s.tag", "'a'", "NULL::text", "s.note")
	}
	a := q.text(depth - 1)
	switch q.r.IntN(6) {
	case 0:
		return fmt.Sprintf("upper(%s)", a)
	case 1:
		return fmt.Sprintf("substring(%s, %d, %d)", a, q.r.IntN(4), q.r.IntN(5))
	case 2:
		return fmt.Sprintf("(%s || %s)", a, q.text(depth-1))
	case 3:
		return fmt.Sprintf("coalesce(%s, 'none')", a)
	case 4:
		return fmt.Sprintf("CASE WHEN %s THEN %s ELSE %s END", q.boolean(depth-1), a, q.text(depth-1))
	}
	return fmt.Sprintf("(%s)::text", q.number(depth-1))
}

func (q *queryMaker) time() string {
	return q.pick("s.day", "date_trunc('month', s.ts)", "s.ts::date", "s.day + 30", "s.ts", "date_trunc('week', s.tz)", "extract(month FROM s.day)", "extract(dow FROM s.ts)", "(s.day + INTERVAL '1 month')")
}

func (q *queryMaker) boolean(depth int) string {
	if depth > 0 && q.r.IntN(3) == 0 {
		a, b := q.boolean(depth-1), q.boolean(depth-1)
		return q.pick(fmt.Sprintf("(%s AND %s)", a, b), fmt.Sprintf("(%s OR %s)", a, b), fmt.Sprintf("(NOT %s)", a), fmt.Sprintf("((%s) IS NOT TRUE)", a))
	}
	op := q.pick("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM")
	switch q.r.IntN(9) {
	case 0:
		return "s.flag"
	case 1:
		return fmt.Sprintf("%s %s %s", q.text(depth-1), op, q.text(depth-1))
	case 2:
		return fmt.Sprintf("%s LIKE '%s'", q.text(depth-1), q.pick("%a%", "p%", "_a%", "%s", "tag1%", "open", "%a%e%"))
	case 3:
		return fmt.Sprintf("%s IS %sNULL", q.pick("s.note", "s.qty", "s.amount", "s.ts"), q.pick("", "NOT "))
	case 4:
		return fmt.Sprintf("s.status IN ('paid', '%s')", q.pick("open", "void", "x"))
	case 5:
		return fmt.Sprintf("s.qty %sIN (1, 2, 5, %s)", q.pick("", "NOT "), q.pick("7", "NULL"))
	case 6:
		return fmt.Sprintf("s.amount BETWEEN %d AND %d", q.r.IntN(300)-100, q.r.IntN(800))
	case 7:
		return fmt.Sprintf("s.day %s DATE '2022-%02d-%02d'", q.pick("<", ">=", "="), 1+q.r.IntN(12), 1+q.r.IntN(28))
	}
	return fmt.Sprintf("%s %s %s", q.number(depth-1), op, q.number(depth-1))
}

func (q *queryMaker) any(depth int) string {
	switch q.r.IntN(5) {
	case 0, 1:
		return q.number(depth)
	case 2:
		return q.text(depth)
	case 3:
		return q.time()
	}
	return q.boolean(depth)
}

func (q *queryMaker) aggregate() string {
	var a string
	switch q.r.IntN(9) {
	case 0, 1:
		a = "count(*)"
	case 2:
		a = "count(" + q.any(1) + ")"
	case 3, 4:
		a = q.pick("sum", "avg") + "(" + q.number(2) + ")"
	case 5:
		a = q.pick("min", "max") + "(" + q.number(2) + ")"
	case 6:
		a = q.pick("min", "max") + "(" + q.text(1) + ")"
	case 7:
		a = q.pick("min(s.day)", "max(s.ts)", "max(s.iv)", "sum(s.d)", "sum(s.big)", "avg(s.big)")
	case 8:
		return "count(DISTINCT " + q.any(1) + ")"
	}
	if q.r.IntN(5) == 0 {
		a += " FILTER (WHERE " + q.boolean(1) + ")"
	}
	return a
}

// statement writes one, total in its order where it has a limit.
func (q *queryMaker) statement() string {
	from := "sales s"
	if q.r.IntN(3) == 0 {
		from = q.pick("sales s JOIN custs c ON s.cust = c.id", "custs c JOIN sales s ON c.id = s.cust AND c.credit > 60", "sales s, custs c", "sales s JOIN custs c ON s.qty = c.id AND s.cust > c.id")
		if from == "sales s, custs c" {
			from += " WHERE s.cust = c.id AND "
		}
	}
	where := ""
	if strings.HasSuffix(from, "AND ") {
		where = q.boolean(2)
	} else if q.r.IntN(4) > 0 {
		where = " WHERE " + q.boolean(2)
	}
	if q.r.IntN(2) == 0 {
		var list []string
		for range 1 + q.r.IntN(4) {
			list = append(list, q.any(3))
		}
		sql := "SELECT " + q.pick("", "", "DISTINCT ") + strings.Join(list, ", ") + " FROM " + from + where
		if q.r.IntN(4) == 0 {
			var by []string
			for i := range list {
				by = append(by, fmt.Sprint(i+1)+q.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
			}
			sql += " ORDER BY " + strings.Join(by, ", ") + q.pick("", " LIMIT 7", " LIMIT 20 OFFSET 3")
		}
		return sql
	}
	var keys, list []string
	for range q.r.IntN(3) {
		keys = append(keys, q.any(1))
	}
	list = append(list, keys...)
	for range 1 + q.r.IntN(3) {
		list = append(list, q.aggregate())
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM " + from + where
	if len(keys) > 0 {
		var by []string
		for i := range keys {
			by = append(by, fmt.Sprint(i+1))
		}
		sql += " GROUP BY " + strings.Join(by, ", ")
	}
	if q.r.IntN(5) == 0 {
		sql += " HAVING count(*) > 2"
	}
	return sql
}

// TestRandomQueries compares random statements with PostgreSQL.
func TestRandomQueries(t *testing.T) {
	db := pg.Database(t)
	db.Exec("SET TimeZone = 'UTC'; SET extra_float_digits = 1; SET DateStyle = 'ISO, MDY'")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 4))
	tables := corpusTables(r)
	load(db, tables)
	q := &queryMaker{r: r}
	rounds, failures := 1500, 0
	if testing.Short() {
		rounds = 120
	}
	for range rounds {
		if !compare(t, db, stored(r, tables, []int{10, 100, 1000}[r.IntN(3)]), q.statement(), randomSettings(r)) {
			if failures++; failures > 6 {
				t.FailNow()
			}
		}
	}
}
