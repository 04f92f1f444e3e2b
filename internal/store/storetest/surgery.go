package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// listed selects messages by id.
func listed(all ...waypost.Message) store.Selection {
	s := store.Selection{Limit: 10_000}
	for _, m := range all {
		s.Messages = append(s.Messages, m.ID)
	}
	return s
}

func (f *fixture) laneOf() store.Selection {
	return store.Selection{Provider: f.lane.Provider, Mailbox: f.lane.Mailbox, Limit: 10_000}
}

// did fails unless a call of surgery acted on as many as wanted.
func (f *fixture) did(what string, want int) func(int, error) {
	return func(n int, err error) {
		f.t.Helper()
		f.ok(err)
		f.equal(what, n, want)
	}
}

func (f *fixture) to(provider int64) func(*waypost.Message) int64 {
	return func(*waypost.Message) int64 { return provider }
}

func testSettleProvider(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	f.accept(2, f.now)
	got := f.claim(2).Entries
	moved, stays := got[0], got[1]
	again := f.now.Add(time.Minute)
	f.ok(f.s.Settle(t.Context(), &store.Settlement{
		Entry: moved.Entry, Message: moved.Message, Retry: again, Provider: second, Attempt: f.attempt(moved, waypost.AttemptTransient),
	}))
	f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: stays.Entry, Message: stays.Message, Retry: again, Provider: f.provider}))
	there := waypost.Lane{Provider: second, Mailbox: f.lane.Mailbox}
	f.equal("where it waits", f.trail(moved.Message.ID).Waiting, &store.Pending{Lane: there, Due: again, Attempt: 1})
	f.now = again
	f.equal("its old lane has the other", ids(f.claim(10).Entries), []waypost.UUID{stays.Message.ID})
	c := f.claimBy(store.Claim{Lane: there, Max: 10}).Entries
	f.equal("its new lane", ids(c), []waypost.UUID{moved.Message.ID})
	f.equal("the message's provider", c[0].Message.Provider, second)
	f.equal("the attempt is the old one's", f.trail(moved.Message.ID).Attempts[0].Provider, f.provider)

	// A settlement that lost its row moves nothing.
	f.is(f.s.Settle(t.Context(), &store.Settlement{Entry: moved.Entry, Message: moved.Message, Retry: again, Provider: f.provider}), store.ErrLost)
	m, err := f.s.Message(t.Context(), f.account, moved.Message.ID)
	f.ok(err)
	f.equal("provider after a lost settlement", m.Provider, second)
	f.ok(f.sent(c[0]))
	f.recount()
}

func testLanes(t *testing.T, e Engine) {
	f := newFixture(t, e)
	lanes := func(account int64) []store.LaneDepth {
		all, err := f.s.Lanes(t.Context(), account)
		f.ok(err)
		return all
	}
	f.equal("empty", len(lanes(f.account)), 0)
	second, _ := f.newProvider("relay two")
	f.accept(3, f.now)
	unknown := f.claim(1).Entries[0]
	due := f.now.Add(time.Hour)
	f.retry(unknown, waypost.AttemptUnknown, due)
	one := f.lane
	f.lane = waypost.Lane{Provider: second, Mailbox: 0}
	f.accept(1, due)
	f.equal("two lanes", lanes(f.account), []store.LaneDepth{
		{Lane: one, Messages: 3, Unknown: 1, Due: f.now}, {Lane: f.lane, Messages: 1, Due: due},
	})
	f.equal("a stranger's", len(lanes(f.account+1)), 0)
}

