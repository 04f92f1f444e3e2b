package storetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// report makes a bounce report about a message, and its fact.
func (f *fixture) report(m *waypost.Message, mark byte) (*store.Report, store.Fact) {
	r := &store.Report{
		ID: waypost.NewUUID(f.now), Hash: [16]byte{mark}, Received: f.now, Account: m.Account, SubAccount: m.SubAccount,
		Message: m.ID, Provider: m.Provider, Envelope: "bounces+x@example.org", Kind: "bounce", Recipient: m.Recipient,
		Verdict: store.VerdictHard, Reason: "mailbox_unknown", Rule: "r-1", Code: 550, Enhanced: "5.1.1", Text: "no such user",
		Queue: "4bXyZ1", Status: store.ReportCounted, Note: "a note", Raw: bytes.Repeat([]byte("raw\r\n\x00\xff"), 500),
	}
	e := f.event(waypost.CSHardBounced, m, waypost.SourceBounce)
	return r, store.Fact{Event: e, Key: "dsn:" + string('a'+rune(mark)), Once: store.OnceBounce, Suppress: &waypost.Suppression{
		Account: m.Account, SubAccount: m.SubAccount, Email: m.Recipient, Reason: waypost.SuppressHardBounce, Message: m.ID, Created: f.now,
	}}
}

func (f *fixture) save(r *store.Report, facts ...store.Fact) []store.Recorded {
	f.t.Helper()
	got, err := f.s.SaveReport(f.t.Context(), r, facts)
	f.ok(err)
	if len(got) != len(facts) {
		f.t.Fatalf("%d facts, %d answers", len(facts), len(got))
	}
	return got
}

func (f *fixture) reports(q store.ReportQuery) []store.Report {
	f.t.Helper()
	if q.Account == 0 {
		q.Account = f.account
	}
	q.Limit = max(q.Limit, 1)
	got, err := f.s.ListReports(f.t.Context(), q)
	f.ok(err)
	return got
}

func testReports(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ms := f.accept(2, f.now)
	reported := func(id waypost.UUID, delivered bool) {
		t.Helper()
		m, known, err := f.s.Reported(t.Context(), id)
		f.ok(err)
		f.equal("the reported message", m.ID, id)
		f.equal("its delivery is known", known, delivered)
	}
	other := f.event(waypost.CSDelivered, &ms[1], waypost.SourceAgent)
	other.Evidence = true
	f.record(store.Fact{Event: other})
	reported(ms[1].ID, false)
	f.record(store.Fact{Event: f.event(waypost.CSDelivered, &ms[1], waypost.SourceAgent)})
	reported(ms[1].ID, true)
	reported(ms[0].ID, false)
	_, _, err := f.s.Reported(t.Context(), waypost.NewUUID(f.now))
	f.is(err, store.ErrNotFound)
	r, fact := f.report(&ms[0], 1)
	f.equal("first", f.save(r, fact), []store.Recorded{store.Stored})
	f.equal("the same report", f.save(r, fact), []store.Recorded{store.Duplicate})
	got, err := f.s.Report(t.Context(), f.account, r.ID)
	f.ok(err)
	f.equal("read back", got, *r)

	f.now = f.now.Add(time.Second)
	second, fact := f.report(&ms[0], 2)
	f.equal("a second bounce", f.save(second, fact), []store.Recorded{store.Evidence})
	f.now = f.now.Add(time.Second)
	third, _ := f.report(&ms[1], 3)
	third.Kind, third.Status = "vacation", store.ReportIgnored
	f.save(third)
	f.now = f.now.Add(time.Second)
	stray, _ := f.report(&waypost.Message{}, 4)
	stray.Kind, stray.Status = "other", store.ReportUnlinked
	f.save(stray)

	all := f.reports(store.ReportQuery{Limit: 10})
	f.equal("listed", len(all), 4)
	f.equal("newest first", []waypost.UUID{all[0].ID, all[1].ID, all[2].ID, all[3].ID}, []waypost.UUID{stray.ID, third.ID, second.ID, r.ID})
	f.equal("one without account is the installation's", all[0].Account, f.account)
	f.equal("raw is not listed", len(all[3].Raw), 0)
	f.equal("status of the second", all[2].Status, store.ReportEvidence)
	for name, c := range map[string]struct {
		q    store.ReportQuery
		want waypost.UUID
	}{
		"kind":    {store.ReportQuery{Kind: "vacation"}, third.ID},
		"status":  {store.ReportQuery{Status: store.ReportEvidence}, second.ID},
		"message": {store.ReportQuery{Message: ms[1].ID}, third.ID},
		"offset":  {store.ReportQuery{Offset: 3}, r.ID},
		"both":    {store.ReportQuery{Message: ms[0].ID, Status: store.ReportCounted, Kind: "bounce", SubAccount: f.sub}, r.ID},
	} {
		list := f.reports(c.q)
		if len(list) != 1 || list[0].ID != c.want {
			t.Errorf("by %s: %+v", name, list)
		}
	}
	f.equal("counters", f.recount(), map[waypost.Stat]int64{waypost.StatProcessed: 2, waypost.StatDelivered: 1, waypost.StatHardBounced: 1})
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		f.equal("after a restart", len(f.reports(store.ReportQuery{Limit: 10})), 4)
	}
}

