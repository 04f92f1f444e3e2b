package dash_test

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestSMTPLife: a name that cannot stand in a user name is refused beside the
// field; the password of a good one is shown once; and it ends after a
// question.
func TestSMTPLife(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/smtp")
	b.fill("#f-name", "Web Shop!")
	b.press("form.stack button.primary")
	if got := b.text("#e-name"); got == "" {
		t.Errorf("nothing is said beside the name\n%s", b.dump())
	}
	b.fill("#f-name", "web-shop")
	b.press("form.stack button.primary")
	b.sees("The password of web-shop")
	password := b.text(".secret code")
	if !strings.HasPrefix(password, "wpm_") || !strings.Contains(b.text(".secret dd"), "web-shop@") {
		t.Errorf("the page shows %q for %q", password, b.text(".secret dd"))
	}
	b.press("main > a.button.primary")
	b.sees("web-shop")
	if text := js[string](b, "document.documentElement.outerHTML"); strings.Contains(text, password) {
		t.Error("the list shows the password again")
	}
	b.press(`a[aria-label="End web-shop"]`)
	b.press("button.danger")
	b.sees("The login web-shop is ended.")
}
