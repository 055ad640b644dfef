package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The server sends every message of a stream by itself. Reading each as it comes
// costs a system call and a wake-up a row, and half of the rate (BenchmarkDrain).
// While messages come one upon another, pacedConn lets some gather first; a message
// after a pause is read at once.
const (
	paceBuffer = 256 << 10
	paceEvery  = 200 * time.Microsecond
)

// pacedConn reads a connection in larger pieces.
type pacedConn struct {
	net.Conn
	buf  []byte
	rest []byte
	last time.Time // when the last read returned
}

// Read implements net.Conn. Deadlines hold: the wait is far below them.
func (c *pacedConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if time.Since(c.last) < paceEvery {
			time.Sleep(paceEvery)
		}
		n, err := c.Conn.Read(c.buf)
		c.last = time.Now()
		if n == 0 {
			return 0, err
		}
		c.rest = c.buf[:n]
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// pace makes the connection of a configuration a paced one.
func pace(cfg *pgconn.Config) {
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &pacedConn{Conn: conn, buf: make([]byte, paceBuffer)}, nil
	}
}
