package smtp

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func stepList(steps []ProbeStep) string {
	var names []string
	for _, s := range steps {
		name := s.Name
		if !s.OK {
			name += "!"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// TestGreet: a greeting ends after EHLO, TLS and AUTH; the server sees no
// envelope.
func TestGreet(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	res := Greet(t.Context(), configFor(srv))
	if got := stepList(res.Steps); !res.Success || got != "dns connect banner ehlo quit" || res.Message != "scripted ESMTP" {
		t.Errorf("%s: %+v", got, res)
	}
	if n := len(srv.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
	cfg := configFor(srv)
	srv.Close()
	if res = Greet(t.Context(), cfg); res.Success || res.FailedStep != "connect" || res.Hint == "" {
		t.Errorf("%+v", res)
	}
}

func TestProbeSuccess(t *testing.T) {
	ca := smtptest.NewCA(t)
	f := func(security Security, want string) {
		t.Helper()
		s := smtptest.Script{Username: "u", Password: "secret"}
		if security != SecurityNone {
			s.TLS, s.ImplicitTLS = ca.Server(time.Now().Add(time.Hour), "127.0.0.1"), security == SecurityTLS
		}
		srv := smtptest.New(t, s)
		cfg := configFor(srv)
		cfg.Security, cfg.RootCAs, cfg.Username, cfg.Password, cfg.AllowPlainAuth = security, ca.Pool, "u", "secret", true
		res := Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody)
		if !res.Success || res.FailedStep != "" || res.ErrorClass != "" || res.Code != 250 || res.Enhanced != "2.0.0" || res.Hint != "" {
			t.Errorf("%+v", res)
		}
		if got := stepList(res.Steps); got != want {
			t.Errorf("steps %s, want %s", got, want)
		}
		if (res.TLS != nil) != (security != SecurityNone) || len(res.Capabilities) == 0 {
			t.Errorf("tls %+v capabilities %v", res.TLS, res.Capabilities)
		}
		if len(srv.Messages()) != 1 {
			t.Error("no message arrived")
		}
	}
	f(SecurityNone, "dns connect banner ehlo auth mail rcpt data quit")
	f(SecurityStartTLS, "dns connect banner ehlo starttls tls ehlo auth mail rcpt data quit")
	f(SecurityTLS, "dns connect tls banner ehlo auth mail rcpt data quit")
}

// TestProbeTellsOfItsSteps: whoever listens hears what the result lists, and
// what was to be expected when nothing fails.
func TestProbeTellsOfItsSteps(t *testing.T) {
	ca := smtptest.NewCA(t)
	f := func(security Security, s smtptest.Script, whole bool) {
		t.Helper()
		s.Username, s.Password = "u", "secret"
		if security != SecurityNone {
			s.TLS, s.ImplicitTLS = ca.Server(time.Now().Add(time.Hour), "127.0.0.1"), security == SecurityTLS
		}
		cfg := configFor(smtptest.New(t, s))
		cfg.Security, cfg.RootCAs, cfg.Username, cfg.Password, cfg.AllowPlainAuth = security, ca.Pool, "u", "secret", true
		var heard []ProbeStep
		cfg.OnStep = func(s ProbeStep) { heard = append(heard, s) }
		res := Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody)
		if diff := cmp.Diff(res.Steps, heard); diff != "" || res.Success != whole {
			t.Errorf("success %v; heard (-listed +heard):\n%s", res.Success, diff)
		}
		want := strings.Join(ProbeSteps(&cfg), " ")
		if got := stepList(heard); whole && got != want || !strings.HasPrefix(want, strings.TrimSuffix(got, "!")) {
			t.Errorf("%s: steps %s, expected %s", security, got, want)
		}
	}
	for _, security := range []Security{SecurityNone, SecurityStartTLS, SecurityTLS} {
		f(security, smtptest.Script{}, true)
		f(security, smtptest.Script{Data: "451 4.3.0 later"}, false)
		f(security, smtptest.Script{CutAt: "final"}, false)
		f(security, smtptest.Script{AuthReply: "535 5.7.8 no"}, false)
	}
	cfg := configFor(smtptest.New(t, smtptest.Script{}))
	n := 0
	cfg.OnStep = func(ProbeStep) { n++ }
	if res := Greet(t.Context(), cfg); !res.Success || n != len(res.Steps) {
		t.Errorf("a greeting: %d of %d steps heard", n, len(res.Steps))
	}
}

func TestProbeQuitFailure(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{CutAt: "quit"})
	res := Probe(t.Context(), configFor(srv), testEnv.From, testEnv.To, testBody)
	if !res.Success || !strings.HasSuffix(stepList(res.Steps), "data quit!") {
		t.Errorf("%v %s", res.Success, stepList(res.Steps))
	}
}

func TestProbeFailures(t *testing.T) {
	f := func(s smtptest.Script, steps string, class Class, code int, hintHas string, change ...func(*Config)) {
		t.Helper()
		srv := smtptest.New(t, s)
		cfg := configFor(srv)
		for _, ch := range change {
			ch(&cfg)
		}
		var res ProbeResult
		patiently(&cfg, Stage(steps), func() *Error {
			res = Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody)
			return &Error{Stage: Stage(stepList(res.Steps)), Class: res.ErrorClass}
		})
		if got := stepList(res.Steps); got != steps {
			t.Errorf("steps %s, want %s", got, steps)
		}
		failed := steps[strings.LastIndexByte(steps, ' ')+1:]
		if res.Success || res.FailedStep+"!" != failed || res.ErrorClass != class || res.Code != code || res.Message == "" {
			t.Errorf("%s: %+v", steps, res)
		}
		if !strings.Contains(res.Hint, hintHas) {
			t.Errorf("hint %q lacks %q", res.Hint, hintHas)
		}
	}
	short := func(c *Config) { c.StepTimeout = shortStep }
	login := func(c *Config) { c.Username, c.Password, c.AllowPlainAuth = "u", "p", true }

	f(smtptest.Script{}, "dns connect!", ClassConnectionRefused, 0, "allow_private_networks",
		func(c *Config) { c.AllowPrivate = false })
	f(smtptest.Script{Banner: "554 5.7.1 no"}, "dns connect banner!", ClassConnectionRefused, 554, "Allow it there")
	f(smtptest.Script{HangAt: "banner"}, "dns connect banner!", ClassTimeout, 0, "smtpSecurity tls", short)
	f(smtptest.Script{Banner: "\x15\x03\x01\x00\x02\x02\x0a"}, "dns connect banner!", ClassProtocol, 0, "TLS from the first byte")
	f(smtptest.Script{Banner: "HTTP/1.1 400 Bad Request"}, "dns connect banner!", ClassProtocol, 0, "did not speak SMTP")
	f(smtptest.Script{HangAt: "ehlo"}, "dns connect banner ehlo!", ClassTimeout, 0, "stopped answering at step ehlo", short)
	f(smtptest.Script{}, "dns connect banner ehlo auth!", ClassAuthUnsupported, 0, "smtpAuth", login)
	f(smtptest.Script{Username: "u", Password: "x"}, "dns connect banner ehlo auth!", ClassAuthRejected, 535, "password", login)
	f(smtptest.Script{Username: "u"}, "dns connect banner ehlo auth!", ClassAuthUnsupported, 0, "unencrypted", login,
		func(c *Config) { c.AllowPlainAuth = false })
	f(smtptest.Script{Mail: "550 5.7.1 no"}, "dns connect banner ehlo mail!", ClassMailFailed, 550, "sender")
	f(smtptest.Script{Rcpt: func(string) string { return "554 5.7.1 Relay access denied" }},
		"dns connect banner ehlo mail rcpt!", ClassRcptFailed, 554, "does not relay")
	f(smtptest.Script{Username: "u", Password: "p", Rcpt: func(string) string { return "554 5.7.1 Relay access denied" }},
		"dns connect banner ehlo auth mail rcpt!", ClassRcptFailed, 554, "login worked", login)
	f(smtptest.Script{Rcpt: func(string) string { return "550 5.1.1 no such user" }},
		"dns connect banner ehlo mail rcpt!", ClassRcptFailed, 550, "testTo")
	f(smtptest.Script{Data: "451 4.3.0 later"}, "dns connect banner ehlo mail rcpt data!", ClassDataFailed, 451, "not the message")
	f(smtptest.Script{Final: func(smtptest.Envelope, []byte) string { return "550 5.7.0 spam" }},
		"dns connect banner ehlo mail rcpt data!", ClassDataFailed, 550, "not the message")
	f(smtptest.Script{CutAt: "final"}, "dns connect banner ehlo mail rcpt data!", ClassDataFailed, 0, "")
}

