package storetest

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testAcceptWhole(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	a := f.call(3, f.now.Add(time.Minute))
	rich := &a.Messages[0]
	rich.To = waypost.Address{Name: "Ä B", Email: "original@example.org"}
	rich.Cc = []waypost.Address{{Name: "C", Email: "c@example.org"}, {Email: "d@example.org"}}
	rich.Bcc = []waypost.Address{{Email: "e@example.org"}, {Name: "F", Email: "f@example.org"}}
	rich.Variables = []byte(`{"name":"Ä","n":1e3}`)
	rich.Domain, rich.Pool, rich.Mailbox = 7, f.pool, 26
	// The third was refused: no queue row, and a drop.
	drop := f.event(waypost.CSDropped, &a.Messages[2], waypost.SourceAPI)
	drop.Reason, drop.Text = waypost.DropSuppressed, "suppressed: hard bounce"
	a.Events, a.Queue = append(a.Events, drop), a.Queue[:2]
	f.ok(f.s.Accept(ctx, a))

	for _, want := range a.Messages {
		got, err := f.s.Message(ctx, f.account, want.ID)
		f.ok(err)
		f.equal("message", got, want)
	}
	unknown := waypost.NewUUID(f.now)
	many, err := f.s.Messages(ctx, []waypost.UUID{a.Messages[1].ID, unknown, a.Messages[0].ID})
	f.ok(err)
	f.equal("messages", many, map[waypost.UUID]waypost.Message{a.Messages[0].ID: a.Messages[0], a.Messages[1].ID: a.Messages[1]})
	_, err = f.s.Message(ctx, f.account, unknown)
	f.is(err, store.ErrNotFound)
	f.depth(2)
	counts := f.recount()
	if counts[waypost.StatProcessed] != 3 || counts[waypost.StatDropped] != 1 {
		t.Fatalf("counters: %v", counts)
	}
}

func testAcceptDuplicate(t *testing.T, e Engine) {
	f := newFixture(t, e)
	first := f.accept(2, f.now)
	before := f.events()
	for name, change := range map[string]func(*store.Acceptance){
		"message": func(a *store.Acceptance) {
			a.Messages[2].ID, a.Queue[2].Message = first[1].ID, first[1].ID
		},
		"content": func(a *store.Acceptance) { a.Content.ID = first[0].Content },
	} {
		a := f.call(3, f.now)
		change(a)
		if err := f.s.Accept(t.Context(), a); err == nil {
			t.Fatalf("a second %s of the same id was accepted", name)
		}
		if name == "message" {
			_, err := f.s.Content(t.Context(), a.Content.ID)
			f.is(err, store.ErrNotFound)
		}
		_, err := f.s.Message(t.Context(), f.account, a.Messages[0].ID)
		f.is(err, store.ErrNotFound)
	}
	f.depth(2)
	f.equal("events after two refusals", f.events(), before)
	f.recount()
	// Nothing is stuck: the next call is accepted.
	f.accept(1, f.now)
	f.depth(3)
}

func testContent(t *testing.T, e Engine) {
	f := newFixture(t, e)
	a := f.call(1, f.now)
	big := bytes.Repeat([]byte{0, 1, 2, 253, 254, 255}, 100_000)
	a.Content = waypost.Content{
		ID: a.Content.ID, Account: f.account, SubAccount: f.sub,
		From: waypost.Address{Name: "S", Email: "s@example.com"}, ReplyTo: waypost.Address{Email: "r@example.com"},
		Subject: "Grüße 🎉", PreText: "pre", HTML: "<p>{{name}}</p>", Text: "text\r\n.\r\n", AMP: "<html ⚡4email>",
		Headers: []waypost.Header{{Name: "X-B", Value: "2"}, {Name: "X-A", Value: "1"}, {Name: "X-B", Value: "3"}},
		Attachments: []waypost.Attachment{
			{Filename: "a.bin", ContentType: "application/octet-stream", Data: big},
			{Filename: "logo.png", ContentID: "logo", Data: []byte{1}},
		},
		Groups: []string{"g1", "g2"}, Variables: map[string]any{"a": "b", "list": []any{"x", json.Number("1.5"), nil, true}},
		TrackOpens: true, TrackClicks: true, Pool: "mix", Webhook: "https://example.com/hook",
	}
	f.ok(f.s.Accept(t.Context(), a))
	got, err := f.s.Content(t.Context(), a.Content.ID)
	f.ok(err)
	f.equal("content", got, a.Content)

	b := f.call(1, f.now)
	b.Content.Attachments = a.Content.Attachments
	want := b.Content
	b.Encoded, err = store.EncodeContent(&b.Content)
	f.ok(err)
	b.Content.Attachments = nil
	f.ok(f.s.Accept(t.Context(), b))
	got, err = f.s.Content(t.Context(), want.ID)
	f.ok(err)
	f.equal("content that came encoded", got, want)

	_, err = f.s.Content(t.Context(), waypost.NewUUID(f.now))
	f.is(err, store.ErrNotFound)
	testPacked(f, a.Content)
}

