package smtp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PoolOptions bound a [Pool].
type PoolOptions struct {
	MaxConns           int           // connections at one time; 0: 1
	MaxMessagesPerConn int           // transactions before QUIT; 0: no limit
	IdleTimeout        time.Duration // an idle session lives this long; 0: 60 s
}

// Pool keeps sessions to one server and reuses them, last in first out. It is
// safe for concurrent use. Close it to end its sessions.
type Pool struct {
	cfg   Config
	opts  PoolOptions
	slots chan struct{} // one token per connection in use or being closed
	done  chan struct{} // closed by Close

	mu     sync.Mutex
	idle   []idleClient // oldest first
	closed bool
	reaper *time.Timer // runs while idle is not empty

	stepwiseUntil atomic.Int64 // nanoseconds; no pipelining before then

	wg sync.WaitGroup // reaper runs and sessions being closed
}

type idleClient struct {
	*Client
	since time.Time
}

// NewPool makes a pool; nothing is dialled before the first Send.
func NewPool(c Config, opts PoolOptions) *Pool {
	opts.MaxConns = max(opts.MaxConns, 1)
	if opts.IdleTimeout <= 0 {
		opts.IdleTimeout = time.Minute
	}
	return &Pool{
		cfg: c, opts: opts,
		slots: make(chan struct{}, opts.MaxConns),
		done:  make(chan struct{}),
	}
}

// Send runs one transaction on an idle session or a new one, and waits for a
// place when MaxConns are in use. When an idle session proves to be dead (the
// connection ends, or 421 comes, before any other answer to MAIL), nothing of
// the body was sent and the transaction is repeated once on a new connection.
// Errors are those of Dial and Client.Send; a full pool whose wait the context
// ended and a closed pool are reported at stage connect.
func (p *Pool) Send(ctx context.Context, env Envelope, body ...[]byte) (Reply, error) {
	r, e := p.send(ctx, &env, body)
	if e == nil {
		return r, nil
	}
	if e.Reply != nil {
		r = *e.Reply
	}
	return r, e
}

func (p *Pool) send(ctx context.Context, env *Envelope, body [][]byte) (Reply, *Error) {
	select {
	case p.slots <- struct{}{}:
	case <-p.done:
		return Reply{}, died(StageConnect, ErrPoolClosed)
	case <-ctx.Done():
		return Reply{}, died(StageConnect, fmt.Errorf("%w: %w", ErrPoolBusy, cause(ctx)))
	}
	c, e := p.take()
	if c != nil {
		r, se := p.transact(ctx, c, env, body)
		if !stale(ctx, c, se) {
			p.give(c)
			return r, se
		}
		_ = c.raw.Close()
		c = nil
	}
	if e == nil {
		c, e = dial(ctx, &p.cfg, env.Trace)
	}
	if e != nil {
		<-p.slots
		return Reply{}, e
	}
	r, e := p.transact(ctx, c, env, body)
	p.give(c)
	return r, e
}

// distrust is how long a pool sends commands one by one after a pipelined group
// was left without all of its answers.
const distrust = 10 * time.Minute

// transact is Client.send with an eye on servers that offer PIPELINING and then
// lose what follows the first command of a group: without it every message to
// such a server would end in the same timeout.
func (p *Pool) transact(ctx context.Context, c *Client, env *Envelope, body [][]byte) (Reply, *Error) {
	c.stepwise = time.Now().Before(time.Unix(0, p.stepwiseUntil.Load()))
	r, e := c.send(ctx, env, body)
	if e != nil && e.Reply == nil && ctx.Err() == nil && c.pipelines() && (e.Stage == StageRcpt || e.Stage == StageData) {
		p.stepwiseUntil.Store(time.Now().Add(distrust).UnixNano())
	}
	return r, e
}

// stale reports whether a reused session had ended before this transaction. In
// these stages no 354 was read, so nothing of the body can have been sent. A
// session that merely does not answer is not repeated: that took minutes already.
func stale(ctx context.Context, c *Client, e *Error) bool {
	if e == nil || ctx.Err() != nil || (e.Stage != StageMail && e.Stage != StageRset) {
		return false
	}
	if full(e) {
		return true
	}
	if c.Usable() {
		return false
	}
	if e.Stage == StageRset && e.Reply != nil {
		return true // a server that will not reset; the message is not at fault
	}
	if e.Reply != nil {
		return e.Reply.Code == 421
	}
	return !errors.Is(e, os.ErrDeadlineExceeded)
}

// full reports whether the server will take no more messages on a session that
// it keeps open. OpenSMTPD says 452 4.5.3 to MAIL after 100 of them; other
// servers say 421. A full disk (452 4.3.1) is met by a new session too.
func full(e *Error) bool {
	return e.Stage == StageMail && e.Reply != nil && e.Reply.Code == 452 && e.Reply.Enhanced != "4.3.1"
}

// take returns the youngest idle session, or nil when one must be dialled.
func (p *Pool) take() (*Client, *Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, died(StageConnect, ErrPoolClosed)
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	c := p.idle[n-1].Client
	p.idle[n-1] = idleClient{}
	p.idle = p.idle[:n-1]
	return c, nil
}

// give takes a session back and frees its slot, or ends the session first.
func (p *Pool) give(c *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spent := p.opts.MaxMessagesPerConn > 0 && c.sent >= p.opts.MaxMessagesPerConn
	if p.closed || spent || !c.Usable() {
		p.retire(c)
		return
	}
	p.idle = append(p.idle, idleClient{c, time.Now()})
	if p.reaper == nil {
		p.arm(p.opts.IdleTimeout)
	}
	<-p.slots
}

// retire ends a session; mu is held. QUIT may take a moment, so it is said
// beside the caller, and the slot stays taken until then: the server never sees
// more than MaxConns. A closed pool starts no goroutine that Close would miss.
func (p *Pool) retire(c *Client) {
	if p.closed || !c.Usable() {
		_ = c.raw.Close()
		<-p.slots
		return
	}
	p.wg.Go(func() {
		_ = c.Close()
		<-p.slots
	})
}

// arm schedules the next look at idle sessions; mu is held.
func (p *Pool) arm(d time.Duration) {
	p.wg.Add(1)
	p.reaper = time.AfterFunc(d, func() {
		defer p.wg.Done()
		closeAll(p.expired(time.Now()))
	})
}

// expired takes out the sessions that idled long enough and arms the reaper for
// the rest.
func (p *Pool) expired(now time.Time) []idleClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= p.opts.IdleTimeout {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.reaper = nil
	if len(p.idle) > 0 && !p.closed {
		p.arm(p.opts.IdleTimeout - now.Sub(p.idle[0].since))
	}
	return old
}

// Close ends the idle sessions with QUIT and refuses further sends. Sessions in
// use end, without QUIT, when their Send returns; Close does not wait for those. It always
// returns nil and may be called more than once.
func (p *Pool) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.done)
		if p.reaper != nil && p.reaper.Stop() {
			p.wg.Done()
		}
		p.reaper = nil
	}
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	closeAll(idle)
	p.wg.Wait()
	return nil
}

func closeAll(clients []idleClient) {
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { _ = c.Close() })
	}
	wg.Wait()
}
