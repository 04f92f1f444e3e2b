package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/sso"
)

// maxIssuerSkew is how far the issuer's clock may be off: the time in an answer
// is in whole seconds, and it travels; ID tokens end within minutes.
const maxIssuerSkew = 30 * time.Second

// ssoHealth asks the issuer for what a login needs, without a person. Trouble is
// a failure where passwords open nothing, and a warning where they do.
func ssoHealth(ctx context.Context, c *Config, names *net.Resolver) []api.HealthCheck {
	if c.OIDC.Issuer == "" || !c.has("dash") {
		return nil
	}
	out := api.HealthCheck{Name: "singleSignOn", Subject: c.OIDC.Issuer, Status: api.HealthOK}
	trouble := func(message, remedy string) []api.HealthCheck {
		out.Status, out.Message, out.Remedy = api.HealthWarn, message, remedy
		if c.OIDC.Only {
			out.Status = api.HealthFail
			out.Remedy += " Until then, waypost person link lets a person in."
		}
		return []api.HealthCheck{out}
	}
	settings, err := signOn(c, names)
	if err != nil {
		return trouble(err.Error()+".", "Look at the settings oidc-….")
	}
	defer settings.Client.Close()
	back := redirectURL(c)
	if u, err := url.Parse(back); err != nil || u.Scheme != "https" && !onlyHere(u.Hostname()) {
		return trouble(fmt.Sprintf("The redirect URL %s is not https: issuers refuse it, and codes would travel in the clear.", back), "Give public-url as https, and register the redirect URL that follows from it at the issuer.")
	}
	look, err := settings.Client.Look(ctx)
	switch {
	case err != nil:
		return trouble("Nobody can log in through it: "+err.Error()+".", "Look at oidc-issuer, which must be the issuer's URL exactly as it names itself, and whether this machine reaches it.")
	case look.Redirect == sso.RedirectRefused:
		return trouble(fmt.Sprintf("It refuses logins that are asked for as this dashboard does (%s).", look.Answer), fmt.Sprintf("At the issuer, register %s as redirect URL of the client %s, for the authorization code flow with PKCE.", back, c.OIDC.ClientID))
	}
	if off := look.Read.Sub(look.Clock).Abs(); !look.Clock.IsZero() && off > maxIssuerSkew {
		return trouble(fmt.Sprintf("Its clock and this machine's differ by %s: its ID tokens may be taken for ended, or for too new.", off.Round(time.Second)), "Run a time service such as systemd-timesyncd or chrony on both.")
	}
	out.Message = "It describes itself, and knows this dashboard and its redirect URL."
	if look.Redirect == sso.RedirectUnsure {
		out.Message = "It describes itself; whether it knows " + back + " shows at a login only."
	}
	return []api.HealthCheck{out}
}
