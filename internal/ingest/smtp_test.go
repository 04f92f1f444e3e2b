package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// generous is how long anything may take before a test gives up.
const generous = 60 * time.Second

// listen starts the bounce processor and gives its address.
func (w *world) listen(c ingest.SMTPConfig) string {
	w.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(w.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	c.Door, c.Host, c.Log = w.door, "bounce.example", slog.New(slog.DiscardHandler)
	s, err := ingest.NewSMTP(c)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
	return l.Addr().String()
}

// client speaks SMTP as bytes.
type client struct {
	*testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(generous))
	t.Cleanup(func() { _ = c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

// reply reads one reply, its last line; "" when the other side closed.
func (c *client) reply() string {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return ""
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimRight(line, "\r\n")
		}
	}
}

// say sends text as it is, and wants a reply that begins so.
func (c *client) say(text, want string) {
	c.Helper()
	_, _ = io.WriteString(c.Conn, text)
	if got := c.reply(); !strings.HasPrefix(got, want) || want == "" && got != "" {
		c.Errorf("after %.80q: %q, want %s", text, got, want)
	}
}

// envelope speaks up to the 354.
func (c *client) envelope(to ...string) {
	c.Helper()
	c.say("", "220")
	c.say("EHLO mta.example\r\n", "250")
	c.say("MAIL FROM:<>\r\n", "250")
	for _, a := range to {
		c.say("RCPT TO:<"+a+">\r\n", "250")
	}
	c.say("DATA\r\n", "354")
}

func TestTranscript(t *testing.T) {
	w := newWorld(t)
	addr := w.listen(ingest.SMTPConfig{})
	m, other := w.accept("a@example.com", ""), w.accept("b@example.com", "")
	c := dial(t, addr)
	c.say("", "220 bounce.example")
	c.say("MAIL FROM:<>\r\n", "502")
	c.say("EHLO mta.example\r\n", "250")
	c.say("MAIL FROM:<> SIZE=1048577\r\n", "552")
	c.say("MAIL FROM:<x@y.example> SIZE=1000 BODY=8BITMIME\r\n", "250")
	c.say("DATA\r\n", "502")
	for _, stranger := range []string{
		"ann@example.org", "bounces@sp-bounce.example.com", "postmaster@elsewhere.example",
		waypost.ReturnPath{UUID: waypost.NewUUID(w.now), SubAccount: m.SubAccount, Domain: "sp-bounce.example.com"}.String(),
		waypost.ReturnPath{UUID: m.ID, SubAccount: m.SubAccount + 7, Domain: "sp-bounce.example.com"}.String(),
	} {
		c.say("RCPT TO:<"+stranger+">\r\n", "550 5.1.1")
	}
	c.say("RCPT TO:<"+w.path(m)+">\r\n", "250")
	c.say("RCPT TO:<"+strings.ToUpper(w.path(m))+">\r\n", "250")
	c.say("RCPT TO:<"+w.path(other)+">\r\n", "250")
	c.say("DATA\r\n", "354")
	c.say(string(hardDSN(w.path(m), "a@example.com"))+".\r\n", "250")
	w.wantEvents(m.ID, "Processed HardBounced") // durable when it says 250
	w.wantEvents(other.ID, "Processed [HardBounced]")
	c.say("MAIL FROM:<ann@example.org>\r\n", "250")
	for _, role := range []string{"postmaster@bounce.example", "Abuse@BOUNCE.example", "fbl@bounce.example", "postmaster@sp-bounce.example.com"} {
		c.say("RCPT TO:<"+role+">\r\n", "250")
	}
	c.say("DATA\r\n", "354")
	c.say("Subject: hello\r\n\r\nhello\r\n.\r\n", "250")
	if list, err := w.store.ListReports(t.Context(), store.ReportQuery{Account: w.account, Status: store.ReportUnlinked, Limit: 10}); err != nil || len(list) != 4 {
		t.Errorf("%d reports to role addresses, %v", len(list), err)
	}
	c.say("RSET\r\n", "250")
	c.say("VRFY a\r\n", "252")
	c.say("EXPN a\r\n", "502")
	c.say("AUTH PLAIN AGEAYg==\r\n", "5")
	c.say("QUIT\r\n", "221")
}

func TestStartTLS(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	c := dial(t, w.listen(ingest.SMTPConfig{}))
	c.say("", "220")
	c.say("EHLO x\r\n", "250")
	c.say("STARTTLS\r\nVRFY injected\r\n", "220") // what was sent ahead must not be heard
	secure := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.in = secure, bufio.NewReader(secure)
	c.say("EHLO x\r\n", "250") // and not 252
	c.say("NOOP\r\n", "250 2.0.0 I have")

	c = dial(t, w.listen(ingest.SMTPConfig{}))
	c.say("", "220")
	c.say("EHLO x\r\n", "250")
	c.say("STARTTLS\r\n", "220")
	secure = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.in = secure, bufio.NewReader(secure)
	c.say("MAIL FROM:<>\r\n", "502")
	c.say("EHLO x\r\n", "250")
	c.say("MAIL FROM:<>\r\n", "250")
	c.say("RCPT TO:<"+w.path(m)+">\r\n", "250")
	c.say("DATA\r\n", "354")
	c.say("a\nb\r\n.\r\n", "554") // the session ends below TLS, too
	c.say("NOOP\r\n", "")
}

// TestSmuggling: no form of a false end of data makes a second mail, and the
// session ends.
func TestSmuggling(t *testing.T) {
	w := newWorld(t)
	addr := w.listen(ingest.SMTPConfig{})
	m, victim := w.accept("a@example.com", ""), w.accept("victim@example.com", "")
	second := "MAIL FROM:<>\r\nRCPT TO:<" + w.path(victim) + ">\r\nDATA\r\n" + string(hardDSN(w.path(victim), victim.Recipient)) + ".\r\n"
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\r\n.\r\n\r\n", "x\r\x00\n.\r\n"} {
		c := dial(t, addr)
		c.envelope(w.path(m))
		c.say("Subject: x\r\n\r\ntext"+end+second, "554 5.5.2")
		c.say("QUIT\r\n", "")
	}
	// A dot and a lone CR at the beginning of a line are taken out by the SMTP
	// library before anybody sees them. They end nothing: all of it is one mail.
	for i, end := range []string{"\r\n.\r", "\r\n.\r\r\n"} {
		c := dial(t, addr)
		c.envelope(w.path(m))
		c.say("Subject: x\r\n\r\ntext"+end+strings.Replace(second, "\r\n.\r\n", "\r\n", 1)+"\r\n.\r\n", "250")
		c.say("QUIT\r\n", "221")
		list, err := w.store.ListReports(t.Context(), store.ReportQuery{Account: w.account, Limit: 10})
		if err != nil || len(list) != i+1 || list[0].Message != m.ID {
			t.Fatalf("%q: %+.200v, %v", end, list, err)
		}
	}
	c := dial(t, addr) // the same by BDAT
	c.say("", "220")
	c.say("EHLO x\r\n", "250")
	c.say("MAIL FROM:<>\r\n", "250")
	c.say("RCPT TO:<"+w.path(m)+">\r\n", "250")
	c.say("BDAT 6 LAST\r\na\nb\r\n\n", "554")
	c.say("NOOP\r\n", "")
	w.wantEvents(m.ID, "Processed [HardBounced] [HardBounced]") // it speaks of another recipient
	w.wantEvents(victim.ID, "Processed")
	if list, err := w.store.ListReports(t.Context(), store.ReportQuery{Account: w.account, Limit: 10}); err != nil || len(list) != 2 {
		t.Errorf("%d reports were stored, %v", len(list), err)
	}
}

