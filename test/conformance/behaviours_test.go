package conformance

import (
	"errors"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// What the real servers have in common. Every server has the ports "plain" (open
// to everybody, no TLS needed), "sasl" (STARTTLS, login after it) and "smtps"
// (TLS from the first byte, login), refuses the recipients refused@ and later@,
// and refuses a body with the subject or word that refusedBody has.

const (
	refusedRcpt = "refused@rcpt.example"
	laterRcpt   = "later@rcpt.example"

	stepsPlain    = "dns connect banner ehlo mail rcpt data quit"
	stepsStartTLS = "dns connect banner ehlo starttls tls ehlo auth mail rcpt data quit"
	stepsTLS      = "dns connect tls banner ehlo auth mail rcpt data quit"
)

// common are the rows that every real server passes in the same way.
func common() []row {
	return []row{
		{name: "probe", behaviour: "connection test without TLS and login", result: "success: " + stepsPlain, run: func(t *testing.T, s *server) {
			l := newLetter("probe\r\n")
			res := probe(t, s.config("plain"), l, stepsPlain)
			if res.TLS != nil || len(res.Capabilities) == 0 || res.Hint != "" {
				t.Errorf("%+v", res)
			}
			s.arrived(t, l)
		}},
		{name: "probe_starttls_auth", tls: true, behaviour: "connection test with STARTTLS and login", result: "success: " + stepsStartTLS, run: func(t *testing.T, s *server) {
			l := newLetter("probe\r\n")
			res := probe(t, s.config("sasl", startTLS, login), l, stepsStartTLS)
			if res.TLS == nil || res.TLS.PeerName != "mx.example" || res.TLS.Version < "TLS 1.2" {
				t.Errorf("%+v", res.TLS)
			}
			s.arrived(t, l)
		}},
		{name: "probe_tls", tls: true, behaviour: "connection test with TLS from the first byte (as on 465) and login", result: "success: " + stepsTLS, run: func(t *testing.T, s *server) {
			l := newLetter("probe\r\n")
			probe(t, s.config("smtps", fromTLS, login), l, stepsTLS)
			s.arrived(t, l)
		}},
		{name: "auth_plain", tls: true, behaviour: "AUTH PLAIN asked for", result: "sent", run: authRow("sasl", smtp.AuthPlain)},
		{name: "auth_login", tls: true, behaviour: "AUTH LOGIN asked for", result: "sent", run: authRow("sasl", smtp.AuthLogin)},
		{name: "auth_wrong_password", tls: true, behaviour: "wrong password, PLAIN and LOGIN", result: "auth_rejected, permanent, hint about the password; provider paused", run: func(t *testing.T, s *server) {
			for _, m := range []smtp.AuthMethod{smtp.AuthPlain, smtp.AuthLogin} {
				c := s.config("sasl", startTLS, login, mechanism(m))
				c.Password = "wrong"
				_, err := smtp.Dial(t.Context(), c)
				if e := refused(t, err, smtp.StageAuth, smtp.ClassAuthRejected, 535); !e.Session() {
					t.Errorf("%s: does not speak of the provider: %v", m, e)
				}
				res := probe(t, c, newLetter(""), "dns connect banner ehlo starttls tls ehlo auth!")
				if !strings.Contains(res.Hint, "password") {
					t.Errorf("%s: hint %q", m, res.Hint)
				}
			}
		}},
		{name: "auth_needs_tls", behaviour: "login configured without TLS", result: "credentials not sent; hint names TLS", run: func(t *testing.T, s *server) {
			var w wire
			c := s.config("sasl", login, w.tap)
			res := probe(t, c, newLetter(""), "dns connect banner ehlo auth!")
			if res.ErrorClass != smtp.ClassAuthUnsupported || !strings.Contains(res.Hint, "starttls") || len(w.with("AUTH")) > 0 {
				t.Errorf("%+v, wrote %q", res, w.with("AUTH"))
			}
		}},
		{name: "auth_required", tls: true, behaviour: "no login where one is needed", result: "refused; hint says to set user name and password", run: func(t *testing.T, s *server) {
			res := smtp.Probe(t.Context(), s.config("sasl", startTLS), "from@sender.example", recipient, newLetter("").body)
			if res.Success || res.Code < 500 || !strings.Contains(res.Hint, "user name and password") {
				t.Errorf("%+v", res)
			}
		}},
		{name: "tls_on_plain_port", behaviour: "TLS from the first byte where plain SMTP is spoken", result: "tls_handshake_failed, hint names starttls and 465", run: func(t *testing.T, s *server) {
			res := probe(t, s.config("plain", fromTLS), newLetter(""), "dns connect tls!")
			if res.ErrorClass != smtp.ClassTLSFailed || !strings.Contains(res.Hint, "starttls") || !strings.Contains(res.Hint, "465") {
				t.Errorf("%+v", res)
			}
		}},
		{name: "session_reuse", behaviour: "several messages on one session, by the pool", result: "one connection, all arrive", run: sessionReuse},
		{name: "refused_recipient", behaviour: "recipient refused, then another message on the session", result: "rcpt_to_failed, permanent; session goes on", run: func(t *testing.T, s *server) {
			refuseThenAccept(t, s, "plain", refusedRcpt, smtp.StageRcpt, smtp.ClassRcptFailed, 550)
		}},
		{name: "bytes", behaviour: "dots at the start of lines, lines of 998 bytes, UTF-8, an empty body", result: "arrive as they were", run: bytesRow},
		{name: "large", behaviour: "a message of 1 MB", result: "arrives as it was", run: func(t *testing.T, s *server) {
			s.accept(t, mustDial(t, s.config("plain")), envelope(recipient), strings.Repeat("0123456789 abcdefghij .\r\n.\r\n", 1<<20/28))
		}},
		{name: "null_sender", behaviour: "the null reverse-path", result: "sent", run: func(t *testing.T, s *server) {
			m := s.accept(t, mustDial(t, s.config("plain")), smtp.Envelope{To: recipient}, "null\r\n")
			if m.From != "" {
				t.Errorf("from %q", m.From)
			}
		}},
	}
}

// authRow logs in by one mechanism and sends.
func authRow(port string, m smtp.AuthMethod) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		c := mustDial(t, s.config(port, startTLS, login, mechanism(m)))
		s.accept(t, c, envelope(recipient), "authenticated\r\n")
	}
}