func testWaiting(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, _ := f.newProvider("relay two")
	late := f.accept(1, f.now.Add(time.Hour))[0]
	early := f.accept(1, f.now)[0]
	tried := f.claim(1).Entries[0]
	first := f.attempt(tried, waypost.AttemptTransient)
	f.retry(tried, waypost.AttemptTransient, f.now)
	tried = f.claim(1).Entries[0]
	last := f.attempt(tried, waypost.AttemptUnknown)
	again := f.now.Add(time.Minute)
	f.retry(tried, waypost.AttemptUnknown, again)
	one := f.lane
	f.lane.Mailbox = 26
	other := f.accept(1, f.now)[0]
	f.lane = waypost.Lane{Provider: second, Mailbox: 0}
	third := f.accept(1, f.now)[0]
	if first.N != 1 || last.N != 2 {
		t.Fatalf("attempts %d and %d", first.N, last.N)
	}
	want := []store.Queued{
		{Message: early, Pending: store.Pending{Lane: one, Due: again, Attempt: 2, Unknown: true}, Last: last},
		{Message: late, Pending: store.Pending{Lane: one, Due: f.now.Add(time.Hour)}},
		{Message: other, Pending: store.Pending{Lane: waypost.Lane{Provider: f.provider, Mailbox: 26}, Due: f.now}},
		{Message: third, Pending: store.Pending{Lane: f.lane, Due: f.now}},
	}
	for _, tt := range []struct {
		q    store.WaitingQuery
		want []store.Queued
	}{
		{store.WaitingQuery{Account: f.account, Limit: 100}, want},
		{store.WaitingQuery{Account: f.account, Limit: 2, Offset: 1}, want[1:3]},
		{store.WaitingQuery{Account: f.account, Mailbox: 26, Limit: 100}, want},
		{store.WaitingQuery{Account: f.account, Provider: f.provider, Mailbox: waypost.AllMailboxes, Limit: 100}, want[:3]},
		{store.WaitingQuery{Account: f.account, Provider: f.provider, Mailbox: one.Mailbox, Limit: 1, Offset: 1}, want[1:2]},
		{store.WaitingQuery{Account: f.account, Provider: second, Mailbox: 26, Limit: 100}, nil},
		{store.WaitingQuery{Account: f.account + 1, Limit: 100}, nil},
		{store.WaitingQuery{Account: f.account + 1, Provider: second, Mailbox: waypost.AllMailboxes, Limit: 100}, nil},
	} {
		got, err := f.s.Waiting(t.Context(), tt.q)
		f.ok(err)
		f.equal(fmt.Sprintf("%+v", tt.q), append([]store.Queued(nil), got...), tt.want)
	}
}

func testRetryNow(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	waits := f.accept(1, f.now.Add(3*time.Hour))[0]
	f.accept(1, f.now)
	c := f.claim(10).Entries // the lane has looked past its head now
	f.equal("what is due", len(c), 1)
	f.retry(c[0], waypost.AttemptUnknown, f.now.Add(time.Hour))
	f.equal("the lane's next", f.claim(10).NextDue, f.now.Add(time.Hour))

	f.did("one by its id", 1)(f.s.RetryNow(ctx, f.account, listed(waits), f.now))
	got := f.claim(10)
	f.equal("is handed out at once", ids(got.Entries), []waypost.UUID{waits.ID})
	f.ok(f.sent(got.Entries[0]))
	f.did("the lane", 1)(f.s.RetryNow(ctx, f.account, f.laneOf(), f.now))
	f.did("what is due is not counted", 0)(f.s.RetryNow(ctx, f.account, f.laneOf(), f.now))
	f.equal("attempts and unknown stay", f.trail(c[0].Message.ID).Waiting, &store.Pending{Lane: f.lane, Due: f.now, Attempt: 1, Unknown: true})
	got = f.claim(10)
	f.equal("the other", ids(got.Entries), []waypost.UUID{c[0].Message.ID})
	f.equal("attempts before", got.Entries[0].Entry.Attempt, 1)
	f.did("finished", 0)(f.s.RetryNow(ctx, f.account, listed(waits), f.now))
	f.ok(f.sent(got.Entries[0]))
	f.depth(0)
	f.recount()
}

