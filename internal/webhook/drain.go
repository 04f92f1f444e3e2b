package webhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// idle is how long a webhook that is disabled or gone is left alone. A change
// of a webhook holds within the store's five seconds.
const idle = 3 * time.Second

// drain sends what is due for one webhook and tells how long the lane rests
// afterwards.
func (w *Workers) drain(ctx context.Context, id int64, l *lane) time.Duration {
	hard := context.WithoutCancel(ctx) // a request that began is finished
	var flight sync.WaitGroup
	notes := w.keepNotes(hard)
	defer notes.close()
	defer flight.Wait()
	mine := make(chan struct{}, w.cfg.PerWebhook)
	for ctx.Err() == nil {
		hook, target, err := w.target(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return idle
		case err != nil:
			if ctx.Err() == nil {
				w.cfg.Log.ErrorContext(ctx, "cannot read webhook; its deliveries wait", "webhook", id, "error", err)
			}
			return idle
		case !hook.Enabled:
			return idle
		}
		probe := id != 0 && (l.failing() || hook.State == waypost.WebhookDegraded)
		most := 4 * w.cfg.PerWebhook
		if probe {
			most = 1
		}
		now := w.cfg.Now()
		batch, err := w.cfg.Store.ClaimDeliveries(ctx, id, now, most, now.Add(w.cfg.Lease))
		if err != nil {
			if ctx.Err() == nil {
				w.cfg.Log.ErrorContext(ctx, "cannot claim deliveries; trying again", "webhook", id, "error", err)
			}
			return w.cfg.Poll
		}
		if len(batch) == 0 {
			return 0
		}
		w.launch(ctx, hard, batch, l, target, mine, notes, &flight, probe)
		if probe {
			flight.Wait()
			notes.flush()
			if l.failing() {
				return w.cfg.Rest
			}
		}
	}
	return 0
}

// failing tells that so many requests in a row failed that one at a time is
// enough to find out when it ends.
func (l *lane) failing() bool { return l.failures.Load() >= waypost.DegradedAfter }

// launch starts a request for each delivery of a batch, as places become free.
// When the endpoint begins to fail the rest of the batch is left to its lease.
func (w *Workers) launch(ctx, hard context.Context, batch []store.ClaimedDelivery, l *lane, target Target, mine chan struct{}, notes *notes, flight *sync.WaitGroup, probe bool) {
	told, err := w.subjects.of(hard, batch)
	if err != nil {
		w.cfg.Log.ErrorContext(ctx, "cannot read what deliveries tell of; they are claimed again later", "error", err)
		return
	}
	limit := time.Now().Add(w.cfg.Lease - Timeout - 5*time.Second)
	for i := range batch {
		if ctx.Err() != nil || time.Now().After(limit) || !probe && batch[i].Delivery.Webhook != 0 && l.failing() {
			return
		}
		select {
		case mine <- struct{}{}:
		case <-ctx.Done():
			return
		}
		select {
		case w.places <- struct{}{}:
		case <-ctx.Done():
			<-mine
			return
		}
		flight.Go(func() {
			defer func() { <-w.places; <-mine }()
			w.attempt(hard, batch[i].Delivery, &told[i], target, l, notes)
		})
	}
}

// attempt makes one request and notes what became of the delivery.
func (w *Workers) attempt(ctx context.Context, d waypost.Delivery, subject *Subject, target Target, l *lane, notes *notes) {
	if d.Webhook == 0 {
		if target = w.endpoint(ctx, subject); target.URL == "" {
			d.Attempt = len(w.cfg.Schedule)
			notes.add(after(d, &Answer{Error: "the content of the message, which names the endpoint, is past its retention"}, w.cfg.Schedule, w.cfg.Now(), 0))
			return
		}
		until, ok := w.hosts.enter(target.URL, time.Now())
		if !ok { // no attempt: the host is known to fail, or has its share of requests
			d.Due = w.cfg.Now().Add(until)
			notes.add(d)
			return
		}
	}
	answer := w.cfg.Sender.Send(ctx, &target, subject, d.Attempt+1, time.Now())
	now := w.cfg.Now()
	if d.Webhook == 0 {
		w.hosts.leave(target.URL, answer.OK(), time.Now())
	}
	d = after(d, &answer, w.cfg.Schedule, now, rand.Float64()) //nolint:gosec // jitter is no secret
	switch d.State {
	case waypost.DeliveryDone:
		w.done.Add(1)
		l.failures.Store(0)
	case waypost.DeliveryDead:
		w.dead.Add(1)
		fallthrough
	case waypost.DeliveryWaiting:
		w.failed.Add(1)
		l.failures.Add(1)
	}
	notes.add(d)
	if answer.Status == statusGone && d.Webhook != 0 {
		notes.flush()
		w.stop(ctx, d.Webhook)
	}
}

const statusGone = 410

// stop disables a webhook whose receiver says that it is gone for good.
func (w *Workers) stop(ctx context.Context, id int64) {
	hook, err := w.cfg.Store.AnyWebhook(ctx, id)
	if err != nil || !hook.Enabled {
		return
	}
	now := w.cfg.Now()
	hook.Enabled, hook.State, hook.DisabledAt, hook.Updated = false, waypost.WebhookDisabled, now, now
	hook.DisabledReason = "the receiver answered 410 Gone"
	if err := w.cfg.Store.UpdateWebhook(ctx, &hook); err != nil {
		w.cfg.Log.ErrorContext(ctx, "cannot disable a webhook whose receiver is gone", "webhook", id, "error", err)
	}
}

// target reads a webhook and where its requests go. For the endpoints of
// single calls that differs by message.
func (w *Workers) target(ctx context.Context, id int64) (waypost.Webhook, Target, error) {
	if id == 0 {
		return waypost.Webhook{Enabled: true}, Target{}, nil
	}
	hook, err := w.cfg.Store.AnyWebhook(ctx, id)
	if err != nil || !hook.Enabled {
		return hook, Target{}, err
	}
	secrets, err := Open(w.cfg.Box, hook.Secret)
	return hook, Target{URL: hook.URL, Hook: hook.UUID, Secrets: secrets, Flags: hook.Wants}, err
}

// endpoint is the target that the call of a message named.
func (w *Workers) endpoint(ctx context.Context, s *Subject) Target {
	key, err := EndpointSecret(w.cfg.Box, s.Event.SubAccount)
	if err != nil {
		w.cfg.Log.ErrorContext(ctx, "cannot derive the secret of an endpoint", "sub_account", s.Event.SubAccount, "error", err)
		return Target{}
	}
	return Target{URL: s.Content.Webhook, Secrets: Secrets{Current: key}}
}
