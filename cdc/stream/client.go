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
	fetchAPI "github.com/segmentio/kafka-go/protocol/fetch"
	produceAPI "github.com/segmentio/kafka-go/protocol/produce"

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

// outgoing is a record batch for one partition.
type outgoing struct {
	partition load.Partition
	records   [][]byte
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

// acked is what a broker answered for one partition.
type acked struct {
	base int64 // offset of the first record
	err  error
}

// produce writes one record batch to each of several partitions, with acks=all,
// and returns an answer for each. The records are built into a request here and
// now: sending a kafka-go record batch a second time writes nothing and reports
// success, so a retry must come through here again with the same bytes.
func (c *client) produce(ctx context.Context, out []outgoing) []acked {
	answers := make([]acked, len(out))
	groups, err := c.byLeader(ctx, len(out), func(i int) load.Partition { return out[i].partition })
	if err != nil {
		for i := range answers {
			answers[i].err = err
		}
		return answers
	}
	var wg sync.WaitGroup
	for _, group := range groups {
		send := func() {
			if err := c.produceTo(ctx, out, group, answers); err != nil {
				for _, i := range group {
					answers[i].err = err
				}
			}
		}
		if len(groups) == 1 {
			send()
			break
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			send()
		}()
	}
	wg.Wait()
	return answers
}

// produceTo sends one request to the broker that leads a group of partitions.
func (c *client) produceTo(ctx context.Context, out []outgoing, group []int, answers []acked) error {
	req := &produceAPI.Request{Acks: int16(kafka.RequireAll), Timeout: int32(requestTimeout / 2 / time.Millisecond)}
	topics := map[string]int{}
	for _, i := range group {
		p := out[i].partition
		t, ok := topics[p.Topic]
		if !ok {
			t = len(req.Topics)
			topics[p.Topic] = t
			req.Topics = append(req.Topics, produceAPI.RequestTopic{Topic: p.Topic})
		}
		records := make([]kafka.Record, len(out[i].records))
		for j, r := range out[i].records {
			records[j] = kafka.Record{Value: kafka.NewBytes(r)}
		}
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, produceAPI.RequestPartition{
			Partition: p.Index, RecordSet: protocol.RecordSet{Records: kafka.NewRecordReader(records...)}})
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.transport.RoundTrip(ctx, c.addr, req)
	if err != nil {
		return err
	}
	for _, i := range group {
		answers[i].err = errors.New("the broker did not answer for the partition")
	}
	for _, t := range m.(*produceAPI.Response).Topics {
		for _, q := range t.Partitions {
			for _, i := range group {
				if out[i].partition == (load.Partition{Topic: t.Topic, Index: q.Partition}) {
					answers[i] = acked{base: q.BaseOffset, err: kafkaError(q.ErrorCode)}
				}
			}
		}
	}
	return nil
}

// kafkaError is the error of a code, nil for none.
func kafkaError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

// wanted is a partition to fetch from.
type wanted struct {
	partition load.Partition
	offset    int64
}

// fetched is what came of one partition.
type fetched struct {
	err           error
	highWatermark int64
	records       []record
}

// record is one Kafka record.
type record struct {
	offset int64
	value  []byte
}

// fetch asks the one broker that leads all the given partitions, waiting up to
// wait for the first record, and returns at most about maxBytes.
func (c *client) fetch(ctx context.Context, parts []wanted, wait time.Duration, maxBytes int) ([]fetched, error) {
	req := &fetchAPI.Request{ReplicaID: -1, MaxWaitTime: int32(wait / time.Millisecond), MinBytes: 1, MaxBytes: int32(maxBytes), SessionID: 0, SessionEpoch: -1}
	topics := map[string]int{}
	for _, w := range parts {
		t, ok := topics[w.partition.Topic]
		if !ok {
			t = len(req.Topics)
			topics[w.partition.Topic] = t
			req.Topics = append(req.Topics, fetchAPI.RequestTopic{Topic: w.partition.Topic})
		}
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, fetchAPI.RequestPartition{
			Partition: w.partition.Index, CurrentLeaderEpoch: -1, FetchOffset: w.offset, LogStartOffset: -1, PartitionMaxBytes: int32(maxBytes)})
	}
	ctx, cancel := context.WithTimeout(ctx, wait+requestTimeout)
	defer cancel()
	m, err := c.transport.RoundTrip(ctx, c.addr, req)
	if err != nil {
		return nil, err
	}
	res := m.(*fetchAPI.Response)
	if res.ErrorCode != 0 {
		return nil, kafka.Error(res.ErrorCode)
	}
	out := make([]fetched, len(parts))
	at := make(map[load.Partition]int, len(parts))
	for i, w := range parts {
		at[w.partition] = i
	}
	for _, t := range res.Topics {
		for j := range t.Partitions {
			q := &t.Partitions[j]
			i, ok := at[load.Partition{Topic: t.Topic, Index: q.Partition}]
			if !ok {
				continue
			}
			out[i] = readRecords(q)
		}
	}
	return out, nil
}

// readRecords copies a partition's records out of the response.
func readRecords(q *fetchAPI.ResponsePartition) fetched {
	f := fetched{err: kafkaError(q.ErrorCode), highWatermark: q.HighWatermark}
	if f.err != nil || q.RecordSet.Records == nil {
		return f
	}
	for {
		r, err := q.RecordSet.Records.ReadRecord()
		if err != nil {
			break // the end, or a batch that the broker cut short and will send again
		}
		var value []byte
		if r.Value != nil {
			value, err = kafka.ReadAll(r.Value)
			_ = r.Value.Close() // gives the pages back
			if err != nil {
				break
			}
		}
		f.records = append(f.records, record{offset: r.Offset, value: value})
	}
	return f
}

// first asks for a partition's first offset.
func (c *client) first(ctx context.Context, p load.Partition) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	res, err := c.kafka.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{p.Topic: {kafka.FirstOffsetOf(int(p.Index))}}})
	if err != nil {
		return 0, err
	}
	for _, o := range res.Topics[p.Topic] {
		if o.Partition == int(p.Index) {
			return o.FirstOffset, o.Error
		}
	}
	return 0, kafka.UnknownTopicOrPartition
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
