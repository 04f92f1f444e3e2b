package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// later is a time at which whatever was stored by now is due.
func (f *fixture) later() time.Time { return time.Now().Add(time.Hour).Truncate(time.Millisecond) }

// deliveries lists deliveries, of the fixture's account unless q names one.
func (f *fixture) deliveries(q store.DeliveryQuery) []waypost.Delivery {
	f.t.Helper()
	if q.Account == 0 {
		q.Account = f.account
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	all, err := f.s.ListDeliveries(f.t.Context(), q)
	f.ok(err)
	return all
}

// claimDeliveries leases due deliveries for a minute, an hour from now.
func (f *fixture) claimDeliveries(webhook int64, limit int) []store.ClaimedDelivery {
	f.t.Helper()
	return f.claimDeliveriesAt(webhook, f.later(), limit)
}

func (f *fixture) claimDeliveriesAt(webhook int64, now time.Time, limit int) []store.ClaimedDelivery {
	f.t.Helper()
	all, err := f.s.ClaimDeliveries(f.t.Context(), webhook, now, limit, now.Add(time.Minute))
	f.ok(err)
	return all
}

// attempted notes an attempt of each delivery: one that stays waiting is due again
// in five minutes.
func (f *fixture) attempted(held []store.ClaimedDelivery, state waypost.DeliveryState) []waypost.Delivery {
	f.t.Helper()
	now := f.later()
	var all []waypost.Delivery
	for i := range held {
		d := held[i].Delivery
		d.State, d.Attempt, d.LastAt, d.Took = state, d.Attempt+1, now, 1500*time.Microsecond
		if d.Status = 204; state != waypost.DeliveryDone {
			d.Status, d.Error, d.Due = 503, "503 Service Unavailable", now.Add(5*time.Minute)
		}
		all = append(all, d)
	}
	f.ok(f.s.FinishDeliveries(f.t.Context(), all, now))
	return all
}

func (f *fixture) heads() map[int64]time.Time {
	f.t.Helper()
	all, err := f.s.DeliveryHeads(f.t.Context())
	f.ok(err)
	out := map[int64]time.Time{}
	for _, h := range all {
		if _, twice := out[h.Webhook]; twice {
			f.t.Fatalf("webhook %d is listed twice", h.Webhook)
		}
		out[h.Webhook] = h.Due
	}
	return out
}

// told are the types of the events that a webhook has deliveries of, the oldest
// first.
func (f *fixture) told(webhook int64) []waypost.EventType {
	f.t.Helper()
	var out []waypost.EventType
	for _, d := range slices.Backward(f.deliveries(store.DeliveryQuery{Webhook: webhook})) {
		ev, err := f.s.Event(f.t.Context(), f.account, d.Event)
		f.ok(err)
		f.equal("message of a delivery", d.Message, ev.Message)
		out = append(out, ev.Type)
	}
	return out
}

// testDeliveriesStored: what is told to whom, whichever way an event comes.
func testDeliveriesStored(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	f.accept(1, f.now) // before anybody listens
	processed := f.newHook("https://example.com/processed", waypost.WantProcessed)
	ends := f.newHook("https://example.com/ends", waypost.WantSent|waypost.WantHardBounced|waypost.WantSoftBounced|waypost.WantSMTPDropped)
	first := f.newHook("https://example.com/first", waypost.WantOpened|waypost.WantUniqueOpen|waypost.WantClicked)
	none := f.newHook("https://example.com/none", 0)
	f.now = f.now.Add(time.Minute)
	a := f.call(2, f.now)
	f.ok(f.s.Accept(ctx, a))
	m := a.Messages[0]
	b := f.call(1, f.now)
	b.Messages = append(b.Messages, m) // is stored already
	if err := f.s.Accept(ctx, b); !errors.Is(err, store.ErrExists) {
		t.Fatalf("a message twice: %v", err)
	}

	f.ok(f.sent(f.claim(3).Entries[0]))
	f.record(store.Fact{Event: f.event(waypost.CSSoftBounced, &m, waypost.SourceAgent), Once: store.OnceBounce})
	f.record(store.Fact{Event: f.event(waypost.CSHardBounced, &m, waypost.SourceBounce), Once: store.OnceBounce}) // evidence
	for range 2 {
		for _, typ := range []waypost.EventType{waypost.CSOpen, waypost.CSClick} {
			ev := f.event(typ, &m, waypost.SourceTrack)
			ev.Visit = &waypost.Visit{URL: "https://example.com/"}
			f.record(store.Fact{Event: ev, First: typ.String()})
		}
	}
	f.record(store.Fact{Event: waypost.Event{Message: m.ID, At: f.now, Code: 451}, Deferral: true})
	f.equal("processed", f.told(processed.ID), []waypost.EventType{waypost.CSProcessed, waypost.CSProcessed})
	f.equal("ends", f.told(ends.ID), []waypost.EventType{waypost.CSSent, waypost.CSSoftBounced})
	f.equal("opens once, clicks always", f.told(first.ID), []waypost.EventType{waypost.CSOpen, waypost.CSClick, waypost.CSClick})
	f.equal("nothing", len(f.told(none.ID)), 0)
	f.equal("nobody's call", len(f.told(0)), 0)

	r, fact := f.report(&a.Messages[1], 1)
	f.save(r, fact)
	soft := f.event(waypost.CSSoftBounced, &a.Messages[1], waypost.SourceBounce)
	f.ok(f.s.Reclassify(ctx, store.Reclassification{
		Account: f.account, Report: r.ID, Verdict: store.VerdictSoft, At: f.now, Event: &soft, Email: soft.Recipient,
	}))
	n, err := f.s.Cancel(ctx, f.account, store.Selection{Messages: []waypost.UUID{m.ID, a.Messages[1].ID}}, "by hand", f.now.Add(time.Hour))
	f.ok(err)
	want := []waypost.EventType{waypost.CSSent, waypost.CSSoftBounced}
	hard := f.told(ends.ID)[2:]
	for range n {
		hard = slices.DeleteFunc(hard, func(t waypost.EventType) bool { return t == waypost.CSDropped })
	}
	f.equal("a report, and another verdict", hard, []waypost.EventType{waypost.CSHardBounced, waypost.CSSoftBounced})
	f.equal("and cancelled ones", len(f.told(ends.ID)), len(want)+2+n)

	// A change holds from the next event on.
	processed.Enabled = false
	f.ok(f.s.UpdateWebhook(ctx, processed))
	none.Wants = waypost.WantProcessed
	f.ok(f.s.UpdateWebhook(ctx, none))
	f.ok(f.s.DeleteWebhook(ctx, f.account, ends.ID))
	f.accept(1, f.now)
	f.equal("a disabled one", len(f.told(processed.ID)), 2)
	f.equal("one that changed its mind", f.told(none.ID), []waypost.EventType{waypost.CSProcessed})
	f.equal("a deleted one", len(f.told(ends.ID)), 0)
	if _, there := f.heads()[ends.ID]; there {
		t.Fatal("a deleted webhook has work")
	}
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.accept(1, f.now)
		f.equal("after a restart", f.told(none.ID), []waypost.EventType{waypost.CSProcessed, waypost.CSProcessed})
		f.equal("disabled after a restart", len(f.told(processed.ID)), 2)
	}
}

