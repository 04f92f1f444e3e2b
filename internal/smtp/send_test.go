package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func withoutPipelining() []string { return smtptest.Extensions("PIPELINING") }

func TestSendCommands(t *testing.T) {
	env := Envelope{
		From: "from@sender.example", To: "to@rcpt.example",
		ENVID: "id=1+2", ORCPT: "o+r@rcpt.example",
	}
	f := func(ehlo []string, env Envelope, body string, want ...string) {
		t.Helper()
		srv := smtptest.New(t, smtptest.Script{EHLO: ehlo})
		c := mustDial(t, configFor(srv))
		for range 2 { // the second on the same session
			r, err := c.Send(t.Context(), env, []byte(body))
			if err != nil || r.Code != 250 || r.Enhanced != "2.0.0" || !strings.HasPrefix(r.Text, "queued as") {
				t.Fatalf("%v, %v", r, err)
			}
		}
		want = append(want, "DATA")
		want = append([]string{"EHLO client.example"}, append(want, want...)...)
		if diff := cmp.Diff(want, srv.Commands()[0]); diff != "" {
			t.Error(diff)
		}
		for _, m := range srv.Messages() {
			if string(m.Data) != body {
				t.Errorf("body %q", m.Data)
			}
		}
		if c.Sent() != 2 || !c.Usable() {
			t.Errorf("sent %d usable %v", c.Sent(), c.Usable())
		}
	}
	f([]string{}, env, "x\r\n", "MAIL FROM:<from@sender.example>", "RCPT TO:<to@rcpt.example>")
	f([]string{"PIPELINING"}, env, "x\r\n", "MAIL FROM:<from@sender.example>", "RCPT TO:<to@rcpt.example>")
	f([]string{"SIZE"}, env, "x\r\n", "MAIL FROM:<from@sender.example> SIZE=3", "RCPT TO:<to@rcpt.example>")
	f([]string{"8BITMIME"}, env, "ü\r\n", "MAIL FROM:<from@sender.example> BODY=8BITMIME", "RCPT TO:<to@rcpt.example>")
	f([]string{"DSN"}, env, "x\r\n", "MAIL FROM:<from@sender.example> RET=HDRS ENVID=id+3D1+2B2",
		"RCPT TO:<to@rcpt.example> NOTIFY=FAILURE ORCPT=rfc822;o+2Br@rcpt.example")
	f([]string{"SMTPUTF8"}, Envelope{From: "a@sender.example", To: "ü@rcpt.example"}, "x\r\n",
		"MAIL FROM:<a@sender.example> SMTPUTF8", "RCPT TO:<ü@rcpt.example>")
	f([]string{"SMTPUTF8", "PIPELINING"}, Envelope{From: "", To: "a@rcpt.example", SMTPUTF8: true}, "x\r\n",
		"MAIL FROM:<> SMTPUTF8", "RCPT TO:<a@rcpt.example>")
	f([]string{"SIZE 100"}, Envelope{From: "a@b", To: "c@d", Size: 77}, "x\r\n", "MAIL FROM:<a@b> SIZE=77", "RCPT TO:<c@d>")
	f([]string{"DSN"}, Envelope{From: "a@b", To: "c@d", ENVID: "x\r\ny"}, "x\r\n",
		"MAIL FROM:<a@b> RET=HDRS ENVID=x+0D+0Ay", "RCPT TO:<c@d> NOTIFY=FAILURE")
}

