package streamtest

import (
	"net"
	"sync"
)

// Proxy is a TCP proxy that cuts connections when it is told to. Since a Kafka
// client follows the address that the broker gives, it is for the broker's side of
// a dialer: Dial it instead of the broker's address.
type Proxy struct {
	net.Listener
	mu struct {
		sync.Mutex
		to    string
		conns map[net.Conn]bool
		mute  bool // answers are thrown away
	}
}

// NewProxy listens on a free port and passes connections on to an address.
func NewProxy(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{Listener: l}
	p.mu.to, p.mu.conns = to, map[net.Conn]bool{}
	go p.accept()
	return p, nil
}

func (p *Proxy) accept() {
	for {
		in, err := p.Listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		to := p.mu.to
		p.mu.Unlock()
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.mu.conns[in], p.mu.conns[out] = true, true
		p.mu.Unlock()
		go p.pipe(out, in, false)
		go p.pipe(in, out, true)
	}
}

// pipe copies until one side ends.
func (p *Proxy) pipe(dst, src net.Conn, answers bool) {
	defer func() {
		_, _ = dst.Close(), src.Close()
		p.mu.Lock()
		delete(p.mu.conns, dst)
		delete(p.mu.conns, src)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		mute := p.mu.mute && answers
		p.mu.Unlock()
		if mute {
			return // the request went through, its answer does not
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Cut closes every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.mu.conns {
		_ = c.Close()
	}
}

// Mute throws answers away, with their connection, while it is on.
func (p *Proxy) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.mute = on
}
