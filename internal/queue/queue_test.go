package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store, a queue that runs on it, and what a sender needs.
type world struct {
	*testing.T
	store store.Store
	box   *secret.Box
	sub   waypost.SubAccount
	cfg   queue.Config
	queue *queue.Queue
}

// newWorld installs an account whose domain example.com is verified and whose
// provider is the scripted server. change alters provider and queue settings
// before they are used.
func newWorld(t *testing.T, script smtptest.Script, change func(*waypost.Provider, *queue.Config)) (*world, *smtptest.Server) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	box, err := secret.OpenOrCreate(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	server := smtptest.New(t, script)
	now := time.Now().Truncate(time.Millisecond)
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now}}
	if err := s.Install(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, store: s, box: box, sub: in.SubAccount}
	p := waypost.Provider{
		Account: in.Account.ID, Name: "mta", Host: server.Host(), Port: server.Port(), Security: "none", Auth: "none",
		MaxPerHour: 100_000, RetryPermanent: true, Created: now, Updated: now,
	}
	w.cfg = queue.Config{
		Store: s, Door: ingest.New(s, judge), Box: box, Log: slog.New(slog.DiscardHandler), AllowPrivate: true,
		Retry: waypost.RetrySchedule{time.Millisecond, time.Millisecond}, UnknownWindow: time.Millisecond,
	}
	if change != nil {
		change(&p, &w.cfg)
	}
	key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: in.Account.ID, Created: now}
	pool := waypost.Pool{Account: in.Account.ID, Name: "mta", Strategy: waypost.StrategyVolumePercentage, Created: now}
	if err := s.CreateProvider(t.Context(), &p, &key, &pool); err != nil {
		t.Fatal(err)
	}
	w.domain("example.com", true)
	w.queue = queue.New(w.cfg)
	return w, server
}

func (w *world) domain(name string, verified bool) {
	w.Helper()
	key, err := dkim.GenerateEd25519()
	if err != nil {
		w.Fatal(err)
	}
	d := waypost.SenderDomain{
		Account: w.sub.Account, SubAccount: w.sub.ID, Name: name, Selector: waypost.DKIMSelector,
		Key:     senderdomain.SealKey(w.box, key),
		Records: []waypost.DNSRecord{{Kind: waypost.RecordReturnPath, Host: "sp-bounce." + name, Type: "CNAME", Value: "b.example", Verified: verified}},
		Created: time.Now(), NextCheck: time.Now().Add(time.Hour),
	}
	if err := w.store.CreateDomain(w.Context(), &d); err != nil {
		w.Fatal(err)
	}
}

// run starts the queue; the returned function stops it and waits.
func (w *world) run() func() {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.queue.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	}
	w.Cleanup(stop)
	return stop
}

