package queue

import (
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
)

// The rules of a breaker (D-22).
const (
	openAfter = 5               // session failures in a row
	firstOpen = 2 * time.Second // how long it stays open at first; doubled each time
	longOpen  = 5 * time.Minute // and at most
)

// breaker keeps a provider from being dialled again and again while no session
// with it comes about. Closed, it lets everything through. After openAfter
// failures in a row it opens: nothing is relayed until its pause is over. Then
// it is half open: one message probes; its session closes the breaker or opens
// it again for twice as long. Each node has its own.
type breaker struct {
	mu       sync.Mutex
	failures int
	pause    time.Duration // 0: closed
	until    time.Time     // open until then
	probing  bool          // half open, with the probe under way
}

// state tells whether messages may go now, at most how many at one time
// (0: as many as there are), and until when not.
func (b *breaker) state(now time.Time) (open bool, probe bool, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.pause == 0:
		return false, false, time.Time{}
	case b.probing || now.Before(b.until):
		return true, false, b.until
	}
	return false, true, time.Time{}
}

// probe takes the one place of a half-open breaker; false when another has it.
func (b *breaker) probe(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 || b.probing || now.Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// release gives the probe's place back without a result.
func (b *breaker) release() {
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// note takes the result of a session and tells the change of state, "" for
// none.
func (b *breaker) note(failed bool, now time.Time) waypost.ProviderEventKind {
	b.mu.Lock()
	defer b.mu.Unlock()
	probed := b.probing
	b.probing = false
	if !failed {
		b.failures = 0
		if b.pause == 0 {
			return ""
		}
		b.pause = 0
		return waypost.BreakerClosed
	}
	b.failures++
	switch {
	case b.pause == 0 && b.failures >= openAfter:
		b.pause = firstOpen
	case probed:
		b.pause = min(2*b.pause, longOpen)
	default:
		return ""
	}
	b.until = now.Add(b.pause)
	return waypost.BreakerOpened
}
