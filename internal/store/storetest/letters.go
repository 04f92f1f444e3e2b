package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// letters stores nine deliveries of a webhook: of each state three.
func (f *fixture) letters(w *waypost.Webhook) (done, dead, waiting []waypost.Delivery) {
	f.t.Helper()
	f.accept(9, f.now)
	held := f.claimDeliveries(w.ID, 9)
	f.equal("claimed", len(held), 9)
	return f.attempted(held[:3], waypost.DeliveryDone), f.attempted(held[3:6], waypost.DeliveryDead), f.attempted(held[6:], waypost.DeliveryWaiting)
}

func deliveryIDs(all []waypost.Delivery) []int64 {
	var out []int64
	for i := range all {
		out = append(out, all[i].ID)
	}
	return out
}

func testDeliveriesList(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed)
	f.newHook("https://example.net/", waypost.WantProcessed)
	done, dead, waiting := f.letters(w)
	all := slices.Concat(done, dead, waiting)
	slices.Reverse(all)
	got := f.deliveries(store.DeliveryQuery{Webhook: w.ID})
	for i := range all {
		all[i].Lease, got[i].Lease = 0, 0 // the store's own
		if all[i].State != waypost.DeliveryWaiting {
			all[i].Due, got[i].Due = time.Time{}, time.Time{} // means nothing any more
		}
	}
	f.equal("newest first", got, all)
	for state, want := range map[waypost.DeliveryState][]waypost.Delivery{
		waypost.DeliveryDone: done, waypost.DeliveryDead: dead, waypost.DeliveryWaiting: waiting,
	} {
		ids := deliveryIDs(want)
		slices.Reverse(ids)
		f.equal("by state", deliveryIDs(f.deliveries(store.DeliveryQuery{Webhook: w.ID, State: &state})), ids)
		f.equal("a page", deliveryIDs(f.deliveries(store.DeliveryQuery{Webhook: w.ID, State: &state, Limit: 1, Before: ids[0]})), ids[1:2])
	}
	f.equal("a page of all", deliveryIDs(f.deliveries(store.DeliveryQuery{Webhook: w.ID, Limit: 4, Before: all[1].ID})), deliveryIDs(all[2:6]))
	f.equal("of an unknown one", len(f.deliveries(store.DeliveryQuery{Webhook: w.ID + 999})), 0)
}

func testDeliveriesReplay(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed)
	done, dead, waiting := f.letters(w)
	now := f.later()
	replay := func(what string, ids []int64, want int) {
		t.Helper()
		n, err := f.s.ReplayDeliveries(t.Context(), f.account, w.ID, ids, now)
		f.ok(err)
		f.equal(what, n, want)
	}
	replay("those listed that are finished", []int64{done[0].ID, dead[0].ID, waiting[0].ID, waiting[2].ID + 999}, 2)
	got := f.claimDeliveriesAt(w.ID, now, 10)
	var ids []int64
	for _, h := range got {
		ids = append(ids, h.Delivery.ID)
		if d := h.Delivery; d.Attempt != 0 || d.State != waypost.DeliveryWaiting || d.Status != 0 || d.Error != "" || !d.LastAt.IsZero() {
			t.Fatalf("not as if none had been attempted: %+v", d)
		}
	}
	f.equal("they are due now", ids, []int64{done[0].ID, dead[0].ID})
	f.attempted(got, waypost.DeliveryDone)
	replay("every dead letter", nil, 2)
	replay("no more", nil, 0)
	dead2 := waypost.DeliveryDead
	f.equal("none is left", len(f.deliveries(store.DeliveryQuery{Webhook: w.ID, State: &dead2})), 0)
	f.equal("the counters stay", f.webhook(w.ID).Delivered, int64(5))
}

func testDeliveriesPrune(t *testing.T, e Engine) {
	f := newFixture(t, e)
	w := f.newHook("https://example.com/", waypost.WantProcessed)
	_, dead, waiting := f.letters(w)
	past, future := f.later().Add(-24*time.Hour), f.later().Add(24*time.Hour)
	prune := func(what string, done, dead time.Time, limit, want int) {
		t.Helper()
		n, err := f.s.PruneDeliveries(t.Context(), done, dead, limit)
		f.ok(err)
		f.equal(what, n, want)
	}
	prune("none is that old", past, past, 100, 0)
	prune("at most the limit", future, past, 2, 2)
	prune("the rest of those done", future, past, 100, 1)
	f.equal("left", deliveryIDs(f.deliveries(store.DeliveryQuery{Webhook: w.ID})), func() []int64 {
		ids := deliveryIDs(slices.Concat(dead, waiting))
		slices.Reverse(ids)
		return ids
	}())
	prune("dead letters", past, future, 100, 3)
	prune("what waits stays", future, future, 100, 0)
	f.equal("three wait", len(f.deliveries(store.DeliveryQuery{Webhook: w.ID})), 3)
}
