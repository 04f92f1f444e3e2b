package sso

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Look is what the issuer shows of itself without a person.
type Look struct {
	// Clock is the issuer's, of the answer with its description; zero when it
	// says no time. Read is this machine's at that moment.
	Clock, Read time.Time
	Redirect    Redirect
	Answer      string // the HTTP status of a login that is asked for, such as "400 Bad Request"
}

// Redirect tells whether the issuer knows the client and its redirect URL.
type Redirect int

// What a look can tell of the redirect URL.
const (
	RedirectUnsure  Redirect = iota // the issuer shows a page, or leads elsewhere: only a login tells
	RedirectKnown                   // it leads back to us
	RedirectRefused                 // it refuses the request itself
)

// Look asks the issuer afresh for its description, and for a login of nobody:
// with prompt=none an issuer that knows client and redirect URL leads straight
// back with an error (OpenID Connect Core, section 3.1.2.6), and one that does
// not must not (RFC 6749, section 4.1.2.1). The errors are those of
// [Client.Begin].
func (s *Client) Look(ctx context.Context) (Look, error) {
	date := &dated{next: s.http.Transport}
	fresh := &Client{cfg: s.cfg, http: &http.Client{Timeout: s.http.Timeout, Transport: date, CheckRedirect: s.http.CheckRedirect}}
	d, err := fresh.discover(ctx)
	if err != nil {
		return Look{}, err
	}
	out := Look{Clock: date.at, Read: date.read}
	where := d.oauth.AuthCodeURL(token(), oidc.Nonce(token()), oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "none"))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return out, fmt.Errorf("ask the issuer for a login: %w", err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return out, fmt.Errorf("ask the issuer for a login: %w", exchangeError(err))
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // only the status is of interest
	_ = resp.Body.Close()
	out.Answer = clip(resp.Status)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && strings.HasPrefix(resp.Header.Get("Location"), s.cfg.RedirectURL):
		out.Redirect = RedirectKnown
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		out.Redirect = RedirectRefused
	}
	return out, nil
}

// dated notes the clock of the first answer.
type dated struct {
	next     http.RoundTripper
	at, read time.Time
}

func (d *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := d.next.RoundTrip(r)
	if err == nil && d.read.IsZero() {
		d.read = time.Now()
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			d.at = at
		}
	}
	return resp, err
}
