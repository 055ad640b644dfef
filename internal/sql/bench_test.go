package sql_test

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/sql"
	"github.com/millrace/millrace/internal/sql/catalog/catalogtest"
)

// BenchmarkPrepare is what planning adds to every query.
func BenchmarkPrepare(b *testing.B) {
	cat := catalogtest.Parse(`orders 100000: id bigint key, customer_id integer not null distinct 5000, status text distinct 4, total numeric(12,2), created_at timestamp without time zone
customers 5000: id integer key, name text not null, country text distinct 20, active boolean`)
	for name, text := range map[string]string{
		"count":     "select count(*) from orders where total > 100",
		"aggregate": "select date_trunc('day', created_at) as day, status, count(*), sum(total) from orders where created_at >= '2024-01-01' and status <> 'void' group by 1, 2 order by 1, 2 limit 100",
		"join":      "select c.country, sum(o.total * 1.1) from orders o join customers c on c.id = o.customer_id where c.active and o.status in ('paid', 'shipped') group by c.country having count(*) > 10 order by 2 desc limit 10",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := sql.Prepare(context.Background(), text, cat, sql.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
