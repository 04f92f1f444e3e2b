package dash_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestTranscript: what was said in each attempt can be unfolded, in the attempt
// that failed and in the one that did not, and stays so while the page is read
// again.
func TestTranscript(t *testing.T) {
	b := newTab(t, open(t, seed.Trouble))
	b.login(seed.Email)
	b.open("/messages/" + b.h.scene.Messages["story"].String())
	if got := b.text("#way"); strings.Contains(got, "End data with") {
		t.Error("a transcript is open that nobody unfolded")
	}
	for id, words := range map[string][]string{
		"#said-1": {"192.0.2.11:587", "TLS 1.3 TLS_AES_256_GCM_SHA384", "850 ms in all", "Find the address", "STARTTLS", "Log in", "235 2.7.0 Authentication successful", "RCPT TO", "451 4.7.1 Greylisted, try again later", "608 ms"},
		"#said-2": {"on a session that was open already", "MAIL FROM", "354 End data with <CR><LF>.<CR><LF>", "Reply to the message", "250 2.0.0 Ok: queued as"},
	} {
		b.do("unfold "+id, chromedp.Click(chromedp.CSS(id+" > summary")))
		got := b.text(id)
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("%s does not say %q:\n%s", id, w, got)
			}
		}
		if n := js[int](b, `document.querySelectorAll("`+id+` li.bad").length`); n > 0 != (id == "#said-1") {
			t.Errorf("%s marks %d steps as failed", id, n)
		}
	}
	js[bool](b, `(document.activeElement.blur(), document.querySelector("#way h2").textContent = "Read before", true)`)
	b.until("the page was read again", `document.querySelector("#way h2").textContent === "Its way"`)
	if n := js[int](b, `document.querySelectorAll("#way details.transcript[open]").length`); n != 2 {
		t.Errorf("%d transcripts are open after the page was read again", n)
	}
}

// TestMessageLinks: the page lists where the mail leads to, what of it is
// tracked, and the clicks of people and of machines.
func TestMessageLinks(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.inMail = true
	b.open("/messages/" + h.scene.Messages["story"].String())
	rows := js[[]string](b, `[...document.querySelectorAll("#links tbody tr")].map(r => [...r.cells].map(c => c.textContent.trim()).join("|"))`)
	want := []string{"https://acme-shop.example/orders/1|HTML and text|tracked|1|1", "https://acme-shop.example/terms|HTML|not tracked|0|0"}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("the links:\n%s\nwant:\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
	b.open("/messages/" + h.scene.Messages["waiting"].String())
	if got := b.text("#links summary"); !strings.Contains(got, "clicks of this message are not tracked") {
		t.Errorf("a message without tracking: %q", got)
	}
}

// TestSuppressRecipient: an operator suppresses the recipient on the message's
// page, which then says so; a viewer cannot.
func TestSuppressRecipient(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.inMail = true
	path := "/messages/" + h.scene.Messages["story"].String()
	b.open(path)
	js[bool](b, `(window.confirm = q => (window.__asked = q, true), true)`)
	to := b.text(".lead a")
	b.press(`form[action$="/suppress"] button`)
	b.sees("Nothing more is sent to " + to)
	if n := js[int](b, `document.querySelectorAll('form[action$="/suppress"]').length`); n != 0 {
		t.Error("a suppressed recipient can be suppressed again")
	}
	b.press(`a[href^="/suppressions?"]`)
	if got := b.text("main"); !strings.Contains(got, to) || !strings.Contains(got, "added by hand") {
		t.Errorf("the suppression list:\n%.500s", got)
	}

	v := newVisitor(t, h)
	v.login("vera@example.com", seed.Password)
	if _, text := v.ask("GET", "/messages/"+h.scene.Messages["waiting"].String(), nil); strings.Contains(text, "/suppress\"") {
		t.Error("a viewer is offered to suppress")
	}
	if resp, _ := v.ask("POST", "/messages/"+h.scene.Messages["waiting"].String()+"/suppress", url.Values{"sure": {"1"}}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a viewer suppresses with status %d", resp.StatusCode)
	}
}

// TestWaitsForPaused: a message whose provider is paused says so, also on a node
// that relays nothing itself, and the queue says by how much it is overdue.
func TestWaitsForPaused(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/messages/" + h.scene.Messages["waiting"].String())
	b.sees("moving to a new address until Monday")
	b.open("/queue")
	b.sees("overdue by")
}
