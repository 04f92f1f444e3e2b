package agent

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// hold is an outcome that waits for a line that explains it.
type hold struct {
	key
	uuid   waypost.UUID
	method method
	next   string // the queue id it was passed on as, by the receiver's word
	other  string // another queue id that came to carry the same message
	orphan bool   // final, but no message is known; otherwise: sent, but perhaps only passed on
	late   bool   // nothing was logged about the id before its outcome
	item   waypost.ReportItem
	log    time.Time // when it came, by the log's clock
	wall   time.Time // and by the wall's
}

const maxHeld = 10_000

// verdict is what a sent line amounts to.
type verdict uint8

const (
	delivery verdict = iota
	hop
	unsure
)

// sent decides whether a message was delivered or only passed on (D-43).
func (c *Correlator) sent(e *entry, f *mtalog.Fact, now time.Time) {
	if f.Process == "discard" || f.Relay == "none" {
		c.counts.Discarded++
		if c.opts.IgnoreDiscarded {
			return
		}
	}
	switch c.judge(e, f) {
	case hop:
		c.counts.Hops++
	case unsure:
		h := hold{key: e.key, uuid: e.uuid, method: e.method, next: strings.Clone(string(f.Next))}
		fillItem(&h.item, f, waypost.ReportDelivered)
		if young := c.table.youngest(&e.uuid); young != nil && young != e {
			h.other = young.queue()
		}
		c.hold(h, now)
	case delivery:
		c.final(e, f, waypost.ReportDelivered, now)
	}
}

// judge looks for the queue id that a sent message goes on under. The receiver
// names it ("queued as"); as a receiver may write anything, its word counts
// only when that id carries the same message, or none while the receiver is
// this machine.
func (c *Correlator) judge(e *entry, f *mtalog.Fact) verdict {
	filter := strings.HasPrefix(f.Description, "delivered via ") // pipe(8)
	if f.Next != "" {
		if next := c.table.find(string(f.Next)); next != nil && next != e {
			switch {
			case !e.uuid.IsZero() && next.uuid == e.uuid:
				next.claimed = true
				return hop
			case next.uuid.IsZero() && !next.null && (filter || f.RelayIP == "" || c.localIP(f.RelayIP)):
				next.claimed = true
				c.bind(next, e.uuid, byChain)
				return hop
			}
		}
	}
	if c.hopRelay(f) {
		return hop
	}
	if e.uuid.IsZero() {
		return delivery
	}
	if filter || f.RelayPort != 25 && f.RelayPort != 587 && f.RelayIP != "" && c.localIP(f.RelayIP) {
		return unsure
	}
	return delivery
}

// hopRelay tells whether an operator named the relay as a filter's or another
// instance's.
func (c *Correlator) hopRelay(f *mtalog.Fact) bool {
	for _, r := range c.opts.HopRelays {
		if r == f.Relay || f.RelayHost != "" && (r == f.RelayHost || r == f.RelayHost+":"+strconv.Itoa(f.RelayPort)) ||
			f.RelayIP != "" && (r == f.RelayIP || r == net.JoinHostPort(f.RelayIP, strconv.Itoa(f.RelayPort))) {
			return true
		}
	}
	return false
}

func (c *Correlator) localIP(ip string) bool {
	if strings.HasPrefix(ip, "127.") || ip == "::1" {
		return true
	}
	return c.opts.LocalIP != nil && c.opts.LocalIP(ip)
}

// hold keeps h back; when there are too many, the oldest is decided now.
func (c *Correlator) hold(h hold, now time.Time) {
	if len(c.held) >= maxHeld {
		c.release(c.held[0])
		c.held = c.held[1:]
	}
	h.log, h.wall = c.clock, now
	h.item = cloneItem(h.item)
	c.held = append(c.held, h)
}

// Advance decides what has waited long enough; now is the wall clock.
func (c *Correlator) Advance(now time.Time) {
	n := 0
	for n < len(c.held) {
		h := &c.held[n]
		if c.clock.Sub(h.log) < c.opts.Hold && now.Sub(h.wall) < c.opts.Hold {
			break
		}
		c.release(*h)
		n++
	}
	if n > 0 {
		c.held = append(c.held[:0], c.held[n:]...)
	}
}

// Flush decides everything that waits, as if no further line came.
func (c *Correlator) Flush() {
	for _, h := range c.held {
		c.release(h)
	}
	c.held = c.held[:0]
}

// release decides h with what is known by now. Another queue id with the same
// message makes it a hop, unless a further sent line says that this id came
// from itself: a copy to an archive must not swallow the delivery beside it.
func (c *Correlator) release(h hold) {
	if h.orphan {
		c.countUnknown(&h.key, h.late)
		return
	}
	if h.other != "" {
		if e := c.table.find(h.other); e == nil || !e.claimed || h.next == h.other {
			c.counts.Hops++
			return
		}
	}
	c.event(h.uuid, h.method).Item = h.item
}

// boundWhileHeld looks what the message of e, just learned, explains: a sent
// line of another id with the same message may have been a hop, and outcomes
// of e itself can be reported.
func (c *Correlator) boundWhileHeld(e *entry) {
	kept := c.held[:0]
	for _, h := range c.held {
		if h.orphan && h.key == e.key {
			c.event(e.uuid, e.method).Item = h.item
			continue
		}
		if !h.orphan && h.key != e.key && h.uuid == e.uuid {
			h.other = e.queue()
		}
		kept = append(kept, h)
	}
	clear(c.held[len(kept):])
	c.held = kept
}

// chainFromHeld names the message of e when a held line says it was passed on
// as e's queue id.
func (c *Correlator) chainFromHeld(e *entry) {
	if len(c.held) == 0 {
		return
	}
	queue := e.queue()
	for i := range c.held {
		if h := &c.held[i]; !h.orphan && h.next == queue && h.key != e.key {
			e.claimed = true
			c.bind(e, h.uuid, byChain)
			return
		}
	}
}
