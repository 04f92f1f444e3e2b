package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Dial opens a session and brings it to where MAIL can be said: resolve, address
// check, connect, banner, EHLO, TLS, EHLO again, AUTH. It fails with an *Error
// whose Session method reports true. Cancelling ctx during Dial closes the
// connection; afterwards ctx has no power over the session.
func Dial(ctx context.Context, c Config) (*Client, error) {
	client, e := dial(ctx, &c, nil)
	if e != nil {
		return nil, e
	}
	return client, nil
}

func dial(ctx context.Context, cfg *Config, t *Transaction) (*Client, *Error) {
	t.begin()
	if err := cfg.check(); err != nil {
		e := &Error{Stage: StageResolve, Class: ClassProtocol, Permanent: true, Err: fmt.Errorf("configuration: %w", err)}
		t.note(StageResolve, "", e)
		return nil, e
	}
	addrs, e := resolve(ctx, cfg, t)
	if e != nil {
		return nil, e
	}
	raw, e := connect(ctx, cfg, addrs)
	if e != nil {
		t.note(StageConnect, "", e)
		return nil, e
	}
	t.note(StageConnect, raw.RemoteAddr().String(), nil)

	c := newClient(cfg, raw)
	t.session(c)
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	e = c.greet(ctx, t)
	t.session(c)
	if !stop() && e == nil {
		e = died(StageEHLO, cause(ctx))
	}
	if e != nil {
		_ = raw.Close()
		return nil, e
	}
	return c, nil
}

// resolve looks the host up and drops addresses that may not be connected to. A
// refused address counts as a failure to connect: the name itself was fine.
func resolve(ctx context.Context, cfg *Config, t *Transaction) ([]netip.Addr, *Error) {
	rctx, cancel := context.WithTimeout(ctx, cfg.limit(connectTimeout))
	defer cancel()
	addrs, err := lookup(rctx, cfg.Resolver, cfg.Host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: cfg.Host, IsNotFound: true}
	}
	if err != nil {
		e := withCause(ctx, died(StageResolve, err))
		t.note(StageResolve, "", e)
		return nil, e
	}
	if t != nil {
		t.note(StageResolve, fmt.Sprint(addrs), nil)
	}
	if !cfg.AllowPrivate {
		if addrs, err = publicOnly(cfg.Host, addrs); err != nil {
			e := died(StageConnect, err)
			t.note(StageConnect, "", e)
			return nil, e
		}
	}
	return addrs, nil
}

// connect tries the addresses in order and shares the time among them.
func connect(ctx context.Context, cfg *Config, addrs []netip.Addr) (net.Conn, *Error) {
	dialer := cfg.Dial
	if dialer == nil {
		dialer = (&net.Dialer{}).DialContext
	}
	const maxAddrs = 6
	addrs = addrs[:min(len(addrs), maxAddrs)]
	deadline := time.Now().Add(cfg.limit(connectTimeout))
	var first error
	for i, ip := range addrs {
		share := time.Until(deadline) / time.Duration(len(addrs)-i)
		actx, cancel := context.WithTimeout(ctx, share)
		conn, err := dialer(actx, "tcp", net.JoinHostPort(ip.String(), strconv.Itoa(cfg.Port)))
		cancel()
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, withCause(ctx, died(StageConnect, first))
}

// greet runs the session from the banner to AUTH.
func (c *Client) greet(ctx context.Context, t *Transaction) *Error {
	if c.cfg.Security == SecurityTLS {
		if e := c.handshake(ctx, t); e != nil {
			return e
		}
	}
	r, e := c.read(StageBanner, c.cfg.limit(commandTimeout))
	if e == nil {
		e = c.judge(StageBanner, r, r.Code == 220)
	}
	if e = withCause(ctx, e); e != nil {
		t.step(StageBanner, r, e)
		return e
	}
	t.step(StageBanner, r, nil)
	if e := c.ehlo(ctx, t); e != nil {
		return e
	}
	if c.cfg.Security == SecurityStartTLS {
		if e := c.startTLS(ctx, t); e != nil {
			return e
		}
		if e := c.handshake(ctx, t); e != nil {
			return e
		}
		if e := c.ehlo(ctx, t); e != nil {
			return e
		}
	}
	return c.authenticate(ctx, t)
}

// ehlo introduces us and learns the extensions, forgetting earlier ones. A server
// that does not know EHLO gets HELO (RFC 5321 section 4.1.1.1).
func (c *Client) ehlo(ctx context.Context, t *Transaction) *Error {
	name := c.cfg.helo(c.raw.LocalAddr())
	c.ext = Extensions{}
	r, e := c.cmd(StageEHLO, "EHLO "+name)
	if e == nil && (r.Code == 500 || r.Code == 502) {
		if r, e = c.cmd(StageEHLO, "HELO "+name); e == nil {
			r.Text, _, _ = cutLine(r.Text)
		}
	}
	if e == nil {
		e = c.judge(StageEHLO, r, r.Code == 250)
	}
	if e = withCause(ctx, e); e == nil {
		c.ext = parseExtensions(r.Text)
	}
	t.step(StageEHLO, r, e)
	return e
}

// startTLS asks for TLS and makes sure that nothing was slipped in behind the
// reply, which would otherwise be taken for an answer under TLS (CVE-2011-0411).
func (c *Client) startTLS(ctx context.Context, t *Transaction) *Error {
	if !c.ext.StartTLS {
		e := died(StageStartTLS, ErrNoStartTLS)
		t.note(StageStartTLS, "", e)
		return e
	}
	r, e := c.cmd(StageStartTLS, "STARTTLS")
	if e == nil {
		e = c.judge(StageStartTLS, r, r.Code == 220)
	}
	if e == nil && c.r.Buffered() > 0 {
		c.broken = true
		e = died(StageStartTLS, fmt.Errorf("%w between STARTTLS and the handshake", ErrUnsolicited))
	}
	e = withCause(ctx, e)
	t.step(StageStartTLS, r, e)
	return e
}

// handshake puts TLS under the session and starts both buffers afresh.
func (c *Client) handshake(ctx context.Context, t *Transaction) *Error {
	conn := tls.Client(c.raw, c.cfg.tlsConfig())
	err := c.raw.SetDeadline(time.Now().Add(c.cfg.limit(connectTimeout)))
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err != nil {
		c.broken = true
		e := withCause(ctx, died(StageTLS, err))
		t.note(StageTLS, "", e)
		return e
	}
	_ = c.raw.SetDeadline(time.Time{})
	c.attach(conn)
	c.tls = tlsInfo(conn.ConnectionState())
	t.note(StageTLS, c.tls.Version+" "+c.tls.Cipher+" "+c.tls.PeerName, nil)
	return nil
}

// Close says QUIT, waits briefly for the answer, and closes the connection. It
// returns the error of closing only. It may be called more than once.
func (c *Client) Close() error {
	if !c.broken {
		c.quit(nil)
	}
	c.broken = true
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close SMTP connection: %w", err)
	}
	return nil
}

// quit ends the session politely; the outcome matters to the probe alone.
func (c *Client) quit(t *Transaction) {
	t.begin()
	var r Reply
	c.out.limit = quitTimeout
	e := c.line(StageQuit, "QUIT")
	if e == nil {
		r, e = c.read(StageQuit, quitTimeout)
	}
	if e == nil {
		e = c.judge(StageQuit, r, r.Code == 221)
	}
	t.step(StageQuit, r, e)
	c.broken = true
}
