package dash_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestAuditLog: an entry is found by who did it, by what was done, by its object
// and by a part of its text; what none has is said, and a day that is none is
// named beside its field.
func TestAuditLog(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/suppressions/add")
	b.fill("#f-emails", "one@example.org")
	b.press("form.stack button.primary")
	b.sees("1 address is on the list now")

	b.open("/audit")
	b.fill("#f-did", "suppression.add")
	b.press(".filters button.primary")
	if got := js[string](b, "location.search"); !strings.Contains(got, "did=suppression.add") {
		t.Errorf("the address does not hold the filter: %s", got)
	}
	for _, q := range []string{"did=suppression.add", "who=" + url.QueryEscape(seed.Email), "what=sub-account+1", "q=ADDED+1+ADDRESS", "who=" + url.QueryEscape(seed.Email) + "&q=suppression&from=2020-01-01"} {
		b.open("/audit?" + q)
		if got := b.text("table.list tbody"); !strings.Contains(got, "suppression.add") || !strings.Contains(got, seed.Email) {
			t.Errorf("/audit?%s shows %q", q, got)
		}
	}
	for _, q := range []string{"did=suppression", "who=nobody", "q=%25_", "until=2020-01-01"} {
		b.open("/audit?" + q)
		b.sees("No entry fits these filters")
	}
	b.open("/audit?from=yesterday")
	if got := b.text("#e-from"); !strings.Contains(got, "Write a day") {
		t.Errorf("a day that is none: %q", got)
	}
}

// TestLoginsAreAudited: who logs in with a password, who gives a wrong one, and
// when guesses are held up stands in the audit log; what was typed does not.
func TestLoginsAreAudited(t *testing.T) {
	h := open(t, seed.Empty)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	login := func(email, password string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/login", strings.NewReader(url.Values{"email": {email}, "password": {password}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Fatalf("login of %s: %s", email, resp.Status)
		}
	}
	login("a secret typed here", "x", http.StatusUnauthorized)
	for range 4 {
		login("otto@example.com", "a wrong password", http.StatusUnauthorized)
	}
	login("otto@example.com", "the fifth wrong one", http.StatusUnauthorized)
	b := newTab(t, h)
	b.login(seed.Email)
	for q, want := range map[string]string{
		"did=person.login":                   "logged in with the password, from 127.0.0.1",
		"did=person.refused&what=login":      "wrong password for an address that nobody has here",
		"did=person.refused&q=otto":          "wrong password for otto@example.com",
		"did=person.locked&who=127.0.0.1":    "another wrong password for otto@example.com: nothing from there is looked at for",
		"did=person.locked&q=otto%40example": "person.locked",
	} {
		b.open("/audit?" + q)
		if got := b.text("table.list tbody"); !strings.Contains(got, want) {
			t.Errorf("/audit?%s shows %q", q, got)
		}
	}
	b.open("/audit?q=secret")
	b.sees("No entry fits these filters")
}