func (w *world) send(from string, to ...string) []queue.Accepted {
	w.Helper()
	s := queue.Submission{SubAccount: w.sub, Content: waypost.Content{
		From: waypost.Address{Email: from}, Subject: "Hello {{name}}", Text: "Hello {{name}}.\n",
	}}
	for i, email := range to {
		s.To = append(s.To, queue.Recipient{Address: waypost.Address{Email: email}, Variables: fmt.Appendf(nil, `{"name":"n%d"}`, i)})
	}
	got, err := w.queue.Enqueue(w.Context(), &s)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

// await waits until a message is finished and gives its trail.
func (w *world) await(id waypost.UUID) store.Trail {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		t := w.trail(id)
		if t.Waiting == nil {
			return t
		}
		if time.Now().After(deadline) {
			w.Fatalf("message %s still waits: %+v, attempts %+v", id, t.Waiting, t.Attempts)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *world) trail(id waypost.UUID) store.Trail {
	w.Helper()
	t, err := w.store.Trail(w.Context(), w.sub.Account, id)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

func last(t store.Trail) waypost.Event { return t.Events[len(t.Events)-1] }

func TestRelay(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{Final: func(smtptest.Envelope, []byte) string { return "250 2.0.0 queued as ABC123" }}, nil)
	w.run()
	got := w.send("news@example.com", "a@example.org", "b@example.org")
	for i, a := range got {
		trail := w.await(a.ID)
		e := last(trail)
		if len(trail.Events) != 2 || e.Type != waypost.CSSent || e.Code != 250 || e.Enhanced != "2.0.0" || !strings.Contains(e.Text, "queued as ABC123") || e.Attempt != 1 {
			t.Errorf("events %+v", trail.Events)
		}
		if a.To != []string{"a@example.org", "b@example.org"}[i] {
			t.Errorf("answer %d is for %s", i, a.To)
		}
	}
	messages := server.Messages()
	if len(messages) != 2 {
		t.Fatalf("%d messages relayed, want 2", len(messages))
	}
	for _, m := range messages {
		rp, err := waypost.ParseReturnPath(m.From)
		if err != nil || rp.Domain != "sp-bounce.example.com" || rp.SubAccount != w.sub.ID {
			t.Errorf("envelope sender %q: %v", m.From, err)
		}
		if len(m.To) != 1 {
			t.Errorf("recipients %v", m.To)
		}
		for _, want := range []string{"DKIM-Signature:", "X-Sendpost-Message-UUID: " + rp.UUID.String(), "Subject: Hello n", "Hello n"} {
			if !bytes.Contains(m.Data, []byte(want)) {
				t.Errorf("no %q in\n%s", want, m.Data)
			}
		}
	}
	if n := server.Sessions(); n > 2 {
		t.Errorf("%d sessions for 2 messages", n)
	}
}

func TestRetriesThenDropsWithTheLastReply(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{Rcpt: func(string) string { return "451 4.3.2 come back later" }}, nil)
	w.run()
	trail := w.await(w.send("news@example.com", "a@example.org")[0].ID)
	e := last(trail)
	if e.Type != waypost.CSDropped || e.Reason != waypost.DropRelayFailed || e.Code != 451 || e.Attempt != 3 || !strings.Contains(e.Text, "come back later") {
		t.Errorf("last event %+v", e)
	}
	if len(trail.Attempts) != 3 {
		t.Errorf("%d attempts on record, want 3: %+v", len(trail.Attempts), trail.Attempts)
	}
	if len(server.Messages()) != 0 {
		t.Error("a refused message arrived")
	}
}

// TestEveryAttemptKeepsItsTranscript: those that failed, and the one that did
// not, without the provider's credentials.
func TestEveryAttemptKeepsItsTranscript(t *testing.T) {
	const password = "s3cret-pass"
	var n atomic.Int64
	w, server := newWorld(t, smtptest.Script{
		Username: "u", Password: password, AuthReply: "235 2.7.0 welcome " + password,
		Rcpt: func(string) string {
			if n.Add(1) == 1 {
				return "451 4.2.0 greylisted"
			}
			return "250 2.1.5 " + password
		},
	}, nil)
	all, err := w.store.Providers(t.Context(), w.sub.Account, store.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := &all[0]
	p.Auth, p.Username, p.Password, p.PlainAuth, p.MaxConnections = "plain", "u", w.box.Seal([]byte(password), queue.PasswordPlace), true, 1
	if err := w.store.UpdateProvider(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.run()
	trail := w.await(w.send("news@example.com", "a@example.org")[0].ID)
	if len(trail.Transcripts) != 2 {
		t.Fatalf("%d transcripts: %+v", len(trail.Transcripts), trail.Transcripts)
	}
	names := func(tr *waypost.Transcript) string {
		var out []string
		for _, s := range tr.Steps {
			if strings.Contains(s.Text, password) {
				t.Errorf("attempt %d, step %s says %q", tr.Attempt, s.Name, s.Text)
			}
			if s.Failed {
				s.Name += "!"
			}
			out = append(out, s.Name)
		}
		return strings.Join(out, " ")
	}
	first, second := &trail.Transcripts[0], &trail.Transcripts[1]
	if got := names(first); first.Attempt != 1 || first.Reused || first.Remote != server.Addr() || !strings.HasPrefix(got, "resolve connect banner ehlo auth mail rcpt!") {
		t.Errorf("attempt %d to %s, reused %v: %s", first.Attempt, first.Remote, first.Reused, got)
	}
	if got := names(second); second.Attempt != 2 || !second.Reused || !strings.HasSuffix(got, "mail rcpt data final") || second.Steps[len(second.Steps)-1].Code != 250 {
		t.Errorf("attempt %d, reused %v: %s", second.Attempt, second.Reused, got)
	}
}

func TestPermanentRefusalByTheProvidersRule(t *testing.T) {
	f := func(retry bool, attempts int, reason waypost.Reason) {
		t.Helper()
		w, _ := newWorld(t, smtptest.Script{Rcpt: func(string) string { return "550 5.7.1 relaying denied" }},
			func(p *waypost.Provider, _ *queue.Config) { p.RetryPermanent = retry })
		stop := w.run()
		e := last(w.await(w.send("news@example.com", "a@example.org")[0].ID))
		if e.Type != waypost.CSDropped || e.Attempt != attempts || e.Reason != reason || e.Code != 550 {
			t.Errorf("retryPermanent %v: %+v", retry, e)
		}
		stop()
	}
	f(true, 3, waypost.DropRelayFailed)
	f(false, 1, waypost.DropRelayRefused)
}

func TestTooLargeIsNotRetried(t *testing.T) {
	w, _ := newWorld(t, smtptest.Script{EHLO: []string{"SIZE 100", "PIPELINING"}}, nil)
	w.run()
	e := last(w.await(w.send("news@example.com", "a@example.org")[0].ID))
	if e.Reason != waypost.DropTooLarge || e.Code != 552 || e.Attempt != 1 {
		t.Errorf("%+v", e)
	}
}

func TestServerDownWaitsAndRecovers(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) {
		c.Retry = waypost.RetrySchedule{time.Hour}
	})
	server.Close()
	w.run()
	id := w.send("news@example.com", "a@example.org")[0].ID
	for w.trail(id).Waiting.Attempt == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	trail := w.trail(id)
	if a := trail.Attempts[0]; a.Result != waypost.AttemptTransient || a.Stage != "connect" || a.Text == "" {
		t.Errorf("attempt %+v", a)
	}
	if until := time.Until(trail.Waiting.Due); until < 55*time.Minute || until > 67*time.Minute {
		t.Errorf("due in %v, want an hour and up to 10 %%", until)
	}
}

func TestAmbiguousEndWaitsForEvidence(t *testing.T) {
	cut := smtptest.Script{CutAt: "final"}
	w, server := newWorld(t, cut, func(_ *waypost.Provider, c *queue.Config) {
		c.Retry, c.UnknownWindow = waypost.RetrySchedule{time.Millisecond}, time.Hour
	})
	w.run()
	id := w.send("news@example.com", "a@example.org")[0].ID
	for w.trail(id).Waiting.Attempt == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	trail := w.trail(id)
	if !trail.Waiting.Unknown || trail.Attempts[0].Result != waypost.AttemptUnknown {
		t.Fatalf("waiting %+v, attempt %+v", trail.Waiting, trail.Attempts[0])
	}
	// The agent saw it delivered: the attempt had succeeded.
	r, err := w.cfg.Door.Report(w.Context(), trail.Message.Provider, []waypost.ReportItem{{
		MessageID: id.String(), EventType: "delivered", Recipient: "a@example.org", SMTPCode: 250, SMTPDescription: "250 ok",
	}}, time.Now())
	if err != nil || r[0].Status != waypost.ReportAccepted {
		t.Fatalf("%+v, %v", r, err)
	}
	trail = w.trail(id)
	var types []waypost.EventType
	for _, e := range trail.Events {
		types = append(types, e.Type)
	}
	if fmt.Sprint(types) != "[CSProcessed CSSent CSDelivered]" || trail.Waiting != nil {
		t.Errorf("events %v, waiting %+v", types, trail.Waiting)
	}
	if server.Sessions() != 1 {
		t.Errorf("%d sessions: the message was sent again", server.Sessions())
	}
}

func TestDropsAtAccept(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	w.domain("unverified.example", false)
	w.run()
	f := func(from, to string, reason waypost.Reason, text string) {
		t.Helper()
		a := w.send(from, to)[0]
		e := last(w.await(a.ID))
		if a.Drop != reason || e.Type != waypost.CSDropped || e.Reason != reason || !strings.Contains(e.Text, text) {
			t.Errorf("answer %+v, event %+v", a, e)
		}
		trail := w.trail(a.ID)
		if x, err := w.queue.ExplainMessage(t.Context(), &trail); err != nil || reason != waypost.DropSuppressed && !strings.Contains(x.Why, text) {
			t.Errorf("explained as %q, %v", x.Why, err)
		}
	}
	f("x@unverified.example", "a@example.org", waypost.DropNoReturnPath, waypost.TextNoReturnPath)
	f("x@unknown.example", "a@example.org", waypost.DropNoReturnPath, waypost.TextNoReturnPath)
	f("x@example.com", "no address", waypost.DropInvalid, "not an email address")
	now := time.Now()
	if _, err := w.store.Suppress(w.Context(), []waypost.Suppression{{
		Account: w.sub.Account, SubAccount: w.sub.ID, Email: "gone@example.org", Reason: waypost.SuppressHardBounce, Created: now,
	}}); err != nil {
		t.Fatal(err)
	}
	f("x@example.com", "Gone@Example.org", waypost.DropSuppressed, "hard bounce")
	if n := len(server.Messages()); n != 0 {
		t.Errorf("%d messages relayed", n)
	}
}

func TestSuppressedWhileWaiting(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	id := w.send("x@example.com", "late@example.org")[0].ID // not running yet
	if _, err := w.store.Suppress(w.Context(), []waypost.Suppression{{
		Account: w.sub.Account, SubAccount: w.sub.ID, Email: "late@example.org", Reason: waypost.SuppressManual, Created: time.Now(),
	}}); err != nil {
		t.Fatal(err)
	}
	w.run()
	if e := last(w.await(id)); e.Reason != waypost.DropSuppressed {
		t.Errorf("%+v", e)
	}
	if len(server.Messages()) != 0 {
		t.Error("a suppressed recipient got mail")
	}
}

func TestRefusals(t *testing.T) {
	w, _ := newWorld(t, smtptest.Script{}, nil)
	f := func(change func(*queue.Submission), field, text string) {
		t.Helper()
		s := queue.Submission{SubAccount: w.sub, Content: waypost.Content{From: waypost.Address{Email: "x@example.com"}, Text: "t"}, To: []queue.Recipient{{Address: waypost.Address{Email: "a@example.org"}}}}
		change(&s)
		_, err := w.queue.Enqueue(w.Context(), &s)
		var refused *queue.Refused
		if !errors.As(err, &refused) || refused.Field != field || !strings.Contains(refused.Message, text) {
			t.Errorf("got %v, want %s: %s", err, field, text)
		}
	}
	f(func(s *queue.Submission) { s.Pool = "nowhere" }, "ippool", `no pool named "nowhere"`)
	f(func(s *queue.Submission) { s.Content.HTML = "a\n  {{#if x}}" }, "htmlBody", "line")
	f(func(s *queue.Submission) { s.Content.Headers = []waypost.Header{{Name: "X", Value: "a\r\nBcc: b"}} }, "headers.X", "")
}

func TestCopiesAreMessagesOfTheirOwn(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	w.run()
	s := queue.Submission{
		SubAccount: w.sub, Content: waypost.Content{From: waypost.Address{Email: "x@example.com"}, Text: "t"},
		To: []queue.Recipient{{
			Address: waypost.Address{Email: "to@example.org"},
			Cc:      []queue.Copy{{Address: waypost.Address{Email: "cc@example.org"}}},
			Bcc:     []queue.Copy{{Address: waypost.Address{Email: "bcc@example.org"}}},
		}},
	}
	got, err := w.queue.Enqueue(w.Context(), &s)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	deadline := time.Now().Add(time.Minute)
	for len(server.Messages()) < 3 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	ids := map[string]bool{}
	for _, m := range server.Messages() {
		rp, err := waypost.ParseReturnPath(m.From)
		if err != nil {
			t.Fatal(err)
		}
		ids[rp.UUID.String()] = true
		text := string(m.Data)
		if !strings.Contains(text, "\r\nTo: <to@example.org>\r\n") && !strings.Contains(text, "\r\nTo: to@example.org\r\n") || !strings.Contains(text, "cc@example.org") || strings.Contains(strings.ToLower(text), "bcc") {
			t.Errorf("header of the copy to %v:\n%s", m.To, text)
		}
	}
	if len(ids) != 3 {
		t.Errorf("%d ids for 3 copies", len(ids))
	}
}

func TestHourlyLimitHolds(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, func(p *waypost.Provider, _ *queue.Config) { p.MaxPerHour, p.Burst = 5, true })
	stop := w.run()
	var to []string
	for i := range 12 {
		to = append(to, fmt.Sprintf("r%d@example.org", i))
	}
	got := w.send("x@example.com", to...)
	deadline := time.Now().Add(time.Minute)
	for len(server.Messages()) < 5 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // a sixth would come now
	stop()
	if n := len(server.Messages()); n != 5 {
		t.Errorf("%d messages relayed, limit 5", n)
	}
	waiting := 0
	for _, a := range got {
		if tr := w.trail(a.ID); tr.Waiting != nil {
			waiting++
			if tr.Waiting.Attempt != 0 || len(tr.Attempts) != 0 {
				t.Errorf("waiting for a token counted as an attempt: %+v", tr.Waiting)
			}
		}
	}
	if waiting != 7 {
		t.Errorf("%d messages wait, want 7", waiting)
	}
}

