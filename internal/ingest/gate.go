package ingest

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// gate counts connections: all that are open, those of each address, and how
// many of each address began in this minute.
type gate struct {
	cfg *SMTPConfig

	mu     sync.Mutex
	open   int
	byIP   map[string]int
	minute int64
	began  map[string]int // in minute
}

// enter tells whether a connection from ip may come in; leave gives its place
// back.
func (g *gate) enter(ip string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := now.Unix() / 60; m != g.minute || g.began == nil {
		g.minute, g.began = m, map[string]int{}
	}
	if g.byIP == nil {
		g.byIP = map[string]int{}
	}
	if len(g.began) < 100_000 { // beyond it, many addresses are at work and the total bounds them
		g.began[ip]++
	}
	if g.open >= g.cfg.MaxConns || g.byIP[ip] >= g.cfg.PerIP || g.began[ip] > g.cfg.PerIPMinute {
		return false
	}
	g.open++
	g.byIP[ip]++
	return true
}

func (g *gate) leave(ip string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byIP[ip]--; g.byIP[ip] <= 0 {
		delete(g.byIP, ip)
	}
}

// allowance is a number of things an hour.
type allowance struct {
	most int
	mu   sync.Mutex
	hour int64
	n    int
}

func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := now.Unix() / 3600; h != a.hour {
		a.hour, a.n = h, 0
	}
	a.n++
	return a.n <= a.most
}

// gatedListener lets connections through the gate and remembers them.
type gatedListener struct {
	net.Listener
	gate *gate
	life time.Duration

	mu       sync.Mutex
	conns    map[*guarded]struct{}
	draining bool
}

// Accept gives the next connection that the gate lets in. Others get a 421.
func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(ip); err == nil {
			ip = host
		}
		if !l.gate.enter(ip, time.Now()) {
			// A few bytes into a fresh socket's buffer: this waits for nobody.
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Write([]byte("421 4.7.0 Too many connections, try again later\r\n"))
			_ = c.Close()
			continue
		}
		g := &guarded{Conn: c, until: time.Now().Add(l.life)}
		g.leave = sync.OnceFunc(func() {
			l.gate.leave(ip)
			l.mu.Lock()
			delete(l.conns, g)
			l.mu.Unlock()
		})
		l.mu.Lock()
		if l.conns == nil {
			l.conns = map[*guarded]struct{}{}
		}
		l.conns[g] = struct{}{}
		draining := l.draining
		l.mu.Unlock()
		if draining {
			_ = g.Close()
		}
		return g, nil
	}
}

// drain lets no connection wait long for its next command.
func (l *gatedListener) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	for g := range l.conns {
		g.hurry()
	}
}

func (l *gatedListener) closeAll() {
	l.mu.Lock()
	var all []*guarded
	for g := range l.conns {
		all = append(all, g)
	}
	l.mu.Unlock()
	for _, g := range all {
		_ = g.Close()
	}
}

// guarded is a connection with an end: no deadline is later, and it can be
// told to close after the next reply.
type guarded struct {
	net.Conn
	leave func()

	mu    sync.Mutex
	until time.Time
	last  bool // the next write is the last
}

func (g *guarded) bound(t time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.IsZero() || t.After(g.until) {
		return g.until
	}
	return t
}

// SetDeadline sets both deadlines, within the connection's lifetime.
func (g *guarded) SetDeadline(t time.Time) error { return g.Conn.SetDeadline(g.bound(t)) }

// SetReadDeadline sets the deadline of reads, within the connection's lifetime.
func (g *guarded) SetReadDeadline(t time.Time) error { return g.Conn.SetReadDeadline(g.bound(t)) }

// hurry gives the connection two more seconds.
func (g *guarded) hurry() {
	soon := time.Now().Add(2 * time.Second)
	g.mu.Lock()
	if soon.Before(g.until) {
		g.until = soon
	}
	g.mu.Unlock()
	_ = g.Conn.SetReadDeadline(soon)
}

func (g *guarded) closeAfterWrite() {
	g.mu.Lock()
	g.last = true
	g.mu.Unlock()
}

// Write writes; the last reply closes the connection.
func (g *guarded) Write(b []byte) (int, error) {
	n, err := g.Conn.Write(b)
	g.mu.Lock()
	last := g.last
	g.mu.Unlock()
	if last {
		_ = g.Close()
	}
	return n, err
}

// Close closes the connection and gives its place back.
func (g *guarded) Close() error {
	g.leave()
	return g.Conn.Close()
}

// rawConn is the connection below TLS.
func rawConn(c net.Conn) (*guarded, bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	g, ok := c.(*guarded)
	return g, ok
}
