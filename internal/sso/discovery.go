package sso

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/waypost-mail/waypost/internal/smtp"
)

// Config says who the issuer is and who we are to it.
type Config struct {
	Issuer       string   // its URL, exactly as its ID tokens name it
	ClientID     string   // ours, as registered there
	ClientSecret string   // "" for a public client, which PKCE alone protects
	RedirectURL  string   // where the browser comes back to, as registered there
	Scopes       []string // asked for; none: openid, email, profile
	GroupsClaim  string   // the claim with a person's groups; "" : groups

	AllowPrivate bool          // loopback and private addresses, and plain http (D-14)
	Resolver     *net.Resolver // nil: the system's
}

// Check finds what cannot work whatever the issuer says.
func (c *Config) Check() error {
	if err := checkURL(c.Issuer, c.AllowPrivate); err != nil {
		return fmt.Errorf("oidc-issuer: %w", err)
	}
	if c.ClientID == "" {
		return errors.New("oidc-client-id: is missing; the issuer gives one when this dashboard is registered there")
	}
	for _, s := range c.Scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("oidc-scopes: %q is no scope", s)
		}
	}
	return nil
}

// checkURL refuses what is no https URL; http too where private networks are
// allowed.
func checkURL(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no https URL such as https://id.example.com", text)
	case u.Scheme == "http" && !allowPrivate:
		return fmt.Errorf("%q must be https; set allow_private_networks to permit http", text)
	}
	if ip, err := smtp.ResolvePublic(context.Background(), nil, u.Hostname(), true); net.ParseIP(u.Hostname()) != nil && err == nil && !allowPrivate {
		return smtp.GuardAddr(ip[0])
	}
	return nil
}

// How long what discovery found is used, and how long a failure is remembered,
// so that a page that anybody may open is no lever against the issuer.
const (
	describedFor = time.Hour
	failedFor    = 10 * time.Second
)

// Client logs people in through one issuer. Make it with New.
type Client struct {
	cfg  Config
	http *http.Client

	turn chan struct{} // who looks at what follows
	last described
}

// described is what discovery found, or how it failed.
type described struct {
	at       time.Time
	err      error
	oauth    *oauth2.Config
	verifier *oidc.IDTokenVerifier
	provider *oidc.Provider
	named    bool // answers carry the issuer's name (RFC 9207)
}

// New makes a Client of settings that were checked.
func New(c Config) *Client {
	if len(c.Scopes) == 0 {
		c.Scopes = []string{oidc.ScopeOpenID, "email", "profile"}
	}
	if !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		c.Scopes = append([]string{oidc.ScopeOpenID}, c.Scopes...)
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = "groups"
	}
	s := &Client{cfg: c, turn: make(chan struct{}, 1)}
	s.http = newClient(&s.cfg)
	return s
}

// Close ends the connections that are kept open.
func (s *Client) Close() { s.http.CloseIdleConnections() }

// describe gives what the issuer says of itself, as it was within the hour.
func (s *Client) describe(ctx context.Context, now time.Time) (described, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return described{}, ctx.Err()
	}
	defer func() { <-s.turn }()
	age := now.Sub(s.last.at)
	if s.last.err == nil && s.last.oauth != nil && age < describedFor || s.last.err != nil && age < failedFor {
		return s.last, s.last.err
	}
	found, err := s.discover(ctx)
	if err != nil && ctx.Err() != nil {
		return described{}, err // the caller went; that says nothing of the issuer
	}
	found.at, found.err = now, err
	s.last = found
	return found, err
}

func (s *Client) discover(ctx context.Context) (described, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, s.http), s.cfg.Issuer)
	if err != nil {
		return described{}, fmt.Errorf("read the description of the issuer %s: %w", s.cfg.Issuer, withoutBody(err))
	}
	var more struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
		Named   bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return described{}, fmt.Errorf("read the description of the issuer %s: %w", s.cfg.Issuer, err)
	}
	end := p.Endpoint()
	for name, u := range map[string]string{"authorization_endpoint": end.AuthURL, "token_endpoint": end.TokenURL, "jwks_uri": more.Keys} {
		if err := checkURL(u, s.cfg.AllowPrivate); err != nil {
			return described{}, fmt.Errorf("the issuer's %s: %w", name, err)
		}
	}
	end.AuthStyle = oauth2.AuthStyleInHeader // the default of OpenID Connect Discovery, section 3
	if s.cfg.ClientSecret == "" || len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		end.AuthStyle = oauth2.AuthStyleInParams
	}
	return described{
		provider: p, named: more.Named,
		oauth: &oauth2.Config{
			ClientID: s.cfg.ClientID, ClientSecret: s.cfg.ClientSecret, Endpoint: end, RedirectURL: s.cfg.RedirectURL, Scopes: s.cfg.Scopes,
		},
		verifier: p.Verifier(&oidc.Config{ClientID: s.cfg.ClientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256, oidc.EdDSA}}),
	}, nil
}

// withoutBody bounds the text of an error that may quote an answer.
func withoutBody(err error) error {
	if text := err.Error(); len(text) > 300 {
		return errors.New(strings.ToValidUTF8(text[:300], "") + "…")
	}
	return err
}