// What we refuse ourselves never reaches the wire and leaves the session usable.
func TestSendRefusesLocally(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{EHLO: []string{"PIPELINING", "SIZE 10"}})
	c := mustDial(t, configFor(srv))
	f := func(env Envelope, body string, stage Stage, code int, enh Enhanced, want error) {
		t.Helper()
		r, err := c.Send(t.Context(), env, []byte(body))
		e := asError(t, err)
		if e.Stage != stage || !e.Permanent || !errors.Is(err, want) || e.Ambiguous() || e.Session() {
			t.Errorf("%+v", e)
		}
		if r.Code != code || r.Enhanced != enh {
			t.Errorf("reply %v", r)
		}
	}
	ok := Envelope{From: "a@b", To: "c@d"}
	f(ok, "0123456789\r\n", StageMail, 552, "5.3.4", ErrTooLarge)
	f(Envelope{From: "a@b", To: "c@d", Size: 11}, "x\r\n", StageMail, 552, "5.3.4", ErrTooLarge)
	for _, bad := range []string{"a b@c", "a@b\r\nDATA", "a\x00@b", "<a@b>", "a@b>", "a\n@b", "a\t@b", strings.Repeat("a", 600)} {
		f(Envelope{From: bad, To: "c@d"}, "x\r\n", StageMail, 553, "5.1.7", ErrBadAddress)
		f(Envelope{From: "a@b", To: bad}, "x\r\n", StageRcpt, 553, "5.1.3", ErrBadAddress)
	}
	f(Envelope{From: "a@b"}, "x\r\n", StageRcpt, 553, "5.1.3", ErrBadAddress)
	f(Envelope{From: "ü@b", To: "c@d"}, "x\r\n", StageMail, 553, "5.6.7", ErrNeedsSMTPUTF8)
	f(Envelope{From: "a@b", To: "ü@d"}, "x\r\n", StageMail, 553, "5.6.7", ErrNeedsSMTPUTF8)
	f(Envelope{From: "a@b", To: "c@d", SMTPUTF8: true}, "x\r\n", StageMail, 553, "5.6.7", ErrNeedsSMTPUTF8)
	for _, bad := range []string{"\n", "\r", "a\nb", "a\rb", "a\r\n\n", "\r\r\n", "\n\r", "\n.\r\n", "\r\n\r"} {
		f(ok, bad, StageData, 0, "", ErrBareNewline)
	}
	if n := len(srv.Commands()[0]); n != 1 {
		t.Errorf("wrote %q", srv.Commands()[0])
	}
	if _, err := c.Send(t.Context(), ok, []byte("x\r\n")); err != nil {
		t.Error(err)
	}
}

// Every refusal, pipelined and not, and that the session goes on afterwards.
func TestSendRefusals(t *testing.T) {
	const bad = "bad@rcpt.example"
	rcpt := func(reply string) func(string) string {
		return func(to string) string {
			if to == bad {
				return reply
			}
			return ""
		}
	}
	mail := func(reply string) func(string) string {
		return func(from string) string {
			if from == bad {
				return reply
			}
			return ""
		}
	}
	final := func(reply string) func(smtptest.Envelope, []byte) string {
		return func(env smtptest.Envelope, _ []byte) string {
			if env.To[0] == bad {
				return reply
			}
			return ""
		}
	}
	badTo := Envelope{From: "a@b", To: bad}
	badFrom := Envelope{From: bad, To: "a@b"}
	f := func(s smtptest.Script, env Envelope, stage Stage, class Class, code int, permanent bool) {
		t.Helper()
		for _, ehlo := range [][]string{nil, withoutPipelining()} {
			for _, late := range []bool{false, ehlo == nil} {
				s.EHLO, s.LateReplies = ehlo, late
				srv := smtptest.New(t, s)
				c := mustDial(t, configFor(srv))
				for range 2 {
					r, err := c.Send(t.Context(), env, testBody)
					e := asError(t, err)
					if e.Stage != stage || e.Class != class || r.Code != code || e.Permanent != permanent || e.Ambiguous() {
						t.Errorf("%v: %+v", r, e)
					}
					if !c.Usable() {
						t.Fatalf("session lost after %v", r)
					}
				}
				if _, err := c.Send(t.Context(), testEnv, testBody); err != nil {
					t.Errorf("next message: %v", err)
				}
				if n := len(srv.Messages()); n != 1 {
					t.Errorf("%d messages arrived, want 1", n)
				}
				if n := srv.Sessions(); n != 1 {
					t.Errorf("%d connections", n)
				}
			}
		}
	}
	f(smtptest.Script{MailFunc: mail("550 5.7.1 no")}, badFrom, StageMail, ClassMailFailed, 550, true)
	f(smtptest.Script{MailFunc: mail("451 4.3.0 later")}, badFrom, StageMail, ClassMailFailed, 451, false)
	f(smtptest.Script{MailFunc: mail("550 5.7.1 no"), DataAnyway: true}, badFrom, StageMail, ClassMailFailed, 550, true)
	f(smtptest.Script{Rcpt: rcpt("550-5.1.1 no\r\n550 5.1.1 such user")}, badTo, StageRcpt, ClassRcptFailed, 550, true)
	f(smtptest.Script{Rcpt: rcpt("450 4.2.0 greylisted")}, badTo, StageRcpt, ClassRcptFailed, 450, false)
	f(smtptest.Script{Rcpt: rcpt("550 5.1.1 no"), DataAnyway: true}, badTo, StageRcpt, ClassRcptFailed, 550, true)
	f(smtptest.Script{Final: final("554 5.6.0 no")}, badTo, StageFinal, ClassDataFailed, 554, true)
	f(smtptest.Script{Final: final("452 4.3.1 full")}, badTo, StageFinal, ClassDataFailed, 452, false)
}

