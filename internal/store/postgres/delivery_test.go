package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

func newHook(t *testing.T, d *DB, url string, wants waypost.WebhookFlags) *waypost.Webhook {
	t.Helper()
	w := &waypost.Webhook{
		Account: 1, UUID: waypost.NewUUID(now), URL: url, Enabled: true, Wants: wants, Secret: waypost.Sealed("s"), Created: now,
		State: waypost.WebhookActive,
	}
	if err := d.CreateWebhook(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return w
}

func deliveries(t *testing.T, d *DB, webhook int64) []waypost.Delivery {
	t.Helper()
	all, err := d.ListDeliveries(t.Context(), store.DeliveryQuery{Account: 1, Webhook: webhook, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func claimDue(t *testing.T, d *DB, webhook int64, at time.Time, n int) []store.ClaimedDelivery {
	t.Helper()
	got, err := d.ClaimDeliveries(t.Context(), webhook, at, n, at.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestWebhooksOfNodes: another node tells a webhook within the contract's five
// seconds, and a claim that was taken over cannot be finished by its first
// holder.
func TestWebhooksOfNodes(t *testing.T) {
	url := pgtest.Start(t)
	a, b := open(t, url), open(t, url)
	w := newHook(t, a, "https://example.com/hook", waypost.WantProcessed|waypost.WantSent)
	for try := 0; len(deliveries(t, a, w.ID)) == 0; try++ {
		if try == 600 {
			t.Fatal("the other node never told the webhook")
		}
		time.Sleep(50 * time.Millisecond)
		if err := b.Accept(t.Context(), call(1, "x")); err != nil {
			t.Fatal(err)
		}
	}
	heads, err := b.DeliveryHeads(t.Context())
	if err != nil || len(heads) != 1 || heads[0].Webhook != w.ID {
		t.Fatalf("heads: %+v, %v", heads, err)
	}
	at := time.Now().Add(time.Second)
	first := claimDue(t, a, w.ID, at, 10)
	if len(first) != 1 || first[0].Event.Type != waypost.CSProcessed || first[0].Event.ID != first[0].Delivery.Event {
		t.Fatalf("claimed: %+v", first)
	}
	if again := claimDue(t, b, w.ID, at, 10); len(again) != 0 {
		t.Fatalf("handed out twice: %+v", again)
	}
	second := claimDue(t, b, w.ID, at.Add(time.Hour), 10)
	if len(second) != 1 {
		t.Fatalf("not handed out after its lease: %+v", second)
	}
	finish := func(d *DB, c store.ClaimedDelivery, s waypost.DeliveryState) waypost.Delivery {
		t.Helper()
		c.Delivery.State, c.Delivery.Attempt, c.Delivery.Status, c.Delivery.LastAt = s, c.Delivery.Attempt+1, 200, at
		if err := d.FinishDeliveries(t.Context(), []waypost.Delivery{c.Delivery}, at); err != nil {
			t.Fatal(err)
		}
		return deliveries(t, d, w.ID)[0]
	}
	if got := finish(a, first[0], waypost.DeliveryDead); got.State != waypost.DeliveryWaiting || got.Attempt != 0 {
		t.Fatalf("the first holder finished it: %+v", got)
	}
	if got := finish(b, second[0], waypost.DeliveryDone); got.State != waypost.DeliveryDone || got.Status != 200 {
		t.Fatalf("the second did not: %+v", got)
	}
	if got := finish(b, second[0], waypost.DeliveryDead); got.State != waypost.DeliveryDone {
		t.Fatalf("it was finished twice: %+v", got)
	}
	have, err := a.AnyWebhook(t.Context(), w.ID)
	if err != nil || have.Delivered != 1 || have.Failed != 0 {
		t.Fatalf("counted: %+v, %v", have, err)
	}
}

// TestWebhookStops: the hundredth failure in a row disables a webhook, and its
// node tells it nothing more.
func TestWebhookStops(t *testing.T) {
	d := open(t, pgtest.Start(t))
	w := newHook(t, d, "https://example.com/hook", waypost.WantProcessed)
	other := newHook(t, d, "https://example.com/other", waypost.WantDelivered)
	if err := d.Accept(t.Context(), call(waypost.DisabledAfter, "x")); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(time.Second)
	var all []waypost.Delivery
	for _, c := range claimDue(t, d, w.ID, at, 1000) {
		c.Delivery.Attempt, c.Delivery.Due, c.Delivery.LastAt, c.Delivery.Error = 1, at.Add(time.Minute), at, "503"
		all = append(all, c.Delivery)
	}
	if err := d.FinishDeliveries(t.Context(), all, at); err != nil {
		t.Fatal(err)
	}
	have, err := d.Webhook(t.Context(), 1, w.ID)
	if err != nil || have.Enabled || have.State != waypost.WebhookDisabled || have.Failures != waypost.DisabledAfter || have.DisabledAt.IsZero() {
		t.Fatalf("webhook: %+v, %v", have, err)
	}
	if err := d.Accept(t.Context(), call(1, "x")); err != nil {
		t.Fatal(err)
	}
	if n, m := len(deliveries(t, d, w.ID)), len(deliveries(t, d, other.ID)); n != waypost.DisabledAfter || m != 0 {
		t.Fatalf("%d deliveries, and %d of one that wants others", n, m)
	}
	if err := d.DeleteWebhook(t.Context(), 1, w.ID); err != nil {
		t.Fatal(err)
	}
	if n := len(deliveries(t, d, w.ID)); n != 0 {
		t.Fatalf("%d deliveries outlived their webhook", n)
	}
}

// TestPruneOrphans: what another node stored for a webhook that was just
// deleted is no head, and goes.
func TestPruneOrphans(t *testing.T) {
	d := open(t, pgtest.Start(t))
	w := newHook(t, d, "https://example.com/hook", waypost.WantProcessed)
	kept := newHook(t, d, "https://example.com/kept", waypost.WantProcessed)
	if err := d.Accept(t.Context(), call(3, "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.pool.Exec(t.Context(), `DELETE FROM webhook WHERE id = $1`, w.ID); err != nil {
		t.Fatal(err)
	}
	heads, err := d.DeliveryHeads(t.Context())
	if err != nil || len(heads) != 1 || heads[0].Webhook != kept.ID {
		t.Fatalf("heads: %+v, %v", heads, err)
	}
	n, err := d.PruneDeliveries(t.Context(), now, now, 100)
	if err != nil || n != 3 || len(deliveries(t, d, kept.ID)) != 3 {
		t.Fatalf("pruned %d, %v", n, err)
	}
}

// TestPruneMonths: a month that is old as a whole is dropped with the keys of
// its facts; of the month in between events are deleted; and a delivery whose
// event is gone becomes a dead letter.
func TestPruneMonths(t *testing.T) {
	url := pgtest.Start(t)
	in := &store.Installation{Account: waypost.Account{Name: "a"}, SubAccount: waypost.SubAccount{Name: "s", Default: true}}
	at := func(month time.Month, day int) *DB {
		clock := time.Date(2026, month, day, 12, 0, 0, 0, time.UTC)
		d, err := Open(t.Context(), url, Options{Now: func() time.Time { return clock }})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Install(t.Context(), in); err != nil && !errors.Is(err, store.ErrExists) {
			t.Fatal(err)
		}
		return d
	}
	var w *waypost.Webhook
	var fact store.Fact
	for _, day := range []struct {
		month time.Month
		day   int
	}{{1, 10}, {2, 5}, {2, 20}} {
		d := at(day.month, day.day)
		if w == nil {
			w = newHook(t, d, "https://example.com/hook", waypost.WantProcessed)
		}
		a := call(2, "x")
		for i := range a.Messages {
			id := waypost.NewUUID(d.ids.now())
			a.Messages[i].ID, a.Events[i].Message, a.Queue[i].Message = id, id, id
		}
		if err := d.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		f := store.Fact{Event: event(waypost.CSDelivered, &a.Messages[0]), Key: "k"}
		if fact.Key == "" {
			fact = f
		}
		if _, err := d.Record(t.Context(), []store.Fact{f}); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d := at(4, 1)
	defer d.Close()
	for _, want := range []int{3, 2, 1, 0} {
		n, err := d.PruneEvents(t.Context(), time.Date(2026, 2, 10, 0, 0, 0, 0, time.UTC), 2)
		if err != nil || n != want {
			t.Fatalf("pruned %d, %v, want %d", n, err, want)
		}
	}
	var january bool
	if err := d.pool.QueryRow(t.Context(), `SELECT to_regclass('event_2026_01') IS NOT NULL`).Scan(&january); err != nil || january {
		t.Fatalf("January is still there: %v", err)
	}
	left, err := d.ListEvents(t.Context(), store.EventQuery{Account: 1, Limit: 10})
	if err != nil || len(left) != 3 || store.EventTime(left[2].ID).Day() != 20 {
		t.Fatalf("left: %+v, %v", left, err)
	}
	again, err := d.Record(t.Context(), []store.Fact{fact})
	if err != nil || again[0] != store.Stored {
		t.Fatalf("the key of a pruned fact: %v, %v", again, err)
	}
	if got := claimDue(t, d, w.ID, time.Now(), 10); len(got) != 2 {
		t.Fatalf("claimed %d deliveries, of two there are events", len(got))
	}
	dead := waypost.DeliveryDead
	list, err := d.ListDeliveries(t.Context(), store.DeliveryQuery{Account: 1, Webhook: w.ID, State: &dead, Limit: 10})
	if err != nil || len(list) != 4 || list[0].Error == "" {
		t.Fatalf("dead letters: %+v, %v", list, err)
	}
	if n, err := d.ReplayDeliveries(t.Context(), 1, w.ID, nil, now); err != nil || n != 4 {
		t.Fatalf("replayed %d, %v", n, err)
	}
	if n, err := d.ReplayDeliveries(t.Context(), 2, w.ID, []int64{list[0].ID}, now); err != nil || n != 0 {
		t.Fatalf("another account replayed %d, %v", n, err)
	}
}

// TestPruneMessages: finished messages go with what belongs to them; a content
// stays while one of its messages waits.
func TestPruneMessages(t *testing.T) {
	d := open(t, pgtest.Start(t))
	ctx := t.Context()
	done, half := call(3, "x"), call(2, "y")
	later := call(1, "z")
	later.Messages[0].SubmittedAt = now.Add(time.Hour)
	for _, a := range []*store.Acceptance{done, half, later} {
		a.Content.ID = waypost.NewUUID(now)
		for i := range a.Messages {
			a.Messages[i].Content = a.Content.ID
		}
		if a != done {
			a.Queue = a.Queue[1:]
		} else {
			a.Queue = nil
		}
		if err := d.Accept(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	deferral := store.Fact{Deferral: true, Event: waypost.Event{Message: done.Messages[0].ID, At: now}}
	if _, err := d.Record(ctx, []store.Fact{deferral}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 2, 0} {
		if n, err := d.PruneMessages(ctx, now.Add(time.Minute), 2); err != nil || n != want {
			t.Fatalf("pruned %d, %v, want %d", n, err, want)
		}
	}
	if _, err := d.Content(ctx, done.Content.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a content without messages: %v", err)
	}
	for _, a := range []*store.Acceptance{half, later} {
		if _, err := d.Content(ctx, a.Content.ID); err != nil {
			t.Errorf("a content that is needed: %v", err)
		}
	}
	left, err := d.ListMessages(ctx, store.MessageQuery{Account: 1, Limit: 10})
	if err != nil || len(left) != 2 {
		t.Fatalf("left: %+v, %v", left, err)
	}
	var n int
	if err := d.pool.QueryRow(ctx, `SELECT count(*) FROM deferral`).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d deferrals left, %v", n, err)
	}
}
