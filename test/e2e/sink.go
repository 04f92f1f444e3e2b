package e2e

import (
	"bytes"
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// sink is the mail server of all recipients: it answers by the kind of the
// address (see outcome.go) and keeps every message that it accepts.
type sink struct {
	server    *smtp.Server
	port      int
	mu        sync.Mutex
	attempts  map[string]int // RCPT commands by address
	delivered []delivery
}

// delivery is one accepted message.
type delivery struct {
	From, To string
	Data     []byte
}

// field gives a field of the header, "" when it is absent.
func (d *delivery) field(name string) string {
	m, err := mail.ReadMessage(bytes.NewReader(d.Data))
	if err != nil {
		return ""
	}
	return m.Header.Get(name)
}

// uuid is the message's own, "" when it is not one of ours.
func (d *delivery) uuid() string { return d.field("X-Sendpost-Message-UUID") }

// newSink listens on two loopback addresses: Postfix stops sending to a whole
// destination when it cuts connections, so those recipients have their own.
func newSink(t testing.TB) *sink {
	t.Helper()
	s := &sink{port: freePort(t), attempts: map[string]int{}}
	s.server = smtp.NewServer(s)
	s.server.Domain = "mx.recipients.example"
	s.server.MaxMessageBytes = 64 << 20
	s.server.ReadTimeout = time.Minute
	s.server.ErrorLog = silent{} // connections are cut on purpose
	var lc net.ListenConfig
	var running sync.WaitGroup
	for _, addr := range []string{loopback(s.port), hostPort(cutHost, s.port)} {
		l, err := lc.Listen(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = s.server.Serve(l) })
	}
	t.Cleanup(func() {
		_ = s.server.Close()
		running.Wait()
	})
	return s
}

// NewSession begins a conversation.
func (s *sink) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &sinkSession{sink: s, conn: c}, nil
}

// all is what was accepted so far, in order.
func (s *sink) all() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.delivered)
}

// byUUID sorts what was accepted by the message it is.
func (s *sink) byUUID() map[string][]delivery {
	out := map[string][]delivery{}
	for _, d := range s.all() {
		if id := d.uuid(); id != "" && !strings.HasPrefix(d.To, "bounces+") {
			out[id] = append(out[id], d)
		}
	}
	return out
}

// recipients counts the addresses that were tried, without those of bounces.
func (s *sink) recipients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for address := range s.attempts {
		if !strings.HasPrefix(address, "bounces+") {
			n++
		}
	}
	return n
}

type sinkSession struct {
	sink     *sink
	conn     *smtp.Conn
	from, to string
}

// Mail notes the envelope sender.
func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt answers as the kind of the recipient says.
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.sink.mu.Lock()
	s.sink.attempts[to]++
	n := s.sink.attempts[to]
	s.sink.mu.Unlock()
	k := kindOf(to)
	if k.cut && n == 1 {
		return s.conn.Conn().Close()
	}
	if k.rcpt != nil && (!k.once || n == 1) {
		return k.rcpt
	}
	s.to = to
	return nil
}

// Data takes the message.
func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if k := kindOf(s.to); k.data != nil {
		return k.data
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.delivered = append(s.sink.delivered, delivery{s.from, s.to, b})
	return stored
}

// Reset forgets the envelope.
func (s *sinkSession) Reset() { s.from, s.to = "", "" }

// Logout ends the conversation.
func (s *sinkSession) Logout() error { return nil }

// silent is a log that nobody reads.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}
