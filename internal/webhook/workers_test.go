package webhook_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/webhook"
)

const ownKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestEveryEventOnce lets workers deliver events of many calls, to the webhook
// that wants them alone.
func TestEveryEventOnce(t *testing.T) {
	h := newHouse(t, nil)
	var mu sync.Mutex
	got := map[string]int{}
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got[r.Header.Get("webhook-id")]++
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	wanted := h.hook(server.URL+"/a", waypost.WantProcessed, ownKey)
	other := h.hook(server.URL+"/b", waypost.WantOpened, ownKey)
	h.run()
	for range 10 {
		h.accept(30, "")
	}
	h.until("300 deliveries are done", func() bool { return h.read(wanted.ID).Delivered == 300 })
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 300 {
		t.Errorf("%d events came, want 300", len(got))
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("event %s came %d times", id, n)
		}
	}
	for _, d := range h.deliveries(wanted.ID) {
		if d.State != waypost.DeliveryDone || d.Attempt != 1 || d.Status != http.StatusNoContent || d.Error != "" {
			t.Fatalf("a delivery is %+v", d)
		}
	}
	if n := len(h.deliveries(other.ID)); n != 0 {
		t.Errorf("a webhook that wants opens got %d deliveries", n)
	}
	if c := h.workers.Counts(); c.Done != 300 || c.Failed != 0 {
		t.Errorf("counts are %+v", c)
	}
}

// TestRetrySchedule fails every attempt and moves the clock: 1 m, 5 m, 30 m,
// 2 h, 24 h, then a dead letter, which can be replayed.
func TestRetrySchedule(t *testing.T) {
	h := newHouse(t, nil)
	var fail atomic.Bool
	fail.Store(true)
	var attempts sync.Map
	server := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		attempts.Store(r.Header.Get("X-SendPost-Webhook-Attempt"), true)
		if fail.Load() {
			http.Error(w, "not today", http.StatusServiceUnavailable)
		}
	})
	hook := h.hook(server.URL, waypost.WantProcessed, ownKey)
	h.accept(1, "")
	h.run()
	one := func() waypost.Delivery { return h.deliveries(hook.ID)[0] }
	for i, pause := range waypost.WebhookSchedule {
		h.until(fmt.Sprintf("attempt %d is made", i+1), func() bool { return one().Attempt == i+1 })
		d := one()
		wait := d.Due.Sub(d.LastAt)
		if wait < pause-time.Millisecond || wait > pause+pause/10+time.Millisecond {
			t.Errorf("after attempt %d the pause is %s, want %s and up to a tenth", i+1, wait, pause)
		}
		if d.State != waypost.DeliveryWaiting || d.Status != 503 || !strings.Contains(d.Error, "503") {
			t.Errorf("after attempt %d the delivery is %+v", i+1, d)
		}
		h.pass(pause + pause/10 + time.Second)
	}
	h.until("it is a dead letter", func() bool { return one().State == waypost.DeliveryDead })
	for i := range len(waypost.WebhookSchedule) + 1 {
		if _, ok := attempts.Load(strconv.Itoa(i + 1)); !ok {
			t.Errorf("no request said that it is attempt %d", i+1)
		}
	}
	if w := h.read(hook.ID); w.State != waypost.WebhookDegraded || w.Failures != 6 || !w.Enabled {
		t.Errorf("after six failures the webhook is %s, %d failures, enabled %t", w.State, w.Failures, w.Enabled)
	}

	fail.Store(false)
	if n, err := h.store.ReplayDeliveries(t.Context(), h.account, hook.ID, nil, h.now()); err != nil || n != 1 {
		t.Fatalf("replayed %d, %v", n, err)
	}
	h.until("the replay went well", func() bool { return one().State == waypost.DeliveryDone })
	if w := h.read(hook.ID); w.State != waypost.WebhookActive || w.Failures != 0 {
		t.Errorf("after a success the webhook is %s with %d failures", w.State, w.Failures)
	}
}

// TestDisabledStops fails until the webhook is disabled: nothing is sent
// from then on, and what waits goes out once it is enabled again.
func TestDisabledStops(t *testing.T) {
	h := newHouse(t, func(c *webhook.Config, _ *webhook.SenderConfig) { c.Rest = time.Millisecond })
	var requests atomic.Int64
	var fail atomic.Bool
	fail.Store(true)
	server := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if fail.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	hook := h.hook(server.URL, waypost.WantProcessed, ownKey)
	h.accept(150, "")
	h.run()
	h.until("it is disabled", func() bool {
		h.pass(time.Second) // leases of what a failing lane put back end
		return h.read(hook.ID).State == waypost.WebhookDisabled
	})
	w := h.read(hook.ID)
	if w.Enabled || w.Failures < waypost.DisabledAfter || w.DisabledAt.IsZero() || !strings.Contains(w.DisabledReason, "500") {
		t.Errorf("the disabled webhook is %+v", w)
	}
	h.until("requests have ended", func() bool {
		before := requests.Load()
		time.Sleep(200 * time.Millisecond)
		return requests.Load() == before
	})
	before := requests.Load()
	h.pass(48 * time.Hour)
	time.Sleep(300 * time.Millisecond)
	if n := requests.Load(); n != before {
		t.Errorf("%d requests were made to a disabled webhook", n-before)
	}

	fail.Store(false)
	w.Enabled, w.State, w.Failures, w.DisabledReason = true, waypost.WebhookActive, 0, ""
	if err := h.store.UpdateWebhook(t.Context(), &w); err != nil {
		t.Fatal(err)
	}
	h.until("everything that waited is delivered", func() bool {
		h.pass(10 * time.Second)
		return h.read(hook.ID).Delivered == 150
	})
}

