package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/schemas"
)

// invariant is a statement that must answer true in every state that a commit of
// the workload leaves behind, and so in every answer of the warehouse (I3). Each
// looks at rows that one transaction changes together.
type invariant struct {
	name, sql string
}

var invariants = []invariant{
	{"paid orders equal payments", `SELECT o.n = p.n AND o.total = p.total, o.n, p.n, o.total, p.total
FROM (SELECT count(*) AS n, coalesce(sum(total), 0) AS total FROM paid_orders) o,
     (SELECT count(*) AS n, coalesce(sum(amount), 0) AS total FROM payments) p`},
	{"stock plus sold is constant", `SELECT s.pieces = p.n * ` + piecesText + `, s.pieces, p.n
FROM (SELECT coalesce(sum(quantity + sold), 0) AS pieces FROM stock) s, (SELECT count(*) AS n FROM products) p`},
	{"sold pieces stand in order lines", `SELECT s.sold = l.pieces, s.sold, l.pieces
FROM (SELECT coalesce(sum(sold), 0) AS sold FROM stock) s, (SELECT coalesce(sum(quantity), 0) AS pieces FROM order_lines) l`},
}

// auditor asks the invariants again and again while the workload runs, and checks
// that no answer is older than one that came before it was asked (I4).
type auditor struct {
	client     client.Client
	checks     atomic.Int64
	violations atomic.Int64

	mu struct {
		sync.Mutex
		newest schemas.LSN
		first  string
	}
}

// pause between two checks: often enough to see many versions, and no load.
const auditPause = 40 * time.Millisecond

func (a *auditor) run(ctx context.Context) error {
	for i := 0; ; i++ {
		if err := a.check(ctx, invariants[i%len(invariants)]); err != nil {
			if ctx.Err() == nil {
				return err
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(auditPause):
		}
	}
}

func (a *auditor) check(ctx context.Context, inv invariant) error {
	before := a.newest()
	r, err := a.client.Query(ctx, client.Request{SQL: inv.sql})
	if err != nil {
		return fmt.Errorf("invariant %q could not be asked: %w", inv.name, err)
	}
	a.checks.Add(1)
	var holds bool
	if len(r.Rows) == 1 && len(r.Rows[0]) > 0 {
		holds = json.Unmarshal(r.Rows[0][0], &holds) == nil && holds
	}
	if !holds {
		rows, _ := json.Marshal(r.Rows)
		a.violate(fmt.Sprintf("%s: violated at LSN %s: %s", inv.name, r.Snapshot.LSN, rows))
	}
	if r.Snapshot.LSN < before {
		a.violate(fmt.Sprintf("an answer at LSN %s followed one at %s: time went backwards", r.Snapshot.LSN, before))
	}
	a.see(r.Snapshot.LSN)
	return nil
}

func (a *auditor) newest() schemas.LSN {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.newest
}

func (a *auditor) see(lsn schemas.LSN) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.newest = max(a.mu.newest, lsn)
}

func (a *auditor) violate(what string) {
	a.violations.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.first == "" {
		a.mu.first = what
	}
}

// firstViolation describes the first one; empty when there was none.
func (a *auditor) firstViolation() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.first
}
