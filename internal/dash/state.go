package dash

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// providerState is a provider as lists and cards show it.
type providerState struct {
	Provider waypost.Provider
	State    chip
	Agent    chip
	Seen     waypost.Agent
	Used     int     // relayed in the rolling hour
	Share    float64 // of the hour's limit
	Waiting  int
	Unknown  int       // of them, wait for the agent's evidence
	Due      time.Time // of the earliest that waits
	Last     *waypost.ProviderEvent
	Pauses   []waypost.Pause
	Down     bool // its breaker is open
	Stopped  bool // it is paused as a whole
	Buckets  map[waypost.Mailbox][]waypost.Bucket
}

// queueState is what waits of an account.
type queueState struct {
	Messages int
	Unknown  int
	Oldest   time.Time // earliest due; zero when nothing waits
	Lanes    []store.LaneDepth
}

// Late is how long the earliest message is overdue; 0 when it is not.
func (q *queueState) Late(now time.Time) time.Duration {
	if q.Oldest.IsZero() || q.Oldest.After(now) {
		return 0
	}
	return now.Sub(q.Oldest)
}

func (d *Dash) queueState(v *visit) (queueState, error) {
	var q queueState
	lanes, err := d.cfg.Store.Lanes(v.ctx(), v.account())
	if err != nil {
		return q, fmt.Errorf("list the lanes: %w", err)
	}
	q.Lanes = lanes
	for _, l := range lanes {
		q.Messages += l.Messages
		q.Unknown += l.Unknown
		if q.Oldest.IsZero() || l.Due.Before(q.Oldest) {
			q.Oldest = l.Due
		}
	}
	return q, nil
}

// states reads the state of providers.
func (d *Dash) states(v *visit, providers []waypost.Provider, q *queueState) ([]providerState, error) {
	pauses, err := d.cfg.Store.Pauses(v.ctx(), v.account())
	if err != nil {
		return nil, fmt.Errorf("list the pauses: %w", err)
	}
	out := make([]providerState, len(providers))
	for i := range providers {
		if out[i], err = d.state(v, &providers[i], q, pauses); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *Dash) state(v *visit, p *waypost.Provider, q *queueState, pauses []waypost.Pause) (providerState, error) {
	s := providerState{Provider: *p}
	for _, l := range q.Lanes {
		if l.Lane.Provider != p.ID {
			continue
		}
		s.Waiting += l.Messages
		s.Unknown += l.Unknown
		if s.Due.IsZero() || l.Due.Before(s.Due) {
			s.Due = l.Due
		}
	}
	for _, one := range pauses {
		if one.Provider == p.ID {
			s.Pauses = append(s.Pauses, one)
			s.Stopped = s.Stopped || one.Mailbox == waypost.AllMailboxes
		}
	}
	var err error
	if s.Buckets, err = d.cfg.Store.Buckets(v.ctx(), p.ID, waypost.OldestBucket(v.now)); err != nil {
		return s, fmt.Errorf("read the limits of provider %q: %w", p.Name, err)
	}
	for _, list := range s.Buckets {
		for _, b := range list {
			s.Used += b.N
		}
	}
	if p.MaxPerHour > 0 {
		s.Share = float64(s.Used) / float64(p.MaxPerHour)
	}
	last, err := d.cfg.Store.ProviderEvents(v.ctx(), p.ID, store.Page{Limit: 1})
	if err != nil {
		return s, fmt.Errorf("read the events of provider %q: %w", p.Name, err)
	}
	if len(last) > 0 {
		s.Last = &last[0]
	}
	s.Seen, err = d.cfg.Store.Agent(v.ctx(), p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return s, fmt.Errorf("read the agent of provider %q: %w", p.Name, err)
	}
	s.Agent = agentChip(&s.Seen, v.now)
	s.State = s.judge()
	return s, nil
}

// judge sums a provider up in one word.
func (s *providerState) judge() chip {
	kind := waypost.ProviderEventKind("")
	if s.Last != nil {
		kind = s.Last.Kind
	}
	s.Down = kind == waypost.BreakerOpened
	switch {
	case s.Stopped:
		return chip{"warn", "pause", "paused", s.Pauses[0].Reason}
	case s.Down:
		return makeChip("bad", "down", s.Last.Text)
	case kind == waypost.BreakerHalfOpen:
		return makeChip("warn", "being tried again", s.Last.Text)
	case s.Share >= 1:
		return makeChip("warn", "limit reached", "The rolling hour's limit is used up; messages wait.")
	case len(s.Pauses) > 0:
		return chip{"warn", "pause", "partly paused", ""}
	}
	return makeChip("ok", "working")
}

// The ages by which an agent is judged (D-34).
const (
	agentFresh = 5 * time.Minute
	agentLate  = time.Hour
)

// agentChip judges an agent by the age of its last report, and by its own word.
func agentChip(a *waypost.Agent, now time.Time) chip {
	seen := a.LastSeen
	switch {
	case seen.IsZero():
		return makeChip("quiet", "no agent yet", "No agent has reported for this provider; without one, nobody knows what was delivered.")
	case now.Sub(seen) <= agentFresh && a.State.Status == "failing":
		return makeChip("bad", "agent failing", strings.Join(a.State.Reasons, "; "))
	case now.Sub(seen) <= agentFresh && a.State.Status == "degraded":
		return makeChip("warn", "agent degraded", strings.Join(a.State.Reasons, "; "))
	case now.Sub(seen) <= agentFresh:
		return makeChip("ok", "agent reports", "Last report "+ago(seen, now)+".")
	case now.Sub(seen) <= agentLate:
		return makeChip("warn", "agent late", "Last report "+ago(seen, now)+".")
	}
	return makeChip("bad", "agent silent", "Last report "+ago(seen, now)+".")
}

// subAccounts lists the sub-accounts of the person's account.
func (d *Dash) subAccounts(v *visit) ([]waypost.SubAccount, error) {
	all, err := d.cfg.Store.SubAccounts(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("list the sub-accounts: %w", err)
	}
	return all, nil
}

// providers lists the providers of the person's account.
func (d *Dash) providersOf(v *visit) ([]waypost.Provider, error) {
	all, err := d.cfg.Store.Providers(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("list the providers: %w", err)
	}
	return all, nil
}

// domainsOf lists the sender domains of all sub-accounts given, up to a bound.
func (d *Dash) domainsOf(v *visit, subs []waypost.SubAccount, most int) ([]waypost.SenderDomain, error) {
	var out []waypost.SenderDomain
	for i := range subs {
		if len(out) >= most {
			break
		}
		all, err := d.cfg.Store.Domains(v.ctx(), subs[i].ID, store.Page{Limit: min(1000, most-len(out))})
		if err != nil {
			return nil, fmt.Errorf("list the domains of sub-account %q: %w", subs[i].Name, err)
		}
		out = append(out, all...)
	}
	return out, nil
}