// DATA refused although the recipient was accepted: the transaction stays open
// at the server, so RSET precedes the next MAIL.
func TestSendDataRefused(t *testing.T) {
	for _, ehlo := range [][]string{nil, withoutPipelining()} {
		srv := smtptest.New(t, smtptest.Script{EHLO: ehlo, Data: "451 4.3.0 later"})
		c := mustDial(t, configFor(srv))
		for range 3 {
			_, err := c.Send(t.Context(), testEnv, testBody)
			if e := asError(t, err); e.Stage != StageData || e.Reply.Code != 451 || !c.Usable() {
				t.Fatalf("%+v", e)
			}
		}
		var verbs []string
		for _, line := range srv.Commands()[0][1:] {
			verb, _, _ := strings.Cut(line, " ")
			verbs = append(verbs, verb)
		}
		want := "MAIL RCPT DATA RSET MAIL RCPT DATA RSET MAIL RCPT DATA"
		if got := strings.Join(verbs, " "); got != want {
			t.Errorf("got %s", got)
		}
	}
}

// 421 ends the session in every phase and is transient.
func TestSend421(t *testing.T) {
	const closing = "421 4.3.2 closing"
	f := func(s smtptest.Script, stage Stage) {
		t.Helper()
		for _, ehlo := range [][]string{nil, withoutPipelining()} {
			s.EHLO = ehlo
			srv := smtptest.New(t, s)
			c := mustDial(t, configFor(srv))
			_, err := c.Send(t.Context(), testEnv, testBody)
			e := asError(t, err)
			if e.Stage != stage || e.Permanent || e.Reply == nil || e.Reply.Code != 421 || e.Ambiguous() || c.Usable() {
				t.Errorf("%+v usable %v", e, c.Usable())
			}
			_, err = c.Send(t.Context(), testEnv, testBody)
			if !errors.Is(err, ErrUnusable) {
				t.Errorf("second send: %v", err)
			}
		}
	}
	f(smtptest.Script{Mail: closing}, StageMail)
	f(smtptest.Script{Rcpt: func(string) string { return closing }}, StageRcpt)
	f(smtptest.Script{Data: closing}, StageData)
	f(smtptest.Script{Final: func(smtptest.Envelope, []byte) string { return closing }}, StageFinal)
}

