package broker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/cdc/broker"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

func open(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	b, err := broker.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func client(t *testing.T, b *broker.Broker) *kafka.Client {
	tr := &kafka.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: tr, Timeout: 5 * time.Second}
}

func produce(t *testing.T, c *kafka.Client, value string) int64 {
	t.Helper()
	res, err := c.Produce(context.Background(), &kafka.ProduceRequest{Topic: "t", RequiredAcks: kafka.RequireAll,
		Records: kafka.NewRecordReader(kafka.Record{Value: kafka.NewBytes([]byte(value))})})
	require.NoError(t, err)
	require.NoError(t, res.Error)
	return res.BaseOffset
}

func fetch(t *testing.T, c *kafka.Client, offset int64) (string, error) {
	t.Helper()
	res, err := c.Fetch(context.Background(), &kafka.FetchRequest{Topic: "t", Offset: offset, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 50 * time.Millisecond})
	require.NoError(t, err)
	if res.Error != nil {
		return "", res.Error
	}
	r, err := res.Records.ReadRecord()
	if err != nil {
		return "", err
	}
	v, err := kafka.ReadAll(r.Value)
	require.NoError(t, err)
	return string(v), nil
}

func topic(t *testing.T, c *kafka.Client) {
	t.Helper()
	res, err := c.CreateTopics(context.Background(), &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}})
	require.NoError(t, err)
	require.NoError(t, res.Errors["t"])
}

// What was acknowledged is there after a restart, and the folder has one owner.
func TestRestartKeepsRecords(t *testing.T) {
	dir := t.TempDir()
	b := open(t, broker.Options{Dir: dir})
	_, err := broker.Open(broker.Options{Dir: dir, Addr: "127.0.0.1:0"})
	require.Equal(t, schemas.CodeInUse, schemas.CodeOf(err))
	c := client(t, b)
	topic(t, c)
	for i := range 100 {
		require.EqualValues(t, i, produce(t, c, "value"))
	}
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
	b = open(t, broker.Options{Dir: dir})
	c = client(t, b)
	v, err := fetch(t, c, 99)
	require.NoError(t, err)
	require.Equal(t, "value", v)
	require.EqualValues(t, 100, produce(t, c, "next"))
}

// Trimmed records are gone, so are their files, and the offsets go on.
func TestTrim(t *testing.T) {
	dir := t.TempDir()
	b := open(t, broker.Options{Dir: dir, SegmentBytes: 1000})
	c := client(t, b)
	topic(t, c)
	for range 200 {
		produce(t, c, "a value of some length")
	}
	p := load.Partition{Topic: "t"}
	before := size(t, dir)
	require.NoError(t, b.Trim(context.Background(), p, 150))
	require.NoError(t, b.Trim(context.Background(), p, 100), "behind")
	require.NoError(t, b.Trim(context.Background(), p, 1000), "beyond")
	require.Error(t, b.Trim(context.Background(), load.Partition{Topic: "none"}, 1))
	require.Less(t, size(t, dir), before/2)
	_, err := fetch(t, c, 149)
	require.ErrorIs(t, err, kafka.OffsetOutOfRange)
	_, err = fetch(t, c, 150)
	require.NoError(t, err)
	require.NoError(t, b.Trim(context.Background(), p, 200))
	require.EqualValues(t, 200, produce(t, c, "on"))
	require.NoError(t, b.Close())
	c = client(t, open(t, broker.Options{Dir: dir}))
	require.EqualValues(t, 201, produce(t, c, "and on"))
}

func size(t *testing.T, dir string) (n int64) {
	require.NoError(t, filepath.Walk(dir, func(_ string, i os.FileInfo, err error) error {
		if err == nil && !i.IsDir() {
			n += i.Size()
		}
		return err
	}))
	return n
}

