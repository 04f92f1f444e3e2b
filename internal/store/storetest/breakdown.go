package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var statKinds = []store.StatBy{
	store.StatByAll, store.StatBySubAccount, store.StatByProvider, store.StatByDomain, store.StatByMailbox, store.StatByCode, store.StatByGroup, store.StatByReason, store.StatByMailboxCode,
}

// statKeys are the keys that an event of a message counts under.
func statKeys(by store.StatBy, e *waypost.Event, m *waypost.Message) []string {
	number := func(n int64) []string { return []string{strconv.FormatInt(n, 10)} }
	switch by {
	case store.StatBySubAccount:
		return number(e.SubAccount)
	case store.StatByProvider:
		return number(e.Provider)
	case store.StatByDomain:
		return number(m.Domain)
	case store.StatByMailbox:
		return []string{m.Mailbox.String()}
	case store.StatByCode:
		if e.Code == 0 {
			return nil
		}
		return number(int64(e.Code))
	case store.StatByGroup:
		return slices.Compact(slices.Sorted(slices.Values(m.Groups)))
	case store.StatByReason:
		if e.Reason == "" {
			return nil
		}
		return []string{string(e.Reason)}
	case store.StatByMailboxCode:
		if e.Code == 0 {
			return nil
		}
		return []string{store.MailboxCode(m.Mailbox, e.Code)}
	case store.StatByAll:
	}
	return []string{""}
}

// counted is a breakdown made of events and their messages, in plain Go.
func counted(q *store.StatQuery, events []waypost.Event, messages map[waypost.UUID]waypost.Message) []store.StatRow {
	var out []store.StatRow
	perProvider := q.By != store.StatByDomain && q.By != store.StatByGroup
	for i := range events {
		e := &events[i]
		m := messages[e.Message]
		day := e.At.UTC().Truncate(24 * time.Hour)
		if q.SubAccount != 0 && q.SubAccount != e.SubAccount || perProvider && q.Provider != 0 && q.Provider != e.Provider ||
			day.Before(q.From.Truncate(24*time.Hour)) || day.After(q.To) {
			continue
		}
		if !q.PerDay {
			day = time.Time{}
		}
		for _, key := range statKeys(q.By, e, &m) {
			if len(q.Keys) > 0 && !slices.Contains(q.Keys, key) {
				continue
			}
			at := slices.IndexFunc(out, func(r store.StatRow) bool { return r.Day.Equal(day) && r.Key == key })
			if at < 0 {
				at = len(out)
				out = append(out, store.StatRow{Day: day, Key: key, Counts: map[waypost.Stat]int64{}})
			}
			for _, s := range e.Stats() {
				out[at].Counts[s]++
			}
		}
	}
	slices.SortFunc(out, func(a, b store.StatRow) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Key, b.Key)) })
	return out
}

// recountBy proves that every breakdown equals a recount of the events, joined
// with their messages.
func (f *fixture) recountBy(messages map[waypost.UUID]waypost.Message, filters ...store.StatQuery) {
	f.t.Helper()
	f.recount()
	events := f.events()
	for _, by := range statKinds {
		for _, q := range append([]store.StatQuery{{}}, filters...) {
			for _, perDay := range []bool{false, true} {
				q.Account, q.By, q.PerDay = f.account, by, perDay
				if q.From.IsZero() {
					q.From, q.To = epoch.AddDate(0, -1, 0), epoch.AddDate(0, 1, 0)
				}
				got, err := f.s.Breakdown(f.t.Context(), q)
				f.ok(err)
				f.equal(fmt.Sprintf("%+v", q), got, counted(&q, events, messages))
			}
		}
	}
}

// tagged accepts n messages on the fixture's day whose facets differ.
func (f *fixture) tagged(n int, messages map[waypost.UUID]waypost.Message) []waypost.Message {
	f.t.Helper()
	groups := [][]string{nil, {"welcome"}, {"welcome", "Ünï \"quoted\""}, {"a", "b", "a"}}
	a := f.call(n, f.now)
	for i := range a.Messages {
		m := &a.Messages[i]
		m.Domain, m.Groups = int64(i%3), groups[i%4]
		m.Mailbox = []waypost.Mailbox{0, waypost.MailboxDefault, 3}[i%3]
		a.Queue[i].Lane.Mailbox = m.Mailbox
		if i%5 == 4 {
			m.SubAccount = f.sub + 1
		}
		a.Events[i] = f.event(waypost.CSProcessed, m, waypost.SourceAPI)
		a.Events[i].Facets = m.Facets()
		messages[m.ID] = *m
	}
	f.ok(f.s.Accept(f.t.Context(), a))
	return a.Messages
}

