package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/test/ports"
)

func TestExtensions(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{EHLO: []string{
		"pipelining", "SIZE 1000", "8bitmime", "SMTPUTF8", "DSN", "AUTH=LOGIN CRAM-MD5", "AUTH PLAIN LOGIN", "X-ODD",
	}})
	got := mustDial(t, configFor(srv)).Extensions()
	if !got.Pipelining || got.Size != 1000 || !got.EightBitMIME || !got.SMTPUTF8 || !got.DSN || got.StartTLS {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"LOGIN", "CRAM-MD5", "PLAIN"}, got.Auth); diff != "" {
		t.Error(diff)
	}
	if len(got.Raw) != 8 {
		t.Errorf("raw %q", got.Raw)
	}
}

func TestHELOFallback(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{EHLOReply: "502 5.5.1 what is EHLO"})
	c := mustDial(t, configFor(srv))
	if _, err := c.Send(t.Context(), testEnv, testBody); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"EHLO client.example", "HELO client.example",
		"MAIL FROM:<from@sender.example>", "RCPT TO:<to@rcpt.example>", "DATA",
	}
	if diff := cmp.Diff(want, srv.Commands()[0]); diff != "" {
		t.Error(diff)
	}
}

func TestDialFailures(t *testing.T) {
	f := func(script smtptest.Script, stage Stage, class Class, permanent bool, change ...func(*Config)) {
		t.Helper()
		srv := smtptest.New(t, script)
		cfg := configFor(srv)
		for _, ch := range change {
			ch(&cfg)
		}
		e := patiently(&cfg, stage, func() *Error {
			_, err := Dial(t.Context(), cfg)
			return asError(t, err)
		})
		if e.Stage != stage || e.Class != class || e.Permanent != permanent || !e.Session() || e.Ambiguous() {
			t.Errorf("%v: stage %s class %s permanent %v session %v", e, e.Stage, e.Class, e.Permanent, e.Session())
		}
	}
	startTLS := func(c *Config) { c.Security = SecurityStartTLS; c.TLSSkipVerify = true }
	short := func(c *Config) { c.StepTimeout = shortStep }
	login := func(c *Config) { c.Username, c.Password, c.AllowPlainAuth = "u", "p", true }
	tls := smtptest.SelfSigned(t, "127.0.0.1")

	f(smtptest.Script{Banner: "554 5.7.1 not you"}, StageBanner, ClassConnectionRefused, true)
	f(smtptest.Script{Banner: "421 4.3.2 busy"}, StageBanner, ClassConnectionRefused, false)
	f(smtptest.Script{Banner: "+OK POP3 ready"}, StageBanner, ClassProtocol, false)
	f(smtptest.Script{Banner: "250 odd"}, StageBanner, ClassProtocol, false)
	f(smtptest.Script{Banner: "220 " + strings.Repeat("x", 5000)}, StageBanner, ClassProtocol, false)
	f(smtptest.Script{CutAt: "banner"}, StageBanner, ClassConnectionRefused, false)
	f(smtptest.Script{HangAt: "banner"}, StageBanner, ClassTimeout, false, short)
	f(smtptest.Script{CutAt: "ehlo"}, StageEHLO, ClassProtocol, false)
	f(smtptest.Script{HangAt: "ehlo"}, StageEHLO, ClassTimeout, false, short)
	f(smtptest.Script{EHLOReply: "550 5.7.1 bad name"}, StageEHLO, ClassProtocol, true)
	f(smtptest.Script{EHLOReply: "421 4.7.0 later"}, StageEHLO, ClassProtocol, false)
	f(smtptest.Script{}, StageStartTLS, ClassTLSFailed, false, startTLS)
	f(smtptest.Script{TLS: tls, StartTLSReply: "454 4.7.0 no key"}, StageStartTLS, ClassTLSFailed, false, startTLS)
	f(smtptest.Script{TLS: tls, StartTLSExtra: "250 injected\r\n"}, StageStartTLS, ClassProtocol, false, startTLS)
	f(smtptest.Script{TLS: tls, CutAt: "starttls"}, StageStartTLS, ClassTLSFailed, false, startTLS)
	f(smtptest.Script{TLS: tls, CutAt: "tls"}, StageTLS, ClassTLSFailed, false, startTLS)
	f(smtptest.Script{TLS: tls, HangAt: "tls"}, StageTLS, ClassTimeout, false, startTLS, short)
	f(smtptest.Script{Username: "u", Password: "p", CutAt: "auth"}, StageAuth, ClassAuthRejected, false, login)
	f(smtptest.Script{Username: "u", Password: "p", HangAt: "auth"}, StageAuth, ClassTimeout, false, login, short)
	f(smtptest.Script{Username: "u", Password: "x"}, StageAuth, ClassAuthRejected, true, login)
	f(smtptest.Script{Username: "u", Password: "p", AuthReply: "454 4.7.0 later"}, StageAuth, ClassAuthRejected, false, login)
	f(smtptest.Script{Username: "u", Password: "p", AuthReply: "421 4.7.0 later"}, StageAuth, ClassAuthRejected, false, login)
	f(smtptest.Script{}, StageAuth, ClassAuthUnsupported, false, login)
	f(smtptest.Script{Username: "u", AuthMechs: []string{"CRAM-MD5"}}, StageAuth, ClassAuthUnsupported, false, login)
	f(smtptest.Script{Username: "u", Password: "p"}, StageAuth, ClassAuthUnsupported, false, login,
		func(c *Config) { c.AllowPlainAuth = false })
	f(smtptest.Script{}, StageResolve, ClassProtocol, true, func(c *Config) { c.Port = 0 })
	f(smtptest.Script{}, StageResolve, ClassProtocol, true, func(c *Config) { c.Host = "a\r\nb" })
	f(smtptest.Script{}, StageResolve, ClassProtocol, true, func(c *Config) { c.HELO = "a b" })
	f(smtptest.Script{}, StageResolve, ClassProtocol, true, func(c *Config) { c.Security = "ssl" })
	f(smtptest.Script{}, StageResolve, ClassProtocol, true, func(c *Config) { c.Auth = "gssapi" })
}

