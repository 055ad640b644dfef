package postgres

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/millrace/millrace/schemas"
)

// pendingBytes bounds what was received and not yet looked at.
const pendingBytes = 4 << 20

// receiver reads the replication connection beside the decoder, so that the
// server is never kept waiting while a batch is handed over, up to pendingBytes.
type receiver struct {
	conn *pgconn.PgConn
	wake chan struct{} // something changed for the stream
	room chan struct{} // something was taken from pending
	stop chan struct{}
	done chan struct{}
	// asked is called when the server wants a status update. It must not wait for
	// the stream, which may wait for its sink.
	asked func()

	mu struct {
		sync.Mutex
		pending  []byte // messages: length uint32, bytes
		horizons []horizon
		err      error
	}
}

// horizon says how far the log reached at a moment: every commit acknowledged
// before time, µs since 1970, ends at or before lsn.
type horizon struct {
	lsn  schemas.LSN
	time int64
}

func newReceiver(conn *pgconn.PgConn, asked func()) *receiver {
	r := &receiver{conn: conn, asked: asked, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go r.run()
	return r
}

// signal leaves a note for whoever waits on a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *receiver) run() {
	defer close(r.done)
	for {
		msg, err := r.conn.ReceiveMessage(context.Background())
		if err != nil {
			r.fail(err)
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			if m := msg.Data; len(m) == 18 && m[0] == pglogrepl.PrimaryKeepaliveMessageByteID && m[17] != 0 {
				r.asked()
			}
			if !r.put(msg.Data) {
				return
			}
		case *pgproto3.ErrorResponse:
			r.fail(pgconn.ErrorResponseToPgError(msg))
			return
		case *pgproto3.CopyDone, *pgproto3.ReadyForQuery:
			r.fail(&schemas.Error{Code: schemas.CodeSource, SQLState: "57P01", Retryable: true, Message: "PostgreSQL ended the replication stream"})
			return
		}
	}
}

// put adds a message and waits while there are too many; false means stop.
func (r *receiver) put(msg []byte) bool {
	r.mu.Lock()
	empty := len(r.mu.pending) == 0
	r.mu.pending = binary.LittleEndian.AppendUint32(r.mu.pending, uint32(len(msg)))
	r.mu.pending = append(r.mu.pending, msg...)
	full := len(r.mu.pending) >= pendingBytes
	r.mu.Unlock()
	if empty {
		signal(r.wake)
	}
	for full {
		select {
		case <-r.room:
		case <-r.stop:
			return false
		}
		r.mu.Lock()
		full = len(r.mu.pending) >= pendingBytes
		r.mu.Unlock()
	}
	return true
}

// fail ends the stream once what was received before is handled.
func (r *receiver) fail(err error) {
	r.mu.Lock()
	if r.mu.err == nil {
		r.mu.err = err
	}
	r.mu.Unlock()
	signal(r.wake)
}

// maxHorizons bounds those that were not reached yet; a source that is that far
// behind loses nothing by noting no more.
const maxHorizons = 1024

// reach notes a horizon.
func (r *receiver) reach(h horizon) {
	r.mu.Lock()
	if len(r.mu.horizons) < maxHorizons {
		r.mu.horizons = append(r.mu.horizons, h)
	}
	r.mu.Unlock()
	signal(r.wake)
}

// reached gives the newest horizon at or before an LSN, and forgets the older ones.
func (r *receiver) reached(to schemas.LSN) (h horizon, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.mu.horizons) && r.mu.horizons[n].lsn <= to {
		n++
	}
	if n == 0 {
		return h, false
	}
	h = r.mu.horizons[n-1]
	r.mu.horizons = append(r.mu.horizons[:0], r.mu.horizons[n:]...)
	return h, true
}

// take swaps the pending messages for an empty buffer. The error counts only when
// nothing is pending.
func (r *receiver) take(spare []byte) ([]byte, error) {
	if cap(spare) > 4*pendingBytes {
		spare = nil
	}
	r.mu.Lock()
	block, err := r.mu.pending, r.mu.err
	r.mu.pending = spare[:0]
	r.mu.Unlock()
	signal(r.room)
	return block, err
}

// close ends reading. The connection stays open for a last word.
func (r *receiver) close() {
	close(r.stop)
	_ = r.conn.Conn().SetReadDeadline(time.Now()) // a closed connection reads no more either
	<-r.done
}
