package stream_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/broker"
	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/cdc/stream/streamtest"
	"github.com/millrace/millrace/schemas"
)

// rig is a source, a capture, a broker, two workers and a warehouse.
type rig struct {
	t        *testing.T
	dir      string
	addr     string
	broker   *broker.Broker
	source   *streamtest.Source
	work     *streamtest.Workload
	house    *streamtest.Warehouse
	dialCap  stream.Dial
	dialWork stream.Dial
	options  stream.Options
	metrics  *prometheus.Registry
	stops    []func()
}

// bareRig has no broker yet.
func bareRig(t *testing.T, seed uint64) *rig {
	r := &rig{t: t, dir: t.TempDir(), source: streamtest.NewSource(), metrics: prometheus.NewRegistry()}
	r.work, r.house = streamtest.NewWorkload(r.source, seed), streamtest.NewWarehouse(r.source)
	t.Cleanup(func() {
		r.stop()
		if r.broker != nil {
			_ = r.broker.Close()
		}
	})
	return r
}

// newRig is a rig with the embedded broker.
func newRig(t *testing.T, seed uint64) *rig {
	r := bareRig(t, seed)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	require.NoError(t, l.Close())
	r.startBroker()
	return r
}

func (r *rig) startBroker() {
	r.t.Helper()
	var err error
	require.Eventually(r.t, func() bool {
		r.broker, err = broker.Open(broker.Options{Dir: r.dir, Addr: r.addr})
		return err == nil
	}, 5*time.Second, 20*time.Millisecond, "%v", err)
}

// restartBroker stops the broker, lets between do something to its folder, and
// starts it again.
func (r *rig) restartBroker(between func(data string)) {
	r.t.Helper()
	require.NoError(r.t, r.broker.Close())
	if between != nil {
		between(filepath.Join(r.dir, "data"))
	}
	r.startBroker()
}

// start runs capture and two workers.
func (r *rig) start() {
	r.startCapture()
	r.startWorkers()
}

func (r *rig) startCapture() (stop func()) {
	r.t.Helper()
	o := r.options
	o.Pipeline, o.Source, o.Brokers, o.Dial = "shop", "db", []string{r.addr}, r.dialCap
	if o.Partitions == 0 {
		o.Partitions = 3
	}
	if o.VerifyEvery == 0 {
		o.VerifyEvery = 100 * time.Millisecond
	}
	o.MaxBackoff = 200 * time.Millisecond
	if testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	c, err := stream.NewCapture(r.source, r.house, o)
	require.NoError(r.t, err)
	return r.background(func(ctx context.Context) {
		if err := c.Run(ctx); err != nil && ctx.Err() == nil {
			r.t.Errorf("capture: %v", err)
		}
	})
}

func (r *rig) startWorkers() {
	for _, name := range []string{"one", "two"} {
		r.background(func(ctx context.Context) {
			o := stream.ConsumerOptions{Brokers: []string{r.addr}, Dial: r.dialWork, Patience: 500 * time.Millisecond, Registry: r.metrics}
			if testing.Verbose() {
				o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
			}
			if err := streamtest.Work(ctx, r.house, "shop", name, 5, o); err != nil {
				r.t.Errorf("worker: %v", err)
			}
		})
	}
}

// dropped is how many records the workers' readers left out.
func (r *rig) dropped() (n float64) {
	r.t.Helper()
	families, err := r.metrics.Gather()
	require.NoError(r.t, err)
	for _, f := range families {
		if f.GetName() == "millrace_stream_dropped_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// background runs f until the function returned, or the test's end.
func (r *rig) background(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	r.stops = append(r.stops, stop)
	return stop
}

func (r *rig) stop() {
	for _, s := range r.stops {
		s()
	}
}

// reaches waits until the warehouse has published an LSN, and checks all it holds.
func (r *rig) reaches(lsn schemas.LSN) streamtest.Seen {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s := r.house.Seen()
		if s.W >= lsn {
			break
		}
		require.Empty(r.t, s.Violations)
		require.False(r.t, time.Now().After(deadline), "W is %v, want %v; epoch %d, lost %v, %s", s.W, lsn, s.Epoch, s.Lost, r.house.Waiting())
		time.Sleep(time.Millisecond)
	}
	s := r.house.Seen()
	require.Empty(r.t, s.Violations)
	require.Empty(r.t, r.source.Violations())
	require.Empty(r.t, r.house.Difference())
	return s
}

// commits makes n transactions of up to size changes, some of them TRUNCATEs.
func (r *rig) commits(n, size int) (last schemas.LSN) {
	for i := range n {
		switch {
		case i%37 == 36:
			last = r.work.Truncate()
		case i%11 == 10:
			last = r.source.Idle()
		default:
			last = r.work.Commit(1 + i%size)
		}
	}
	return last
}

// A snapshot, then everything that is committed after it, arrives once and in
// order, and the source hears what is durable.
func TestFollow(t *testing.T) {
	r := newRig(t, 1)
	at := r.commits(300, 9)
	r.start()
	s := r.reaches(at)
	require.EqualValues(t, 1, s.Epoch)
	require.Greater(t, s.Chunks, len(r.source.Tables)-1)
	last := r.commits(400, 9)
	s = r.reaches(last)
	require.EqualValues(t, 1, s.Epoch)
	require.Empty(t, s.Lost)
	require.Eventually(t, func() bool { return r.source.Confirmed() >= last }, 2*time.Second, time.Millisecond)
	idle := r.source.Idle()
	r.reaches(idle)
	checkRecords(t, s)
}

// checkRecords holds what progress records promise one by one.
func checkRecords(t *testing.T, s streamtest.Seen) {
	t.Helper()
	var to schemas.LSN
	var epoch uint64
	for i, p := range s.Records {
		if p.Epoch != epoch {
			require.True(t, p.Full, "the first record of an epoch names every partition")
			require.Len(t, p.Needs, 9)
			epoch = p.Epoch
		} else {
			require.Equal(t, to, p.From, "record %d", i)
		}
		require.GreaterOrEqual(t, p.To, p.From)
		to = p.To
	}
}

// An update, once warm, takes milliseconds from the source to the reader.
func TestNewRunContinues(t *testing.T) {
	r := newRig(t, 2)
	r.commits(100, 5)
	stop := r.startCapture()
	r.startWorkers()
	r.reaches(r.source.End())
	stop()
	last := r.commits(100, 5)
	r.startCapture()
	s := r.reaches(last)
	require.EqualValues(t, 2, s.Epoch)
	checkRecords(t, s)
}

// A transaction of ten thousand rows is published whole, and rows far larger than
// the broker's limit arrive in chunks.
func TestLargeTransactionsAndRows(t *testing.T) {
	r := newRig(t, 3)
	r.options.BufferBytes = 200 << 10
	r.options.BatchBytes = 32 << 10
	r.commits(10, 3)
	r.start()
	r.reaches(r.source.End())
	r.reaches(r.work.Commit(10000))
	big := make([]byte, 5<<20)
	for i := range big {
		big[i] = byte(i * 7)
	}
	items := r.source.Tables[1]
	row := schemas.Row{schemas.NewInt(schemas.Int32, 77777), schemas.NewText("big"), schemas.Null, schemas.NewBytes(schemas.Bytea, string(big))}
	last := r.source.Commit(streamtest.Change{Table: items, Op: 1, Row: row})
	r.commits(20, 3)
	s := r.reaches(last)
	require.EqualValues(t, 1, s.Epoch)
	r.reaches(r.source.End())
}
