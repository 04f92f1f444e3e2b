package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// sought is a message with all that searches look at.
type sought struct {
	waypost.Message
	content waypost.Content
	trail   store.Trail
}

// testSearch compares every filter of a search, and several at once, with the
// same in plain Go: page by page, and looking through little at a time.
func testSearch(t *testing.T, e Engine) {
	f := newFixture(t, e)
	all := f.mailbag()
	some := all[17]
	stranger := waypost.QueueID("of nobody")
	for _, s := range []store.Search{
		{},
		{Status: waypost.StatusQueued},
		{Status: waypost.StatusSent},
		{Status: waypost.StatusDelivered},
		{Status: waypost.StatusSoftBounced},
		{Status: waypost.StatusHardBounced},
		{Status: waypost.StatusDropped},
		{Status: waypost.StatusSent, MessageQuery: store.MessageQuery{SubAccount: f.sub + 1}},
		{Status: waypost.StatusQueued, MessageQuery: store.MessageQuery{SubAccount: f.sub}},
		{Status: waypost.StatusHardBounced, MessageQuery: store.MessageQuery{SubAccount: f.sub + 1}},
		{Status: waypost.StatusDelivered, MessageQuery: store.MessageQuery{SubAccount: f.sub + 999}},
		{Status: waypost.StatusDelivered, Sender: "news@example.com"},
		{Status: waypost.StatusDropped, Sender: "news@example.com", Tag: "welcome"},
		{Sender: "news@example.com"},
		{Sender: "News@Example.com"},
		{Sender: "nobody@example.com"},
		{Sender: "orders@example.net", MessageQuery: store.MessageQuery{SubAccount: f.sub + 1}},
		{Tag: "welcome"},
		{Tag: `ü,"x"`, Sender: "orders@example.net"},
		{Tag: "wel"},
		{Subject: "ORDER 1"},
		{Subject: "%"},
		{Subject: "receipt", Status: waypost.StatusSent},
		{Subject: "Order 2", Tag: "welcome"},
		{Queue: "4bSHARED"},
		{Queue: "4bx1"},
		{Queue: stranger},
		{Queue: "4bSHARED", Status: waypost.StatusDelivered},
		{MessageQuery: store.MessageQuery{Recipient: some.Recipient}, Sender: "news@example.com"},
		{MessageQuery: store.MessageQuery{From: some.SubmittedAt}, Status: waypost.StatusDelivered},
		{MessageQuery: store.MessageQuery{To: some.SubmittedAt}, Sender: "news@example.com"},
		{MessageQuery: store.MessageQuery{From: some.SubmittedAt.Add(-5 * time.Second), To: some.SubmittedAt.Add(5 * time.Second)}, Tag: "welcome"},
	} {
		s.Account = f.account
		want := []waypost.UUID{}
		for i := range all {
			if fits(&s, &all[i]) {
				want = append(want, all[i].ID)
			}
		}
		for _, page := range []struct{ limit, look int }{{1000, 0}, {3, 0}, {2, 3}} {
			s.Limit, s.Look, s.Before = page.limit, page.look, waypost.UUID{}
			f.equal(fmt.Sprintf("%+v", s), f.walk(s, len(all)), want)
		}
		s.Before, s.Account = waypost.UUID{}, f.account+1
		f.equal(fmt.Sprintf("of another account: %+v", s), len(f.walk(s, 10)), 0)
	}
}

// walk goes through a search to its end.
func (f *fixture) walk(s store.Search, most int) []waypost.UUID {
	f.t.Helper()
	out := []waypost.UUID{}
	for range 10*most + 10 {
		page, err := f.s.FindMessages(f.t.Context(), s)
		f.ok(err)
		for i := range page.Messages {
			out = append(out, page.Messages[i].ID)
		}
		if s.Before = page.Next; page.Next.IsZero() {
			return out
		}
		if len(page.Messages) > s.Limit {
			f.t.Fatalf("a page of %d has %d messages", s.Limit, len(page.Messages))
		}
	}
	f.t.Fatalf("%+v does not end", s)
	return nil
}

