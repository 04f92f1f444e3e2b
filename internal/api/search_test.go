package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// TestSearchMessages: messages are found by status, queue id, sender, tag and
// subject, in both kinds of listing and by cursor; what cannot be is refused.
func TestSearchMessages(t *testing.T) {
	w := newWorld(t)
	ids := map[string]string{}
	for i, c := range []waypost.Content{
		{From: waypost.Address{Email: "News@Example.com"}, Subject: "Your order 1", Groups: []string{"shop"}},
		{From: waypost.Address{Email: "orders@example.com"}, Subject: "Receipt", Groups: []string{"shop", "two words"}},
	} {
		now := time.Now().Add(time.Duration(i-2) * time.Second).Truncate(time.Millisecond)
		c.ID, c.Account, c.SubAccount, c.Text = waypost.NewUUID(now), w.account.ID, w.sub.ID, "t"
		a := store.Acceptance{Content: c}
		for j := range 2 {
			m := waypost.Message{
				ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Content: c.ID, Recipient: fmt.Sprintf("r%d@example.org", j),
				SubmittedAt: now, Mailbox: waypost.MailboxDefault, Groups: c.Groups,
			}
			at := func(typ waypost.EventType, queue waypost.QueueID) waypost.Event {
				return waypost.Event{
					Type: typ, Account: m.Account, SubAccount: m.SubAccount, Message: m.ID, Recipient: m.Recipient, At: now, Source: waypost.SourceAPI,
					Queue: queue, Facets: m.Facets(),
				}
			}
			a.Messages = append(a.Messages, m)
			a.Events = append(a.Events, at(waypost.CSProcessed, ""), at(waypost.CSSent, waypost.QueueID(fmt.Sprintf("4bX%d%d", i, j))))
			if i == 1 {
				a.Events = append(a.Events, at([]waypost.EventType{waypost.CSDelivered, waypost.CSHardBounced}[j], ""))
			}
			ids[fmt.Sprintf("%d%d", i, j)] = m.ID.String()
		}
		if err := w.store.Accept(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
	}
	today := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	for query, want := range map[string][]string{
		"status=sent":                              {"00", "01"},
		"status=delivered":                         {"10"},
		"status=hardBounced":                       {"11"},
		"status=softBounced":                       nil,
		"status=queued":                            nil,
		"queueId=4bX01":                            {"01"},
		"queueId=4bx01":                            nil,
		"sender=news@example.COM":                  {"00", "01"},
		"tag=shop":                                 {"00", "01", "10", "11"},
		"tag=two+words&status=delivered":           {"10"},
		"subject=ORDER":                            {"00", "01"},
		"subject=order&search=r1@example.org":      {"01"},
		"status=delivered&sender=news@example.com": nil,
		"queueId=4bX10&status=hardBounced":         nil,
		"status=sent&search=" + "r0%40example.org": {"00"},
	} {
		days := "from=" + today + "&to=" + time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly) + "&"
		for path, kind := range map[string]waypost.KeyKind{"/api/v1/subaccount/message?": waypost.KeySubAccount, "/api/v1/account/message?" + days: waypost.KeyAccount} {
			got := map[string]bool{}
			for _, e := range w.want(200, "GET", path+query, kind, nil)["list"].([]any) {
				got[e.(map[string]any)["messageID"].(string)] = true
			}
			for _, name := range want {
				if !got[ids[name]] {
					t.Errorf("%s%s: %v lacks message %s", path, query, got, name)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s%s: %d messages, want %d", path, query, len(got), len(want))
			}
		}
	}
	seen, before := map[string]bool{}, ""
	for range 4 {
		for _, e := range w.want(200, "GET", "/api/v1/subaccount/message?tag=shop&limit=1"+before, waypost.KeySubAccount, nil)["list"].([]any) {
			id := e.(map[string]any)["messageID"].(string)
			seen[id], before = true, "&before="+id
		}
	}
	if len(seen) != 4 {
		t.Errorf("four pages of one have %d messages", len(seen))
	}
	w.want(422, "GET", "/api/v1/subaccount/message?status=gone", waypost.KeySubAccount, nil)
	w.want(422, "GET", "/api/v1/subaccount/message?status=sent&offset=1", waypost.KeySubAccount, nil)
}
