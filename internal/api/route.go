package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
)

// ExplainRequest asks where a message would go.
type ExplainRequest struct {
	Recipient  string `json:"recipient"`
	Pool       string `json:"ippool,omitempty"`
	From       string `json:"from,omitempty" doc:"sender address, for pools that route by sender domain"`
	SubAccount number `json:"subAccountId,omitempty" doc:"whose default pool counts; the account's default sub-account without it"`
}

// Explanation says where a message goes and why.
type Explanation struct {
	Pool       string      `json:"ippool"`
	Strategy   int         `json:"routingStrategy"`
	Mailbox    string      `json:"mailboxCategory"`
	Candidates []Candidate `json:"candidates"`
	Chosen     int64       `json:"tpspId"`
	ChosenName string      `json:"tpspName"`
	Why        string      `json:"why"`
	NextSlot   *time.Time  `json:"nextSlot" doc:"when the next message may go; null when nobody can say"`
}

// Candidate is a provider that the pool's strategy allows.
type Candidate struct {
	ID       int64      `json:"tpspId"`
	Name     string     `json:"tpspName"`
	Weight   int        `json:"weight"`
	Usable   bool       `json:"usable"`
	Breaker  string     `json:"breaker" enum:"closed,half open,open"`
	Until    *time.Time `json:"breakerUntil,omitempty"`
	Paused   string     `json:"paused,omitempty"`
	Used     int        `json:"usedInHour"`
	Limit    int        `json:"maxRatePerHour"`
	LaneUsed int        `json:"categoryUsedInHour"`
	LaneMost int        `json:"categoryMaxPerHour" doc:"0: no limit of its own"`
	NextSlot *time.Time `json:"nextSlot"`
}

func (a *API) routeRoutes() {
	register(a, operation(http.MethodPost, "/account/route/explain", "Where a message to a recipient would go now, and why", waypost.KeyAccount), ExplainRequest{}, a.explainRoute)
	a.auditRoutes()
}

func (a *API) explainRoute(ctx context.Context, in *raw) (Explanation, error) {
	req, err := decode[ExplainRequest](in.RawBody)
	if err != nil {
		return Explanation{}, err
	}
	if err := waypost.CheckEmail(req.Recipient); err != nil {
		return Explanation{}, badField("recipient", "%v", err)
	}
	sub, err := a.subAccount(ctx, int64(req.SubAccount))
	if err != nil {
		return Explanation{}, err
	}
	e, err := a.cfg.Queue.Explain(ctx, &sub, req.Pool, req.From, req.Recipient)
	if err != nil {
		return Explanation{}, err
	}
	return explanationView(&e), nil
}

// subAccount finds one of the caller's account; 0 is its default one.
func (a *API) subAccount(ctx context.Context, id int64) (waypost.SubAccount, error) {
	account := caller(ctx).Account
	if id != 0 {
		s, err := a.cfg.Store.SubAccount(ctx, account, id)
		if isNotFound(err) {
			return s, badField("subAccountId", "there is no sub-account %d", id)
		}
		return s, err
	}
	all, err := a.cfg.Store.SubAccounts(ctx, account, store.Page{Limit: 1})
	if err != nil {
		return waypost.SubAccount{}, fmt.Errorf("find the default sub-account: %w", err)
	}
	if len(all) == 0 {
		return waypost.SubAccount{}, errors.New("the account has no sub-account")
	}
	return all[0], nil
}

func (a *API) explainMessage(ctx context.Context, in *messagePath) (Explanation, error) {
	t, _, err := a.trail(ctx, in.ID)
	if err != nil {
		return Explanation{}, err
	}
	e, err := a.cfg.Queue.ExplainMessage(ctx, &t)
	if err != nil {
		return Explanation{}, fmt.Errorf("explain message %s: %w", in.ID, err)
	}
	return explanationView(&e), nil
}

func explanationView(e *queue.Explanation) Explanation {
	out := Explanation{
		Pool: e.Pool.Name, Strategy: int(e.Pool.Strategy), Mailbox: e.Mailbox.String(), Candidates: []Candidate{},
		Chosen: e.Chosen, Why: e.Why, NextSlot: optional(e.NextSlot),
	}
	for _, c := range e.Candidates {
		if c.Provider.ID == e.Chosen {
			out.ChosenName = c.Provider.Name
		}
		out.Candidates = append(out.Candidates, Candidate{
			ID: c.Provider.ID, Name: c.Provider.Name, Weight: c.Weight, Usable: c.Usable, Breaker: c.Breaker, Until: optional(c.Until),
			Paused: c.Paused, Used: c.Used, Limit: c.Limit, LaneUsed: c.LaneUsed, LaneMost: c.LaneMost, NextSlot: optional(c.NextSlot),
		})
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
