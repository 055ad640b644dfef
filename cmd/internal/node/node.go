// Package node composes a whole pipeline in one process: capture, embedded broker,
// transform workers, warehouse and its HTTP server. The parts are those that run
// apart elsewhere, and talk in the same way: through Kafka and the load protocol.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/cdc/broker"
	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/columnstore"
	"github.com/millrace/millrace/columnstore/query"
	"github.com/millrace/millrace/columnstore/serve"
	"github.com/millrace/millrace/pipelines"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
	"github.com/millrace/millrace/transform"
)

// Options of a Node. Spec, Plan, Source and Dir are required.
type Options struct {
	Spec *pipelines.Spec
	Plan *pipelines.Plan
	// Source is followed; it stays the caller's to close.
	Source cdc.Source
	// Dir holds the broker's and the warehouse's data.
	Dir string
	// HTTP is the address of the warehouse's HTTP server.
	HTTP string
	// Kafka is the address of the embedded broker, when the pipeline uses it.
	Kafka string
	// Workers is how many transform workers run; default 2.
	Workers int
	// Memory is the warehouse's budget in bytes; default 2 GiB.
	Memory int64
	// QueryMemory is what all queries may hold together, in bytes; default 1 GiB.
	QueryMemory int64
	Logger      *slog.Logger
	Registry    *prometheus.Registry
	// OnVisible, when set, is told of every new boundary that queries can see. It
	// must be quick.
	OnVisible func(w schemas.LSN)
	// Wrap, when set, stands between workers and warehouse: tests break things there.
	Wrap func(load.Warehouse) load.Warehouse
}

// Node is a running pipeline.
type Node struct {
	o         Options
	Warehouse *columnstore.Store
	URL       string // of the HTTP server

	broker    *broker.Broker
	brokers   []string
	listener  net.Listener
	server    *http.Server
	capture   *stream.Capture
	workers   []*transform.Worker
	consumers []*stream.Consumer
}

// Open prepares everything: ports are bound and data is recovered, nothing runs
// yet. Close what Open returned.
func Open(o Options) (*Node, error) {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	n := &Node{o: o}
	for _, step := range []func() error{n.openServer, n.openBroker, n.openWarehouse, n.openWorkers, n.openCapture} {
		if err := step(); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return n, nil
}

// openServer binds the port first: a port in use is the likeliest mistake.
func (n *Node) openServer() (err error) {
	n.listener, err = Listen(n.o.HTTP, "--http")
	if err == nil {
		n.URL = "http://" + n.listener.Addr().String()
	}
	return err
}

func (n *Node) openBroker() (err error) {
	if n.brokers = n.o.Spec.Stream.Brokers; len(n.brokers) > 0 {
		return nil
	}
	n.broker, err = broker.Open(broker.Options{Dir: filepath.Join(n.o.Dir, "broker"), Addr: n.o.Kafka, Logger: n.o.Logger})
	if err != nil {
		return takenPort(err)
	}
	n.brokers = []string{n.broker.Addr()}
	return nil
}

// takenPort names the flag where the broker's address is in use.
func takenPort(err error) error {
	var e *schemas.Error
	if !errors.As(err, &e) || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	named := *e
	named.Hint = "choose another with --kafka, such as --kafka 127.0.0.1:0 for a free port"
	return &named
}

func (n *Node) openWarehouse() (err error) {
	fresh := &serve.Freshness{}
	n.Warehouse, err = columnstore.Open(columnstore.Options{
		Dir: WarehouseDir(n.o.Dir), MemoryBudget: n.o.Memory, Logger: n.o.Logger, Registerer: n.o.Registry,
		OnVisible: func(s columnstore.SourceState) {
			fresh.Visible(s)
			if n.o.OnVisible != nil {
				n.o.OnVisible(s.W)
			}
		},
	})
	if err != nil {
		return err
	}
	n.server = NewServer(serve.New(n.Warehouse, serve.Options{
		Logger: n.o.Logger, Gatherer: n.o.Registry, Freshness: fresh, Query: query.Options{TotalMemory: n.o.QueryMemory}}), n.o.Logger)
	return nil
}

// protocol is the warehouse as the workers see it.
func (n *Node) protocol() load.Warehouse {
	if n.o.Wrap != nil {
		return n.o.Wrap(n.Warehouse)
	}
	return n.Warehouse
}

func (n *Node) openWorkers() error {
	for i := range n.o.Workers {
		name := fmt.Sprintf("worker-%d", i+1)
		c, err := stream.NewConsumer(stream.ConsumerOptions{Brokers: n.brokers, Worker: name, Logger: n.o.Logger, Registry: n.o.Registry})
		if err != nil {
			return err
		}
		n.consumers = append(n.consumers, c)
		w, err := transform.NewWorker(transform.Options{
			Pipeline: n.o.Plan.Pipeline, Tables: n.o.Plan.Tables, Name: name, Warehouse: n.protocol(),
			Open: openFrom(c), Logger: n.o.Logger, Registry: n.o.Registry,
		})
		if err != nil {
			return err
		}
		n.workers = append(n.workers, w)
	}
	return nil
}

func (n *Node) openCapture() (err error) {
	o := stream.Options{
		Pipeline: n.o.Spec.Pipeline, Source: n.o.Spec.Source.Name, Brokers: n.brokers,
		Partitions: n.o.Spec.Stream.Partitions, Linger: n.o.Spec.Stream.Linger,
		Logger: n.o.Logger, Registry: n.o.Registry,
	}
	if n.broker != nil {
		o.Trim = n.broker.Trim
	}
	n.capture, err = stream.NewCapture(n.o.Source, n.Warehouse, o)
	return err
}

// Run runs everything until ctx ends (then it returns nil) or a part fails for good.
// On the way out capture stops first, so that what it sent can still be loaded, and
// the server last.
func (n *Node) Run(ctx context.Context) error {
	// The pipeline is known to the warehouse before capture asks it for an epoch.
	if err := n.Warehouse.Register(ctx, n.o.Plan.Pipeline); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	var parts, server sync.WaitGroup
	start := func(group *sync.WaitGroup, run func() error) {
		group.Go(func() {
			if err := run(); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	start(&server, func() error { return Serve(serving, n.server, n.listener) })
	for _, w := range n.workers {
		start(&parts, func() error { return w.Run(ctx) })
	}
	start(&parts, func() error { return n.capture.Run(ctx) })
	parts.Wait()
	<-ctx.Done()
	stopServing()
	server.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// closeGrace bounds how long running requests may hold up the end.
const closeGrace = 2 * time.Second

// Close ends what Open started. Idempotent.
func (n *Node) Close() error {
	var errs []error
	for _, c := range n.consumers {
		errs = append(errs, c.Close())
	}
	n.consumers = nil
	if n.listener != nil {
		n.listener.Close() // closed already where the server ran
		n.listener = nil
	}
	if n.broker != nil {
		errs = append(errs, n.broker.Close())
		n.broker = nil
	}
	if n.Warehouse != nil {
		errs = append(errs, n.Warehouse.Close())
	}
	return errors.Join(errs...)
}

// Captured is how far the source was written to the stream.
func (n *Node) Captured() schemas.LSN { return n.capture.Position() }

// Progress tells how far the pipeline is, as the warehouse knows it now.
func (n *Node) Progress() load.State {
	now, cancel := context.WithCancel(context.Background())
	cancel() // State waits for news until its context ends; what it knows is enough
	state, _ := n.Warehouse.State(now, n.o.Plan.Pipeline.Name, 0)
	return state
}
