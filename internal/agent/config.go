package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// EventsPath is where an endpoint without a path receives reports (D-31).
const EventsPath = "/api/v1/tpsp/custom-smtp/events"

// The defaults of D-41.
const (
	DefaultMTA       = "postfix"
	DefaultStateDir  = "/var/lib/waypost-agent"
	DefaultHealth    = "127.0.0.1:9113"
	DefaultBatch     = 500
	DefaultFlush     = 2 * time.Second
	DefaultHeartbeat = time.Minute
	DefaultSpool     = 256 << 20
)

// logPaths is where each mail server logs: as Debian has it, then as others do.
var logPaths = map[string][]string{
	"postfix":   {"/var/log/mail.log", "/var/log/maillog"},
	"opensmtpd": {"/var/log/mail.log", "/var/log/maillog"},
	"exim":      {"/var/log/exim4/mainlog", "/var/log/exim/main.log", "/var/log/exim/mainlog"},
}

// LogPath is where a mail server's log is looked for when log-path is not set:
// the first usual place at which there is a file, or else the first of all.
func LogPath(mta string) string {
	paths := logPaths[mta]
	if len(paths) == 0 {
		paths = logPaths[DefaultMTA]
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return paths[0]
}

// Config is everything an agent is told. The names in the comments are those
// of flags, YAML keys and, after WAYPOST_AGENT_, environment variables.
type Config struct {
	APIKey          string        // api-key: the provider's event ingestion key
	KeyFile         string        // api-key-file: where APIKey was read from; read again when the server refuses it
	Endpoint        string        // endpoint: base URL of Waypost, or the whole events URL
	MTA             string        // mta
	LogPath         string        // log-path
	StateDir        string        // state-dir
	Health          string        // health-addr; empty is no health server
	Hostname        string        // hostname: how this machine is called in reports
	Batch           int           // batch-size: events in one request, 1 to 1,000
	Flush           time.Duration // flush-interval: the longest an event waits for company
	Heartbeat       time.Duration // heartbeat-interval
	SpoolSize       int64         // spool-size: bytes on disk, at least 1 MiB
	FromStart       bool          // from-start: without a checkpoint, read the log from its beginning
	Journald        bool          // journald: read systemd's journal instead of log-path
	HopRelays       []string      // hop-relays: relays that only pass a message on, as a content filter elsewhere does
	IgnoreDiscarded bool          // ignore-discarded: what the discard transport swallowed is no delivery; default: it is, as the mail server says

	Version string
	Log     *slog.Logger
	Ready   io.Writer // gets one line once the log is followed; nil is nowhere

	parse mtalog.Options // for tests, as is hold
	hold  time.Duration
}

// Check fills in defaults and refuses what cannot work, naming the key.
func (c *Config) Check() error {
	if err := checkKey(c.APIKey); err != nil {
		return err
	}
	events, err := eventsURL(c.Endpoint)
	if err != nil {
		return err
	}
	c.Endpoint = events
	return c.checkRest()
}

func checkKey(key string) error {
	if key == "" {
		return errors.New("api-key is missing: create the provider's event key in Waypost and give it with --api-key, --api-key-file or WAYPOST_AGENT_API_KEY")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("api-key holds a blank or a character outside ASCII: copy it again")
	}
	return nil
}

func (c *Config) checkRest() error {
	setDefault(&c.MTA, DefaultMTA)
	setDefault(&c.LogPath, LogPath(c.MTA))
	setDefault(&c.StateDir, DefaultStateDir)
	setDefault(&c.Batch, DefaultBatch)
	setDefault(&c.Flush, DefaultFlush)
	setDefault(&c.Heartbeat, DefaultHeartbeat)
	setDefault(&c.SpoolSize, DefaultSpool)
	if c.Hostname == "" {
		c.Hostname, _ = os.Hostname() // only a label
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = io.Discard
	}
	if _, err := mtalog.New(c.MTA, mtalog.Options{}); err != nil {
		return err
	}
	switch {
	case c.Batch < 1 || c.Batch > waypost.MaxReportItems:
		return fmt.Errorf("batch-size is %d: use 1 to %d", c.Batch, waypost.MaxReportItems)
	case c.Flush < 10*time.Millisecond || c.Flush > time.Hour:
		return fmt.Errorf("flush-interval is %v: use 10ms to 1h", c.Flush)
	case c.Heartbeat < time.Second || c.Heartbeat > 24*time.Hour:
		return fmt.Errorf("heartbeat-interval is %v: use 1s to 24h", c.Heartbeat)
	case c.SpoolSize < 1<<20:
		return fmt.Errorf("spool-size is %d bytes: use at least 1 MiB", c.SpoolSize)
	}
	if c.Health != "" {
		if _, _, err := net.SplitHostPort(c.Health); err != nil {
			return fmt.Errorf("health-addr %q is not host:port: %w", c.Health, err)
		}
	}
	return nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// eventsURL checks an endpoint and completes a base URL.
func eventsURL(endpoint string) (string, error) {
	if endpoint == "" {
		return "", errors.New("endpoint is missing: give the base URL of your Waypost, such as https://waypost.example.com")
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", errors.New("endpoint is not a URL: use the form https://host[:port]") // err would repeat it, perhaps with a password
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("endpoint has the scheme %q: use https://host[:port], or http:// on a trusted network", u.Scheme)
	case u.Hostname() == "":
		return "", errors.New("endpoint names no host: use the form https://host[:port]")
	case u.User != nil:
		return "", errors.New("endpoint holds a user name: the key goes into api-key")
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("endpoint holds a query or a fragment: give the plain URL")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = EventsPath
	}
	return u.String(), nil
}
