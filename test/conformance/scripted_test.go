package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// What a relay does with an outcome. It follows from the error alone (D-20, D-22).
const (
	sent     = "sent"
	retry    = "try again later"
	drop     = "drop the message"
	unknown  = "unknown: wait for the agent's evidence, then send again"
	provider = "keep the message, count it against the provider"
)

func fate(err error) string {
	var e *smtp.Error
	switch {
	case err == nil:
		return sent
	case !errors.As(err, &e):
		return err.Error()
	case e.Ambiguous():
		return unknown
	case e.Session():
		return provider
	case e.Permanent:
		return drop
	}
	return retry
}

// odd is one way to misbehave and what a pool with one connection makes of it.
type odd struct {
	name, behaviour string
	script          smtptest.Script
	// before are messages that must be sent first; they leave a session behind.
	before int
	// prepare sends a refused message first, so that RSET is due.
	prepare bool
	stage   smtp.Stage // of the failure, "" when the message is sent
	class   smtp.Class
	code    int // of the reply, 0 when there was none
	fate    string
	// sessions is how many connections it takes, 0: one.
	sessions int
	slow     bool // bytes arrive one by one
	startTLS bool
	login    bool
	hint     string // has this, in a connection test
	large    bool
}

func (o odd) row() row {
	result := o.fate
	if o.sessions > 1 {
		result += ", on a new session"
	}
	if o.stage != "" {
		answer := "no answer"
		if o.code > 0 {
			answer = fmt.Sprint(o.code)
		}
		result = fmt.Sprintf("%s at %s (%s): %s", o.class, o.stage, answer, o.fate)
	}
	if o.hint != "" {
		result += fmt.Sprintf("; hint: %q", o.hint)
	}
	return row{name: o.name, behaviour: o.behaviour, result: result, run: o.run}
}

// hangs reports whether the script waits for a time-out.
func (o odd) hangs() bool { return o.class == smtp.ClassTimeout }

func (o odd) run(t *testing.T, _ *server) {
	s := o.script
	if o.startTLS && s.TLS == nil {
		s.TLS = smtptest.SelfSigned(t, "127.0.0.1")
	}
	if o.login {
		s.Username, s.Password = username, password
	}
	if o.prepare {
		s.Rcpt = func(to string) string {
			if to == refusedRcpt {
				return "550 5.1.1 no"
			}
			return ""
		}
	}
	srv := smtptest.New(t, s)
	c := smtp.Config{
		Host: srv.Host(), Port: srv.Port(), AllowPrivate: true, HELO: "client.example",
		StepTimeout: patience, TLSSkipVerify: o.startTLS, AllowPlainAuth: true,
	}
	if o.startTLS {
		c.Security = smtp.SecurityStartTLS
	}
	if o.login {
		login(&c)
	}
	if o.slow {
		c.Dial = dribble
	}
	if o.hangs() {
		c.StepTimeout = 100 * time.Millisecond
	}
	sessions, err := o.outcome(t, c, srv)
	// A step that timed out too early means a slow machine: give it more time.
	for o.hangs() && wrongStage(err, o.stage) && c.StepTimeout < patience {
		c.StepTimeout *= 2
		sessions, err = o.outcome(t, c, srv)
	}
	o.judge(t, err)
	if want := max(o.sessions, 1); sessions != want {
		t.Errorf("%d connections, want %d", sessions, want)
	}
	if o.hint != "" {
		c.StepTimeout = max(c.StepTimeout, time.Second)
		res := smtp.Probe(t.Context(), c, "from@sender.example", recipient, newLetter("x\r\n").body)
		if res.Success || !strings.Contains(res.Hint, o.hint) || string(o.class) != string(res.ErrorClass) {
			t.Errorf("connection test: %s, hint %q", res.ErrorClass, res.Hint)
		}
	}
}

// outcome sends through a fresh pool; it counts the connections made.
func (o odd) outcome(t *testing.T, c smtp.Config, srv *smtptest.Server) (sessions int, err error) {
	t.Helper()
	already := srv.Sessions()
	pool := smtp.NewPool(c, smtp.PoolOptions{MaxConns: 1})
	defer func() { _ = pool.Close() }()
	for range o.before {
		if _, err := pool.Send(t.Context(), envelope(recipient), newLetter("before\r\n").body); err != nil {
			if o.hangs() {
				return 0, err
			}
			t.Fatal(err)
		}
	}
	if o.prepare {
		_, err := pool.Send(t.Context(), envelope(refusedRcpt), newLetter("refused\r\n").body)
		refused(t, err, smtp.StageRcpt, smtp.ClassRcptFailed, 550)
	}
	content := "odd\r\n"
	if o.large { // more than the socket buffers hold
		content = strings.Repeat("0123456789012345678901234567890123456789\r\n", 400_000)
	}
	_, err = pool.Send(t.Context(), envelope(recipient), newLetter(content).body)
	return srv.Sessions() - already, err
}

func wrongStage(err error, want smtp.Stage) bool {
	var e *smtp.Error
	return errors.As(err, &e) && e.Class == smtp.ClassTimeout && e.Stage != want
}

func (o odd) judge(t *testing.T, err error) {
	t.Helper()
	if got := fate(err); got != o.fate {
		t.Errorf("%v: %s, want %s", err, got, o.fate)
	}
	var e *smtp.Error
	if !errors.As(err, &e) {
		if o.stage != "" {
			t.Errorf("no error, want one at %s", o.stage)
		}
		return
	}
	code := 0
	if e.Reply != nil {
		code = e.Reply.Code
	}
	if e.Stage != o.stage || e.Class != o.class || code != o.code || e.Permanent != (o.code >= 500) || e.Ambiguous() != (o.fate == unknown) {
		t.Errorf("%v: stage %s class %s code %d permanent %v ambiguous %v", e, e.Stage, e.Class, code, e.Permanent, e.Ambiguous())
	}
}

// dribble connects so that a read gives one byte at a time.
func dribble(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return slowConn{conn}, nil
}

type slowConn struct{ net.Conn }

func (c slowConn) Read(p []byte) (int, error) {
	<-time.After(100 * time.Microsecond)
	return c.Conn.Read(p[:min(len(p), 1)])
}

func TestScripted(t *testing.T) {
	t.Parallel()
	runRows(t, &server{}, scriptedRows())
}

func scriptedRows() []row {
	var rows []row
	for _, group := range [][]odd{oddReplies(), odd421(), oddCuts(), oddHangs(), oddGarbage(), oddSessions()} {
		for _, o := range group {
			rows = append(rows, o.row())
		}
	}
	return rows
}