func testCancel(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	ms := f.accept(4, f.now)
	f.now = f.now.Add(time.Second)
	f.did("two", 2)(f.s.Cancel(ctx, f.account, listed(ms[0], ms[2]), "asked for by Ä", f.now))
	f.did("again", 0)(f.s.Cancel(ctx, f.account, listed(ms[0], ms[2]), "", f.now))
	for _, m := range []waypost.Message{ms[0], ms[2]} {
		tr := f.trail(m.ID)
		f.equal("events", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSDropped})
		if tr.Waiting != nil {
			t.Fatalf("a cancelled message waits: %+v", tr.Waiting)
		}
		want := f.event(waypost.CSDropped, &m, waypost.SourceAPI)
		want.ID, want.Reason, want.Text = tr.Events[1].ID, waypost.DropCancelled, "asked for by Ä"
		f.equal("drop", tr.Events[1], want)
	}
	f.depth(2)
	got := f.claim(10)
	f.equal("the others are handed out", len(got.Entries), 2)
	for _, c := range got.Entries {
		f.ok(f.sent(c))
	}
	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 4, waypost.StatSent: 2, waypost.StatSMTPDropped: 2,
	})
	f.equal("newest ids", f.events()[0].Type, waypost.CSSent)
}

// testCancelUnknown: a message whose last attempt may have succeeded can be
// cancelled, and evidence that comes later does not bring it back.
func testCancelUnknown(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	f.retry(f.claim(1).Entries[0], waypost.AttemptUnknown, f.now.Add(time.Hour))
	f.did("cancelled", 1)(f.s.Cancel(t.Context(), f.account, f.laneOf(), "no more", f.now))
	tr := f.trail(m.ID)
	f.equal("events", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSDropped})
	f.equal("attempts before the drop", tr.Events[1].Attempt, 1)
	f.record(store.Fact{Event: f.event(waypost.CSDelivered, &m, waypost.SourceAgent), Relayed: true})
	f.equal("events after evidence", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 1, waypost.StatSMTPDropped: 1, waypost.StatDelivered: 1,
	})
	f.depth(0)
	f.equal("nothing to claim", len(f.claimBy(store.Claim{Max: 10, Now: f.now.Add(2 * time.Hour)}).Entries), 0)
}

func testMove(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, pool := f.newProvider("relay two")
	f.accept(1, f.now)
	f.retry(f.claim(1).Entries[0], waypost.AttemptTransient, f.now)
	ms := f.accept(3, f.now.Add(time.Minute))
	there := waypost.Lane{Provider: second, Mailbox: f.lane.Mailbox}
	f.equal("the new lane is empty", len(f.claimBy(store.Claim{Lane: there, Max: 10}).Entries), 0)
	stays := ms[1].ID
	f.did("all but one", 3)(f.s.Move(ctx, f.account, f.laneOf(), pool, func(m *waypost.Message) int64 {
		if m.Account != f.account || m.Recipient == "" || m.Provider != f.provider {
			t.Errorf("choose is given %+v", m)
		}
		if m.ID == stays {
			return 0
		}
		return second
	}))
	for _, m := range ms {
		got, err := f.s.Message(ctx, f.account, m.ID)
		f.ok(err)
		want := m
		lane := f.lane
		if m.ID != stays {
			want.Provider, want.Pool, lane = second, pool, there
		}
		f.equal("message row", got, want)
		f.equal("queue row", f.trail(m.ID).Waiting, &store.Pending{Lane: lane, Due: f.now.Add(time.Minute)})
	}
	got := f.claimBy(store.Claim{Lane: there, Max: 10})
	f.equal("the one that is due", len(got.Entries), 1)
	f.equal("attempts stay", got.Entries[0].Entry.Attempt, 1)
	f.now = f.now.Add(time.Minute)
	f.equal("the rest in the new lane", len(f.claimBy(store.Claim{Lane: there, Max: 10}).Entries), 2)
	f.equal("the old lane has what stayed", ids(f.claim(10).Entries), []waypost.UUID{stays})

	// To another pool of the same provider; nothing else changes.
	m := f.accept(1, f.now)[0]
	f.did("pool alone", 1)(f.s.Move(ctx, f.account, listed(m), pool, f.to(f.provider)))
	f.equal("claimed where it was", ids(f.claim(10).Entries), []waypost.UUID{m.ID})
}

