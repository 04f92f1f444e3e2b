package ingest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// world is a store with one account, a provider and messages in it.
type world struct {
	*testing.T
	store      store.Store
	door       *ingest.Door
	account    int64
	subAccount int64
	provider   int64
	now        time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Millisecond)
	in := store.Installation{
		Account:    waypost.Account{Name: "a", Created: now},
		SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now},
	}
	if err := s.Install(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, store: s, door: ingest.New(s, judge), account: in.Account.ID, subAccount: in.SubAccount.ID, now: now}
	w.provider = w.addProvider("mta1")
	return w
}

func (w *world) addProvider(name string) int64 {
	w.Helper()
	p := waypost.Provider{Account: w.account, Name: name, Host: "mta.example", Port: 25, Security: "none", Auth: "none", MaxPerHour: 1000, Created: w.now, Updated: w.now}
	key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: w.account, Hash: [32]byte{byte(len(name)), name[len(name)-1]}, Created: w.now}
	if err := w.store.CreateProvider(w.Context(), &p, &key, nil); err != nil {
		w.Fatal(err)
	}
	return p.ID
}

// accept stores one message to a recipient and gives its id.
func (w *world) accept(recipient string, drop waypost.Reason) waypost.Message {
	w.Helper()
	content := waypost.Content{ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Text: "hello"}
	m := waypost.Message{
		ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Content: content.ID, Recipient: recipient,
		To: waypost.Address{Email: recipient}, Provider: w.provider, Mailbox: waypost.MailboxDefault, SubmittedAt: w.now,
	}
	if err := w.door.Accept(w.Context(), content, []ingest.Draft{{Message: m, Drop: drop, Text: string(drop)}}, w.now); err != nil {
		w.Fatal(err)
	}
	return m
}

func (w *world) report(items ...waypost.ReportItem) []waypost.ReportResult {
	w.Helper()
	got, err := w.door.Report(w.Context(), w.provider, items, w.now)
	if err != nil {
		w.Fatal(err)
	}
	if len(got) != len(items) {
		w.Fatalf("%d results for %d items", len(got), len(items))
	}
	for i := range got {
		if got[i].Index != i {
			w.Fatalf("result %d has the index %d", i, got[i].Index)
		}
	}
	return got
}