func TestBounds(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	addr := w.listen(ingest.SMTPConfig{RolesPerHour: 1})
	c := dial(t, addr)
	c.envelope(w.path(m))
	line := strings.Repeat("x", 998) + "\r\n"
	c.say(strings.Repeat(line, 2000)+".\r\n", "552 5.3.4")
	c.say("MAIL FROM:<>\r\n", "250") // an honest sender goes on
	c.say("RCPT TO:<"+w.path(m)+">\r\n", "250")
	c.say("BDAT 5000000 LAST\r\n"+strings.Repeat("x", 5_000_000), "552")

	c = dial(t, addr)
	c.envelope(w.path(m))
	c.say(strings.Repeat("x", 100_000)+"\r\n.\r\n", "500")

	c = dial(t, addr)
	c.say("", "220")
	c.say("EHLO "+strings.Repeat("x", 100_000)+"\r\n", "500")

	c = dial(t, addr)
	c.say("", "220")
	c.say("EHLO x\r\n", "250")
	c.say("MAIL FROM:<>\r\n", "250")
	for range 19 {
		c.say("RCPT TO:<a@b.example>\r\n", "550")
	}
	c.say("RCPT TO:<a@b.example>\r\nRCPT TO:<"+w.path(m)+">\r\nDATA\r\n", "421")
	c.say("NOOP\r\n", "")

	c = dial(t, addr)
	c.envelope("postmaster@bounce.example")
	c.say("Subject: 1\r\n\r\nx\r\n.\r\n", "250")
	c.say("MAIL FROM:<>\r\n", "250")
	c.say("RCPT TO:<postmaster@bounce.example>\r\n", "250")
	c.say("DATA\r\n", "354")
	c.say("Subject: 2\r\n\r\nx\r\n.\r\n", "452")

	c = dial(t, addr) // cut in the middle
	c.envelope(w.path(m))
	_, _ = c.Write(hardDSN(w.path(m), m.Recipient))
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	for c.reply() != "" {
	}
	w.wantEvents(m.ID, "Processed")
}

