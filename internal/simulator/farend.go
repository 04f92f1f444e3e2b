package simulator

import (
	"context"
	"io"
	"net"
	"sync/atomic"

	gosmtp "github.com/emersion/go-smtp"
)

// FarEnd is the servers of the recipients: it answers each RCPT with the
// outcome in the recipient's local part, and keeps nothing.
type FarEnd struct {
	// Mailbox, when not nil, is given each message for reader@. It must not
	// block.
	Mailbox func(sender string, mail []byte)

	tally tally
	taken atomic.Int64
}

// Run serves on l, which it closes, until ctx ends.
func (f *FarEnd) Run(ctx context.Context, l net.Listener) error {
	return serveSMTP(ctx, l, "mx.mailbox.example", func(leave func()) gosmtp.Session { return &farSession{far: f, leave: leave} })
}

// Taken is the number of messages taken so far, bounce reports included.
func (f *FarEnd) Taken() int64 { return f.taken.Load() }

type farSession struct {
	far    *FarEnd
	leave  func()
	sender string
	reads  bool // a recipient is reader@
}

// Mail begins a message.
func (s *farSession) Mail(from string, _ *gosmtp.MailOptions) error {
	s.sender = from
	return nil
}

// Rcpt answers as the recipient's server.
func (s *farSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	attempt := 1
	if localPart(to) == localDeferred { // the one outcome that counts attempts
		attempt = s.far.tally.next(s.sender, to)
	}
	if r := answer(to, attempt); r.code != 250 {
		return r.smtp()
	}
	s.reads = s.reads || localPart(to) == localReader
	return nil
}

// Data takes the message and forgets it, unless somebody reads it.
func (s *farSession) Data(r io.Reader) error {
	if s.reads && s.far.Mailbox != nil {
		mail, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		s.far.Mailbox(s.sender, mail)
	} else if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.far.taken.Add(1)
	return nil
}

// Reset forgets the message begun.
func (s *farSession) Reset() { s.sender, s.reads = "", false }

// Logout ends the session.
func (s *farSession) Logout() error {
	s.leave()
	return nil
}
