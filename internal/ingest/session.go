package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/gate"
)

// maxStrangers is how many refused recipients a session may try.
const maxStrangers = 20

// storeWithin bounds one look-up or one commit on behalf of a session.
const storeWithin = 30 * time.Second

func smtpError(code int, class, subject, detail int, text string) *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode{class, subject, detail}, Message: text}
}

// The replies of a session.
var (
	errNotHere   = smtpError(550, 5, 1, 1, "No such return path here")
	errLookUp    = smtpError(451, 4, 3, 0, "Storage cannot answer now, try again later")
	errNotStored = smtpError(451, 4, 3, 0, "The report could not be stored, try again later")
	errEnded     = smtpError(421, 4, 7, 0, "This session has ended")
	errStrangers = smtpError(421, 4, 7, 0, "Too many unknown recipients")
	errBareLine  = smtpError(554, 5, 5, 2, "A line must end with CR LF; a lone CR or LF is refused")
	errLongLine  = smtpError(500, 5, 5, 2, "Line too long")
	errCutShort  = smtpError(451, 4, 4, 2, "The report was cut short")
	errBusy      = smtpError(452, 4, 3, 1, "Too many reports to this address in this hour, try again later")
)

// session is one SMTP conversation with a server that brings reports.
type session struct {
	srv       *SMTP
	conn      *gate.Conn
	strangers int
	ended     atomic.Bool // whatever comes now is refused

	mu sync.Mutex // BDAT runs Data beside the commands
	to []Addressee
}

// Mail takes any sender: reports have none (RFC 3464), answers of people one.
func (s *session) Mail(string, *gosmtp.MailOptions) error {
	s.Reset()
	if s.ended.Load() {
		return errEnded
	}
	return nil
}

// Rcpt lets in return paths of messages that were relayed lately, and the
// addresses that every host has.
func (s *session) Rcpt(address string, _ *gosmtp.RcptOptions) error {
	if s.ended.Load() {
		return errEnded
	}
	if s.srv.isRole(address) {
		s.add(Addressee{Address: address})
		return nil
	}
	ctx, cancel := context.WithTimeout(s.srv.ctx(), storeWithin)
	defer cancel()
	to, err := s.srv.cfg.Door.Addressee(ctx, address, time.Now())
	switch {
	case err == nil:
		s.add(to)
		return nil
	case !errors.Is(err, ErrStranger):
		s.srv.cfg.Log.Error("a recipient could not be looked up", "error", err)
		return errLookUp
	}
	if s.strangers++; s.strangers >= maxStrangers {
		s.end()
		return errStrangers
	}
	return errNotHere
}

// add notes a recipient, once.
func (s *session) add(to Addressee) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.to {
		if strings.EqualFold(t.Address, to.Address) {
			return
		}
	}
	s.to = append(s.to, to)
}

// end closes the connection with the next reply, and refuses what the other
// side has sent ahead.
func (s *session) end() {
	s.ended.Store(true)
	s.conn.CloseAfterWrite()
}

// Data reads one mail and stores it for each recipient: 250 is said after the
// commits only.
func (s *session) Data(r io.Reader) error {
	if s.ended.Load() {
		return errEnded
	}
	s.mu.Lock()
	all := s.to
	s.mu.Unlock()
	raw, err := s.read(r)
	if err != nil {
		return err
	}
	for _, to := range all {
		if err := s.keep(to, raw); err != nil {
			return err
		}
	}
	return nil
}

// read reads the mail whole. A lone CR or LF ends the session: it is how a
// second mail is smuggled past a server that takes it for the end of a line.
func (s *session) read(r io.Reader) ([]byte, error) {
	var raw bytes.Buffer
	_, err := raw.ReadFrom(r)
	switch {
	case gate.LoneCROrLF(raw.Bytes()):
		s.end()
		return nil, errBareLine
	case err == nil:
		return raw.Bytes(), nil
	case errors.Is(err, gosmtp.ErrTooLongLine):
		s.end()
		return nil, errLongLine
	}
	if refused, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
		return nil, refused
	}
	return nil, errCutShort
}

// keep stores one report.
func (s *session) keep(to Addressee, raw []byte) error {
	if to.Message.ID.IsZero() && !s.srv.roles.take(time.Now()) {
		return errBusy
	}
	ctx, cancel := context.WithTimeout(s.srv.ctx(), storeWithin)
	defer cancel()
	got, err := s.srv.cfg.Door.Bounce(ctx, to, raw, time.Now())
	log := s.srv.cfg.Log
	if err != nil {
		log.Error("a report was not stored; its sender will try again", "to", to.Address, "error", err)
		return errNotStored
	}
	r := &got.Report
	log.LogAttrs(ctx, slog.LevelDebug, "report", slog.String("id", r.ID.String()), slog.String("to", r.Envelope),
		slog.String("kind", r.Kind), slog.String("verdict", r.Verdict), slog.String("rule", r.Rule), slog.String("status", string(r.Status)))
	if got.Tripped {
		log.Warn("too many hard bounces for messages that were reported as delivered: suppressions by report are held for this sub-account; look at GET /api/v1/account/bounce?status=held",
			"sub_account", r.SubAccount, "limit_per_hour", BreakerLimit)
	}
	return nil
}

// Reset forgets the recipients.
func (s *session) Reset() {
	s.mu.Lock()
	s.to = nil
	s.mu.Unlock()
}

// Logout ends the session.
func (s *session) Logout() error { return nil }

// roleNames are those that every host of ours answers for: postmaster (RFC 5321, section
// 4.5.1), and where complaints are sent.
var roleNames = []string{"postmaster", "abuse", "fbl"}

// isRole tells whether an address is a role at the bounce host, or at a host
// of return paths.
func (s *SMTP) isRole(address string) bool {
	local, host, ok := strings.Cut(strings.ToLower(address), "@")
	if !ok || host != strings.ToLower(s.cfg.Host) && !strings.HasPrefix(host, waypost.BounceLabel+".") {
		return false
	}
	return slices.Contains(roleNames, local)
}
