package dash_test

import (
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
