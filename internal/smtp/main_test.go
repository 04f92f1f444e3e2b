package smtp

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configFor reaches the scripted server, with permission for loopback.
func configFor(s *smtptest.Server) Config {
	return Config{Host: s.Host(), Port: s.Port(), AllowPrivate: true, HELO: "client.example"}
}

func mustDial(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// asError is err as an *Error, or the end of the test.
func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *Error", err)
	}
	return e
}

// shortStep is the first step timeout tried against a server that hangs.
const shortStep = 100 * time.Millisecond

// patiently repeats do with a doubled step timeout while it times out in another
// stage than the one meant: then the machine was slow, not the server.
func patiently(cfg *Config, stage Stage, do func() *Error) *Error {
	for {
		e := do()
		if e.Stage == stage || e.Class != ClassTimeout || cfg.StepTimeout == 0 || cfg.StepTimeout > time.Minute {
			return e
		}
		cfg.StepTimeout *= 2
	}
}

var (
	testEnv  = Envelope{From: "from@sender.example", To: "to@rcpt.example"}
	testBody = []byte("Subject: hi\r\n\r\nhello\r\n")
)
