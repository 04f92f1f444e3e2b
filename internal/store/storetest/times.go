package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// timed are the counters by time, made of events and exchanges in plain Go.
func timed(q *store.TimeQuery, events []waypost.Event, exchanges []store.Exchange) []store.TimeRow {
	var out []store.TimeRow
	from, to := q.From.Truncate(time.Minute), q.To.Truncate(time.Minute)
	add := func(at time.Time, sub, provider int64, key int) {
		at = at.UTC().Truncate(time.Minute)
		bySub := q.Kind == store.TimedHour || q.Kind == store.TimedDelivery
		if q.Kind != store.TimedMinute {
			at = at.Truncate(time.Hour)
		}
		if at.Before(from) || !at.Before(to) || q.Provider != 0 && q.Provider != provider || bySub && q.SubAccount != 0 && q.SubAccount != sub {
			return
		}
		i := slices.IndexFunc(out, func(r store.TimeRow) bool { return r.At.Equal(at) && r.Key == key })
		if i < 0 {
			i, out = len(out), append(out, store.TimeRow{At: at, Key: key})
		}
		out[i].N++
	}
	minutes := []waypost.Stat{waypost.StatProcessed, waypost.StatSent, waypost.StatDelivered, waypost.StatDropped, waypost.StatSMTPDropped, waypost.StatHardBounced, waypost.StatSoftBounced, waypost.StatSpam}
	hours := []waypost.Stat{waypost.StatProcessed, waypost.StatDelivered, waypost.StatUniqueOpened, waypost.StatUniqueClicked}
	for i := range events {
		e := &events[i]
		for _, s := range e.Stats() {
			switch {
			case q.Kind == store.TimedMinute && slices.Contains(minutes, s), q.Kind == store.TimedHour && slices.Contains(hours, s):
				add(e.At, e.SubAccount, e.Provider, int(s))
			case q.Kind == store.TimedDelivery && s == waypost.StatDelivered:
				add(e.At, e.SubAccount, e.Provider, waypost.DeliveryTimes.Bucket(e.At.Sub(e.Message.Time())))
			}
		}
	}
	for _, x := range exchanges {
		switch {
		case q.Kind == store.TimedReply:
			add(x.At, 0, x.Provider, x.Code/100)
		case q.Kind == store.TimedRelay && x.Code/100 == 2:
			add(x.At, 0, x.Provider, waypost.RelayTimes.Bucket(x.Took))
		}
	}
	slices.SortFunc(out, func(a, b store.TimeRow) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Key, b.Key)) })
	return out
}

// recountTimes proves that every counter by time equals a recount.
func (f *fixture) recountTimes(exchanges []store.Exchange, filters ...store.TimeQuery) {
	f.t.Helper()
	events := f.events()
	for kind := store.TimedMinute; kind < store.TimedDepth; kind++ {
		some := false
		for _, q := range append([]store.TimeQuery{{}}, filters...) {
			q.Account, q.Kind = f.account, kind
			if q.From.IsZero() {
				q.From, q.To = epoch.AddDate(0, -1, 0).Truncate(time.Hour), epoch.AddDate(0, 1, 0)
			}
			got, err := f.s.Times(f.t.Context(), q)
			f.ok(err)
			want := timed(&q, events, exchanges)
			some = some || len(want) > 0
			if len(got) == 0 {
				got = nil
			}
			f.equal(fmt.Sprintf("%+v", q), got, want)
		}
		f.equal(fmt.Sprintf("there are some of kind %d", kind), some, true)
	}
}

