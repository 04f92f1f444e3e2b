package queue

import (
	"sync"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// held is the set of queue rows that this node's workers hold, for renewing
// their leases.
type held struct {
	mu  sync.Mutex
	set map[waypost.UUID]store.Entry
}

func newHeld() *held { return &held{set: map[waypost.UUID]store.Entry{}} }

func (h *held) add(e store.Entry) {
	h.mu.Lock()
	h.set[e.Message] = e
	h.mu.Unlock()
}

func (h *held) drop(e store.Entry) {
	h.mu.Lock()
	delete(h.set, e.Message)
	h.mu.Unlock()
}

func (h *held) all() []store.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]store.Entry, 0, len(h.set))
	for _, e := range h.set {
		out = append(out, e)
	}
	return out
}
