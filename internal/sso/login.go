package sso

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// AttemptLife is how long a person has to log in at the issuer.
const AttemptLife = 10 * time.Minute

// Attempt is what a browser keeps between Begin and Finish. Nobody but the
// browser and this installation may read it.
type Attempt struct {
	State    string    `json:"state"`    // comes back in the answer
	Nonce    string    `json:"nonce"`    // must stand in the ID token
	Verifier string    `json:"verifier"` // of PKCE
	Expires  time.Time `json:"expires"`
}

// Errors of Finish that callers tell apart. All others mean that the answer is
// not to be trusted, or that the issuer cannot be reached.
var (
	// ErrDenied is returned when the issuer itself let nobody in.
	ErrDenied = errors.New("the issuer refused the login")
	// ErrStale is returned for an answer that belongs to no attempt of this
	// browser, or came too late.
	ErrStale = errors.New("the answer belongs to no login that this browser began within ten minutes")
	// ErrUnverified is returned when the issuer does not vouch for an address.
	ErrUnverified = errors.New("the issuer does not say that the e-mail address is verified")
)

// Begin starts a login: what the browser keeps, and where it goes.
func (s *Client) Begin(ctx context.Context, now time.Time) (Attempt, string, error) {
	d, err := s.describe(ctx, now)
	if err != nil {
		return Attempt{}, "", err
	}
	a := Attempt{State: token(), Nonce: token(), Verifier: oauth2.GenerateVerifier(), Expires: now.Add(AttemptLife)}
	return a, d.oauth.AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

func token() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Belongs tells whether an answer is that to an attempt, which still lives.
func (a *Attempt) Belongs(answer url.Values, now time.Time) bool {
	return a.State != "" && subtle.ConstantTimeCompare([]byte(a.State), []byte(answer.Get("state"))) == 1 && now.Before(a.Expires)
}

// Finish takes the answer that the browser brought, the query of the redirect
// URL, and gives who logged in. The caller sees to it that an attempt is
// finished once.
func (s *Client) Finish(ctx context.Context, a *Attempt, answer url.Values, now time.Time) (Identity, error) {
	if !a.Belongs(answer, now) {
		return Identity{}, ErrStale
	}
	d, err := s.describe(ctx, now)
	if err != nil {
		return Identity{}, err
	}
	// An answer of another issuer, in the place of this one's (RFC 9207).
	if iss := answer.Get("iss"); iss != s.cfg.Issuer && (iss != "" || d.named) {
		return Identity{}, fmt.Errorf("the answer names the issuer %q and not %s", clip(iss), s.cfg.Issuer)
	}
	if code := answer.Get("error"); code != "" {
		return Identity{}, fmt.Errorf("%w: %s: %s", ErrDenied, clip(code), clip(answer.Get("error_description")))
	}
	if answer.Get("code") == "" {
		return Identity{}, errors.New("the answer has no code")
	}
	ctx = oidc.ClientContext(ctx, s.http)
	tokens, err := d.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Identity{}, fmt.Errorf("exchange the code: %w", exchangeError(err))
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, errors.New("the issuer gave no ID token: the scope openid may be missing there")
	}
	id, err := d.verifier.Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("verify the ID token: %w", withoutBody(err))
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return Identity{}, errors.New("the ID token names another nonce: it was made for another login")
	}
	return s.identity(ctx, &d, id, tokens)
}

// identity reads the claims of a verified token, and asks the issuer's userinfo
// endpoint for what is not in them.
func (s *Client) identity(ctx context.Context, d *described, id *oidc.IDToken, tokens *oauth2.Token) (Identity, error) {
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return Identity{}, fmt.Errorf("read the ID token: %w", err)
	}
	if azp, there := claims["azp"]; there && azp != s.cfg.ClientID || !there && len(id.Audience) > 1 {
		return Identity{}, errors.New("the ID token was made for another client")
	}
	if _, there := claims["email"]; !there && d.provider.UserInfoEndpoint() != "" {
		if err := checkURL(d.provider.UserInfoEndpoint(), s.cfg.AllowPrivate); err != nil {
			return Identity{}, fmt.Errorf("the issuer's userinfo_endpoint: %w", err)
		}
		info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
		if err != nil {
			return Identity{}, fmt.Errorf("ask the issuer about the person: %w", withoutBody(err))
		}
		if info.Subject != id.Subject { // OpenID Connect Core, section 5.3.2
			return Identity{}, errors.New("the issuer's userinfo endpoint speaks of another person")
		}
		var more map[string]any
		if err := info.Claims(&more); err != nil {
			return Identity{}, fmt.Errorf("read what the issuer says of the person: %w", err)
		}
		for _, name := range []string{"email", "email_verified", "name", s.cfg.GroupsClaim} {
			if v, there := more[name]; there && (claims[name] == nil || slices.Contains([]string{"email", "email_verified"}, name)) {
				claims[name] = v
			}
		}
	}
	return readIdentity(id.Subject, claims, s.cfg.GroupsClaim)
}

// exchangeError tells what the token endpoint said, bounded and without what
// was sent.
func exchangeError(err error) error {
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := 0
		if r.Response != nil {
			status = r.Response.StatusCode
		}
		return fmt.Errorf("the issuer answers %d %s %s", status, clip(r.ErrorCode), clip(r.ErrorDescription))
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return withoutBody(err)
}

// clip bounds text from outside that an error quotes.
func clip(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return sanitize(s)
}
