// Package demo runs the whole of Millrace in one process on a live order-entry
// workload, asks it questions meanwhile, and proves at the end that nothing was
// lost and nothing invented.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace/millrace/cdc/native"
	"github.com/millrace/millrace/cmd/internal/client"
	"github.com/millrace/millrace/cmd/internal/node"
	"github.com/millrace/millrace/internal/latency"
	"github.com/millrace/millrace/oltp"
	"github.com/millrace/millrace/pipelines"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// Options of a demo. Out, or Progress for the live view, may be nil.
type Options struct {
	Engine    string
	Duration  time.Duration // 0: until ctx ends
	Rate      float64       // row changes a second; 0: as many as go
	QueryRate float64       // questions a second
	Dir       string        // kept and resumed; empty: a temporary one, removed
	HTTP      string
	Kafka     string
	Memory    int64 // of the warehouse, bytes
	Seed      uint64
	Progress  io.Writer // the live view
	Logger    *slog.Logger
	// Wrap, when set, stands between workers and warehouse: tests break things there.
	Wrap func(load.Warehouse) load.Warehouse

	witness func(event) // a test's
}

// demo is a running one.
type demo struct {
	o        Options
	db       *oltp.DB
	plan     *pipelines.Plan
	node     *node.Node
	source   *native.Source
	work     *workload
	fresh    *freshness
	analysts *analysts
	auditor  *auditor
	memory   memoryWatch
}

// slot is the replication slot that holds the engine's log for the demo.
const slot = "millrace_demo"

// Run runs a demo until its time is over or ctx ends, verifies it, and reports.
// The report is nil when there is nothing to tell.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "millrace-demo-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(o.Dir)
	}
	d := &demo{o: o}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	return d.run(ctx)
}

func (d *demo) open(ctx context.Context) (err error) {
	registry := node.NewRegistry()
	d.db, err = oltp.Open(oltp.Options{Dir: filepath.Join(d.o.Dir, "oltp"), Engine: d.o.Engine, Logger: d.o.Logger, Metrics: registry})
	if err != nil {
		return err
	}
	d.fresh = &freshness{latency: latency.New()}
	d.work = &workload{db: d.db, rate: d.o.Rate, seed: d.o.Seed, commits: latency.New(), fresh: d.fresh, witness: d.o.witness}
	if err := d.fill(ctx); err != nil {
		return err
	}
	spec, err := pipelines.Parse(pipelines.DemoFile, pipelines.Demo, os.LookupEnv)
	if err != nil {
		return err
	}
	if d.plan, err = pipelines.NewPlan(spec, d.db.Tables(), nil); err != nil {
		return err
	}
	if d.source, err = d.openSource(); err != nil {
		return err
	}
	d.node, err = node.Open(node.Options{
		Spec: spec, Plan: d.plan, Source: d.source, Dir: d.o.Dir, HTTP: d.o.HTTP, Kafka: d.o.Kafka, Memory: d.o.Memory,
		Logger: d.o.Logger, Registry: registry, Wrap: d.o.Wrap,
		OnVisible: func(w schemas.LSN) { d.fresh.reached(w, time.Now()) },
	})
	if err != nil {
		return err
	}
	warehouse := client.Client{URL: d.node.URL}
	d.analysts = &analysts{client: warehouse, rate: d.o.QueryRate, latency: latency.New()}
	d.auditor = &auditor{client: warehouse}
	return nil
}

func (d *demo) openSource() (*native.Source, error) {
	before := make([]string, 0, len(d.plan.NeedsBefore))
	for name := range d.plan.NeedsBefore {
		before = append(before, name)
	}
	return native.New(d.db, native.Options{Slot: slot, Before: before})
}

func (d *demo) fill(ctx context.Context) error {
	return d.work.fill(ctx, func(done, total int) {
		if done == total {
			fmt.Fprintf(d.o.Progress, "filled a shop with %d customers, %d products and %d orders in %s\n",
				customerCount, productCount, orderCount, d.o.Dir)
		}
	})
}

