package dash

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// problem is something that somebody should look at, in plain words.
type problem struct {
	Kind string // "bad" or "warn"
	Text string
	Next string // what to do
	Link string
	At   time.Time // since when, zero when nobody knows
}

// What counts as a problem.
const (
	lateQueue   = 15 * time.Minute // the earliest message is overdue by this much
	manyTrouble = 200              // as many problems are told; more help nobody
)

// problems looks at everything that can be wrong, the worst first.
func (d *Dash) problems(v *visit, states []providerState, q *queueState, subs []waypost.SubAccount) ([]problem, error) {
	var out []problem
	for i := range states {
		out = append(out, providerProblems(&states[i], v.now)...)
	}
	if late := q.Late(v.now); late > lateQueue && !anyStopped(states) {
		out = append(out, problem{"warn", fmt.Sprintf("The earliest of %s that wait is overdue by %s.", plural(q.Messages, "message", "messages"), rough(late)), "See what holds it back", "/queue", q.Oldest})
	}
	domains, err := d.domainProblems(v, subs)
	if err != nil {
		return nil, err
	}
	out = append(out, domains...)
	hooks, err := d.webhookProblems(v)
	if err != nil {
		return nil, err
	}
	out = append(out, hooks...)
	out = append(out, d.warnings(v, states)...)
	return worstFirst(out), nil
}

// worstFirst sorts problems, and leaves out what nobody would read.
func worstFirst(all []problem) []problem {
	slices.SortStableFunc(all, func(a, b problem) int { return rankOf(a.Kind) - rankOf(b.Kind) })
	return all[:min(len(all), manyTrouble)]
}

func rankOf(kind string) int {
	if kind == "bad" {
		return 0
	}
	return 1
}

func anyStopped(states []providerState) bool {
	return slices.ContainsFunc(states, func(s providerState) bool { return s.Down || s.Stopped })
}

func providerProblems(s *providerState, now time.Time) (out []problem) {
	name, link := s.Provider.Name, fmt.Sprintf("/providers/%d", s.Provider.ID)
	held := ""
	if s.Waiting > 0 {
		held = " " + plural(s.Waiting, "message waits", "messages wait") + "."
	}
	switch {
	case s.Stopped:
		out = append(out, problem{"warn", fmt.Sprintf("%s is paused: %s.%s", name, orElse(s.Pauses[0].Reason, "no reason was given"), held), "Resume it", link, s.Pauses[0].At})
	case s.Down:
		out = append(out, problem{"bad", fmt.Sprintf("%s cannot be reached: %s%s", name, sentence(s.Last.Text), held), "Test the connection", link, s.Last.At})
	case s.Share >= 1 && s.Waiting > 0:
		out = append(out, problem{"warn", fmt.Sprintf("%s has used its limit of %s an hour.%s", name, number(s.Provider.MaxPerHour), held), "Look at its limits", link, time.Time{}})
	}
	seen := s.Seen.LastSeen
	switch {
	case !seen.IsZero() && now.Sub(seen) > agentLate:
		out = append(out, problem{"bad", fmt.Sprintf("The agent of %s is silent: nobody tells what becomes of its mail.", name), "See how to wake it", link + "#agent", seen})
	case !seen.IsZero() && now.Sub(seen) > agentFresh:
		out = append(out, problem{"warn", fmt.Sprintf("The agent of %s is late.", name), "Look at it", link + "#agent", seen})
	case s.Agent.Kind == "bad" || s.Agent.Kind == "warn": // by its own word
		out = append(out, problem{s.Agent.Kind, fmt.Sprintf("The agent of %s is in trouble: %s", name, sentence(orElse(s.Agent.More, "it does not say why"))), "Look at it", link + "#agent", time.Time{}})
	case seen.IsZero() && s.Used > 0:
		out = append(out, problem{"warn", fmt.Sprintf("%s sends, but no agent reports: nobody tells what was delivered.", name), "Install the agent", link + "#agent", time.Time{}})
	}
	return out
}

func (d *Dash) domainProblems(v *visit, subs []waypost.SubAccount) (out []problem, err error) {
	domains, err := d.domainsOf(v, subs, 500)
	if err != nil {
		return nil, err
	}
	for i := range domains {
		s := &domains[i]
		link := fmt.Sprintf("/domains/%d", s.ID)
		switch path := s.Verified(waypost.RecordReturnPath) || s.Verified(waypost.RecordBounceMX); {
		case !path:
			out = append(out, problem{"bad", fmt.Sprintf("The return path of %s is not verified: mail from it is dropped.", s.Name), "See its DNS records", link, s.Created})
		case !s.Verified(waypost.RecordDKIM):
			out = append(out, problem{"warn", fmt.Sprintf("The DKIM record of %s is not found: mail from it goes out unsigned.", s.Name), "See its DNS records", link, s.Created})
		}
	}
	return out, nil
}

func (d *Dash) webhookProblems(v *visit) (out []problem, err error) {
	hooks, err := d.cfg.Store.Webhooks(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("list the webhooks: %w", err)
	}
	for i := range hooks {
		w := &hooks[i]
		link := fmt.Sprintf("/webhooks/%d", w.ID)
		switch w.State {
		case waypost.WebhookActive:
		case waypost.WebhookDisabled:
			out = append(out, problem{"bad", fmt.Sprintf("The webhook %s was switched off: %s", clip(w.URL, 80), sentence(orElse(w.DisabledReason, "it failed too often"))), "Look at its attempts", link, w.DisabledAt})
		case waypost.WebhookDegraded:
			out = append(out, problem{"warn", fmt.Sprintf("The webhook %s has failed %s in a row.", clip(w.URL, 80), plural(w.Failures, "time", "times")), "Look at its attempts", link, time.Time{}})
		}
	}
	return out, nil
}

// warnings are mailbox providers that turn mail away, as this node's door has
// seen it.
func (d *Dash) warnings(v *visit, states []providerState) (out []problem) {
	var all []struct {
		Provider int64     `json:"tpspId"`
		Mailbox  string    `json:"mailboxCategory"`
		Since    time.Time `json:"since"`
		Troubled int       `json:"troubled"`
		Reports  int       `json:"reports"`
		Text     string    `json:"text"`
	}
	if err := d.call(v, 0, "GET", "/account/warnings", nil, &all); err != nil {
		if _, refused := errors.AsType[*Refusal](err); !refused {
			d.cfg.Log.WarnContext(v.ctx(), "cannot read the warnings", "error", err)
		}
		return nil
	}
	for _, w := range all {
		name := fmt.Sprint("provider ", w.Provider)
		for i := range states {
			if states[i].Provider.ID == w.Provider {
				name = states[i].Provider.Name
			}
		}
		out = append(out, problem{"bad", fmt.Sprintf("%s turns mail of %s away: %s of %s replies in half an hour. Last: %s", w.Mailbox, name, number(w.Troubled), number(w.Reports), sentence(clip(w.Text, 160))), "See the replies", fmt.Sprintf("/providers/%d", w.Provider), w.Since})
	}
	return out
}

// sentence ends a text with a full stop.
func sentence(s string) string {
	if s == "" || s[len(s)-1] == '.' {
		return s
	}
	return s + "."
}