func testTimes(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	first, messages := f.provider, map[waypost.UUID]waypost.Message{}
	var exchanges []store.Exchange
	for step := range 3 {
		f.now = epoch.Add(time.Duration(step) * 37 * time.Minute)
		f.lane.Provider = []int64{first, second}[step%2]
		for i, m := range f.tagged(20, messages) {
			ev := f.event([]waypost.EventType{waypost.CSDelivered, waypost.CSSoftBounced, waypost.CSHardBounced, waypost.CSDropped, waypost.CSSpamReport}[i%5], &m, waypost.SourceAgent)
			ev.Facets, ev.At = m.Facets(), f.now.Add(time.Duration(i*i*i)*time.Second)
			f.record(store.Fact{Event: ev, Once: "end"})
			f.record(store.Fact{Event: ev, Once: "end"}) // evidence does not count
			for range 2 {
				f.record(f.visit(waypost.CSOpen, &m, "open"))
			}
			f.record(f.visit(waypost.CSClick, &m, "click"))
		}
		for i, c := range f.claimBy(store.Claim{Lane: waypost.Lane{Provider: f.lane.Provider, Mailbox: 3}, Max: 5}).Entries {
			x := store.Exchange{Provider: c.Entry.Lane.Provider, At: f.now, Took: time.Duration(i*i) * 30 * time.Millisecond, Code: []int{250, 451, 0, 550, 250}[i]}
			exchanges = append(exchanges, x)
			s := store.Settlement{Entry: c.Entry, Message: c.Message, Exchange: &x}
			if x.Code == 250 {
				s.Events = append(s.Events, f.event(waypost.CSSent, &c.Message, waypost.SourceRelay))
			} else {
				s.Attempt, s.Retry = f.attempt(c, waypost.AttemptTransient), f.now.Add(time.Hour)
			}
			f.ok(f.s.Settle(t.Context(), &s))
			f.is(f.s.Settle(t.Context(), &s), store.ErrLost) // counts nothing
		}
	}
	f.recountTimes(exchanges, store.TimeQuery{SubAccount: f.sub}, store.TimeQuery{SubAccount: f.sub + 1, Provider: second}, store.TimeQuery{Provider: first},
		store.TimeQuery{From: epoch, To: epoch.Add(time.Hour)}, store.TimeQuery{From: epoch.AddDate(0, 0, 3), To: epoch.AddDate(0, 0, 4)})
	for kind := store.TimedMinute; kind <= store.TimedPool; kind++ { // tenancy
		got, err := f.s.Times(t.Context(), store.TimeQuery{Account: f.account + 1, Kind: kind, From: epoch.AddDate(0, 0, -1), To: epoch.AddDate(0, 0, 9)})
		f.ok(err)
		f.equal("another account's", len(got), 0)
	}
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.recountTimes(exchanges)
	}
}

// testPoolTimes: what providers took of a pool's mail is counted by hour,
// whoever else has mail, and whatever became of it later.
func testPoolTimes(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	first := f.provider
	send := func(provider int64, pools ...int64) {
		t.Helper()
		f.lane.Provider = provider
		a := f.call(len(pools), f.now)
		for i := range a.Messages {
			a.Messages[i].Pool, a.Messages[i].Provider = pools[i], provider
		}
		f.ok(f.s.Accept(t.Context(), a))
		for _, c := range f.claimBy(store.Claim{Lane: f.lane, Max: len(pools)}).Entries {
			sent := f.event(waypost.CSSent, &c.Message, waypost.SourceRelay)
			sent.Facets = c.Message.Facets()
			f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Events: []waypost.Event{sent}}))
		}
	}
	send(first, 7, 7, 8)
	send(second, 7, 0)
	f.now = f.now.Add(2 * time.Hour)
	send(second, 7, 8, 8)
	rows := func(q store.TimeQuery) []store.TimeRow {
		t.Helper()
		q.Account, q.Kind, q.From, q.To = f.account, store.TimedPool, epoch.Truncate(time.Hour), epoch.AddDate(0, 0, 1)
		got, err := f.s.Times(t.Context(), q)
		f.ok(err)
		return got
	}
	hour, later := epoch.UTC().Truncate(time.Hour), f.now.UTC().Truncate(time.Hour)
	f.equal("a pool by provider", rows(store.TimeQuery{Keys: []int{7}, ByProvider: true}), []store.TimeRow{
		{At: hour, Provider: first, Key: 7, N: 2}, {At: hour, Provider: second, Key: 7, N: 1}, {At: later, Provider: second, Key: 7, N: 1},
	})
	f.equal("pools of a provider", rows(store.TimeQuery{Keys: []int{7, 8, 9}, Provider: second}), []store.TimeRow{
		{At: hour, Key: 7, N: 1}, {At: later, Key: 7, N: 1}, {At: later, Key: 8, N: 2},
	})
	f.equal("no such pool", len(rows(store.TimeQuery{Keys: []int{9}})), 0)
	_, err := f.s.PruneTimes(t.Context(), epoch.AddDate(0, 0, -1), later, 1000)
	f.ok(err)
	f.equal("after pruning", len(rows(store.TimeQuery{})), 2)
}

