package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/secret"
)

func TestNodeHealth(t *testing.T) {
	c := &Config{Data: t.TempDir(), SMTP: "127.0.0.1:25", PublicURL: "http://127.0.0.1:8080", Log: slog.New(slog.DiscardHandler)}
	if err := os.Chmod(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.OpenOrCreate(filepath.Join(c.Data, "secret.key")); err != nil {
		t.Fatal(err)
	}
	statusOf := func() map[string]string {
		out := map[string]string{}
		for _, h := range nodeHealth(c, nil)(t.Context()) {
			out[h.Name] = h.Status
			if h.Message == "" || (h.Remedy == "") != (h.Status == api.HealthOK || h.Status == api.HealthSkip) {
				t.Errorf("%+v", h)
			}
		}
		return out
	}
	if got := statusOf(); got["keyFile"] != api.HealthOK || got["publicURL"] != api.HealthSkip || got["bounceProcessor"] != api.HealthOK || got["disk"] == "" || got["clock"] == "" {
		t.Errorf("%v", got)
	}
	if err := os.Chmod(c.Data, 0o755); err != nil {
		t.Fatal(err)
	}
	c.SMTP = ""
	if got := statusOf(); got["keyFile"] != api.HealthWarn || got["bounceProcessor"] != api.HealthWarn {
		t.Errorf("%v", got)
	}
	if err := os.Chmod(filepath.Join(c.Data, "secret.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := statusOf(); got["keyFile"] != api.HealthFail {
		t.Errorf("%v", got)
	}
	c.Data = filepath.Join(c.Data, "gone")
	if got := statusOf(); got["keyFile"] != api.HealthFail {
		t.Errorf("%v", got)
	}
}

// TestPublicURLHealth asks through a proxy, which stands for the world: the
// name of the public URL is none of this machine.
func TestPublicURLHealth(t *testing.T) {
	body, status := `{"status":"ok"}`, 200
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://mail.example.com/healthz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer proxy.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }}}
	c := &Config{PublicURL: "http://mail.example.com"}
	f := func(want, says string) {
		t.Helper()
		got := askPublicURL(t.Context(), client, c)
		if got.Status != want || !strings.Contains(got.Message, says) {
			t.Errorf("%+v, want %s with %q", got, want, says)
		}
	}
	f(api.HealthWarn, "without TLS")
	body = "<html>welcome</html>"
	f(api.HealthFail, "Something else answers")
	body, status = `{"status":"ok"}`, 502
	f(api.HealthFail, "502")
	proxy.Close()
	f(api.HealthFail, "does not answer")
}

func TestOnlyHere(t *testing.T) {
	for host, want := range map[string]bool{
		"": true, "localhost": true, "a.localhost": true, "127.0.0.1": true, "10.0.0.1": true, "::1": true, "box": true,
		"mail.example.com": false, "8.8.8.8": false,
	} {
		if got := onlyHere(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}
