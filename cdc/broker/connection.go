package broker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// connection asks the broker what kafka-go has no request for.
type connection struct {
	addr string

	mu struct {
		sync.Mutex
		conn net.Conn // nil until needed, and after an error
		corr int32
	}
}

// maxAnswer limits an answer's length.
const maxAnswer = 16 << 20

// ask sends a request of a version with the plain header and reads its answer.
func (c *connection) ask(ctx context.Context, req kmsg.Request, res kmsg.Response) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return err
		}
		c.mu.conn = conn
	}
	conn := c.mu.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := c.exchange(req, res)
	if !stop() || err != nil {
		_ = conn.Close()
		c.mu.conn = nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *connection) exchange(req kmsg.Request, res kmsg.Response) error {
	c.mu.corr++
	b := binary.BigEndian.AppendUint16(make([]byte, 4, 64), uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(req.GetVersion()))
	b = binary.BigEndian.AppendUint32(b, uint32(c.mu.corr))
	b = binary.BigEndian.AppendUint16(b, 0) // no client id
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if _, err := c.mu.conn.Write(b); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(c.mu.conn, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 4 || n > maxAnswer || binary.BigEndian.Uint32(head[4:]) != uint32(c.mu.corr) {
		return fmt.Errorf("an answer of %d bytes to request %d", n, c.mu.corr)
	}
	body := make([]byte, n-4)
	if _, err := io.ReadFull(c.mu.conn, body); err != nil {
		return err
	}
	return res.ReadFrom(body)
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.conn != nil {
		_ = c.mu.conn.Close()
		c.mu.conn = nil
	}
}
