package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	produceAPI "github.com/segmentio/kafka-go/protocol/produce"

	"github.com/millrace/millrace/schemas/load"
)

// outgoing is a record batch for one partition.
type outgoing struct {
	partition load.Partition
	records   [][]byte
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
