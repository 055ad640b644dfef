package demo

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/internal/latency"
)

// questions are what the analysts ask, in turn. The first three are printed for
// people to copy.
var questions = []string{
	`SELECT status, count(*) AS orders, sum(total) AS value FROM paid_orders GROUP BY status ORDER BY status`,
	`SELECT p.category, sum(l.line_total) AS revenue, sum(l.quantity) AS pieces FROM order_lines l JOIN products p ON p.id = l.product_id GROUP BY p.category ORDER BY revenue DESC LIMIT 10`,
	`SELECT country, count(*) AS customers FROM customers GROUP BY country ORDER BY customers DESC, country LIMIT 10`,
	`SELECT date_trunc('hour', created_at) AS hour, count(*) AS orders, avg(total) AS average FROM paid_orders GROUP BY 1 ORDER BY 1 DESC LIMIT 15`,
	`SELECT method, count(*) AS payments, sum(amount) AS amount FROM payments GROUP BY method ORDER BY method`,
	`SELECT product_id, sum(quantity) AS pieces FROM order_lines GROUP BY product_id ORDER BY pieces DESC, product_id LIMIT 20`,
	`SELECT count(*) AS short, min(quantity) AS lowest FROM stock WHERE quantity < 500`,
}

// analysts ask questions open-loop: each at its intended time, whether or not the
// earlier ones are answered, and timed from then, so that a stall shows in the
// percentiles rather than hide in fewer questions.
type analysts struct {
	client  client.Client
	rate    float64 // questions a second
	latency *latency.Recorder
	asked   atomic.Int64
	failed  atomic.Int64

	mu struct {
		sync.Mutex
		firstError error
	}
}

// maxAsking bounds the questions in flight: beyond it the warehouse is down rather
// than slow, and what is left out counts as failed.
const maxAsking = 256

func (a *analysts) run(ctx context.Context) {
	if a.rate <= 0 {
		return
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	slots := make(chan struct{}, maxAsking)
	step := time.Duration(float64(time.Second) / a.rate)
	intended := time.Now()
	for i := 0; ; i++ {
		intended = intended.Add(step)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(intended)):
		}
		select {
		case slots <- struct{}{}:
		default:
			a.fail(errors.New("256 questions wait for an answer"))
			continue
		}
		asking.Add(1)
		go func(text string, intended time.Time) {
			defer asking.Done()
			defer func() { <-slots }()
			a.ask(ctx, text, intended)
		}(questions[i%len(questions)], intended)
	}
}

func (a *analysts) ask(ctx context.Context, text string, intended time.Time) {
	_, err := a.client.Query(ctx, client.Request{SQL: text})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.fail(err)
	default:
		a.asked.Add(1)
		a.latency.Record(time.Since(intended))
	}
}

func (a *analysts) fail(err error) {
	a.failed.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.firstError == nil {
		a.mu.firstError = err
	}
}

// err is the first failure, nil when every question was answered.
func (a *analysts) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.firstError
}
