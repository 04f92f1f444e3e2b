package dash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// guard slows down who guesses passwords. It counts failures of an address
// and login from one network, and of a network as a whole: after a few, each
// further failure doubles the time for which nothing is even looked at. The
// counts are in the store, so that they hold on every node and over restarts;
// a success or an hour of quiet forgets.
type guard struct{ marks store.Marks }

// tally is what is stored of failures.
type tally struct {
	Failures int       `json:"failures"`
	Until    time.Time `json:"until"` // nothing is looked at before
}

const (
	freePerLogin   = 5  // failures before delays, of one login from one network
	freePerNetwork = 40 // of one network, whatever the login
	firstDelay     = 2 * time.Second
	longestDelay   = 15 * time.Minute
	forgetAfter    = time.Hour
)

// loginMark is the name under which the failures of a login from one network
// are stored: a hash, for what was typed may be of any length, and a password.
func loginMark(network, login string) string {
	sum := sha256.Sum256([]byte(login))
	return "login " + network + " " + hex.EncodeToString(sum[:16])
}

func networkMark(network string) string { return "login " + network }

// wait tells how long a login from a network must wait; 0: it may try.
func (g *guard) wait(ctx context.Context, network, login string, now time.Time) (time.Duration, error) {
	var longest time.Duration
	for _, name := range []string{loginMark(network, login), networkMark(network)} {
		b, err := g.marks.Mark(ctx, name, now)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look for failed logins: %w", err)
		}
		longest = max(longest, readTally(b).Until.Sub(now))
	}
	return longest, nil
}

// failed notes a failure.
func (g *guard) failed(ctx context.Context, network, login string, now time.Time) error {
	if err := g.add(ctx, loginMark(network, login), freePerLogin, now); err != nil {
		return err
	}
	return g.add(ctx, networkMark(network), freePerNetwork, now)
}

func (g *guard) add(ctx context.Context, name string, free int, now time.Time) error {
	err := g.marks.ChangeMark(ctx, name, now, func(old []byte) ([]byte, time.Time, error) {
		t := readTally(old)
		t.Failures++
		if over := t.Failures - free; over >= 0 {
			t.Until = now.Add(min(firstDelay<<min(over, 20), longestDelay))
		}
		b, err := json.Marshal(t)
		return b, now.Add(forgetAfter).Truncate(time.Millisecond), err
	})
	if err != nil {
		return fmt.Errorf("note a failed login: %w", err)
	}
	return nil
}

// succeeded forgets the failures of a login.
func (g *guard) succeeded(ctx context.Context, network, login string, now time.Time) error {
	err := g.marks.ChangeMark(ctx, loginMark(network, login), now, func([]byte) ([]byte, time.Time, error) { return nil, time.Time{}, nil })
	if err != nil {
		return fmt.Errorf("forget failed logins: %w", err)
	}
	return nil
}

// readTally reads what was stored; what cannot be read counts as nothing.
func readTally(b []byte) (t tally) {
	if json.Unmarshal(b, &t) != nil {
		return tally{}
	}
	return t
}

// networkOf is where a request came from: an IPv4 address, or the /64 of an
// IPv6 one, which is as much as one guesser has. Forwarding headers are looked
// at only where a trusted proxy wrote them.
func (d *Dash) networkOf(r *http.Request) string {
	a := track.Client(r, d.cfg.TrustedProxies)
	if !a.IsValid() {
		return "unknown"
	}
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
