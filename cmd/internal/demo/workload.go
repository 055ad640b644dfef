package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/orderentry"
)

// The size of the shop to begin with: about 190,000 rows.
const (
	customerCount = 20_000
	productCount  = 2_000
	orderCount    = 32_000
	piecesText    = "1000000" // of each product, in stock and sold together
	pieces        = 1_000_000
	clientCount   = 16
	maxLines      = 5
)

// workload is a shop's clients: they order, pay, ship, return, and change their
// addresses, at a given rate of row changes a second. An order belongs to one
// client, so that clients meet only at the stock, where a few products are hot.
type workload struct {
	db      *oltp.DB
	rate    float64 // row changes a second; 0: as fast as it goes
	seed    uint64
	commits *latency.Recorder
	fresh   *freshness
	witness func(event) // hears of orders before and after each transaction; nil: nobody

	transactions, changes atomic.Int64
	nextOrder             atomic.Int64
	nextPayment           atomic.Int64
	nextCustomer          atomic.Int64
	lastLSN               atomic.Uint64
}

// order is what a client remembers of an order.
type order struct {
	id, customer int64
	created      int64 // µs
	payment      int64
	total        int64 // cents
	status       string
	lines        []orderLine
}

type orderLine struct {
	product int64
	pieces  int64
}

// shopper is one client.
type shopper struct {
	w      *workload
	rng    *rand.Rand
	hot    *rand.Zipf // products
	orders []*order   // oldest first
	limit  int        // orders kept, so that the shop stays about as large as it began
}

