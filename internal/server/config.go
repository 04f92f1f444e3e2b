package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/track"
)

// Config is everything that can be set; cmd/waypost fills it from flags,
// environment and file.
type Config struct {
	Data     string // directory of the database and the key file, made when absent
	Database string // "postgres://…", or "" for SQLite in Data

	HTTP       string // listen address of API, tracking and dashboard
	SMTP       string // listen address of the bounce processor
	Submission string // listen address of SMTP submission with STARTTLS

	SubmissionTLS       string // listen address of SMTP submission that is TLS from the first byte
	SubmissionDomain    string // of user names; "" : waypost.SubmissionDomain
	SubmissionPlainAuth bool   // passwords without TLS too, on a loopback address
	TLSCert, TLSKey     string // PEM files of SMTP submission's certificate, read again when they change

	PublicURL   string // how the world reaches HTTP; "" : http://{HTTP}
	PublicIP    string // what /account/ip shows (D-8); "" : 192.0.2.1
	Separator   string // in return paths: "+", "=" or "-"; "" : "+"
	BounceHost  string // where return paths point (D-29); "" : the host of PublicURL
	DNSResolver string // "host:port"; "" : the system's
	SPF         string // mechanisms that cover the customers' mail servers, as "ip4:192.0.2.1 include:_spf.example.com"

	AgentPackages string // directory of the packages that /agent/ hands out; "" : agent in Data

	ForgetIP       bool      // do not keep the addresses of opens and clicks
	GeoDatabase    string    // MaxMind DB file that tells where opens and clicks come from; "" : not told
	TrustedProxies []string  // CIDR prefixes whose X-Forwarded-For is believed
	TrackScheme    string    // of the tracking hosts of sender domains: http, https, or "" for that of PublicURL
	KeyPerHour     int       // requests an hour of a key without a bound of its own, 0: no bound
	MetricsToken   string    // bearer token that /metrics asks for; "" : open
	LegacySunset   time.Time // from when v1 answers requests that name no contract (D-1); zero: never

	OIDC OIDC // how people log in to the dashboard, beside passwords

	AllowPrivateNetworks bool   // providers on loopback and private addresses (D-14)
	SimulatorDomain      string // of simulated recipients (D-40); "" : waypost.SimulatorDomain, "none": there are none
	RetrySchedule        waypost.RetrySchedule
	Roles                []string      // of api, send, bounce, track, webhook, submission, dash; or all
	Sessions             int           // SMTP sessions per provider, 0: 20
	RelayMemory          int           // MiB for messages being relayed and their files, 0: 128
	AcceptMemory         int           // MiB for send calls being read and stored, and as much for mails of SMTP submission, 0: 64
	Grace                time.Duration // for what is in flight when stopping, 0: 20 s
	Lease                time.Duration // of a claimed message (D-21), 0: 2 minutes
	Retention            Retention
	Lines                dash.Lines // of the dashboard's rates; zero: dash.DefaultLines

	Log     *slog.Logger
	Version string
}

// roles lists what a node can do.
var roles = []string{"api", "send", "bounce", "track", "webhook", "submission", "dash"}