// events gives the types of a message's events, oldest first; evidence in
// brackets. Left out is the CSSent that the store adds when a message that
// still waits proves to have been taken: the suite of the engines has its rules.
func (w *world) events(id waypost.UUID) string {
	w.Helper()
	t, err := w.store.Trail(w.Context(), w.account, id)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, e := range t.Events {
		if e.Type == waypost.CSSent && e.Source == waypost.SourceAgent {
			continue
		}
		s := strings.TrimPrefix(e.Type.String(), "CS")
		if e.Late {
			s += "+late"
		}
		if e.Evidence {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (w *world) wantEvents(id waypost.UUID, want string) {
	w.Helper()
	if got := w.events(id); got != want {
		w.Errorf("events %q, want %q", got, want)
	}
}

func item(m waypost.Message, kind, id string, code int, text string) waypost.ReportItem {
	return waypost.ReportItem{EventID: id, MessageID: m.ID.String(), EventType: kind, Recipient: m.Recipient, SMTPCode: code, SMTPDescription: text}
}

func TestAcceptAndDrop(t *testing.T) {
	w := newWorld(t)
	w.wantEvents(w.accept("a@example.com", "").ID, "Processed")
	m := w.accept("b@example.com", waypost.DropNoReturnPath)
	w.wantEvents(m.ID, "Processed Dropped")
	trail, err := w.store.Trail(w.Context(), w.account, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if trail.Waiting != nil {
		t.Error("a dropped message waits in the queue")
	}
}

func TestReportJudgesByText(t *testing.T) {
	w := newWorld(t)
	f := func(kind string, code int, enhanced, text, want string) {
		t.Helper()
		m := w.accept(fmt.Sprintf("r%d@example.com", time.Now().UnixNano()), "")
		it := item(m, kind, "", code, text)
		it.EnhancedCode = enhanced
		if r := w.report(it)[0]; r.Status != waypost.ReportAccepted {
			t.Fatalf("%+v", r)
		}
		w.wantEvents(m.ID, "Processed "+want)
	}
	f("delivered", 250, "2.0.0", "250 2.0.0 OK", "Delivered")
	f("bounced", 550, "5.1.1", "550 5.1.1 The email account that you tried to reach does not exist", "HardBounced")
	f("soft_bounced", 550, "5.1.1", "550 5.1.1 user unknown", "HardBounced") // the agent's word is a hint
	f("bounced", 552, "5.2.2", "552 5.2.2 mailbox full", "SoftBounced")
	f("bounced", 550, "5.7.1", "550 5.7.1 blocked using a block list, see https://example.org/lookup", "SoftBounced")
	f("bounced", 550, "", "something that nobody ever said before", "SoftBounced")
}

func TestReportIsIdempotentAndCountsOneBounce(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	f := func(it waypost.ReportItem, want waypost.ReportStatus, events string) {
		t.Helper()
		if r := w.report(it)[0]; r.Status != want {
			t.Errorf("%+v, want %s", r, want)
		}
		w.wantEvents(m.ID, events)
	}
	hard := item(m, "bounced", "e1", 550, "550 5.1.1 user unknown")
	f(item(m, "delivered", "d1", 250, "250 ok"), waypost.ReportAccepted, "Processed Delivered")
	f(item(m, "delivered", "d1", 250, "250 ok"), waypost.ReportDuplicate, "Processed Delivered")
	f(hard, waypost.ReportAccepted, "Processed Delivered HardBounced+late")
	f(hard, waypost.ReportDuplicate, "Processed Delivered HardBounced+late")
	again := item(m, "bounced", "e2", 550, "550 5.1.1 user unknown, said twice")
	f(again, waypost.ReportDuplicate, "Processed Delivered HardBounced+late [HardBounced+late]")

	stats, err := w.store.DailyStats(w.Context(), w.account, w.subAccount, w.now.AddDate(0, 0, -1), w.now.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	total := map[waypost.Stat]int64{}
	for _, d := range stats {
		for s, n := range d.Counts {
			total[s] += n
		}
	}
	if total[waypost.StatHardBounced] != 1 || total[waypost.StatDelivered] != 1 || total[waypost.StatProcessed] != 1 {
		t.Errorf("counters %v", total)
	}
}

func TestHardBounceSuppressesAndPolicyDoesNot(t *testing.T) {
	w := newWorld(t)
	hard, soft := w.accept("Gone@Example.com", ""), w.accept("blocked@example.com", "")
	w.report(
		item(hard, "bounced", "1", 550, "550 5.1.1 user unknown"),
		item(soft, "bounced", "2", 550, "550 5.7.1 your IP is on a block list"),
	)
	got, err := w.store.Suppressed(w.Context(), w.subAccount, []string{"gone@example.com", "blocked@example.com"}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := got["gone@example.com"]
	if !ok || s.Reason != waypost.SuppressHardBounce || s.Message != hard.ID || !strings.Contains(s.Text, "user unknown") {
		t.Errorf("suppression of the gone address: %+v", s)
	}
	if _, ok := got["blocked@example.com"]; ok {
		t.Error("a reputation block suppressed its recipient")
	}
}

func TestDeferralIsNotedNotStored(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	if r := w.report(item(m, "deferred", "x", 451, "451 4.7.1 greylisted"))[0]; r.Status != waypost.ReportIgnored {
		t.Fatalf("%+v", r)
	}
	w.wantEvents(m.ID, "Processed")
	trail, err := w.store.Trail(w.Context(), w.account, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := trail.Deferral; d == nil || d.Code != 451 || d.Count != 1 || !strings.Contains(d.Text, "greylisted") {
		t.Fatalf("deferral %+v", d)
	}
}

func TestBadItemsFailAlone(t *testing.T) {
	w := newWorld(t)
	good := w.accept("a@example.com", "")
	stranger := w.accept("b@example.com", "")
	w.provider = w.addProvider("mta2")
	mine := w.accept("c@example.com", "")
	got := w.report(
		item(mine, "delivered", "", 250, "ok"),
		waypost.ReportItem{EventType: "delivered"},
		waypost.ReportItem{MessageID: "not-a-uuid", EventType: "delivered"},
		waypost.ReportItem{MessageID: mine.ID.String()},
		waypost.ReportItem{MessageID: mine.ID.String(), EventType: "exploded"},
		waypost.ReportItem{MessageID: waypost.NewUUID(w.now).String(), EventType: "delivered"},
		item(good, "delivered", "", 250, "ok"),      // another provider's message
		item(stranger, "bounced", "", 550, "5.1.1"), // another provider's message
		item(mine, "delivered", strings.Repeat("x", 65), 250, "ok"),
		item(mine, "delivered", "", 99, "ok"),
	)
	for i, r := range got {
		want := waypost.ReportRejected
		if i == 0 {
			want = waypost.ReportAccepted
		}
		if r.Status != want || (r.Error == "") != (i == 0) {
			t.Errorf("item %d: %+v, want %s", i, r, want)
		}
	}
	w.wantEvents(good.ID, "Processed")
	w.wantEvents(mine.ID, "Processed Delivered")
}

func TestForeignRecipientIsEvidence(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	archive := item(m, "delivered", "1", 250, "250 ok")
	archive.Recipient = "archive@example.net"
	if r := w.report(archive)[0]; r.Status != waypost.ReportIgnored || r.Error == "" {
		t.Fatalf("%+v", r)
	}
	w.wantEvents(m.ID, "Processed [Delivered]")
	if r := w.report(item(m, "delivered", "2", 250, "250 ok"))[0]; r.Status != waypost.ReportAccepted {
		t.Fatalf("the true delivery after an archive copy: %+v", r)
	}
	same := w.accept("Mixed.Case@Example.com", "")
	it := item(same, "delivered", "3", 250, "250 ok")
	it.Recipient = "mixed.case@example.com"
	if r := w.report(it)[0]; r.Status != waypost.ReportAccepted {
		t.Fatalf("a recipient in another case: %+v", r)
	}
}

func TestHostileTextIsCleanedAndBounded(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	it := item(m, "bounced", "1", 550, "550 a\r\nb\x00c\xff\u0085"+strings.Repeat("ü", 3000))
	it.Timestamp.Time = w.now.AddDate(10, 0, 0)
	it.QueueID, it.Relay = waypost.QueueID(strings.Repeat("Q", 500)), strings.Repeat("r", 5000)
	w.report(it)
	trail, err := w.store.Trail(w.Context(), w.account, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	e := trail.Events[len(trail.Events)-1]
	if len(e.Text) > waypost.MaxText || strings.ContainsAny(e.Text, "\r\n\x00") || !strings.HasPrefix(e.Text, "550 a bc\uFFFD") {
		t.Errorf("text of %d bytes: %.20q", len(e.Text), e.Text)
	}
	if e.At.After(w.now) {
		t.Errorf("an event in the future, at %v", e.At)
	}
	if len(e.Queue) > 70 || len(e.Relay) > 260 {
		t.Errorf("queue id of %d bytes, relay of %d", len(e.Queue), len(e.Relay))
	}
}

func TestTimesOfReports(t *testing.T) {
	w := newWorld(t)
	f := func(at, want time.Time) {
		t.Helper()
		m := w.accept(fmt.Sprintf("r%d@example.com", time.Now().UnixNano()), "")
		it := item(m, "delivered", "", 250, "250 ok")
		it.Timestamp.Time = at
		w.report(it)
		trail, err := w.store.Trail(w.Context(), w.account, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got := trail.Events[len(trail.Events)-1]; got.Type != waypost.CSDelivered || !got.At.Equal(want) {
			t.Errorf("reported at %v: last event %s at %v, want CSDelivered at %v", at, got.Type, got.At, want)
		}
	}
	w.now = w.now.Truncate(time.Second).Add(300 * time.Millisecond) // when messages are accepted, and reported
	f(w.now.Truncate(time.Second), w.now)                           // the same second in a traditional log
	f(w.now.Add(-time.Hour), w.now)                                 // a clock that is behind
	f(w.now.Add(time.Hour), w.now)                                  // one that runs ahead
	f(time.Time{}, w.now)
	exact := w.now.Add(7 * time.Millisecond)
	f(exact, exact)
}
