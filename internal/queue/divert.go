package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/store"
)

// usable tells whether a provider can be given messages now: it exists, its
// breaker is not open, and nobody paused it.
func (q *Queue) usable(ctx context.Context, id int64, box waypost.Mailbox, now time.Time) bool {
	r, err := q.relays.get(ctx, id)
	if err != nil || r.gone {
		return false
	}
	open, _, _ := r.breaker.state(now)
	return !open && !q.paused.has(waypost.Lane{Provider: id, Mailbox: box})
}

// elsewhere finds another provider for a message whose own cannot take it:
// another member of its pool when the pool fails over, else one of the
// overflow pool when no member can send (D-16). 0 when there is none. dry says
// that its own is only out of tokens: then every member must be down or out of
// tokens for longer than the pool's patience.
func (q *Queue) elsewhere(ctx context.Context, m *waypost.Message, dry bool, now time.Time) int64 {
	pool, err := q.pools.get(ctx, m.Pool)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			q.cfg.Log.WarnContext(ctx, "cannot read a pool to fail over in; its mail waits", "pool", m.Pool, "error", err)
		}
		return 0
	}
	target := route.Target{Message: m.ID, Mailbox: m.Mailbox}
	if d, err := q.domains.get(ctx, m.Domain); err == nil {
		target.Domain = d.name
	}
	another := func(id int64) bool { return id != m.Provider && q.usable(ctx, id, m.Mailbox, now) }
	if !dry && pool.Failover {
		if id := route.Choose(&pool, target, another); id != 0 {
			return id
		}
	}
	if pool.Overflow == 0 || !q.spent(ctx, &pool, target, now) {
		return 0
	}
	over, err := q.pools.get(ctx, pool.Overflow)
	if err != nil {
		return 0
	}
	return route.Choose(&over, target, another)
}

// spent tells whether no candidate of a pool can send: down, or out of tokens
// for longer than the pool's patience.
func (q *Queue) spent(ctx context.Context, pool *waypost.Pool, t route.Target, now time.Time) bool {
	patience := pool.Patience
	if patience <= 0 {
		patience = waypost.DefaultPatience
	}
	for _, m := range route.Candidates(pool, t) {
		if !q.usable(ctx, m.Provider, t.Mailbox, now) {
			continue
		}
		r := q.relays.known(m.Provider)
		if r == nil || r.dryUntil(t.Mailbox).Sub(now) <= patience {
			return false
		}
	}
	return true
}

// divert gives messages of a lane that cannot send to other providers, as far
// as their pools have any, and the rest back until then. It tells when to ask
// the lane again.
func (q *Queue) divert(ctx, hard context.Context, lane waypost.Lane, r *relay, until time.Time, dry bool, flight *sync.WaitGroup) time.Time {
	now := time.Now()
	got, err := q.cfg.Store.Claim(ctx, store.Claim{Lane: lane, Now: now, Max: claimMost, LeaseUntil: now.Add(q.cfg.Lease)})
	if err != nil {
		if ctx.Err() == nil {
			q.cfg.Log.ErrorContext(ctx, "cannot claim to divert; trying again", "provider", r.provider.Name, "error", err)
		}
		return now.Add(time.Second)
	}
	moved := 0
	for i := range got.Entries {
		c := &got.Entries[i]
		act := q.diverted(ctx, r, c, until, dry, now, &moved)
		q.held.add(c.Entry)
		flight.Go(func() {
			defer q.held.drop(c.Entry)
			q.settle(hard, c, act)
		})
	}
	switch {
	case moved > 0 && len(got.Entries) == claimMost:
		return now
	case moved == 0 && len(got.Entries) > 0 && !until.IsZero():
		return until
	}
	return got.NextDue
}

// diverted decides what becomes of one message of such a lane.
func (q *Queue) diverted(ctx context.Context, r *relay, c *store.Claimable, until time.Time, dry bool, now time.Time, moved *int) func(context.Context) error {
	if id := q.elsewhere(ctx, &c.Message, dry, now); id != 0 {
		*moved++
		return func(ctx context.Context) error {
			err := q.cfg.Door.Reroute(ctx, c, id, now)
			q.lanes.note(waypost.Lane{Provider: id, Mailbox: c.Message.Mailbox}, now)
			return err
		}
	}
	if r.gone {
		*moved++
		return func(ctx context.Context) error {
			return q.cfg.Door.Drop(ctx, c, waypost.DropProviderGone, "the provider was deleted while the message waited, and its pool has no other", now)
		}
	}
	return func(ctx context.Context) error { return q.cfg.Door.Postpone(ctx, c, until) }
}
