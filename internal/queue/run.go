package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// pollEvery is how often the store is asked for lanes that other nodes, or an
// expired lease, made due.
const pollEvery = 2 * time.Second

// claimMost bounds one claim, so that its transaction stays short.
const claimMost = 256

var (
	errStopping = errors.New("the server is stopping")
	errGrace    = errors.New("the server stopped and the grace period is over")
)

// Run claims and relays until ctx ends, then waits for what is in flight, at
// most the grace period. It returns nil after an orderly stop.
func (q *Queue) Run(ctx context.Context) error {
	hard, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errGrace)
	var renewing sync.WaitGroup
	renewing.Go(func() { q.renew(hard) })

	var flight sync.WaitGroup
	q.dispatch(ctx, hard, &flight)

	timer := time.AfterFunc(q.cfg.Grace, func() { cut(errGrace) })
	defer timer.Stop()
	flight.Wait()
	cut(errStopping)
	renewing.Wait()
	q.mailboxes.wait()
	q.relays.close()
	return nil
}

// dispatch is the loop: which lanes are due, claim from each, wait.
func (q *Queue) dispatch(ctx, hard context.Context, flight *sync.WaitGroup) {
	var polled time.Time
	for ctx.Err() == nil {
		now := time.Now()
		if now.Sub(polled) >= q.outage.poll() {
			heads, err := q.cfg.Store.LaneHeads(ctx)
			if err != nil && ctx.Err() == nil {
				q.cfg.Log.ErrorContext(ctx, "cannot read the queue's lanes; trying again", "error", err)
			}
			q.outage.note(err, now)
			q.lanes.learn(heads)
			q.readPauses(ctx)
			polled = now
		}
		next := q.outage.until(now)
		if next.IsZero() {
			var ready []waypost.Lane
			ready, next = q.lanes.due(now, q.relays.room, q.paused.has)
			for _, lane := range ready {
				flight.Go(func() { q.claim(ctx, hard, lane, flight) })
			}
		}
		wait := pollEvery
		if !next.IsZero() {
			wait = min(wait, max(time.Until(next), time.Millisecond))
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.lanes.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// claim takes due messages of one lane, as many as its provider has room for,
// and starts a worker for each. A lane whose provider cannot send is diverted.
func (q *Queue) claim(ctx, hard context.Context, lane waypost.Lane, flight *sync.WaitGroup) {
	again := time.Now().Add(time.Second) // after a failure
	defer func() { q.lanes.done(lane, again) }()

	r, err := q.relays.get(ctx, lane.Provider)
	if err != nil {
		if ctx.Err() == nil {
			q.cfg.Log.ErrorContext(ctx, "cannot read provider; its mail waits", "provider", lane.Provider, "error", err)
		}
		return
	}
	now := time.Now()
	open, probe, until := r.breaker.state(now)
	if open || r.gone {
		again = q.divert(ctx, hard, lane, r, until, false, flight)
		return
	}
	most := claimMost
	if probe {
		if most = 1; !r.breaker.probe(now) {
			again = now.Add(firstOpen)
			return
		}
		q.noteProvider(ctx, r, waypost.BreakerHalfOpen, "one message tries whether sessions work again", now)
	}
	places := r.take(lane.Mailbox, most)
	if places == 0 {
		if probe {
			r.breaker.release()
		}
		again = now // room calls as soon as a worker ends
		return
	}
	got, err := q.cfg.Store.Claim(ctx, store.Claim{
		Lane: lane, Now: now, Max: places, LeaseUntil: now.Add(q.cfg.Lease),
		PerHour: r.provider.MaxPerHour, LanePerHour: r.provider.Settings[lane.Mailbox].MaxPerHour, Burst: r.provider.Burst,
	})
	r.free(lane.Mailbox, places-len(got.Entries))
	if probe && len(got.Entries) == 0 {
		r.breaker.release()
	}
	if err != nil {
		q.outage.note(err, now)
		if ctx.Err() == nil {
			q.cfg.Log.ErrorContext(ctx, "cannot claim; trying again", "provider", r.provider.Name, "mailbox", lane.Mailbox.String(), "error", err)
		}
		return
	}
	q.launch(ctx, hard, r, got.Entries, now, flight)
	again = got.NextDue
	r.setDry(lane.Mailbox, got.NextToken)
	if !got.NextToken.IsZero() && !again.IsZero() && again.Before(got.NextToken) {
		again = got.NextToken
		if got.NextToken.Sub(now) > shortWait {
			again = earlier(again, q.divert(ctx, hard, lane, r, got.NextToken, true, flight))
		}
	}
}

// shortWait is a wait for tokens that no pool is asked to overflow for.
const shortWait = time.Minute

// launch starts a worker for each claimed message.
func (q *Queue) launch(ctx, hard context.Context, r *relay, entries []store.Claimable, now time.Time, flight *sync.WaitGroup) {
	suppressed, err := q.suppressedNow(ctx, entries, now)
	if err != nil && ctx.Err() == nil {
		q.cfg.Log.ErrorContext(ctx, "cannot check suppressions before relaying; messages go back", "error", err)
	}
	for i := range entries {
		c := &entries[i]
		q.held.add(c.Entry)
		flight.Go(func() {
			defer func() {
				q.held.drop(c.Entry)
				r.free(c.Message.Mailbox, 1)
				q.lanes.freed()
			}()
			if err != nil {
				r.breaker.release()
				q.settle(hard, c, func(ctx context.Context) error { return q.cfg.Door.Postpone(ctx, c, time.Now()) })
				return
			}
			q.relay(hard, r, c, suppressed[suppressionKey{c.Message.SubAccount, waypost.FoldEmail(c.Message.Recipient)}])
		})
	}
}

// noteProvider makes a change of a provider's state visible.
func (q *Queue) noteProvider(ctx context.Context, r *relay, kind waypost.ProviderEventKind, text string, now time.Time) {
	q.cfg.Log.WarnContext(ctx, "provider changed state", "provider", r.provider.Name, "state", string(kind), "why", text)
	e := waypost.ProviderEvent{Provider: r.provider.ID, At: now, Kind: kind, Text: text}
	if err := q.cfg.Store.AddProviderEvent(ctx, &e); err != nil && ctx.Err() == nil {
		q.cfg.Log.ErrorContext(ctx, "cannot store a provider's change of state", "provider", r.provider.Name, "error", err)
	}
	q.lanes.stir()
}

type suppressionKey struct {
	subAccount int64
	email      string
}

// suppressedNow looks again, just before relaying, at who must not be mailed
// (D-37).
func (q *Queue) suppressedNow(ctx context.Context, entries []store.Claimable, now time.Time) (map[suppressionKey]*waypost.Suppression, error) {
	emails := map[int64][]string{}
	for i := range entries {
		m := &entries[i].Message
		emails[m.SubAccount] = append(emails[m.SubAccount], waypost.FoldEmail(m.Recipient))
	}
	out := map[suppressionKey]*waypost.Suppression{}
	for sub, list := range emails {
		found, err := q.cfg.Store.Suppressed(ctx, sub, list, now)
		if err != nil {
			return nil, fmt.Errorf("look up %d suppressions: %w", len(list), err)
		}
		for email, s := range found {
			out[suppressionKey{sub, email}] = &s
		}
	}
	return out, nil
}

// renew extends the leases of what is in flight (D-21).
func (q *Queue) renew(hard context.Context) {
	tick := time.NewTicker(q.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-hard.Done():
			return
		case <-tick.C:
		}
		held := q.held.all()
		if len(held) == 0 {
			continue
		}
		if err := q.cfg.Store.Extend(hard, held, time.Now().Add(q.cfg.Lease)); err != nil && hard.Err() == nil {
			q.cfg.Log.WarnContext(hard, "cannot extend leases", "messages", len(held), "error", err)
		}
	}
}
