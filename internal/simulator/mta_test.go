package simulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/mtalog"
	"github.com/waypost-mail/waypost/internal/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a mail log in memory that can be waited for.
type journal struct {
	mu    sync.Mutex
	text  []byte
	grown chan struct{}
}

func newJournal() *journal { return &journal{grown: make(chan struct{}, 1)} }

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	j.text = append(j.text, b...)
	j.mu.Unlock()
	select {
	case j.grown <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (j *journal) facts(t *testing.T) []mtalog.Fact {
	t.Helper()
	p, err := mtalog.New("postfix", mtalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []mtalog.Fact
	for line := range bytes.Lines(j.text) {
		var f mtalog.Fact
		if p.Parse(bytes.TrimSuffix(line, []byte("\n")), &f) {
			out = append(out, f)
		}
	}
	return out
}

// until waits for the log to have n facts of a kind and gives all facts.
func (j *journal) until(t *testing.T, kind mtalog.Kind, n int) []mtalog.Fact {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		facts := j.facts(t)
		have := 0
		for i := range facts {
			if facts[i].Kind == kind {
				have++
			}
		}
		if have >= n {
			return facts
		}
		select {
		case <-j.grown:
		case <-deadline:
			t.Fatalf("waited for %d lines of kind %s; the log has\n%s", n, kind, j.text)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// running starts a server for the time of the test and wants it to end well.
func running(t *testing.T, run func(context.Context, net.Listener) error) net.Addr {
	t.Helper()
	l := listen(t)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr()
}

func dial(t *testing.T, addr net.Addr, user, password string) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(t.Context(), smtp.Config{
		Host: "127.0.0.1", Port: addr.(*net.TCPAddr).Port, Username: user, Password: password,
		AllowPlainAuth: true, AllowPrivate: true, HELO: "client.example",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const (
	sender = "bounces+0192f0c8-6b7e-7c43-9a0e-6f3f1d2c4b5a+1@sp-bounce.sender.example"
	body   = "Message-ID: <0192f0c8-6b7e-7c43-9a0e-6f3f1d2c4b5a@sp-bounce.sender.example>\r\nSubject: x\r\n\r\nhello\r\n"
)

// Each recipient's outcome stands in the log in lines that the agent's parser
// reads.
func TestOutcomes(t *testing.T) {
	f := func(to string, want ...string) {
		t.Helper()
		log := newJournal()
		mta := NewMTA(MTAConfig{MailLog: log, Latency: time.Millisecond, Pause: time.Millisecond, Username: "u", Password: "p"})
		c := dial(t, running(t, mta.Run), "u", "p")
		if _, err := c.Send(t.Context(), smtp.Envelope{From: sender, To: to, ENVID: "x", ORCPT: to}, []byte(body)); err != nil {
			t.Fatal(err)
		}
		facts := log.until(t, mtalog.Removed, 1)
		var got []string
		for i := range facts {
			if f := &facts[i]; f.Kind == mtalog.Outcome {
				got = append(got, fmt.Sprintf("%s %d %s to %s by %s", f.Status, f.Code, f.Enhanced, f.Recipient, f.RelayHost))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(to, diff)
		}
		if facts[0].Kind != mtalog.Fresh || facts[1].Kind != mtalog.MessageID || facts[2].Kind != mtalog.Sender {
			t.Errorf("the log begins with %s, %s, %s", facts[0].Kind, facts[1].Kind, facts[2].Kind)
		}
		if facts[2].Sender != sender || facts[2].Size != int64(len(body)) || !strings.HasPrefix(facts[1].MessageID, "0192f0c8") {
			t.Errorf("sender %q of %d bytes, message id %q", facts[2].Sender, facts[2].Size, facts[1].MessageID)
		}
	}
	f("deliver@mailbox.example", "sent 250 2.0.0 to deliver@mailbox.example by mx.mailbox.example")
	f("someone@mailbox.example", "sent 250 2.0.0 to someone@mailbox.example by mx.mailbox.example")
	f("hardbounce@mailbox.example", "bounced 550 5.1.1 to hardbounce@mailbox.example by mx.mailbox.example")
	f("SoftBounce+tag@mailbox.example", "bounced 552 5.2.2 to SoftBounce+tag@mailbox.example by mx.mailbox.example")
	f("deferred@mailbox.example",
		"deferred 451 4.7.1 to deferred@mailbox.example by mx.mailbox.example",
		"sent 250 2.0.0 to deferred@mailbox.example by mx.mailbox.example")
}

// refused@ is refused by the mail server once per message, then taken.
func TestRefused(t *testing.T) {
	log := newJournal()
	var mu sync.Mutex
	var seen []string
	mta := NewMTA(MTAConfig{MailLog: log, Latency: time.Millisecond, Seen: func(s string) {
		mu.Lock()
		seen = append(seen, s)
		mu.Unlock()
	}})
	c := dial(t, running(t, mta.Run), "", "")
	for _, from := range []string{"a@sender.example", "b@sender.example"} {
		envelope := smtp.Envelope{From: from, To: "refused@mailbox.example"}
		_, err := c.Send(t.Context(), envelope, []byte(body))
		var e *smtp.Error
		if !errors.As(err, &e) || e.Reply == nil || e.Reply.Code != 451 || e.Reply.Enhanced != "4.3.2" || e.Stage != smtp.StageRcpt {
			t.Fatalf("the first attempt ended with %v", err)
		}
		if _, err := c.Send(t.Context(), envelope, []byte(body)); err != nil {
			t.Fatalf("the second attempt: %v", err)
		}
	}
	facts := log.until(t, mtalog.Removed, 2)
	rejects := 0
	for i := range facts {
		if facts[i].Kind == mtalog.Reject && facts[i].Recipient == "refused@mailbox.example" {
			rejects++
		}
	}
	if rejects != 2 {
		t.Errorf("%d lines about the refusals", rejects)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"a@sender.example", "a@sender.example", "b@sender.example", "b@sender.example"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestAuth(t *testing.T) {
	addr := running(t, NewMTA(MTAConfig{Username: "u", Password: "right"}).Run)
	_, err := smtp.Dial(t.Context(), smtp.Config{
		Host: "127.0.0.1", Port: addr.(*net.TCPAddr).Port, Username: "u", Password: "wrong", AllowPlainAuth: true, AllowPrivate: true,
	})
	var e *smtp.Error
	if !errors.As(err, &e) || e.Reply == nil || e.Reply.Code != 535 {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = dial(t, addr, "", "").Send(t.Context(), smtp.Envelope{From: "a@b.example", To: "c@d.example"}, []byte(body))
	if !errors.As(err, &e) || e.Reply == nil || e.Reply.Code != 530 {
		t.Errorf("no password: %v", err)
	}
}

// A stop does not wait for mail that is deferred for an hour.
func TestStopWithMailWaiting(t *testing.T) {
	log := newJournal()
	mta := NewMTA(MTAConfig{MailLog: log, Latency: time.Millisecond, Pause: time.Hour})
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mta.Run(ctx, l) }()
	c := dial(t, l.Addr(), "", "")
	if _, err := c.Send(t.Context(), smtp.Envelope{From: "a@b.example", To: "deferred@d.example"}, []byte(body)); err != nil {
		t.Fatal(err)
	}
	log.until(t, mtalog.Outcome, 1)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestMailLogFailure(t *testing.T) {
	mta := NewMTA(MTAConfig{MailLog: brokenDisk{}})
	l := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mta.Run(ctx, l) }()
	c := dial(t, l.Addr(), "", "")
	if _, err := c.Send(t.Context(), smtp.Envelope{From: "a@b.example", To: "c@d.example"}, []byte(body)); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("ended with %v", err)
	}
}

// What a client says stays inside its line of the log.
func TestRefusalKeepsItsLine(t *testing.T) {
	log := newJournal()
	l := mailLog{out: log, format: mtalog.Writer{Host: "relay", Form: mtalog.RFC3339}}
	l.refused("a\nb@x.example", "refused\r@y.example\xff", notNow)
	if n := bytes.Count(log.text, []byte("\n")); n != 1 {
		t.Errorf("%d lines: %q", n, log.text)
	}
	if f := log.facts(t); len(f) != 1 || f[0].Kind != mtalog.Reject {
		t.Errorf("read as %v", f)
	}
}

func TestTallyForgets(t *testing.T) {
	var c tally
	for i := range 3 * tallyMost {
		c.next(fmt.Sprint(i), "x")
	}
	if len(c.n) > tallyMost {
		t.Errorf("%d entries", len(c.n))
	}
	c.next("last", "x")
	if n := c.next("last", "x"); n != 2 {
		t.Errorf("counted %d", n)
	}
}

func resolve(t *testing.T, addr string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Sessions beyond the bound are turned away, and their places come back.
func TestTooManySessions(t *testing.T) {
	addr := running(t, (&FarEnd{}).Run)
	config := smtp.Config{Host: "127.0.0.1", Port: addr.(*net.TCPAddr).Port, AllowPrivate: true, HELO: "client.example"}
	var open []*smtp.Client
	for range maxSessions {
		open = append(open, dial(t, addr, "", ""))
	}
	var e *smtp.Error
	if _, err := smtp.Dial(t.Context(), config); !errors.As(err, &e) || e.Reply == nil || e.Reply.Code != 421 {
		t.Fatalf("one session too many: %v", err)
	}
	for _, c := range open {
		_ = c.Close()
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := smtp.Dial(t.Context(), config)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no place after all sessions ended: %v", err)
		}
	}
}