// TestGone stops at once when the receiver says 410.
func TestGone(t *testing.T) {
	h := newHouse(t, nil)
	server := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	hook := h.hook(server.URL, waypost.WantProcessed, ownKey)
	h.accept(1, "")
	h.run()
	h.until("the webhook is disabled", func() bool { return !h.read(hook.ID).Enabled })
	if w := h.read(hook.ID); w.State != waypost.WebhookDisabled || !strings.Contains(w.DisabledReason, "410") {
		t.Errorf("the webhook is %s: %q", w.State, w.DisabledReason)
	}
	if d := h.deliveries(hook.ID)[0]; d.State != waypost.DeliveryDead || d.Attempt != 1 {
		t.Errorf("the delivery is %+v", d)
	}
}

// TestDeadEndpointLeavesOthers holds a webhook that answers beside one that
// never does.
func TestDeadEndpointLeavesOthers(t *testing.T) {
	h := newHouse(t, func(c *webhook.Config, _ *webhook.SenderConfig) { c.PerWebhook, c.Total = 4, 8 })
	hold := make(chan struct{})
	dead := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	live := receiver(t, func(http.ResponseWriter, *http.Request) {})
	stuck := h.hook(dead.URL, waypost.WantProcessed, ownKey)
	good := h.hook(live.URL, waypost.WantProcessed, ownKey)
	h.accept(200, "")
	stop := h.run()
	h.until("the good webhook has all", func() bool { return h.read(good.ID).Delivered == 200 })
	if w := h.read(stuck.ID); w.Delivered != 0 {
		t.Errorf("the dead endpoint took %d", w.Delivered)
	}
	close(hold)
	stop()
}

// TestOwnEndpoint sends the events of a call that names an endpoint there
// alone, signed with the sub-account's secret.
func TestOwnEndpoint(t *testing.T) {
	h := newHouse(t, nil)
	var bodies sync.Map
	server := receiver(t, keep(&bodies))
	hook := h.hook(server.URL+"/account", waypost.WantProcessed, ownKey)
	h.accept(2, server.URL+"/own")
	h.run()
	h.until("two requests came", func() bool { return size(&bodies) == 2 })
	key, err := webhook.EndpointSecret(h.box, h.sub)
	if err != nil {
		t.Fatal(err)
	}
	bodies.Range(func(_, v any) bool {
		r := v.(received)
		if r.path != "/own" {
			t.Errorf("a request went to %s", r.path)
		}
		if got := r.header.Get("X-SendPost-Signature"); got != hexMAC(key, r.body) {
			t.Errorf("the signature is %s", got)
		}
		return true
	})
	if n := len(h.deliveries(hook.ID)); n != 0 {
		t.Errorf("the account's webhook got %d deliveries as well", n)
	}
	h.until("both are done", func() bool {
		all := h.deliveries(0)
		return len(all) == 2 && all[0].State == waypost.DeliveryDone && all[1].State == waypost.DeliveryDone
	})
}

// TestOwnEndpointsAreApart lets the endpoint of one call fail: it rests, and
// that of another call has its events.
func TestOwnEndpointsAreApart(t *testing.T) {
	h := newHouse(t, func(c *webhook.Config, _ *webhook.SenderConfig) { c.Rest = time.Hour })
	var failed atomic.Int64
	bad := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		failed.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	var bodies sync.Map
	good := receiver(t, keep(&bodies))
	h.accept(100, bad.URL)
	h.accept(20, good.URL)
	h.run()
	h.until("the good endpoint has its events", func() bool { return size(&bodies) == 20 })
	if n := failed.Load(); n > 40 {
		t.Errorf("%d requests went to the endpoint that fails; it should rest after a few", n)
	}
}

// TestSubjectAsRead: payloads have the subject of the recipient's own mail, also
// when the call has variables that are too large to be kept.
func TestSubjectAsRead(t *testing.T) {
	h := newHouse(t, nil)
	h.subject = "Hello {{first}} from {{shop.name}}"
	var got sync.Map
	server := receiver(t, keep(&got))
	h.hook(server.URL, waypost.WantProcessed, ownKey)
	h.run()
	for _, weight := range []string{"", strings.Repeat("x", 100_000)} {
		h.variables = map[string]any{"first": "you", "shop": map[string]any{"name": "us", "weight": weight}, "other": strings.Repeat("y", 100_000)}
		before := size(&got)
		h.accept(3, "")
		h.until("three more deliveries came", func() bool { return size(&got) == before+3 })
	}
	got.Range(func(_, v any) bool {
		if body := v.(received).body; !strings.Contains(string(body), `"messageSubject":"Hello Ann from us"`) {
			t.Errorf("%s", body)
		}
		return true
	})
}
