package track

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// ParseNetworks reads a list of CIDR prefixes and addresses, as the setting
// trusted-proxies has them.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		s = strings.TrimSpace(s)
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8 and no address", clip(s, 60))
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func within(addr netip.Addr, nets []netip.Prefix) bool {
	for _, n := range nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// maxHops bounds how far X-Forwarded-For is read back.
const maxHops = 16

// Client is the address that a request came from: of the connection, or, as
// far back as every hop is a trusted proxy, of X-Forwarded-For.
func Client(r *http.Request, trusted []netip.Prefix) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if len(trusted) == 0 {
		return addr
	}
	fields := r.Header["X-Forwarded-For"]
	hops := 0
	for _, rest := range slices.Backward(fields) {
		for rest != "" {
			if hops++; hops > maxHops || !within(addr, trusted) {
				return addr
			}
			at := strings.LastIndexByte(rest, ',')
			hop := strings.TrimSpace(rest[at+1:])
			rest = rest[:max(at, 0)]
			next, ok := parseHop(hop)
			if !ok {
				return addr
			}
			addr = next
		}
	}
	return addr
}

// parseHop reads an entry of X-Forwarded-For: an address, some proxies add a
// port.
func parseHop(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return a, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// cleanAgent makes a user agent fit to store: valid UTF-8 without control
// characters, at most waypost.MaxUserAgent bytes. The result shares no memory
// with the request's header.
func cleanAgent(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			s = strings.Map(func(r rune) rune {
				if r < ' ' || r >= 0x7f && r < 0xa0 {
					return -1
				}
				return r
			}, strings.ToValidUTF8(s, "\uFFFD"))
			break
		}
	}
	if len(s) > waypost.MaxUserAgent {
		cut := waypost.MaxUserAgent
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.Clone(s)
}

// clip bounds what an error repeats of its input.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
