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

// testEventFilters compares the filters by message, domain, code and id with
// the same in plain Go, and the count of each with the length of its list.
func testEventFilters(t *testing.T, e Engine) {
	f := newFixture(t, e)
	messages := map[waypost.UUID]waypost.Message{}
	ms := f.tagged(24, messages)
	for i := range ms {
		ev := f.event(waypost.CSDelivered, &ms[i], waypost.SourceAgent)
		ev.Facets, ev.Code = ms[i].Facets(), []int{0, 250, 550}[i%3]
		f.record(store.Fact{Event: ev, Once: "x"})
		f.record(store.Fact{Event: ev, Once: "x"}) // evidence is nowhere
		f.record(f.visit(waypost.CSOpen, &ms[i], ""))
	}
	all := f.events()
	f.equal("all", len(all), 72)
	some, to := ms[7], ms[7].Recipient
	for _, q := range []store.EventQuery{
		{},
		{Message: some.ID},
		{Message: some.ID, Types: []waypost.EventType{waypost.CSOpen, waypost.CSDelivered}},
		{Message: some.ID, SubAccount: some.SubAccount + 7},
		{Message: waypost.NewUUID(f.now)},
		{Domain: 1},
		{Domain: 2, Types: []waypost.EventType{waypost.CSOpen}},
		{Domain: 1, SubAccount: f.sub + 1},
		{Domain: 2, Provider: f.provider, Code: 550},
		{Domain: 99},
		{Code: 250},
		{Code: 550, SubAccount: f.sub},
		{Code: 421},
		{Recipient: to},
		{Recipient: to, Code: 250},
		{Recipient: to, Domain: some.Domain},
		{After: all[40].ID},
		{After: all[40].ID, Before: all[10].ID},
		{After: all[40].ID, Domain: 1, Types: []waypost.EventType{waypost.CSProcessed, waypost.CSOpen}},
		{After: all[40].ID, Recipient: to},
		{After: all[0].ID},
		{SubAccount: f.sub + 1},
		{SubAccount: f.sub + 1, Types: []waypost.EventType{waypost.CSDelivered}},
	} {
		q.Account = f.account
		var want []waypost.Event
		for i := range all {
			if m := messages[all[i].Message]; filtered(&q, &all[i], &m) {
				want = append(want, all[i])
			}
		}
		for _, page := range []struct{ limit, offset int }{{1, 0}, {3, 2}, {1000, 0}} {
			q.Limit, q.Offset = page.limit, page.offset
			got, err := f.s.ListEvents(t.Context(), q)
			f.ok(err)
			rest := want[min(q.Offset, len(want)):]
			f.equal(fmt.Sprintf("%+v", q), slices.Clip(append([]waypost.Event{}, got...)), append([]waypost.Event{}, rest[:min(q.Limit, len(rest))]...))
			n, err := f.s.CountEvents(t.Context(), q)
			f.ok(err)
			if q.Before == 0 { // whether the cursor is part of the page is left open
				f.equal(fmt.Sprintf("count of %+v", q), n, len(want))
			}
		}
		q.Account++
		got, err := f.s.ListEvents(t.Context(), q)
		f.ok(err)
		n, err := f.s.CountEvents(t.Context(), q)
		f.ok(err)
		f.equal("of another account", []int{len(got), n}, []int{0, 0})
	}
	got, err := f.s.Event(t.Context(), f.account, all[5].ID)
	f.ok(err)
	f.equal("one event", got, all[5])
	_, err = f.s.Event(t.Context(), f.account+1, all[5].ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Event(t.Context(), f.account, all[0].ID+1)
	f.is(err, store.ErrNotFound)
}

func filtered(q *store.EventQuery, e *waypost.Event, m *waypost.Message) bool {
	return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) && (q.SubAccount == 0 || q.SubAccount == e.SubAccount) &&
		(q.Provider == 0 || q.Provider == e.Provider) && (q.Recipient == "" || q.Recipient == e.Recipient) &&
		(q.Before == 0 || e.ID < q.Before) && (q.After == 0 || e.ID > q.After) && (q.Message.IsZero() || q.Message == e.Message) &&
		(q.Domain == 0 || q.Domain == m.Domain) && (q.Code == 0 || q.Code == e.Code)
}