// The connection dies, or hangs, in each phase: ambiguous in "final" alone.
func TestSendCut(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789012345678901234567890123456789\r\n"), 400_000)
	f := func(cut string, stage Stage, body []byte) {
		t.Helper()
		for _, ehlo := range [][]string{nil, withoutPipelining()} {
			for _, hang := range []bool{false, true} {
				s := smtptest.Script{EHLO: ehlo, CutAt: cut}
				if hang {
					s.CutAt, s.HangAt = "", cut
				}
				if stage == StageBody && hang {
					continue // a server that reads is hard to tell from one that discards
				}
				srv := smtptest.New(t, s)
				cfg := configFor(srv)
				if hang {
					cfg.StepTimeout = shortStep
				}
				var c *Client
				e := patiently(&cfg, stage, func() *Error {
					var err error
					if c, err = Dial(t.Context(), cfg); err != nil {
						return asError(t, err)
					}
					_, err = c.Send(t.Context(), testEnv, body)
					_ = c.Close()
					return asError(t, err)
				})
				if e.Stage != stage || e.Reply != nil || e.Permanent || e.Session() || c.Usable() {
					t.Errorf("%s: %+v", cut, e)
				}
				if e.Ambiguous() != (stage == StageFinal) {
					t.Errorf("%s: ambiguous %v", cut, e.Ambiguous())
				}
				if hang != (e.Class == ClassTimeout) {
					t.Errorf("%s hang %v: class %s", cut, hang, e.Class)
				}
			}
		}
	}
	f("mail", StageMail, testBody)
	f("rcpt", StageRcpt, testBody)
	f("data", StageData, testBody)
	f("body", StageBody, large)
	f("final", StageFinal, testBody)
}

// The same over TLS, where an end of the stream is another error.
func TestSendCutTLS(t *testing.T) {
	for _, cut := range []string{"mail", "data", "final"} {
		srv := smtptest.New(t, smtptest.Script{TLS: smtptest.SelfSigned(t, "127.0.0.1"), CutAt: cut})
		cfg := configFor(srv)
		cfg.Security, cfg.TLSSkipVerify = SecurityStartTLS, true
		c := mustDial(t, cfg)
		_, err := c.Send(t.Context(), testEnv, testBody)
		e := asError(t, err)
		if string(e.Stage) != cut || e.Reply != nil || e.Ambiguous() != (cut == "final") || c.Usable() {
			t.Errorf("%s: %+v", cut, e)
		}
	}
}

func TestSendGarbage(t *testing.T) {
	f := func(s smtptest.Script, stage Stage, ambiguous bool) {
		t.Helper()
		srv := smtptest.New(t, s)
		c := mustDial(t, configFor(srv))
		_, err := c.Send(t.Context(), testEnv, testBody)
		e := asError(t, err)
		if e.Stage != stage || e.Class != ClassProtocol || e.Permanent || c.Usable() || e.Ambiguous() != ambiguous {
			t.Errorf("%+v usable %v ambiguous %v", e, c.Usable(), e.Ambiguous())
		}
	}
	final := func(reply string) func(smtptest.Envelope, []byte) string {
		return func(smtptest.Envelope, []byte) string { return reply }
	}
	f(smtptest.Script{Mail: "what?"}, StageMail, false)
	f(smtptest.Script{Mail: "354 go"}, StageMail, false)
	f(smtptest.Script{Rcpt: func(string) string { return "250-a\r\n550 b" }}, StageRcpt, false)
	f(smtptest.Script{Data: "250 ok"}, StageData, false)
	f(smtptest.Script{Data: "354 go\r\n250 queued already"}, StageData, false)
	f(smtptest.Script{Final: final("\x00\x01\x02")}, StageFinal, true)
	f(smtptest.Script{Final: final("354 more")}, StageFinal, true)
	f(smtptest.Script{Final: final("250 " + strings.Repeat("x", 5000))}, StageFinal, true)
}

func TestSendLongReplies(t *testing.T) {
	line := strings.Repeat("x", 4000)
	srv := smtptest.New(t, smtptest.Script{Final: func(smtptest.Envelope, []byte) string {
		return smtptest.Multiline(250, line, line, line, "2.0.0 \x1b[2Jdone")
	}})
	c := mustDial(t, configFor(srv))
	r, err := c.Send(t.Context(), testEnv, testBody)
	if err != nil || !strings.HasSuffix(r.Text, "\n[2Jdone") || len(r.Text) < 12000 {
		t.Errorf("%d bytes, %v", len(r.Text), err)
	}
}

