package ingest

import (
	"sync"
	"time"
)

// BreakerLimit is how many hard bounces by DSN, of messages that the agent had
// reported as delivered, suppress addresses of one sub-account in any rolling
// hour. Beyond it the events are stored and their suppressions held: somebody
// may be forging reports, and a wrong suppression loses a customer.
//
// A share of all bounces is no sign: where a smarthost stands behind the
// customer's server, every bounce comes after a delivery.
const BreakerLimit = 200

// breaker counts per sub-account and minute, in the memory of one node.
type breaker struct {
	mu  sync.Mutex
	sub map[int64]*hour
}

// hour counts the last sixty minutes.
type hour struct {
	at [60]int64 // minute that a bucket is of
	n  [60]int
}

func (h *hour) look(minute int64) int {
	total := 0
	for i, at := range h.at {
		if at > minute-60 {
			total += h.n[i]
		}
	}
	return total
}

func (h *hour) add(minute int64) {
	i := minute % 60
	if h.at[i] != minute {
		h.at[i], h.n[i] = minute, 0
	}
	h.n[i]++
}

// open tells whether suppressions are held.
func (b *breaker) open(subAccount int64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.sub[subAccount]
	return h != nil && h.look(now.Unix()/60) >= BreakerLimit
}

// count notes one bounce, and tells whether it opened the breaker.
func (b *breaker) count(subAccount int64, now time.Time) bool {
	minute := now.Unix() / 60
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sub == nil || len(b.sub) > 10_000 {
		b.sub = map[int64]*hour{}
	}
	h := b.sub[subAccount]
	if h == nil {
		h = &hour{}
		b.sub[subAccount] = h
	}
	before := h.look(minute)
	h.add(minute)
	return before < BreakerLimit && h.look(minute) >= BreakerLimit
}
