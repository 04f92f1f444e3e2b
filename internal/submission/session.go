package submission

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/gate"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
)

// storeWithin bounds what is done in storage for one command.
const storeWithin = 30 * time.Second

func reply(code int, class, subject, detail int, text string) *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: text}
}

// The replies of a session (RFC 5321, RFC 4954, RFC 3463).
var (
	errLogin    = reply(535, 5, 7, 8, "User name or password is wrong")
	errGuesses  = reply(421, 4, 7, 0, "Too many wrong passwords")
	errLocked   = reply(421, 4, 7, 0, "Too many wrong passwords from this address, try again later")
	errAway     = reply(451, 4, 3, 0, "Storage cannot answer now, try again later")
	errEnded    = reply(421, 4, 7, 0, "This session has ended")
	errBareLine = reply(554, 5, 5, 2, "A line must end with CR LF; a lone CR or LF is refused")
	errLongLine = reply(500, 5, 5, 2, "Line too long")
	errCutShort = reply(451, 4, 4, 2, "The message was cut short")
	errMemory   = reply(452, 4, 3, 1, "Too many messages are being read, try again later")
	errBlocked  = reply(550, 5, 7, 1, "This sub-account is blocked and accepts no mail")
	errAddress  = reply(553, 5, 1, 3, "Not an address that mail can be sent to")
)

// session is one SMTP conversation.
type session struct {
	srv     *Server
	conn    *gate.Conn
	ctx     context.Context //nolint:containedctx // of what the session does
	guesses int
	ended   atomic.Bool

	mu  sync.Mutex // BDAT runs Data beside the commands
	key waypost.APIKey
	sub waypost.SubAccount
	to  []string
}

// AuthMechanisms lists what a client may log in with.
func (s *session) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth begins a login.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	if s.ended.Load() {
		return nil, errEnded
	}
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(identity, username, password string) error {
			if identity != "" && identity != username {
				return s.wrong()
			}
			return s.login(username, password)
		}), nil
	case sasl.Login:
		return &loginServer{check: s.login}, nil
	}
	return nil, gosmtp.ErrAuthUnknownMechanism
}

func (s *session) login(username, password string) error {
	if s.srv.guesses.locked(s.conn.IP, time.Now()) {
		s.end()
		return errLocked
	}
	ctx, cancel := context.WithTimeout(s.ctx, storeWithin)
	defer cancel()
	key, err := s.srv.login(ctx, username, password, s.conn.IP)
	if errors.Is(err, errLogin) {
		return s.wrong()
	}
	if err != nil {
		return err
	}
	sub, err := s.srv.cfg.Store.SubAccount(ctx, key.Account, key.SubAccount)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.wrong()
	case err != nil:
		s.srv.cfg.Log.ErrorContext(ctx, "a sub-account could not be read", "error", err)
		return errAway
	}
	s.mu.Lock()
	s.key, s.sub = key, sub
	s.mu.Unlock()
	return nil
}

// wrong counts a failed login of the session.
func (s *session) wrong() error {
	if s.guesses++; s.guesses >= maxGuesses {
		s.end()
		return errGuesses
	}
	return errLogin
}

// end closes the connection with the next reply, and refuses what the other
// side has sent ahead.
func (s *session) end() {
	s.ended.Store(true)
	s.conn.CloseAfterWrite()
}

// Mail begins a message. The return path that a client gives is not used: ours
// is one of the sender domain's (D-29).
func (s *session) Mail(string, *gosmtp.MailOptions) error {
	s.Reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended.Load():
		return errEnded
	case s.key.ID == 0:
		return gosmtp.ErrAuthRequired
	case s.sub.Blocked:
		return errBlocked
	}
	ctx, cancel := context.WithTimeout(s.ctx, storeWithin)
	defer cancel()
	if err := s.srv.take(ctx, &s.key, time.Now()); err != nil {
		return s.refuse(err)
	}
	return nil
}

// Rcpt notes a recipient, once.
func (s *session) Rcpt(address string, _ *gosmtp.RcptOptions) error {
	if s.ended.Load() {
		return errEnded
	}
	if waypost.CheckEmail(address) != nil {
		return errAddress
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.to {
		if strings.EqualFold(t, address) {
			return nil
		}
	}
	s.to = append(s.to, address)
	return nil
}

// Data reads a message and puts it into the queue: 250 is said after the commit
// only.
func (s *session) Data(r io.Reader) error {
	if s.ended.Load() {
		return errEnded
	}
	raw, err := s.read(r)
	defer s.srv.memory.Add(-int64(cap(raw)))
	if err != nil {
		return err
	}
	s.mu.Lock()
	key, to := s.key, s.to
	s.mu.Unlock()
	submission, err := read(raw, to)
	if err != nil {
		return s.refuse(err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, storeWithin)
	defer cancel()
	// Read again: it may have been blocked since the login.
	if submission.SubAccount, err = s.srv.cfg.Store.SubAccount(ctx, key.Account, key.SubAccount); err != nil {
		return s.refuse(err)
	}
	if submission.SubAccount.Blocked {
		return errBlocked
	}
	accepted, err := s.srv.cfg.Queue.Enqueue(ctx, submission)
	if err != nil {
		return s.refuse(err)
	}
	s.srv.taken.Add(1)
	text := "Accepted as " + accepted[0].ID.String()
	if n := len(accepted); n > 1 {
		text += " and others, one for each recipient"
	}
	return reply(250, 2, 0, 0, text)
}

// refuse is the reply to a message that is not taken.
func (s *session) refuse(err error) error {
	if r, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
		return r
	}
	if r, ok := errors.AsType[*queue.Refused](err); ok {
		if r.Ours { // cryptographic failure (RFC 3463, X.7.5): the sender's queue keeps it
			s.srv.cfg.Log.ErrorContext(s.ctx, "a submitted message was not taken; its sender will try again", "error", r.Message)
			return reply(451, 4, 7, 5, line(r.Message))
		}
		return reply(554, 5, 6, 0, line(r.Field+": "+r.Message))
	}
	s.srv.cfg.Log.ErrorContext(s.ctx, "a submitted message was not taken; its sender will try again", "error", err)
	return errAway
}

// line makes text fit for one line of a reply.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return clip(s, 400)
}

// read reads the message whole, within the memory for all sessions. A lone CR
// or LF ends the session.
func (s *session) read(r io.Reader) ([]byte, error) {
	var raw []byte
	for {
		if len(raw) == cap(raw) {
			longest := max(int(s.srv.cfg.MaxBytes)+4<<10, cap(raw)+64<<10) // no message needs more
			grown := max(64<<10, min(2*cap(raw), longest))
			more := int64(grown - cap(raw))
			if s.srv.memory.Add(more) > s.srv.cfg.MaxMemory {
				s.srv.memory.Add(-more)
				_, _ = io.Copy(io.Discard, r)
				return raw, errMemory
			}
			raw = append(make([]byte, 0, grown), raw...)
		}
		n, err := r.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		switch {
		case err == nil:
		case gate.LoneCROrLF(raw):
			s.end()
			return raw, errBareLine
		case errors.Is(err, io.EOF):
			return raw, nil
		case errors.Is(err, gosmtp.ErrTooLongLine):
			s.end()
			return raw, errLongLine
		default:
			if refused, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
				return raw, refused
			}
			return raw, errCutShort
		}
	}
}

// Reset forgets the recipients.
func (s *session) Reset() {
	s.mu.Lock()
	s.to = nil
	s.mu.Unlock()
}

// Logout ends the session.
func (s *session) Logout() error { return nil }
