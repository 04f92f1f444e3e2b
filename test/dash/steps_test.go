package dash_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/test/seed"
)

// TestConnectionTestSteps: each step of the connection test shows when it ends,
// while the next goes on; the form keeps what was typed; saving follows the
// test too and leads to the provider's page, whose own test can be followed.
func TestConnectionTestSteps(t *testing.T) {
	asked, answer := make(chan struct{}, 16), make(chan string, 16)
	mta := smtptest.New(t, smtptest.Script{
		Username: "u", Password: "relay secret", EHLO: []string{"DSN", "<script>window.pwned=1</script>"},
		Rcpt: func(string) string { asked <- struct{}{}; return <-answer },
	})
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/providers/new")
	b.fill("#f-name", "Main relay", "#f-smtpHost", mta.Host(), "#f-smtpPort", strconv.Itoa(mta.Port()), "#f-smtpUsername", "u", "#f-smtpPassword", "relay secret")
	js[bool](b, `(document.querySelector("#f-smtpSecurity").value = "none", document.querySelector("#f-allowPlainAuth").checked = true)`)
	lines := `[...document.querySelectorAll(".probe li")].map(l => l.className + " " + l.querySelector(".what").textContent).join("; ")`
	const midway = "ok Find the address; ok Connect; ok Greeting; ok EHLO; ok Log in; ok MAIL FROM; now RCPT TO; wait DATA and message; wait QUIT"
	ended := func(how string) string {
		return `(document.querySelector(".probe .chip")||{}).textContent === ` + quote(how)
	}
	// follow makes a test by a button, holds the reply to RCPT until the page shows
	// the steps before it, and wants an end. A step takes at most 10 s: on a machine
	// too slow for that the test is made again.
	follow := func(what, button, reply, end string) {
		t.Helper()
		for range 10 {
			js[bool](b, `((document.querySelector(".probe")||{remove(){}}).remove(), true)`)
			b.do(what, chromedp.Click(chromedp.CSS(button)))
			select {
			case <-asked:
			case <-time.After(patience):
				t.Fatalf("%s: the mail server was not asked\n%s", what, b.dump())
			}
			said, running := "451 4.3.0 too slow", false
			for held := time.Now(); time.Since(held) < 4*time.Second && !running; time.Sleep(50 * time.Millisecond) {
				running = js[string](b, lines) == midway && b.text(".probe .chip") == "running"
			}
			if running {
				said = reply
			}
			answer <- said
			b.until(what+": an end", end+` || `+ended("failed"))
			if running && js[bool](b, `Boolean(`+end+`)`) {
				return
			}
		}
		t.Fatalf("%s: the page never showed the steps until now\n%s", what, b.dump())
	}
	const test, save = "button[name=test]", "form.formcard button.primary"

	follow("a refused recipient", test, "550 5.1.1 <b>nobody</b> here", ended("failed")+` && document.querySelector(".probe").textContent.includes("nobody")`)
	if got := b.text(".probe"); !strings.Contains(got, "550 5.1.1 <b>nobody</b> here") || !strings.Contains(got, "testTo") {
		t.Errorf("a refused recipient shows:\n%s", got)
	}
	if got := js[string](b, `document.querySelector("#f-smtpPassword").value + location.pathname + String(window.pwned)`); got != "relay secret/providers/newundefined" {
		t.Errorf("after the test: %q", got)
	}
	follow("a good one", test, "250 2.1.5 Ok", ended("passed"))
	follow("saving", save, "250 2.1.5 Ok", `document.querySelector(".secret code")`)
	if at := js[string](b, "location.pathname + ' ' + document.title"); !strings.HasPrefix(at, "/providers/") || !strings.Contains(at, "Main relay") {
		t.Errorf("saving leads to %s", at)
	}
	b.until("the live lamp of the new page", `document.querySelector("#live").dataset.state === "on"`)
	follow("the provider's own test", `form[action$="/test"] button`, "250 2.1.5 Ok", ended("passed"))

	b.open("/providers/new")
	b.fill("#f-name", "Other", "#f-smtpHost", "smtp://"+mta.Host(), "#f-smtpPort", "25")
	b.do("test a wrong host", chromedp.Click(chromedp.CSS(test)))
	b.until("what is wrong, beside the field", `document.querySelector("#e-smtpHost") && document.activeElement.id === "f-smtpHost"`)
}

// TestConnectionTestWithoutScript: the form alone shows the finished test, and
// following one takes a session of an operator from this very site.
func TestConnectionTestWithoutScript(t *testing.T) {
	mta := smtptest.New(t, smtptest.Script{})
	h := open(t, seed.Empty)
	v := newVisitor(t, h)
	v.login(seed.Email, seed.Password)
	form := url.Values{
		"name": {"Main relay"}, "smtpHost": {mta.Host()}, "smtpPort": {strconv.Itoa(mta.Port())}, "smtpSecurity": {"none"}, "smtpAuth": {"none"},
		"maxRatePerHour": {"100"}, "test": {"1"},
	}
	resp, text := v.ask("POST", "/providers", form)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(text, "passed") || strings.Contains(text, ">running<") {
		t.Errorf("without the script: %d, %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	const lines = "application/x-ndjson"
	resp, text = v.ask("POST", "/providers", form, "Accept", lines)
	if n := strings.Count(text, "\n"); resp.Header.Get("Content-Type") != lines || n < 1+8+1 || strings.Contains(text, `"page"`) {
		t.Errorf("followed: %s, %d lines", resp.Header.Get("Content-Type"), n)
	}
	for name, header := range map[string][]string{
		"from another site": {"Accept", lines, "Sec-Fetch-Site", "cross-site"}, "another origin": {"Accept", lines, "Origin", "https://evil.example"},
	} {
		if resp, _ := v.ask("POST", "/providers", form, header...); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	viewer := newVisitor(t, h)
	if resp, _ := viewer.ask("POST", "/providers", form, "Accept", lines); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("without a session: %d", resp.StatusCode)
	}
	viewer.login("vera@example.com", seed.Password)
	if resp, _ := viewer.ask("POST", "/providers", form, "Accept", lines); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a viewer: %d", resp.StatusCode)
	}
	if n := len(mta.Messages()); n != 2 {
		t.Errorf("%d tests were made, want 2", n)
	}
}