// run drives the clients until ctx ends.
func (w *workload) run(ctx context.Context) error {
	shoppers, err := w.hire(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, s := range shoppers {
		running.Go(func() {
			if err := s.work(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// hire makes the clients and gives each its share of the orders that exist.
func (w *workload) hire(ctx context.Context) ([]*shopper, error) {
	orders, err := w.recall(ctx)
	if err != nil {
		return nil, err
	}
	shoppers := make([]*shopper, clientCount)
	for i := range shoppers {
		rng := rand.New(rand.NewPCG(w.seed, uint64(i)))
		shoppers[i] = &shopper{
			w: w, rng: rng, hot: rand.NewZipf(rng, 1.1, 8, productCount-1), limit: max(len(orders), orderCount) / clientCount,
		}
	}
	for i, o := range orders {
		s := shoppers[i%clientCount]
		s.orders = append(s.orders, o)
	}
	return shoppers, nil
}

// work acts until ctx ends, keeping to the client's share of the rate. A client
// that fell behind catches up for at most a second's worth.
func (s *shopper) work(ctx context.Context) error {
	due := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		lsn, changed, err := s.act(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		s.w.committed(lsn, changed, began, now)
		if s.w.rate <= 0 {
			continue
		}
		due = due.Add(time.Duration(float64(changed) * clientCount / s.w.rate * float64(time.Second)))
		if behind := now.Add(-time.Second); due.Before(behind) {
			due = behind
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
	}
	return nil
}

func (w *workload) committed(lsn schemas.LSN, changed int, began, now time.Time) {
	w.transactions.Add(1)
	w.changes.Add(int64(changed))
	w.commits.Record(now.Sub(began))
	w.fresh.acked(lsn, now)
	for {
		last := w.lastLSN.Load()
		if uint64(lsn) <= last || w.lastLSN.CompareAndSwap(last, uint64(lsn)) {
			return
		}
	}
}

// act runs one transaction and returns its LSN and the rows it changed.
func (s *shopper) act(ctx context.Context) (schemas.LSN, int, error) {
	roll := s.rng.IntN(100)
	switch {
	case roll < 4:
		return s.moveHouse(ctx)
	case roll < 6:
		return s.register(ctx)
	case roll < 7:
		return s.reprice(ctx)
	case len(s.orders) > s.limit:
		return s.purge(ctx)
	}
	for range 4 { // an order that can go on
		if len(s.orders) == 0 || s.rng.IntN(3) == 0 {
			break
		}
		o := s.orders[s.rng.IntN(len(s.orders))]
		switch o.status {
		case orderentry.StatusOpen:
			return s.pay(ctx, o)
		case orderentry.StatusPaid:
			return s.ship(ctx, o)
		}
	}
	return s.order(ctx)
}

// event is what happened to an order: first as an intent, then, once the commit was
// acknowledged, as a fact. A process that is killed between the two leaves open
// whether it happened.
type event struct {
	what  string // "place", "pay", "ship" or "purge"
	done  bool
	order *order
}

// commit runs a transaction on an order, telling the witness before and after.
func (s *shopper) commit(ctx context.Context, what string, o *order, fn func(*oltp.Tx) error) (schemas.LSN, error) {
	if s.w.witness == nil {
		return s.w.db.Update(ctx, fn)
	}
	s.w.witness(event{what, false, o})
	lsn, err := s.w.db.Update(ctx, fn)
	if err == nil {
		s.w.witness(event{what, true, o})
	}
	return lsn, err
}

// order buys one to five products: an order, its lines, and the stock of each.
func (s *shopper) order(ctx context.Context) (schemas.LSN, int, error) {
	o := &order{
		id: s.w.nextOrder.Add(1), customer: 1 + s.rng.Int64N(s.w.nextCustomer.Load()),
		created: time.Now().UnixMicro(), status: orderentry.StatusOpen,
	}
	s.pick(o)
	lsn, err := s.commit(ctx, "place", o, func(tx *oltp.Tx) error { return placeOrder(tx, o) })
	if err == nil {
		s.orders = append(s.orders, o)
	}
	return lsn, 1 + 2*len(o.lines), err
}

// pick chooses products, each once and in order of id, hot ones more often.
func (s *shopper) pick(o *order) {
	for range 1 + s.rng.IntN(maxLines) {
		product := 1 + int64(s.hot.Uint64())
		if !slices.ContainsFunc(o.lines, func(l orderLine) bool { return l.product == product }) {
			o.lines = append(o.lines, orderLine{product, 1 + s.rng.Int64N(5)})
		}
	}
	slices.SortFunc(o.lines, func(a, b orderLine) int { return int(a.product - b.product) })
}

func (s *shopper) pay(ctx context.Context, o *order) (schemas.LSN, int, error) {
	payment := s.w.nextPayment.Add(1)
	method := methods[s.rng.IntN(len(methods))]
	lsn, err := s.commit(ctx, "pay", o, func(tx *oltp.Tx) error {
		if err := tx.Insert("payments", paymentRow(payment, o, method, time.Now())); err != nil {
			return err
		}
		return tx.Update("orders", orderRow(o, orderentry.StatusPaid))
	})
	if err == nil {
		o.payment, o.status = payment, orderentry.StatusPaid
	}
	return lsn, 2, err
}

func (s *shopper) ship(ctx context.Context, o *order) (schemas.LSN, int, error) {
	lsn, err := s.commit(ctx, "ship", o, func(tx *oltp.Tx) error {
		return tx.Update("orders", orderRow(o, orderentry.StatusShipped))
	})
	if err == nil {
		o.status = orderentry.StatusShipped
	}
	return lsn, 1, err
}

// purge returns the oldest order: all its rows go, and its pieces back to stock.
func (s *shopper) purge(ctx context.Context) (schemas.LSN, int, error) {
	o := s.orders[0]
	changed := 1 + 2*len(o.lines)
	lsn, err := s.commit(ctx, "purge", o, func(tx *oltp.Tx) error { return removeOrder(tx, o) })
	if o.payment != 0 {
		changed++
	}
	if err == nil {
		s.orders = s.orders[1:]
	}
	return lsn, changed, err
}

func (s *shopper) moveHouse(ctx context.Context) (schemas.LSN, int, error) {
	id := 1 + s.rng.Int64N(s.w.nextCustomer.Load())
	country := countries[s.rng.IntN(len(countries))]
	lsn, err := s.w.db.Update(ctx, func(tx *oltp.Tx) error {
		row, err := tx.Get("customers", schemas.NewInt(schemas.Int64, id))
		if err != nil {
			return err
		}
		row[orderentry.CustomerCountry] = schemas.NewText(country)
		return tx.Update("customers", row)
	})
	return lsn, 1, err
}

func (s *shopper) register(ctx context.Context) (schemas.LSN, int, error) {
	// The number is handed out before the commit: until then nobody else may order
	// under it, so customers are counted by the workload, not by the table.
	id := s.w.nextCustomer.Load() + 1
	lsn, err := s.w.db.Update(ctx, func(tx *oltp.Tx) error {
		return tx.Upsert("customers", customerRow(id, s.rng, time.Now()))
	})
	if err == nil {
		s.w.nextCustomer.CompareAndSwap(id-1, id)
	}
	return lsn, 1, err
}

func (s *shopper) reprice(ctx context.Context) (schemas.LSN, int, error) {
	id := 1 + int64(s.hot.Uint64())
	factor := 95 + s.rng.Int64N(11)
	lsn, err := s.w.db.Update(ctx, func(tx *oltp.Tx) error {
		row, err := tx.Get("products", schemas.NewInt(schemas.Int64, id))
		if err != nil {
			return err
		}
		cents, _, _, _ := row[orderentry.ProductPrice].Numeric()
		row[orderentry.ProductPrice] = money(max(100, cents*factor/100))
		return tx.Update("products", row)
	})
	return lsn, 1, err
}
