package smtptest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Server plays a Script on loopback. All methods are safe for concurrent use.
type Server struct {
	script Script
	ln     net.Listener
	wg     sync.WaitGroup

	received atomic.Int64

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced on every change
	messages []Message
	commands [][]string // by connection
	open     map[net.Conn]bool
	closed   bool
}

// New starts a server that ends with the test.
func New(t testing.TB, script Script) *Server {
	t.Helper()
	s, err := Listen(script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Listen starts a server outside of tests; the caller closes it.
func Listen(script Script) (*Server, error) { return ListenOn("127.0.0.1:0", script) }

// ListenOn is Listen on an address of the caller's choice, for a server that
// comes back where it was.
func ListenOn(addr string, script Script) (*Server, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	s := &Server{script: script, ln: ln, open: map[net.Conn]bool{}, changed: make(chan struct{})}
	s.wg.Go(s.accept)
	return s, nil
}

// Addr is "127.0.0.1:port".
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Host is the IP address.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is the port the system chose.
func (s *Server) Port() int {
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

// Close ends the listener and all connections and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.ln.Close()
	s.CloseConns()
	s.wg.Wait()
}

// CloseConns closes every open connection, as a server does that is tired of
// idle ones, and returns when none is left.
func (s *Server) CloseConns() {
	s.mu.Lock()
	for conn := range s.open {
		_ = conn.Close()
	}
	s.mu.Unlock()
	_ = s.wait(context.Background(), func() bool { return len(s.open) == 0 })
}

// Messages is what was received so far, in order of the final dots.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Received counts messages accepted with 2yz, also when they are discarded.
func (s *Server) Received() int64 { return s.received.Load() }

// Commands lists the command lines of each connection. AUTH responses are in
// there, so this is for tests.
func (s *Server) Commands() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([][]string, len(s.commands))
	for i, c := range s.commands {
		out[i] = slices.Clone(c)
	}
	return out
}

// Sessions counts connections accepted so far.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.commands)
}

// Open counts connections open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// WaitOpen waits until n connections are open or ctx ends.
func (s *Server) WaitOpen(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return len(s.open) == n })
}

// WaitCommands waits until all connections together sent n command lines.
func (s *Server) WaitCommands(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool {
		total := 0
		for _, c := range s.commands {
			total += len(c)
		}
		return total >= n
	})
}

// wait blocks until ok holds; ok is called with mu held.
func (s *Server) wait(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// update changes state under the lock and wakes the waiters.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		number, refuse := 0, false
		s.update(func() {
			if refuse = s.closed; !refuse {
				s.open[conn] = true
				s.commands = append(s.commands, nil)
				number = len(s.commands)
			}
		})
		if refuse {
			_ = conn.Close()
			return
		}
		s.wg.Go(func() {
			defer s.update(func() { delete(s.open, conn) })
			defer func() { _ = conn.Close() }()
			ses := &session{server: s, script: &s.script, raw: conn, number: number}
			ses.attach(conn)
			if s.script.ImplicitTLS && !ses.startTLS() {
				return
			}
			ses.run()
		})
	}
}

func (ses *session) startTLS() bool {
	conn := tls.Server(ses.raw, ses.script.TLS)
	if conn.HandshakeContext(context.Background()) != nil {
		return false
	}
	ses.attach(conn)
	ses.secure = true
	return true
}