func TestSlowClientsAndLimits(t *testing.T) {
	w := newWorld(t)
	addr := w.listen(ingest.SMTPConfig{MaxConns: 4, PerIP: 3, IdleTimeout: 500 * time.Millisecond, Lifetime: 3 * time.Second})
	var slow []*client
	for range 3 {
		c := dial(t, addr)
		c.say("", "220")
		slow = append(slow, c)
	}
	dial(t, addr).say("", "421")
	for i, c := range slow {
		if i == 0 {
			_, _ = io.WriteString(c.Conn, "EHL") // and no more
		}
		for c.reply() != "" { // told of the timeout or not, it is closed
		}
	}
	c := dial(t, addr)
	c.say("", "220")
	busy := 0
	for c.Conn != nil { // one that always does something is closed as well
		_, err := io.WriteString(c.Conn, "NOOP\r\n")
		if err != nil || c.reply() == "" {
			break
		}
		busy++
	}
	if busy == 0 {
		t.Error("a busy session was closed at once")
	}
	rate := w.listen(ingest.SMTPConfig{PerIPMinute: 2})
	refused := false
	for range 6 { // the minute may change in between, once
		c := dial(t, rate)
		refused = refused || strings.HasPrefix(c.reply(), "421")
		_ = c.Close()
	}
	if !refused {
		t.Error("six connections passed a limit of two a minute")
	}
}

func TestStorageAwayIsTemporary(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	addr := w.listen(ingest.SMTPConfig{})
	c, d := dial(t, addr), dial(t, addr)
	c.envelope(w.path(m))
	d.say("", "220")
	d.say("EHLO x\r\n", "250")
	d.say("MAIL FROM:<>\r\n", "250")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	c.say(string(hardDSN(w.path(m), m.Recipient))+".\r\n", "451 4.3.0")
	d.say("RCPT TO:<"+w.path(m)+">\r\n", "451 4.3.0")
}

// TestHostileSessions: ten thousand sessions of every bad kind, and mail still
// flows.
func TestHostileSessions(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	addr := w.listen(ingest.SMTPConfig{PerIPMinute: 1 << 30})
	n := int64(10_000)
	if testing.Short() {
		n = 1000
	}
	attacks := []string{
		"", "\r\n\r\n\r\n\r\n\r\n", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("A", 20_000),
		"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + w.path(m) + ">\r\nDATA\r\nx\n.\nQUIT\r\n", "EHLO x\r\nBDAT 99999999\r\n",
		"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + w.path(m) + ">\r\nBDAT 5\r\nabc", "EHLO x\r\nSTARTTLS\r\njunk", "AUTH PLAIN\r\nAUTH\r\n",
		"EHLO x\r\nMAIL FROM:<> SIZE=99999999999999999999 BODY=X RET=Y\r\nMAIL FROM:<\"\\\r\nRCPT TO:<>\r\n",
	}
	var before, mem runtime.MemStats
	runtime.ReadMemStats(&before) // what tests before this one took
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > n {
					return
				}
				var d net.Dialer
				c, err := d.DialContext(t.Context(), "tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(generous))
				_, _ = io.WriteString(c, attacks[i%int64(len(attacks))])
				if i%3 == 0 {
					_, _ = c.Read(make([]byte, 512))
				}
				_ = c.Close()
			}
		})
	}
	for i := range 20 { // beside the attack
		c := dial(t, addr)
		got := c.reply()
		for strings.HasPrefix(got, "421") { // full for the moment: an honest sender comes again
			c = dial(t, addr)
			got = c.reply()
		}
		c.say("EHLO x\r\n", "250")
		c.say("MAIL FROM:<>\r\n", "250")
		c.say("RCPT TO:<"+w.path(m)+">\r\n", "250")
		c.say("DATA\r\n", "354")
		c.say(fmt.Sprintf("Subject: %d\r\n\r\nx\r\n.\r\n", i), "250")
	}
	wg.Wait()
	list, err := w.store.ListReports(t.Context(), store.ReportQuery{Account: w.account, Limit: 1000})
	if err != nil || len(list) != 20 {
		t.Errorf("%d reports, %v", len(list), err)
	}
	runtime.ReadMemStats(&mem)
	took := int64(mem.Sys-before.Sys) >> 20
	t.Logf("%d sessions; heap %d MB, %d MB more from the system", n, mem.HeapAlloc>>20, took)
	if took > 256 {
		t.Errorf("the sessions took %d MB from the system, the target is 256", took)
	}
}

func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip("swaks is absent; test/packages.sh installs it")
	}
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	addr := w.listen(ingest.SMTPConfig{})
	send := func(to string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), generous)
		defer cancel()
		cmd := exec.CommandContext(ctx, swaks, "--server", addr, "--from", "<>", "--to", to, "--tls-optional", "--data", "-")
		cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(hardDSN(to, m.Recipient), []byte("\r\n"), []byte("\n")))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := send(w.path(m)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.wantEvents(m.ID, "Processed HardBounced")
	stranger := waypost.ReturnPath{UUID: waypost.NewUUID(w.now), SubAccount: 1, Domain: "sp-bounce.example.com"}.String()
	var exit *exec.ExitError
	if out, err := send(stranger); !errors.As(err, &exit) || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("a forged return path: %v\n%s", err, out)
	}
}