func testBreakdown(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	first, messages := f.provider, map[waypost.UUID]waypost.Message{}
	for day := range 3 {
		f.now = epoch.AddDate(0, 0, 2*day)
		f.lane.Provider = []int64{first, second}[day%2]
		for i, m := range f.tagged(20, messages) {
			ev := f.event([]waypost.EventType{waypost.CSDelivered, waypost.CSSoftBounced, waypost.CSHardBounced, waypost.CSDropped}[i%4], &m, waypost.SourceAgent)
			ev.Facets, ev.Code = m.Facets(), []int{250, 0, 550}[i%3]
			if i%4 < 3 && i%3 > 0 {
				ev.Reason = []waypost.Reason{"mailbox_full", "spam"}[i%2]
			}
			if i%4 == 3 && i%8 == 3 {
				ev.Reason, ev.Provider = waypost.DropNoReturnPath, 0
			}
			f.record(store.Fact{Event: ev, Once: "end"})
			f.record(store.Fact{Event: ev, Once: "end"}) // evidence does not count
			for range 2 {
				f.record(f.visit(waypost.CSOpen, &m, "open"))
			}
		}
	}
	// What is settled counts under its message's facets too.
	for _, c := range f.claimBy(store.Claim{Lane: waypost.Lane{Provider: first, Mailbox: 3}, Max: 2}).Entries {
		sent := f.event(waypost.CSSent, &c.Message, waypost.SourceRelay)
		sent.Code, sent.Facets = 250, c.Message.Facets()
		f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{sent}}))
	}
	filters := []store.StatQuery{
		{SubAccount: f.sub},
		{SubAccount: f.sub + 1, Provider: second},
		{SubAccount: f.sub + 999},
		{Provider: first},
		{From: epoch.AddDate(0, 0, 1), To: epoch.AddDate(0, 0, 2)},
		{From: epoch, To: epoch},
	}
	f.recountBy(messages, filters...)
	for by, keys := range map[store.StatBy][]string{
		store.StatBySubAccount: {fmt.Sprint(f.sub + 1)},
		store.StatByProvider:   {fmt.Sprint(second), "0"},
		store.StatByDomain:     {"2", "nonsense"},
		store.StatByMailbox:    {"gmail", "no such category"},
		store.StatByCode:       {"550", "999"},
		store.StatByGroup:      {"welcome", "Ünï \"quoted\""},
		store.StatByReason:     {"spam", "nonsense"},

		store.StatByMailboxCode: {"microsoft/250", "gmail/999", "moon/550"},
	} {
		q := store.StatQuery{Account: f.account, By: by, Keys: keys, From: epoch, To: epoch.AddDate(0, 0, 9), PerDay: true}
		got, err := f.s.Breakdown(t.Context(), q)
		f.ok(err)
		want := counted(&q, f.events(), messages)
		f.equal(fmt.Sprintf("%+v", q), got, want)
		f.equal("there are some", len(want) > 0, true)
	}
	for _, by := range statKinds { // tenancy
		got, err := f.s.Breakdown(t.Context(), store.StatQuery{Account: f.account + 1, By: by, From: epoch, To: epoch.AddDate(0, 0, 9)})
		f.ok(err)
		f.equal("another account's", len(got), 0)
	}
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.recountBy(messages)
	}
}

// testBreakdownReclassify: a person's verdict moves every counter, on the day
// of the bounce, to what the new event says.
func testBreakdownReclassify(t *testing.T, e Engine) {
	f := newFixture(t, e)
	messages := map[waypost.UUID]waypost.Message{}
	m := &f.tagged(4, messages)[3]
	r, fact := f.report(m, 1)
	fact.Event.Facets, fact.Event.Code = m.Facets(), 550
	f.save(r, fact)
	f.recountBy(messages)
	again := func(verdict string, ev *waypost.Event) {
		t.Helper()
		f.now = f.now.AddDate(0, 0, 1)
		f.ok(f.s.Reclassify(t.Context(), store.Reclassification{
			Account: f.account, Report: r.ID, Verdict: verdict, At: f.now, Event: ev, Email: m.Recipient,
		}))
		f.recountBy(messages, store.StatQuery{SubAccount: m.SubAccount}, store.StatQuery{Provider: m.Provider})
	}
	soft := f.event(waypost.CSSoftBounced, m, waypost.SourceBounce)
	soft.Code = 452
	again(store.VerdictSoft, &soft)
	again(store.VerdictNone, nil)
	hard := f.event(waypost.CSHardBounced, m, waypost.SourceBounce)
	again(store.VerdictHard, &hard)
}

// testBreakdownCancel: events that the store makes itself count under the
// facets of their messages: those of a cancelled one, and a CSSent by evidence.
func testBreakdownCancel(t *testing.T, e Engine) {
	f := newFixture(t, e)
	messages := map[waypost.UUID]waypost.Message{}
	ms := f.tagged(4, messages)
	n, err := f.s.Cancel(t.Context(), f.account, store.Selection{Messages: []waypost.UUID{ms[2].ID, ms[3].ID}}, "by hand", f.now)
	f.ok(err)
	f.equal("cancelled", n, 2)
	c := f.claimBy(store.Claim{Lane: waypost.Lane{Provider: f.provider, Mailbox: ms[1].Mailbox}, Max: 1}).Entries[0]
	f.retry(c, waypost.AttemptUnknown, f.now.Add(time.Hour))
	ev := f.event(waypost.CSDelivered, &c.Message, waypost.SourceAgent)
	ev.At, ev.Facets = f.now.Add(time.Minute), c.Message.Facets()
	f.record(store.Fact{Event: ev, Relayed: true})
	f.recountBy(messages)
	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 4, waypost.StatSMTPDropped: 2, waypost.StatSent: 1, waypost.StatDelivered: 1,
	})
}
