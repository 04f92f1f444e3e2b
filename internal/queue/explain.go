package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/store"
)

// Explanation answers where a message goes, or would go, and why: found by the
// code that decides it.
type Explanation struct {
	Pool       waypost.Pool
	Mailbox    waypost.Mailbox
	Candidates []Candidate
	Chosen     int64 // provider, 0 when none
	StandIn    bool  // the pool names the pseudo IP alone: its members are all providers of the account (D-8)
	Why        string
	// NextSlot is when the chosen provider takes the next message of this
	// category: now, or when limits, breaker or pause let it; zero when nobody
	// can say.
	NextSlot time.Time
}

// Candidate is a provider that the pool's strategy allows, and its state on
// this node.
type Candidate struct {
	Provider waypost.Provider
	Weight   int
	Usable   bool
	Breaker  string    // "closed", "half open" or "open"
	Until    time.Time // when an open breaker is tried again
	Paused   string    // the reason of a pause, "" when there is none
	Used     int       // messages in the rolling hour
	LaneUsed int       // of them, to this category
	Limit    int
	LaneMost int // 0: the category has no limit of its own
	NextSlot time.Time
}

// Explain tells where a message to a recipient would go through a pool now.
func (q *Queue) Explain(ctx context.Context, sub *waypost.SubAccount, pool, from, recipient string) (Explanation, error) {
	q.readPauses(ctx) // a node that does not relay has not looked at them
	p, err := q.namedPool(ctx, sub, pool)
	if err != nil {
		return Explanation{}, err
	}
	standIn := p.StandsForAll()
	if err := q.pools.standIn(ctx, &p); err != nil {
		return Explanation{}, err
	}
	now := time.Now()
	if who, here := waypost.Simulate(recipient, q.cfg.SimulatorDomain); here {
		why := fmt.Sprintf("%s simulates recipients: no mail leaves for it", q.cfg.SimulatorDomain)
		if who == "" {
			why += ", and it has none of this name"
		}
		return Explanation{Pool: p, Mailbox: waypost.MailboxDefault, Why: why}, nil
	}
	t := route.Target{Message: waypost.NewUUID(now), Mailbox: q.mailboxes.of(recipient), Domain: domainOf(from)}
	out := Explanation{Pool: p, Mailbox: t.Mailbox, StandIn: standIn}
	if out.Candidates, err = q.candidates(ctx, &p, t, now); err != nil {
		return out, err
	}
	out.Chosen = q.choose(ctx, &p, t, now)
	out.Why, out.NextSlot = why(&out, now)
	return out, nil
}

// ExplainMessage tells why a message went where it did, and, while it waits,
// what for.
func (q *Queue) ExplainMessage(ctx context.Context, trail *store.Trail) (Explanation, error) {
	q.readPauses(ctx)
	m := &trail.Message
	now := time.Now()
	out := Explanation{Mailbox: m.Mailbox, Chosen: m.Provider}
	if isSimulated(trail) {
		out.Why = "the recipient is simulated: its events are made here, and no mail leaves for it"
		return out, nil
	}
	if m.Pool == 0 {
		out.Why = "the message was refused before a route was chosen"
		return out, nil
	}
	p, err := q.cfg.Store.Pool(ctx, m.Account, m.Pool)
	if err != nil {
		out.Why = "its pool was deleted"
		return out, nil //nolint:nilerr // said in words
	}
	out.StandIn = p.StandsForAll()
	if err := q.pools.standIn(ctx, &p); err != nil {
		return out, err
	}
	out.Pool = p
	t := route.Target{Message: m.ID, Mailbox: m.Mailbox}
	if d, err := q.cfg.Store.Domain(ctx, m.SubAccount, m.Domain); err == nil {
		t.Domain = d.Name
	}
	if out.Candidates, err = q.candidates(ctx, &p, t, now); err != nil {
		return out, err
	}
	out.Why, out.NextSlot = why(&out, now)
	if m.Provider == 0 {
		out.Why = "no provider was chosen: the message was dropped when it was accepted"
		for i := range trail.Events {
			if e := &trail.Events[i]; e.Type == waypost.CSDropped {
				out.Why += ", because of: " + e.Text
			}
		}
	}
	if w := trail.Waiting; w != nil {
		out.Why, out.NextSlot = waitingFor(w, &out, now)
	} else if len(trail.Events) > 0 {
		out.NextSlot = time.Time{}
	}
	return out, nil
}

// isSimulated tells whether a message went, or goes, to a simulated recipient.
func isSimulated(t *store.Trail) bool {
	return t.Waiting != nil && t.Waiting.Lane.Provider == waypost.SimulatorProvider ||
		slices.ContainsFunc(t.Events, func(e waypost.Event) bool { return e.Source == waypost.SourceSimulator })
}