func TestStopFinishesWhatIsInFlight(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 100)
	w, server := newWorld(t, smtptest.Script{Final: func(smtptest.Envelope, []byte) string {
		entered <- struct{}{}
		<-release
		return "250 ok"
	}}, nil)
	stop := w.run()
	id := w.send("x@example.com", "a@example.org")[0].ID
	<-entered
	go func() { close(release) }()
	stop()
	if tr := w.trail(id); tr.Waiting != nil || last(tr).Type != waypost.CSSent {
		t.Errorf("stopped with %+v", tr.Waiting)
	}
	if len(server.Messages()) != 1 {
		t.Errorf("%d messages", len(server.Messages()))
	}
}

// losing is a store that is lost during the first settlement of each message.
type losing struct {
	store.Store
	mu     sync.Mutex
	failed map[waypost.UUID]bool
}

func (l *losing) Settle(ctx context.Context, s *store.Settlement) error {
	l.mu.Lock()
	first := !l.failed[s.Entry.Message]
	l.failed[s.Entry.Message] = true
	l.mu.Unlock()
	if first {
		return fmt.Errorf("settle: %w", store.ErrUnknown)
	}
	return l.Store.Settle(ctx, s)
}

// TestOutcomeThatMayBeLost: an outcome of which nobody knows whether it was
// stored is stored again, and the message is not relayed twice.
func TestOutcomeThatMayBeLost(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) {
		judge, err := bounce.NewJudge()
		if err != nil {
			t.Fatal(err)
		}
		c.Door = ingest.New(&losing{Store: c.Store, failed: map[waypost.UUID]bool{}}, judge)
	})
	w.run()
	for _, a := range w.send("news@example.com", "a@example.org", "b@example.org") {
		if e := last(w.await(a.ID)); e.Type != waypost.CSSent {
			t.Errorf("%+v", e)
		}
	}
	if n := len(server.Messages()); n != 2 {
		t.Errorf("the provider got %d messages, want 2", n)
	}
}
