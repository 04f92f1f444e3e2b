package queue

import (
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// lanes holds, for every lane that has messages, when to ask it next. Asking a
// lane too early costs one seek; a lane is never asked too late, because
// whoever makes a message due notes it here, and poll finds the rest.
type lanes struct {
	mu     sync.Mutex
	next   map[waypost.Lane]*laneState
	queued bool             // a lane was due whose provider had no room
	wake   chan struct{}    // capacity 1: something became due earlier
	heads  []store.LaneHead // as the store said last
}

type laneState struct {
	at      time.Time // when to claim next; zero: nothing known to wait
	claimed bool      // a claim is under way
	noted   time.Time // earliest due time noted while the claim was under way
}

func newLanes() *lanes {
	return &lanes{next: map[waypost.Lane]*laneState{}, wake: make(chan struct{}, 1)}
}

// note says that a lane has a message due at that time.
func (l *lanes) note(lane waypost.Lane, due time.Time) {
	l.mu.Lock()
	s := l.next[lane]
	if s == nil {
		s = &laneState{}
		l.next[lane] = s
	}
	if s.claimed {
		s.noted = earlier(s.noted, due)
	} else {
		s.at = earlier(s.at, due)
	}
	l.mu.Unlock()
	l.stir()
}

// stir makes the loop look again.
func (l *lanes) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// freed says that a provider has room again.
func (l *lanes) freed() {
	l.mu.Lock()
	waiting := l.queued
	l.mu.Unlock()
	if waiting {
		l.stir()
	}
}

// learn takes over what the store says waits.
func (l *lanes) learn(heads []store.LaneHead) {
	l.mu.Lock()
	l.heads = heads
	l.mu.Unlock()
	for _, h := range heads {
		l.note(h.Lane, h.Due)
	}
}

// due hands out the lanes that may be claimed from now and marks them claimed,
// passing over those that are paused, and asking room first whether they can
// take messages. It also tells when the next lane comes due.
func (l *lanes) due(now time.Time, room, paused func(waypost.Lane) bool) (ready []waypost.Lane, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = false
	for lane, s := range l.next {
		switch {
		case s.claimed:
		case s.at.IsZero():
			delete(l.next, lane)
		case paused(lane):
		case s.at.After(now):
			next = earlier(next, s.at)
		case room(lane):
			s.claimed = true
			ready = append(ready, lane)
		default:
			l.queued = true
		}
	}
	return ready, next
}

// late is for how long the message has been due that is due longest in a lane
// that is not paused, as the store said last.
func (l *lanes) late(now time.Time, paused func(waypost.Lane) bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var most time.Duration
	for _, h := range l.heads {
		if !paused(h.Lane) {
			most = max(most, now.Sub(h.Due))
		}
	}
	return most
}

// done ends a claim: at is when to ask the lane again, zero when it is empty.
func (l *lanes) done(lane waypost.Lane, at time.Time) {
	l.mu.Lock()
	if s := l.next[lane]; s != nil {
		s.claimed = false
		s.at = earlier(at, s.noted)
		s.noted = time.Time{}
	}
	l.mu.Unlock()
	l.stir()
}

// earlier is the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
