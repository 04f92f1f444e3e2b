package queue

import (
	"errors"
	"sync"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// afterOutage is for how long nothing is claimed once storage is back: leases
// ran out meanwhile, of messages whose outcome a worker holds or an agent has
// still to tell, and both come first. An agent comes again after the seconds
// that its last refusal named.
const afterOutage = 8 * time.Second

// shortOutage is what passes without such a rest: one call that was refused,
// in which no lease ran out.
const shortOutage = 2 * time.Second

// outage keeps a node from claiming while storage is away, and just after.
type outage struct {
	rest time.Duration // afterOutage, or less in tests

	mu    sync.Mutex
	away  bool
	began time.Time // the outage
	back  time.Time // when claiming goes on; zero without an outage before
}

// begin notes that storage refused a call.
func (o *outage) begin(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away {
		o.away, o.began = true, now
	}
}

// note takes the result of a call of the store.
func (o *outage) note(err error, now time.Time) {
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
		o.begin(now)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil && o.away {
		o.away = false
		if now.Sub(o.began) >= shortOutage {
			o.back = now.Add(o.rest)
		}
	}
}

// pollWhileAway is how often storage is asked whether it is back.
const pollWhileAway = 250 * time.Millisecond

// poll is how often the store's lanes are read.
func (o *outage) poll() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return pollWhileAway
	}
	return pollEvery
}

// until tells when claiming may go on: zero for now, and a moment from now
// while nobody knows.
func (o *outage) until(now time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.away:
		return now.Add(pollWhileAway)
	case now.Before(o.back):
		return o.back
	}
	return time.Time{}
}
