package track

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost-mail/waypost"
)

const (
	// burstMessages is of how many messages the last clicks are remembered.
	burstMessages = 8192
	// burstLinks bounds the links of a message that are told apart.
	burstLinks = 64
	// burstLeast is the number of links from which following all of them says
	// something.
	burstLeast = 3
)

// clicks remembers which links of which messages were followed lately. It is
// not safe for concurrent use.
type clicks struct {
	lru *simplelru.LRU[waypost.UUID, *followed]
}

// followed is when each link of a message was followed last.
type followed struct {
	last [burstLinks]int64 // milliseconds since 1970, 0: never
}

func newClicks() *clicks {
	lru, err := simplelru.NewLRU[waypost.UUID, *followed](burstMessages, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &clicks{lru: lru}
}

// note remembers a click of a message with enough links.
func (c *clicks) note(h *Hit) {
	if h.links < burstLeast || h.link < 1 || h.link > burstLinks {
		return
	}
	f, ok := c.lru.Get(h.Message)
	if !ok {
		f = &followed{}
		c.lru.Add(h.Message, f)
	}
	f.last[h.link-1] = h.At.UnixMilli()
}

// burst tells whether every link of the message was followed within a time
// around the click.
func (c *clicks) burst(h *Hit, within time.Duration) bool {
	if h.links < burstLeast {
		return false
	}
	f, ok := c.lru.Get(h.Message)
	if !ok {
		return false
	}
	at, span := h.At.UnixMilli(), within.Milliseconds()
	for _, last := range f.last[:min(h.links, burstLinks)] {
		if last == 0 || last < at-span || last > at+span {
			return false
		}
	}
	return true
}
