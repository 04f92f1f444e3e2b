package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

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
