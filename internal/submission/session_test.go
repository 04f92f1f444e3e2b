package submission_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/submission"
)

func mail(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const simple = `From: Shop <news@example.com>
To: Ann <ann@example.org>, bob@example.org
Cc: =?utf-8?q?Z=C3=BCrich?= <zoe@example.org>
Subject: =?iso-8859-1?q?Gr=FC=DFe?=
X-Order: 17
X-Sendpost-IPPool: mine
X-SP-Groups: welcome, spring
X-Sendpost-Track-Clicks: no
X-Sendpost-Custom-Fields: {"first":"Ann"}
Received: from somewhere
Message-ID: <17@example.com>

Hello {{first}}
`

// TestSubmit hands in a mail to three people, one of them in Bcc.
func TestSubmit(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	h.ok(c.SendMail("whoever@example.com", []string{"ann@example.org", "zoe@example.org", "hidden@example.org"}, strings.NewReader(mail(simple))))
	all := h.messages()
	if len(all) != 3 {
		t.Fatalf("%d messages, want 3", len(all))
	}
	shown := map[string]string{}
	for i := range all {
		m := &all[i]
		cc := []string{}
		for _, a := range m.Cc {
			cc = append(cc, a.Email)
		}
		shown[m.Recipient] = m.To.Email + " " + strings.Join(cc, " ")
		if m.Domain == 0 || m.Provider == 0 || string(m.Variables) != `{"first":"Ann"}` {
			t.Errorf("a message is %+v", m)
		}
	}
	for recipient, want := range map[string]string{
		"ann@example.org":    "ann@example.org bob@example.org zoe@example.org",
		"zoe@example.org":    "ann@example.org bob@example.org zoe@example.org",
		"hidden@example.org": "ann@example.org bob@example.org zoe@example.org",
	} {
		if shown[recipient] != want {
			t.Errorf("%s sees %q, want %q", recipient, shown[recipient], want)
		}
	}
	got := h.content(&all[0])
	if got.Subject != "Grüße" || got.From != (waypost.Address{Name: "Shop", Email: "news@example.com"}) || got.Text != "Hello {{first}}\n" ||
		got.Pool != "mine" || fmt.Sprint(got.Groups) != "[welcome spring]" || !got.TrackOpens || got.TrackClicks {
		t.Errorf("the content is %+v", got)
	}
	if fmt.Sprint(got.Headers) != "[{X-Order 17} {Message-ID <17@example.com>}]" && fmt.Sprint(got.Headers) != "[{X-Order 17} {Message-Id <17@example.com>}]" {
		t.Errorf("the headers are %v", got.Headers)
	}
}

// TestLogin tries names and passwords over every mechanism and form of name.
func TestLogin(t *testing.T) {
	h := newHouse(t, nil)
	secure := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // its own certificate
	for _, user := range []string{h.user, fmt.Sprintf("printer@%d", h.sub), strings.ToUpper(h.user)} {
		for _, mechanism := range []sasl.Client{sasl.NewPlainClient("", user, h.password), sasl.NewLoginClient(user, h.password)} {
			c, err := gosmtp.DialTLS(h.implicit, secure)
			h.ok(err)
			if err := c.Auth(mechanism); err != nil {
				t.Errorf("%s: %v", user, err)
			}
			_ = c.Close()
		}
	}
	for _, bad := range []struct{ user, password string }{
		{h.user, "wrong"}, {h.user, ""}, {"nobody@1.sendpost.io", h.password}, {fmt.Sprintf("printer@%d.sendpost.io", h.sub+1), h.password}, {"printer", h.password},
	} {
		c, err := gosmtp.DialTLS(h.implicit, secure)
		h.ok(err)
		err = c.Auth(sasl.NewPlainClient("", bad.user, bad.password))
		if refused, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || refused.Code != 535 {
			t.Errorf("%s: %v, want 535", bad.user, err)
		}
		_ = c.Close()
	}
	if n := h.server.Counts().RefusedLogins; n != 5 {
		t.Errorf("%d refused logins counted, want 5", n)
	}
	k, err := h.store.SubmissionKey(t.Context(), h.sub, "printer")
	if err != nil || k.LastUsed.IsZero() {
		t.Errorf("its use is not noted: %+v, %v", k.LastUsed, err)
	}
	for range 5 {
		c, err := gosmtp.DialTLS(h.implicit, secure)
		h.ok(err)
		_ = c.Auth(sasl.NewPlainClient("", h.user, "wrong"))
		_ = c.Close()
	}
	if c, err := gosmtp.DialTLS(h.implicit, secure); err == nil {
		if err := c.Auth(sasl.NewPlainClient("", h.user, h.password)); err == nil {
			t.Error("after ten failures the address may still log in")
		}
		_ = c.Close()
	}
}

// talk sends lines and gives the code of each last reply.
func talk(t *testing.T, addr string, lines ...string) []int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return converse(t, conn, lines...)
}

func converse(t *testing.T, conn net.Conn, lines ...string) []int {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	r := textproto.NewReader(bufio.NewReader(conn))
	code, _, err := r.ReadResponse(0)
	codes := []int{code}
	for _, l := range lines {
		if err != nil {
			break
		}
		if _, err = conn.Write([]byte(l)); err == nil {
			code, _, err = r.ReadResponse(0)
			if code != 0 {
				codes = append(codes, code)
				err = nil
			}
		}
	}
	return codes
}

