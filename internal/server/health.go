package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/smtp"
)

// Bounds below which a check of this node is a warning or a failure.
const (
	freeWarn, freeFail = 1 << 30, 100 << 20 // bytes on the disk of the data directory
	certificateWarn    = 14 * 24 * time.Hour
	publicURLLimit     = 10 * time.Second
)

// nodeHealth looks at what belongs to this node alone.
func nodeHealth(c *Config, names *net.Resolver) func(context.Context) []api.HealthCheck {
	return func(ctx context.Context) []api.HealthCheck {
		out := []api.HealthCheck{keyFileHealth(c), diskHealth(c), clockHealth(), publicURLHealth(ctx, c), bounceProcessorHealth(c)}
		return append(out, ssoHealth(ctx, c, names)...)
	}
}

// keyFileHealth wants the key file readable by its owner alone, and still the
// one on the disk: without it no sealed password and no DKIM key can be read
// after the next start.
func keyFileHealth(c *Config) api.HealthCheck {
	path := filepath.Join(c.Data, keyName)
	out := api.HealthCheck{Name: "keyFile", Subject: path, Status: api.HealthOK, Message: "Only its owner may read it. Keep a copy apart from the database's backup."}
	if _, err := secret.Open(path); err != nil {
		out.Status, out.Message = api.HealthFail, err.Error()+"."
		out.Remedy = "Put the key file back from your backup before this server is started again, readable by its owner alone (chmod 600)."
		return out
	}
	if info, err := os.Stat(c.Data); err == nil && info.Mode().Perm()&0o027 != 0 {
		out.Status, out.Message = api.HealthWarn, fmt.Sprintf("The directory %s is open to others (mode %04o).", c.Data, info.Mode().Perm())
		out.Remedy = "Run chmod 700 on it."
	}
	return out
}

func diskHealth(c *Config) api.HealthCheck {
	out := api.HealthCheck{Name: "disk", Subject: c.Data, Status: api.HealthOK}
	free, total, err := diskSpace(c.Data)
	if err != nil {
		out.Status, out.Message = api.HealthSkip, "The free space is unknown: "+err.Error()+"."
		return out
	}
	out.Message = fmt.Sprintf("%d MiB of %d MiB are free.", free>>20, total>>20)
	switch {
	case free < freeFail:
		out.Status = api.HealthFail
	case free < freeWarn:
		out.Status = api.HealthWarn
	default:
		return out
	}
	out.Remedy = "Free some space, or shorten the retention: a full disk makes the server refuse mail."
	return out
}

func clockHealth() api.HealthCheck {
	out := api.HealthCheck{Name: "clock", Status: api.HealthOK, Message: "The system's clock is synchronised."}
	switch synchronised, known := clockSynchronised(); {
	case !known:
		out.Status, out.Message = api.HealthSkip, "This system does not tell whether its clock is synchronised."
	case !synchronised:
		out.Status, out.Message = api.HealthWarn, "The system's clock is not synchronised; signatures, limits and events carry its time."
		out.Remedy = "Run a time service such as systemd-timesyncd or chrony."
	}
	return out
}

// publicURLHealth asks this server for its health by the name that the world
// uses, unless that name is a private one.
func publicURLHealth(ctx context.Context, c *Config) api.HealthCheck {
	out := api.HealthCheck{Name: "publicURL", Subject: c.PublicURL}
	if onlyHere(c.publicHost()) {
		out.Status, out.Message = api.HealthSkip, "It is an address of this machine or of a private network, which the world cannot reach."
		return out
	}
	return askPublicURL(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}, c)
}

func askPublicURL(ctx context.Context, client *http.Client, c *Config) api.HealthCheck {
	out := api.HealthCheck{Name: "publicURL", Subject: c.PublicURL, Status: api.HealthOK, Message: "It leads to a Waypost server."}
	fail := func(format string, args ...any) api.HealthCheck {
		out.Status, out.Message = api.HealthFail, fmt.Sprintf(format, args...)
		out.Remedy = "Look at DNS, firewall and reverse proxy of the public URL; tracking links and the agents use it."
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, publicURLLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.PublicURL+"/healthz", nil)
	if err != nil {
		return fail("It cannot be asked: %v.", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fail("It does not answer: %v.", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct{ Status string }
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Status != "ok" {
		return fail("Something else answers there (%s).", resp.Status)
	}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		if end := resp.TLS.PeerCertificates[0].NotAfter; time.Until(end) < certificateWarn {
			out.Status, out.Message = api.HealthWarn, fmt.Sprintf("Its certificate ends on %s.", end.UTC().Format(time.DateOnly))
			out.Remedy = "Renew the certificate."
		}
	} else if u, err := url.Parse(c.PublicURL); err == nil && u.Scheme == "http" {
		out.Status, out.Message = api.HealthWarn, "It leads to a Waypost server, without TLS: API keys travel in the clear."
		out.Remedy = "Put a reverse proxy with a certificate in front, and give public-url as https."
	}
	return out
}

// onlyHere tells whether a host is known to be out of the world's reach.
func onlyHere(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return smtp.GuardAddr(ip) != nil
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || !strings.Contains(host, ".")
}

func bounceProcessorHealth(c *Config) api.HealthCheck {
	out := api.HealthCheck{Name: "bounceProcessor", Subject: c.SMTP, Status: api.HealthOK, Message: "It listens."}
	if c.SMTP == "" || !c.has("bounce") {
		out.Status, out.Message = api.HealthWarn, "This node does not listen for bounces; reports that mail servers send to the return path are lost unless another node does."
		out.Remedy = "Set smtp to a listen address such as :25, and role bounce, on the host that the bounce host's MX record names."
	}
	return out
}
