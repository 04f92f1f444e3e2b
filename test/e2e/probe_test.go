package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

const probePath = "/api/v1/tpsp/test/custom-smtp"

func (s *server) probe(t *testing.T, request m) probe {
	t.Helper()
	var out probe
	s.get(t, s.asAccount("POST", probePath, request), &out)
	return out
}

// TestConnectionTest runs the connection test against a real Postfix with
// STARTTLS and against servers that have one thing wrong.
func TestConnectionTest(t *testing.T) {
	s := install(t, "")
	s.serve(t, newZone(t).addr())
	t.Run("Postfix", func(t *testing.T) {
		end := newSink(t)
		p := startPostfix(t, postfixOptions{sinkPort: end.port, format: rfc3339, tls: true})
		request := providerAt("", p.port)
		request["smtpSecurity"], request["tlsSkipVerify"] = "starttls", true
		request["testFrom"], request["testTo"] = "from@"+senderName, "ok-probe@people.example"
		got := s.probe(t, request)
		if !got.Success || got.FailedStep != "" || got.SMTPCode != 250 || got.TLS == nil || !strings.HasPrefix(got.TLS.Version, "TLS") {
			t.Errorf("%+v", got)
		}
		var names []string
		for _, step := range got.Steps {
			names = append(names, step.Name)
			if !step.OK {
				t.Errorf("step %+v", step)
			}
		}
		for _, want := range []string{"connect", "banner", "ehlo", "starttls", "tls", "mail", "rcpt", "data", "quit"} {
			if !slices.Contains(names, want) {
				t.Errorf("no step %q among %v", want, names)
			}
		}
		eventually(t, "the test's message to arrive", waitMail, func() bool {
			all := end.all()
			return len(all) == 1 && all[0].To == "ok-probe@people.example" && all[0].From == "from@"+senderName
		})
		request["tlsSkipVerify"] = false
		if got := s.probe(t, request); got.Success || got.FailedStep != "tls" || got.ErrorClass != "tls_handshake_failed" || got.Hint == "" {
			t.Errorf("a certificate that nobody vouches for: %+v", got)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		locked := smtptest.New(t, smtptest.Script{Username: "user", Password: "right"})
		request := providerAt("", locked.Port())
		request["smtpUsername"], request["smtpPassword"], request["allowPlainAuth"] = "user", "wrong", true
		if got := s.probe(t, request); got.Success || got.FailedStep != "auth" || got.ErrorClass != "auth_rejected" || got.SMTPCode != 535 || got.Hint == "" {
			t.Errorf("%+v", got)
		}
		request["smtpPassword"] = "right"
		if got := s.probe(t, request); !got.Success {
			t.Errorf("with the right password: %+v", got)
		}
	})
	t.Run("closed port", func(t *testing.T) {
		if got := s.probe(t, providerAt("", freePort(t))); got.Success || got.FailedStep != "connect" || got.ErrorClass != "connection_refused" || got.Hint == "" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("private address", func(t *testing.T) {
		strict := install(t, "")
		strict.noPrivate = true
		strict.serve(t, loopback(1))
		got := strict.probe(t, providerAt("", smtptest.New(t, smtptest.Script{}).Port()))
		if got.Success || !strings.Contains(got.Message+got.Hint, "allow_private_networks") {
			t.Errorf("%+v", got)
		}
	})
}