// An answer nobody asked for would shift all that follow by one.
func TestSendUnsolicited(t *testing.T) {
	f := func(extra string, want error, code int) {
		t.Helper()
		srv := smtptest.New(t, smtptest.Script{Final: func(smtptest.Envelope, []byte) string { return "250 ok\r\n" + extra }})
		c := mustDial(t, configFor(srv))
		if _, err := c.Send(t.Context(), testEnv, testBody); err != nil {
			t.Fatal(err)
		}
		r, err := c.Send(t.Context(), testEnv, testBody)
		if err == nil || c.Usable() || r.Code != code || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%q: %v, %v", extra, r, err)
		}
		if n := len(srv.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
	}
	f("250 again", ErrUnsolicited, 0)
	f("421 4.4.2 idle", nil, 421)
}

func TestSendContext(t *testing.T) {
	for _, stage := range []string{"mail", "rcpt", "data", "final"} {
		srv := smtptest.New(t, smtptest.Script{HangAt: stage})
		c := mustDial(t, configFor(srv))
		ctx, cancel := context.WithCancel(t.Context())
		commands := map[string]int{"mail": 2, "rcpt": 3, "data": 4, "final": 4}[stage]
		go func() {
			_ = srv.WaitCommands(t.Context(), commands)
			cancel()
		}()
		_, err := c.Send(ctx, testEnv, testBody)
		e := asError(t, err)
		if !errors.Is(err, context.Canceled) || c.Usable() {
			t.Errorf("%s: %v", stage, err)
		}
		// The cancellation may come before the dot is written.
		if e.Ambiguous() != (e.Stage == StageFinal) || (stage != "final" && e.Ambiguous()) {
			t.Errorf("%s: stage %s ambiguous %v", stage, e.Stage, e.Ambiguous())
		}
		if err := srv.WaitOpen(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
	srv := smtptest.New(t, smtptest.Script{})
	c := mustDial(t, configFor(srv))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Send(ctx, testEnv, testBody); !errors.Is(err, context.Canceled) || !c.Usable() {
		t.Errorf("%v usable %v", err, c.Usable())
	}
	if n := len(srv.Commands()[0]); n != 1 {
		t.Error("a cancelled send wrote something")
	}
}

func TestSendTrace(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	c := mustDial(t, configFor(srv))
	for i := range 2 {
		env := testEnv
		env.Trace = new(Transaction)
		if _, err := c.Send(t.Context(), env, testBody); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range env.Trace.Steps {
			names = append(names, s.Name)
			if !s.OK || s.Code == 0 || s.Text == "" {
				t.Errorf("%+v", s)
			}
		}
		if got := strings.Join(names, " "); got != "mail rcpt data final" {
			t.Error(got)
		}
		if env.Trace.RemoteAddr != srv.Addr() || env.Trace.Reused != (i > 0) || env.Trace.TLS != nil {
			t.Errorf("%+v", env.Trace)
		}
	}
}

// TestTraceHoldsNoCredentials: not when the server echoes what AUTH said, later
// on in a reply, or in an answer that is none.
func TestTraceHoldsNoCredentials(t *testing.T) {
	const password = "s3cret-pass"
	forms := []string{password, encode(password), encode("\x00u\x00" + password)}
	for _, s := range []smtptest.Script{
		{AuthReply: "235 2.7.0 hello " + strings.Join(forms, " ")},
		{AuthReply: "535 5.7.8 not " + strings.Join(forms, " ")},
		{AuthReply: "AUTH PLAIN " + forms[2]},
		{Mail: "250 2.1.0 " + strings.Join(forms, " ")},
		{Final: func(smtptest.Envelope, []byte) string { return "550 5.7.1 " + strings.Join(forms, " ") }},
		{Mail: "go away " + password},
	} {
		s.Username, s.Password = "u", password
		srv := smtptest.New(t, s)
		cfg := configFor(srv)
		cfg.Username, cfg.Password, cfg.AllowPlainAuth = "u", password, true
		p := NewPool(cfg, PoolOptions{})
		env := testEnv
		env.Trace = new(Transaction)
		_, _ = p.Send(t.Context(), env, testBody)
		if len(env.Trace.Steps) < 5 {
			t.Errorf("steps %s", stepList(env.Trace.Steps))
		}
		for _, step := range env.Trace.Steps {
			for _, form := range forms {
				if strings.Contains(step.Text, form) {
					t.Errorf("step %s says %q", step.Name, step.Text)
				}
			}
		}
		_ = p.Close()
	}
}

// TestTraceShowsWhatFailed: every failure of a transaction has its step, one
// that came before a command too.
func TestTraceShowsWhatFailed(t *testing.T) {
	f := func(s smtptest.Script, want string) {
		t.Helper()
		srv := smtptest.New(t, s)
		c := mustDial(t, configFor(srv))
		env := testEnv
		for {
			env.Trace = new(Transaction)
			if _, err := c.Send(t.Context(), env, testBody); err != nil {
				break
			}
		}
		if got := stepList(env.Trace.Steps); got != want {
			t.Errorf("steps %q, want %q", got, want)
		}
	}
	f(smtptest.Script{CutAt: "mail"}, "mail!")
	f(smtptest.Script{CutAt: "rcpt", EHLO: []string{}}, "mail rcpt!")
	f(smtptest.Script{CloseAfter: 1}, "mail!")
	f(smtptest.Script{CutAt: "final"}, "mail rcpt data final!")
	f(smtptest.Script{Rcpt: func(string) string { return "550 5.1.1 no" }, EHLO: []string{}}, "mail rcpt!")
}

// Any body of whole lines arrives as it was, whatever its dots.
func TestDotStuffing(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	c := mustDial(t, configFor(srv))
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		piece := rapid.SampledFrom([]string{".", "..", "\r\n", "\r\n.", "\r\n.\r\n", "a", "text", "ü"})
		var pieces [][]byte
		for _, p := range rapid.SliceOfN(piece, 0, 40).Draw(rt, "pieces") {
			pieces = append(pieces, []byte(p))
		}
		body := string(bytes.Join(pieces, nil))
		if rapid.Bool().Draw(rt, "whole") {
			pieces = [][]byte{[]byte(body)}
		}
		if _, err := c.Send(t.Context(), testEnv, pieces...); err != nil {
			rt.Fatal(err)
		}
		want := body
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		if got := string(srv.Messages()[n].Data); got != want {
			rt.Fatalf("sent %q, arrived %q", want, got)
		}
		n++
	})
}