func TestDialRefusedAndUnresolved(t *testing.T) {
	port, err := ports.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Dial(t.Context(), Config{Host: "127.0.0.1", Port: port, AllowPrivate: true})
	if e := asError(t, err); e.Class != ClassConnectionRefused || e.Stage != StageConnect || e.Permanent {
		t.Errorf("%+v", e)
	}
	_, err = Dial(t.Context(), Config{Host: "absent.example", Port: 25, Resolver: resolverFor(t, nil)})
	if e := asError(t, err); e.Class != ClassDNSFailure || e.Stage != StageResolve {
		t.Errorf("%+v", e)
	}
}

// A second address is tried when the first does not answer.
func TestDialTriesAddresses(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	cfg := configFor(srv)
	cfg.Host = "two.example"
	cfg.Resolver = resolverFor(t, map[string][]string{"two.example": {"192.0.2.1", "127.0.0.1"}})
	var tried []string
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		tried = append(tried, addr)
		if strings.HasPrefix(addr, "192.0.2.1:") {
			return nil, errors.New("no route")
		}
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	mustDial(t, cfg)
	if !slices.Contains(tried, srv.Addr()) {
		t.Errorf("tried %v", tried)
	}
}

func TestTLS(t *testing.T) {
	ca := smtptest.NewCA(t)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, security := range []Security{SecurityStartTLS, SecurityTLS} {
		srv := smtptest.New(t, smtptest.Script{
			TLS: ca.Server(end, "127.0.0.1", "mx.example"), ImplicitTLS: security == SecurityTLS,
			Username: "u", Password: "secret",
		})
		cfg := configFor(srv)
		cfg.Security, cfg.RootCAs, cfg.Username, cfg.Password = security, ca.Pool, "u", "secret"
		c := mustDial(t, cfg)
		if _, err := c.Send(t.Context(), testEnv, testBody); err != nil {
			t.Fatal(err)
		}
		m := srv.Messages()[0]
		if !m.TLS || m.User != "u" {
			t.Errorf("%s: TLS %v user %q", security, m.TLS, m.User)
		}
		info := c.TLS()
		if info == nil || info.PeerName != "mx.example" || !info.NotAfter.Equal(end) || info.Version != "TLS 1.3" {
			t.Errorf("%s: %+v", security, info)
		}
		if c.Extensions().StartTLS {
			t.Errorf("%s: extensions from before TLS are remembered", security)
		}
	}
}

func TestTLSVerify(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{
		TLS: smtptest.SelfSigned(t, "127.0.0.1"), ImplicitTLS: true, Username: "u", Password: "secret",
	})
	cfg := configFor(srv)
	cfg.Security, cfg.Username, cfg.Password = SecurityTLS, "u", "secret"
	_, err := Dial(t.Context(), cfg)
	if e := asError(t, err); e.Class != ClassTLSFailed || e.Stage != StageTLS {
		t.Errorf("%+v", e)
	}
	if len(srv.Commands()[0]) > 0 {
		t.Errorf("spoke to an unverified server: %q", srv.Commands())
	}
	cfg.TLSSkipVerify = true
	mustDial(t, cfg)
}

