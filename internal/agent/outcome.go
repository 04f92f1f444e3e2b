package agent

import (
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// outcome takes in one delivery attempt.
func (c *Correlator) outcome(f *mtalog.Fact, now time.Time) {
	if f.Status != mtalog.Sent && f.Status != mtalog.Bounced && f.Status != mtalog.Deferred {
		return // address verification and words of other systems
	}
	k := c.table.key(f.Instance, string(f.Queue))
	e := c.table.get(&k)
	late := e == nil
	e = c.heard(&k, e)
	e.late = e.late || late
	if f.Sender != "" && e.uuid.IsZero() {
		if u, ok := waypost.FindReturnPathUUID(f.Sender); ok { // logged with every outcome by some
			c.bind(e, u, byReturnPath)
		}
	}
	c.attempt(e, f, now)
	if f.Last && !e.gone {
		c.retire(e)
	}
}

// attempt judges one delivery attempt for an entry.
func (c *Correlator) attempt(e *entry, f *mtalog.Fact, now time.Time) {
	if u, ok := waypost.FindReturnPathUUID(f.Recipient); ok || e.null {
		c.counts.Reports++
		if ok && e.parentLen > 0 {
			c.rescue(c.table.key(f.Instance, c.table.parent(e)), u)
		}
		return
	}
	switch f.Status {
	case mtalog.Deferred:
		c.deferral(e, f)
	case mtalog.Bounced:
		e.done++
		e.bounced = true
		c.table.deferrals.settle(e, f.Recipient)
		c.final(e, f, waypost.ReportBounced, now)
	case mtalog.Sent:
		e.done++
		c.table.deferrals.settle(e, f.Recipient)
		c.sent(e, f, now)
	case mtalog.NoStatus, mtalog.Other:
	}
}

// rescue names the message of a queue id whose from= line was lost, by the
// address its bounce notification went to.
func (c *Correlator) rescue(k key, u waypost.UUID) {
	if parent := c.table.get(&k); parent != nil && parent.uuid.IsZero() {
		c.bind(parent, u, byReturnPath)
	}
}

// deferral reports a deferral whose reason is new for its recipient, and
// remembers it: an expiry has no line of its own for each recipient.
func (c *Correlator) deferral(e *entry, f *mtalog.Fact) {
	ds := &c.table.deferrals
	d, said := ds.find(e, f.Recipient), ds.hashAll(f)
	if d != nil && d.said == said { // to the letter, as most are
		d.round = e.round
		c.counts.Repeated++
		return
	}
	repeated, reason, w := false, uint64(0), wordsOf(f)
	if d == nil {
		if e.deferrals >= maxDeferrals {
			return
		}
		d = ds.add(e, f.Recipient)
	} else {
		reason = reasonOf(w.enhanced, f.Code, w.text)
		repeated = reason == ds.why(d)
	}
	ds.keep(d, &w)
	d.said, d.round, d.reason, d.code = said, e.round, reason, int32(f.Code)
	switch {
	case repeated:
		c.counts.Repeated++
	case e.uuid.IsZero():
		c.countUnknown(&e.key, e.late)
	default:
		c.emit(e, f, waypost.ReportDeferred)
	}
	c.bound(e)
}

// bound forgets the ids heard of least lately while there are too many, or
// too many bytes of text. It spares e.
func (c *Correlator) bound(e *entry) {
	for t := &c.table; t.size() > c.opts.MaxEntries || t.deferrals.bytes() > c.opts.MaxText; {
		oldest := t.oldest()
		if oldest == e {
			return
		}
		c.counts.Evicted++
		t.drop(oldest)
	}
}

// expired reports every recipient that was still deferred as soft bounced,
// with the reason of its last deferral (D-43); where the mail server names the
// recipient, that one.
func (c *Correlator) expired(k *key, f *mtalog.Fact) {
	e := c.table.get(k)
	if e == nil && f.Recipient == "" {
		c.countUnknown(k, true)
		return
	}
	e = c.ensure(k)
	if u, ok := waypost.FindReturnPathUUID(f.Sender); ok {
		c.bind(e, u, byReturnPath)
	}
	if f.Recipient == "" {
		e.expired = true
		c.giveUp(e, f.Time)
		return
	}
	c.expiredOne(e, f)
	if f.Last && !e.gone {
		c.retire(e)
	}
}

// expiredOne reports the one recipient that an expiry names.
func (c *Correlator) expiredOne(e *entry, f *mtalog.Fact) {
	d := c.table.deferrals.find(e, f.Recipient)
	_, report := waypost.FindReturnPathUUID(f.Recipient)
	switch {
	case report || e.null:
		c.counts.Reports++
	case e.uuid.IsZero():
		c.countUnknown(&e.key, e.late)
	case d != nil:
		c.softBounce(e, d, f.Time)
	default:
		c.emit(e, f, waypost.ReportSoftBounced)
	}
	c.table.deferrals.settle(e, f.Recipient)
}

// giveUp reports the deferred recipients of e as soft bounced at a time. When
// there are more of them than the queue manager had left, final lines were
// lost; those that the last attempt did not mention are then in doubt.
func (c *Correlator) giveUp(e *entry, at time.Time) {
	doubt := int32(e.deferrals) > e.left
	for link := e.deferred; link != 0; {
		d := c.table.deferrals.at(link)
		link = d.next
		if doubt && d.round != e.round {
			c.counts.OutcomesLost++
			continue
		}
		if !e.uuid.IsZero() && !e.null {
			c.softBounce(e, d, at)
		}
	}
	c.table.deferrals.dropAll(e)
}

// softBounce reports a recipient that was given up, with its last reason.
func (c *Correlator) softBounce(e *entry, d *deferral, at time.Time) {
	w := c.table.deferrals.read(d)
	c.event(e.uuid, e.method).Item = waypost.ReportItem{
		EventType: waypost.ReportSoftBounced, Recipient: w.recipient, Timestamp: waypost.Timestamp{Time: at},
		SMTPCode: int(d.code), EnhancedCode: w.enhanced, SMTPDescription: w.text, Relay: w.relay,
		QueueID: waypost.QueueID(e.queue()),
	}
}

// removed looks for outcomes whose lines were lost. A notification without a
// bounce tells that the recipients still deferred were given up.
func (c *Correlator) removed(e *entry, f *mtalog.Fact) {
	if e.uuid.IsZero() || e.null || e.expired || e.requeued {
		return
	}
	missing := int64(e.left - e.done)
	if n := int64(e.deferrals); n > 0 {
		if e.notified && !e.bounced {
			c.giveUp(e, f.Time)
			missing -= n
		} else {
			missing = max(missing, n)
		}
	}
	c.counts.OutcomesLost += max(missing, 0)
}

// final reports a final outcome, or holds it for a while when its message is
// not known: a link from an earlier queue id may be about to name it.
func (c *Correlator) final(e *entry, f *mtalog.Fact, word string, now time.Time) {
	if e.uuid.IsZero() {
		h := hold{key: e.key, orphan: true, late: e.late}
		fillItem(&h.item, f, word)
		c.hold(h, now)
		return
	}
	c.emit(e, f, word)
}

// countUnknown counts an outcome without a message by its reason, and
// remembers the latest queue ids.
func (c *Correlator) countUnknown(k *key, late bool) {
	if !slices.Contains(c.unmatched, *k) {
		if len(c.unmatched) >= waypost.MaxAgentSample {
			c.unmatched = slices.Delete(c.unmatched, 0, 1)
		}
		c.unmatched = append(c.unmatched, *k)
	}
	if late {
		c.counts.NotSeen++
	} else {
		c.counts.Foreign++
	}
}

// emit puts out what f says of the message of e.
func (c *Correlator) emit(e *entry, f *mtalog.Fact, word string) {
	ev := c.event(e.uuid, e.method)
	fillItem(&ev.Item, f, word)
	ev.plain = f.Plain
}

// event makes room for an event of the message u, whose item the caller sets.
func (c *Correlator) event(u waypost.UUID, m method) *Event {
	switch m {
	case byReturnPath:
		c.counts.ReturnPath++
	case byHeader:
		c.counts.Header++
	case byMessageID:
		c.counts.MessageID++
	case byChain:
		c.counts.Chain++
	case unknown:
	}
	if n := len(c.out); n < cap(c.out) {
		c.out = c.out[:n+1]
	} else {
		c.out = append(c.out, Event{})
	}
	ev := &c.out[len(c.out)-1]
	ev.UUID, ev.plain = u, false
	return ev
}

// Take gives the events since the last call; the slice is good until the next
// call of a method.
func (c *Correlator) Take() []Event {
	out := c.out
	c.out = c.out[:0]
	return out
}

// Counts gives what was counted so far.
func (c *Correlator) Counts() Counts { return c.counts }

// Entries is the number of queue ids remembered.
func (c *Correlator) Entries() int { return c.table.size() }

// Held is the number of outcomes that wait for a decision.
func (c *Correlator) Held() int { return len(c.held) }
