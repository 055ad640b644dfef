package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// keys are the requests that pass the guard: what producers, consumers, groups and
// people with kcat or kafka-topics.sh send. kfake ends the whole process on a key
// that it does not know.
var keys = map[int16]bool{
	0: true, 1: true, 2: true, 3: true, // produce, fetch, list offsets, metadata
	8: true, 9: true, 10: true, 11: true, 12: true, 13: true, 14: true, 15: true, 16: true, // groups
	18: true, 19: true, 20: true, 21: true, 22: true, 23: true, // versions, topics, records, producer ids, leader epochs
	32: true, 35: true, 37: true, 42: true, 60: true, 75: true, // configs, folders, partitions, groups, cluster
}

// served makes kfake offer only what the guard lets pass.
func served() *kversion.Versions {
	all := kversion.Stable()
	some := new(kversion.Versions)
	for k := range keys {
		if v, ok := all.LookupMaxKeyVersion(k); ok {
			some.SetMaxKeyVersion(k, v)
		}
	}
	return some
}

// span is the versions of a request, both ends included.
type span struct{ lo, hi int16 }

// guard is a listener whose connections pass only frames that kfake survives: of a
// sane length, of a known key and version. Any other ends the connection.
type guard struct {
	net.Listener
	max    int64
	logger *slog.Logger

	mu struct {
		sync.RWMutex
		spans map[int16]span
		conns map[*guarded]bool
	}
}

func newGuard(l net.Listener, max int64, logger *slog.Logger) *guard {
	g := &guard{Listener: l, max: max, logger: logger}
	g.mu.spans = map[int16]span{18: {0, 0}} // only to ask for the others
	g.mu.conns = map[*guarded]bool{}
	return g
}

// learn asks the broker itself which versions it takes.
func (g *guard) learn(ctx context.Context, c *connection) error {
	req, res := kmsg.NewPtrApiVersionsRequest(), kmsg.NewPtrApiVersionsResponse()
	if err := c.ask(ctx, req, res); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, k := range res.ApiKeys {
		if keys[k.ApiKey] {
			g.mu.spans[k.ApiKey] = span{k.MinVersion, k.MaxVersion}
		}
	}
	return nil
}

// Accept implements net.Listener.
func (g *guard) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	gc := &guarded{Conn: c, guard: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.conns[gc] = true
	return gc, nil
}

// cut closes every connection.
func (g *guard) cut() {
	g.mu.Lock()
	conns := g.mu.conns
	g.mu.conns = map[*guarded]bool{}
	g.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// check says whether a frame may pass.
func (g *guard) check(size int64, key, version int16) error {
	if size < 8 || size > g.max {
		return fmt.Errorf("a request of %d bytes; from 8 to %d are taken", size, g.max)
	}
	g.mu.RLock()
	s, ok := g.mu.spans[key]
	g.mu.RUnlock()
	if !ok || version < s.lo || version > s.hi {
		return fmt.Errorf("request key %d version %d is not taken", key, version)
	}
	return nil
}

// guarded is a connection that reads frame after frame.
type guarded struct {
	net.Conn
	guard *guard
	buf   [12]byte
	head  []byte // of the frame: length, key, version, correlation id; not read yet
	left  int64  // of the frame after head
}

// Read implements net.Conn.
func (c *guarded) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.head) == 0 && c.left == 0 {
		if err := c.frame(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// frame reads and checks the beginning of the next frame.
func (c *guarded) frame() error {
	if _, err := io.ReadFull(c.Conn, c.buf[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(c.buf[:]))
	key, version := int16(binary.BigEndian.Uint16(c.buf[4:])), int16(binary.BigEndian.Uint16(c.buf[6:]))
	if err := c.guard.check(size, key, version); err != nil {
		c.guard.logger.Warn("embedded broker refused a connection", "remote", c.RemoteAddr().String(), "error", err)
		return err
	}
	c.head, c.left = c.buf[:], size-8
	return nil
}

// Close implements net.Conn.
func (c *guarded) Close() error {
	c.guard.mu.Lock()
	delete(c.guard.mu.conns, c)
	c.guard.mu.Unlock()
	return c.Conn.Close()
}
