package dash_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/test/seed"
)

// deadLetters is the busy scene with what was sent to its webhook given up.
func deadLetters(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
	c, err := seed.Busy(ctx, s, now, 20)
	if err != nil {
		return c, err
	}
	claimed, err := s.ClaimDeliveries(ctx, 1, now.Add(time.Minute), 100, now.Add(time.Hour))
	if err != nil {
		return c, err
	}
	var done []waypost.Delivery
	for _, one := range claimed {
		d := one.Delivery
		d.State, d.Attempt, d.LastAt, d.Status, d.Error, d.Took = waypost.DeliveryDead, 6, now, 503, "answered 503 <b>Service Unavailable</b>", 31*time.Millisecond
		done = append(done, d)
	}
	return c, s.FinishDeliveries(ctx, done, now)
}

// TestDeadLetters: what was given up is shown with the last answer, and goes
// out again: one of them, and all.
func TestDeadLetters(t *testing.T) {
	b := newTab(t, open(t, deadLetters))
	b.login(seed.Email)
	b.open("/webhooks/1?state=dead")
	dead := js[int](b, `document.querySelectorAll("#deliveries tbody tr").length`)
	if text := b.text("#deliveries"); dead < 2 || !strings.Contains(text, "503 <b>Service Unavailable</b>") || !strings.Contains(text, "dead letter") {
		t.Fatalf("%d dead letters:\n%s", dead, text)
	}
	b.press(`#deliveries form[action$="/replay"] button`)
	b.sees("1 delivery goes out again.")
	b.open("/webhooks/1?state=dead")
	if n := js[int](b, `document.querySelectorAll("#deliveries tbody tr").length`); n != dead-1 {
		t.Errorf("%d dead letters after one replay of %d", n, dead)
	}
	b.press(`[aria-labelledby=h-dead] button`)
	b.sees("out again.")
	b.open("/webhooks/1?state=dead")
	b.sees("Nothing is in this state.")
}
