package queue_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// TestRecipientChecks drops what the sub-account wants refused, each with its
// reason, and nothing without its word.
func TestRecipientChecks(t *testing.T) {
	var lookups atomic.Int32
	w, server := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) {
		c.MX = func(_ context.Context, domain string) ([]string, error) {
			defer lookups.Add(1)
			if domain == "null.example" {
				return []string{""}, nil // "0 ." of RFC 7505
			}
			return []string{"mx." + domain}, nil
		}
	})
	to := []string{
		"a@reader.example", "Postmaster+x@reader.example", "A@READER.example", "info@reader.example", "a@null.example", "no-reply@reader.example",
	}
	reasons := func(checks waypost.RecipientChecks) string {
		t.Helper()
		w.sub.Checks = checks
		if err := w.store.UpdateSubAccount(t.Context(), &w.sub); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range w.send("x@example.com", to...) {
			out = append(out, string(a.Drop))
			if trail := w.trail(a.ID); a.Drop != "" {
				if e := last(trail); e.Type != waypost.CSDropped || e.Reason != a.Drop || e.Text == "" || e.Stat() != waypost.StatDropped {
					t.Errorf("event %+v", e)
				}
			}
		}
		return strings.Join(out, ",")
	}
	all := waypost.CheckRoles | waypost.CheckDuplicates | waypost.CheckNullMX
	if got := reasons(0); got != ",,,,," {
		t.Errorf("without checks: %s", got)
	}
	for deadline := time.Now().Add(time.Minute); lookups.Load() < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the MX are not looked up")
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // the answer is noted behind the look-up
		got := reasons(all)
		if got == ",role_address,duplicate_recipient,,null_mx,role_address" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with all checks: %s", got)
		}
	}
	if got := reasons(waypost.CheckDuplicates); got != ",,duplicate_recipient,,," {
		t.Errorf("duplicates alone: %s", got)
	}
	// Messages of the first call wait still: the domain was not known to take no
	// mail when they were accepted. It is now.
	w.sub.Checks = all
	if err := w.store.UpdateSubAccount(t.Context(), &w.sub); err != nil {
		t.Fatal(err)
	}
	late := w.send("x@example.com", "b@reader.example")[0]
	w.run()
	w.await(late.ID)
	w.until("everything relayed or dropped", func() bool { n, err := w.queue.Backlog(t.Context()); return err == nil && n == 0 })
	for _, m := range server.Messages() {
		if slices.ContainsFunc(m.To, func(s string) bool { return strings.HasSuffix(s, "@null.example") }) {
			t.Errorf("relayed to %v, whose domain takes no mail", m.To)
		}
	}
}

// TestSuppressionExpiresWhileWaiting relays to an address whose suppression
// ended between accept and relay.
func TestSuppressionExpiresWhileWaiting(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	now := time.Now()
	until := now.Add(1500 * time.Millisecond)
	id := w.send("x@example.com", "back@example.org")[0].ID
	if _, err := w.store.Suppress(t.Context(), []waypost.Suppression{{
		Account: w.sub.Account, SubAccount: w.sub.ID, Email: "back@example.org", Reason: waypost.SuppressManual, Created: now, Expires: until,
	}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(until) + 10*time.Millisecond)
	w.run()
	if e := last(w.await(id)); e.Type != waypost.CSSent || len(server.Messages()) != 1 {
		t.Errorf("%+v, %d relayed", e, len(server.Messages()))
	}
}

// TestInternationalRecipients are kept under one form, and found on the
// suppression list under it.
func TestInternationalRecipients(t *testing.T) {
	w, _ := newWorld(t, smtptest.Script{}, nil)
	if _, err := w.store.Suppress(t.Context(), []waypost.Suppression{{
		Account: w.sub.Account, SubAccount: w.sub.ID, Email: "weg@xn--bcher-kva.example", Reason: waypost.SuppressUnsubscribe, Created: time.Now(),
	}}); err != nil {
		t.Fatal(err)
	}
	got := w.send("x@example.com", "weg@bücher.example", "da@BÜCHER.example", "用户@例え.example", "a@xn--a.example")
	for i, want := range []struct {
		drop      waypost.Reason
		recipient string
	}{{"suppressed", "weg@xn--bcher-kva.example"}, {"", "da@xn--bcher-kva.example"}, {"", "用户@xn--r8jz45g.example"}, {"", "a@xn--a.example"}} {
		m := w.trail(got[i].ID).Message
		if got[i].Drop != want.drop || m.Recipient != want.recipient {
			t.Errorf("%s: dropped %q, kept as %q, want %+v", got[i].To, got[i].Drop, m.Recipient, want)
		}
	}
}

// TestMessagesCarryTheirGroups, for events and webhooks.
func TestMessagesCarryTheirGroups(t *testing.T) {
	w, _ := newWorld(t, smtptest.Script{}, nil)
	s := queue.Submission{SubAccount: w.sub, Content: waypost.Content{
		From: waypost.Address{Email: "x@example.com"}, Text: "t", Groups: []string{"spring", "vip"}, Webhook: "https://hook.example/",
	}, To: []queue.Recipient{{Address: waypost.Address{Email: "a@example.org"}, Cc: []queue.Copy{{Address: waypost.Address{Email: "b@example.org"}}}}}}
	got, err := w.queue.Enqueue(t.Context(), &s)
	if err != nil {
		t.Fatal(err)
	}
	if m := w.trail(got[0].ID).Message; !slices.Equal(m.Groups, s.Content.Groups) || !m.OwnWebhook {
		t.Errorf("%+v", m)
	}
}
