package dash_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/test/seed"
)

// visitor talks to the house as a browser would, without one.
type visitor struct {
	t *testing.T
	h *house
	c *http.Client
}

func newVisitor(t *testing.T, h *house) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, h, &http.Client{Timeout: 2 * time.Minute, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *visitor) ask(method, path string, form url.Values, header ...string) (*http.Response, string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.h.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.c.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp, string(b)
}

// post sends JSON.
func (v *visitor) post(path, body string, header ...string) int {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.h.url+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.c.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Logf("POST %s: %d %s, %v", path, resp.StatusCode, answer, err)
	}
	return resp.StatusCode
}

func (v *visitor) login(email, password string) int {
	v.t.Helper()
	resp, _ := v.ask("POST", "/login", url.Values{"email": {email}, "password": {password}})
	return resp.StatusCode
}

func (v *visitor) status(method, path string) int {
	v.t.Helper()
	var form url.Values
	if method == "POST" {
		form = url.Values{"x": {"y"}}
	}
	resp, _ := v.ask(method, path, form)
	return resp.StatusCode
}

// TestNobody: without a session no page answers, and the way leads to the
// login and back, to places of this dashboard only.
func TestNobody(t *testing.T) {
	v := newVisitor(t, open(t, seed.Empty))
	for _, path := range []string{"/", "/messages", "/events.csv", "/events.ndjson", "/live", "/people", "/providers/1", "/no-such-page"} {
		resp, _ := v.ask("GET", path, nil)
		if want := "/login"; resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), want) {
			t.Errorf("GET %s: %d to %s", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`} {
		resp, _ := v.ask("POST", "/login", url.Values{"email": {seed.Email}, "password": {seed.Password}, "next": {next}})
		if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/" {
			t.Errorf("next=%s: %d to %q", next, resp.StatusCode, to)
		}
	}
}

// TestForeign: another site's form changes nothing.
func TestForeign(t *testing.T) {
	v := newVisitor(t, open(t, seed.Empty))
	if got := v.login(seed.Email, seed.Password); got != http.StatusSeeOther {
		t.Fatal("login", got)
	}
	form := url.Values{"email": {"mallory@example.com"}, "role": {"owner"}}
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "null"}} {
		if resp, _ := v.ask("POST", "/people", form, header...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("a POST with %v: %d", header, resp.StatusCode)
		}
	}
	if _, body := v.ask("GET", "/people", nil); strings.Contains(body, "mallory") {
		t.Error("another site invited a person")
	}
}

// TestHeaders: every answer carries the policy, the cookie is shut, and assets
// may be kept.
func TestHeaders(t *testing.T) {
	h := open(t, seed.Empty)
	v := newVisitor(t, h)
	resp, _ := v.ask("POST", "/login", url.Values{"email": {seed.Email}, "password": {seed.Password}})
	cookie := resp.Header.Get("Set-Cookie")
	for _, word := range []string{"waypost_session=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, word) {
			t.Errorf("the cookie %q lacks %s", cookie, word)
		}
	}
	for _, path := range []string{"/", "/login", "/nothing", "/assets/app.js"} {
		resp, _ := v.ask("GET", path, nil)
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", path)
		}
	}
	_, page := v.ask("GET", "/", nil)
	_, src, _ := strings.Cut(page, `<script src="`)
	src, _, _ = strings.Cut(src, `"`)
	if resp, _ := v.ask("GET", src, nil); !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("the script %q is fetched again for every page: %q", src, resp.Header.Get("Cache-Control"))
	}
}

// TestViewerAndOperator: a viewer changes nothing and reads no content; an operator does
// not manage people.
func TestViewerAndOperator(t *testing.T) {
	h := open(t, busy)
	message := "/messages/" + h.scene.Messages["story"].String()
	provider := "/providers/" + id(h.scene.Providers[0].ID)
	viewer := newVisitor(t, h)
	viewer.login("vera@example.com", seed.Password)
	for _, path := range []string{"/", "/messages", message, "/events", "/providers", provider, "/queue"} {
		resp, body := viewer.ask("GET", path, nil)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a viewer's %s: %d", path, resp.StatusCode)
		}
		if strings.Contains(body, "31415") || strings.Contains(body, "is on its way") || strings.Contains(body, "warehouse") {
			t.Errorf("a viewer reads content at %s", path)
		}
	}
	for _, path := range []string{message + "/raw", message + "/html", "/providers/new", provider + "/edit", "/people", "/start"} {
		if got := viewer.status("GET", path); got != http.StatusForbidden {
			t.Errorf("a viewer's GET %s: %d", path, got)
		}
	}
	for _, path := range []string{message + "/cancel", message + "/retry", "/queue/cancel", "/providers", provider + "/pause", provider + "/rotate", provider + "/delete", provider + "/test", provider + "/edit", "/people", "/start/test"} {
		if got := viewer.status("POST", path); got != http.StatusForbidden {
			t.Errorf("a viewer's POST %s: %d", path, got)
		}
	}
	operator := newVisitor(t, h)
	operator.login("otto@example.com", seed.Password)
	for _, path := range []string{message + "/raw", message + "/html", "/providers/new", "/start"} {
		if got := operator.status("GET", path); got != http.StatusOK {
			t.Errorf("an operator's GET %s: %d", path, got)
		}
	}
	if get, post := operator.status("GET", "/people"), operator.status("POST", "/people"); get != http.StatusForbidden || post != http.StatusForbidden {
		t.Errorf("an operator's people: %d, %d", get, post)
	}
}

