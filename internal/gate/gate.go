// Package gate bounds what strangers may take of an SMTP listener: connections
// open at once, in all and from one address, new ones a minute from one
// address, and the lifetime of each. When all places are taken, who says nothing
// for long gives up his. A [Gate] counts for any number of listeners; [Gate.Listen] puts one behind it, and [Serve] ends a server behind
// one in order. A connection ends when a command line before TLS ends with a bare CR
// or LF; [LoneCROrLF] finds in a body what smuggles a second mail. [SelfSigned]
// makes a certificate for clients that check none. It imports nothing of ours.
package gate

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits are those of a gate.
type Limits struct {
	MaxConns    int           // open at once
	PerIP       int           // open at once from one address, of IPv6 from one /64
	PerIPMinute int           // new ones a minute from there
	Lifetime    time.Duration // of a connection, whatever it does
}

// Gate counts connections: all that are open, those of each address, and how
// many of each address began in this minute.
type Gate struct {
	limits Limits

	mu     sync.Mutex
	open   int
	byIP   map[string]int
	minute int64
	began  map[string]int // in minute
}

// silence is how long a connection may say nothing while others stand at the
// door: far less than its idle timeout, and more than any server needs that has
// something to say.
const silence = 10 * time.Second

// New makes a gate.
func New(l Limits) *Gate {
	return &Gate{limits: l, byIP: map[string]int{}, began: map[string]int{}}
}

// enter tells whether a connection from a source may come in; leave gives its
// place back.
func (g *Gate) enter(ip string, now time.Time) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := now.Unix() / 60; m != g.minute {
		g.minute, g.began = m, map[string]int{}
	}
	if len(g.began) < 100_000 { // beyond it, many addresses are at work and the total bounds them
		g.began[ip]++
	}
	switch {
	case g.byIP[ip] >= g.limits.PerIP || g.began[ip] > g.limits.PerIPMinute:
		return tooMany
	case g.open >= g.limits.MaxConns:
		if g.began[ip] > 0 {
			g.began[ip]-- // it may come again at once
		}
		return full
	}
	g.open++
	g.byIP[ip]++
	return admitted
}

// verdict is what becomes of a connection at the door.
type verdict int

const (
	admitted verdict = iota
	tooMany          // of this address
	full             // of all
)

// sourceOf is what addresses are counted by: of IPv6 the /64, which is as much
// as one customer of a network has.
func sourceOf(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil || !a.Is6() || a.Is4In6() {
		return ip
	}
	p, err := a.WithZone("").Prefix(64)
	if err != nil {
		return ip
	}
	return p.String()
}

func (g *Gate) leave(ip string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.byIP[ip]--; g.byIP[ip] <= 0 {
		delete(g.byIP, ip)
	}
}

// Listener lets connections through a gate and remembers them.
type Listener struct {
	net.Listener
	Encrypted bool // what comes is TLS from the first byte; set it before use
	gate      *Gate

	mu       sync.Mutex
	conns    map[*Conn]struct{}
	draining bool
}

// Listen puts a listener behind the gate.
func (g *Gate) Listen(l net.Listener) *Listener {
	return &Listener{Listener: l, gate: g, conns: map[*Conn]struct{}{}}
}

// Accept gives the next connection that the gate lets in. Others get a 421.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(ip); err == nil {
			ip = host
		}
		source := sourceOf(ip)
		if !l.admit(source) {
			// A few bytes into a fresh socket's buffer: this waits for nobody.
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = c.Write([]byte("421 4.7.0 Too many connections, try again later\r\n"))
			_ = c.Close()
			continue
		}
		g := &Conn{Conn: c, IP: ip, until: time.Now().Add(l.gate.limits.Lifetime), heard: time.Now()}
		if l.Encrypted {
			g.lines.state = encrypted
		}
		g.leave = sync.OnceFunc(func() {
			l.gate.leave(source)
			l.mu.Lock()
			delete(l.conns, g)
			l.mu.Unlock()
		})
		l.mu.Lock()
		l.conns[g] = struct{}{}
		draining := l.draining
		l.mu.Unlock()
		if draining {
			_ = g.Close()
		}
		return g, nil
	}
}

