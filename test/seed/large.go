package seed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// Clock is what a store that takes a large scene must have as its clock: the
// scene sets it to the days that it tells of, so that the ids of events are of
// these days, too.
type Clock struct{ at atomic.Int64 } // milliseconds since 1970; 0: the real time

// Now is the time of the clock.
func (c *Clock) Now() time.Time {
	if ms := c.at.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

// What a large scene has beside its messages, for each million events.
const (
	largeDays         = 90
	largeSuppressions = 100_000
	largeAudit        = 20_000
	largeBreaker      = 1_000 // events of each of three providers
	largeWaiting      = 10_000
)

// Large makes an installation of 90 days that has at least so many events, and
// of everything that lists show in proportion: a suppression for ten events, an
// entry of the audit log for fifty, a message that waits for a hundred. It says
// how far it is by calling done with the days that are made. The messages of
// calls are a few hundred, or, every tenth, one each.
func Large(ctx context.Context, s store.Store, now time.Time, clock *Clock, events int, done func(day, of int)) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	c.people()
	for i := range 12 {
		c.provider(fmt.Sprintf("Postfix %d", i+1), fmt.Sprintf("mx%d.example.net", i+1), 40_000)
		c.agent(i, 40*time.Second)
	}
	c.domain("acme-shop.example", true)
	c.domain("news.acme-shop.example", true)
	for i := range 58 {
		c.domain(fmt.Sprintf("brand-%d.example", i+1), true)
	}
	sub := waypost.SubAccount{Account: c.Account.ID, Name: "Newsletters", Created: c.now}
	c.do("sub-account", func() error {
		plain := secret.NewKey("wps")
		return s.CreateSubAccount(ctx, &sub, &waypost.APIKey{Kind: waypost.KeySubAccount, Account: c.Account.ID, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: c.now})
	})
	c.do("default pool", func() error { return s.SetDefaultPool(ctx, c.Account.ID, c.Sub.ID, c.Pools[0].ID) })
	c.months(events, sub, clock, done)
	clock.at.Store(0)
	part := func(n int) int { return n * (events / 1000) / 1000 }
	c.suppressions(part(largeSuppressions))
	c.audits(part(largeAudit))
	c.breakers(part(largeBreaker))
	c.sharedPool()
	c.settings()
	c.backlog(part(largeWaiting))
	told := c.call(400, c.now, [5]int{944, 21, 9, 6, 20}) // the webhook is
	c.do("history", func() error { return c.s.Accept(c.ctx, &told) })
	c.day([]int{0, 1, 2})
	c.hour(220, []int{0, 0, 1, 2})
	c.stories()
	return c, c.err
}

// months makes messages of the last 90 days until there are so many events.
func (c *Scene) months(events int, second waypost.SubAccount, clock *Clock, done func(day, of int)) {
	first, made := c.Sub, 0
	shares := [5]int{944, 21, 9, 6, 20}
	for day := range largeDays {
		at := c.now.AddDate(0, 0, day+1-largeDays)
		night := at.UTC().Truncate(24 * time.Hour).Add(24*time.Hour - time.Second)
		clock.at.Store(min(night.UnixMilli(), c.now.UnixMilli()))
		for goal := events / largeDays * (day + 1); made < goal && c.err == nil; {
			c.from, c.groups = fmt.Sprintf("%s@%s", []string{"orders", "invoices", "hello", "news"}[c.dice.IntN(4)], c.Domains[c.dice.IntN(2)].Name), c.tags()
			if c.Sub = first; c.dice.IntN(8) == 0 {
				c.Sub = second
			}
			calls := make([]store.Acceptance, 204)
			for i := range calls {
				n := 1
				if i < 4 {
					n = 450
				}
				calls[i] = c.call(n, at, shares)
			}
			for i := range calls {
				made += len(calls[i].Events)
			}
			c.together("history", len(calls), func(i int) error { return c.s.Accept(c.ctx, &calls[i]) })
		}
		done(day+1, largeDays)
	}
	c.Sub, c.from, c.groups = first, "", nil
}

// tags are the groups of a call: one or two of fifty.
func (c *Scene) tags() []string {
	out := []string{fmt.Sprintf("campaign-%d", c.dice.IntN(40))}
	if c.dice.IntN(2) == 0 {
		out = append(out, fmt.Sprintf("kind-%d", c.dice.IntN(10)))
	}
	return out
}