// testPacked reads a content of large attachments as it is stored.
func testPacked(f *fixture, want waypost.Content) {
	p, err := f.s.PackedContent(f.t.Context(), want.ID, 0)
	f.ok(err)
	f.equal("bytes that were not asked for", len(p.Bytes), 0)
	size := p.Size
	p, err = f.s.PackedContent(f.t.Context(), want.ID, size)
	f.ok(err)
	f.equal("bytes", len(p.Bytes), size)
	if _, ok := p.Small(); ok {
		f.t.Error("a content of 600 kB passes for a small one")
	}
	parts, err := p.Open()
	f.ok(err)
	defer parts.Close()
	for i := range parts.Content.Attachments {
		data, err := parts.Next()
		f.ok(err)
		f.equal("bytes of an attachment", len(data), parts.Files[i])
		parts.Content.Attachments[i].Data = data
	}
	_, err = parts.Next()
	f.is(err, io.EOF)
	f.equal("parts", parts.Content, want)
	heads := store.Heads{Queue: f.s}
	got, err := heads.Get(f.t.Context(), want.ID)
	f.ok(err)
	for i := range want.Attachments {
		got.Attachments[i].Data = want.Attachments[i].Data
	}
	f.equal("head", got, want)
	_, err = f.s.PackedContent(f.t.Context(), waypost.NewUUID(f.now), size)
	f.is(err, store.ErrNotFound)
}

func testClaimOrder(t *testing.T, e Engine) {
	f := newFixture(t, e)
	late := f.accept(1, f.now.Add(-1*time.Second))[0]
	early := f.accept(1, f.now.Add(-2*time.Second))[0]
	exact := f.accept(1, f.now)[0]
	f.accept(1, f.now.Add(time.Millisecond)) // not due
	other := f.lane
	f.lane.Mailbox = 0
	f.accept(1, f.now) // another lane
	f.lane = other

	got := f.claim(2)
	f.equal("the two earliest", ids(got.Entries), []waypost.UUID{early.ID, late.ID})
	f.equal("message of the claim", got.Entries[0].Message, early)
	f.equal("entry", got.Entries[0].Entry, store.Entry{
		Lane: f.lane, Message: early.ID, Due: got.Entries[0].Entry.Due, Lease: got.Entries[0].Entry.Lease,
	})
	got = f.claim(1000)
	f.equal("the rest that is due", ids(got.Entries), []waypost.UUID{exact.ID})
	got = f.claim(1000)
	f.equal("nothing more", len(got.Entries), 0)
}

func testClaimNextDue(t *testing.T, e Engine) {
	f := newFixture(t, e)
	got := f.claim(10)
	if len(got.Entries) != 0 || !got.NextDue.IsZero() || !got.NextToken.IsZero() {
		t.Fatalf("an empty lane answers %+v", got)
	}
	soon := f.now.Add(30 * time.Second)
	f.accept(1, soon)
	f.accept(2, f.now)
	got = f.claim(1)
	if len(got.Entries) != 1 || got.NextDue.IsZero() || got.NextDue.After(f.now) {
		t.Fatalf("Max cut the answer short, so NextDue must be past: %+v", got)
	}
	got = f.claim(10)
	f.equal("the next due message", got.NextDue, soon)
	f.now = soon
	got = f.claimBy(store.Claim{Max: 10, LeaseUntil: soon.Add(time.Hour)})
	f.equal("one due now", len(got.Entries), 1)
	f.equal("the earliest lease", got.NextDue, epoch.Add(2*time.Minute))
	if !got.NextToken.IsZero() {
		t.Fatalf("no limit, yet NextToken is %v", got.NextToken)
	}
}

