package dash_test

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestTools: a reply, a returned mail and log lines are pasted, read as the
// server and the agent read them, and shown as text whatever they hold.
func TestTools(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login("vera@example.com") // a viewer: nothing is changed here
	b.open("/tools")
	b.fill("#f-reply", "550 5.1.1 <ann@example.org>: User unknown")
	b.press("#reply button.primary")
	if got := b.text("#reply .answer"); !strings.Contains(got, "hard") || !strings.Contains(got, "CSHardBounced") {
		t.Errorf("the reply: %q", got)
	}
	b.fill("#f-report", strings.Join([]string{
		"From: MAILER-DAEMON@mx.example.net", "To: bounces+0192f0c8-6b7e-7c43-9a0e-6f3f1d2c4b5a+1@sp-bounce.example.com", "Subject: Undelivered Mail",
		"MIME-Version: 1.0", `Content-Type: multipart/report; report-type=delivery-status; boundary="b"`, "",
		"--b", "Content-Type: text/plain", "", evil, "",
		"--b", "Content-Type: message/delivery-status", "", "Reporting-MTA: dns; mx.example.net", "",
		"Final-Recipient: rfc822; ann@example.org", "Action: failed", "Status: 5.2.2", "Diagnostic-Code: smtp; 552 5.2.2 mailbox full " + evil, "", "--b--", "",
	}, "\n"))
	b.press("#report button.primary")
	if got := b.text("#report .answer"); !strings.Contains(got, "ann@example.org") || !strings.Contains(got, "mailbox full") || !strings.Contains(got, "soft") ||
		!strings.Contains(got, "0192f0c8-6b7e-7c43-9a0e-6f3f1d2c4b5a") {
		t.Errorf("the returned mail: %q", got)
	}
	const lines = "Nov 24 12:00:01 mx postfix/qmgr[1]: 4XkR2Z5Gq9z1: from=<bounces+0192f0c8-6b7e-7c43-9a0e-6f3f1d2c4b5a+1@sp-bounce.example.com>, size=1, nrcpt=1 (queue active)\n" +
		"Nov 24 12:00:02 mx postfix/smtp[2]: 4XkR2Z5Gq9z1: to=<ann@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <img src=x onerror=window.pwned=1>)\n" +
		"Nov 24 12:00:02 mx sshd[3]: nothing of ours"
	b.fill("#f-log", lines)
	b.press("#log button.primary")
	if got := b.text("#log .answer"); !strings.Contains(got, "1 event for Waypost") || !strings.Contains(got, "by its return path") || !strings.Contains(got, "<img src=x") {
		t.Errorf("the log: %q", got)
	}
	if js[bool](b, "window.pwned !== undefined") {
		t.Error("markup of what was pasted ran")
	}
	b.accessible("tools, with an answer")

	b.fill("#f-log", strings.Repeat("a line\n", 300))
	b.press("#log button.primary")
	if got := b.text("#e-log"); !strings.Contains(got, "300 lines") {
		t.Errorf("too many lines: %q", got)
	}
	if got := js[int](b, `document.querySelector("#f-log").value.length`); got < 2000 {
		t.Errorf("the form forgot what was pasted: %d characters", got)
	}
}
