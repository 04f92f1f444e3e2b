package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// hook is a webhook of an account as it is made.
func hook(account int64, url string, wants waypost.WebhookFlags) waypost.Webhook {
	return waypost.Webhook{
		Account: account, UUID: waypost.NewUUID(epoch), URL: url, Enabled: true, Wants: wants, Secret: waypost.Sealed("\x01sealed\x00"),
		Created: epoch, Updated: epoch, State: waypost.WebhookActive,
	}
}

// newHook stores a webhook of the fixture's account.
func (f *fixture) newHook(url string, wants waypost.WebhookFlags) *waypost.Webhook {
	f.t.Helper()
	w := hook(f.account, url, wants)
	f.ok(f.s.CreateWebhook(f.t.Context(), &w))
	if w.ID == 0 {
		f.t.Fatal("the id of a webhook is not filled in")
	}
	return &w
}

// webhook reads one webhook of the fixture's account.
func (f *fixture) webhook(id int64) waypost.Webhook {
	f.t.Helper()
	w, err := f.s.Webhook(f.t.Context(), f.account, id)
	f.ok(err)
	return w
}

func testWebhooks(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	var all []waypost.Webhook
	for i := range 3 {
		all = append(all, *f.newHook(fmt.Sprintf("https://Hooks%d.example.com/in?a=%%41", i), waypost.WantDelivered|waypost.WantUniqueClick))
	}
	f.equal("read back", f.webhook(all[1].ID), all[1])
	any, err := f.s.AnyWebhook(ctx, all[1].ID)
	f.ok(err)
	f.equal("for its worker", any, all[1])
	again := hook(f.account, all[0].URL, 0)
	f.is(f.s.CreateWebhook(ctx, &again), store.ErrExists)

	for _, c := range []struct {
		page store.Page
		want []waypost.Webhook
	}{
		{store.Page{Limit: 10}, all},
		{store.Page{Limit: 1, Offset: 1}, all[1:2]},
		{store.Page{Limit: 10, Search: "hooks2"}, all[2:]},
		{store.Page{Limit: 10, Search: "%4"}, all},
		{store.Page{Limit: 10, Search: "s_.e"}, nil},
	} {
		got, err := f.s.Webhooks(ctx, f.account, c.page)
		f.ok(err)
		f.equal(fmt.Sprintf("%+v", c.page), fmt.Sprint(got), fmt.Sprint(c.want))
	}

	w := all[1]
	w.URL, w.Enabled, w.Wants, w.Secret = "https://example.net/", false, waypost.WantOpened, waypost.Sealed("other")
	w.Updated, w.State, w.Failures = epoch.Add(time.Hour), waypost.WebhookDisabled, 100
	w.DisabledAt, w.DisabledReason = epoch.Add(time.Minute), "no answer"
	f.ok(f.s.UpdateWebhook(ctx, &w))
	f.equal("updated", f.webhook(w.ID), w)
	taken, gone := w, w
	taken.URL, gone.ID = all[0].URL, w.ID+999
	f.is(f.s.UpdateWebhook(ctx, &taken), store.ErrExists)
	f.is(f.s.UpdateWebhook(ctx, &gone), store.ErrNotFound)
	f.equal("untouched", f.webhook(w.ID), w)
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.equal("after a restart", f.webhook(w.ID), w)
	}
	f.ok(f.s.DeleteWebhook(ctx, f.account, w.ID))
	f.is(f.s.DeleteWebhook(ctx, f.account, w.ID), store.ErrNotFound)
	_, err = f.s.AnyWebhook(ctx, w.ID)
	f.is(err, store.ErrNotFound)
}

// testWebhooksTenancy: a webhook and its deliveries are another account's only,
// and so are the events that it is told of.
func testWebhooksTenancy(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	stranger := f.account + 1
	mine := f.newHook("https://example.com/", waypost.WantProcessed)
	theirs := hook(stranger, mine.URL, waypost.WantProcessed) // a URL is taken in its own account alone
	f.ok(f.s.CreateWebhook(ctx, &theirs))
	f.accept(1, f.now)
	f.equal("the stranger is not told", len(f.deliveries(store.DeliveryQuery{Account: stranger, Webhook: theirs.ID})), 0)
	got := f.deliveries(store.DeliveryQuery{Webhook: mine.ID})
	f.equal("mine is", len(got), 1)
	f.equal("not by another's id", len(f.deliveries(store.DeliveryQuery{Account: stranger, Webhook: mine.ID})), 0)

	held := f.claimDeliveries(mine.ID, 1)
	f.attempted(held, waypost.DeliveryDead)
	n, err := f.s.ReplayDeliveries(ctx, stranger, mine.ID, []int64{got[0].ID}, f.later())
	f.ok(err)
	f.equal("replayed by a stranger", n, 0)
	n, err = f.s.ReplayDeliveries(ctx, stranger, mine.ID, nil, f.later())
	f.ok(err)
	f.equal("all replayed by a stranger", n, 0)
	n, err = f.s.ReplayDeliveries(ctx, f.account, theirs.ID, []int64{got[0].ID}, f.later())
	f.ok(err)
	f.equal("replayed under another webhook", n, 0)

	_, err = f.s.Webhook(ctx, stranger, mine.ID)
	f.is(err, store.ErrNotFound)
	list, err := f.s.Webhooks(ctx, stranger, store.Page{Limit: 10})
	f.ok(err)
	f.equal("the stranger's list", len(list), 1)
	changed := *mine
	changed.Account, changed.URL = stranger, "https://evil.example/"
	f.is(f.s.UpdateWebhook(ctx, &changed), store.ErrNotFound)
	f.is(f.s.DeleteWebhook(ctx, stranger, mine.ID), store.ErrNotFound)
	f.equal("untouched", f.webhook(mine.ID).URL, mine.URL)
	f.equal("its deliveries too", len(f.deliveries(store.DeliveryQuery{Webhook: mine.ID})), 1)
}
