package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // the SMTP library wants one; it writes to nowhere
	"net"
	"sync"
	"sync/atomic"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// The bounds of an SMTP server here.
const (
	maxSessions   = 100
	maxMessage    = 32 << 20
	maxRecipients = 100
	idleTimeout   = 2 * time.Minute
)

// serveSMTP answers SMTP on l until ctx ends, then closes what is open and
// waits for it. It returns nil after such an end. A session calls leave when
// it ends.
func serveSMTP(ctx context.Context, l net.Listener, host string, session func(leave func()) gosmtp.Session) error {
	var open atomic.Int64
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) {
		if open.Add(1) > maxSessions {
			open.Add(-1)
			return nil, &gosmtp.SMTPError{Code: 421, EnhancedCode: gosmtp.EnhancedCode{4, 7, 0}, Message: "Too many connections"}
		}
		return session(sync.OnceFunc(func() { open.Add(-1) })), nil
	}))
	srv.Domain = host
	srv.MaxMessageBytes, srv.MaxRecipients = maxMessage, maxRecipients
	srv.ReadTimeout, srv.WriteTimeout = idleTimeout, idleTimeout
	srv.AllowInsecureAuth = true // on loopback, to show AUTH without a certificate
	srv.EnableSMTPUTF8, srv.EnableDSN = true, true
	srv.ErrorLog = log.New(io.Discard, "", 0)

	conns := &connSet{Listener: l}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	err := srv.Serve(conns)
	conns.closeAll()
	_ = srv.Shutdown(context.WithoutCancel(ctx)) // waits for the sessions, which have lost their connections
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("serve SMTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// connSet is a listener that can close the connections it gave out.
type connSet struct {
	net.Listener
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

// Accept waits for the next connection and remembers it.
func (s *connSet) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[net.Conn]struct{}{}
	}
	t := &trackedConn{Conn: c, set: s}
	if s.closed {
		_ = c.Close()
		return t, nil
	}
	s.open[t] = struct{}{}
	return t, nil
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	s.closed = true
	all := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range all {
		_ = c.Close()
	}
}

type trackedConn struct {
	net.Conn
	set *connSet
}

// Close closes the connection and forgets it.
func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// wait pauses for d; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