// Frames that would end the process, or exhaust it, end their connection.
func TestHostileFrames(t *testing.T) {
	b := open(t, broker.Options{Dir: t.TempDir()})
	c := client(t, b)
	topic(t, c)
	send := func(frame []byte) error {
		conn, err := net.Dial("tcp", b.Addr())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write(frame)
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	head := func(size uint32, key, version uint16) []byte {
		f := binary.BigEndian.AppendUint32(nil, size)
		f = binary.BigEndian.AppendUint16(f, key)
		f = binary.BigEndian.AppendUint16(f, version)
		return append(f, make([]byte, 8)...)
	}
	for _, f := range [][]byte{
		head(12, 999, 0), head(12, 0xFFFF, 0), head(12, 4, 0), head(12, 78, 0), // keys
		head(12, 0, 0), head(12, 0, 99), head(12, 1, 0xFFFF), // versions
		head(0xFFFFFFFF, 3, 1), head(1<<30, 3, 1), head(0, 3, 1), head(7, 3, 1), // lengths
	} {
		err := send(f)
		require.Error(t, err)
		var timeout net.Error
		require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "% x hangs", f)
	}
	r := rand.New(rand.NewPCG(7, 7))
	versions := map[uint16]int{0: 14, 1: 18, 2: 12, 3: 14, 8: 10, 9: 10, 10: 7, 11: 10, 18: 5, 19: 8, 20: 7, 21: 3, 22: 6, 32: 5, 60: 3, 75: 1}
	for range 400 {
		body := make([]byte, r.IntN(80))
		for i := range body {
			if body[i] = byte(r.Uint32()); r.IntN(2) == 0 {
				body[i] = 0
			}
		}
		for key, n := range versions {
			if r.IntN(8) > 0 {
				continue
			}
			f := head(uint32(8+len(body)), key, uint16(r.IntN(n)))[:8]
			f = append(append(f, 0, 0, 0, 1), body...)
			conn, err := net.Dial("tcp", b.Addr())
			require.NoError(t, err)
			_, _ = conn.Write(f)
			_ = conn.SetDeadline(time.Now().Add(2 * time.Millisecond))
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}
	produce(t, c, "still alive")
}

// Addresses and folders that cannot be right say so.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	_, err := broker.Open(broker.Options{Dir: dir, Addr: "0.0.0.0:0"})
	require.Equal(t, schemas.CodeForbidden, schemas.CodeOf(err))
	_, err = broker.Open(broker.Options{Dir: dir, Addr: "nonsense"})
	require.Equal(t, schemas.CodeInvalid, schemas.CodeOf(err))
	b := open(t, broker.Options{Dir: t.TempDir()})
	_, err = broker.Open(broker.Options{Dir: dir, Addr: b.Addr()})
	require.Equal(t, schemas.CodeInUse, schemas.CodeOf(err))
	open(t, broker.Options{Dir: dir, Addr: "127.0.0.1:0"}) // the folder was given free
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "FORMAT"), []byte("millrace embedded broker 7\n"), 0o644))
	_, err = broker.Open(broker.Options{Dir: other, Addr: "127.0.0.1:0"})
	require.Equal(t, schemas.CodeUnsupported, schemas.CodeOf(err))
}

// Whatever happens to a log's files, what is read afterwards is a beginning of what
// was written, and what is written afterwards is read.
func TestDamagedLogs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 9))
	rounds := 40
	if testing.Short() {
		rounds = 12
	}
	for round := range rounds {
		dir := t.TempDir()
		b := open(t, broker.Options{Dir: dir, SegmentBytes: 600})
		c := client(t, b)
		topic(t, c)
		for i := range 40 {
			produce(t, c, "value "+string(rune('A'+i)))
		}
		require.NoError(t, b.Close())
		part := filepath.Join(dir, "data", "partitions", "t-0")
		files, err := filepath.Glob(filepath.Join(part, "*.dat"))
		require.NoError(t, err)
		victim := files[r.IntN(len(files))]
		raw, err := os.ReadFile(victim)
		require.NoError(t, err)
		switch r.IntN(4) {
		case 0:
			raw = raw[:r.IntN(len(raw))]
		case 1:
			raw = append(raw, make([]byte, r.IntN(100))...)
		default:
			raw[r.IntN(len(raw))] ^= 1 << r.IntN(8)
		}
		require.NoError(t, os.WriteFile(victim, raw, 0o644))
		if r.IntN(2) == 0 {
			_ = os.Remove(filepath.Join(part, "snapshot.json"))
		}
		b = open(t, broker.Options{Dir: dir})
		c = client(t, b)
		base := produce(t, c, "after")
		for i := range base {
			v, err := fetch(t, c, i)
			require.NoError(t, err, "round %d offset %d of %d", round, i, base)
			require.Equal(t, "value "+string(rune('A'+i)), v)
		}
		v, err := fetch(t, c, base)
		require.NoError(t, err)
		require.Equal(t, "after", v)
		require.NoError(t, b.Close())
	}
}
