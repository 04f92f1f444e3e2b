package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ErrPrivateAddr marks the refusal of an address that is not on the public
// internet (D-14). Its text names the setting that permits it.
var ErrPrivateAddr = errors.New("not a public address; set allow_private_networks to permit it")

// notPublic lists what netip's own predicates do not know. Sources: the IANA
// special-purpose registries (RFC 6890) and the cloud vendors' metadata addresses.
var notPublic = []struct {
	prefix netip.Prefix
	name   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this-network"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignment"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmark"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
}

// embedding lists IPv6 prefixes that carry an IPv4 address and where it starts.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
}

// GuardAddr refuses an address that is loopback, link-local, private (RFC 1918,
// ULA, carrier-grade NAT), unspecified, multicast, reserved or a metadata service.
// IPv4 inside IPv6 is judged as IPv4. The error wraps [ErrPrivateAddr].
func GuardAddr(ip netip.Addr) error {
	if kind := addrKind(ip); kind != "" {
		return fmt.Errorf("%s is a %s address: %w", ip, kind, ErrPrivateAddr)
	}
	return nil
}

// addrKind names why ip is not public, "" when it is.
func addrKind(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid():
		return "missing"
	case ip.IsUnspecified():
		return "unspecified"
	case ip.IsLoopback():
		return "loopback"
	case ip.IsPrivate():
		return "private"
	case ip.IsLinkLocalUnicast():
		return "link-local"
	case ip.IsMulticast():
		return "multicast"
	}
	for _, n := range notPublic {
		if n.prefix.Contains(ip) {
			return n.name
		}
	}
	for _, e := range embedding {
		if e.prefix.Contains(ip) {
			b := ip.As16()
			return addrKind(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
		}
	}
	return ""
}

// ResolvePublic turns a host name or an address literal into the addresses one
// may connect to, in the resolver's order. Addresses that GuardAddr refuses are
// left out unless allowPrivate; when none is left the error wraps
// [ErrPrivateAddr]. Connect to what it returns and not to the name again, or a
// second DNS answer undoes the check. A nil resolver means the system's.
func ResolvePublic(ctx context.Context, resolver *net.Resolver, host string, allowPrivate bool) ([]netip.Addr, error) {
	addrs, err := lookup(ctx, resolver, host)
	if err != nil || allowPrivate {
		return addrs, err
	}
	return publicOnly(host, addrs)
}

// DialPublic connects to "host:port" as [net.Dialer.DialContext] does, to an
// address that [ResolvePublic] gave and never to the name again. It is for HTTP
// clients of URLs that somebody entered.
func DialPublic(ctx context.Context, resolver *net.Resolver, network, address string, allowPrivate bool) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := ResolvePublic(ctx, resolver, host, allowPrivate)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	for _, a := range addrs {
		var conn net.Conn
		if conn, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func lookup(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if ip, err := netip.ParseAddr(bare); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err // a *net.DNSError names the host
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

func publicOnly(host string, addrs []netip.Addr) ([]netip.Addr, error) {
	var public []netip.Addr
	var refusal error
	for _, ip := range addrs {
		if err := GuardAddr(ip); err != nil {
			refusal = err
			continue
		}
		public = append(public, ip)
	}
	if len(public) == 0 {
		if refusal == nil {
			return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
		}
		return nil, fmt.Errorf("connect to %q: %w", host, refusal)
	}
	return public, nil
}