// run lets everything work, then stops the workload, waits for the warehouse to
// catch up, and compares.
func (d *demo) run(ctx context.Context) (*Report, error) {
	nodeCtx, stopNode := context.WithCancelCause(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stopNode(nil)
	running.Go(func() { stopNode(d.node.Run(nodeCtx)) })

	if err := d.awaitTables(ctx, nodeCtx); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	d.greet()
	took, err := d.act(ctx, nodeCtx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(d.o.Progress, "verifying every row against the source…")
	v := verifier{db: d.db, tables: d.plan.Tables, client: client.Client{URL: d.node.URL}}
	verified, err := v.verify(nodeCtx, d.db.DurableLSN())
	if err != nil {
		return nil, explain(nodeCtx, err)
	}
	return d.report(took, verified), nil
}

// explain prefers the reason for which the node ended to what followed from it.
func explain(nodeCtx context.Context, err error) error {
	if cause := context.Cause(nodeCtx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// awaitTables waits until the first snapshot is visible.
func (d *demo) awaitTables(ctx, nodeCtx context.Context) error {
	at := d.db.DurableLSN()
	wait := int64(2_000)
	ask := client.Client{URL: d.node.URL}
	for {
		_, err := ask.Query(nodeCtx, client.Request{SQL: "SELECT count(*) FROM " + d.plan.Tables[0].Output.FullName(), MinLSN: &at, WaitMS: &wait})
		if err == nil {
			return nil
		}
		if code := schemas.CodeOf(err); code != schemas.CodeLSNNotReached && code != schemas.CodeNotReady && code != schemas.CodeUnknownTable && code != schemas.CodeNotFound {
			return explain(nodeCtx, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-nodeCtx.Done():
			return explain(nodeCtx, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *demo) greet() {
	fmt.Fprintf(d.o.Progress, "\nthe warehouse answers at %s (open it in a browser), or in another terminal:\n\n", d.node.URL)
	for _, q := range questions[:3] {
		fmt.Fprintf(d.o.Progress, "  go run ./cmd/warehouse query --url %s \"%s\"\n", d.node.URL, q)
	}
	if d.o.Duration == 0 {
		fmt.Fprintln(d.o.Progress, "\nCtrl-C ends the demo with a report")
	}
	fmt.Fprintln(d.o.Progress)
}

// act runs workload, analysts and auditor side by side for the demo's time.
func (d *demo) act(ctx, nodeCtx context.Context) (time.Duration, error) {
	acting, stop := context.WithCancelCause(nodeCtx)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { stop(nil) })()
	if d.o.Duration > 0 {
		defer time.AfterFunc(d.o.Duration, func() { stop(nil) }).Stop()
	}
	began := time.Now()
	var acts sync.WaitGroup
	start := func(run func(context.Context) error) {
		acts.Go(func() {
			if err := run(acting); err != nil {
				stop(err)
			}
		})
	}
	start(d.work.run)
	start(d.auditor.run)
	start(func(ctx context.Context) error { d.analysts.run(ctx); return nil })
	start(func(ctx context.Context) error { live(ctx, d.o.Progress, d.sample); return nil })
	start(func(ctx context.Context) error { d.memory.run(ctx); return nil })
	acts.Wait()
	if cause := context.Cause(acting); cause != nil && !errors.Is(cause, context.Canceled) {
		return 0, explain(nodeCtx, cause)
	}
	return time.Since(began), nil
}

func (d *demo) sample() sample {
	end := int64(d.db.DurableLSN())
	state := d.node.Progress()
	return sample{
		transactions: d.work.transactions.Load(), changes: d.work.changes.Load(), queries: d.analysts.asked.Load(),
		captured: end - int64(d.node.Captured()), loaded: end - int64(state.DurableW), visible: end - int64(state.VisibleW),
		fresh: d.fresh.latency.Summary(), query: d.analysts.latency.Summary(),
		checks: d.auditor.checks.Load(), violations: d.auditor.violations.Load(),
	}
}

func (d *demo) report(took time.Duration, v Verified) *Report {
	v.InvariantChecks, v.InvariantViolations = d.auditor.checks.Load(), d.auditor.violations.Load()
	if v.First == "" {
		v.First = d.auditor.firstViolation()
	}
	if err := d.analysts.err(); err != nil {
		fmt.Fprintln(d.o.Progress, "a question of the analysts failed:", err)
	}
	return &Report{
		Engine: d.db.Stats().Engine.Engine, DurationS: took.Seconds(),
		Transactions: d.work.transactions.Load(), Changes: d.work.changes.Load(),
		ChangesPerS: float64(d.work.changes.Load()) / took.Seconds(),
		Queries:     d.analysts.asked.Load(), QueriesFailed: d.analysts.failed.Load(),
		QueryLatencyMS:  percentiles(d.analysts.latency.Summary()),
		FreshnessMS:     percentiles(d.fresh.latency.Summary()),
		CommitLatencyMS: percentiles(d.work.commits.Summary()),
		PeakMemoryBytes: d.memory.peak.Load(),
		Verified:        v,
	}
}

func (d *demo) close() error {
	var errs []error
	if d.node != nil {
		errs = append(errs, d.node.Close())
	}
	if d.source != nil {
		errs = append(errs, d.source.Close())
	}
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	return errors.Join(errs...)
}