func testListMessages(t *testing.T, e Engine) {
	f := newFixture(t, e)
	var all []waypost.Message
	for i := range 40 {
		f.now = epoch.Add(time.Duration(i) * time.Second)
		a := f.call(1, f.now)
		m := &a.Messages[0]
		m.Recipient = fmt.Sprintf([]string{"user%d@example.org", "User%d@Example.ORG", "other%d@example.org"}[i%3], i%4)
		m.To = waypost.Address{Name: "Üser", Email: m.Recipient}
		m.Domain, m.Pool, m.OwnWebhook = 7, f.pool, i%2 == 0
		if i%3 == 0 {
			m.Groups = []string{"welcome", "ü,\"x\""}
			m.SubAccount = f.sub + 1
			a.Content.SubAccount = f.sub + 1
		}
		a.Events[0] = f.event(waypost.CSProcessed, m, waypost.SourceAPI)
		f.ok(f.s.Accept(t.Context(), a))
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b waypost.Message) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	at := func(i int) time.Time { return epoch.Add(time.Duration(i) * time.Second) }
	for _, q := range []store.MessageQuery{
		{},
		{SubAccount: f.sub},
		{SubAccount: f.sub + 1, Recipient: "user3@example.org"},
		{SubAccount: f.sub + 999},
		{Recipient: "user1@example.org"},
		{Recipient: "other2@example.org", From: at(5)},
		{Recipient: "user1@example.org", Before: all[12].ID},
		{Recipient: "nobody@example.org"},
		{From: at(10)},
		{To: at(10)},
		{From: at(10), To: at(20), SubAccount: f.sub},
		{From: at(100)},
		{Before: all[12].ID},
		{Before: all[12].ID, SubAccount: f.sub + 1},
		{Before: all[39].ID},
	} {
		q.Account = f.account
		for _, page := range []struct{ limit, offset int }{{1, 0}, {3, 2}, {1000, 0}, {10, 500}} {
			q.Limit, q.Offset = page.limit, page.offset
			got, err := f.s.ListMessages(t.Context(), q)
			f.ok(err)
			want := []waypost.Message{}
			for i := range all {
				if m := &all[i]; (q.SubAccount == 0 || m.SubAccount == q.SubAccount) &&
					(q.Recipient == "" || strings.ToLower(m.Recipient) == q.Recipient) && (q.From.IsZero() || !m.SubmittedAt.Before(q.From)) &&
					(q.To.IsZero() || m.SubmittedAt.Before(q.To)) && (q.Before.IsZero() || bytes.Compare(m.ID[:], q.Before[:]) < 0) {
					want = append(want, *m)
				}
			}
			want = want[min(q.Offset, len(want)):]
			f.equal(fmt.Sprintf("%+v", q), append([]waypost.Message{}, got...), want[:min(q.Limit, len(want))])
		}
	}
	// Events are found by the folded address as well.
	got, err := f.s.ListEvents(t.Context(), store.EventQuery{Account: f.account, Recipient: "user1@example.org", Limit: 100})
	f.ok(err)
	mixed := 0
	for _, ev := range got {
		if ev.Recipient != "user1@example.org" {
			mixed++
		}
	}
	f.equal("events to an address in another case are found", mixed > 0, true)
}

// testListMessagesTenancy: a recipient who is written to by two accounts is
// looked up in each alone.
func testListMessagesTenancy(t *testing.T, e Engine) {
	f := newFixture(t, e)
	mine := f.accept(1, f.now)[0]
	a := f.call(1, f.now)
	a.Content.Account, a.Messages[0].Account, a.Events[0].Account = f.account+1, f.account+1, f.account+1
	a.Content.SubAccount, a.Messages[0].SubAccount, a.Events[0].SubAccount = f.sub+50, f.sub+50, f.sub+50
	f.ok(f.s.Accept(t.Context(), a))
	f.equal("one address", a.Messages[0].Recipient, mine.Recipient)
	for _, q := range []store.MessageQuery{{}, {Recipient: mine.Recipient}, {SubAccount: f.sub}, {SubAccount: f.sub, Recipient: mine.Recipient}} {
		q.Account, q.Limit = f.account, 10
		got, err := f.s.ListMessages(t.Context(), q)
		f.ok(err)
		if len(got) != 1 || got[0].ID != mine.ID {
			t.Fatalf("%+v: %+v", q, got)
		}
	}
	for _, q := range []store.MessageQuery{{Account: f.account + 2}, {Account: f.account + 1, SubAccount: f.sub}, {Account: f.account, SubAccount: f.sub + 50}} {
		for _, q.Recipient = range []string{"", mine.Recipient} {
			q.Limit = 10
			got, err := f.s.ListMessages(t.Context(), q)
			f.ok(err)
			f.equal(fmt.Sprintf("%+v", q), len(got), 0)
		}
	}
	got, err := f.s.ListEvents(t.Context(), store.EventQuery{Account: f.account, SubAccount: f.sub + 50, Limit: 10})
	f.ok(err)
	f.equal("events of another account's sub-account", len(got), 0)
}
