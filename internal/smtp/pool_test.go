package smtp

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func newPool(t *testing.T, srv *smtptest.Server, opts PoolOptions) *Pool {
	t.Helper()
	p := NewPool(configFor(srv), opts)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestPoolReuses(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	p := newPool(t, srv, PoolOptions{MaxConns: 3})
	for i := range 5 {
		env := testEnv
		env.Trace = new(Transaction)
		if _, err := p.Send(t.Context(), env, testBody); err != nil {
			t.Fatal(err)
		}
		want := "mail rcpt data final"
		if i == 0 {
			want = "resolve connect banner ehlo " + want
		}
		if got := stepList(env.Trace.Steps); got != want || env.Trace.Reused != (i > 0) {
			t.Errorf("message %d: %s, reused %v", i, got, env.Trace.Reused)
		}
	}
	if n := srv.Sessions(); n != 1 {
		t.Errorf("%d connections for 5 messages", n)
	}
}

// countedConn lowers open once when it is closed.
type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.open.Add(-1) })
	return err
}

func TestPoolBounds(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	cfg := configFor(srv)
	var open, most atomic.Int64
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		n := open.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return &countedConn{Conn: conn, open: &open}, nil
	}
	p := NewPool(cfg, PoolOptions{MaxConns: 3, MaxMessagesPerConn: 4})
	defer p.Close()
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(srv.Messages()); n != 40 {
		t.Errorf("%d messages", n)
	}
	if n := most.Load(); n > 3 {
		t.Errorf("%d connections at one time", n)
	}
	perConn := map[int]int{}
	for _, m := range srv.Messages() {
		perConn[m.Session]++
	}
	for s, n := range perConn {
		if n > 4 {
			t.Errorf("session %d carried %d messages", s, n)
		}
	}
}

// A session the server closed while idle costs one new connection and no message.
func TestPoolStale(t *testing.T) {
	for _, ehlo := range [][]string{nil, withoutPipelining()} {
		srv := smtptest.New(t, smtptest.Script{EHLO: ehlo})
		p := newPool(t, srv, PoolOptions{})
		for range 3 {
			if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
				t.Fatal(err)
			}
			srv.CloseConns()
		}
		if n, m := srv.Sessions(), len(srv.Messages()); n != 3 || m != 3 {
			t.Errorf("%d connections, %d messages", n, m)
		}
	}
	// The same with a 421 instead of the next answer.
	srv := smtptest.New(t, smtptest.Script{
		Final:      func(smtptest.Envelope, []byte) string { return "250 ok\r\n421 4.4.2 idle too long" },
		CloseAfter: 1,
	})
	p := newPool(t, srv, PoolOptions{})
	for range 3 {
		if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(srv.Messages()); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// A server that refuses RSET loses the session; the message goes on a new one.
func TestPoolRsetRefused(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{
		Rset: "502 5.5.1 no RSET here",
		Rcpt: func(to string) string {
			if strings.HasPrefix(to, "bad") {
				return "550 5.1.1 no"
			}
			return ""
		},
	})
	p := newPool(t, srv, PoolOptions{})
	if _, err := p.Send(t.Context(), Envelope{From: "a@b", To: "bad@d"}, testBody); err == nil {
		t.Fatal("no error")
	}
	if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
		t.Fatal(err)
	}
	if n := len(srv.Messages()); n != 1 || srv.Sessions() != 2 {
		t.Errorf("%d messages, %d connections", n, srv.Sessions())
	}
}

// After the body may have left, or on a new connection, nothing is repeated.
func TestPoolDoesNotRepeat(t *testing.T) {
	f := func(s smtptest.Script, before, sessions int, stage Stage, ambiguous bool) {
		t.Helper()
		srv := smtptest.New(t, s)
		p := newPool(t, srv, PoolOptions{})
		for range before {
			if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
				t.Fatal(err)
			}
		}
		_, err := p.Send(t.Context(), testEnv, testBody)
		if e := asError(t, err); e.Stage != stage || e.Ambiguous() != ambiguous {
			t.Errorf("%+v", e)
		}
		if n := srv.Sessions(); n != sessions {
			t.Errorf("%d connections, want %d", n, sessions)
		}
	}
	f(smtptest.Script{CutAt: "mail"}, 0, 1, StageMail, false)
	f(smtptest.Script{CutAt: "rcpt", CutAfter: 1}, 1, 1, StageRcpt, false)
	f(smtptest.Script{CutAt: "final", CutAfter: 1}, 1, 1, StageFinal, true)
	f(smtptest.Script{Mail: "421 4.7.0 go away"}, 0, 1, StageMail, false)
	f(smtptest.Script{Banner: "554 no"}, 0, 1, StageBanner, false)
}

