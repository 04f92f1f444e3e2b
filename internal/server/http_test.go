package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// TestBodyThatNeverComes: a client that announces a body and sends nothing is
// let go, whether or not a handler reads it.
func TestBodyThatNeverComes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /read", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	mux.HandleFunc("POST /pass", func(http.ResponseWriter, *http.Request) {})
	srv := httptest.NewServer(within(50*time.Millisecond, time.Minute, mux))
	defer srv.Close()
	for _, path := range []string{"/read", "/pass", "/nowhere"} {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) || err != nil && strings.Contains(err.Error(), "i/o timeout") {
			t.Errorf("POST %s: the connection is still open after a minute", path)
		}
		_ = c.Close()
	}
}

// pinged is a store that counts and refuses pings.
type pinged struct {
	store.Store
	n int
}

func (p *pinged) Ping(context.Context) error {
	p.n++
	return errors.New("dial db.internal:5432 as waypost")
}

// TestReadinessTellsNothing: strangers learn nothing about the database from
// /readyz, and cannot make the server ask it again and again.
func TestReadinessTellsNothing(t *testing.T) {
	s := &pinged{}
	page := &readiness{store: s, log: slog.New(slog.DiscardHandler)}
	for range 50 {
		rec := httptest.NewRecorder()
		page.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if rec.Code != http.StatusServiceUnavailable || strings.Contains(rec.Body.String(), "db.internal") {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
	if page.asked = page.asked.Add(-2 * readyFresh); s.n > 25 {
		t.Errorf("storage was asked %d times for 50 requests", s.n)
	}
	if page.ask(t.Context()) == nil || s.n < 2 {
		t.Error("storage is not asked again later")
	}
}

// A base URL that ends in a slash, and paths with too many of them, reach the
// operation itself: a client need not follow a redirect for a POST (D-3).
func TestSlashesAreNoRedirect(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/account/recipient/{recipient}/messages/{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.PathValue("recipient")))
	})
	mux.HandleFunc("GET /login", func(http.ResponseWriter, *http.Request) {})
	door := singleSlashes(mux)
	for path, want := range map[string]string{
		"/api/v1/account/recipient/a@example.org/messages/":           "a@example.org",
		"//api/v1/account/recipient/a@example.org/messages/":          "a@example.org",
		"/api//v1///account/recipient/a@example.org/messages//":       "a@example.org",
		"//api/v1/account/recipient/a%2F%2Fb%40example.org/messages/": "a//b@example.org",
	} {
		rec := httptest.NewRecorder()
		door.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1"+path, nil))
		if rec.Code != http.StatusOK || rec.Body.String() != want {
			t.Errorf("POST %s: %d %q, want 200 %q", path, rec.Code, rec.Body, want)
		}
	}
	// Elsewhere the mux decides, and a path never names another host.
	rec := httptest.NewRecorder()
	door.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1//login", nil))
	if at := rec.Header().Get("Location"); rec.Code != http.StatusTemporaryRedirect || at != "/login" {
		t.Errorf("GET //login: %d to %q", rec.Code, at)
	}
}
