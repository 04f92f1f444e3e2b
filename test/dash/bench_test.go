package dash_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/test/seed"
)

var perDay = flag.Int("per-day", 3000, "messages a day of the benchmark's installation: two weeks of 125000 are five million events")

var seeded = flag.String("seeded", "", "a database that test/seed/run made, of the benchmark in the place of one of its own")

// installation is the database of the benchmark, and a message of it that has a
// story.
func installation(b *testing.B) (store.Store, waypost.UUID) {
	b.Helper()
	path := *seeded
	if path == "" {
		path = filepath.Join(b.TempDir(), "waypost.db")
	}
	s, err := sqlite.Open(b.Context(), path, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if *seeded == "" {
		c, err := seed.Busy(b.Context(), s, time.Now(), *perDay)
		if err != nil {
			b.Fatal(err)
		}
		return s, c.Messages["story"]
	}
	found, err := s.FindMessages(b.Context(), store.Search{
		MessageQuery: store.MessageQuery{Account: 1, Limit: 1}, Status: waypost.StatusDelivered, Subject: "Your order 31415 is", Look: 10_000_000,
	})
	if err != nil || len(found.Messages) == 0 {
		b.Fatal("the database has no story", err)
	}
	return s, found.Messages[0].ID
}

// BenchmarkPages measures whole pages of the dashboard and whole answers of the
// API, from the request to the last byte, on an installation of two weeks.
func BenchmarkPages(b *testing.B) {
	s, story := installation(b)
	nothing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "null") })
	d := dash.New(dash.Config{
		Store: s, API: nothing, As: func(ctx context.Context, _ waypost.APIKey) context.Context { return ctx },
		Log: slog.New(slog.DiscardHandler), PublicURL: "http://localhost", Version: "bench",
	})
	form := url.Values{"email": {seed.Email}, "password": {seed.Password}}
	login := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode()))
	login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.ServeHTTP(w, login)
	header := http.Header{}
	for _, c := range w.Result().Cookies() {
		header.Add("Cookie", c.Name+"="+c.Value)
	}
	for _, page := range []view{
		{"overview", "/"},
		{"messages", "/messages"},
		{"messages-queued", "/messages?status=queued"},
		{"messages-sent", "/messages?status=sent"},
		{"messages-delivered", "/messages?status=delivered"},
		{"messages-dropped", "/messages?status=dropped"},
		{"messages-dropped-sub", "/messages?status=dropped&sub=2"},
		{"messages-from", "/messages?q=from:orders@acme-shop.example"},
		{"messages-from-dropped", "/messages?q=from:orders@acme-shop.example+status:dropped"},
		{"messages-tag-none", "/messages?q=tag:nothing"},
		{"messages-subject", "/messages?q=invoice"},
		{"messages-subject-none", "/messages?q=nothing-like-it"},
		{"messages-to-none", "/messages?q=to:nobody@example.com"},
		{"messages-queue-id", "/messages?q=queue:" + string(seed.QueueID(story))},
		{"message", "/messages/" + story.String()},
		{"events", "/events"},
		{"events-type", "/events?type=CSHardBounced"},
		{"events-code", "/events?code=452"},
		{"events-provider", "/events?provider=1"},
		{"events-recipient", "/events?to=nobody@example.com"},
		{"providers", "/providers"},
		{"provider", "/providers/1"},
		{"pool", "/pools/1"},
		{"queue", "/queue"},
		{"suppressions", "/suppressions"},
		{"suppressions-none", "/suppressions?q=nothing-like-it"},
		{"audit", "/audit"},
		{"audit-none", "/audit?q=nothing-like-it"},
		{"statistics", "/statistics"},
	} {
		b.Run(page.name, func(b *testing.B) { measure(b, d, page.path, header) })
	}
	calls := api.New(api.Config{Store: s})
	key := http.Header{"X-Subaccount-Apikey": {seed.SubKey}}
	for _, call := range []view{
		{"messages", "/message?limit=50"},
		{"messages-dropped", "/message?limit=50&status=dropped"},
		{"messages-queue-id", "/message?queueId=" + string(seed.QueueID(story))},
		{"message", "/message/" + story.String()},
		{"events", "/event?limit=50"},
		{"events-type", "/event?limit=50&type=63"},
		{"events-count", "/event/count"},
		{"events-recipient", "/event?search=nobody@example.com"},
		{"suppressions", "/suppression/entry"},
		{"suppressions-none", "/suppression/entry?search=nothing-like-it"},
	} {
		b.Run("api/"+call.name, func(b *testing.B) { measure(b, calls, "/api/v1/subaccount"+call.path, key) })
	}
}

// measure asks for a page again and again.
func measure(b *testing.B, h http.Handler, path string, header http.Header) {
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
		r.Header = header.Clone()
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
