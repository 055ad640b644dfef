package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

// seedStep is how many rows, about, one transaction of the seeding writes.
const seedStep = 1000

// fill makes the tables and their first rows, unless an earlier run did. A run
// that was interrupted while filling starts the rows over.
func (w *workload) fill(ctx context.Context, progress func(done, total int)) error {
	have := w.db.Tables()
	for _, t := range orderentry.Tables() {
		if slices.ContainsFunc(have, func(h *schemas.Table) bool { return h.FullName() == t.FullName() }) {
			continue
		}
		if _, err := w.db.CreateTable(ctx, *t); err != nil {
			return err
		}
	}
	// Stock is written last: where it is complete, everything is.
	stocked, err := w.count(ctx, "stock")
	if err != nil || stocked == productCount {
		return err
	}
	if err := w.empty(ctx); err != nil {
		return err
	}
	return w.fillTables(ctx, progress)
}

func (w *workload) count(ctx context.Context, table string) (n int, err error) {
	err = w.db.View(ctx, func(tx *oltp.Tx) error {
		for _, err := range tx.Scan(table, oltp.Range{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

func (w *workload) empty(ctx context.Context) error {
	_, err := w.db.Update(ctx, func(tx *oltp.Tx) error {
		for _, t := range orderentry.Tables() {
			if err := tx.Truncate(t.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

func (w *workload) fillTables(ctx context.Context, progress func(done, total int)) error {
	rng := rand.New(rand.NewPCG(w.seed, 1<<32))
	now := time.Now()
	total, done := customerCount+2*productCount+orderCount, 0
	step := func(n, rowsEach int, write func(tx *oltp.Tx, i int) error) error {
		each := max(1, seedStep/rowsEach)
		for lo := 0; lo < n; lo += each {
			hi := min(lo+each, n)
			_, err := w.db.Update(ctx, func(tx *oltp.Tx) error {
				for i := lo; i < hi; i++ {
					if err := write(tx, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			done += hi - lo
			progress(done, total)
		}
		return nil
	}
	prices := make([]int64, productCount+1)
	sold := make([]int64, productCount+1)
	orders := w.firstOrders(rng, now)
	err := step(customerCount, 1, func(tx *oltp.Tx, i int) error {
		return tx.Insert("customers", customerRow(int64(i+1), rng, now))
	})
	if err != nil {
		return err
	}
	err = step(productCount, 1, func(tx *oltp.Tx, i int) error {
		row := productRow(int64(i+1), rng)
		var err error
		if prices[i+1], err = centsOf(row[orderentry.ProductPrice]); err != nil {
			return err
		}
		return tx.Insert("products", row)
	})
	if err != nil {
		return err
	}
	if err := step(len(orders), 5, func(tx *oltp.Tx, i int) error { return insertOrder(tx, orders[i], prices) }); err != nil {
		return err
	}
	for _, o := range orders {
		for _, l := range o.lines {
			sold[l.product] += l.pieces
		}
	}
	return step(productCount, 1, func(tx *oltp.Tx, i int) error {
		return tx.Insert("stock", stockRow(int64(i+1), pieces-sold[i+1], sold[i+1], now))
	})
}

// firstOrders invents the orders of the last weeks, two thirds of them paid.
func (w *workload) firstOrders(rng *rand.Rand, now time.Time) []*order {
	s := &shopper{w: w, rng: rng, hot: rand.NewZipf(rng, 1.1, 8, productCount-1)}
	orders := make([]*order, orderCount)
	for i := range orders {
		age := time.Duration(orderCount-i) * time.Minute
		o := &order{
			id: int64(i + 1), customer: 1 + rng.Int64N(customerCount),
			created: now.Add(-age).UnixMicro(), status: orderentry.StatusOpen,
		}
		s.pick(o)
		if rng.IntN(3) > 0 {
			o.payment, o.status = o.id, orderentry.StatusPaid
			if rng.IntN(2) == 0 {
				o.status = orderentry.StatusShipped
			}
		}
		orders[i] = o
	}
	return orders
}

// insertOrder writes an order of the first rows; the stock is counted afterwards.
func insertOrder(tx *oltp.Tx, o *order, prices []int64) error {
	o.total = 0
	for i, l := range o.lines {
		o.total += prices[l.product] * l.pieces
		line := schemas.Row{bigint(o.id), integer(int64(i + 1)), bigint(l.product), integer(l.pieces), money(prices[l.product])}
		if err := tx.Insert("order_lines", line); err != nil {
			return err
		}
	}
	if o.payment != 0 {
		row := paymentRow(o.payment, o, methods[int(o.id)%len(methods)], time.UnixMicro(o.created))
		if err := tx.Insert("payments", row); err != nil {
			return err
		}
	}
	return tx.Insert("orders", orderRow(o, o.status))
}

// recall reads the orders back from the database, oldest first, and goes on with
// the numbers after the highest given out.
func (w *workload) recall(ctx context.Context) ([]*order, error) {
	var orders []*order
	byID := map[int64]*order{}
	var lastCustomer, lastPayment, lastOrder int64
	err := w.db.View(ctx, func(tx *oltp.Tx) error {
		for row, err := range tx.Scan("orders", oltp.Range{}) {
			if err != nil {
				return err
			}
			total, err := centsOf(row[orderentry.OrderTotal])
			if err != nil {
				return err
			}
			o := &order{
				id: row[orderentry.OrderID].Int(), customer: row[orderentry.OrderCustomer].Int(), total: total,
				created: row[orderentry.OrderCreated].Int(), status: row[orderentry.OrderStatus].Bytes(),
			}
			orders, byID[o.id] = append(orders, o), o
			lastOrder = max(lastOrder, o.id)
		}
		for row, err := range tx.Scan("order_lines", oltp.Range{}) {
			if err != nil {
				return err
			}
			o := byID[row[orderentry.LineOrder].Int()]
			if o == nil {
				return fmt.Errorf("line of order %d without the order", row[orderentry.LineOrder].Int())
			}
			o.lines = append(o.lines, orderLine{row[orderentry.LineProduct].Int(), row[orderentry.LineQuantity].Int()})
		}
		for row, err := range tx.Scan("payments", oltp.Range{}) {
			if err != nil {
				return err
			}
			id := row[orderentry.PaymentID].Int()
			if o := byID[row[orderentry.PaymentOrder].Int()]; o != nil {
				o.payment = id
			}
			lastPayment = max(lastPayment, id)
		}
		for row, err := range tx.Scan("customers", oltp.Range{Reverse: true, Limit: 1}) {
			if err != nil {
				return err
			}
			lastCustomer = row[orderentry.CustomerID].Int()
		}
		return nil
	})
	w.nextOrder.Store(lastOrder)
	w.nextPayment.Store(lastPayment)
	w.nextCustomer.Store(lastCustomer)
	return orders, err
}