func TestProbeTLSHints(t *testing.T) {
	ca := smtptest.NewCA(t)
	good := ca.Server(time.Now().Add(time.Hour), "127.0.0.1")
	f := func(s smtptest.Script, security Security, steps, hintHas string) {
		t.Helper()
		s.ImplicitTLS = s.TLS != nil && security == SecurityTLS
		srv := smtptest.New(t, s)
		cfg := configFor(srv)
		cfg.Security, cfg.RootCAs = security, ca.Pool
		res := Probe(t.Context(), cfg, testEnv.From, testEnv.To, testBody)
		if res.Success || res.ErrorClass != ClassTLSFailed || stepList(res.Steps) != steps {
			t.Errorf("%s %+v", stepList(res.Steps), res)
		}
		if !strings.Contains(res.Hint, hintHas) {
			t.Errorf("hint %q lacks %q", res.Hint, hintHas)
		}
	}
	const onTLS, onStart = "dns connect tls!", "dns connect banner ehlo starttls tls!"
	f(smtptest.Script{TLS: ca.Server(time.Now().Add(-time.Hour), "127.0.0.1")}, SecurityTLS, onTLS, "not valid at this time")
	f(smtptest.Script{TLS: ca.Server(time.Now().Add(time.Hour), "other.example")}, SecurityTLS, onTLS, "another name (other.example)")
	f(smtptest.Script{TLS: smtptest.SelfSigned(t, "127.0.0.1")}, SecurityStartTLS, onStart, "self-signed")
	f(smtptest.Script{TLS: smtptest.NewCA(t).Server(time.Now().Add(time.Hour), "127.0.0.1")}, SecurityStartTLS, onStart, "authority that is not known")
	f(smtptest.Script{}, SecurityTLS, onTLS, "speaks plain SMTP first")
	f(smtptest.Script{}, SecurityStartTLS, "dns connect banner ehlo starttls!", "does not offer STARTTLS")
	f(smtptest.Script{TLS: good, CutAt: "tls"}, SecurityStartTLS, onStart, "TLS 1.2")
}