func testClaimLeases(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(2, f.now)
	first := f.claim(10)
	f.equal("claimed", len(first.Entries), 2)
	until := f.now.Add(2 * time.Minute)
	f.now = until.Add(-time.Millisecond)
	f.equal("during the lease", len(f.claim(10).Entries), 0)

	// One is extended, and so is one that is nobody's, which is passed over.
	gone := first.Entries[0].Entry
	gone.Message = waypost.NewUUID(f.now)
	f.ok(f.s.Extend(t.Context(), []store.Entry{gone, first.Entries[0].Entry}, until.Add(time.Minute)))
	f.now = until
	second := f.claim(10)
	f.equal("the other is due again", ids(second.Entries), ids(first.Entries[1:]))
	f.now = until.Add(time.Minute)
	third := f.claim(10)
	f.equal("and the extended one at its end", ids(third.Entries), ids(first.Entries[:1]))
	f.is(f.sent(first.Entries[0]), store.ErrLost)
	f.is(f.sent(first.Entries[1]), store.ErrLost)
	// The first holder cannot extend what another holds.
	f.ok(f.s.Extend(t.Context(), []store.Entry{first.Entries[0].Entry}, f.now.Add(24*time.Hour)))
	f.ok(f.sent(second.Entries[0]))
	f.now = f.now.Add(3 * time.Minute)
	fourth := f.claim(10)
	f.equal("the lease of the third claim ended in its time", ids(fourth.Entries), ids(third.Entries))

	// A lease that ran out without another claim may still be settled.
	f.now = f.now.Add(time.Hour)
	f.ok(f.sent(fourth.Entries[0]))
	f.depth(0)
	if n := f.recount()[waypost.StatSent]; n != 2 {
		t.Fatalf("%d sent, want 2", n)
	}
}