// testSurgerySelection: by lane and by provider the earliest due come first.
func testSurgerySelection(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, pool := f.newProvider("relay two")
	var all []waypost.Message
	for i, box := range []waypost.Mailbox{26, 0, 26, 3, 0} {
		f.lane.Mailbox = box
		all = append(all, f.accept(1, f.now.Add(time.Duration(10-i)*time.Minute))[0])
	}
	whole := store.Selection{Provider: f.provider, Mailbox: waypost.AllMailboxes, Limit: 2}
	f.did("the two earliest of the provider", 2)(f.s.Cancel(ctx, f.account, whole, "", f.now))
	for i, m := range all {
		f.equal("cancelled", f.trail(m.ID).Waiting == nil, i >= 3)
	}
	f.did("the earliest of a lane", 1)(f.s.RetryNow(ctx, f.account, store.Selection{Provider: f.provider, Mailbox: 26, Limit: 1}, f.now))
	f.equal("which one", f.trail(all[2].ID).Waiting.Due, f.now)
	f.did("a lane without messages", 0)(f.s.Cancel(ctx, f.account, store.Selection{Provider: f.provider, Mailbox: 1, Limit: 9}, "", f.now))
	whole.Limit = 100
	f.did("all", 3)(f.s.Move(ctx, f.account, whole, pool, f.to(second)))
	f.did("none are left", 0)(f.s.RetryNow(ctx, f.account, whole, f.now))
	var where []waypost.Lane
	for _, m := range all[:3] {
		where = append(where, f.trail(m.ID).Waiting.Lane)
	}
	f.equal("categories stay", where, []waypost.Lane{{Provider: second, Mailbox: 26}, {Provider: second, Mailbox: 0}, {Provider: second, Mailbox: 26}})
	// Unknown ids and the same id twice.
	s := listed(all[0], all[0])
	s.Messages = append(s.Messages, waypost.NewUUID(f.now))
	f.did("once", 1)(f.s.Cancel(ctx, f.account, s, "", f.now))
	f.recount()
}

// testSurgeryHeld: what a worker holds is not touched, and its lease stays.
func testSurgeryHeld(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	second, pool := f.newProvider("relay two")
	ms := f.accept(3, f.now)
	// By every clock: Move goes by the store's own.
	lease := time.Now().Add(24 * time.Hour)
	held := f.claimBy(store.Claim{Max: 2, LeaseUntil: lease}).Entries
	for name, s := range map[string]store.Selection{
		"by id": listed(ms...), "by lane": f.laneOf(), "by provider": {Provider: f.provider, Mailbox: waypost.AllMailboxes, Limit: 100},
		"the earliest": {Provider: f.provider, Mailbox: f.lane.Mailbox, Limit: 1},
	} {
		f.did(name+": moved", 1)(f.s.Move(ctx, f.account, s, pool, f.to(f.provider)))
	}
	f.did("retried", 0)(f.s.RetryNow(ctx, f.account, listed(ms...), f.now))
	f.did("cancelled", 1)(f.s.Cancel(ctx, f.account, f.laneOf(), "", f.now))
	f.did("cancelled", 0)(f.s.Cancel(ctx, f.account, listed(ms...), "", f.now))
	f.did("moved", 0)(f.s.Move(ctx, f.account, listed(ms...), pool, f.to(second)))
	f.equal("still held", len(f.claim(10).Entries), 0)
	for _, c := range held {
		f.ok(f.sent(c))
	}
	f.depth(0)

	// A lease that has run out holds nothing: the old holder has lost it.
	m := f.accept(1, f.now)[0]
	c := f.claimBy(store.Claim{Max: 1, LeaseUntil: f.now.Add(time.Minute)}).Entries[0]
	f.now = f.now.Add(time.Minute)
	f.did("run out", 1)(f.s.Cancel(ctx, f.account, listed(m), "", f.now))
	f.is(f.sent(c), store.ErrLost)
	f.equal("nothing is left", len(f.claim(10).Entries), 0)
	m = f.accept(1, f.now)[0]
	c = f.claimBy(store.Claim{Max: 1, LeaseUntil: f.now.Add(time.Minute)}).Entries[0]
	f.did("run out", 1)(f.s.Move(ctx, f.account, listed(m), pool, f.to(second)))
	f.is(f.sent(c), store.ErrLost)
	f.now = f.now.Add(time.Hour)
	f.equal("the old lane", len(f.claim(10).Entries), 0)
	f.equal("the new lane", ids(f.claimBy(store.Claim{Lane: waypost.Lane{Provider: second, Mailbox: f.lane.Mailbox}, Max: 9}).Entries),
		[]waypost.UUID{m.ID})
	f.recount()
}

