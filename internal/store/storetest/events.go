package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// record stores one fact and tells what became of it.
func (f *fixture) record(fact store.Fact) store.Recorded {
	f.t.Helper()
	got, err := f.s.Record(f.t.Context(), []store.Fact{fact})
	f.ok(err)
	if len(got) != 1 {
		f.t.Fatalf("one fact, %d answers", len(got))
	}
	return got[0]
}

func testRecordKey(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ms := f.accept(2, f.now)
	delivered := f.event(waypost.CSDelivered, &ms[0], waypost.SourceAgent)
	f.equal("first", f.record(store.Fact{Event: delivered, Key: "k1"}), store.Stored)
	f.equal("again", f.record(store.Fact{Event: delivered, Key: "k1"}), store.Duplicate)
	// One call may carry both, and the key counts per message.
	other := f.event(waypost.CSDelivered, &ms[1], waypost.SourceAgent)
	got, err := f.s.Record(t.Context(), []store.Fact{
		{Event: delivered, Key: "k1"},
		{Event: other, Key: "k1"},
		{Event: other, Key: "k1"},
		{Event: f.event(waypost.CSOpen, &ms[1], waypost.SourceTrack)}, // no key, no check
		{Event: f.event(waypost.CSOpen, &ms[1], waypost.SourceTrack)},
	})
	f.ok(err)
	f.equal("batch", got, []store.Recorded{store.Duplicate, store.Stored, store.Duplicate, store.Stored, store.Stored})
	none, err := f.s.Record(t.Context(), nil)
	f.ok(err)
	f.equal("no facts", len(none), 0)
	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 2, waypost.StatDelivered: 2, waypost.StatOpened: 2,
	})
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.equal("after a restart", f.record(store.Fact{Event: delivered, Key: "k1"}), store.Duplicate)
	}
}

func testRecordOnce(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	hard := f.event(waypost.CSHardBounced, &m, waypost.SourceAgent)
	hard.Code, hard.Enhanced, hard.Rule, hard.Reason = 550, "5.1.1", "r-17", "no_such_mailbox"
	soft := f.event(waypost.CSSoftBounced, &m, waypost.SourceBounce)
	soft.Late = true
	f.equal("first", f.record(store.Fact{Event: hard, Key: "a", Once: "bounce"}), store.Stored)
	f.equal("second", f.record(store.Fact{Event: soft, Key: "b", Once: "bounce"}), store.Evidence)
	f.equal("second again", f.record(store.Fact{Event: soft, Key: "b", Once: "bounce"}), store.Duplicate)
	f.equal("another once", f.record(store.Fact{Event: f.event(waypost.CSDelivered, &m, waypost.SourceAgent), Once: "delivered"}), store.Stored)
	// A Key and a Once of the same text are different things.
	f.equal("key named like a once", f.record(store.Fact{Event: soft, Key: "bounce"}), store.Stored)

	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 1, waypost.StatHardBounced: 1, waypost.StatDelivered: 1, waypost.StatSoftBounced: 1,
	})
	evidence := 0
	for _, ev := range f.trail(m.ID).Events {
		if ev.Evidence {
			evidence++
			if ev.Type != waypost.CSSoftBounced || !ev.Late {
				t.Fatalf("evidence came back as %+v", ev)
			}
		}
	}
	f.equal("evidence in the trail", evidence, 1)
	for _, ev := range f.events() {
		if ev.Evidence {
			t.Fatalf("evidence is listed as an event: %+v", ev)
		}
	}
}

func testRecordDeferral(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	fact := store.Fact{Deferral: true, Key: "d1", Event: waypost.Event{
		Message: m.ID, At: f.now, Code: 451, Enhanced: "4.7.1", Text: "greylisted",
	}}
	f.equal("noted", f.record(fact), store.Stored)
	f.equal("again", f.record(fact), store.Duplicate)
	fact.Key, fact.Event.At, fact.Event.Text = "d2", f.now.Add(time.Minute), "still greylisted"
	f.equal("second", f.record(fact), store.Stored)
	tr := f.trail(m.ID)
	f.equal("deferral", tr.Deferral, &store.Deferral{
		At: f.now.Add(time.Minute), Code: 451, Enhanced: "4.7.1", Text: "still greylisted", Count: 2,
	})
	f.equal("events", types(tr.Events), []waypost.EventType{waypost.CSProcessed})
	f.recount()
}

