package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// refreshAfter bounds how long a changed provider, pool or domain goes
// unnoticed (D-9 asks for five seconds of keys; these follow the same rule).
const refreshAfter = 3 * time.Second

// relays holds what this node keeps of each provider while it relays to it:
// the settings, the SMTP sessions, the breaker, and what is in flight.
type relays struct {
	cfg *Config
	mu  sync.Mutex
	all map[int64]*relay
}

type relay struct {
	provider waypost.Provider
	gone     bool       // it was deleted while its mail waited
	pool     *smtp.Pool // nil when gone
	fault    error      // why no session can be made at all, such as a password that cannot be opened
	breaker  *breaker   // outlives changes of the settings

	mu     sync.Mutex
	places int // free places for messages in flight
	flying map[waypost.Mailbox]int
	dry    map[waypost.Mailbox]time.Time // lanes without tokens, until when
	read   time.Time
}

func newRelays(cfg *Config) *relays { return &relays{cfg: cfg, all: map[int64]*relay{}} }

// get finds a provider's relay, reading the provider again when what is known
// is old, and starting new sessions when it changed. A provider that is gone
// has a relay too, for what still waits for it.
func (rs *relays) get(ctx context.Context, id int64) (*relay, error) {
	rs.mu.Lock()
	r := rs.all[id]
	rs.mu.Unlock()
	if r != nil && r.fresh(time.Now()) {
		return r, nil
	}
	if id == waypost.SimulatorProvider {
		return rs.simulator(), nil
	}
	p, err := rs.cfg.Store.AnyProvider(ctx, id)
	gone := errors.Is(err, store.ErrNotFound)
	if err != nil && !gone {
		return nil, fmt.Errorf("read provider %d: %w", id, err)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	old := rs.all[id]
	if old != nil && old.gone == gone && (gone || old.provider.Updated.Equal(p.Updated)) {
		old.touch()
		return old, nil
	}
	r = &relay{
		provider: p, gone: gone, breaker: &breaker{}, places: rs.cfg.InFlight,
		flying: map[waypost.Mailbox]int{}, dry: map[waypost.Mailbox]time.Time{}, read: time.Now(),
	}
	if gone {
		r.provider = waypost.Provider{ID: id, Name: "(deleted)"}
	} else {
		rs.open(r)
	}
	if old != nil {
		r.breaker = old.breaker
		if old.pool != nil {
			go func() { _ = old.pool.Close() }() // QUIT on idle sessions; those in use end after their message
		}
	}
	rs.all[id] = r
	return r, nil
}

// simulator is the relay of simulated recipients: it has places for messages in
// flight, and no sessions.
func (rs *relays) simulator() *relay {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[waypost.SimulatorProvider]
	if r == nil {
		r = &relay{
			provider: waypost.Provider{ID: waypost.SimulatorProvider, Name: "(simulator)"}, breaker: &breaker{}, places: rs.cfg.InFlight,
			flying: map[waypost.Mailbox]int{}, dry: map[waypost.Mailbox]time.Time{},
		}
		rs.all[waypost.SimulatorProvider] = r
	}
	return r
}

// open makes the sessions of a relay.
func (rs *relays) open(r *relay) {
	config, err := rs.smtpConfig(&r.provider)
	r.fault = err
	options := smtp.PoolOptions{MaxConns: rs.cfg.Sessions, MaxMessagesPerConn: rs.cfg.PerSession}
	if n := r.provider.MaxConnections; n > 0 {
		options.MaxConns = n
	}
	if n := r.provider.MaxPerSession; n > 0 {
		options.MaxMessagesPerConn = n
	}
	r.pool = smtp.NewPool(config, options)
}

func (rs *relays) smtpConfig(p *waypost.Provider) (smtp.Config, error) {
	c := smtp.Config{
		Host: p.Host, Port: p.Port, Security: smtp.Security(p.Security),
		Username: p.Username, Auth: smtp.AuthMethod(p.Auth), HELO: p.HELO,
		TLSSkipVerify: p.TLSSkipVerify, AllowPlainAuth: p.PlainAuth,
		AllowPrivate: rs.cfg.AllowPrivate, Resolver: rs.cfg.Resolver,
	}
	if len(p.Password) == 0 {
		return c, nil
	}
	password, err := rs.cfg.Box.Open(p.Password, PasswordPlace)
	if err != nil {
		return c, fmt.Errorf("password of provider %q: %w", p.Name, err)
	}
	c.Password = string(password)
	return c, nil
}

// PasswordPlace is the place that a provider's password is sealed for.
const PasswordPlace = "provider password"

// forget makes the next use of a provider read it again.
func (rs *relays) forget(id int64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.all[id]; r != nil {
		r.mu.Lock()
		r.read = time.Time{}
		r.mu.Unlock()
	}
}

// known gives the relay of a provider that this node has used; nil otherwise.
func (rs *relays) known(id int64) *relay {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.all[id]
}

// room tells whether a lane can take another message now.
func (rs *relays) room(lane waypost.Lane) bool {
	r := rs.known(lane.Provider)
	return r == nil || r.room(lane.Mailbox, 1) > 0
}

func (rs *relays) close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for id, r := range rs.all {
		if r.pool != nil {
			_ = r.pool.Close()
		}
		delete(rs.all, id)
	}
}

