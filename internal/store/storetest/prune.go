package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// drained prunes until nothing is left to prune, and tells how many went. No
// turn takes more than the limit.
func (f *fixture) drained(prune func(limit int) (int, error), limit int) int {
	f.t.Helper()
	all := 0
	for {
		n, err := prune(limit)
		f.ok(err)
		if n > limit {
			f.t.Fatalf("pruned %d at once, the limit is %d", n, limit)
		}
		if n == 0 {
			return all
		}
		all += n
	}
}

func testPruneEvents(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	fact := store.Fact{Event: f.event(waypost.CSDelivered, &m, waypost.SourceAgent), Key: "k", Once: "delivered"}
	f.equal("a fact", f.record(fact), store.Stored)
	other := fact
	other.Key = "k2"
	f.equal("evidence", f.record(other), store.Evidence)
	f.accept(7, f.now)
	newest := store.EventTime(f.events()[0].ID)
	select { // the next ids are of a later time
	case <-time.After(time.Until(newest.Add(3 * time.Millisecond))):
	case <-t.Context().Done():
	}
	edge := newest.Add(time.Millisecond)
	f.accept(3, f.now)
	before, err := f.s.DailyStats(t.Context(), f.account, 0, epoch, epoch)
	f.ok(err)
	prune := func(at time.Time) func(int) (int, error) {
		return func(limit int) (int, error) { return f.s.PruneEvents(t.Context(), at, limit) }
	}
	f.equal("none is that old", f.drained(prune(newest.Add(-time.Hour)), 100), 0)
	f.equal("events and evidence", f.drained(prune(edge), 4), 10)
	f.equal("left", len(f.events()), 3)
	f.equal("left in the trail", len(f.trail(m.ID).Events), 0)
	after, err := f.s.DailyStats(t.Context(), f.account, 0, epoch, epoch)
	f.ok(err)
	f.equal("the counters stay", after, before)
	f.equal("its key went with it", f.record(fact), store.Stored)
}

func testPruneMessages(t *testing.T, e Engine) {
	f := newFixture(t, e)
	old := f.accept(4, f.now) // one content
	got := f.claim(4).Entries
	f.ok(f.sent(got[0]))
	f.ok(f.sent(got[1]))
	f.ok(f.s.Settle(t.Context(), &store.Settlement{
		Entry: got[2].Entry, Message: got[2].Message, Attempt: f.attempt(got[2], waypost.AttemptPermanent),
		Events: []waypost.Event{f.event(waypost.CSDropped, &got[2].Message, waypost.SourceRelay)},
	}))
	f.record(store.Fact{Event: waypost.Event{Message: got[2].Message.ID, At: f.now, Code: 451}, Deferral: true})
	waits := got[3]
	f.now = f.now.Add(time.Hour)
	young := f.accept(1, f.now)[0]
	for _, c := range f.claim(10).Entries {
		if c.Message.ID == young.ID {
			f.ok(f.sent(c))
		}
	}
	prune := func(before time.Time) func(int) (int, error) {
		return func(limit int) (int, error) { return f.s.PruneMessages(t.Context(), before, limit) }
	}
	f.equal("none is that old", f.drained(prune(epoch), 100), 0)
	f.equal("finished ones", f.drained(prune(f.now), 2), 3)
	for _, c := range got[:3] {
		_, err := f.s.Trail(t.Context(), f.account, c.Message.ID)
		f.is(err, store.ErrNotFound)
	}
	f.equal("one that waits stays", f.trail(waits.Message.ID).Message.ID, waits.Message.ID)
	f.equal("the young one", f.trail(young.ID).Message.ID, young.ID)
	list, err := f.s.ListMessages(t.Context(), store.MessageQuery{Account: f.account, Recipient: got[0].Message.Recipient, Limit: 10})
	f.ok(err)
	for _, m := range list {
		if m.ID == got[0].Message.ID {
			t.Fatal("a pruned message is found by its recipient")
		}
	}
	content := func(m *waypost.Message) error {
		_, err := f.s.Content(t.Context(), m.Content)
		return err
	}
	f.ok(content(&old[0])) // the one that waits needs it
	f.now = f.now.Add(time.Hour)
	last := f.claim(10).Entries
	f.equal("it is relayed still", len(last), 1)
	f.ok(f.sent(last[0]))
	f.equal("the last of the call", f.drained(prune(epoch.Add(time.Minute)), 100), 1)
	f.is(content(&old[0]), store.ErrNotFound)
	f.ok(content(&young))
	f.equal("events outlive messages", len(f.events()), 10)
}

func testPruneJournal(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	for i := range 5 {
		at := epoch.Add(time.Duration(i) * time.Hour)
		f.ok(f.s.AddProviderEvent(ctx, &waypost.ProviderEvent{Provider: f.provider, At: at, Kind: waypost.BreakerOpened, Text: "x"}))
		f.ok(f.s.AddAudit(ctx, &waypost.Audit{Account: f.account, At: at, Actor: "cli", Action: "a", Object: "b", Text: "c"}))
	}
	prune := func(before time.Time) func(int) (int, error) {
		return func(limit int) (int, error) { return f.s.PruneJournal(ctx, before, limit) }
	}
	f.equal("none is that old", f.drained(prune(epoch), 10), 0)
	f.equal("three of each", f.drained(prune(epoch.Add(3*time.Hour)), 2), 6)
	events, err := f.s.ProviderEvents(ctx, f.provider, store.Page{Limit: 10})
	f.ok(err)
	audits, err := f.s.Audits(ctx, store.AuditQuery{Account: f.account, Limit: 10})
	f.ok(err)
	f.equal("left", []int{len(events), len(audits.Entries)}, []int{2, 2})
	f.equal("the young ones", []time.Time{events[1].At, audits.Entries[1].At}, []time.Time{epoch.Add(3 * time.Hour), epoch.Add(3 * time.Hour)})
}
