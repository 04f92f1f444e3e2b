package mtalog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// life writes the lines of one message from its arrival to its end.
func life(w mtalog.Writer, b []byte, at time.Time, id mtalog.QueueID, sender, recipient, reply string) []byte {
	daemon := func(name string) mtalog.Origin { return mtalog.Origin{Tag: "postfix/" + name, PID: 200} }
	b = w.Client(b, at, daemon("smtpd"), id, "app.example.com[192.0.2.10]")
	b = w.MessageID(b, at, daemon("cleanup"), id, "1@mail.example.com")
	b = w.Sender(b, at, daemon("qmgr"), id, sender, 1702, 1)
	b = w.Delivery(b, at, daemon("smtp"), mtalog.Delivery{
		Queue: id, Recipient: recipient, Relay: "mx.dest.example[203.0.113.5]:25", ConnUse: 3, Delay: 170 * time.Millisecond,
		Delays:   [4]time.Duration{10 * time.Millisecond, 60 * time.Millisecond, 1500 * time.Millisecond, time.Millisecond},
		Enhanced: "5.1.1", Status: "bounced",
		Description: "host mx.dest.example[203.0.113.5] said: " + reply + " (in reply to RCPT TO command)",
	})
	b = w.Notification(b, at, daemon("bounce"), id, "5B2E17C20E1")
	b = w.Expired(b, at, daemon("qmgr"), id, sender)
	return w.Removed(b, at, daemon("qmgr"), id)
}

func TestWriter(t *testing.T) {
	at := time.Date(2026, 11, 4, 4, 2, 53, 250_000_000, time.UTC)
	w := mtalog.Writer{Host: "mx"}
	got := string(life(w, nil, at, "3A1F07C20D5", "bounces+u+7@bounce.example.com", "a@dest.example", "550-5.1.1 no\r\n550 5.1.1 such\x00\x1b \xff user"))
	want := `Nov  4 04:02:53 mx postfix/smtpd[200]: 3A1F07C20D5: client=app.example.com[192.0.2.10]
Nov  4 04:02:53 mx postfix/cleanup[200]: 3A1F07C20D5: message-id=<1@mail.example.com>
Nov  4 04:02:53 mx postfix/qmgr[200]: 3A1F07C20D5: from=<bounces+u+7@bounce.example.com>, size=1702, nrcpt=1 (queue active)
Nov  4 04:02:53 mx postfix/smtp[200]: 3A1F07C20D5: to=<a@dest.example>, relay=mx.dest.example[203.0.113.5]:25, conn_use=3, delay=0.17, delays=0.01/0.06/1.5/0, dsn=5.1.1, status=bounced (host mx.dest.example[203.0.113.5] said: 550-5.1.1 no 550 5.1.1 such?? ? user (in reply to RCPT TO command))
Nov  4 04:02:53 mx postfix/bounce[200]: 3A1F07C20D5: sender non-delivery notification: 5B2E17C20E1
Nov  4 04:02:53 mx postfix/qmgr[200]: 3A1F07C20D5: from=<bounces+u+7@bounce.example.com>, status=expired, returned to sender
Nov  4 04:02:53 mx postfix/qmgr[200]: 3A1F07C20D5: removed
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	w.Form, w.Location = mtalog.RFC3339, time.FixedZone("", 3600)
	got = string(w.Removed(nil, at, mtalog.Origin{Tag: "postfix/qmgr", PID: 1}, "3A1F07C20D5"))
	if want := "2026-11-04T05:02:53.250000+01:00 mx postfix/qmgr[1]: 3A1F07C20D5: removed\n"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

func TestWriterCutsText(t *testing.T) {
	w := mtalog.Writer{Host: "mx"}
	line := string(w.Delivery(nil, corpusNow, mtalog.Origin{Tag: "postfix/smtp", PID: 1}, mtalog.Delivery{
		Queue: "3A1F07C20D5", Recipient: "a@dest.example", Status: "bounced", Enhanced: "5.0.0", Description: strings.Repeat("é", 3000),
	}))
	_, text, _ := strings.Cut(line, "]: ")
	if n := len(text) - 1; n > 2000 || n < 1998 {
		t.Errorf("text has %d bytes, want 2000 less a letter cut", n)
	}
	var f mtalog.Fact
	if !newParser(t, "postfix").Parse([]byte(line), &f) || strings.ContainsRune(f.Description, '\uFFFD') {
		t.Errorf("cut line read as %+v", f)
	}
}

// TestWriterParser checks that what the Writer writes the parser reads, for any address and reply.
func TestWriterParser(t *testing.T) {
	p := newParser(t, "postfix")
	rapid.Check(t, func(rt *rapid.T) {
		local := rapid.StringOf(rapid.RuneFrom([]rune(`ab.>" \<@,=é`))).Draw(rt, "local")
		reply := "550 5.1.1 " + rapid.String().Draw(rt, "reply")
		lines := string(life(mtalog.Writer{Host: "mx"}, nil, corpusNow, "4kLMn27PQRz3XyBc", local+"@example.com", local+"@dest.example", reply))
		want := []mtalog.Kind{mtalog.Fresh, mtalog.MessageID, mtalog.Sender, mtalog.Outcome, mtalog.Notification, mtalog.Expired, mtalog.Removed}
		var got []mtalog.Kind
		for line := range strings.Lines(lines) {
			var f mtalog.Fact
			if p.Parse([]byte(line), &f) {
				checkFactRapid(rt, f)
				got = append(got, f.Kind)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("kinds (-want +got):\n%s\n%s", diff, lines)
		}
	})
}

func checkFactRapid(rt *rapid.T, f mtalog.Fact) {
	if f.Kind == mtalog.Outcome && (f.Status != mtalog.Bounced || f.Code != 550 || !strings.HasSuffix(f.Recipient, "@dest.example")) {
		rt.Errorf("fact %+v", f)
	}
	if f.Kind == mtalog.Sender && (f.Size != 1702 || !strings.HasSuffix(f.Sender, "@example.com")) {
		rt.Errorf("fact %+v", f)
	}
}