// TestSessions: a changed password ends every other session, a logout its own,
// and a forged token opens nothing.
func TestSessions(t *testing.T) {
	h := open(t, seed.Empty)
	one, two := newVisitor(t, h), newVisitor(t, h)
	one.login(seed.Email, seed.Password)
	two.login(seed.Email, seed.Password)
	resp, body := one.ask("POST", "/profile", url.Values{"current": {"wrong"}, "password": {"five calm herons"}, "again": {"five calm herons"}})
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "not your password") {
		t.Errorf("a wrong current password: %d", resp.StatusCode)
	}
	if resp, _ := one.ask("POST", "/profile", url.Values{"current": {seed.Password}, "password": {"five calm herons"}, "again": {"five calm herons"}}); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("change of password: %d", resp.StatusCode)
	}
	if got := one.status("GET", "/"); got != http.StatusOK {
		t.Errorf("the session that changed the password: %d", got)
	}
	if got := two.status("GET", "/"); got != http.StatusSeeOther {
		t.Errorf("another session lives on: %d", got)
	}
	if got := two.login(seed.Email, seed.Password); got != http.StatusUnauthorized {
		t.Errorf("the old password: %d", got)
	}
	u, _ := url.Parse(h.url)
	kept := one.c.Jar.Cookies(u)
	if resp, _ := one.ask("POST", "/logout", url.Values{}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	one.c.Jar.SetCookies(u, kept)
	if got := one.status("GET", "/"); got != http.StatusSeeOther {
		t.Errorf("a session that was logged out answers %d", got)
	}
	one.c.Jar.SetCookies(u, []*http.Cookie{{Name: "waypost_session", Value: strings.Repeat("a", 64), Path: "/"}})
	if got := one.status("GET", "/"); got != http.StatusSeeOther {
		t.Errorf("a forged token answers %d", got)
	}
}

// TestGuessing: after some wrong passwords even the right one must wait.
func TestGuessing(t *testing.T) {
	v := newVisitor(t, open(t, seed.Empty))
	last := 0
	for range 7 {
		last = v.login(seed.Email, "not it at all")
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the seventh guess is answered with %d", last)
	}
	if got := v.login(seed.Email, seed.Password); got != http.StatusTooManyRequests {
		t.Errorf("while it waits, the right password is looked at: %d", got)
	}
}

// TestInvited: a person is invited with a password that is shown once, must
// choose another at the first login, and can be given a role or be removed.
func TestInvited(t *testing.T) {
	h := open(t, seed.Empty)
	owner := newVisitor(t, h)
	owner.login(seed.Email, seed.Password)
	if resp, body := owner.ask("POST", "/people", url.Values{"email": {"nobody"}, "role": {"king"}}); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, `value="nobody"`) {
		t.Errorf("a bad invitation: %d", resp.StatusCode)
	}
	_, body := owner.ask("POST", "/people", url.Values{"email": {"Ned@Example.com"}, "name": {"Ned"}, "role": {"operator"}})
	_, password, ok := strings.Cut(body, `<code>wpp_`)
	if !ok {
		t.Fatal("no password is shown")
	}
	password, _, _ = strings.Cut("wpp_"+password, "<")
	if _, again := owner.ask("GET", "/people", nil); strings.Contains(again, password) {
		t.Error("the password is shown again")
	}
	ned := newVisitor(t, h)
	if got := ned.login("ned@example.com", password); got != http.StatusSeeOther {
		t.Fatalf("login of the invited: %d", got)
	}
	if resp, _ := ned.ask("GET", "/messages", nil); resp.Header.Get("Location") != "/profile" {
		t.Errorf("a password that somebody else made opens %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	ned.ask("POST", "/profile", url.Values{"current": {password}, "password": {"six calm herons"}, "again": {"six calm herons"}})
	if got := ned.status("GET", "/messages"); got != http.StatusOK {
		t.Errorf("after the change: %d", got)
	}
	_, body = owner.ask("GET", "/people", nil)
	_, at, _ := strings.Cut(body, "ned@example.com</span>")
	_, at, _ = strings.Cut(at, `action="/people/`)
	at, _, _ = strings.Cut(at, "/")
	owner.ask("POST", "/people/"+at+"/role", url.Values{"role": {"viewer"}})
	if got := ned.status("GET", "/start"); got != http.StatusForbidden {
		t.Errorf("as a viewer: %d", got)
	}
	owner.ask("POST", "/people/"+at+"/delete", url.Values{"sure": {"1"}})
	if got := ned.status("GET", "/messages"); got != http.StatusSeeOther {
		t.Errorf("once removed: %d", got)
	}
	if _, body := owner.ask("POST", "/people/1/role", url.Values{"role": {"viewer"}}); strings.Contains(body, "500") {
		t.Error("the last owner")
	}
	if got := owner.status("GET", "/people"); got != http.StatusOK {
		t.Errorf("the only owner lost the role: %d", got)
	}
}