// admit asks the gate, and makes room when it is full.
func (l *Listener) admit(source string) bool {
	got := l.gate.enter(source, time.Now())
	if got == full && l.displace(time.Now().Add(-silence)) {
		got = l.gate.enter(source, time.Now())
	}
	return got == admitted
}

// displace closes the connection that has said nothing for longest, if that is
// since a time at least. One that waits for our reply is left alone.
func (l *Listener) displace(since time.Time) bool {
	var longest *Conn
	l.mu.Lock()
	for g := range l.conns {
		if at, waits := g.silentSince(); waits && at.Before(since) {
			longest, since = g, at
		}
	}
	l.mu.Unlock()
	if longest == nil {
		return false
	}
	_ = longest.Close()
	return true
}

// Drain lets no connection wait long for its next command.
func (l *Listener) Drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draining = true
	for g := range l.conns {
		g.hurry()
	}
}

// CloseAll closes every connection.
func (l *Listener) CloseAll() {
	l.mu.Lock()
	var all []*Conn
	for g := range l.conns {
		all = append(all, g)
	}
	l.mu.Unlock()
	for _, g := range all {
		_ = g.Close()
	}
}

// Conn is a connection with an end: no deadline is later, and it can be told
// to close after the next reply.
type Conn struct {
	net.Conn
	IP    string // of the other side, without its port
	leave func()

	mu      sync.Mutex
	until   time.Time
	last    bool      // the next write is the last
	lines   lines     // what the client says
	reading bool      // the server waits for it
	heard   time.Time // when it said something last
}

// errBareLineEnd ends the reading of a connection.
var errBareLineEnd = errors.New("a command line ended with a bare CR or LF")

// Read reads. A command line that does not end with CR LF is answered with 500
// and ends the connection before the server sees it.
func (g *Conn) Read(b []byte) (int, error) {
	g.mu.Lock()
	g.reading = true
	g.mu.Unlock()
	n, err := g.Conn.Read(b)
	g.mu.Lock()
	g.reading = false
	if n > 0 {
		g.heard = time.Now()
	}
	whole := g.lines.read(b[:n])
	g.mu.Unlock()
	if whole {
		return n, err
	}
	_ = g.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = g.Conn.Write([]byte("500 5.5.2 Lines end with CR LF; a bare CR or LF is refused, and the connection closed\r\n"))
	_ = g.Close()
	return 0, errBareLineEnd
}

// silentSince is when the connection said something last, and whether the
// server waits for it to go on.
func (g *Conn) silentSince() (time.Time, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard, g.reading
}

func (g *Conn) bound(t time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.IsZero() || t.After(g.until) {
		return g.until
	}
	return t
}

// SetDeadline sets both deadlines, within the connection's lifetime.
func (g *Conn) SetDeadline(t time.Time) error { return g.Conn.SetDeadline(g.bound(t)) }

// SetReadDeadline sets the deadline of reads, within the connection's lifetime.
func (g *Conn) SetReadDeadline(t time.Time) error { return g.Conn.SetReadDeadline(g.bound(t)) }

// hurry gives the connection two more seconds.
func (g *Conn) hurry() {
	soon := time.Now().Add(2 * time.Second)
	g.mu.Lock()
	if soon.Before(g.until) {
		g.until = soon
	}
	g.mu.Unlock()
	_ = g.Conn.SetReadDeadline(soon)
}

// CloseAfterWrite closes the connection with its next write.
func (g *Conn) CloseAfterWrite() {
	g.mu.Lock()
	g.last = true
	g.mu.Unlock()
}

// Write writes; the last reply closes the connection.
func (g *Conn) Write(b []byte) (int, error) {
	g.mu.Lock()
	g.lines.replied(b) // before the client can answer it
	g.mu.Unlock()
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
func (g *Conn) Close() error {
	g.leave()
	return g.Conn.Close()
}

// Raw is the connection below TLS.
func Raw(c net.Conn) (*Conn, bool) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	g, ok := c.(*Conn)
	return g, ok
}

// LoneCROrLF tells whether a CR is without its LF, or an LF without its CR: how
// a second mail is smuggled past a server that takes it for the end of a line.
func LoneCROrLF(b []byte) bool {
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') || c == '\r' && i+1 < len(b) && b[i+1] != '\n' {
			return true
		}
	}
	return false
}
