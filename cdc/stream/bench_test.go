package stream_test

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc"
	"github.com/millrace/millrace/cdc/broker"
	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/change"
	"github.com/millrace/millrace/schemas/load"
)

// pacer is a source that emits rows at a rate, or as fast as it can.
type pacer struct {
	tables []*schemas.Table
	rate   int // rows a second; 0 for no limit
	total  int

	mu struct {
		sync.Mutex
		lsns  []schemas.LSN
		times []time.Time
	}
}

func newPacer(tables, rate, total int) *pacer {
	p := &pacer{rate: rate, total: total}
	for i := range tables {
		t := &schemas.Table{Schema: "public", Name: fmt.Sprintf("t%d", i), Version: 1, Key: []uint32{1}}
		for c, k := range []schemas.Kind{schemas.Int64, schemas.Int64, schemas.Text, schemas.Numeric, schemas.TimestampTZ, schemas.Int32, schemas.Text, schemas.Bool} {
			t.Columns = append(t.Columns, schemas.Column{ID: uint32(c + 1), Name: string(rune('a' + c)), Type: schemas.Type{Kind: k}})
		}
		p.tables = append(p.tables, t)
	}
	return p
}

func (p *pacer) Describe(context.Context) (cdc.Description, error) {
	return cdc.Description{Kind: "pacer", Incarnation: "x", Tables: p.tables, Resumable: true, End: 1 << 60}, nil
}
func (p *pacer) Snapshot(context.Context, cdc.SnapshotSink) (schemas.LSN, error) { return 1, nil }
func (p *pacer) Confirm(context.Context, schemas.LSN) error                      { return nil }
func (p *pacer) Close() error                                                    { return nil }

