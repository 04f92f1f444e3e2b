package ingest_test

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// TestFacets: whoever reports an event, it is counted under the domain, the
// category and the groups of its message.
func TestFacets(t *testing.T) {
	w := newWorld(t)
	content := waypost.Content{ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Text: "hello"}
	box, ok := waypost.ParseMailbox("gmail")
	if !ok {
		t.Fatal("no category gmail")
	}
	m := waypost.Message{
		ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Content: content.ID, Recipient: "a@gmail.com",
		To: waypost.Address{Email: "a@gmail.com"}, Provider: w.provider, Mailbox: box, Domain: 7, Groups: []string{"spring"}, SubmittedAt: w.now,
	}
	if err := w.door.Accept(t.Context(), content, []ingest.Draft{{Message: m}}, w.now); err != nil {
		t.Fatal(err)
	}
	lane := waypost.Lane{Provider: w.provider, Mailbox: box}
	got, err := w.store.Claim(t.Context(), store.Claim{Lane: lane, Now: w.now, Max: 1, LeaseUntil: w.now.Add(time.Minute)})
	if err != nil || len(got.Entries) != 1 {
		t.Fatalf("claimed %d messages, error %v", len(got.Entries), err)
	}
	sent := waypost.Attempt{Message: m.ID, N: 1, Provider: w.provider, At: w.now, Result: waypost.AttemptSent, Code: 250, Text: "250 ok"}
	if err := w.door.Settle(t.Context(), &got.Entries[0], ingest.Settled{Attempt: sent, Outcome: waypost.Outcome{Sent: true}}); err != nil {
		t.Fatal(err)
	}
	w.report(item(m, waypost.ReportDelivered, "1", 250, "250 2.0.0 OK"))

	for by, key := range map[store.StatBy]string{store.StatByDomain: "7", store.StatByMailbox: "gmail", store.StatByGroup: "spring"} {
		rows, err := w.store.Breakdown(t.Context(), store.StatQuery{Account: w.account, By: by, From: w.now, To: w.now})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1 || rows[0].Key != key {
			t.Errorf("breakdown %d: %+v, want one row of %q", by, rows, key)
			continue
		}
		for _, s := range []waypost.Stat{waypost.StatProcessed, waypost.StatSent, waypost.StatDelivered} {
			if n := rows[0].Counts[s]; n != 1 {
				t.Errorf("%s: counter %d is %d, want 1", key, s, n)
			}
		}
	}
}