func fits(s *store.Search, m *sought) bool {
	status, _ := waypost.StatusOf(m.trail.Events)
	queued := s.Queue == "" || slices.ContainsFunc(m.trail.Events, func(e waypost.Event) bool { return e.Queue == s.Queue })
	return (s.SubAccount == 0 || s.SubAccount == m.SubAccount) && (s.Recipient == "" || s.Recipient == m.Recipient) &&
		(s.From.IsZero() || !m.SubmittedAt.Before(s.From)) && (s.To.IsZero() || m.SubmittedAt.Before(s.To)) &&
		(s.Status == "" || s.Status == status) && (s.Sender == "" || waypost.FoldEmail(m.content.From.Email) == s.Sender) &&
		(s.Tag == "" || slices.Contains(m.content.Groups, s.Tag)) && queued &&
		strings.Contains(strings.ToLower(m.content.Subject), strings.ToLower(s.Subject))
}

// mailbag makes messages of every status, sender, tag and subject, newest first.
// Calls come several in a millisecond, and each has several recipients.
func (f *fixture) mailbag() []sought {
	var all []sought
	for i := range 48 {
		f.now = epoch.Add(time.Duration(i/3) * time.Second)
		a := f.call(1+i%3, f.now)
		c := &a.Content
		c.From.Email = []string{"news@example.com", "News@Example.com", "orders@example.net"}[i%3]
		c.Subject = fmt.Sprintf([]string{"Your order %d", "Receipt %d"}[i%2], i)
		c.Groups = [][]string{nil, {"welcome", "welcome"}, {"weekly", `ü,"x"`}, {"weekly", "welcome"}}[i%4]
		if i%5 == 0 {
			c.SubAccount = f.sub + 1
		}
		for j := range a.Messages {
			a.Messages[j].SubAccount, a.Messages[j].Groups = c.SubAccount, c.Groups
			a.Events[j].SubAccount = c.SubAccount
		}
		f.ok(f.s.Accept(f.t.Context(), a))
		for j := range a.Messages {
			all = append(all, sought{Message: a.Messages[j], content: a.Content})
		}
	}
	f.now = f.now.Add(time.Minute)
	for i, c := range f.claim(1000).Entries {
		f.now = f.now.Add(time.Millisecond)
		f.fate(i%8, i, c)
	}
	slices.SortFunc(all, func(a, b sought) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	for i := range all {
		all[i].trail = f.trail(all[i].ID)
	}
	return all
}

// fate gives a claimed message one of the ends that messages have.
func (f *fixture) fate(kind, i int, c store.Claimable) {
	f.t.Helper()
	m := &c.Message
	report := func(typ waypost.EventType, queue waypost.QueueID) {
		e := f.event(typ, m, waypost.SourceAgent)
		e.Queue = queue
		once := store.OnceBounce
		if typ == waypost.CSDelivered {
			once = "delivered"
		}
		f.record(store.Fact{Event: e, Once: once})
		f.now = f.now.Add(time.Millisecond)
	}
	sent := func(queue waypost.QueueID) {
		e := f.event(waypost.CSSent, m, waypost.SourceRelay)
		e.Attempt, e.Queue = 1, queue
		f.ok(f.s.Settle(f.t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}}))
		f.now = f.now.Add(time.Millisecond)
	}
	switch kind {
	case 0: // waits for its second attempt
		f.retry(c, waypost.AttemptTransient, f.now.Add(time.Hour))
	case 1:
		sent(waypost.QueueID(fmt.Sprintf("4bx%d", i)))
	case 2:
		sent("4bSHARED")
		report(waypost.CSDelivered, "4bSHARED")
	case 3:
		sent("")
		report(waypost.CSSoftBounced, "4bSHARED")
	case 4: // a bounce after a delivery
		sent("")
		report(waypost.CSDelivered, "")
		report(waypost.CSHardBounced, "")
		report(waypost.CSHardBounced, "4bEVIDENCE")
	case 5:
		e := f.event(waypost.CSDropped, m, waypost.SourceRelay)
		e.Reason, e.Attempt = waypost.DropRelayFailed, 1
		f.ok(f.s.Settle(f.t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{e}}))
	case 6: // the report is faster than the relay
		report(waypost.CSHardBounced, "")
		sent("")
	case 7: // told in the other order
		sent("")
		bounce := f.event(waypost.CSSoftBounced, m, waypost.SourceAgent)
		f.now = f.now.Add(time.Second)
		report(waypost.CSDelivered, "")
		f.record(store.Fact{Event: bounce, Once: store.OnceBounce})
	}
}

