package waypost

import (
	"strings"
	"testing"
	"time"
)

// TestWebhookAttempted: failures in a row degrade a webhook and then disable
// it; a success in between begins anew.
func TestWebhookAttempted(t *testing.T) {
	now := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	w := &Webhook{Enabled: true, State: WebhookActive}
	fail := func(n int) {
		for range n {
			w.Attempted(&Delivery{State: DeliveryWaiting, Error: "503"}, now)
		}
	}
	is := func(state WebhookState, failures int) {
		t.Helper()
		if w.State != state || w.Failures != failures || w.Enabled == (state == WebhookDisabled) {
			t.Fatalf("webhook: %+v, want %s after %d failures", w, state, failures)
		}
	}
	fail(DegradedAfter - 1)
	is(WebhookActive, DegradedAfter-1)
	fail(1)
	is(WebhookDegraded, DegradedAfter)
	w.Attempted(&Delivery{State: DeliveryDone}, now)
	is(WebhookActive, 0)
	fail(DisabledAfter - 1)
	is(WebhookDegraded, DisabledAfter-1)
	w.Attempted(&Delivery{State: DeliveryDead, Error: "timeout"}, now)
	is(WebhookDisabled, DisabledAfter)
	if !w.DisabledAt.Equal(now) || !strings.Contains(w.DisabledReason, "timeout") || w.Delivered != 1 || w.Failed != DegradedAfter+DisabledAfter {
		t.Fatalf("webhook: %+v", w)
	}
	// What was in flight changes the numbers and no more.
	now = now.Add(time.Minute)
	fail(1)
	w.Attempted(&Delivery{State: DeliveryDone}, now)
	is(WebhookDisabled, 0)
	if w.DisabledAt.Equal(now) {
		t.Fatal("it was disabled twice")
	}
}