// testTimesReclassify: what a verdict takes out of the counters leaves those by
// time, too.
func testTimesReclassify(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	r, fact := f.report(&m, 1)
	f.save(r, fact)
	minutes := func() []store.TimeRow {
		q := store.TimeQuery{Account: f.account, Kind: store.TimedMinute, From: epoch.AddDate(0, 0, -1), To: epoch.AddDate(0, 0, 9)}
		got, err := f.s.Times(t.Context(), q)
		f.ok(err)
		f.equal("minutes", got, timed(&q, f.events(), nil))
		return got
	}
	f.equal("an acceptance and a bounce", len(minutes()), 2)
	f.ok(f.s.Reclassify(t.Context(), store.Reclassification{Account: f.account, Report: r.ID, Verdict: store.VerdictNone, At: f.now, Email: m.Recipient}))
	f.equal("an acceptance", len(minutes()), 1)
}

func testSampleDepth(t *testing.T, e Engine) {
	f := newFixture(t, e)
	sample := func(at time.Time, messages, overdue int64) {
		t.Helper()
		f.ok(f.s.SampleDepth(t.Context(), at))
		got, err := f.s.Times(t.Context(), store.TimeQuery{Account: f.account, Provider: f.provider, SubAccount: f.sub, Kind: store.TimedDepth, From: at.Truncate(time.Minute), To: at.Truncate(time.Minute).Add(time.Minute)})
		f.ok(err)
		f.equal("rows of a sample", len(got), 2)
		found := map[int]int64{}
		for _, r := range got {
			found[r.Key] = r.N
			f.equal("minute", r.At, at.UTC().Truncate(time.Minute))
		}
		f.equal("messages and seconds", [2]int64{found[store.DepthMessages], found[store.DepthOverdue]}, [2]int64{messages, overdue})
	}
	sample(f.now, 0, 0)
	f.accept(3, f.now.Add(time.Minute)) // to come
	sample(f.now, 3, 0)                 // the same minute: replaced
	sample(f.now.Add(3*time.Minute), 3, 120)
}

func testPruneTimes(t *testing.T, e Engine) {
	f := newFixture(t, e)
	for range 3 {
		f.accept(2, f.now) // a minute's and an hour's row
		f.now = f.now.Add(2 * time.Hour)
	}
	count := func(kind store.Timed) int {
		got, err := f.s.Times(t.Context(), store.TimeQuery{Account: f.account, Kind: kind, From: epoch.AddDate(0, 0, -1), To: epoch.AddDate(0, 0, 9)})
		f.ok(err)
		return len(got)
	}
	prune := func(minutes, hours time.Time) int {
		return f.drained(func(limit int) (int, error) { return f.s.PruneTimes(t.Context(), minutes, hours, limit) }, 1)
	}
	f.equal("pruned before all", prune(epoch.AddDate(0, 0, -1), epoch.AddDate(0, 0, -1)), 0)
	f.equal("minutes pruned", prune(epoch.Add(3*time.Hour), epoch.AddDate(0, 0, -1)), 2)
	f.equal("left", [2]int{count(store.TimedMinute), count(store.TimedHour)}, [2]int{1, 3})
	f.equal("hours pruned", prune(epoch.AddDate(0, 0, -1), epoch.Add(time.Hour)), 1)
	f.equal("left", [2]int{count(store.TimedMinute), count(store.TimedHour)}, [2]int{1, 2})
}

func testSize(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(10, f.now)
	n, err := f.s.Size(t.Context())
	f.ok(err)
	if n < 10_000 {
		t.Errorf("a database with ten messages takes %d bytes", n)
	}
}
