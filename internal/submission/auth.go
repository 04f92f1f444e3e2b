package submission

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// How guessing is made slow: each failure waits, and an address with so many of
// them is locked out.
const (
	failPause  = time.Second
	lockAfter  = 10               // failures
	lockWithin = 10 * time.Minute // in this time
	lockFor    = 15 * time.Minute
	maxGuesses = 3 // of one session
)

// login finds the credential behind a name and a password. The error is one of
// the replies of a session.
func (s *Server) login(ctx context.Context, user, password, ip string) (waypost.APIKey, error) {
	now := time.Now()
	who, ok := waypost.ParseSubmissionUser(user, s.cfg.Domain)
	var key waypost.APIKey
	if ok {
		var err error
		key, err = s.cfg.Store.SubmissionKey(ctx, who.SubAccount, who.Name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			ok = false
		case err != nil:
			s.cfg.Log.ErrorContext(ctx, "a credential could not be looked up", "error", err)
			return key, errAway
		}
	}
	// Compared whether or not there is one, so that the time does not tell.
	given := secret.HashKey(password)
	same := subtle.ConstantTimeCompare(given[:], key.Hash[:]) == 1
	if !ok || !same || key.Kind != waypost.KeySubmission || !key.Live(now) || !within(key.Networks, ip) {
		s.guesses.failed(ip, now)
		s.refused.Add(1)
		s.cfg.Log.WarnContext(ctx, "SMTP login refused", "user", clip(user, 100), "ip", ip)
		select {
		case <-time.After(s.pause):
		case <-ctx.Done():
		}
		return waypost.APIKey{}, errLogin
	}
	s.used.touch(ctx, s, key.ID, now)
	return key, nil
}

// within tells whether a key may be used from an address.
func within(networks []string, ip string) bool {
	if len(networks) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, n := range networks {
		if p, err := netip.ParsePrefix(n); err == nil && p.Contains(addr) {
			return true
		}
		if a, err := netip.ParseAddr(n); err == nil && a.Unmap() == addr {
			return true
		}
	}
	return false
}

// guesses counts failed logins by address; those of IPv6 by network of 64 bits.
type guesses struct {
	mu  sync.Mutex
	all map[string]*guesser
}

type guesser struct {
	first  time.Time
	n      int
	locked time.Time // until
}

// maxGuessers bounds the addresses that are remembered; beyond it the oldest go.
const maxGuessers = 50_000

func guesserOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}

func (g *guesses) failed(ip string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[string]*guesser{}
	}
	name := guesserOf(ip)
	at := g.all[name]
	if at == nil || now.Sub(at.first) > lockWithin && now.After(at.locked) {
		g.tidy(now)
		at = &guesser{first: now}
		g.all[name] = at
	}
	if at.n++; at.n >= lockAfter {
		at.locked = now.Add(lockFor)
	}
}

func (g *guesses) locked(ip string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.all[guesserOf(ip)]
	return at != nil && now.Before(at.locked)
}

func (g *guesses) tidy(now time.Time) {
	if len(g.all) < maxGuessers {
		return
	}
	for name, at := range g.all {
		if now.Sub(at.first) > lockWithin && now.After(at.locked) {
			delete(g.all, name)
		}
	}
	for name := range g.all { // a flood of addresses: any may go
		if len(g.all) < maxGuessers {
			return
		}
		delete(g.all, name)
	}
}

// used notes when credentials were used, to a minute.
type used struct {
	mu  sync.Mutex
	all map[int64]time.Time
}

func (u *used) touch(ctx context.Context, s *Server, id int64, now time.Time) {
	u.mu.Lock()
	fresh := now.Sub(u.all[id]) < time.Minute
	if !fresh {
		if u.all == nil || len(u.all) > 10_000 {
			u.all = map[int64]time.Time{}
		}
		u.all[id] = now
	}
	u.mu.Unlock()
	if fresh {
		return
	}
	if err := s.cfg.Store.TouchKeys(ctx, map[int64]time.Time{id: now.Truncate(time.Millisecond)}); err != nil {
		s.cfg.Log.WarnContext(ctx, "cannot note that a credential was used", "key", id, "error", err)
	}
}

// loginServer is the server's side of AUTH LOGIN, which old programs speak.
type loginServer struct {
	step     int
	username string
	check    func(username, password string) error
}

// Next asks for the name, then for the password.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if l.step == 0 && response == nil {
		return []byte("Username:"), false, nil
	}
	l.step++
	switch l.step {
	case 1:
		l.username = string(response)
		return []byte("Password:"), false, nil
	case 2:
		return nil, true, l.check(l.username, string(response))
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return s
}
