package server

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/test/issuer"
)

// TestSSOHealth: what keeps people from logging in through the issuer is found
// without a login, with what to do, and is worse where there are no passwords.
func TestSSOHealth(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config, *issuer.Issuer)
		status  string
		message string
		remedy  string
	}{
		{"all is well", func(*Config, *issuer.Issuer) {}, api.HealthOK, "knows this dashboard", ""},
		{"off", func(c *Config, _ *issuer.Issuer) { c.OIDC = OIDC{} }, "", "", ""},
		{"no dashboard here", func(c *Config, _ *issuer.Issuer) { c.Roles = []string{"api"} }, "", "", ""},
		{"another redirect URL is registered", func(_ *Config, i *issuer.Issuer) { i.Redirect = "https://elsewhere.example/cb" }, api.HealthWarn, "400 Bad Request", "register http://127.0.0.1:8080/login/oidc/callback"},
		{"passwords are off", func(c *Config, i *issuer.Issuer) { i.Redirect, c.OIDC.Only = "x", true }, api.HealthFail, "400", "waypost person link"},
		{"it names itself otherwise", func(c *Config, _ *issuer.Issuer) { c.OIDC.Issuer += "/" }, api.HealthWarn, "Nobody can log in", "oidc-issuer"},
		{"nobody is there", func(c *Config, _ *issuer.Issuer) { c.OIDC.Issuer = "http://127.0.0.1:1" }, api.HealthWarn, "Nobody can log in", "oidc-issuer"},
		{"its clock is off", func(_ *Config, i *issuer.Issuer) { i.Away = -time.Hour }, api.HealthWarn, "differ by", "time service"},
		{"codes in the clear", func(c *Config, _ *issuer.Issuer) { c.PublicURL = "http://mail.example.com" }, api.HealthWarn, "not https", "public-url"},
	} {
		i := issuer.Start(t)
		cfg := &Config{PublicURL: "http://127.0.0.1:8080", Roles: []string{"dash"}, AllowPrivateNetworks: true, Log: slog.New(slog.DiscardHandler), OIDC: OIDC{Issuer: i.URL, ClientID: issuer.ClientID, ClientSecret: issuer.Secret}}
		i.Lock()
		c.change(cfg, i)
		i.Unlock()
		got := ssoHealth(t.Context(), cfg, nil)
		if c.status == "" {
			if len(got) > 0 {
				t.Errorf("%s: %+v", c.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Status != c.status || !strings.Contains(got[0].Message, c.message) || !strings.Contains(got[0].Remedy, c.remedy) || (got[0].Remedy == "") != (c.status == api.HealthOK) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestSSOHealthUnsure: an issuer that shows its own page tells nothing of the
// redirect URL, which is no trouble.
func TestSSOHealthUnsure(t *testing.T) {
	i := issuer.Start(t)
	i.Lock()
	i.Page = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusOK); return true }
	i.Unlock()
	cfg := &Config{PublicURL: "http://127.0.0.1:8080", Roles: []string{"dash"}, AllowPrivateNetworks: true, OIDC: OIDC{Issuer: i.URL, ClientID: issuer.ClientID}}
	if got := ssoHealth(t.Context(), cfg, nil); len(got) != 1 || got[0].Status != api.HealthOK || !strings.Contains(got[0].Message, "at a login only") {
		t.Errorf("%+v", got)
	}
}
