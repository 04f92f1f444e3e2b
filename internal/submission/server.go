package submission

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/gate"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/store"
)

// Config sets up SMTP submission. Zero limits mean the defaults, which the
// comments give.
type Config struct {
	Store  store.Store
	Queue  *queue.Queue
	Host   string // of the banner
	Domain string // of user names, "" : waypost.SubmissionDomain
	Log    *slog.Logger

	PerHour   int  // mails an hour of a credential without a bound of its own, 0: no bound
	PlainAuth bool // AUTH without TLS too: for listeners on loopback

	MaxConns    int           // open at once: 500
	PerIP       int           // open at once from one address: 100
	PerIPMinute int           // new ones a minute from one address: 3000
	IdleTimeout time.Duration // for one command, and for each piece of a message: 5 m (RFC 5321, 4.5.3.2)
	Lifetime    time.Duration // of a connection, whatever it does: 1 h
	Grace       time.Duration // for what is in flight when stopping: 20 s
	MaxBytes    int64         // of one message as it comes: 40 MiB, which holds 25 MB of attachments
	MaxMemory   int64         // of all messages being read: 64 MiB
}

const (
	maxLine       = 16 << 10 // bytes; programs send longer lines than RFC 5321 allows
	maxRecipients = 500
)

// Server takes mail on any number of listeners. Make it with New.
type Server struct {
	cfg     Config
	gate    *gate.Gate
	pause   time.Duration
	guesses guesses
	used    used
	memory  atomic.Int64

	taken, refused atomic.Int64
}

// Counts says what the server did since the start.
type Counts struct{ Messages, RefusedLogins int64 }

// Counts tells of the work so far.
func (s *Server) Counts() Counts { return Counts{s.taken.Load(), s.refused.Load()} }

// New makes a server.
func New(c Config) *Server {
	def := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	defTime := func(v *time.Duration, to time.Duration) {
		if *v <= 0 {
			*v = to
		}
	}
	def(&c.MaxConns, 500)
	def(&c.PerIP, 100)
	def(&c.PerIPMinute, 3000)
	defTime(&c.IdleTimeout, 5*time.Minute)
	defTime(&c.Lifetime, time.Hour)
	defTime(&c.Grace, 20*time.Second)
	if c.MaxBytes <= 0 {
		c.MaxBytes = 40 << 20
	}
	if c.MaxMemory <= 0 {
		c.MaxMemory = 64 << 20
	}
	if c.Domain == "" {
		c.Domain = waypost.SubmissionDomain
	}
	limits := gate.Limits{MaxConns: c.MaxConns, PerIP: c.PerIP, PerIPMinute: c.PerIPMinute, Lifetime: c.Lifetime}
	return &Server{cfg: c, gate: gate.New(limits), pause: failPause}
}

// Run answers on l, which it closes, until ctx ends: TLS from the first byte
// when implicit, else with STARTTLS. Sessions then have two seconds for what
// they are sending, and the grace period for what is being stored. It returns
// nil after such an end.
func (s *Server) Run(ctx context.Context, l net.Listener, secure *tls.Config, implicit bool) error {
	base := context.WithoutCancel(ctx)
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		g, ok := gate.Raw(c.Conn())
		if !ok {
			return nil, errEnded
		}
		if s.guesses.locked(g.IP, time.Now()) {
			g.CloseAfterWrite()
			return nil, errLocked
		}
		return &session{srv: s, conn: g, ctx: base}, nil
	}))
	srv.Domain, srv.TLSConfig = s.cfg.Host, secure
	srv.MaxMessageBytes, srv.MaxRecipients, srv.MaxLineLength = s.cfg.MaxBytes, maxRecipients, maxLine
	srv.ReadTimeout, srv.WriteTimeout = s.cfg.IdleTimeout, s.cfg.IdleTimeout
	srv.EnableSMTPUTF8 = true
	srv.AllowInsecureAuth = s.cfg.PlainAuth
	srv.ErrorLog = gate.Panics(s.cfg.Log)

	door := s.gate.Listen(l)
	var serve net.Listener = door
	if implicit {
		door.Encrypted = true
		serve = tls.NewListener(door, secure)
	}
	if err := gate.Serve(ctx, srv, door, serve, s.cfg.Grace); err != nil {
		return fmt.Errorf("serve SMTP submission on %s: %w", l.Addr(), err)
	}
	return nil
}
