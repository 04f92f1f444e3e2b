package smtp

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// librarySession is a session of an independent server implementation.
type librarySession struct {
	mu   *sync.Mutex
	got  *[]string
	user string
}

func (s *librarySession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *librarySession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != "u" || pass != "secret" {
			return gosmtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *librarySession) Mail(string, *gosmtp.MailOptions) error {
	if s.user == "" {
		return gosmtp.ErrAuthRequired
	}
	return nil
}

func (s *librarySession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if to == "bad@rcpt.example" {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no"}
	}
	return nil
}

func (s *librarySession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.got = append(*s.got, string(b))
	return err
}

func (s *librarySession) Reset()        {}
func (s *librarySession) Logout() error { return nil }

// The library's server, over STARTTLS with AUTH, DSN and PIPELINING, agrees with
// our client about accepted and refused messages on one session.
func TestInteropLibraryServer(t *testing.T) {
	var mu sync.Mutex
	var got []string
	ca := smtptest.NewCA(t)
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) {
		return &librarySession{mu: &mu, got: &got}, nil
	}))
	srv.Domain, srv.EnableDSN, srv.EnableSMTPUTF8 = "mx.example", true, true
	srv.TLSConfig = ca.Server(time.Now().Add(time.Hour), "127.0.0.1")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) })
	defer wg.Wait()
	defer srv.Close()

	c := mustDial(t, Config{
		Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, AllowPrivate: true, HELO: "client.example",
		Security: SecurityStartTLS, RootCAs: ca.Pool, Username: "u", Password: "secret",
	})
	if !c.Extensions().Pipelining || !c.Extensions().DSN {
		t.Fatalf("%+v", c.Extensions())
	}
	bodies := []string{"first\r\n", "..\r\n.\r\nsecond\r\n"}
	for _, body := range bodies {
		bad := Envelope{From: "a@sender.example", To: "bad@rcpt.example"}
		var e *Error
		if _, err := c.Send(t.Context(), bad, []byte(body)); !errors.As(err, &e) || e.Stage != StageRcpt || e.Reply.Enhanced != "5.1.1" {
			t.Fatalf("refused recipient: %v", err)
		}
		env := Envelope{From: "a@sender.example", To: "ok@rcpt.example", ENVID: "id", ORCPT: "ok@rcpt.example"}
		if r, err := c.Send(t.Context(), env, []byte(body)); err != nil {
			t.Fatalf("%v: %v", r, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 2 || got[0] != bodies[0] || got[1] != bodies[1] {
		t.Errorf("arrived %q", got)
	}
}