// room is how many of n messages of a category may take off now.
func (r *relay) room(box waypost.Mailbox, n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.places)
	if most := r.provider.Settings[box].MaxConnections; most > 0 {
		n = min(n, most-r.flying[box])
	}
	return max(n, 0)
}

// take reserves places for up to n messages of a category and tells how many.
func (r *relay) take(box waypost.Mailbox, n int) int {
	n = r.room(box, n)
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.places)
	r.places -= n
	r.flying[box] += n
	return n
}

func (r *relay) free(box waypost.Mailbox, n int) {
	r.mu.Lock()
	r.places += n
	r.flying[box] -= n
	r.mu.Unlock()
}

// setDry notes until when a lane has no tokens; zero when it has some.
func (r *relay) setDry(box waypost.Mailbox, until time.Time) {
	r.mu.Lock()
	r.dry[box] = until
	r.mu.Unlock()
}

// dryUntil is when a lane has tokens again, as far as is known.
func (r *relay) dryUntil(box waypost.Mailbox) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dry[box]
}

func (r *relay) fresh(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Sub(r.read) < refreshAfter
}

func (r *relay) touch() {
	r.mu.Lock()
	r.read = time.Now()
	r.mu.Unlock()
}

// Relaying is what a node knows of a provider that it has relayed to since it
// started.
type Relaying struct {
	Provider int64
	InFlight int  // messages being handed over now
	Open     bool // the breaker lets nothing through (D-22)
}

// Relaying lists the providers of this node, in no order.
func (q *Queue) Relaying() []Relaying {
	now := time.Now()
	q.relays.mu.Lock()
	defer q.relays.mu.Unlock()
	out := make([]Relaying, 0, len(q.relays.all))
	for id, r := range q.relays.all {
		if id == waypost.SimulatorProvider || r.gone {
			continue
		}
		open, _, _ := r.breaker.state(now)
		out = append(out, Relaying{Provider: id, InFlight: r.inFlight(), Open: open})
	}
	return out
}

func (r *relay) inFlight() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.flying {
		n += of
	}
	return n
}

// InFlight counts the messages that this node is handing over now, and the
// providers that it hands them to.
func (q *Queue) InFlight() (messages, providers int) {
	q.relays.mu.Lock()
	defer q.relays.mu.Unlock()
	for id, r := range q.relays.all {
		if id == waypost.SimulatorProvider {
			continue
		}
		n := r.inFlight()
		messages += n
		if n > 0 {
			providers++
		}
	}
	return messages, providers
}