// testStandings compares where messages stand, and what lists show of their
// contents, with their trails.
func testStandings(t *testing.T, e Engine) {
	f := newFixture(t, e)
	all := f.mailbag()
	ids, contents := []waypost.UUID{waypost.NewUUID(f.now)}, []waypost.UUID{waypost.NewUUID(f.now)}
	for i := range all {
		ids, contents = append(ids, all[i].ID), append(contents, all[i].Content)
	}
	got, err := f.s.Standings(t.Context(), f.account, ids)
	f.ok(err)
	heads, err := f.s.Headlines(t.Context(), contents)
	f.ok(err)
	f.equal("of a stranger", got[ids[0]], store.Standing{Status: waypost.StatusExpired})
	if _, there := heads[contents[0]]; there {
		t.Error("an unknown content has a headline")
	}
	seen := map[waypost.MessageStatus]int{}
	for i := range all {
		m := &all[i]
		want := store.Standing{}
		var by *waypost.Event
		if want.Status, by = waypost.StatusOf(m.trail.Events); by != nil {
			want.Event = *by
		}
		want.Attempts = len(m.trail.Attempts)
		for _, ev := range m.trail.Events {
			want.Attempts = max(want.Attempts, ev.Attempt)
		}
		if w := m.trail.Waiting; w != nil {
			want.Due = w.Due
		}
		f.equal("standing of "+m.ID.String(), got[m.ID], want)
		f.equal("headline", heads[m.Content], store.HeadlineOf(&m.content))
		seen[want.Status]++
	}
	if len(seen) != len(waypost.MessageStatuses()) {
		t.Errorf("the messages stand at %v", seen)
	}
	since, err := f.s.SearchedSince(t.Context())
	f.ok(err)
	f.equal("all are found", since.IsZero(), true)
	none, err := f.s.Standings(t.Context(), f.account+1, ids)
	f.ok(err)
	for _, s := range none {
		f.equal("of another account", s, store.Standing{Status: waypost.StatusExpired})
	}
}

// testSearchAges: a verdict that is taken back leaves a message sent, and what
// is past its retention is found no more.
func testSearchAges(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	f.ok(f.sent(f.claim(1).Entries[0]))
	r, fact := f.report(&m, 1)
	f.save(r, fact)
	found := func(s store.Search) int {
		s.Account, s.Limit = f.account, 10
		return len(f.walk(s, 10))
	}
	f.equal("sent, before the verdict is taken back", found(store.Search{Status: waypost.StatusSent}), 0)
	f.ok(f.s.Reclassify(t.Context(), store.Reclassification{Account: f.account, Report: r.ID, Verdict: store.VerdictNone, At: f.now, Email: m.Recipient}))
	f.equal("and after", found(store.Search{Status: waypost.StatusSent}), 1)
	f.equal("bounced", found(store.Search{Status: waypost.StatusHardBounced}), 0)
	f.equal("by its sender", found(store.Search{Sender: "news@example.com"}), 1)

	_, err := f.s.PruneEvents(t.Context(), time.Now().Add(time.Hour), 1000)
	f.ok(err)
	f.equal("sent, without events", found(store.Search{Status: waypost.StatusSent}), 0)
	f.equal("by its sender, without events", found(store.Search{Sender: "news@example.com"}), 1)
	n, err := f.s.PruneMessages(t.Context(), f.now.Add(time.Hour), 10)
	f.ok(err)
	f.equal("messages pruned", n, 1)
	f.equal("by its sender, in the end", found(store.Search{Sender: "news@example.com"}), 0)
	heads, err := f.s.Headlines(t.Context(), []waypost.UUID{m.Content})
	f.ok(err)
	f.equal("headlines left", len(heads), 0)
}
