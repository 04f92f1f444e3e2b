package senderdomain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// The records of the installation's own bounce host (D-29). They belong to no
// sender domain and are not stored.
const (
	HostAddress waypost.RecordKind = "bounceHostAddress"
	HostMX      waypost.RecordKind = "bounceHostMX"
	HostSPF     waypost.RecordKind = "bounceHostSPF"
)

// installationFresh is how long a look-up of the installation's records is
// remembered.
const installationFresh = time.Minute

// Installation looks up the records of the bounce host, or remembers them for
// a minute: Verified says whether each is as needed, Failure what to do when it
// is not or could not be looked up. It is empty without a bounce host.
func (c *Checker) Installation(ctx context.Context) []waypost.DNSRecord {
	host := hostName(c.config.BounceHost)
	if host == "" {
		return nil
	}
	c.mu.Lock()
	known, read := c.installation, c.read
	c.mu.Unlock()
	if !read.IsZero() && time.Since(read) < installationFresh {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	mx := waypost.DNSRecord{Kind: HostMX, Host: host, Type: "MX", Value: host}
	address := waypost.DNSRecord{Kind: HostAddress, Host: host, Type: "A"}
	spf := waypost.DNSRecord{Kind: HostSPF, Host: host, Type: "TXT", Value: spfValue(c.config.SPF)}
	target := host
	mail, err := c.resolver.MX(ctx, host)
	note(&mx, judgeHostMX(mail, err, host))
	if len(mail) > 0 && mail[0] != "" {
		target = mail[0]
		address.Host = target
	}
	found, err := c.resolver.Addresses(ctx, target)
	note(&address, judgeHostAddress(found, err, target))
	note(&spf, c.lookTXT(ctx, &spf, func(found []string, _ string) string { return judgeSPF(found, c.config.SPF) }))
	out := []waypost.DNSRecord{mx, address, spf}
	if ctx.Err() == nil {
		c.mu.Lock()
		c.installation, c.read = out, time.Now()
		c.mu.Unlock()
	}
	return out
}

func judgeHostMX(mail []string, err error, host string) finding {
	switch {
	case errors.Is(err, ErrNotFound):
		return finding{failure: fmt.Sprintf("The bounce host %s has no MX record, so bounces may not find back. Please add an MX record to the host on which Waypost's bounce processor listens.", host)}
	case err != nil:
		return finding{undecided: true, failure: fmt.Sprintf("The MX record of %s could not be looked up (%v).", host, err)}
	case mail[0] == "":
		return finding{found: ".", failure: fmt.Sprintf("%s has a null MX (RFC 7505): it takes no mail, so no bounce can return. Please replace it.", host)}
	}
	return finding{found: strings.Join(mail, "\n")}
}

func judgeHostAddress(found []string, err error, target string) finding {
	switch {
	case errors.Is(err, ErrNotFound):
		return finding{failure: fmt.Sprintf("%s, where bounces go, has no address. Please add an A or AAAA record to it.", target)}
	case err != nil:
		return finding{undecided: true, failure: fmt.Sprintf("The address of %s could not be looked up (%v).", target, err)}
	}
	return finding{found: strings.Join(found, "\n")}
}

// Addresses finds the addresses of a host, which may be an address itself.
func (c *Checker) Addresses(ctx context.Context, host string) ([]string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.String()}, nil
	}
	return c.resolver.Addresses(ctx, host)
}

// Reverse finds the names of an address, and the one of them that leads back
// to it, "" when none does. An address without names is no error.
func (c *Checker) Reverse(ctx context.Context, address string) (names []string, confirmed string, err error) {
	names, err = c.resolver.PTR(ctx, address)
	if errors.Is(err, ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	for _, name := range names[:min(len(names), 4)] {
		if back, err := c.resolver.Addresses(ctx, name); err == nil && slices.Contains(back, address) {
			return names, name, nil
		}
	}
	return names, "", nil
}
