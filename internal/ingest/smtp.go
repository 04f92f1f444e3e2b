package ingest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // the SMTP library wants one; it writes to nowhere
	"log/slog"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	gosmtp "github.com/emersion/go-smtp"

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
	gate  gate
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
		cert, err := selfSigned(c.Host, time.Now())
		if err != nil {
			return nil, fmt.Errorf("make a certificate for %s: %w", c.Host, err)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	return &SMTP{cfg: c, gate: gate{cfg: &c}, roles: allowance{most: c.RolesPerHour}}, nil
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
		g, ok := rawConn(c.Conn())
		if !ok {
			return nil, errEnded
		}
		return &session{srv: s, conn: g}, nil
	}))
	srv.Domain, srv.TLSConfig = s.cfg.Host, s.cfg.TLS
	srv.MaxMessageBytes, srv.MaxRecipients, srv.MaxLineLength = store.MaxReportRaw, maxRecipients, maxLine
	srv.ReadTimeout, srv.WriteTimeout = s.cfg.IdleTimeout, s.cfg.IdleTimeout
	srv.EnableSMTPUTF8 = true
	srv.ErrorLog = log.New(io.Discard, "", 0)

	door := &gatedListener{Listener: l, gate: &s.gate, life: s.cfg.Lifetime}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limit, cancel := context.WithTimeout(base, s.cfg.Grace)
		defer cancel()
		door.drain() // those that wait for a command are woken
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
			door.closeAll()
		}
	})
	err := srv.Serve(door)
	if !stop() {
		<-stopped
		return nil
	}
	_ = srv.Close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve SMTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// selfSigned makes a certificate for opportunistic TLS: servers that bring
// reports do not check it (RFC 7435).
func selfSigned(host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
