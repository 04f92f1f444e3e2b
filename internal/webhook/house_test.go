package webhook_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is workers over a real store, with a clock of their own.
type house struct {
	testing.TB
	store   store.Store
	box     *secret.Box
	account int64
	sub     int64
	sender  *webhook.Sender
	workers *webhook.Workers
	ahead   atomic.Int64 // of the clock, in nanoseconds

	subject   string // of calls, "" : Hello
	variables map[string]any
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

// pass moves the clock of due times.
func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

func newHouse(t testing.TB, change func(*webhook.Config, *webhook.SenderConfig)) *house {
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
	in := store.Installation{Account: waypost.Account{Name: "a", Created: time.Now()}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: time.Now()}}
	if err := s.Install(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, store: s, box: box, account: in.Account.ID, sub: in.SubAccount.ID}
	c := webhook.Config{Store: s, Box: box, Log: slog.New(slog.DiscardHandler), Poll: 5 * time.Millisecond, Rest: 10 * time.Millisecond, Now: h.now}
	sc := webhook.SenderConfig{AllowPrivate: true, Version: "test"}
	if change != nil {
		change(&c, &sc)
	}
	h.sender = webhook.NewSender(sc)
	c.Sender = h.sender
	h.workers = webhook.NewWorkers(c)
	return h
}

// run starts the workers; what it gives stops them.
func (h *house) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var end sync.WaitGroup
	end.Go(func() {
		if err := h.workers.Run(ctx); err != nil {
			h.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); end.Wait() })
	h.Cleanup(stop)
	return stop
}

// hook stores a webhook with a secret.
func (h *house) hook(url string, wants waypost.WebhookFlags, key string) waypost.Webhook {
	h.Helper()
	sealed, err := webhook.Seal(h.box, webhook.Secrets{Current: key})
	if err != nil {
		h.Fatal(err)
	}
	w := waypost.Webhook{
		Account: h.account, UUID: waypost.NewUUID(time.Now()), URL: url, Enabled: true, Wants: wants, Secret: sealed,
		Created: time.Now(), Updated: time.Now(), State: waypost.WebhookActive,
	}
	if err := h.store.CreateWebhook(h.Context(), &w); err != nil {
		h.Fatal(err)
	}
	return w
}

// accept stores one call to n recipients; each makes one CSProcessed. The
// endpoint is that of the call, "" for none.
func (h *house) accept(n int, endpoint string) []waypost.Message {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	a := store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(now), Account: h.account, SubAccount: h.sub, From: waypost.Address{Name: "Shop", Email: "news@example.com"},
		Subject: cmp.Or(h.subject, "Hello"), Variables: h.variables, Text: "Hello", Groups: []string{"welcome"}, Headers: []waypost.Header{{Name: "X-Order", Value: "17"}},
		Webhook: endpoint, Pool: "mine", TrackOpens: true,
	}}
	for i := range n {
		to := fmt.Sprintf("user%d@example.org", i)
		m := waypost.Message{
			ID: waypost.NewUUID(now), Account: h.account, SubAccount: h.sub, Content: a.Content.ID, Recipient: to,
			To: waypost.Address{Name: "User", Email: to}, Variables: []byte(`{"first":"Ann","n":5}`), SubmittedAt: now,
			Groups: []string{"welcome"}, OwnWebhook: endpoint != "",
		}
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, waypost.Event{
			Type: waypost.CSProcessed, Account: h.account, SubAccount: h.sub, Message: m.ID, Recipient: to, At: now,
			Source: waypost.SourceAPI, Facets: m.Facets(),
		})
	}
	if err := h.store.Accept(h.Context(), &a); err != nil {
		h.Fatal(err)
	}
	return a.Messages
}

// deliveries lists those of a webhook.
func (h *house) deliveries(hook int64) []waypost.Delivery {
	h.Helper()
	all, err := h.store.ListDeliveries(h.Context(), store.DeliveryQuery{Account: h.account, Webhook: hook, Limit: 1000})
	if err != nil {
		h.Fatal(err)
	}
	return all
}

func (h *house) read(hook int64) waypost.Webhook {
	h.Helper()
	w, err := h.store.Webhook(h.Context(), h.account, hook)
	if err != nil {
		h.Fatal(err)
	}
	return w
}

// until waits for a condition.
func (h *house) until(what string, ok func() bool) {
	h.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(3 * time.Millisecond) {
		if ok() {
			return
		}
	}
	h.Fatalf("still not so: %s", what)
}

// receiver serves requests over plain HTTP.
func receiver(t testing.TB, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s
}
