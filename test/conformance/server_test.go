package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// The account that every server knows. The blank is there to be encoded.
const (
	username = "user@accounts.example"
	password = "pass word"
)

// server is a real server with a port for every variant.
type server struct {
	ports    map[string]int
	ca       *smtptest.CA
	sink     *smtptest.Server // the next hop of everything it accepts
	log      string           // file
	enhanced bool             // its refusals carry enhanced status codes
	noTLS    error            // why its TLS does not work
}

func newServer(t *testing.T, ports ...string) *server {
	return &server{
		ports: freePorts(t, ports...), ca: smtptest.NewCA(t),
		sink: smtptest.New(t, smtptest.Script{}), enhanced: true,
	}
}

// config reaches a port: without TLS, without login.
func (s *server) config(port string, change ...func(*smtp.Config)) smtp.Config {
	if s.ports[port] == 0 {
		panic("no port " + port)
	}
	c := smtp.Config{
		Host: "127.0.0.1", Port: s.ports[port], AllowPrivate: true,
		HELO: "client.example", RootCAs: s.ca.Pool, StepTimeout: patience,
	}
	for _, ch := range change {
		ch(&c)
	}
	return c
}

func login(c *smtp.Config)    { c.Username, c.Password = username, password }
func startTLS(c *smtp.Config) { c.Security = smtp.SecurityStartTLS }
func fromTLS(c *smtp.Config)  { c.Security = smtp.SecurityTLS }

func mechanism(m smtp.AuthMethod) func(*smtp.Config) {
	return func(c *smtp.Config) { c.Auth = m }
}

// chain is a certificate with its key in PEM, the form all three servers read.
func chain(t testing.TB, c *tls.Config) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", c.Certificates[0].Certificate[0]), block("PRIVATE KEY", der)
}

// good is a certificate for the servers' address.
func (s *server) good() *tls.Config {
	return s.ca.Server(time.Now().Add(time.Hour), "127.0.0.1", "mx.example")
}

// letter is a message with all headers a server could miss. Its id finds it in
// the sink.
type letter struct {
	id   string
	body []byte // of the message with its header
}

func newLetter(content string) letter {
	id := fmt.Sprintf("%x", time.Now().UnixNano()) + "." + fmt.Sprint(serial.next())
	return letter{id, []byte("From: Sender <from@sender.example>\r\nTo: to@rcpt.example\r\n" +
		"Date: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <" + id + "@sender.example>\r\n" +
		"Subject: conformance\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\n" + content)}
}

var serial counter

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

func envelope(to string) smtp.Envelope {
	return smtp.Envelope{From: "from@sender.example", To: to}
}

const recipient = "to@rcpt.example"

// arrived waits until the server has relayed the letter and holds its bytes
// against what was sent: fields may have been added above, nothing else.
func (s *server) arrived(t testing.TB, l letter) smtptest.Message {
	t.Helper()
	var found smtptest.Message
	eventually(t, "message "+l.id+" to arrive", func() bool {
		for _, m := range s.sink.Messages() {
			if bytes.Contains(m.Data, []byte("<"+l.id+"@")) {
				found = m
				return true
			}
		}
		return false
	})
	if !bytes.HasSuffix(found.Data, l.body) {
		t.Errorf("sent\n%q\narrived\n%q", head(l.body), head(found.Data))
	}
	return found
}

func head(b []byte) []byte { return b[:min(len(b), 4000)] }

func mustDial(t testing.TB, c smtp.Config) *smtp.Client {
	t.Helper()
	client, err := smtp.Dial(t.Context(), c)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// accept sends a letter and waits for its arrival.
func (s *server) accept(t testing.TB, c *smtp.Client, env smtp.Envelope, content string) smtptest.Message {
	t.Helper()
	return s.arrived(t, send(t, c, env, content))
}

// send sends a letter that must be accepted.
func send(t testing.TB, c *smtp.Client, env smtp.Envelope, content string) letter {
	t.Helper()
	l := newLetter(content)
	if r, err := c.Send(t.Context(), env, l.body); err != nil {
		t.Fatalf("send: %v, reply %v", err, r)
	}
	return l
}

// refused wants err to be a failure in a stage with a code (0: no reply).
func refused(t testing.TB, err error, stage smtp.Stage, class smtp.Class, code int) *smtp.Error {
	t.Helper()
	var e *smtp.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *smtp.Error", err)
	}
	got := 0
	if e.Reply != nil {
		got = e.Reply.Code
	}
	if e.Stage != stage || e.Class != class || got != code || e.Permanent != (code >= 500) || e.Ambiguous() {
		t.Fatalf("%v: stage %s class %s code %d permanent %v ambiguous %v, want %s %s %d",
			e, e.Stage, e.Class, got, e.Permanent, e.Ambiguous(), stage, class, code)
	}
	return e
}

// probe runs a connection test and wants these steps, the failed one with "!".
func probe(t testing.TB, c smtp.Config, l letter, steps string) smtp.ProbeResult {
	t.Helper()
	c.StepTimeout = 0 // as it is in earnest
	res := smtp.Probe(t.Context(), c, "from@sender.example", recipient, l.body)
	var names []string
	for _, s := range res.Steps {
		name := s.Name
		if !s.OK {
			name += "!"
		}
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != steps {
		t.Fatalf("steps %s, want %s: %+v", got, steps, res)
	}
	if res.Success == strings.Contains(steps, "!") {
		t.Errorf("success %v", res.Success)
	}
	return res
}

// wire records what a client writes, one element a write.
type wire struct {
	mu     sync.Mutex
	writes []string
}

func (w *wire) tap(c *smtp.Config) {
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		return &tapped{conn, w}, err
	}
}

type tapped struct {
	net.Conn
	w *wire
}

func (c *tapped) Write(p []byte) (int, error) {
	c.w.mu.Lock()
	c.w.writes = append(c.w.writes, string(p))
	c.w.mu.Unlock()
	return c.Conn.Write(p)
}

// with gives the writes that begin with a command.
func (w *wire) with(command string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for _, s := range w.writes {
		if strings.HasPrefix(s, command) {
			found = append(found, s)
		}
	}
	return found
}