// TestDoor refuses what comes without TLS or login, and smuggled lines.
func TestDoor(t *testing.T) {
	h := newHouse(t, nil)
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{[]string{"EHLO a\r\n", "AUTH PLAIN AGEAYQ==\r\n"}, "[220 250 523]"},
		{[]string{"EHLO a\r\n", "MAIL FROM:<a@example.com>\r\n"}, "[220 250 502]"},
	} {
		if got := fmt.Sprint(talk(t, h.starttls, c.lines...)); got != c.want {
			t.Errorf("%q: %s, want %s", c.lines, got, c.want)
		}
	}
	for _, body := range []string{
		"From: a@example.com\r\n\r\nhello\n.\r\nMAIL FROM:<x@example.com>\r\n.\r\n",
		"From: a@example.com\n\nhello\r\n",
		"From: a@example.com\r\n\r\nhello\rworld\r\n",
	} {
		conn, err := tls.Dial("tcp", h.implicit, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its own certificate
		h.ok(err)
		login := base64.StdEncoding.EncodeToString([]byte("\x00" + h.user + "\x00" + h.password))
		got := converse(t, conn, "EHLO a\r\n", "AUTH PLAIN "+login+"\r\n", "MAIL FROM:<a@example.com>\r\n", "RCPT TO:<b@example.org>\r\n", "DATA\r\n", body+"\r\n.\r\n")
		_ = conn.Close()
		if fmt.Sprint(got) != "[220 250 235 250 250 354 554]" {
			t.Errorf("%q: %v", body, got)
		}
	}
	if n := len(h.messages()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
}

// TestPlainAuth allows passwords without TLS where that is set.
func TestPlainAuth(t *testing.T) {
	h := newHouse(t, func(c *submission.Config) { c.PlainAuth = true })
	c, err := gosmtp.Dial(h.starttls)
	h.ok(err)
	defer func() { _ = c.Close() }()
	h.ok(c.Auth(sasl.NewPlainClient("", h.user, h.password)))
	h.ok(c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple))))
}

// TestRefusals holds the replies to what cannot be taken.
func TestRefusals(t *testing.T) {
	h := newHouse(t, nil)
	from := "From: a@example.com\n"
	for _, c := range []struct {
		mail string
		code int
		word string
	}{
		{"Subject: x\n\nhello\n", 554, "From"},
		{from + "X-Sendpost-IPPool: none\n\nhello\n", 554, "ippool"},
		{from + "X-SP-Track-Opens: maybe\n\nhello\n", 554, "true or false"},
		{from + "\n{{#if}}\n", 554, "textBody"},
		{from + "Content-Type: multipart/signed; boundary=x\n\n--x--\n", 554, "signed"},
		{from + "Content-Type: text/plain; charset=x-none\n\nhello\n", 554, "character set"},
		{from + "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n????\n", 554, "base64"},
		{from + "\n\n", 554, "no text"},
		{from + "X-Sendpost-Custom-Fields: [1]\n\nhello\n", 554, "JSON"},
	} {
		cl := h.dial()
		err := cl.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(c.mail)))
		refused, ok := errors.AsType[*gosmtp.SMTPError](err)
		if !ok || refused.Code != c.code || !strings.Contains(refused.Message, c.word) {
			t.Errorf("%q: %v, want %d with %q", c.mail, err, c.code, c.word)
		}
	}
	cl := h.dial()
	if err := cl.SendMail("a@example.com", []string{"not an address"}, strings.NewReader(mail(simple))); err == nil {
		t.Error("a bad recipient is taken")
	}
	if n := len(h.messages()); n != 0 {
		t.Errorf("%d messages were taken", n)
	}
}

// TestNoReturnPath takes mail of an unknown sender domain, and drops it as the
// API does.
func TestNoReturnPath(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	h.ok(c.SendMail("a@nowhere.example", []string{"b@example.org"}, strings.NewReader(mail("From: a@nowhere.example\n\nhello\n"))))
	all := h.messages()
	trail, err := h.store.Trail(t.Context(), h.account, all[0].ID)
	h.ok(err)
	if n := len(trail.Events); n != 2 || trail.Events[1].Text != waypost.TextNoReturnPath {
		t.Errorf("its events are %+v", trail.Events)
	}
}

// TestStorageAway says 451 and nothing else.
func TestStorageAway(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	h.ok(h.store.Close())
	err := c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple)))
	if refused, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || refused.Code != 451 {
		t.Errorf("with storage away: %v, want 451", err)
	}
}

// TestBlocked refuses mail of a sub-account that is blocked.
func TestBlocked(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	sub, err := h.store.SubAccount(t.Context(), h.account, h.sub)
	h.ok(err)
	sub.Blocked, sub.BlockedAt = true, time.Now()
	h.ok(h.store.UpdateSubAccount(t.Context(), &sub))
	err = c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(mail(simple)))
	if refused, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || refused.Code != 550 {
		t.Errorf("blocked: %v, want 550", err)
	}
}

// TestUnusableKey: mail that nobody could sign is not taken for now; its sender
// keeps it, and hears why.
func TestUnusableKey(t *testing.T) {
	h := newHouse(t, nil)
	c := h.dial()
	err := c.SendMail("whoever@example.com", []string{"ann@example.org"}, strings.NewReader(mail(strings.Replace(simple, "news@example.com", "news@keyless.example", 1))))
	refused, ok := errors.AsType[*gosmtp.SMTPError](err)
	if !ok || refused.Code != 451 || refused.EnhancedCode != (gosmtp.EnhancedCode{4, 7, 5}) || !strings.Contains(refused.Message, "DKIM key of keyless.example") {
		t.Fatalf("%v", err)
	}
	if n := len(h.messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}