func TestPoolDropsUnusable(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{Rcpt: func(to string) string {
		if strings.HasPrefix(to, "bad") {
			return "421 4.7.0 closing"
		}
		return ""
	}})
	p := newPool(t, srv, PoolOptions{})
	if _, err := p.Send(t.Context(), Envelope{From: "a@b", To: "bad@d"}, testBody); err == nil {
		t.Fatal("no error")
	}
	if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
		t.Fatal(err)
	}
	if n := srv.Sessions(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestPoolIdleTimeout(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	p := newPool(t, srv, PoolOptions{IdleTimeout: 20 * time.Millisecond})
	for range 2 {
		if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
			t.Fatal(err)
		}
		if err := srv.WaitOpen(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range srv.Commands() {
		if c[len(c)-1] != "QUIT" {
			t.Errorf("left without QUIT: %q", c)
		}
	}
}

func TestPoolWaits(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{HangAt: "final"})
	p := newPool(t, srv, PoolOptions{MaxConns: 1})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := p.Send(ctx, testEnv, testBody)
		if e := asError(t, err); !errors.Is(err, context.Canceled) || e.Stage == StageConnect {
			t.Errorf("first: %v", err)
		}
	})
	if err := srv.WaitCommands(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	busy, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	_, err := p.Send(busy, testEnv, testBody)
	if e := asError(t, err); !errors.Is(err, ErrPoolBusy) || e.Session() || e.Class != ClassTimeout {
		t.Errorf("second: %v", err)
	}
	cancel()
	wg.Wait()
}

func TestPoolClose(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	p := newPool(t, srv, PoolOptions{MaxConns: 2})
	if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := srv.WaitOpen(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if c := srv.Commands()[0]; c[len(c)-1] != "QUIT" {
		t.Errorf("%q", c)
	}
	_, err := p.Send(t.Context(), testEnv, testBody)
	if e := asError(t, err); !errors.Is(err, ErrPoolClosed) || e.Session() {
		t.Errorf("%v", err)
	}
}

// A server that ends a session's usefulness with 452 instead of 421 costs a new
// session and no message; a refusal that a new session meets too is not repeated.
func TestPoolSessionFull(t *testing.T) {
	f := func(reply string, sessions int, fails bool) {
		t.Helper()
		var n atomic.Int64 // of MAIL
		srv := smtptest.New(t, smtptest.Script{MailFunc: func(string) string {
			if n.Add(1) == 3 {
				return reply
			}
			return ""
		}})
		p := newPool(t, srv, PoolOptions{})
		for i := range 4 {
			_, err := p.Send(t.Context(), testEnv, testBody)
			if (err != nil) != (fails && i == 2) {
				t.Errorf("%s: message %d: %v", reply, i, err)
			}
		}
		if srv.Sessions() != sessions {
			t.Errorf("%s: %d connections", reply, srv.Sessions())
		}
	}
	f("452 4.5.3 Too many messages sent", 2, false)
	f("421 4.7.0 too many messages in this connection", 2, false)
	f("452 4.3.1 Insufficient system storage", 1, true)
	f("451 4.3.0 later", 1, true)
}

// A server that offers PIPELINING and loses what comes in a group is sent one
// command at a time after the first loss.
func TestPoolBrokenPipelining(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{LosePipelined: true})
	cfg := configFor(srv)
	cfg.StepTimeout = shortStep
	var p *Pool
	e := patiently(&cfg, StageRcpt, func() *Error {
		p = NewPool(cfg, PoolOptions{})
		_, err := p.Send(t.Context(), testEnv, testBody)
		return asError(t, err)
	})
	defer p.Close()
	if e.Stage != StageRcpt || e.Class != ClassTimeout || e.Permanent || e.Ambiguous() {
		t.Errorf("%+v", e)
	}
	p.cfg.StepTimeout = time.Minute
	for range 2 {
		if _, err := p.Send(t.Context(), testEnv, testBody); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(srv.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
	if res := Probe(t.Context(), p.cfg, testEnv.From, testEnv.To, testBody); !res.Success {
		t.Errorf("probe: %+v", res)
	}
}

// 530 speaks of the provider whatever command it answers.
func TestDemandSpeaksOfProvider(t *testing.T) {
	f := func(reply, hintHas string) {
		t.Helper()
		srv := smtptest.New(t, smtptest.Script{Mail: reply})
		cfg := configFor(srv)

		_, err := mustDial(t, cfg).Send(t.Context(), testEnv, testBody)
		if e := asError(t, err); e.Stage != StageMail || !e.Session() || !e.Permanent {
			t.Errorf("%+v", e)
		}
		if h := Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody).Hint; !strings.Contains(h, hintHas) {
			t.Errorf("%s: hint %q", reply, h)
		}
	}
	f("530 5.7.0 Must issue a STARTTLS command first", "smtpSecurity starttls")
	f("530 5.7.0 Authentication required", "user name and password")
}
