package stream_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/cdc/stream/streamtest"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// A broker that stops and comes back with all it had delays the stream, no more.
func TestBrokerRestart(t *testing.T) {
	r := newRig(t, 10)
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	for range 3 {
		r.commits(60, 5)
		r.restartBroker(nil)
		r.reaches(r.commits(60, 5))
	}
	s := r.reaches(r.source.End())
	require.EqualValues(t, 1, s.Epoch)
}

func wipe(data string) { _ = os.RemoveAll(data) }

// A broker that lost everything while nothing was being written is noticed, and
// the source replays.
func TestBrokerWipedWhileIdle(t *testing.T) {
	r := newRig(t, 11)
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	r.restartBroker(wipe)
	require.Eventually(t, func() bool { return r.house.Seen().Epoch == 2 }, 5*time.Second, 5*time.Millisecond)
	s := r.reaches(r.commits(50, 5))
	checkRecords(t, s)
}

// A broker that lost everything under load.
func TestBrokerWipedUnderLoad(t *testing.T) {
	r := newRig(t, 12)
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	stop := r.background(func(ctx context.Context) {
		for ctx.Err() == nil {
			r.commits(1, 6)
			time.Sleep(time.Millisecond)
		}
	})
	for range 3 {
		time.Sleep(50 * time.Millisecond)
		r.restartBroker(wipe)
	}
	stop()
	s := r.reaches(r.commits(50, 5))
	require.Greater(t, s.Epoch, uint64(1))
}

// A broker wiped while capture was away.
func TestBrokerWipedWithoutCapture(t *testing.T) {
	r := newRig(t, 13)
	r.commits(50, 5)
	stop := r.startCapture()
	r.startWorkers()
	r.reaches(r.source.End())
	stop()
	r.restartBroker(wipe)
	last := r.commits(50, 5)
	r.startCapture()
	require.EqualValues(t, 2, r.reaches(last).Epoch)
}

// cutTails takes the last bytes of every partition's log of a kind, as a crash of
// the machine does.
func cutTails(t *testing.T, topic string, bytes int64) func(string) {
	return func(data string) {
		cut := 0
		require.NoError(t, filepath.Walk(data, func(path string, i os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			if i.Name() == "snapshot.json" {
				return os.Remove(path) // written at a clean stop only
			}
			if strings.HasSuffix(path, ".dat") && strings.Contains(path, topic) && i.Size() > 0 {
				cut++
				return os.Truncate(path, max(0, i.Size()-bytes))
			}
			return nil
		}))
		require.True(t, cut > 0 || topic == "")
	}
}

// A log cut short is a hole, wherever it is: of data that was loaded or not, or of
// the progress topic.
func TestTruncatedTail(t *testing.T) {
	for _, topic := range []string{"accounts", "progress", "items"} {
		t.Run(topic, func(t *testing.T) {
			r := newRig(t, 14)
			r.commits(50, 5)
			r.start()
			r.reaches(r.commits(200, 5))
			r.restartBroker(cutTails(t, topic, 700))
			s := r.reaches(r.commits(100, 5))
			require.Greater(t, s.Epoch, uint64(1))
		})
	}
}

// With workers away, a cut takes messages that nobody loaded yet.
func TestTruncatedBeforeLoad(t *testing.T) {
	r := newRig(t, 15)
	r.commits(50, 5)
	stop := r.startCapture()
	r.commits(200, 5)
	time.Sleep(200 * time.Millisecond)
	r.restartBroker(cutTails(t, "accounts", 500))
	r.startWorkers()
	s := r.reaches(r.source.End()) // without another write to the partition
	require.Greater(t, s.Epoch, uint64(1))
	stop()
}

// proxied puts a proxy between everybody and the broker.
func (r *rig) proxied() (capture, workers *streamtest.Proxy) {
	r.t.Helper()
	through := func(set *stream.Dial) *streamtest.Proxy {
		p, err := streamtest.NewProxy(r.addr)
		require.NoError(r.t, err)
		r.t.Cleanup(func() { _ = p.Close(); p.Cut() })
		*set = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.Addr().String())
		}
		return p
	}
	return through(&r.dialCap), through(&r.dialWork)
}

// Cut connections and lost acknowledgements make repetitions, which nobody sees.
func TestCutsAndLostAcknowledgements(t *testing.T) {
	r := newRig(t, 16)
	capture, workers := r.proxied()
	r.commits(30, 5)
	r.start()
	r.reaches(r.source.End())
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		if i%3 == 0 {
			capture.Mute(true)
		}
		r.commits(20, 8)
		time.Sleep(10 * time.Millisecond)
		capture.Mute(false)
		switch i % 3 {
		case 1:
			capture.Cut()
		case 2:
			workers.Cut()
		}
	}
	s := r.reaches(r.commits(20, 5))
	require.EqualValues(t, 1, s.Epoch, "%v", s.Lost)
	require.Positive(t, r.dropped(), "nothing was repeated")
}

// deaf is a warehouse that a capture can register with and then no longer hears:
// its capture becomes a zombie.
type deaf struct {
	stream.Warehouse
	granted bool
}

