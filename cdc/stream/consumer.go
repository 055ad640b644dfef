package stream

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/schemas/load"
)

// ConsumerOptions are how a worker reads. The zero value of all but Brokers is useful.
type ConsumerOptions struct {
	// Brokers are addresses host:port to begin with.
	Brokers []string
	// Dial connects to a broker; default plain TCP.
	Dial Dial
	// Worker names the reader, for the broker's log and the metrics.
	Worker string
	// FetchBytes limits what one request asks for; default 4 MiB.
	FetchBytes int
	// BufferBytes limits what waits in each partition's reader; default 2 MiB. A
	// message larger than that is still taken whole.
	BufferBytes int
	// MaxWait is how long a request waits at the broker for a first record;
	// default 200 ms. It delays nothing.
	MaxWait time.Duration
	// Patience is how long a topic that held messages may be missing before its
	// stream counts as lost; default 3 s.
	Patience time.Duration

	Logger   *slog.Logger          // default none
	Registry prometheus.Registerer // default none
}

func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.FetchBytes == 0 {
		o.FetchBytes = 4 << 20
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = 2 << 20
	}
	if o.MaxWait == 0 {
		o.MaxWait = 200 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Consumer fetches for all the partitions that a worker leases, many in one
// request. Readers take from it.
type Consumer struct {
	o       ConsumerOptions
	client  *client
	metrics *readerMetrics
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}
	done    sync.WaitGroup
	away    atomic.Bool // the broker cannot be read from, and it was said

	mu struct {
		sync.Mutex
		readers map[*Reader]bool
	}
}

// NewConsumer makes a consumer. It connects when a reader is opened.
func NewConsumer(o ConsumerOptions) (*Consumer, error) {
	o = o.withDefaults()
	c, err := newClient(o.Brokers, "millrace-worker-"+o.Worker, o.Dial)
	if err != nil {
		return nil, err
	}
	k := &Consumer{o: o, client: c, metrics: newReaderMetrics(o.Registry, o.Worker), wake: make(chan struct{}, 1)}
	k.mu.readers = map[*Reader]bool{}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.done.Add(1)
	go k.loop()
	return k, nil
}

// Close ends all readers. It waits for requests under way, which are cut short.
func (k *Consumer) Close() error {
	k.cancel()
	k.mu.Lock()
	for r := range k.mu.readers {
		r.fail(errClosed)
	}
	clear(k.mu.readers)
	k.mu.Unlock()
	k.done.Wait()
	k.client.close()
	return nil
}

// loop sends a request for every set of partitions that can take more.
func (k *Consumer) loop() {
	defer k.done.Done()
	for {
		select {
		case <-k.wake:
		case <-k.ctx.Done():
			return
		}
		ready, retry := k.ready()
		if retry > 0 {
			time.AfterFunc(retry, func() { signal(k.wake) })
		}
		if len(ready) == 0 {
			continue
		}
		groups := k.group(ready)
		for _, g := range groups {
			k.done.Add(1)
			go func() {
				defer k.done.Done()
				k.fetch(g)
				signal(k.wake)
			}()
		}
	}
}

// ready takes the readers that want records and have no request under way, and
// says when to look again for those that pause after an error.
func (k *Consumer) ready() (ready []*Reader, retry time.Duration) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for r := range k.mu.readers {
		ok, wait := r.wants(now, k.o.BufferBytes)
		if ok {
			ready = append(ready, r)
		} else if wait > 0 && (retry == 0 || wait < retry) {
			retry = wait
		}
	}
	return ready, retry
}

// group splits readers by the broker that leads their partitions.
func (k *Consumer) group(readers []*Reader) map[int][]*Reader {
	groups := map[int][]*Reader{}
	for _, r := range readers {
		id, err := k.client.leader(k.ctx, r.partition)
		if err != nil {
			k.trouble(err)
			r.failed(err, k.o.Patience)
			signal(k.wake)
			continue
		}
		groups[id] = append(groups[id], r)
	}
	return groups
}

// wait is how long a request may wait at the broker. All requests of a moment end
// together, so that partitions that were asked for apart are asked for together
// the next time.
func (k *Consumer) wait() time.Duration {
	max := k.o.MaxWait
	left := max - time.Duration(time.Now().UnixNano())%max
	if left < max/8 {
		left += max
	}
	return left
}

// fetch sends one request and hands the records to the readers.
func (k *Consumer) fetch(readers []*Reader) {
	parts, lives := make([]wanted, len(readers)), make([]int, len(readers))
	for i, r := range readers {
		parts[i].partition = r.partition
		parts[i].offset, lives[i] = r.position()
	}
	k.metrics.fetches.Inc()
	answers, err := k.client.fetch(k.ctx, parts, k.wait(), k.o.FetchBytes)
	switch {
	case err == nil:
	case k.ctx.Err() != nil:
		return
	case isDamage(err) && len(readers) > 1:
		// One partition's batch is corrupt and spoils the answer: find it.
		for _, r := range readers {
			k.fetch([]*Reader{r})
		}
		return
	case isDamage(err):
		readers[0].unreadable(err)
		return
	default:
		k.trouble(err)
		k.client.forget()
		for _, r := range readers {
			r.failed(err, k.o.Patience)
		}
		return
	}
	if k.away.Load() && k.away.CompareAndSwap(true, false) {
		k.o.Logger.Info("reading from the broker again", "worker", k.o.Worker)
	}
	for i, r := range readers {
		k.deliver(r, answers[i], lives[i])
	}
}

// trouble says once that reading fails; it is tried again until it succeeds.
func (k *Consumer) trouble(err error) {
	if k.ctx.Err() == nil && !isMissing(err) && !k.away.Swap(true) {
		k.o.Logger.Warn("reading from the broker failed, trying again", "worker", k.o.Worker, "error", err)
	}
}

// deliver hands one partition's answer over.
func (k *Consumer) deliver(r *Reader, f fetched, life int) {
	if f.err == nil {
		n := r.push(f, life)
		k.metrics.bytes.Add(float64(n))
		offset, _ := r.position()
		k.metrics.lag.WithLabelValues(labelsOf(r.partition)...).Set(float64(max(0, f.highWatermark-offset)))
		return
	}
	if errors.Is(f.err, kafka.OffsetOutOfRange) {
		r.outOfRange(k.ctx, k.client, life)
		return
	}
	k.client.forget()
	r.failed(f.err, k.o.Patience)
}

// isDamage says that kafka-go could not read a record batch.
func isDamage(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "checksum mismatch") || strings.Contains(err.Error(), "unsupported message version") ||
		strings.Contains(err.Error(), "unsupported compression codec"))
}

// Open starts to read a leased partition, at the sequence and the offset that the
// lease names.
func (k *Consumer) Open(lease load.Lease) *Reader {
	r := newReader(k, lease)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ctx.Err() != nil {
		r.fail(errClosed)
		return r
	}
	k.mu.readers[r] = true
	signal(k.wake)
	return r
}

// drop forgets a reader.
func (k *Consumer) drop(r *Reader) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.mu.readers, r)
	k.metrics.lag.DeleteLabelValues(labelsOf(r.partition)...)
}
