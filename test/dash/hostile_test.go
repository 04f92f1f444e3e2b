package dash_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/test/seed"
)

// TestHostile: whatever comes from outside is inert in every page: no script
// runs, no element of it exists, nothing is loaded from elsewhere, and the
// mail's own HTML stays in its frame.
func TestHostile(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	h := open(t, func(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
		return seed.HostileMail(ctx, s, now, elsewhere.URL+"/pixel")
	})
	b := newTab(t, h)
	b.login(seed.Email)
	message := "/messages/" + h.scene.Messages["hostile"].String()
	provider := "/providers/" + id(h.scene.Providers[0].ID)
	for _, path := range []string{
		"/", "/start", "/messages", message, "/events", "/queue", "/providers", provider, provider + "/edit", "/people",
		"/messages?to=" + hostileQuery, "/events?type=" + hostileQuery + "&message=" + hostileQuery + "&from=" + hostileQuery, "/providers?q=" + hostileQuery, "/find?q=" + hostileQuery, "/login?next=" + hostileQuery, "/nothing" + hostileQuery,
	} {
		b.inMail = path == message // its frame reports what the policy of the frame refused
		b.open(path)
		b.until("the page is whole", `document.readyState === "complete"`)
		if got := js[string](b, `String(window.pwned)`); got != "undefined" {
			t.Errorf("%s: script number %s ran", path, got)
		}
		if got := js[int](b, `document.querySelectorAll("img[src=x], [onerror], [onload], script:not([src^='/assets/']), iframe:not(.mailframe), a[href^='javascript:' i]").length`); got != 0 {
			t.Errorf("%s: %d hostile elements are in the page", path, got)
		}
		if got := js[string](b, `location.host`); "http://"+got != h.url {
			t.Fatalf("%s: led to %s", path, got)
		}
	}
	b.inMail = true
	b.open(message)
	b.until("the frame of the mail", `document.querySelector("iframe.mailframe")`)
	if got := js[string](b, `document.querySelector("iframe.mailframe").getAttribute("sandbox")`); got != "" {
		t.Errorf("the frame of the mail may %q", got)
	}
	if got := js[bool](b, `(() => { try { return document.querySelector("iframe.mailframe").contentDocument !== null } catch { return false } })()`); got {
		t.Error("the frame of the mail shares the origin of the page")
	}
	// The mail by itself, as somebody might open its frame in a tab.
	b.open(message + "/html")
	if got := js[string](b, `String(window.pwned) + location.host`); got != "undefined"+h.url[len("http://"):] {
		t.Errorf("the mail by itself: %s", got)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a mail had %d things loaded from elsewhere", n)
	}
}

const hostileQuery = `%22%3E%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.pwned%3D2%3E`
