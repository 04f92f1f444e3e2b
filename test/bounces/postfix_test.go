// Package bounces holds the bounce processor against a real Postfix.
package bounces

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // the SMTP library wants one; it writes to nowhere
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// generous is how long anything may take before the test gives up.
const generous = time.Minute

// farEnd is the recipients' server.
type farEnd struct{}

func (farEnd) Mail(string, *gosmtp.MailOptions) error { return nil }

func (farEnd) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	switch local, _, _ := strings.Cut(to, "@"); local {
	case "unknown":
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: Recipient address rejected: User unknown"}
	case "full":
		return &gosmtp.SMTPError{Code: 552, EnhancedCode: gosmtp.EnhancedCode{5, 2, 2}, Message: "<" + to + ">: Mailbox full"}
	case "refused":
		return &gosmtp.SMTPError{Code: 554, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "<" + to + ">: Relay access denied"}
	case "nomail":
		return &gosmtp.SMTPError{Code: 556, EnhancedCode: gosmtp.EnhancedCode{5, 1, 10}, Message: "<" + to + ">: Recipient address has null MX"}
	case "expired":
		return &gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 2}, Message: "System not accepting mail now"}
	}
	return nil
}

func (farEnd) Data(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
func (farEnd) Reset()                 {}
func (farEnd) Logout() error          { return nil }

func loopback(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// background runs f until the test ends and waits for it.
func background(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPostfix: a real Postfix with no agent beside it hands genuine DSNs to
// the listener, and each becomes the right event.
func TestPostfix(t *testing.T) {
	if err := simulator.CheckPostfix(); err != nil {
		t.Skip(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Millisecond)
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now}}
	if err := s.Install(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	door := ingest.New(s, judge)
	reports := loopback(t)
	background(t, func(ctx context.Context) error {
		l, err := ingest.NewSMTP(ingest.SMTPConfig{Door: door, Host: "bounce.example", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return l.Run(ctx, reports)
	})
	postfix := startPostfix(t, reports.Addr().String())

	want := map[string]struct {
		typ        waypost.EventType
		reason     waypost.Reason
		suppressed bool
	}{
		"unknown": {waypost.CSHardBounced, bounce.MailboxUnknown, true},
		"full":    {waypost.CSSoftBounced, bounce.MailboxFull, false},
		"refused": {waypost.CSSoftBounced, bounce.RelayDenied, false},
		"nomail":  {waypost.CSHardBounced, bounce.DomainNoMail, true},
		"expired": {waypost.CSSoftBounced, "", false},
	}
	messages := map[string]waypost.Message{}
	for local := range want {
		domain := "example.org"
		if local == "nomail" {
			domain = "nomail.example"
		}
		m := accept(t, door, in, local+"@"+domain, now)
		messages[local] = m
		relay(t, postfix, m)
	}
	for local, w := range want {
		m := messages[local]
		e := await(t, s, m)
		if e.Type != w.typ || w.reason != "" && e.Reason != w.reason || e.Source != waypost.SourceBounce || e.Queue == "" || e.Rule == "" {
			t.Errorf("%s became %s, reason %s, by %s: %s", local, e.Type, e.Reason, e.Rule, e.Text)
		}
		got, err := s.Suppressed(t.Context(), m.SubAccount, []string{m.Recipient}, time.Now())
		if err != nil || (len(got) == 1) != w.suppressed {
			t.Errorf("%s: suppressed %v, %v", local, got, err)
		}
		t.Logf("%s: %s, %s by %s: %s", local, e.Type, e.Reason, e.Rule, e.Text)
	}
}

// startPostfix gives the address of a private Postfix that routes return paths
// to the listener and everything else to the far end.
func startPostfix(t *testing.T, reports string) string {
	t.Helper()
	far := loopback(t)
	background(t, func(ctx context.Context) error {
		srv := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return farEnd{}, nil }))
		srv.Domain, srv.ErrorLog = "far.example", log.New(io.Discard, "", 0)
		defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
		if err := srv.Serve(far); ctx.Err() == nil {
			return err
		}
		return nil
	})
	dir, err := os.MkdirTemp("", "waypost-bounces-") //nolint:usetesting // a place that other users may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	started := make(chan string, 1)
	background(t, func(ctx context.Context) error {
		return simulator.RunPostfix(ctx, simulator.PostfixConfig{Dir: dir, NextHop: far.Addr().String()}, func(smtp, _ string) { started <- smtp })
	})
	select {
	case addr := <-started:
		host, port, _ := net.SplitHostPort(reports)
		for _, args := range [][]string{
			{
				"postconf", "-c", dir + "/etc", "-e", "transport_maps=inline:{sp-bounce.example.com=smtp:[" + host + "]:" + port + "}",
				"maximal_queue_lifetime=5s", "bounce_queue_lifetime=1h",
			},
			{"postfix", "-c", dir + "/etc", "reload"},
		} {
			if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", args, err, out)
			}
		}
		return addr
	case <-time.After(generous):
		t.Fatal("Postfix did not start")
		return ""
	}
}

func accept(t *testing.T, door *ingest.Door, in store.Installation, to string, now time.Time) waypost.Message {
	t.Helper()
	c := waypost.Content{ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Text: "hello"}
	m := waypost.Message{
		ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Content: c.ID, Recipient: to,
		To: waypost.Address{Email: to}, Provider: 1, SubmittedAt: now,
	}
	if err := door.Accept(t.Context(), c, []ingest.Draft{{Message: m}}, now); err != nil {
		t.Fatal(err)
	}
	return m
}

// relay hands a message to Postfix.
func relay(t *testing.T, addr string, m waypost.Message) {
	t.Helper()
	path := m.Envelope("example.com").ReturnPath.String()
	text := fmt.Sprintf("From: <news@example.com>\r\nTo: <%s>\r\nSubject: hello\r\nMessage-ID: <%s@sp-bounce.example.com>\r\nX-Sendpost-Message-UUID: %s\r\n\r\nhello\r\n",
		m.Recipient, m.ID, m.ID)
	var err error
	for deadline := time.Now().Add(generous); time.Now().Before(deadline); {
		var c *gosmtp.Client
		if c, err = gosmtp.Dial(addr); err == nil {
			err = c.SendMail(path, []string{m.Recipient}, strings.NewReader(text))
			_ = c.Close()
		}
		if err == nil {
			return
		}
		pause(t, 100*time.Millisecond) // Postfix may be reloading
	}
	t.Fatal(err)
}

// await waits for the bounce of a message.
func await(t *testing.T, s store.Store, m waypost.Message) waypost.Event {
	t.Helper()
	for deadline := time.Now().Add(generous); time.Now().Before(deadline); pause(t, 50*time.Millisecond) {
		trail, err := s.Trail(t.Context(), m.Account, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range trail.Events {
			if e.Type.Bounce() {
				return e
			}
		}
	}
	t.Fatal(errors.New(m.Recipient + ": no bounce came"))
	return waypost.Event{}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	case <-time.After(d):
	}
}