func testSurgeryTenancy(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	ms := f.accept(2, f.now.Add(time.Hour))
	stranger := f.account + 1
	for name, s := range map[string]store.Selection{
		"by id": listed(ms...), "by lane": f.laneOf(), "by provider": {Provider: f.provider, Mailbox: waypost.AllMailboxes, Limit: 100},
	} {
		f.did(name+": retried", 0)(f.s.RetryNow(ctx, stranger, s, f.now))
		f.did(name+": cancelled", 0)(f.s.Cancel(ctx, stranger, s, "", f.now))
		f.did(name+": moved", 0)(f.s.Move(ctx, stranger, s, 0, f.to(0)))
		_, err := f.s.Move(ctx, stranger, s, f.pool, f.to(f.provider))
		f.is(err, store.ErrNotFound)
	}
	// Nor to a pool or a provider that is none of the account's.
	_, err := f.s.Move(ctx, f.account, listed(ms...), f.pool+1000, f.to(f.provider))
	f.is(err, store.ErrNotFound)
	_, err = f.s.Move(ctx, f.account, listed(ms...), f.pool, f.to(f.provider+1000))
	f.is(err, store.ErrNotFound)
	for _, m := range ms {
		f.equal("untouched", f.trail(m.ID).Waiting, &store.Pending{Lane: f.lane, Due: f.now.Add(time.Hour)})
		got, err := f.s.Message(ctx, f.account, m.ID)
		f.ok(err)
		f.equal("message", got, m)
	}
	f.depth(2)
}

// testSurgeryProperty mixes surgery with claims and settlements: at the end
// each message was finished once, and none was lost from its lane.
func testSurgeryProperty(t *testing.T, e Engine) {
	f := newFixture(t, e)
	second, pool := f.newProvider("relay two")
	lanes := []waypost.Lane{{Provider: f.provider, Mailbox: 0}, {Provider: f.provider, Mailbox: 26}, {Provider: second, Mailbox: 0}, {Provider: second, Mailbox: 26}}
	rapid.Check(t, func(rt *rapid.T) {
		var all []waypost.UUID
		var held []store.Claimable
		pick := func(rt *rapid.T) store.Selection {
			f.lane = rapid.SampledFrom(lanes).Draw(rt, "lane")
			s := store.Selection{Provider: f.lane.Provider, Mailbox: f.lane.Mailbox, Limit: rapid.IntRange(1, 4).Draw(rt, "limit")}
			switch rapid.IntRange(0, 2).Draw(rt, "by") {
			case 1:
				s.Mailbox = waypost.AllMailboxes
			case 2:
				if len(all) > 0 {
					s.Messages = []waypost.UUID{rapid.SampledFrom(all).Draw(rt, "message")}
				}
			}
			return s
		}
		claim := func(rt *rapid.T, limit int) {
			got := f.claimBy(store.Claim{Max: limit, LeaseUntil: time.Now().Add(10_000 * time.Hour)})
			for _, c := range got.Entries {
				if slices.ContainsFunc(held, func(h store.Claimable) bool { return h.Message.ID == c.Message.ID }) {
					rt.Fatalf("%s is handed out while it is held", c.Message.ID)
				}
			}
			held = append(held, got.Entries...)
		}
		finish := func() {
			for _, c := range held {
				f.ok(f.sent(c))
			}
			held = nil
		}
		rt.Repeat(map[string]func(*rapid.T){
			"accept": func(rt *rapid.T) {
				f.lane = rapid.SampledFrom(lanes).Draw(rt, "lane")
				for _, m := range f.accept(rapid.IntRange(1, 3).Draw(rt, "n"), f.now.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "due"))*time.Minute)) {
					all = append(all, m.ID)
				}
			},
			"claim": func(rt *rapid.T) {
				f.lane = rapid.SampledFrom(lanes).Draw(rt, "lane")
				claim(rt, rapid.IntRange(1, 4).Draw(rt, "max"))
			},
			"retry": func(*rapid.T) {
				for _, c := range held {
					f.retry(c, waypost.AttemptTransient, f.now.Add(time.Minute))
				}
				held = nil
			},
			"finish": func(*rapid.T) { finish() },
			"clock":  func(*rapid.T) { f.now = f.now.Add(time.Minute) },
			"now": func(rt *rapid.T) {
				_, err := f.s.RetryNow(t.Context(), f.account, pick(rt), f.now)
				f.ok(err)
			},
			"cancel": func(rt *rapid.T) {
				_, err := f.s.Cancel(t.Context(), f.account, pick(rt), "", f.now)
				f.ok(err)
			},
			"move": func(rt *rapid.T) {
				_, err := f.s.Move(t.Context(), f.account, pick(rt), pool, f.to(rapid.SampledFrom([]int64{f.provider, second}).Draw(rt, "to")))
				f.ok(err)
			},
		})
		f.now = f.now.Add(time.Hour)
		for _, lane := range lanes {
			f.lane = lane
			claim(rt, 1000)
		}
		finish()
		f.depth(0)
		for _, id := range all {
			got := types(f.trail(id).Events)
			if len(got) != 2 || got[1] != waypost.CSSent && got[1] != waypost.CSDropped {
				rt.Fatalf("%s has the events %v", id, got)
			}
		}
	})
	f.recount()
}