// offers holds which mechanisms a port lists, and that the other one is refused
// here, in words.
func offers(port string, has, lacks smtp.AuthMethod) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		c := mustDial(t, s.config(port, startTLS, login))
		if got := strings.Join(c.Extensions().Auth, " "); got != strings.ToUpper(string(has)) {
			t.Errorf("offers %q", got)
		}
		s.accept(t, c, envelope(recipient), "by the only mechanism\r\n")
		_, err := smtp.Dial(t.Context(), s.config(port, startTLS, login, mechanism(lacks)))
		refused(t, err, smtp.StageAuth, smtp.ClassAuthUnsupported, 0)
	}
}

func sessionReuse(t *testing.T, s *server) {
	c := s.config("plain")
	if s.noTLS == nil {
		c = s.config("sasl", startTLS, login)
	}
	pool := smtp.NewPool(c, smtp.PoolOptions{MaxConns: 1})
	defer func() { _ = pool.Close() }()
	var letters []letter
	for i := range 4 {
		l := newLetter("reuse\r\n")
		env := envelope(recipient)
		env.Trace = new(smtp.Transaction)
		if _, err := pool.Send(t.Context(), env, l.body); err != nil {
			t.Fatal(err)
		}
		if env.Trace.Reused != (i > 0) {
			t.Errorf("message %d: reused %v", i, env.Trace.Reused)
		}
		letters = append(letters, l)
	}
	for _, l := range letters {
		s.arrived(t, l)
	}
}

// refuseThenAccept has a message refused twice and another accepted, all on one
// session.
func refuseThenAccept(t *testing.T, s *server, port, to string, stage smtp.Stage, class smtp.Class, code int) {
	t.Helper()
	c := mustDial(t, s.config(port))
	for range 2 {
		_, err := c.Send(t.Context(), envelope(to), newLetter("refused\r\n").body)
		e := refused(t, err, stage, class, code)
		if s.enhanced && e.Reply.Enhanced == "" {
			t.Errorf("no enhanced code in %v", e.Reply)
		}
	}
	s.accept(t, c, envelope(recipient), "after a refusal\r\n")
}

func bytesRow(t *testing.T, s *server) {
	c := mustDial(t, s.config("plain"))
	var letters []letter
	for _, content := range []string{
		"", "\r\n", ".\r\n", "..\r\n.\r\n...\r\n", ".a\r\n\r\n.\r\n\r\n", "\r\n.\r\n", "a\r\n.b\r\n..c\r\n",
		strings.Repeat("x", 998) + "\r\n." + strings.Repeat("y", 997) + "\r\n" + strings.Repeat(".", 998) + "\r\n",
		"Grüße, 日本語 \U0001F4E8\r\n.ü\r\n", " trailing blanks  \r\n\t\r\n",
		"From here on\r\n>From there\r\nMAIL FROM:<a@b>\r\nRSET\r\nQUIT\r\n",
	} {
		letters = append(letters, send(t, c, envelope(recipient), content))
	}
	for _, l := range letters {
		s.arrived(t, l)
	}
}

