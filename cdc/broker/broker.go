// Package broker runs a Kafka-protocol broker inside the process, durable in a
// folder, for the case that needs no other: the demo, and one program that does
// all. Its clients are the same as a real broker's.
//
// The broker is kfake, which answers in good faith whatever it is sent; every
// connection is therefore guarded (guard.go). It does not sync its files: what a
// power failure takes is missed by the stream's readers, and the source replays.
package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// DefaultAddr is where the broker listens unless it is told otherwise.
const DefaultAddr = "127.0.0.1:19092"

// format is the first line of the data folder's FORMAT file.
const format = "millrace embedded broker 1\n"

// Options are how a broker runs. The zero value of all but Dir is useful.
type Options struct {
	// Dir is the data folder, made when missing. One process at a time uses it.
	Dir string
	// Addr is host:port to listen on; default DefaultAddr, port 0 for a free one.
	// It is a loopback address unless Insecure, since nobody is asked who they are.
	Addr     string
	Insecure bool
	// SegmentBytes is how much of a partition is one file: what was trimmed is
	// given back file by file. Default 8 MiB.
	SegmentBytes int64
	// MaxRecordBytes is the largest record batch taken; default 1 MiB, as Kafka's.
	MaxRecordBytes int64
	// MaxFrameBytes is the largest request taken; default 64 MiB.
	MaxFrameBytes int64

	Logger *slog.Logger // default none
}

func (o Options) withDefaults() Options {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 8 << 20
	}
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = 1 << 20
	}
	if o.MaxFrameBytes == 0 {
		o.MaxFrameBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Broker is a running broker.
type Broker struct {
	o       Options
	addr    string
	lock    io.Closer
	guard   *guard
	cluster *kfake.Cluster
	own     *connection
	once    sync.Once
	err     error
}

// Open starts a broker on its data folder, with what it held before.
func Open(o Options) (*Broker, error) {
	o = o.withDefaults()
	if err := checkAddr(o); err != nil {
		return nil, err
	}
	b := &Broker{o: o}
	if err := b.claim(); err != nil {
		return nil, err
	}
	if err := b.start(); err != nil {
		return nil, errors.Join(err, b.lock.Close())
	}
	return b, nil
}

// checkAddr refuses an address that others can reach, unless it is meant.
func checkAddr(o Options) error {
	host, port, err := net.SplitHostPort(o.Addr)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 0 || n > 65535 {
		e := schemas.Errorf(schemas.CodeInvalid, "22023", "broker address %q is not host:port", o.Addr)
		e.Hint = "for example " + DefaultAddr
		return e
	}
	ip := net.ParseIP(host)
	if !o.Insecure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		e := schemas.Errorf(schemas.CodeForbidden, "28000", "the embedded broker has no authentication and would listen on %s", o.Addr)
		e.Hint = "use a loopback address, a real Kafka, or --insecure"
		return e
	}
	return nil
}

// claim makes the data folder and locks it.
func (b *Broker) claim() error {
	fs := vfs.OS
	if err := fs.MkdirAll(b.o.Dir); err != nil {
		return vfs.Typed("make the broker's data folder "+b.o.Dir, err)
	}
	lock, err := fs.Lock(filepath.Join(b.o.Dir, "LOCK"))
	if err != nil {
		return vfs.Typed("lock the broker's data folder "+b.o.Dir, err)
	}
	if err := checkFormat(filepath.Join(b.o.Dir, "FORMAT")); err != nil {
		return errors.Join(err, lock.Close())
	}
	b.lock = lock
	return nil
}

// checkFormat refuses a folder of another version by name.
func checkFormat(path string) error {
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return vfs.Typed("write "+path, os.WriteFile(path, []byte(format), 0o644))
	case err != nil:
		return vfs.Typed("read "+path, err)
	case string(have) != format:
		e := schemas.Errorf(schemas.CodeUnsupported, "0A000", "%s says %q, this program reads %q", path, strings.TrimSpace(string(have)), strings.TrimSpace(format))
		e.Hint = "use the program that wrote it, or another folder: the source replays what the broker held"
		return e
	}
	return nil
}

// start runs the broker. kfake asks for its listener by port only and binds
// 127.0.0.1, so the listener is made here.
func (b *Broker) start() error {
	if err := repair(b.data(), b.o.Logger); err != nil {
		return vfs.Typed("check the embedded broker's logs", err)
	}
	listener, err := net.Listen("tcp", b.o.Addr)
	if err != nil {
		return &schemas.Error{Code: schemas.CodeInUse, SQLState: "55006", Message: "the embedded broker cannot listen on " + b.o.Addr, Err: err,
			Hint: "give another port, or 0 for any"}
	}
	b.addr = listener.Addr().String()
	b.guard = newGuard(listener, b.o.MaxFrameBytes, b.o.Logger)
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1), kfake.ClusterID("millrace"), kfake.DataDir(b.data()),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.guard, nil }),
		kfake.MaxVersions(served()), kfake.WithLogger(logger{b.o.Logger}),
		kfake.BrokerConfigs(map[string]string{
			"log.segment.bytes": strconv.FormatInt(b.o.SegmentBytes, 10),
			"message.max.bytes": strconv.FormatInt(b.o.MaxRecordBytes, 10),
		}))
	if err != nil {
		return errors.Join(&schemas.Error{Code: schemas.CodeStream, SQLState: "58030", Message: "the embedded broker cannot read its folder " + b.o.Dir, Err: err,
			Hint: "remove the folder: the source replays what it held"}, b.guard.Close())
	}
	b.own = &connection{addr: b.addr}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.guard.learn(ctx, b.own); err != nil {
		b.stop()
		return fmt.Errorf("ask the embedded broker for its versions: %w", err)
	}
	return nil
}

// data is where kfake keeps its files.
func (b *Broker) data() string { return filepath.Join(b.o.Dir, "data") }

// stop ends the cluster and every connection.
func (b *Broker) stop() {
	b.own.close()
	_ = b.guard.Close()
	b.cluster.Close()
	b.guard.cut()
}

// Addr is host:port where clients connect.
func (b *Broker) Addr() string { return b.addr }

// Trim deletes a partition's records before an offset: the broker has no other
// retention. An offset that the log has passed already, or does not reach, is
// left alone.
func (b *Broker) Trim(ctx context.Context, p load.Partition, offset int64) error {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 1, 5000
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = p.Topic
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Partition, part.Offset = p.Index, offset
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	res := kmsg.NewPtrDeleteRecordsResponse()
	res.Version = req.Version
	if err := b.own.ask(ctx, req, res); err != nil {
		return fmt.Errorf("trim %s/%d: %w", p.Topic, p.Index, err)
	}
	for _, t := range res.Topics {
		for _, q := range t.Partitions {
			if err := kerr.ErrorForCode(q.ErrorCode); err != nil && !errors.Is(err, kerr.OffsetOutOfRange) {
				return fmt.Errorf("trim %s/%d: %w", p.Topic, p.Index, err)
			}
		}
	}
	return nil
}

// Close stops the broker and gives the folder free. Idempotent.
func (b *Broker) Close() error {
	b.once.Do(func() {
		b.stop()
		b.err = b.lock.Close()
	})
	return b.err
}

// logger passes kfake's words on; what it calls information is detail here.
type logger struct{ to *slog.Logger }

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	at := slog.LevelDebug
	if level <= kfake.LogLevelWarn {
		at = slog.LevelWarn
	}
	l.to.Log(context.Background(), at, "embedded broker: "+fmt.Sprintf(format, args...))
}