func (p *pacer) Stream(ctx context.Context, _ schemas.LSN, sink cdc.Sink) error {
	batches := make([]*change.Batch, len(p.tables))
	for i, t := range p.tables {
		batches[i] = change.New(t, 64)
	}
	lsn, sent, began := schemas.LSN(1000), 0, time.Now()
	for sent < p.total && ctx.Err() == nil {
		n := 2000
		if p.rate > 0 {
			time.Sleep(500 * time.Microsecond)
			n = int(time.Since(began).Seconds()*float64(p.rate)) - sent
		}
		for ; n >= 5 && sent < p.total; n -= 5 {
			lsn += 600
			for j := range 5 {
				b := batches[(sent+j)%len(batches)]
				b.Ops, b.LSN, b.Ordinal = append(b.Ops, change.Insert), append(b.LSN, lsn), append(b.Ordinal, uint32(j))
				b.Cols[0].AppendInt(int64(sent+j) * 7919 % 1_000_003)
				b.Cols[1].AppendInt(int64(sent % 5000))
				b.Cols[2].AppendBytes([]byte("pending"))
				b.Cols[3].AppendDecimal(int64(sent*137%100000), 2)
				b.Cols[4].AppendInt(1_790_000_000_000_000 + int64(sent))
				b.Cols[5].AppendInt(3)
				b.Cols[6].AppendBytes([]byte("leave it at the side door, please"))
				b.Cols[7].AppendInt(int64(sent & 1))
			}
			sent += 5
			p.mu.Lock()
			p.mu.lsns, p.mu.times = append(p.mu.lsns, lsn), append(p.mu.times, time.Now())
			p.mu.Unlock()
		}
		for _, b := range batches {
			if err := sink.Changes(ctx, b); err != nil {
				return err
			}
			b.Reset()
		}
		if err := sink.Progress(ctx, lsn, time.Now().UnixMicro()); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// tally is a warehouse that only counts, and notes when each commit was whole.
type tally struct {
	source *pacer

	mu struct {
		sync.Mutex
		run     load.Run
		next    map[load.Partition]uint64
		needs   map[load.Partition]uint64
		pending []load.Progress
		rows    int
		at      int
		took    []time.Duration
	}
	granted chan struct{}
	done    chan struct{}
}

func (w *tally) Grant(_ context.Context, run load.Run) (load.Grant, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.run = run
	close(w.granted)
	return load.Grant{Epoch: 1, W: 0}, nil
}

func (w *tally) State(ctx context.Context, _ string, _ schemas.LSN) (load.State, error) {
	<-ctx.Done()
	return load.State{}, nil
}

// read counts what a reader yields.
func (w *tally) read(ctx context.Context, r *stream.Reader) {
	for {
		ms, err := r.Next(ctx)
		if err != nil {
			return
		}
		w.mu.Lock()
		for _, m := range ms {
			if m.Batch != nil {
				w.mu.rows += m.Batch.Len()
			}
			if m.Progress != nil {
				w.mu.pending = append(w.mu.pending, *m.Progress)
			}
		}
		w.mu.next[r.Partition()] = ms[len(ms)-1].Sequence + 1
		w.publish()
		w.mu.Unlock()
	}
}

func (w *tally) publish() {
	for len(w.mu.pending) > 0 {
		p := w.mu.pending[0]
		for _, n := range p.Needs {
			w.mu.needs[n.Partition] = n.Sequence
		}
		for part, n := range w.mu.needs {
			if w.mu.next[part] < n {
				return
			}
		}
		w.mu.pending = w.mu.pending[1:]
		now := time.Now()
		w.source.mu.Lock()
		for w.mu.at < len(w.source.mu.lsns) && w.source.mu.lsns[w.mu.at] <= p.To {
			w.mu.took = append(w.mu.took, now.Sub(w.source.mu.times[w.mu.at]))
			w.mu.at++
		}
		w.source.mu.Unlock()
		if w.mu.at*5 >= w.source.total {
			select {
			case <-w.done:
			default:
				close(w.done)
			}
		}
	}
}

// pump runs a pacer's rows through the broker to two consumers.
func pump(b *testing.B, tables, rate, total int) {
	br, err := broker.Open(broker.Options{Dir: b.TempDir(), Addr: "127.0.0.1:0"})
	require.NoError(b, err)
	defer func() { _ = br.Close() }()
	p := newPacer(tables, rate, total)
	w := &tally{source: p, granted: make(chan struct{}), done: make(chan struct{})}
	w.mu.next, w.mu.needs = map[load.Partition]uint64{}, map[load.Partition]uint64{}
	c, err := stream.NewCapture(p, w, stream.Options{Pipeline: "bench", Source: "s", Brokers: []string{br.Addr()}})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			b.Errorf("capture: %v", err)
		}
	})
	<-w.granted
	var consumers []*stream.Consumer
	for i := range 2 {
		k, err := stream.NewConsumer(stream.ConsumerOptions{Brokers: []string{br.Addr()}, Worker: fmt.Sprint(i)})
		require.NoError(b, err)
		consumers = append(consumers, k)
	}
	n := 0
	for topic, count := range w.mu.run.Partitions {
		for i := range count {
			r := consumers[n%2].Open(load.Lease{Epoch: 1, Partition: load.Partition{Topic: topic, Index: i}, Run: w.mu.run})
			running.Go(func() { w.read(ctx, r) })
			n++
		}
	}
	began := time.Now()
	<-w.done
	took := time.Since(began)
	cancel()
	for _, k := range consumers {
		_ = k.Close()
	}
	running.Wait()
	require.Equal(b, total, w.mu.rows)
	lat := w.mu.took[len(w.mu.took)/5:] // warm
	sort.Slice(lat, func(i, j int) bool { return lat[i] < lat[j] })
	ms := func(q float64) float64 { return float64(lat[int(q*float64(len(lat)-1))].Microseconds()) / 1000 }
	b.ReportMetric(float64(total)/took.Seconds(), "rows/s")
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.95), "p95-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(ms(0.999), "p999-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPaced is the demo's load: 20,000 rows/s over 7 tables of 4 partitions.
func BenchmarkPaced(b *testing.B) { pump(b, 7, 20000, 80000) }

// BenchmarkFlat is as much as goes through.
func BenchmarkFlat(b *testing.B) { pump(b, 7, 0, 400000) }