// together does n small things at once, for a store shares transactions
// between them.
func (c *Scene) together(what string, n int, f func(i int) error) {
	if c.err != nil {
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				mu.Lock()
				c.err = fmt.Errorf("seed %s: %w", what, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// spread is the time of the i-th of n things of the last 90 days.
func (c *Scene) spread(i, n int) time.Time {
	return c.now.Add(-time.Duration(float64(largeDays*24*time.Hour) * float64(n-i) / float64(n)))
}

func (c *Scene) suppressions(n int) {
	reasons := []waypost.SuppressionReason{waypost.SuppressHardBounce, waypost.SuppressHardBounce, waypost.SuppressUnsubscribe, waypost.SuppressComplaint, waypost.SuppressManual}
	for i := 0; i < n; i += 1000 {
		rows := make([]waypost.Suppression, min(1000, n-i))
		for k := range rows {
			h := mailHosts[c.dice.IntN(len(mailHosts))]
			rows[k] = waypost.Suppression{
				Account: c.Account.ID, SubAccount: c.Sub.ID, Reason: reasons[c.dice.IntN(len(reasons))], Created: c.spread(i+k, n),
				Email: fmt.Sprintf("%s.%s%d@%s", firstNames[c.dice.IntN(len(firstNames))], lastNames[c.dice.IntN(len(lastNames))], i+k, h.host),
			}
			if rows[k].Reason == waypost.SuppressHardBounce {
				rows[k].Text, rows[k].Message = refusals[0].text, waypost.NewUUID(rows[k].Created)
			}
		}
		c.do("suppressions", func() error {
			_, err := c.s.Suppress(c.ctx, rows)
			return err
		})
	}
}

func (c *Scene) audits(n int) {
	actors := []string{Email, "otto@example.com", "wpa_7f3…c1", "wps_a02…9e", "cli"}
	actions := []string{"provider.update", "pool.update", "suppression.add", "suppression.remove", "template.update", "login", "domain.verify", "key.create"}
	for i := 0; i < n; i += 200 {
		rows := make([]waypost.Audit, min(200, n-i))
		for k := range rows {
			rows[k] = waypost.Audit{
				Account: c.Account.ID, At: c.spread(i, n).Add(time.Duration(k) * time.Millisecond), Actor: actors[c.dice.IntN(len(actors))], Action: actions[c.dice.IntN(len(actions))],
				Object: fmt.Sprintf("provider %d", c.dice.IntN(400)), Text: fmt.Sprintf("changed the limit from %d to %d an hour", c.dice.IntN(9000), c.dice.IntN(9000)),
			}
		}
		c.together("audit", len(rows), func(k int) error { return c.s.AddAudit(c.ctx, &rows[k]) })
	}
}

func (c *Scene) breakers(n int) {
	for i := range n {
		at := c.spread(i, n).Add(-time.Hour)
		c.together("provider events", 3, func(k int) error {
			for _, e := range []waypost.ProviderEvent{
				{At: at, Kind: waypost.BreakerOpened, Text: "5 sessions in a row failed; the last: dial tcp 192.0.2.10:587: connection refused"},
				{At: at.Add(time.Minute), Kind: waypost.BreakerClosed, Text: "a message was taken again"},
			} {
				e.Provider = c.Providers[k].ID
				if err := c.s.AddProviderEvent(c.ctx, &e); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// backlog lets messages wait, some for their first attempt and some past it.
func (c *Scene) backlog(n int) {
	for n > 0 {
		batch := min(n, 1000)
		n -= batch
		at := c.now.Add(-time.Duration(c.dice.IntN(3600)) * time.Second)
		content := c.content("News of the week", at)
		a := store.Acceptance{Content: content}
		for range batch {
			m := c.message(&content, c.dice.IntN(len(c.Providers)), at)
			a.Messages = append(a.Messages, m)
			a.Events = append(a.Events, event(&m, waypost.CSProcessed, at))
			a.Queue = append(a.Queue, store.Waiting{Lane: waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}, Message: m.ID, Due: c.now.Add(time.Duration(c.dice.IntN(7200)-300) * time.Second)})
		}
		c.do("backlog", func() error { return c.s.Accept(c.ctx, &a) })
	}
}
