package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testEventIDs(t *testing.T, e Engine) {
	f := newFixture(t, e)
	before := time.Now().Add(-time.Minute)
	f.accept(100, f.now)
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
	}
	f.accept(100, f.now)
	for _, c := range f.claim(50).Entries {
		f.ok(f.sent(c))
	}
	all := f.events()
	f.equal("number", len(all), 250)
	for i, ev := range all {
		if i > 0 && ev.ID >= all[i-1].ID {
			t.Fatalf("ids do not descend at %d: %d after %d", i, ev.ID, all[i-1].ID)
		}
		if at := store.EventTime(ev.ID); at.Before(before) || at.After(time.Now().Add(time.Minute)) {
			t.Fatalf("id %d is of %v, not of the time it was stored", ev.ID, at)
		}
	}
	for _, tt := range []struct{ at, want time.Time }{
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2020, 1, 1, 0, 0, 0, 1e6, time.UTC), time.Date(2020, 1, 1, 0, 0, 0, 1e6, time.UTC)},
		{time.Date(2089, 9, 1, 0, 0, 0, 0, time.UTC), time.Date(2089, 9, 1, 0, 0, 0, 0, time.UTC)},
		{time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC), time.UnixMilli(1_577_836_800_000 + 1<<41 - 1)},
	} {
		id := store.EventID(tt.at.UnixMilli(), 1023, 4095)
		f.equal("time of an id", store.EventTime(id), tt.want)
		if id < 0 {
			t.Fatalf("the id of %v is %d", tt.at, id)
		}
	}
	f.equal("the last stored come first", types(all[:50])[0], waypost.CSSent)
	f.equal("and the first last", all[249].Type, waypost.CSProcessed)
}

// testListEvents compares every filter with the same filter in plain Go.
func testListEvents(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	for i := range 60 {
		f.lane.Provider = []int64{f.provider, second}[i%2]
		a := f.call(1, f.now)
		if i%3 == 0 {
			a.Content.SubAccount, a.Messages[0].SubAccount, a.Events[0].SubAccount = f.sub+1, f.sub+1, f.sub+1
		}
		to := fmt.Sprintf("user%d@example.org", i%7)
		a.Messages[0].Recipient, a.Events[0].Recipient = to, to
		f.ok(f.s.Accept(t.Context(), a))
		typ := []waypost.EventType{waypost.CSDelivered, waypost.CSHardBounced, waypost.CSOpen, waypost.CSClick}[i%4]
		f.record(store.Fact{Event: f.event(typ, &a.Messages[0], waypost.SourceAgent)})
	}
	all := f.events()
	f.equal("all", len(all), 120)
	mid := all[60]
	stored := store.EventTime(mid.ID)
	for _, q := range []store.EventQuery{
		{},
		{SubAccount: f.sub},
		{SubAccount: f.sub + 1, Provider: second},
		{SubAccount: f.sub + 999},
		{Provider: f.provider},
		{Provider: second, Types: []waypost.EventType{waypost.CSOpen, waypost.CSProcessed}, Offset: 2},
		{Provider: second, Recipient: "user3@example.org"},
		{Provider: f.provider + 999},
		{Types: []waypost.EventType{waypost.CSHardBounced}},
		{Types: []waypost.EventType{waypost.CSClick, waypost.CSProcessed, waypost.CSOpen}},
		{Types: []waypost.EventType{waypost.CSSpamReport}},
		{Recipient: "user3@example.org"},
		{Recipient: "user3@example.org", SubAccount: f.sub, Types: []waypost.EventType{waypost.CSProcessed}},
		{Before: mid.ID},
		{Before: mid.ID, Types: []waypost.EventType{waypost.CSProcessed, waypost.CSDelivered}, Provider: second},
		{Before: all[119].ID},
		{From: stored},
		{To: stored},
		{From: stored, To: stored.Add(time.Hour), SubAccount: f.sub, Types: []waypost.EventType{waypost.CSProcessed}},
		{From: stored.Add(time.Hour)},
		{Offset: 7},
		{Offset: 3, Types: []waypost.EventType{waypost.CSProcessed, waypost.CSClick}},
		{Offset: 500},
	} {
		for _, limit := range []int{1, 10, 1000} {
			q.Account, q.Limit = f.account, limit
			got, err := f.s.ListEvents(t.Context(), q)
			f.ok(err)
			want := selected(all, q)
			if len(got) != len(want) {
				t.Fatalf("%+v: %d events, want %d", q, len(got), len(want))
			}
			for i := range want {
				f.equal(fmt.Sprintf("%+v: event %d", q, i), got[i], want[i])
			}
		}
	}
}

func selected(all []waypost.Event, q store.EventQuery) []waypost.Event {
	var out []waypost.Event
	for _, e := range all {
		stored := store.EventTime(e.ID)
		typ := len(q.Types) == 0
		for _, t := range q.Types {
			typ = typ || t == e.Type
		}
		if typ && (q.SubAccount == 0 || q.SubAccount == e.SubAccount) && (q.Provider == 0 || q.Provider == e.Provider) &&
			(q.Recipient == "" || q.Recipient == e.Recipient) && (q.Before == 0 || e.ID < q.Before) &&
			(q.From.IsZero() || !stored.Before(q.From)) && (q.To.IsZero() || stored.Before(q.To)) {
			out = append(out, e)
		}
	}
	out = out[min(q.Offset, len(out)):]
	return out[:min(q.Limit, len(out))]
}

func testDailyStats(t *testing.T, e Engine) {
	f := newFixture(t, e)
	day := func(n int) time.Time { return time.Date(2026, 3, 14+n, 0, 0, 0, 0, time.UTC) }
	at := func(when time.Time, sub int64, n int) {
		f.now = when
		a := f.call(n, when)
		for i := range a.Events {
			a.Messages[i].SubAccount, a.Events[i].SubAccount = sub, sub
		}
		f.ok(f.s.Accept(t.Context(), a))
	}
	at(day(0), f.sub, 1)
	at(day(1).Add(-time.Millisecond), f.sub, 2)
	at(day(1), f.sub, 4)
	at(day(3), f.sub, 8)
	at(day(3), f.sub+1, 16)
	stats := func(sub int64, from, to time.Time) map[string]int64 {
		all, err := f.s.DailyStats(t.Context(), f.account, sub, from, to)
		f.ok(err)
		out := map[string]int64{}
		for i, d := range all {
			if i > 0 && !d.Day.After(all[i-1].Day) {
				t.Fatalf("days are not in order: %v", all)
			}
			if d.Day.Location() != time.UTC || !d.Day.Equal(d.Day.Truncate(24*time.Hour)) {
				t.Fatalf("%v is not the beginning of a UTC day", d.Day)
			}
			out[d.Day.Format(time.DateOnly)] = d.Counts[waypost.StatProcessed]
		}
		return out
	}
	f.equal("one sub-account", stats(f.sub, day(0), day(9)), map[string]int64{"2026-03-14": 3, "2026-03-15": 4, "2026-03-17": 8})
	f.equal("the account", stats(0, day(0), day(9)), map[string]int64{"2026-03-14": 3, "2026-03-15": 4, "2026-03-17": 24})
	f.equal("both days count", stats(0, day(1).Add(5*time.Hour), day(3)), map[string]int64{"2026-03-15": 4, "2026-03-17": 24})
	f.equal("an empty day", len(stats(f.sub, day(2), day(2))), 0)
}