func testRecordRelayed(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(3, f.now)
	got := f.claim(3).Entries
	unknown, known, deferred := got[0], got[1], got[2]
	due := f.now.Add(2 * time.Minute)
	f.retry(unknown, waypost.AttemptUnknown, due)
	f.retry(known, waypost.AttemptTransient, due)
	f.retry(deferred, waypost.AttemptUnknown, due)

	f.now = f.now.Add(time.Minute)
	fact := store.Fact{Event: f.event(waypost.CSDelivered, &unknown.Message, waypost.SourceAgent), Key: "x", Once: "delivered", Relayed: true}
	fact.Event.Queue, fact.Event.Relay = "4bXyZ1", "mx.example.org[192.0.2.1]:25"
	f.equal("evidence", f.record(fact), store.Stored)
	tr := f.trail(unknown.Message.ID)
	f.equal("finished as sent first", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSSent, waypost.CSDelivered})
	if tr.Waiting != nil {
		t.Fatalf("it still waits: %+v", tr.Waiting)
	}
	sent := tr.Events[1]
	if sent.Source != waypost.SourceAgent || sent.Attempt != 1 || sent.Provider != f.provider || sent.Queue != "4bXyZ1" ||
		sent.Account != f.account || sent.SubAccount != f.sub || sent.Recipient != unknown.Message.Recipient || sent.ID >= tr.Events[2].ID {
		t.Fatalf("CSSent by evidence: %+v", sent)
	}
	if last := tr.Events[2]; last.Queue != "4bXyZ1" || last.Relay != "mx.example.org[192.0.2.1]:25" {
		t.Fatalf("the fact's own event: %+v", last)
	}

	// What was seen before the last attempt, which is known to have failed, proves
	// nothing about it: the message waits on.
	fact = store.Fact{Event: f.event(waypost.CSDelivered, &known.Message, waypost.SourceAgent), Relayed: true}
	fact.Event.At = f.now.Add(-time.Minute)
	f.equal("stored", f.record(fact), store.Stored)
	if f.trail(known.Message.ID).Waiting == nil {
		t.Fatal("a message whose attempt failed was finished by evidence from before")
	}

	// A deferral proves it as well, and says no more than the message's id.
	fact = store.Fact{Event: waypost.Event{Message: deferred.Message.ID, At: f.now, Code: 450}, Deferral: true, Relayed: true}
	f.equal("noted", f.record(fact), store.Stored)
	tr = f.trail(deferred.Message.ID)
	f.equal("finished", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSSent})
	if e := tr.Events[1]; e.Account != f.account || e.SubAccount != f.sub || e.Recipient != deferred.Message.Recipient || e.Provider != f.provider {
		t.Fatalf("CSSent by a deferral: %+v", e)
	}
	if tr.Waiting != nil || tr.Deferral == nil {
		t.Fatalf("trail: %+v", tr)
	}
	f.depth(1)
	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 3, waypost.StatSent: 2, waypost.StatDelivered: 2,
	})

	// Evidence beats a worker that has claimed the message again.
	c := f.claimBy(store.Claim{Max: 1, Now: due}).Entries[0]
	f.retry(c, waypost.AttemptUnknown, due)
	c = f.claimBy(store.Claim{Max: 1, Now: due}).Entries[0]
	f.record(store.Fact{Event: waypost.Event{Message: c.Message.ID, At: f.now}, Deferral: true, Relayed: true})
	f.is(f.sent(c), store.ErrLost)
	f.depth(0)
	f.equal("sent once", f.recount()[waypost.StatSent], int64(3))
}

func testRecordSuppress(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ms := f.accept(2, f.now)
	suppress := func(m *waypost.Message, email string) *waypost.Suppression {
		return &waypost.Suppression{
			Account: f.account, SubAccount: f.sub, Email: email, Reason: waypost.SuppressHardBounce, Message: m.ID, Created: f.now,
		}
	}
	hard := f.event(waypost.CSHardBounced, &ms[0], waypost.SourceAgent)
	f.record(store.Fact{Event: hard, Key: "1", Once: "bounce", Suppress: suppress(&ms[0], "stored@example.org")})
	f.record(store.Fact{Event: hard, Key: "1", Once: "bounce", Suppress: suppress(&ms[0], "duplicate@example.org")})
	f.record(store.Fact{Event: hard, Key: "2", Once: "bounce", Suppress: suppress(&ms[0], "evidence@example.org")})
	got, err := f.s.Suppressed(t.Context(), f.sub,
		[]string{"stored@example.org", "duplicate@example.org", "evidence@example.org"}, f.now)
	f.ok(err)
	if len(got) != 1 || got["stored@example.org"].Message != ms[0].ID {
		t.Fatalf("suppressed: %+v", got)
	}
}

func testTrail(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	_, err := f.s.Trail(t.Context(), f.account, waypost.NewUUID(f.now))
	f.is(err, store.ErrNotFound)
	tr := f.trail(m.ID)
	f.equal("message", tr.Message, m)
	f.equal("waiting", tr.Waiting, &store.Pending{Lane: f.lane, Due: f.now})
	// Where it stands is told while a worker holds it, too.
	f.claim(1)
	if w := f.trail(m.ID).Waiting; w == nil || w.Lane != f.lane || w.Attempt != 0 {
		t.Fatalf("while it is held: %+v", w)
	}
	// By time, not in the order in which they were told.
	open := f.event(waypost.CSOpen, &m, waypost.SourceTrack)
	open.At = f.now.Add(2 * time.Minute)
	delivered := f.event(waypost.CSDelivered, &m, waypost.SourceAgent)
	delivered.At = f.now.Add(time.Minute)
	f.record(store.Fact{Event: open})
	f.record(store.Fact{Event: delivered})
	f.equal("events", types(f.trail(m.ID).Events), []waypost.EventType{waypost.CSProcessed, waypost.CSDelivered, waypost.CSOpen})
}

func testRestart(t *testing.T, e Engine) {
	if e.Reopen == nil {
		t.Skip("the engine has no Reopen")
	}
	f := newFixture(t, e)
	f.accept(2, f.now)
	got := f.claim(1).Entries
	f.s = e.Reopen(t, f.s)
	f.depth(2)
	f.now = f.now.Add(time.Hour) // whatever became of the lease, it has run out
	again := f.claim(10)
	f.equal("all is due again", len(again.Entries), 2)
	f.is(f.sent(got[0]), store.ErrLost)
	for _, c := range again.Entries {
		f.ok(f.sent(c))
	}
	installed, err := f.s.Installed(t.Context())
	f.ok(err)
	f.equal("installed", installed, true)
	f.recount()
}