// testSimulatorLane: messages to simulated recipients wait in the lane of
// provider 0, get events in several steps without an attempt, and stand in no
// account's lanes.
func testSimulatorLane(t *testing.T, e Engine) {
	f := newFixture(t, e)
	own := f.lane
	f.accept(1, f.now)
	f.lane = waypost.Lane{Provider: waypost.SimulatorProvider, Mailbox: waypost.MailboxDefault}
	m := f.accept(1, f.now)[0]
	lanes, err := f.s.Lanes(t.Context(), f.account)
	f.ok(err)
	f.equal("lanes", lanes, []store.LaneDepth{{Lane: own, Messages: 1, Due: f.now}})
	heads, err := f.s.LaneHeads(t.Context())
	f.ok(err)
	f.equal("lane heads", len(heads), 2)

	step := func(next time.Time, types ...waypost.EventType) {
		t.Helper()
		c := f.claim(2).Entries
		if len(c) != 1 || c[0].Message.ID != m.ID || c[0].Entry.Attempt != 0 {
			t.Fatalf("claimed %+v", c)
		}
		s := store.Settlement{Entry: c[0].Entry, Message: c[0].Message, Retry: next}
		for _, typ := range types {
			ev := f.event(typ, &m, waypost.SourceSimulator)
			if typ == waypost.CSOpen {
				ev.Visit = &waypost.Visit{First: true}
			}
			s.Events = append(s.Events, ev)
		}
		f.ok(f.s.Settle(t.Context(), &s))
	}
	step(f.now.Add(3*time.Second), waypost.CSSent, waypost.CSDelivered)
	f.equal("before it is due", len(f.claim(2).Entries), 0)
	f.now = f.now.Add(3 * time.Second)
	step(time.Time{}, waypost.CSOpen)
	trail, err := f.s.Trail(t.Context(), f.account, m.ID)
	f.ok(err)
	var types []waypost.EventType
	for i := range trail.Events {
		types = append(types, trail.Events[i].Type)
	}
	f.equal("events", types, []waypost.EventType{waypost.CSProcessed, waypost.CSSent, waypost.CSDelivered, waypost.CSOpen})
	if trail.Waiting != nil || len(trail.Attempts) > 0 || trail.Message.Provider != 0 {
		t.Errorf("trail %+v", trail)
	}
	f.recount()
}