func (d *deaf) Grant(ctx context.Context, run load.Run) (load.Grant, error) {
	g, err := d.Warehouse.Grant(ctx, run)
	d.granted = err == nil
	return g, err
}

func (d *deaf) State(ctx context.Context, p string, after schemas.LSN) (load.State, error) {
	if d.granted {
		<-ctx.Done()
		return load.State{}, ctx.Err()
	}
	return d.Warehouse.State(ctx, p, after)
}

// A capture of an old epoch that keeps writing is not heard.
func TestZombieWriter(t *testing.T) {
	r := newRig(t, 17)
	r.commits(50, 5)
	zombie, err := stream.NewCapture(r.source, &deaf{Warehouse: r.house}, stream.Options{Pipeline: "shop", Source: "db", Brokers: []string{r.addr}, Partitions: 3})
	require.NoError(t, err)
	r.background(func(ctx context.Context) { _ = zombie.Run(ctx) })
	r.startWorkers()
	r.reaches(r.source.End())
	r.startCapture()
	require.Eventually(t, func() bool { return r.house.Seen().Epoch == 2 }, 5*time.Second, time.Millisecond)
	for range 20 {
		r.commits(20, 5)
		time.Sleep(5 * time.Millisecond)
	}
	s := r.reaches(r.source.End())
	require.EqualValues(t, 2, s.Epoch)
	require.Empty(t, s.Lost)
}

// A warehouse that is away for a while stops nothing but its own progress.
func TestWarehouseAway(t *testing.T) {
	r := newRig(t, 18)
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	r.house.Down(true)
	last := r.commits(100, 5)
	time.Sleep(100 * time.Millisecond)
	r.house.Down(false)
	require.EqualValues(t, 1, r.reaches(last).Epoch)
}

// The embedded broker is trimmed behind the workers.
func TestTrimBehindWorkers(t *testing.T) {
	r := newRig(t, 19)
	trimmed := make(chan int64, 1000)
	r.options.Trim = func(ctx context.Context, p load.Partition, offset int64) error {
		err := r.broker.Trim(ctx, p, offset)
		select {
		case trimmed <- offset:
		default:
		}
		return err
	}
	r.commits(50, 5)
	r.start()
	until := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(until) {
		r.reaches(r.commits(20, 5))
	}
	require.NotEmpty(t, trimmed)
	require.EqualValues(t, 1, r.reaches(r.commits(20, 5)).Epoch)
	// After a restart with trimmed logs a new epoch begins and goes on.
	r.restartBroker(nil)
	r.reaches(r.commits(20, 5))
}

// A source that cannot go back to W stops capture for good, and says what to do.
func TestSourceCannotGoBack(t *testing.T) {
	for name, spoil := range map[string]func(*rig){
		"another life":  func(r *rig) { r.source.Reincarnate("life-2") },
		"slot moved on": func(r *rig) { _ = r.source.Confirm(context.Background(), r.source.Idle()) },
		"log was cut":   func(r *rig) { r.source.SetBack(r.source.End() - 100) },
		"slot is gone":  func(r *rig) { r.source.DropSlot() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 20)
			r.commits(50, 5)
			stop := r.startCapture()
			r.startWorkers()
			r.reaches(r.source.End())
			stop()
			spoil(r)
			c, err := stream.NewCapture(r.source, r.house, stream.Options{Pipeline: "shop", Source: "db", Brokers: []string{r.addr}, Partitions: 3})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err = c.Run(ctx)
			require.Equal(t, schemas.CodeSource, schemas.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "load the source afresh")
		})
	}
}

// Another number of partitions than the topic has is refused by name.
func TestPartitionsMismatch(t *testing.T) {
	r := newRig(t, 21)
	r.commits(5, 5)
	stop := r.startCapture()
	r.startWorkers()
	r.reaches(r.source.End())
	stop()
	c, err := stream.NewCapture(r.source, r.house, stream.Options{Pipeline: "shop", Source: "db", Brokers: []string{r.addr}, Partitions: 5})
	require.NoError(t, err)
	err = c.Run(context.Background())
	require.Equal(t, schemas.CodeStream, schemas.CodeOf(err))
	require.ErrorContains(t, err, "has 3 partitions")
}

// A broker that comes back as it was some time ago, with its process killed while
// it wrote, has lost what it acknowledged since.
func TestBrokerSetBack(t *testing.T) {
	r := newRig(t, 22)
	r.commits(50, 5)
	r.start()
	r.reaches(r.source.End())
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		before := filepath.Join(t.TempDir(), "before")
		r.commits(20, 5)
		require.NoError(t, os.CopyFS(before, os.DirFS(filepath.Join(r.dir, "data"))))
		r.reaches(r.commits(60, 5))
		r.restartBroker(func(data string) {
			wipe(data)
			require.NoError(t, os.Rename(before, data))
		})
		r.reaches(r.commits(60, 5))
	}
	require.Greater(t, r.house.Seen().Epoch, uint64(rounds))
}