// pipelined holds that the envelope leaves in one write, or in three.
func pipelined(port string, atOnce bool) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		var w wire
		c := mustDial(t, s.config(port, w.tap))
		if c.Extensions().Pipelining != atOnce {
			t.Errorf("offered %v", c.Extensions().Raw)
		}
		first := send(t, c, envelope(recipient), "pipelined or not\r\n")
		second := send(t, c, envelope(recipient), "and again\r\n")
		_, err := c.Send(t.Context(), envelope(refusedRcpt), newLetter("refused\r\n").body)
		refused(t, err, smtp.StageRcpt, smtp.ClassRcptFailed, 550)
		s.accept(t, c, envelope(recipient), "after a refusal\r\n")
		s.arrived(t, first)
		s.arrived(t, second)
		for _, wrote := range append(w.with("MAIL"), w.with("RSET")...) {
			if strings.HasSuffix(wrote, "\r\nDATA\r\n") != atOnce {
				t.Errorf("wrote %q", wrote)
			}
		}
	}
}

// sizeAnnounced holds that a message over the announced limit is refused here.
func sizeAnnounced(port string, limit int64) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		var w wire
		c := mustDial(t, s.config(port, w.tap))
		if c.Extensions().Size != limit {
			t.Fatalf("announced %d", c.Extensions().Size)
		}
		_, err := c.Send(t.Context(), envelope(recipient), newLetter(strings.Repeat("too large\r\n", int(limit)/10)).body)
		e := refused(t, err, smtp.StageMail, smtp.ClassMailFailed, 552)
		if !errors.Is(err, smtp.ErrTooLarge) || e.Reply.Enhanced != "5.3.4" || len(w.with("MAIL")) > 0 {
			t.Errorf("%v; wrote %q", err, w.with("MAIL"))
		}
		s.accept(t, c, envelope(recipient), "small\r\n")
	}
}

// utf8 holds that an address in UTF-8 crosses, as does a header in UTF-8.
func utf8(port string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		c := mustDial(t, s.config(port))
		env := smtp.Envelope{From: "grüße@sender.example", To: "empfänger@rcpt.example", SMTPUTF8: true}
		m := s.accept(t, c, env, "Grüße\r\n")
		if m.From != env.From || len(m.To) != 1 || m.To[0] != env.To {
			t.Errorf("%q to %q", m.From, m.To)
		}
	}
}

// noUTF8 holds that such an address is refused here where SMTPUTF8 is lacking.
func noUTF8(port string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		var w wire
		c := mustDial(t, s.config(port, w.tap))
		_, err := c.Send(t.Context(), envelope("empfänger@rcpt.example"), newLetter("x\r\n").body)
		refused(t, err, smtp.StageMail, smtp.ClassMailFailed, 553)
		if !errors.Is(err, smtp.ErrNeedsSMTPUTF8) || len(w.with("MAIL")) > 0 {
			t.Errorf("%v; wrote %q", err, w.with("MAIL"))
		}
		s.accept(t, c, envelope(recipient), "Grüße in the body only\r\n")
	}
}

// parameter holds whether MAIL carries a parameter, for a body in UTF-8.
func parameter(port, word string, sent bool) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		var w wire
		c := mustDial(t, s.config(port, w.tap))
		env := envelope(recipient)
		env.ENVID, env.ORCPT = "id=1+2", "original+x@rcpt.example"
		s.accept(t, c, env, "Grüße\r\n")
		lines := w.with("MAIL")
		if len(lines) != 1 || strings.Contains(lines[0], word) != sent {
			t.Errorf("wrote %q", lines)
		}
	}
}

// dsn holds that the server takes the parameters of RFC 3461 and hands them on.
func dsn(port string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		env := envelope(recipient)
		env.ENVID, env.ORCPT = "id=1+2", "original+x@rcpt.example"
		m := s.accept(t, mustDial(t, s.config(port)), env, "with ENVID and ORCPT\r\n")
		if !strings.Contains(m.MailArgs, "ENVID=id+3D1+2B2") || !strings.Contains(m.MailArgs, "RET=HDRS") {
			t.Errorf("MAIL %q", m.MailArgs)
		}
		if len(m.RcptArgs) != 1 || !strings.Contains(strings.ToLower(m.RcptArgs[0]), "orcpt=rfc822;original+2bx@rcpt.example") {
			t.Errorf("RCPT %q", m.RcptArgs)
		}
	}
}

// certificate holds that a bad certificate ends the session before anything is
// said over it, what the remedy is, and that tlsSkipVerify overrides it.
func certificate(port, hint string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		c := s.config(port, startTLS, login)
		res := probe(t, c, newLetter(""), "dns connect banner ehlo starttls tls!")
		if res.ErrorClass != smtp.ClassTLSFailed || !strings.Contains(res.Hint, hint) {
			t.Errorf("%s %q: hint %q", res.ErrorClass, res.Message, res.Hint)
		}
		c.TLSSkipVerify = true
		s.accept(t, mustDial(t, c), envelope(recipient), "unverified\r\n")
	}
}
