package ingest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost/internal/gate"
	"github.com/waypost-mail/waypost/internal/store"
)

// SMTPConfig sets up the bounce processor's listener. Zero limits mean the
// defaults, which the comments give.
type SMTPConfig struct {
	Door *Door
	Host string // of the banner, and of the role addresses; the bounce host
	Log  *slog.Logger
	TLS  *tls.Config // STARTTLS; nil: a self-signed certificate made at the start

	MaxConns     int           // open at once: 100
	PerIP        int           // open at once from one address: 50
	PerIPMinute  int           // new ones a minute from one address: 3000
	RolesPerHour int           // reports to role addresses kept in an hour: 500
	IdleTimeout  time.Duration // for one command, for one mail, and for one reply: 2 m
	Lifetime     time.Duration // of a connection, whatever it does: 15 m
	Grace        time.Duration // for what is in flight when stopping: 20 s
}

const (
	maxLine       = 16 << 10 // bytes; reports quote lines longer than RFC 5321 allows
	maxRecipients = 50
)

// SMTP is the bounce processor's listener. It never sends mail, so no loop
// goes through it.
type SMTP struct {
	cfg   SMTPConfig
	gate  *gate.Gate
	roles allowance
	base  atomic.Pointer[context.Context]
}

// NewSMTP makes a listener of a configuration.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	for _, limit := range []struct {
		of    *int
		value int
	}{{&c.MaxConns, 100}, {&c.PerIP, 50}, {&c.PerIPMinute, 3000}, {&c.RolesPerHour, 500}} {
		if *limit.of == 0 {
			*limit.of = limit.value
		}
	}
	for _, limit := range []struct{ of, value *time.Duration }{
		{&c.IdleTimeout, new(2 * time.Minute)}, {&c.Lifetime, new(15 * time.Minute)}, {&c.Grace, new(20 * time.Second)},
	} {
		if *limit.of == 0 {
			*limit.of = *limit.value
		}
	}
	if c.TLS == nil {
		var err error
		if c.TLS, err = gate.SelfSigned(c.Host); err != nil {
			return nil, err
		}
	}
	limits := gate.Limits{MaxConns: c.MaxConns, PerIP: c.PerIP, PerIPMinute: c.PerIPMinute, Lifetime: c.Lifetime}
	return &SMTP{cfg: c, gate: gate.New(limits), roles: allowance{most: c.RolesPerHour}}, nil
}

// ctx is the context of what sessions do: that of Run, without its end.
func (s *SMTP) ctx() context.Context { return *s.base.Load() }

// Run answers on l, which it closes, until ctx ends. Sessions then have two
// seconds for what they are sending, and the grace period for what is being
// stored. It returns nil after such an end.
func (s *SMTP) Run(ctx context.Context, l net.Listener) error {
	base := context.WithoutCancel(ctx)
	s.base.Store(&base)
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		g, ok := gate.Raw(c.Conn())
		if !ok {
			return nil, errEnded
		}
		return &session{srv: s, conn: g}, nil
	}))
	srv.Domain, srv.TLSConfig = s.cfg.Host, s.cfg.TLS
	srv.MaxMessageBytes, srv.MaxRecipients, srv.MaxLineLength = store.MaxReportRaw, maxRecipients, maxLine
	srv.ReadTimeout, srv.WriteTimeout = s.cfg.IdleTimeout, s.cfg.IdleTimeout
	srv.EnableSMTPUTF8 = true
	srv.ErrorLog = gate.Panics(s.cfg.Log)

	door := s.gate.Listen(l)
	if err := gate.Serve(ctx, srv, door, door, s.cfg.Grace); err != nil {
		return fmt.Errorf("serve SMTP on %s: %w", l.Addr(), err)
	}
	return nil
}
