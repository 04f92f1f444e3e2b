package simulator

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// The processes of a Postfix, each with a number as if it ran.
var (
	fromSMTPD   = mtalog.Origin{Tag: "postfix/smtpd", PID: 4101}
	fromCleanup = mtalog.Origin{Tag: "postfix/cleanup", PID: 4102}
	fromQmgr    = mtalog.Origin{Tag: "postfix/qmgr", PID: 4103}
	fromSMTP    = mtalog.Origin{Tag: "postfix/smtp", PID: 4104}
	fromBounce  = mtalog.Origin{Tag: "postfix/bounce", PID: 4105}
)

// The recipients' server as the log names it (address of RFC 5737).
const (
	farName  = "mx.mailbox.example[192.0.2.25]"
	farRelay = farName + ":25"
)

// mailLog writes a mail log. The lines of one event go out in one Write.
type mailLog struct {
	format mtalog.Writer
	mu     sync.Mutex
	out    io.Writer
	err    error // the first failure
}

func (l *mailLog) write(lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return
	}
	if _, err := l.out.Write(lines); err != nil && l.err == nil {
		l.err = fmt.Errorf("write the mail log: %w", err)
	}
}

func (l *mailLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *mailLog) arrival(m *message) {
	b := l.format.Client(nil, m.arrived, fromSMTPD, m.id, "localhost[127.0.0.1]")
	b = l.format.MessageID(b, m.arrived, fromCleanup, m.id, m.messageID)
	l.write(l.format.Sender(b, m.arrived, fromQmgr, m.id, m.sender, m.size, len(m.recipients)))
}

// active is the queue manager taking a deferred message up again.
func (l *mailLog) active(m *message) {
	l.write(l.format.Sender(nil, time.Now(), fromQmgr, m.id, m.sender, m.size, len(m.recipients)))
}

func (l *mailLog) attempt(m *message, to string, r reply, far mtalog.QueueID) {
	now := time.Now()
	d := mtalog.Delivery{
		Queue: m.id, Recipient: to, Relay: farRelay, Delay: now.Sub(m.arrived),
		Delays: [4]time.Duration{0, 0, now.Sub(m.arrived) / 2, now.Sub(m.arrived) / 2},
		Status: r.word(), Enhanced: r.dsn(),
		Description: "host " + farName + " said: " + r.String() + " (in reply to RCPT TO command)",
	}
	if d.Status == "sent" {
		d.Description = r.String() + ": queued as " + string(far)
	}
	l.write(l.format.Delivery(nil, now, fromSMTP, d))
}

func (l *mailLog) notification(m *message, report mtalog.QueueID) {
	l.write(l.format.Notification(nil, time.Now(), fromBounce, m.id, report))
}

func (l *mailLog) removed(m *message) {
	l.write(l.format.Removed(nil, time.Now(), fromQmgr, m.id))
}

// refused is smtpd's line for a recipient it does not accept. There is no
// queue id yet: Postfix writes NOQUEUE in its place.
func (l *mailLog) refused(sender, to string, r reply) {
	text := fmt.Sprintf("reject: RCPT from localhost[127.0.0.1]: %s; from=<%s> to=<%s> proto=ESMTP", r, sender, to)
	// The format has no method for this line: it begins like every other.
	b := bytes.TrimSuffix(l.format.Removed(nil, time.Now(), fromSMTPD, "NOQUEUE"), []byte("removed\n"))
	l.write(append(append(b, printable(text)...), '\n'))
}

// printable keeps what a client said inside its line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}
