package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
)

// refreshAfter bounds how long a changed provider goes unnoticed (D-9 asks for
// five seconds of keys; providers follow the same rule).
const refreshAfter = 3 * time.Second

// relays holds what this node keeps of each provider while it relays to it:
// the settings, the SMTP sessions, and how many messages are in flight.
type relays struct {
	cfg *Config
	mu  sync.Mutex
	all map[int64]*relay
}

type relay struct {
	provider waypost.Provider
	pool     *smtp.Pool // nil for a provider that is gone
	fault    error      // why no session can be made at all, such as a password that cannot be opened

	mu     sync.Mutex
	places int // free places for messages in flight
	read   time.Time
}

func newRelays(cfg *Config) *relays { return &relays{cfg: cfg, all: map[int64]*relay{}} }

// get finds a provider's relay, reading the provider again when what is known
// is old, and starting new sessions when it changed.
func (rs *relays) get(ctx context.Context, id int64) (*relay, error) {
	rs.mu.Lock()
	r := rs.all[id]
	rs.mu.Unlock()
	if r != nil && r.fresh(time.Now()) {
		return r, nil
	}
	p, err := rs.cfg.Store.AnyProvider(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read provider %d: %w", id, err)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if now := rs.all[id]; now != nil && now.provider.Updated.Equal(p.Updated) && now.pool != nil {
		now.touch()
		return now, nil
	}
	if old := rs.all[id]; old != nil && old.pool != nil {
		go func() { _ = old.pool.Close() }() // sends QUIT on idle sessions; those in use end after their message
	}
	r = &relay{provider: p, places: rs.cfg.InFlight, read: time.Now()}
	smtpConfig, err := rs.smtpConfig(&p)
	if err != nil {
		r.fault = err
	}
	r.pool = smtp.NewPool(smtpConfig, smtp.PoolOptions{MaxConns: rs.cfg.Sessions, MaxMessagesPerConn: rs.cfg.PerSession})
	rs.all[id] = r
	return r, nil
}

// orphan stands for a provider that was deleted while its mail waited.
func (rs *relays) orphan(id int64) *relay {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.all[id]; r != nil && r.pool == nil {
		return r
	}
	r := &relay{provider: waypost.Provider{ID: id, Name: "(deleted)"}, places: rs.cfg.InFlight}
	rs.all[id] = r
	return r
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

// room tells whether a provider can take another message now.
func (rs *relays) room(id int64) bool {
	rs.mu.Lock()
	r := rs.all[id]
	rs.mu.Unlock()
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.places > 0
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

// take reserves up to n places and tells how many it got.
func (r *relay) take(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.places)
	r.places -= n
	return n
}

func (r *relay) free(n int) {
	r.mu.Lock()
	r.places += n
	r.mu.Unlock()
}

func (r *relay) fresh(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pool != nil && now.Sub(r.read) < refreshAfter
}

func (r *relay) touch() {
	r.mu.Lock()
	r.read = time.Now()
	r.mu.Unlock()
}