// testDeliveriesOwn: events of a call that names an endpoint go there alone.
func testDeliveriesOwn(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed|waypost.WantSMTPDropped|waypost.WantDelivered)
	a := f.call(1, f.now)
	a.Messages[0].OwnWebhook = true
	a.Events[0].Facets = a.Messages[0].Facets()
	f.ok(f.s.Accept(t.Context(), a))
	ev := f.event(waypost.CSDelivered, &a.Messages[0], waypost.SourceAgent)
	ev.Facets = a.Messages[0].Facets()
	f.record(store.Fact{Event: ev, Once: "delivered"})
	f.record(store.Fact{Event: ev, Once: "delivered"}) // evidence
	n, err := f.s.Cancel(t.Context(), f.account, store.Selection{Messages: []waypost.UUID{a.Messages[0].ID}}, "by hand", f.now)
	f.ok(err)
	f.equal("cancelled", n, 1)
	f.equal("the account's webhook", len(f.told(w.ID)), 0)
	f.equal("the call's own", f.told(0), []waypost.EventType{waypost.CSProcessed, waypost.CSDelivered, waypost.CSDropped})
	held := f.claimDeliveries(0, 10)
	f.equal("claimed", len(held), 3)
	put := held[2].Delivery // goes back unattempted
	put.Due = f.later().Add(time.Hour)
	f.ok(f.s.FinishDeliveries(t.Context(), []waypost.Delivery{put}, f.later()))
	f.attempted(held, waypost.DeliveryDone) // of which one is held no more
	f.equal("put back", f.heads(), map[int64]time.Time{0: put.Due})
	held = f.claimDeliveriesAt(0, put.Due, 10)
	f.equal("claimed again", held[0].Delivery.Attempt, 0)
	f.attempted(held, waypost.DeliveryDone)
	f.equal("done", len(f.heads()), 0)
}