// Check finds mistakes before anything is started. Every error names the
// setting and what it may be.
func (c *Config) Check() error {
	var bad []error
	if c.Data == "" {
		bad = append(bad, errors.New("data: name the directory that keeps the database and the key file"))
	}
	if c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		bad = append(bad, errors.New("database: must begin with postgres://; leave it out to use SQLite"))
	}
	for name, addr := range map[string]string{"http": c.HTTP, "smtp": c.SMTP, "submission": c.Submission, "submissions-tls": c.SubmissionTLS} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			bad = append(bad, fmt.Errorf("%s: %q is no listen address such as 127.0.0.1:8080 or :8080", name, addr))
		}
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			bad = append(bad, fmt.Errorf("public-url: %q is no http or https URL", c.PublicURL))
		}
	}
	if c.PublicIP != "" {
		if _, err := netip.ParseAddr(c.PublicIP); err != nil {
			bad = append(bad, fmt.Errorf("public-ip: %q is no IP address", c.PublicIP))
		}
	}
	if c.BounceHost != "" {
		if err := waypost.CheckDomain(c.BounceHost); err != nil {
			bad = append(bad, fmt.Errorf("bounce-host: %q %w", c.BounceHost, err))
		}
	}
	if c.RelayMemory < 0 || c.RelayMemory > 0 && c.RelayMemory < 16 || c.RelayMemory > 1<<20 {
		bad = append(bad, errors.New("relay-memory: must be 16 to 1048576 MiB"))
	}
	if _, err := waypost.ParseSeparator(c.Separator); err != nil {
		bad = append(bad, fmt.Errorf("return-path-separator: %w", err))
	}
	if c.AcceptMemory < 0 || c.AcceptMemory > 0 && c.AcceptMemory < 64 || c.AcceptMemory > 1<<20 {
		bad = append(bad, errors.New("accept-memory: must be 64 to 1048576 MiB"))
	}
	if c.Lease != 0 && (c.Lease < 10*time.Second || c.Lease > time.Hour) {
		bad = append(bad, errors.New("lease: must be 10s to 1h; on PostgreSQL the mail of a node that died waits for it"))
	}
	for name, d := range map[string]time.Duration{"retain-messages": c.Retention.Messages, "retain-events": c.Retention.Events, "retain-journal": c.Retention.Journal} {
		if d != 0 && d < 24*time.Hour {
			bad = append(bad, fmt.Errorf("%s: must be at least 24h, or 0 to keep everything", name))
		}
	}
	if err := c.checkSubmission(); err != nil {
		bad = append(bad, err)
	}
	if c.SubmissionDomain != "" {
		if err := waypost.CheckDomain(c.SubmissionDomain); err != nil {
			bad = append(bad, fmt.Errorf("submission-domain: %q %w", c.SubmissionDomain, err))
		}
	}
	if c.SimulatorDomain != "" && c.SimulatorDomain != noSimulator {
		if err := waypost.CheckDomain(c.SimulatorDomain); err != nil {
			bad = append(bad, fmt.Errorf("simulator-domain: %q %w; %q for none", c.SimulatorDomain, err, noSimulator))
		}
	}
	if err := senderdomain.CheckSPF(c.SPF); err != nil {
		bad = append(bad, fmt.Errorf("spf: %w", err))
	}
	if _, err := track.ParseNetworks(c.TrustedProxies); err != nil {
		bad = append(bad, fmt.Errorf("trusted-proxies: %w", err))
	}
	if c.TrackScheme != "" && c.TrackScheme != "http" && c.TrackScheme != "https" {
		bad = append(bad, fmt.Errorf("track-scheme: %q is neither http nor https", c.TrackScheme))
	}
	if err := checkMetricsToken(c.MetricsToken); err != nil {
		bad = append(bad, err)
	}
	if err := c.OIDC.check(c.AllowPrivateNetworks); err != nil {
		bad = append(bad, err)
	}
	for _, r := range c.Roles {
		if r != "all" && !slices.Contains(roles, r) {
			bad = append(bad, fmt.Errorf("roles: %q is none of %s, all", r, strings.Join(roles, ", ")))
		}
	}
	return errors.Join(bad...)
}

// has tells whether this node plays a role.
func (c *Config) has(role string) bool {
	return len(c.Roles) == 0 || slices.Contains(c.Roles, "all") || slices.Contains(c.Roles, role)
}

// fill completes what follows from the address that HTTP listens on.
func (c *Config) fill(httpAddr string) {
	if c.PublicURL == "" {
		c.PublicURL = "http://" + httpAddr
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.AgentPackages == "" {
		c.AgentPackages = filepath.Join(c.Data, "agent")
	}
	if c.BounceHost == "" {
		c.BounceHost = "bounce.localhost"
		if u, err := url.Parse(c.PublicURL); err == nil && net.ParseIP(u.Hostname()) == nil && waypost.CheckDomain(u.Hostname()) == nil {
			c.BounceHost = u.Hostname()
		}
		c.Log.Warn("bounce_host is not set: return paths of new domains point to a host derived from the public URL", "bounce_host", c.BounceHost)
	}
}

// noSimulator is the setting for an installation without simulated recipients.
const noSimulator = "none"

// simulatorDomain is the domain of simulated recipients, "" without any.
func (c *Config) simulatorDomain() string {
	switch c.SimulatorDomain {
	case "":
		return waypost.SimulatorDomain
	case noSimulator:
		return ""
	}
	return c.SimulatorDomain
}

// publicHost is the host of the public URL.
func (c *Config) publicHost() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
