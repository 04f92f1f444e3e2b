package simulator

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// MTAConfig sets up a simulated mail server.
type MTAConfig struct {
	Hostname string    // of the mail server; "" : relay.example
	MailLog  io.Writer // receives whole lines, one Write per line or several

	Username, Password string // asked for with AUTH PLAIN; none when Username is ""

	Latency  time.Duration // from acceptance to the recipient's server's word; 0: 250 ms
	Pause    time.Duration // from a deferral to the next attempt; 0: 2 s
	Refusals int           // attempts for refused@ that are refused; 0: 1

	// Seen, when not nil, is told the envelope sender of every message offered,
	// once per attempt. It must not block.
	Seen func(sender string)
	// Mailbox, when not nil, is given each message that arrives in the mailbox
	// of reader@, before the log says so. It must not block.
	Mailbox func(sender string, mail []byte)
}

// maxQueued is how many messages wait for delivery at most; more get 452.
const maxQueued = 1000

// MTA is a mail server that delivers to no one and logs as Postfix does.
type MTA struct {
	cfg      MTAConfig
	log      mailLog
	refused  tally
	queued   atomic.Int64
	lastID   atomic.Uint32
	delivery sync.WaitGroup
}

// NewMTA makes a mail server; Run lets it work.
func NewMTA(c MTAConfig) *MTA {
	if c.Hostname == "" {
		c.Hostname = "relay.example"
	}
	if c.Latency <= 0 {
		c.Latency = 250 * time.Millisecond
	}
	if c.Pause <= 0 {
		c.Pause = 2 * time.Second
	}
	if c.Refusals <= 0 {
		c.Refusals = 1
	}
	short, _, _ := strings.Cut(c.Hostname, ".")
	return &MTA{cfg: c, log: mailLog{out: c.MailLog, format: mtalog.Writer{Host: short, Form: mtalog.RFC3339}}}
}

// Run serves on l, which it closes, until ctx ends. Mail in the queue is then
// given up without a line in the log. The error is of the listener, or of the
// mail log, which may have failed long before.
func (m *MTA) Run(ctx context.Context, l net.Listener) error {
	err := serveSMTP(ctx, l, m.cfg.Hostname, func(leave func()) gosmtp.Session {
		return &mtaSession{mta: m, ctx: ctx, leave: leave, authed: m.cfg.Username == ""}
	})
	m.delivery.Wait()
	return errors.Join(err, m.log.failure())
}

// message is one accepted message.
type message struct {
	id         mtalog.QueueID
	sender     string
	messageID  string
	recipients []string
	size       int64
	arrived    time.Time
	content    []byte // kept for a reader, else nil
}

// accept logs the arrival of a message and starts its delivery.
func (m *MTA) accept(ctx context.Context, msg *message) error {
	if m.queued.Add(1) > maxQueued {
		m.queued.Add(-1)
		return &gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 3, 1}, Message: "Insufficient system storage"}
	}
	msg.arrived = time.Now()
	msg.id = m.queueID(msg.arrived)
	m.log.arrival(msg)
	m.delivery.Go(func() {
		defer m.queued.Add(-1)
		m.deliver(ctx, msg)
	})
	return &gosmtp.SMTPError{Code: 250, EnhancedCode: gosmtp.EnhancedCode{2, 0, 0}, Message: "Ok: queued as " + string(msg.id)}
}

// deliver tries until every recipient's server has had its last word.
func (m *MTA) deliver(ctx context.Context, msg *message) {
	pause := m.cfg.Latency
	bounced := false
	for attempt := 1; len(msg.recipients) > 0; attempt++ {
		if !wait(ctx, pause) {
			return
		}
		pause = m.cfg.Pause
		if attempt > 1 {
			m.log.active(msg)
		}
		var again []string
		for _, to := range msg.recipients {
			r := answer(to, attempt)
			if r.code == 250 && msg.content != nil && localPart(to) == localReader {
				m.cfg.Mailbox(msg.sender, msg.content)
			}
			m.log.attempt(msg, to, r, m.queueID(time.Now()))
			switch r.word() {
			case "deferred":
				again = append(again, to)
			case "bounced":
				bounced = true
			}
		}
		msg.recipients = again
	}
	if bounced {
		m.log.notification(msg, m.queueID(time.Now()))
	}
	m.log.removed(msg)
}

// queueID gives a queue id in Postfix's short form: microseconds, and instead
// of an inode a number that no other message has.
func (m *MTA) queueID(now time.Time) mtalog.QueueID {
	return mtalog.QueueID(fmt.Sprintf("%05X%05X", now.Nanosecond()/1000, m.lastID.Add(1)&0xFFFFF))
}

// mtaSession is one SMTP session with the mail server.
type mtaSession struct {
	mta    *MTA
	ctx    context.Context //nolint:containedctx // of the run; the library's sessions have none
	leave  func()
	authed bool
	sender string
	to     []string
}

var _ gosmtp.AuthSession = (*mtaSession)(nil)

// AuthMechanisms offers PLAIN when the server has a user.
func (s *mtaSession) AuthMechanisms() []string {
	if s.mta.cfg.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth checks the user and password.
func (s *mtaSession) Auth(mech string) (sasl.Server, error) {
	if mech != sasl.Plain || s.mta.cfg.Username == "" {
		return nil, gosmtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, user, password string) error {
		right := subtle.ConstantTimeCompare([]byte(user), []byte(s.mta.cfg.Username)) &
			subtle.ConstantTimeCompare([]byte(password), []byte(s.mta.cfg.Password))
		if right != 1 {
			return gosmtp.ErrAuthFailed
		}
		s.authed = true
		return nil
	}), nil
}

// Mail begins a message.
func (s *mtaSession) Mail(from string, _ *gosmtp.MailOptions) error {
	if !s.authed {
		return &gosmtp.SMTPError{Code: 530, EnhancedCode: gosmtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.sender = from
	return nil
}

// Rcpt takes a recipient, or refuses it for now.
func (s *mtaSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if seen := s.mta.cfg.Seen; seen != nil && len(s.to) == 0 {
		seen(s.sender)
	}
	if localPart(to) == localRefused && s.mta.refused.next(s.sender, to) <= s.mta.cfg.Refusals {
		r := refusal(to)
		s.mta.log.refused(s.sender, to, r)
		return r.smtp()
	}
	s.to = append(s.to, to)
	return nil
}

// Data takes the message.
func (s *mtaSession) Data(r io.Reader) error {
	var kept bytes.Buffer
	reads := s.mta.cfg.Mailbox != nil && slices.ContainsFunc(s.to, func(to string) bool { return localPart(to) == localReader })
	if reads {
		r = io.TeeReader(r, &kept)
	}
	body := &countingReader{r: r}
	id := headerMessageID(body)
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	return s.mta.accept(s.ctx, &message{sender: s.sender, messageID: id, recipients: s.to, size: body.n, content: kept.Bytes()})
}

// Reset forgets the message begun.
func (s *mtaSession) Reset() { s.sender, s.to = "", nil }

// Logout ends the session.
func (s *mtaSession) Logout() error {
	s.leave()
	return nil
}

// headerMessageID reads the header of a message; "" when it has no Message-ID
// or cannot be read.
func headerMessageID(r io.Reader) string {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return ""
	}
	return strings.Trim(m.Header.Get("Message-ID"), "<> \t")
}

type countingReader struct {
	r io.Reader
	n int64
}

// Read reads and counts.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
