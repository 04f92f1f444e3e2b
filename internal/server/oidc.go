package server

import (
	"errors"
	"fmt"
	"net"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/sso"
)

// OIDC sets up the login to the dashboard through an OpenID Connect issuer; it
// is off without an Issuer.
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret string   // "" for a public client
	Name         string   // of the issuer, on the button of the login
	Scopes       []string // none: openid, email, profile
	CreateRole   string   // of people made at their first login; "" : only who was invited may log in
	Groups       []string // group=role: who is in none of them may not log in
	GroupsClaim  string   // "" : groups
	Only         bool     // passwords open nothing
}

// client is the settings for package sso, without the way back.
func (o *OIDC) client(allowPrivate bool) sso.Config {
	return sso.Config{
		Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret, Scopes: o.Scopes, GroupsClaim: o.GroupsClaim, AllowPrivate: allowPrivate,
	}
}

func (o *OIDC) check(allowPrivate bool) error {
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecret != "" || o.CreateRole != "" || len(o.Groups) > 0 || o.Only {
			return errors.New("oidc-issuer: is missing, and other settings of single sign-on are given")
		}
		return nil
	}
	c := o.client(allowPrivate)
	if err := c.Check(); err != nil {
		return err
	}
	if o.CreateRole != "" {
		if _, err := sso.ParseRole(o.CreateRole); err != nil {
			return fmt.Errorf("oidc-create-role: %w", err)
		}
		if len(o.Groups) > 0 {
			return errors.New("oidc-create-role: leave it out, for oidc-groups gives people their role")
		}
	}
	if _, err := sso.ParseGroupRoles(o.Groups); err != nil {
		return fmt.Errorf("oidc-groups: %w", err)
	}
	return nil
}

// redirectURL is where the issuer sends browsers back to.
func redirectURL(c *Config) string { return c.PublicURL + "/login/oidc/callback" }

// signOn makes what logs people in through the issuer, nil without one.
func signOn(c *Config, names *net.Resolver) (*dash.SSO, error) {
	if c.OIDC.Issuer == "" {
		return nil, nil
	}
	groups, err := sso.ParseGroupRoles(c.OIDC.Groups)
	if err != nil {
		return nil, fmt.Errorf("oidc-groups: %w", err)
	}
	settings := c.OIDC.client(c.AllowPrivateNetworks)
	settings.RedirectURL, settings.Resolver = redirectURL(c), names
	return &dash.SSO{
		Client: sso.New(settings), Name: c.OIDC.Name, Groups: groups, CreateRole: waypost.Role(c.OIDC.CreateRole), Only: c.OIDC.Only,
	}, nil
}