func testReportsTenancy(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	r, fact := f.report(&m, 1)
	f.save(r, fact)
	_, err := f.s.Report(t.Context(), f.account+1, r.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.Report(t.Context(), f.account, waypost.NewUUID(f.now))
	f.is(err, store.ErrNotFound)
	f.equal("another account's list", len(f.reports(store.ReportQuery{Account: f.account + 1, Limit: 10})), 0)
	f.equal("by message", len(f.reports(store.ReportQuery{Account: f.account + 1, Message: m.ID, Limit: 10})), 0)
	f.is(f.s.Reclassify(t.Context(), store.Reclassification{Account: f.account + 1, Report: r.ID, Verdict: store.VerdictNone, At: f.now}), store.ErrNotFound)
	f.equal("untouched", f.recount()[waypost.StatHardBounced], int64(1))
}

func testReportsPrune(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	for i := range 5 {
		r, _ := f.report(&m, byte(i))
		f.save(r)
		f.now = f.now.Add(time.Hour)
	}
	n, err := f.s.PruneReports(t.Context(), epoch.Add(3*time.Hour), 2)
	f.ok(err)
	f.equal("at most the limit", n, 2)
	n, err = f.s.PruneReports(t.Context(), epoch.Add(3*time.Hour), 2)
	f.ok(err)
	f.equal("the rest", n, 1)
	f.equal("left", len(f.reports(store.ReportQuery{Limit: 10})), 2)
}

func testReclassify(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := f.accept(1, f.now)[0]
	r, fact := f.report(&m, 1)
	f.save(r, fact)
	bounced := f.now
	suppressed := func() bool {
		t.Helper()
		got, err := f.s.Suppressed(t.Context(), f.sub, []string{m.Recipient}, f.now)
		f.ok(err)
		return len(got) == 1
	}
	again := func(verdict string, want map[waypost.Stat]int64) {
		t.Helper()
		f.now = f.now.AddDate(0, 0, 1)
		c := store.Reclassification{Account: f.account, Report: r.ID, Verdict: verdict, At: f.now, Email: m.Recipient}
		if verdict != store.VerdictNone {
			ev := f.event(waypost.CSSoftBounced, &m, waypost.SourceBounce)
			if verdict == store.VerdictHard {
				ev.Type, c.Suppress = waypost.CSHardBounced, fact.Suppress
			}
			c.Event = &ev
		}
		f.ok(f.s.Reclassify(t.Context(), c))
		want[waypost.StatProcessed] = 1
		f.equal("counters after "+verdict, f.recount(), want)
		f.equal("suppressed after "+verdict, suppressed(), verdict == store.VerdictHard)
		back, err := f.s.Report(t.Context(), f.account, r.ID)
		f.ok(err)
		f.equal("kept verdict", back.Reclassified, verdict)
		f.equal("kept time", back.ReclassifiedAt, f.now)
	}
	f.equal("suppressed at first", suppressed(), true)
	again(store.VerdictHard, map[waypost.Stat]int64{waypost.StatHardBounced: 1}) // no change
	f.equal("events", len(f.trail(m.ID).Events), 2)
	again(store.VerdictSoft, map[waypost.Stat]int64{waypost.StatSoftBounced: 1})
	for _, ev := range f.trail(m.ID).Events {
		if ev.Type == waypost.CSSoftBounced {
			f.equal("the day stays", ev.At, bounced)
		}
		f.equal("what it replaced is evidence", ev.Evidence, ev.Type == waypost.CSHardBounced)
	}
	other, fact2 := f.report(&m, 2)
	f.equal("a later bounce is evidence", f.save(other, fact2), []store.Recorded{store.Evidence})
	again(store.VerdictNone, map[waypost.Stat]int64{})
	third, fact3 := f.report(&m, 3)
	fact3.Suppress = nil
	f.equal("after none a bounce counts again", f.save(third, fact3), []store.Recorded{store.Stored})
	again(store.VerdictSoft, map[waypost.Stat]int64{waypost.StatSoftBounced: 1})
	again(store.VerdictHard, map[waypost.Stat]int64{waypost.StatHardBounced: 1})
}
