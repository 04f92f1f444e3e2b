package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Security says how a connection gets its TLS.
type Security string

// The values of smtpSecurity (D-11). "" means none.
const (
	SecurityNone     Security = "none"
	SecurityStartTLS Security = "starttls" // required, never opportunistic
	SecurityTLS      Security = "tls"      // from the first byte, RFC 8314
)

// AuthMethod says which SASL mechanism to use.
type AuthMethod string

// The values of smtpAuth (D-11). "" means auto.
const (
	AuthAuto  AuthMethod = "auto" // PLAIN, else LOGIN, as offered
	AuthPlain AuthMethod = "plain"
	AuthLogin AuthMethod = "login"
	AuthNone  AuthMethod = "none"
)

// Config is all one needs to reach a smarthost. It is never written to by this
// package and may be shared.
type Config struct {
	Host     string // name or address literal
	Port     int    // 1 to 65535
	Security Security

	Username, Password string // no AUTH when Username is ""
	Auth               AuthMethod

	// HELO is our name in EHLO. Default: the machine's name when it has a dot,
	// else the address literal of the connection's local end.
	HELO string

	// TLSSkipVerify accepts any certificate and permits credentials over such a
	// connection (D-15).
	TLSSkipVerify bool
	// AllowPlainAuth permits credentials without TLS (D-15).
	AllowPlainAuth bool
	// AllowPrivate permits addresses that GuardAddr refuses (D-14); the operator's
	// setting is called allow_private_networks.
	AllowPrivate bool

	Resolver *net.Resolver  // nil: the system's
	RootCAs  *x509.CertPool // nil: the system's

	// Dial replaces the TCP dialer; it receives the checked "IP:port". Nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// StepTimeout limits every step: resolve, connect, handshake, one reply, one
	// block of the body. Zero: 30 s to connect, 2 min a command or block, 5 min
	// for the reply to the final dot (RFC 5321 section 4.5.3.2), 10 s in a Probe.
	StepTimeout time.Duration

	// OnStep is told of each step of a Probe or Greet as it ends, in the order
	// and with the names of ProbeResult.Steps, by the goroutine that called. Nil:
	// nobody is.
	OnStep func(ProbeStep)
}

// Timeouts of a relay session when Config.StepTimeout is zero.
const (
	connectTimeout = 30 * time.Second
	commandTimeout = 2 * time.Minute
	finalTimeout   = 5 * time.Minute
	quitTimeout    = 2 * time.Second
)

func (c *Config) limit(d time.Duration) time.Duration {
	if c.StepTimeout > 0 {
		return c.StepTimeout
	}
	return d
}

// check finds mistakes that no server needs to be asked about.
func (c *Config) check() error {
	switch {
	case c.Host == "" || hostile(c.Host):
		return fmt.Errorf("bad host %q", c.Host)
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("bad port %d: use 1 to 65535", c.Port)
	case c.Security != "" && c.Security != SecurityNone && c.Security != SecurityStartTLS && c.Security != SecurityTLS:
		return fmt.Errorf("bad security %q: use none, starttls or tls", c.Security)
	case c.Auth != "" && c.Auth != AuthAuto && c.Auth != AuthPlain && c.Auth != AuthLogin && c.Auth != AuthNone:
		return fmt.Errorf("bad auth method %q: use auto, plain, login or none", c.Auth)
	case hostile(c.HELO):
		return fmt.Errorf("bad HELO name %q", c.HELO)
	case strings.ContainsRune(c.Username, 0) || strings.ContainsRune(c.Password, 0):
		return errors.New("NUL in user name or password")
	}
	return nil
}

// hostile reports whether s could break out of its place in a command.
func hostile(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '<' || r == '>'
	})
}

// serverName is what the certificate must be for.
func (c *Config) serverName() string {
	h := strings.TrimSuffix(strings.TrimPrefix(c.Host, "["), "]")
	return strings.TrimSuffix(h, ".")
}

func (c *Config) tlsConfig() *tls.Config {
	return &tls.Config{
		ServerName:         c.serverName(),
		RootCAs:            c.RootCAs,
		InsecureSkipVerify: c.TLSSkipVerify, // an explicit choice of the provider's owner, D-15
		MinVersion:         tls.VersionTLS12,
	}
}

// helo is our name on a connection with the given local address (RFC 5321
// sections 4.1.1.1 and 4.1.3).
func (c *Config) helo(localAddr net.Addr) string {
	if c.HELO != "" {
		return c.HELO
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && !hostile(name) {
		return name
	}
	if tcp, ok := localAddr.(*net.TCPAddr); ok {
		if tcp.IP.To4() != nil {
			return "[" + tcp.IP.String() + "]"
		}
		return "[IPv6:" + tcp.IP.String() + "]"
	}
	return "[127.0.0.1]"
}

// Envelope is the SMTP envelope of one message to one recipient.
type Envelope struct {
	From string // reverse-path without angle brackets; "" is the null path
	To   string // forward-path without angle brackets
	Size int    // bytes for SIZE=; 0: the length of the body
	// SMTPUTF8 asks for RFC 6531 because a header needs it; an address with 8-bit
	// characters asks for it by itself.
	SMTPUTF8 bool
	ENVID    string // original envelope id, at most 100 characters once encoded (RFC 3461 section 4.4)
	ORCPT    string // original recipient, "" leaves it out

	// Trace, when not nil, receives what the transaction did. Nil costs nothing.
	Trace *Transaction
}

// Extensions is what the server's last EHLO offered.
type Extensions struct {
	Pipelining   bool
	Size         int64 // largest message in bytes; 0: no limit stated
	SMTPUTF8     bool
	EightBitMIME bool
	DSN          bool
	StartTLS     bool
	Auth         []string // mechanisms in upper case
	Raw          []string // every line after the greeting

	sizeParam bool // SIZE= may be sent
}

// TLSInfo describes the TLS of a connection.
type TLSInfo struct {
	Version  string    `json:"version"`
	Cipher   string    `json:"cipher"`
	PeerName string    `json:"peerName"` // first DNS name of the certificate, else its common name
	NotAfter time.Time `json:"notAfter"` // of the certificate
}

func tlsInfo(s tls.ConnectionState) *TLSInfo {
	info := &TLSInfo{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite)}
	if len(s.PeerCertificates) > 0 {
		cert := s.PeerCertificates[0]
		info.NotAfter = cert.NotAfter
		info.PeerName = cert.Subject.CommonName
		if len(cert.DNSNames) > 0 {
			info.PeerName = cert.DNSNames[0]
		}
		info.PeerName = bound(clean([]byte(info.PeerName)), 255)
	}
	return info
}