func TestAuthMechanisms(t *testing.T) {
	f := func(script smtptest.Script, method AuthMethod, want string) {
		t.Helper()
		script.Username, script.Password = "user", "pa ss"
		srv := smtptest.New(t, script)
		cfg := configFor(srv)
		cfg.Username, cfg.Password, cfg.Auth, cfg.AllowPlainAuth = "user", "pa ss", method, true
		c, err := Dial(t.Context(), cfg)
		if want == "" {
			if e := asError(t, err); e.Class != ClassAuthUnsupported {
				t.Errorf("%v", err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s %v: %v", method, script.AuthMechs, err)
			return
		}
		defer c.Close()
		if got := srv.Commands()[0][1]; !strings.HasPrefix(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	f(smtptest.Script{}, "", "AUTH PLAIN ")
	f(smtptest.Script{}, AuthAuto, "AUTH PLAIN ")
	f(smtptest.Script{}, AuthPlain, "AUTH PLAIN ")
	f(smtptest.Script{}, AuthLogin, "AUTH LOGIN")
	f(smtptest.Script{AuthMechs: []string{"LOGIN"}}, AuthAuto, "AUTH LOGIN")
	f(smtptest.Script{AuthMechs: []string{"LOGIN"}}, AuthPlain, "")
	f(smtptest.Script{AuthLine: "AUTH=LOGIN"}, AuthAuto, "AUTH LOGIN")
	f(smtptest.Script{AuthLine: "AUTH=PLAIN LOGIN"}, AuthAuto, "AUTH PLAIN ")
	f(smtptest.Script{PlainChallenge: true}, AuthPlain, "AUTH PLAIN ")
	f(smtptest.Script{AuthMechs: []string{"XOAUTH2"}}, AuthAuto, "")

	srv := smtptest.New(t, smtptest.Script{Username: "user"})
	cfg := configFor(srv)
	cfg.Username, cfg.Auth = "user", AuthNone
	mustDial(t, cfg)
	if n := len(srv.Commands()[0]); n != 1 {
		t.Errorf("%d commands with auth none", n)
	}
}

func TestPasswordStaysSecret(t *testing.T) {
	const password = "hunter2-very-secret"
	plain := encode("\x00user\x00" + password)
	for _, reply := range []string{
		smtptest.Multiline(535, "5.7.8 no: "+password, encode(password), plain),
		"what is " + password,
		"what is " + plain,
	} {
		srv := smtptest.New(t, smtptest.Script{Username: "user", Password: "other", AuthReply: reply})
		cfg := configFor(srv)
		cfg.Username, cfg.Password, cfg.AllowPlainAuth = "user", password, true
		for _, method := range []AuthMethod{AuthPlain, AuthLogin} {
			cfg.Auth = method
			_, err := Dial(t.Context(), cfg)
			e := asError(t, err)
			res := Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody)
			all := fmt.Sprintf("%v %+v %v %+v", err, e, e.Err, res)
			if e.Reply != nil {
				all += e.Reply.Text
			}
			for _, secret := range []string{password, encode(password), plain} {
				if e.Stage != StageAuth || strings.Contains(all, secret) {
					t.Errorf("%s: %q shows in %s", method, secret, all)
				}
			}
		}
	}
}

// TestPasswordStaysSecretAfterLogin holds that no reply of a session gives out the
// password that it was opened with, a long time after AUTH.
func TestPasswordStaysSecretAfterLogin(t *testing.T) {
	const password = "hunter2-very-secret"
	echo := func(code string) string {
		return smtptest.Multiline(550, "5.7.1 "+code+" for user pass "+password, encode(password), encode("\x00user\x00"+password))
	}
	for stage, s := range map[Stage]smtptest.Script{
		StageMail:  {Mail: echo("no")},
		StageRcpt:  {Rcpt: func(string) string { return echo("no") }},
		StageData:  {Data: echo("no")},
		StageFinal: {Final: func(smtptest.Envelope, []byte) string { return echo("no") }},
		"":         {Final: func(smtptest.Envelope, []byte) string { return "250 2.0.0 Ok " + password }},
	} {
		s.Username, s.Password = "user", password
		srv := smtptest.New(t, s)
		cfg := configFor(srv)
		cfg.Username, cfg.Password, cfg.AllowPlainAuth = "user", password, true
		c := mustDial(t, cfg)
		r, err := c.Send(t.Context(), testEnv, testBody)
		if stage != "" {
			if e := asError(t, err); e.Stage != stage || e.Reply == nil {
				t.Errorf("%s: %+v", stage, e)
			}
		}
		all := fmt.Sprintf("%v %v %q", err, r.String(), r.Text)
		for _, secret := range []string{password, encode(password), encode("\x00user\x00" + password)} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: %q shows in %s", stage, secret, all)
			}
		}
		if !strings.Contains(all, masked) {
			t.Errorf("%s: nothing is masked in %s", stage, all)
		}
	}
}

func TestDialContext(t *testing.T) {
	for _, stage := range []string{"banner", "ehlo", "tls"} {
		srv := smtptest.New(t, smtptest.Script{HangAt: stage, TLS: smtptest.SelfSigned(t, "127.0.0.1")})
		cfg := configFor(srv)
		cfg.Security = SecurityStartTLS
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("shutting down")
		go func() {
			_ = srv.WaitOpen(t.Context(), 1)
			cancel(why)
		}()
		_, err := Dial(ctx, cfg)
		if e := asError(t, err); !errors.Is(err, why) || !errors.Is(err, context.Canceled) || e.Session() {
			t.Errorf("%s: %v, session %v", stage, err, e.Session())
		}
		if err := srv.WaitOpen(t.Context(), 0); err != nil {
			t.Errorf("%s: connection still open: %v", stage, err)
		}
	}
}
