package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// What a check may come to.
const (
	HealthOK   = "ok"
	HealthWarn = "warn" // mail flows, but somebody should look
	HealthFail = "fail" // mail does not flow, or will soon not
	HealthSkip = "skip" // not looked at; Message says why
)

// HealthCheck is one thing that was looked at.
type HealthCheck struct {
	Name    string `json:"name"`
	Subject string `json:"subject" doc:"what was looked at, such as a host or a provider"`
	Status  string `json:"status" enum:"ok,warn,fail,skip"`
	Message string `json:"message"`
	Remedy  string `json:"remedy" doc:"what to do, empty when nothing"`
}

// Health is the state of an installation as an operator wants to know it.
type Health struct {
	Status  string        `json:"status" enum:"ok,warn,fail" doc:"the worst of the checks"`
	At      time.Time     `json:"at" doc:"the server's clock"`
	Version string        `json:"version"`
	Checks  []HealthCheck `json:"checks"`
}

// Bounds of one look at the installation's health.
const (
	healthLimit     = 30 * time.Second
	healthParallel  = 8
	healthProviders = 200
	healthDomains   = 1000 // looked at
	healthNamed     = 50   // domains with trouble that are named one by one
)

func (a *API) healthRoutes() {
	register(a, operation(http.MethodGet, "/account/health", "Look at everything that mail needs; no mail is sent", waypost.KeyAccount), nil, a.health)
}

// health runs every check, several at a time. A check that fails is an answer,
// not an error.
func (a *API) health(ctx context.Context, _ *struct{}) (Health, error) {
	account := caller(ctx).Account
	limited, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	providers, err := a.cfg.Store.Providers(ctx, account, store.Page{Limit: healthProviders})
	if err != nil {
		return Health{}, fmt.Errorf("list the providers: %w", err)
	}
	looks := []func(context.Context) []HealthCheck{a.storageHealth}
	if a.cfg.Node != nil {
		looks = append(looks, a.cfg.Node)
	}
	looks = append(looks, a.bounceHostHealth)
	for i := range providers {
		looks = append(looks, func(ctx context.Context) []HealthCheck { return a.providerHealth(ctx, &providers[i]) })
	}
	if len(providers) == 0 {
		looks = append(looks, func(context.Context) []HealthCheck {
			return []HealthCheck{{"provider", "", HealthWarn, "The account has no provider, so nothing can be sent.", "Create one with POST /api/v1/account/tpsp, or in the dashboard."}}
		})
	}
	looks = append(looks,
		func(ctx context.Context) []HealthCheck { return a.domainsHealth(ctx, account) },
		func(ctx context.Context) []HealthCheck { return a.queueHealth(ctx, account) })

	found := make([][]HealthCheck, len(looks))
	var work errgroup.Group
	work.SetLimit(healthParallel)
	for i, look := range looks {
		work.Go(func() error {
			found[i] = look(limited)
			return nil
		})
	}
	_ = work.Wait() // no look fails
	out := Health{Status: HealthOK, At: time.Now().UTC(), Version: a.cfg.Version, Checks: slices.Concat(found...)}
	for _, c := range out.Checks {
		if c.Status == HealthFail || c.Status == HealthWarn && out.Status == HealthOK {
			out.Status = c.Status
		}
	}
	return out, nil
}

// slowStorage is when an answer of storage is worth a word.
const slowStorage = time.Second

func (a *API) storageHealth(ctx context.Context) []HealthCheck {
	began := time.Now()
	err := a.cfg.Store.Ping(ctx)
	took := time.Since(began).Round(time.Millisecond)
	c := HealthCheck{Name: "storage", Status: HealthOK, Message: fmt.Sprintf("It answers within %s.", took)}
	switch {
	case err != nil:
		c.Status, c.Message, c.Remedy = HealthFail, "It does not answer: "+err.Error()+".", "Look at the database server and at the disk of the data directory; the server takes no mail until it answers."
	case took > slowStorage:
		c.Status, c.Remedy = HealthWarn, "Look at the load of the database and of its disk."
	}
	return []HealthCheck{c}
}

// Ages of the earliest message that is due, and not paused.
const (
	queueLate = 15 * time.Minute
	queueDead = 2 * time.Hour
)

func (a *API) queueHealth(ctx context.Context, account int64) []HealthCheck {
	unknown := func(err error) []HealthCheck {
		return []HealthCheck{{"queue", "", HealthFail, "The queue could not be read: " + err.Error() + ".", "Look at the storage."}}
	}
	lanes, err := a.cfg.Store.Lanes(ctx, account)
	if err != nil {
		return unknown(err)
	}
	paused, err := a.cfg.Store.Pauses(ctx, account)
	if err != nil {
		return unknown(err)
	}
	now := time.Now()
	total, held := 0, 0
	oldest := time.Duration(0)
	var where waypost.Lane
	for _, l := range lanes {
		total += l.Messages
		if slices.ContainsFunc(paused, func(p waypost.Pause) bool {
			return p.Provider == l.Lane.Provider && (p.Mailbox == waypost.AllMailboxes || p.Mailbox == l.Lane.Mailbox)
		}) {
			held += l.Messages
			continue
		}
		if age := now.Sub(l.Due); age > oldest {
			oldest, where = age, l.Lane
		}
	}
	c := HealthCheck{Name: "queue", Status: HealthOK, Message: fmt.Sprintf("%d messages wait, none of them overdue.", total)}
	if oldest > queueLate {
		c.Status, c.Subject = HealthWarn, fmt.Sprintf("provider %d, category %s", where.Provider, where.Mailbox)
		c.Message = fmt.Sprintf("%d messages wait; the first one is overdue by %s.", total, oldest.Round(time.Second))
		c.Remedy = "Look at the provider's limits and breaker with waypost provider events, and at what waits with waypost queue list."
		if oldest > queueDead {
			c.Status = HealthFail
		}
	}
	out := []HealthCheck{c}
	if len(paused) > 0 {
		out = append(out, HealthCheck{
			"queue", "pauses", HealthWarn, fmt.Sprintf("Pauses: %d. They hold back %d messages.", len(paused), held),
			"When they have served their purpose, end them with waypost queue resume.",
		})
	}
	return out
}
