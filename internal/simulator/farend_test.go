package simulator

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp"
)

func TestFarEnd(t *testing.T) {
	far := &FarEnd{}
	c := dial(t, running(t, far.Run), "", "")
	f := func(to string, want ...int) {
		t.Helper()
		for i, code := range want {
			reply, err := c.Send(t.Context(), smtp.Envelope{From: "a@b.example", To: to}, []byte(body))
			var e *smtp.Error
			if errors.As(err, &e) && e.Reply != nil {
				reply = *e.Reply
			}
			if reply.Code != code {
				t.Errorf("attempt %d for %s: %v, %v; want %d", i+1, to, reply, err, code)
			}
		}
	}
	f("deliver@x.example", 250)
	f("hardbounce@x.example", 550, 550)
	f("softbounce@x.example", 552, 552)
	f("deferred@x.example", 451, 250)
	f("refused@x.example", 250)
	if n := far.Taken(); n != 3 {
		t.Errorf("%d messages taken", n)
	}
}

func TestPolicy(t *testing.T) {
	p := &Policy{Refusals: 2}
	addr := running(t, p.Run)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	f := func(to, want string) {
		t.Helper()
		if _, err := io.WriteString(c, "request=smtpd_access_policy\nsender=a@b.example\nrecipient="+to+"\n\n"); err != nil {
			t.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "action="+want) {
			t.Errorf("%s: %q, %v; want %s", to, line, err, want)
		}
		if empty, err := in.ReadString('\n'); empty != "\n" {
			t.Errorf("%s: the answer ends with %q, %v", to, empty, err)
		}
	}
	f("deliver@x.example", "DUNNO")
	f("refused@x.example", "451 4.3.2 ")
	f("refused@x.example", "451 4.3.2 ")
	f("refused@x.example", "DUNNO")
	if _, err := io.WriteString(c, "nonsense\n\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := in.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Errorf("after nonsense: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add("request=smtpd_access_policy\nsender=a@b\nrecipient=refused@c\n\n")
	f.Add("=\n\n")
	f.Add("a=b")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, s string) {
		request, err := readPolicy(bufio.NewReaderSize(strings.NewReader(s), maxPolicyLine))
		if err == nil && len(request) > maxPolicyLines {
			t.Errorf("%d names", len(request))
		}
		var p Policy
		if err == nil && strings.ContainsAny(p.judge(request), "\r\n") {
			t.Error("an answer of two lines")
		}
	})
}