func (q *Queue) candidates(ctx context.Context, p *waypost.Pool, t route.Target, now time.Time) ([]Candidate, error) {
	var out []Candidate
	for _, m := range route.Candidates(p, t) {
		c, err := q.candidate(ctx, m, t.Mailbox, now)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (q *Queue) candidate(ctx context.Context, m waypost.PoolMember, box waypost.Mailbox, now time.Time) (Candidate, error) {
	c := Candidate{Weight: m.Weight, Breaker: "closed"}
	r, err := q.relays.get(ctx, m.Provider)
	if err != nil {
		return c, err
	}
	c.Provider = r.provider
	open, probe, until := r.breaker.state(now)
	switch {
	case open:
		c.Breaker, c.Until = "open", until
	case probe:
		c.Breaker = "half open"
	}
	if pause, ok := q.paused.of(waypost.Lane{Provider: m.Provider, Mailbox: box}); ok {
		c.Paused = "paused: " + pause.Reason
	}
	c.Usable = !open && c.Paused == "" && !r.gone
	buckets, err := q.cfg.Store.Buckets(ctx, m.Provider, waypost.OldestBucket(now))
	if err != nil {
		return c, fmt.Errorf("read the limits of provider %q: %w", r.provider.Name, err)
	}
	var all []waypost.Bucket
	for b, list := range buckets {
		all = append(all, list...)
		for _, one := range list {
			c.Used += one.N
			if b == box {
				c.LaneUsed += one.N
			}
		}
	}
	c.Limit, c.LaneMost = r.provider.MaxPerHour, r.provider.Settings[box].MaxPerHour
	_, c.NextSlot = waypost.Allowance(all, waypost.Limit{PerHour: c.Limit, Burst: r.provider.Burst}, now)
	_, lane := waypost.Allowance(buckets[box], waypost.Limit{PerHour: c.LaneMost, Burst: r.provider.Burst}, now)
	for _, at := range []time.Time{lane, c.Until} {
		if at.After(c.NextSlot) {
			c.NextSlot = at
		}
	}
	if c.Paused != "" {
		c.NextSlot = time.Time{}
	}
	return c, nil
}

// why says in words why the chosen provider was chosen.
func why(e *Explanation, now time.Time) (string, time.Time) {
	text, at := whyChosen(e, now)
	if e.StandIn {
		text = fmt.Sprintf("pool %q names the IP that stands for your own servers, and so all providers of the account; ", e.Pool.Name) + text
	}
	return text, at
}

func whyChosen(e *Explanation, now time.Time) (string, time.Time) {
	usable := 0
	var chosen *Candidate
	for i := range e.Candidates {
		c := &e.Candidates[i]
		if c.Usable {
			usable++
		}
		if c.Provider.ID == e.Chosen {
			chosen = c
		}
	}
	switch {
	case e.Chosen == 0:
		return fmt.Sprintf("pool %q has no provider for mailbox category %s", e.Pool.Name, e.Mailbox), time.Time{}
	case chosen == nil:
		return fmt.Sprintf("no member of pool %q can send now; its overflow pool, or an earlier state of the pool, gave provider %d", e.Pool.Name, e.Chosen), now
	case usable == 0:
		return fmt.Sprintf("no member of pool %q can send now; the message waits for provider %q", e.Pool.Name, chosen.Provider.Name), chosen.NextSlot
	}
	return fmt.Sprintf("provider %q has weight %d among %d usable members of %d; the message's id decides by weight", chosen.Provider.Name, chosen.Weight, usable, len(e.Candidates)), chosen.NextSlot
}

// waitingFor says in words what a message waits for.
func waitingFor(w *store.Pending, e *Explanation, now time.Time) (string, time.Time) {
	var c *Candidate
	for i := range e.Candidates {
		if e.Candidates[i].Provider.ID == w.Lane.Provider {
			c = &e.Candidates[i]
		}
	}
	switch {
	case w.Unknown:
		return fmt.Sprintf("attempt %d ended without a reply after the last byte; if the agent shows that the mail server took the message it is sent, else it is tried again", w.Attempt), w.Due
	case c != nil && c.Paused != "":
		return fmt.Sprintf("provider %q is %s; someone must resume it", c.Provider.Name, c.Paused), time.Time{}
	case c != nil && c.Breaker == "open":
		return fmt.Sprintf("no session with provider %q comes about; it is tried again at %s", c.Provider.Name, c.Until.UTC().Format(time.RFC3339)), later(w.Due, c.Until)
	case w.Due.After(now):
		return fmt.Sprintf("attempt %d failed; the next is due", w.Attempt), w.Due
	case c != nil && c.NextSlot.After(now):
		return fmt.Sprintf("provider %q has used its limit: %d of %d in the hour, %d of %d to %s", c.Provider.Name, c.Used, c.Limit, c.LaneUsed, c.LaneMost, e.Mailbox), c.NextSlot
	}
	return "it is due now and goes out as soon as a session is free", now
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
