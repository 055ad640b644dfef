package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// requestTimeout limits one request to a broker, beyond the time it may wait there.
const requestTimeout = 10 * time.Second

// Dial makes a connection to a broker, as net.Dialer.DialContext does; it is where
// TLS comes in.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// client sends requests of many partitions at once: a produce or fetch per
// partition would cost each of them a round trip.
type client struct {
	transport *kafka.Transport
	kafka     *kafka.Client
	addr      net.Addr

	mu struct {
		sync.Mutex
		leaders map[load.Partition]int // broker ids; empty until asked
	}
}

// newClient makes a client; it connects when it is used.
func newClient(brokers []string, name string, dial Dial) (*client, error) {
	if len(brokers) == 0 {
		return nil, schemas.Errorf(schemas.CodeInvalid, "22023", "no broker address is given")
	}
	for _, b := range brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || !isPort(port) {
			e := schemas.Errorf(schemas.CodeInvalid, "22023", "broker address %q is not host:port", b)
			e.Hint = "for example 127.0.0.1:19092"
			return nil, e
		}
	}
	t := &kafka.Transport{ClientID: name, Dial: dial, DialTimeout: 3 * time.Second, MetadataTTL: 2 * time.Second}
	addr := kafka.TCP(brokers...)
	return &client{transport: t, addr: addr, kafka: &kafka.Client{Addr: addr, Transport: t}}, nil
}

func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536
}

// close drops the connections; a request under way fails or ends by its own time.
func (c *client) close() { c.forget() }

// forget drops connections and what is known of the cluster, after an error.
func (c *client) forget() {
	c.mu.Lock()
	c.mu.leaders = nil
	c.mu.Unlock()
	c.transport.CloseIdleConnections()
}

// leader returns the id of the broker that leads a partition.
func (c *client) leader(ctx context.Context, p load.Partition) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id, ok := c.mu.leaders[p]; ok {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return 0, unreachable(c.addr, err)
	}
	c.mu.leaders = map[load.Partition]int{}
	for _, t := range m.Topics {
		for _, q := range t.Partitions {
			if t.Error == nil && q.Error == nil {
				c.mu.leaders[load.Partition{Topic: t.Name, Index: int32(q.ID)}] = q.Leader.ID
			}
		}
	}
	if id, ok := c.mu.leaders[p]; ok {
		return id, nil
	}
	c.mu.leaders = nil
	c.transport.CloseIdleConnections() // what it knows of the cluster may be old
	return 0, kafka.UnknownTopicOrPartition
}

// unreachable is the error of a broker that cannot be asked.
func unreachable(addr net.Addr, err error) error {
	return &schemas.Error{Code: schemas.CodeStream, SQLState: "08006", Message: "cannot reach the broker at " + addr.String(),
		Hint: "check that it runs and that the address is right", Retryable: true, Err: err}
}

// byLeader groups indexes of partitions by the broker that leads them.
func (c *client) byLeader(ctx context.Context, n int, at func(int) load.Partition) (map[int][]int, error) {
	groups := make(map[int][]int, 1)
	for i := range n {
		id, err := c.leader(ctx, at(i))
		if err != nil {
			return nil, fmt.Errorf("partition %s/%d: %w", at(i).Topic, at(i).Index, err)
		}
		groups[id] = append(groups[id], i)
	}
	return groups, nil
}

// kafkaError is the error of a code, nil for none.
func kafkaError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

// ensureTopics makes the topics that do not exist. One that exists with another
// number of partitions is an error: its keys are elsewhere.
func (c *client) ensureTopics(ctx context.Context, counts map[string]int32, replication int) error {
	var req kafka.CreateTopicsRequest
	for topic, n := range counts {
		req.Topics = append(req.Topics, kafka.TopicConfig{Topic: topic, NumPartitions: int(n), ReplicationFactor: replication})
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := c.kafka.CreateTopics(ctx, &req)
	if err != nil {
		return unreachable(c.addr, err)
	}
	for topic, err := range res.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return &schemas.Error{Code: schemas.CodeStream, SQLState: "58000", Message: fmt.Sprintf("cannot make topic %s", topic), Err: err,
				Hint: "make it yourself, or allow this client to", Retryable: isTemporary(err)}
		}
	}
	return c.checkTopics(ctx, counts)
}

// checkTopics compares partition counts, waiting for new topics to be known.
func (c *client) checkTopics(ctx context.Context, counts map[string]int32) error {
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		c.forget()
		m, err := c.kafka.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return unreachable(c.addr, err)
		}
		known := 0
		for _, t := range m.Topics {
			want, ok := counts[t.Name]
			if !ok || t.Error != nil {
				continue
			}
			if len(t.Partitions) != int(want) {
				e := schemas.Errorf(schemas.CodeStream, "58000", "topic %s has %d partitions, the pipeline wants %d", t.Name, len(t.Partitions), want)
				e.Hint = "set stream.partitions to what the topic has, or delete the topic"
				return e
			}
			known++
		}
		if known == len(counts) {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return unreachable(c.addr, err)
		}
	}
}

// isTemporary says whether asking again may help.
func isTemporary(err error) bool {
	var k kafka.Error
	if errors.As(err, &k) {
		return k.Temporary() || k.Timeout()
	}
	return true
}

// isMissing says that a topic or partition is not there.
func isMissing(err error) bool {
	return errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, protocol.ErrNoTopic) || errors.Is(err, protocol.ErrNoPartition)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
