package stream

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	fetchAPI "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/millrace/millrace/schemas/load"
)

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
