package dash_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestFirstRun: an installation without people leads to the setup; the
// password that init printed makes the owner; what is wrong is said beside the
// field; and the owner stands before the first steps.
func TestFirstRun(t *testing.T) {
	b := newTab(t, open(t, seed.New))
	b.open("/providers")
	if got := js[string](b, "location.pathname"); got != "/setup" {
		t.Fatalf("a new installation shows %s", got)
	}
	b.fill("#f-key", "wpd_wrong", "#f-name", "Grace Example", "#f-email", "grace@example.com", "#f-password", "four calm herons", "#f-again", "four calm herons")
	b.press("button.primary")
	if got := b.text("#e-key"); !strings.Contains(got, "not the dashboard password") {
		t.Errorf("a wrong key: %q", got)
	}
	if got := js[string](b, `document.querySelector("#f-email").value`); got != "grace@example.com" {
		t.Errorf("the form forgot what was typed: %q", got)
	}
	b.fill("#f-key", seed.SetupKey, "#f-password", "four calm herons", "#f-again", "four calm herons")
	b.press("button.primary")
	b.sees("First steps")
	b.sees("0 of 5 done")
	b.open("/setup")
	if got := js[string](b, "location.pathname"); got == "/setup" {
		t.Errorf("the setup is open to a second person")
	}
}

// TestLogin: a wrong password is refused, the right one leads to where one
// wanted to go, and logging out ends it.
func TestLogin(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.open("/events?code=550")
	b.fill("#f-email", seed.Email, "#f-password", "wrong password")
	b.press("button.primary")
	b.sees("E-mail address or password is wrong")
	if got := js[string](b, `document.querySelector("#f-password").value`); got != "" {
		t.Error("a refused password comes back in the page")
	}
	b.fill("#f-password", seed.Password)
	b.press("button.primary")
	if got := js[string](b, "location.pathname+location.search"); got != "/events?code=550" {
		t.Errorf("the login leads to %s", got)
	}
	b.do("menu", chromedp.Click(chromedp.CSS("details.me summary")))
	b.press(`form[action="/logout"] button`)
	b.open("/")
	b.sees("Log in")
}