func testClaimConcurrent(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const messages = 600
	for range 6 {
		f.accept(messages/6, f.now)
	}
	var mu sync.Mutex
	seen := map[waypost.UUID]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				got, err := f.s.Claim(t.Context(), store.Claim{Lane: f.lane, Now: f.now, Max: 7, LeaseUntil: f.now.Add(time.Minute)})
				if err != nil {
					t.Error(err)
					return
				}
				if len(got.Entries) == 0 {
					return
				}
				mu.Lock()
				for _, c := range got.Entries {
					seen[c.Message.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// Claimers that met each other's rows may have gone home early.
	for got := f.claim(100); len(got.Entries) > 0; got = f.claim(100) {
		for _, c := range got.Entries {
			seen[c.Message.ID]++
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was handed out %d times", id, n)
		}
	}
	if len(seen) != messages {
		t.Errorf("%d of %d messages were handed out", len(seen), messages)
	}
}

func testLaneHeads(t *testing.T, e Engine) {
	f := newFixture(t, e)
	heads := func() map[waypost.Lane]int64 {
		all, err := f.s.LaneHeads(t.Context())
		f.ok(err)
		out := map[waypost.Lane]int64{}
		for _, h := range all {
			out[h.Lane] = h.Due.UnixMilli()
		}
		f.equal("lanes are listed once", len(out), len(all))
		return out
	}
	f.equal("empty", len(heads()), 0)
	want := map[waypost.Lane]int64{}
	second, _ := f.newProvider("relay two")
	for _, provider := range []int64{f.provider, second} {
		for _, box := range []waypost.Mailbox{0, 3, 26} {
			f.lane = waypost.Lane{Provider: provider, Mailbox: box}
			at := f.now.Add(time.Duration(box) * time.Second)
			f.accept(2, at.Add(time.Minute))
			f.accept(1, at)
			want[f.lane] = at.UnixMilli()
		}
	}
	f.equal("heads", heads(), want)
	f.depth(18)
	// An empty lane is listed no more.
	f.now = f.now.Add(time.Hour)
	for _, c := range f.claim(10).Entries {
		f.ok(f.sent(c))
	}
	delete(want, f.lane)
	f.equal("heads after one lane is done", heads(), want)
}

func testSettleFinish(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(1, f.now)
	c := f.claim(1).Entries[0]
	f.ok(f.sent(c))
	f.depth(0)
	tr := f.trail(c.Message.ID)
	f.equal("events", types(tr.Events), []waypost.EventType{waypost.CSProcessed, waypost.CSSent})
	if tr.Waiting != nil || tr.Deferral != nil || len(tr.Attempts) != 0 {
		t.Fatalf("trail of a finished message: %+v", tr)
	}
	last := tr.Events[1]
	if last.Code != 250 || last.Enhanced != "2.0.0" || last.Text != "Ok: queued as 4bXyZ1" || last.Attempt != 1 {
		t.Fatalf("event came back as %+v", last)
	}
	f.recount()
}

func testSettleRetry(t *testing.T, e Engine) {
	f := newFixture(t, e)
	f.accept(1, f.now)
	c := f.claim(1).Entries[0]
	again := f.now.Add(time.Hour + 7*time.Millisecond)
	first := f.attempt(c, waypost.AttemptUnknown)
	f.retry(c, waypost.AttemptUnknown, again)
	f.depth(1)
	f.equal("before the retry is due", f.claim(1).NextDue, again)
	f.equal("where it stands", f.trail(c.Message.ID).Waiting, &store.Pending{Lane: f.lane, Due: again, Attempt: 1, Unknown: true})

	// Given back without an attempt: the count and "unknown" stay.
	f.now = again
	c = f.claim(1).Entries[0]
	f.equal("attempts before", c.Entry.Attempt, 1)
	f.equal("due as stored", c.Entry.Due.UnixMilli() > 0, true)
	f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Refund: true}))
	f.equal("given back", f.trail(c.Message.ID).Waiting, &store.Pending{Lane: f.lane, Due: f.now, Attempt: 1, Unknown: true})

	c = f.claim(1).Entries[0]
	second := f.attempt(c, waypost.AttemptTransient)
	f.retry(c, waypost.AttemptTransient, f.now)
	f.equal("a known failure", f.trail(c.Message.ID).Waiting, &store.Pending{Lane: f.lane, Due: f.now, Attempt: 2})

	// The end: an attempt and a drop together.
	c = f.claim(1).Entries[0]
	third := f.attempt(c, waypost.AttemptPermanent)
	drop := f.event(waypost.CSDropped, &c.Message, waypost.SourceRelay)
	drop.Reason, drop.Attempt = waypost.DropRelayRefused, 3
	f.ok(f.s.Settle(t.Context(), &store.Settlement{Entry: c.Entry, Message: c.Message, Attempt: third, Events: []waypost.Event{drop}}))
	tr := f.trail(c.Message.ID)
	f.equal("attempts", tr.Attempts, []waypost.Attempt{*first, *second, *third})
	if tr.Waiting != nil {
		t.Fatalf("a dropped message waits: %+v", tr.Waiting)
	}
	f.equal("counters", f.recount(), map[waypost.Stat]int64{waypost.StatProcessed: 1, waypost.StatSMTPDropped: 1})
	f.depth(0)
}

func testSettleLost(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	never := store.Claimable{Entry: store.Entry{Lane: f.lane, Message: m.ID, Due: f.now}, Message: m}
	f.is(f.sent(never), store.ErrLost) // there, but not leased
	c := f.claim(1).Entries[0]
	wrong := c
	wrong.Entry.Attempt++
	f.is(f.sent(wrong), store.ErrLost)
	f.ok(f.sent(c))
	f.is(f.sent(c), store.ErrLost)
	retry := &store.Settlement{Entry: c.Entry, Message: c.Message, Retry: f.now, Attempt: f.attempt(c, waypost.AttemptTransient)}
	f.is(f.s.Settle(t.Context(), retry), store.ErrLost)
	f.depth(0)
	tr := f.trail(m.ID)
	if len(tr.Events) != 2 || len(tr.Attempts) != 0 {
		t.Fatalf("a lost settlement stored something: %+v", tr)
	}
	f.recount()
}
