package dash

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// guard slows down who guesses passwords. It counts failures of an address
// and login from one network, and of a network as a whole: after a few, each
// further failure doubles the time for which nothing is even looked at. It
// lives in this node's memory, and a success or an hour of quiet forgets.
type guard struct {
	mu    sync.Mutex
	marks map[string]*mark
	swept time.Time
}

type mark struct {
	failures int
	last     time.Time
	until    time.Time
}

const (
	freePerLogin   = 5  // failures before delays, of one login from one network
	freePerNetwork = 40 // of one network, whatever the login
	firstDelay     = 2 * time.Second
	longestDelay   = 15 * time.Minute
	forgetAfter    = time.Hour
	maxMarks       = 20_000 // a flood of networks forgets the oldest, and costs no memory
)

func newGuard() *guard { return &guard{marks: map[string]*mark{}} }

// wait tells how long a login from a network must wait; 0: it may try.
func (g *guard) wait(network, login string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	var longest time.Duration
	for _, key := range []string{network + " " + login, network} {
		if m := g.marks[key]; m != nil {
			longest = max(longest, m.until.Sub(now))
		}
	}
	return longest
}

// failed notes a failure.
func (g *guard) failed(network, login string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	g.add(network+" "+login, freePerLogin, now)
	g.add(network, freePerNetwork, now)
}

func (g *guard) add(key string, free int, now time.Time) {
	m := g.marks[key]
	if m == nil {
		m = &mark{}
		g.marks[key] = m
	}
	m.failures++
	m.last = now
	if over := m.failures - free; over >= 0 {
		m.until = now.Add(min(firstDelay<<min(over, 20), longestDelay))
	}
}

// sweep forgets what is old, and everything when there is too much of it.
func (g *guard) sweep(now time.Time) {
	if len(g.marks) >= maxMarks {
		clear(g.marks)
	}
	if now.Sub(g.swept) < time.Minute {
		return
	}
	g.swept = now
	for key, m := range g.marks {
		if now.Sub(m.last) > forgetAfter {
			delete(g.marks, key)
		}
	}
}

// succeeded forgets the failures of a login.
func (g *guard) succeeded(network, login string) {
	g.mu.Lock()
	delete(g.marks, network+" "+login)
	g.mu.Unlock()
}

// networkOf is where a request came from: an IPv4 address, or the /64 of an
// IPv6 one, which is as much as one guesser has. Forwarding headers are not
// looked at, for anybody can write them.
func networkOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
