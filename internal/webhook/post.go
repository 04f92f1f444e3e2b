package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp"
)

// Limits of one request.
const (
	Timeout    = 10 * time.Second // from the look-up of the name to the end of the answer (D-38)
	maxURL     = 2000
	maxAnswer  = 16 << 10 // bytes of an answer that are read; a longer one ends the connection
	maxHead    = 64 << 10
	maxExcerpt = 500
)

// SenderConfig sets up a Sender.
type SenderConfig struct {
	AllowPrivate bool          // loopback and private addresses, and plain http (D-14)
	Resolver     *net.Resolver // nil: the system's
	Version      string        // for the User-Agent field
	Idle         int           // connections kept open to one host, 0: 32
}

// Sender makes requests.
type Sender struct {
	cfg    SenderConfig
	client *http.Client
}

// NewSender makes a Sender.
func NewSender(c SenderConfig) *Sender {
	if c.Idle == 0 {
		c.Idle = 32
	}
	s := &Sender{cfg: c}
	s.client = &http.Client{
		Transport: &http.Transport{
			DialContext:            s.dial,
			Proxy:                  nil, // a proxy would undo the check of addresses
			DisableCompression:     true,
			MaxIdleConnsPerHost:    c.Idle,
			MaxIdleConns:           512,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHead,
			ForceAttemptHTTP2:      true,
		},
		// Following would send the event, and its signature, to a place that
		// nobody entered here.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Close ends the connections that are kept open.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// dial connects to an address that was checked, and not to the name again (D-14).
func (s *Sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return smtp.DialPublic(ctx, s.cfg.Resolver, network, address, s.cfg.AllowPrivate)
}

// CheckURL refuses what cannot be the URL of a webhook: anything but https,
// and http where private networks are allowed. An address in it is held
// against the rule of D-14 at once, a name when it is resolved.
func (s *Sender) CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must be an https URL, such as https://example.com/hook")
	}
	if len(text) > maxURL {
		return fmt.Errorf("%d bytes; at most %d", len(text), maxURL)
	}
	if u.User != nil {
		return errors.New("must not hold a user name or password, which lists and the audit log would show: verify the signature instead")
	}
	if u.Fragment != "" {
		return errors.New("must not have a fragment: the part behind # never reaches a server")
	}
	if s.cfg.AllowPrivate {
		return nil
	}
	if u.Scheme == "http" {
		return errors.New("must be https: events hold addresses of people; set allow_private_networks to permit http")
	}
	if ip, err := smtp.ResolvePublic(context.Background(), nil, u.Hostname(), true); net.ParseIP(u.Hostname()) != nil && err == nil {
		return smtp.GuardAddr(ip[0])
	}
	return nil
}

// Target is where a request goes, and how.
type Target struct {
	URL     string
	Hook    waypost.UUID // zero: an endpoint of a single call
	Secrets Secrets
	Flags   waypost.WebhookFlags // PayloadV1, NativeTypes
}

// Answer is what became of a request.
type Answer struct {
	Status     int           // of HTTP, 0 without an answer
	Error      string        // "" when it went well; at most 500 bytes
	Excerpt    string        // of the answer's body, at most 500 bytes
	Took       time.Duration // of the whole request
	RetryAfter time.Duration // what the receiver asked for, 0: nothing
}

// OK tells whether the receiver took the event.
func (a *Answer) OK() bool { return a.Error == "" }

// Send makes one request. Whatever happens is in the answer.
func (s *Sender) Send(ctx context.Context, t *Target, subject *Subject, attempt int, now time.Time) Answer {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	out := s.send(ctx, t, subject, attempt, now)
	out.Took = time.Since(started)
	out.Error = bounded(out.Error)
	return out
}

func (s *Sender) send(ctx context.Context, t *Target, subject *Subject, attempt int, now time.Time) Answer {
	if err := s.CheckURL(t.URL); err != nil {
		return Answer{Error: "the URL " + err.Error()}
	}
	body, err := Payload(subject, t.Flags)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return Answer{Error: "the URL cannot be used for a request"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Waypost/"+s.cfg.Version)
	sign(req.Header, t.Secrets, t.Hook, "evt_"+strconv.FormatInt(subject.Event.ID, 10), attempt, now, body)
	resp, err := s.client.Do(req)
	if err != nil {
		return Answer{Error: reason(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	answer, readErr := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	out := Answer{Status: resp.StatusCode, Excerpt: bounded(string(answer)), RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		out.Error = fmt.Sprintf("HTTP status %d: redirects are not followed; change the webhook's URL to where it leads", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		out.Error = fmt.Sprintf("HTTP status %d", resp.StatusCode)
	case readErr != nil:
		out.Error = "the answer did not end: " + reason(readErr)
	}
	return out
}

// reason tells of a failed request without the URL: its query may be secret.
func reason(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no whole answer within %s", Timeout)
	}
	return err.Error()
}

// retryAfter reads the field of RFC 9110, section 10.2.3.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < 1<<31 {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// bounded makes text from outside fit to store and show.
func bounded(s string) string {
	if len(s) > maxExcerpt {
		s = s[:maxExcerpt]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
