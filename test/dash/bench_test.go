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
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/test/seed"
)

var perDay = flag.Int("per-day", 3000, "messages a day of the benchmark's installation: two weeks of 125000 are five million events")

// BenchmarkPages measures whole pages, from the request to the last byte, on
// an installation of two weeks.
func BenchmarkPages(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c, err := seed.Busy(b.Context(), s, time.Now(), *perDay)
	if err != nil {
		b.Fatal(err)
	}
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
	cookies := w.Result().Cookies()
	for _, page := range []view{
		{"overview", "/"},
		{"messages", "/messages"},
		{"message", "/messages/" + c.Messages["story"].String()},
		{"events", "/events"},
		{"events-type", "/events?type=CSHardBounced"},
		{"events-code", "/events?code=452"},
		{"events-provider", "/events?provider=" + id(c.Providers[0].ID)},
		{"events-recipient", "/events?to=nobody@example.com"},
		{"providers", "/providers"},
		{"provider", "/providers/" + id(c.Providers[0].ID)},
		{"queue", "/queue"},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, page.path, nil)
				for _, c := range cookies {
					r.AddCookie(c)
				}
				w := httptest.NewRecorder()
				if d.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatalf("%s: %d %s", page.path, w.Code, w.Body)
				}
			}
		})
	}
}