func TestProbeDNSAndConnect(t *testing.T) {
	cfg := Config{Host: "absent.example", Port: 25, Resolver: resolverFor(t, nil)}
	res := Probe(t.Context(), cfg, "a@b", "c@d", testBody)
	if res.FailedStep != "dns" || res.ErrorClass != ClassDNSFailure || !strings.Contains(res.Hint, "absent.example") {
		t.Errorf("%+v", res)
	}
	if h := hint(&cfg, died(StageConnect, context.DeadlineExceeded)); !strings.Contains(h, "firewall") {
		t.Error(h)
	}
	if h := hint(&cfg, died(StageConnect, errors.New("connection refused"))); !strings.Contains(h, "Nothing listens") {
		t.Error(h)
	}
}

// The JSON is a contract (D-13): names, and no null arrays.
func TestProbeJSON(t *testing.T) {
	end := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(r ProbeResult, want string) {
		t.Helper()
		got, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
	f(probeFailure(&Config{Host: "h"}, nil, new(Transaction), &Error{Stage: StageConnect, Class: ClassTimeout}),
		`{"success":false,"failedStep":"connect","errorClass":"timeout","smtpCode":0,"enhancedCode":"","message":"timeout",`+
			`"hint":"Nothing answered on port 0. A firewall is probably in between: many networks block port 25 outbound, so try 587 or 465, and allow this machine's address.",`+
			`"steps":[],"tls":null,"capabilities":[]}`)
	f(ProbeResult{
		Success: true, Code: 250, Enhanced: "2.0.0", Message: "ok", Steps: []ProbeStep{{"quit", true, 221, "bye", 3}},
		TLS: &TLSInfo{"TLS 1.3", "TLS_AES_128_GCM_SHA256", "mx.example", end}, Capabilities: []string{"DSN"},
	}, `{"success":true,"failedStep":"","errorClass":"","smtpCode":250,"enhancedCode":"2.0.0","message":"ok","hint":"",`+
		`"steps":[{"name":"quit","ok":true,"code":221,"text":"bye","ms":3}],`+
		`"tls":{"version":"TLS 1.3","cipher":"TLS_AES_128_GCM_SHA256","peerName":"mx.example","notAfter":"2030-01-02T03:04:05Z"},`+
		`"capabilities":["DSN"]}`)
}