func testDeliveriesClaim(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w, other := f.newHook("https://example.com/", waypost.WantProcessed), f.newHook("https://example.net/", waypost.WantProcessed)
	f.equal("no work", len(f.heads()), 0)
	f.equal("nothing to claim", len(f.claimDeliveries(w.ID, 10)), 0)
	f.accept(5, f.now)
	heads := f.heads()
	f.equal("two have work", len(heads), 2)
	f.equal("nothing before it is due", len(f.claimDeliveriesAt(w.ID, heads[w.ID].Add(-time.Second), 10)), 0)

	at := f.later()
	held := f.claimDeliveriesAt(w.ID, at, 3)
	f.equal("at most the limit", len(held), 3)
	for i, h := range held {
		ev, err := f.s.Event(t.Context(), f.account, h.Delivery.Event)
		f.ok(err)
		f.equal("its event", h.Event, ev)
		d := h.Delivery
		if d.Account != f.account || d.Webhook != w.ID || d.Message != ev.Message || d.Attempt != 0 || d.State != waypost.DeliveryWaiting {
			t.Fatalf("claimed %+v", d)
		}
		f.equal("end of its lease", d.Due, at.Add(time.Minute))
		if i > 0 && d.Event <= held[i-1].Delivery.Event {
			t.Fatal("not the oldest first")
		}
	}
	f.equal("the rest", len(f.claimDeliveriesAt(w.ID, at, 10)), 2)
	f.equal("all are leased", len(f.claimDeliveriesAt(w.ID, at, 10)), 0)
	f.equal("the other's are not", len(f.claimDeliveriesAt(other.ID, at, 10)), 5)
	f.equal("head of leased ones", f.heads()[w.ID].Equal(at.Add(time.Minute)), true)
	f.attempted(held[:1], waypost.DeliveryDone)
	f.attempted(held[1:2], waypost.DeliveryDead)
	retried := f.attempted(held[2:], waypost.DeliveryWaiting)[0]
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
	}
	f.equal("leases that ran out", len(f.claimDeliveriesAt(w.ID, at.Add(2*time.Minute), 10)), 2)
	again := f.claimDeliveriesAt(w.ID, retried.Due, 1) // by due time, the leases of the two are over before
	f.equal("and again", len(again), 1)
	all := f.claimDeliveriesAt(w.ID, retried.Due, 10)
	var attempts []int
	for _, h := range append(again, all...) {
		attempts = append(attempts, h.Delivery.Attempt)
	}
	f.equal("the retry comes last", attempts, []int{0, 0, 1})
}

// testDeliveriesLost: an attempt of one whose lease was taken over is not noted.
func testDeliveriesLost(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed)
	f.accept(2, f.now)
	at := f.later()
	slow := f.claimDeliveriesAt(w.ID, at, 10)
	quick := f.claimDeliveriesAt(w.ID, at.Add(2*time.Minute), 1)
	f.equal("taken over", quick[0].Delivery.ID, slow[0].Delivery.ID)
	f.attempted(slow[:1], waypost.DeliveryDead)
	f.equal("not noted", f.webhook(w.ID).Failed, int64(0))
	f.attempted(slow[1:], waypost.DeliveryDone) // late, and nobody else has it
	f.attempted(quick, waypost.DeliveryDone)
	got := f.webhook(w.ID)
	f.equal("delivered", []int64{got.Delivered, got.Failed}, []int64{2, 0})

	f.accept(1, f.now)
	held := f.claimDeliveries(w.ID, 10)
	f.ok(f.s.DeleteWebhook(t.Context(), f.account, w.ID))
	f.attempted(held, waypost.DeliveryDone)
	f.equal("gone", len(f.deliveries(store.DeliveryQuery{Webhook: w.ID})), 0)
	f.ok(f.s.FinishDeliveries(t.Context(), nil, f.now))
}

// testDeliveriesState walks a webhook through the rules of D-38.
func testDeliveriesState(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed)
	next := func(n int, state waypost.DeliveryState) waypost.Webhook {
		t.Helper()
		f.accept(n, f.now)
		held := f.claimDeliveries(w.ID, n)
		f.equal("claimed", len(held), n)
		f.attempted(held, state)
		return f.webhook(w.ID)
	}
	is := func(what string, got waypost.Webhook, state waypost.WebhookState, failures int, delivered, failed int64) {
		t.Helper()
		if got.State != state || got.Failures != failures || got.Delivered != delivered || got.Failed != failed ||
			got.Enabled != (state != waypost.WebhookDisabled) || got.DisabledAt.IsZero() != got.Enabled || (got.DisabledReason == "") != got.Enabled {
			t.Fatalf("%s: %+v", what, got)
		}
	}
	is("one went well", next(1, waypost.DeliveryDone), waypost.WebhookActive, 0, 1, 0)
	is("short of degraded", next(waypost.DegradedAfter-1, waypost.DeliveryDead), waypost.WebhookActive, 4, 1, 4)
	is("degraded", next(1, waypost.DeliveryWaiting), waypost.WebhookDegraded, 5, 1, 5)
	is("well again", next(1, waypost.DeliveryDone), waypost.WebhookActive, 0, 2, 5)
	is("short of disabled", next(waypost.DisabledAfter-1, waypost.DeliveryDead), waypost.WebhookDegraded, 99, 2, 104)
	is("disabled", next(1, waypost.DeliveryDead), waypost.WebhookDisabled, 100, 2, 105)
	before := len(f.deliveries(store.DeliveryQuery{Webhook: w.ID}))
	f.accept(1, f.now)
	f.equal("it is told no more", len(f.deliveries(store.DeliveryQuery{Webhook: w.ID})), before)
}
