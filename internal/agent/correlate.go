package agent

import (
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// The bounds of a correlator, used where an option is zero.
const (
	DefaultMaxEntries = 200_000
	DefaultMaxText    = 12 << 20 // bytes of addresses and texts kept for deferred recipients
	DefaultHold       = 3 * time.Second
	DefaultMaxAge     = 6 * 24 * time.Hour // a queue gives up after 5 days (maximal_queue_lifetime)
)

// CorrelatorOptions bounds a correlator. The zero value is good.
type CorrelatorOptions struct {
	MaxEntries      int           // queue ids remembered; the one not heard of for longest goes first
	MaxText         int           // bytes of text remembered
	Hold            time.Duration // how long an ambiguous outcome waits, in the log's time or the wall's
	MaxAge          time.Duration // how long a queue id is remembered without a line about it
	IgnoreDiscarded bool          // report nothing of what the discard transport swallowed
	HopRelays       []string      // a sent line of these relays, by host, address or either with :port, only passes a message on
	LocalIP         func(ip string) bool
}

// Correlator turns facts about queue ids into reports about Waypost messages
// (D-42, D-43). It is pure: facts and times go in, items come out of
// [Correlator.Take]; equal input gives equal output. It is not safe for
// concurrent use.
type Correlator struct {
	opts   CorrelatorOptions
	table  table
	held   []hold
	out    []Event
	counts Counts
	clock  time.Time // the latest time seen in the log
	seen   time.Time // of the last line

	clockMicros int64 // clock in microseconds since 1970

	unmatched []key // of the latest unknown outcomes, the latest last
}

// Unmatched gives the queue ids of the latest outcomes that no message could
// be found for, at most waypost.MaxAgentSample, the latest last.
func (c *Correlator) Unmatched() []string {
	var out []string
	for i := range c.unmatched {
		out = append(out, c.unmatched[i].queue())
	}
	return out
}

// Counts is what a correlator has seen since it was made.
type Counts struct {
	ReturnPath, Header, MessageID, Chain int64 // events by the method that named their message

	NotSeen int64 // outcomes of a queue id whose arrival is not in the log
	Foreign int64 // outcomes of mail that carries no trace of Waypost
	Reports int64 // outcomes of bounce notifications on their way to the return path

	Hops         int64 // sent lines that only passed a message on
	Discarded    int64 // sent lines of the discard transport
	Repeated     int64 // deferrals for the same reason as before
	Rejected     int64 // refusals at entry, which the platform saw itself
	Deleted      int64 // messages an administrator deleted
	Conflicts    int64 // queue ids for which two methods named different messages
	Evicted      int64 // queue ids forgotten for want of room
	OutcomesLost int64 // recipients without an outcome when their message was removed
}

// Unknown is the number of outcomes that no message could be found for.
func (c Counts) Unknown() int64 { return c.NotSeen + c.Foreign }

// NewCorrelator gives an empty correlator.
func NewCorrelator(o CorrelatorOptions) *Correlator {
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	if o.MaxText <= 0 {
		o.MaxText = DefaultMaxText
	}
	if o.Hold <= 0 {
		o.Hold = DefaultHold
	}
	if o.MaxAge <= 0 {
		o.MaxAge = DefaultMaxAge
	}
	return &Correlator{opts: o, table: newTable()}
}

// Event is one item of a report before its ids are written out. Its texts may
// share the memory of the log line they come from: encode or [Event.Clone] it
// before that is written to.
type Event struct {
	UUID waypost.UUID
	Item waypost.ReportItem // EventID and MessageID are empty

	plain bool // JSON takes the texts of Item as they are
}

// Observe takes one fact in, without keeping its memory; now is the wall clock.
func (c *Correlator) Observe(f *mtalog.Fact, now time.Time) {
	if f.Time != c.seen { // most lines are of the same second
		c.tick(f.Time)
	}
	if len(c.held) > 0 {
		c.Advance(now)
	}
	if f.Kind == mtalog.Outcome {
		c.outcome(f, now)
		return
	}
	k := c.table.key(f.Instance, string(f.Queue))
	switch f.Kind {
	case mtalog.Fresh:
		c.fresh(&k, f)
	case mtalog.Sender:
		c.sender(&k, f)
	case mtalog.Header:
		if u, err := waypost.ParseUUID(f.HeaderValue); err == nil {
			c.bind(c.entering(&k), u, byHeader)
		}
	case mtalog.MessageID:
		e := c.entering(&k)
		if u, ok := uuidOfMessageID(f.MessageID); ok {
			c.bind(e, u, byMessageID)
		}
	case mtalog.Expired:
		c.expired(&k, f)
	case mtalog.Notification:
		if e := c.table.get(&k); e != nil {
			e.notified = true
		}
		next := c.table.key(f.Instance, string(f.Next))
		report := c.ensure(&next)
		report.null = true
		c.table.setParent(report, string(f.Queue))
	case mtalog.Removed:
		if e := c.table.get(&k); e != nil && !e.gone {
			c.removed(e, f)
			c.retire(e)
		}
	case mtalog.Requeued:
		if e := c.table.get(&k); e != nil {
			e.requeued = true
		}
	case mtalog.Deleted, mtalog.Reject:
		c.stopped(&k, f)
	case mtalog.None, mtalog.Outcome:
	}
}

// tick takes in the time of a line.
func (c *Correlator) tick(t time.Time) {
	c.seen = t
	if at := t.UnixMicro(); at > c.clockMicros || c.clock.IsZero() {
		c.clock, c.clockMicros = t, at
	}
}

// fresh begins a queue id anew.
func (c *Correlator) fresh(k *key, f *mtalog.Fact) {
	if e := c.table.get(k); e != nil {
		c.table.drop(e)
	}
	e := c.heard(k, nil)
	if f.Sender != "" { // of pickup
		if u, ok := waypost.FindReturnPathUUID(f.Sender); ok {
			c.bind(e, u, byReturnPath)
		}
	}
	if f.Prev == "" {
		return
	}
	before := c.table.key(f.Instance, string(f.Prev))
	old := c.table.get(&before)
	if old == nil || old == e {
		return
	}
	if !old.uuid.IsZero() {
		c.bind(e, old.uuid, byChain)
	}
	if old.requeued {
		c.table.handOver(old, e)
		c.table.drop(old)
	}
}

// sender takes in the queue manager's from= line, which comes with every attempt.
func (c *Correlator) sender(k *key, f *mtalog.Fact) {
	named, ours := waypost.FindReturnPathUUID(f.Sender)
	e := c.table.get(k)
	if e != nil && (e.gone || ours && e.method == byReturnPath && e.uuid != named) {
		c.table.drop(e) // the id was given to another message and its arrival was not logged
		e = nil
	}
	e = c.heard(k, e)
	c.table.deferrals.fetch(e)
	e.null = f.Sender == ""
	e.left, e.done = int32(min(f.NRcpt, 1<<20)), 0
	e.round++
	if u, ok := uuidOfMessageID(f.MessageID); ok && !ours { // Exim logs both on one line
		c.bind(e, u, byMessageID)
	}
	switch {
	case ours:
		c.bind(e, named, byReturnPath)
	case e.uuid.IsZero() && !e.null:
		c.chainFromHeld(e)
	}
}

func (c *Correlator) stopped(k *key, f *mtalog.Fact) {
	if f.Kind == mtalog.Deleted {
		c.counts.Deleted++
	} else {
		c.counts.Rejected++
	}
	if e := c.table.get(k); e != nil && f.Queue != "" {
		c.table.drop(e)
	}
}

// bind says that e carries the message u. A method that D-42 puts first wins
// over a later one.
func (c *Correlator) bind(e *entry, u waypost.UUID, m method) {
	if u.IsZero() {
		return
	}
	if !e.uuid.IsZero() && e.uuid != u {
		c.counts.Conflicts++
	}
	if e.method != unknown && m >= e.method {
		return
	}
	if e.uuid != u {
		c.table.unlink(e)
		e.uuid = u
		c.table.link(e)
	}
	e.method = m
	if len(c.held) > 0 {
		c.boundWhileHeld(e)
	}
}

// ensure finds the entry of k or makes it, and remembers that it was heard of.
func (c *Correlator) ensure(k *key) *entry {
	return c.heard(k, c.table.get(k))
}

// heard is ensure for a caller that looked for the entry already; e is nil
// when there is none.
func (c *Correlator) heard(k *key, e *entry) *entry {
	if e == nil {
		e = c.table.add(k)
		c.bound(e)
	}
	c.table.hear(e, c.clockMicros)
	return e
}

// entering is ensure for lines of a message that is just coming in: what was
// removed under the same id is another message.
func (c *Correlator) entering(k *key) *entry {
	e := c.table.get(k)
	if e != nil && e.gone {
		c.table.drop(e)
		e = nil
	}
	return c.heard(k, e)
}

// retire keeps a removed id for a short while: the line that says where it
// came from may still be on its way.
func (c *Correlator) retire(e *entry) {
	e.gone = true
	c.table.leave(e, c.clockMicros)
	c.table.sweep(c.clockMicros-2*c.opts.Hold.Microseconds(), c.clockMicros-c.opts.MaxAge.Microseconds())
}

// uuidOfMessageID accepts the Message-ID that Waypost gives a message and no
// other: a customer's own may hold a foreign UUID.
func uuidOfMessageID(id string) (waypost.UUID, bool) {
	const after = "@" + waypost.BounceLabel + "."
	if len(id) < 36+len(after) {
		return waypost.UUID{}, false
	}
	if mark := id[36 : 36+len(after)]; mark != after && !strings.EqualFold(mark, after) {
		return waypost.UUID{}, false
	}
	u, err := waypost.ParseUUID(id[:36])
	return u, err == nil
}
