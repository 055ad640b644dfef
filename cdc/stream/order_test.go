package stream_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/stream"
	"github.com/millrace/millrace/schemas/load"
)

// slow delays what is written of a topic.
type slow struct {
	net.Conn
	topic []byte
	but   []byte // unless this is written too
}

func (c slow) Write(p []byte) (int, error) {
	if bytes.Contains(p, c.topic) && !bytes.Contains(p, c.but) {
		time.Sleep(15 * time.Millisecond)
	}
	return c.Conn.Write(p)
}

// When a progress record can be read, all that it needs is in the log: a capture
// that dies right after it has promised nothing that is not there.
func TestProgressFollowsAcknowledgements(t *testing.T) {
	r := newRig(t, 30)
	r.dialCap = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return slow{c, []byte("shop.public.accounts"), []byte("shop.progress")}, err
	}
	r.commits(20, 5)
	r.startCapture()
	require.Eventually(t, func() bool { return r.house.Seen().Epoch == 1 }, 5*time.Second, time.Millisecond)
	k, err := stream.NewConsumer(stream.ConsumerOptions{Brokers: []string{r.addr}})
	require.NoError(t, err)
	defer func() { _ = k.Close() }()
	reader := k.Open(load.Lease{Partition: load.Partition{Topic: stream.ProgressTopic("shop")}, Epoch: 1})
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(r.addr), Transport: transport}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for seen := 0; seen < 30; {
		r.commits(5, 8)
		ms, err := reader.Next(ctx)
		require.NoError(t, err)
		for _, m := range ms {
			if m.Progress == nil {
				continue
			}
			seen++
			for _, n := range m.Progress.Needs {
				res, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{n.Partition.Topic: {kafka.LastOffsetOf(int(n.Partition.Index))}}})
				require.NoError(t, err)
				for _, o := range res.Topics[n.Partition.Topic] {
					require.GreaterOrEqual(t, uint64(o.LastOffset), n.Sequence, "progress to %v needs %v", m.Progress.To, n)
				}
			}
		}
	}
}