func TestBareNewline(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.StringOf(rapid.SampledFrom([]rune("\r\na."))).Draw(rt, "body")
		want := strings.ContainsAny(strings.ReplaceAll(body, "\r\n", ""), "\r\n")
		if got := bareNewline([]byte(body)); got != want {
			rt.Fatalf("%q: %v", body, got)
		}
	})
}

func FuzzStuff(f *testing.F) {
	for i, seed := range []string{"", ".", ".\r\n", "a\r\n.\r\nb", "..\r\n..", "\r\n.\r\n"} {
		f.Add([]byte(seed), uint(i))
	}
	stuffed := func(body ...[]byte) []byte {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		writeStuffed(w, body)
		_ = w.Flush()
		return out.Bytes()
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint) {
		if bareNewline(body) {
			return
		}
		wire := stuffed(body)
		a, b := body[:cut%uint(len(body)+1)], body[cut%uint(len(body)+1):]
		if got := stuffed(a, b); !bareNewline(a) && !bytes.Equal(got, wire) {
			t.Fatalf("%q in one piece is %q, cut %q", body, wire, got)
		}
		end := bytes.Index(append([]byte("\r\n"), wire...), []byte("\r\n.\r\n"))
		if end+len("\r\n.\r\n") != len(wire)+2 {
			t.Fatalf("%q ends early in %q", body, wire)
		}
	})
}
