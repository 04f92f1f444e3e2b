package senderdomain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds of a look-up.
const (
	defaultTimeout = 3 * time.Second
	maxAliases     = 8 // CNAMEs followed for one name
	rounds         = 2 // questions to each server before giving up
	maxServers     = 3
	udpSize        = 1232 // octets of an answer over UDP (DNS flag day 2020)
)

// What a look-up may end with besides an answer, for errors.Is. Any other
// error means that the servers could not be asked and nothing is known.
var (
	// ErrNotFound: the name does not exist or has no record of the type.
	ErrNotFound = errors.New("DNS record not found")
	// ErrAliases: a CNAME chain that runs in a circle or never ends.
	ErrAliases = fmt.Errorf("more than %d CNAME records in a row", maxAliases)
)

// Resolver asks recursive DNS servers. It keeps nothing between look-ups and
// may be used by several goroutines.
type Resolver struct {
	servers []string // host:port
	timeout time.Duration
}

// NewResolver makes a resolver for c.Resolver or the system's servers.
func NewResolver(c Config) (*Resolver, error) {
	r := &Resolver{timeout: cmp.Or(c.Timeout, defaultTimeout)}
	if c.Resolver != "" {
		host, port, err := net.SplitHostPort(c.Resolver)
		if err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("DNS resolver %q: must be host:port, such as 127.0.0.1:53", c.Resolver)
		}
		r.servers = []string{c.Resolver}
		return r, nil
	}
	const file = "/etc/resolv.conf"
	system, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the system's DNS servers: %w; configure a DNS resolver instead", err)
	}
	for _, server := range system.Servers[:min(len(system.Servers), maxServers)] {
		r.servers = append(r.servers, net.JoinHostPort(server, system.Port))
	}
	if len(r.servers) == 0 {
		return nil, fmt.Errorf("%s names no server; configure a DNS resolver", file)
	}
	return r, nil
}

// TXT finds the TXT records of a name, the strings of each joined.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	answer, err := r.find(ctx, name, dns.TypeTXT)
	var out []string
	for _, rr := range answer {
		out = append(out, unescape(strings.Join(rr.(*dns.TXT).Txt, "")))
	}
	return out, err
}

// MX finds the mail hosts of a name, most preferred first.
func (r *Resolver) MX(ctx context.Context, name string) ([]string, error) {
	answer, err := r.find(ctx, name, dns.TypeMX)
	slices.SortStableFunc(answer, func(a, b dns.RR) int { return cmp.Compare(a.(*dns.MX).Preference, b.(*dns.MX).Preference) })
	var out []string
	for _, rr := range answer {
		out = append(out, hostName(rr.(*dns.MX).Mx))
	}
	return out, err
}

// A finds the IPv4 addresses of a name.
func (r *Resolver) A(ctx context.Context, name string) ([]string, error) {
	answer, err := r.find(ctx, name, dns.TypeA)
	var out []string
	for _, rr := range answer {
		out = append(out, rr.(*dns.A).A.String())
	}
	return out, err
}

// Addresses finds the IPv4 and IPv6 addresses of a name.
func (r *Resolver) Addresses(ctx context.Context, name string) ([]string, error) {
	out, err := r.A(ctx, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	answer, err := r.find(ctx, name, dns.TypeAAAA)
	for _, rr := range answer {
		out = append(out, rr.(*dns.AAAA).AAAA.String())
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, err
}

// NS finds the name servers of a zone; ErrNotFound when name begins none.
func (r *Resolver) NS(ctx context.Context, name string) ([]string, error) {
	answer, err := r.find(ctx, name, dns.TypeNS)
	var out []string
	for _, rr := range answer {
		out = append(out, hostName(rr.(*dns.NS).Ns))
	}
	return out, err
}

// PTR finds the names of an IP address.
func (r *Resolver) PTR(ctx context.Context, address string) ([]string, error) {
	name, err := dns.ReverseAddr(address)
	if err != nil {
		return nil, fmt.Errorf("reverse name of %q: %w", address, err)
	}
	answer, err := r.find(ctx, name, dns.TypePTR)
	var out []string
	for _, rr := range answer {
		out = append(out, hostName(rr.(*dns.PTR).Ptr))
	}
	return out, err
}

// CNAME finds the names that a name leads to, one after another, at most
// eight. Of a chain that breaks off, the part before is returned with a nil
// error; ErrNotFound means that name itself is no alias.
func (r *Resolver) CNAME(ctx context.Context, name string) ([]string, error) {
	var chain []string
	for {
		reply, err := r.exchange(ctx, name, dns.TypeCNAME)
		if err != nil {
			return chain, err
		}
		target := alias(reply, name)
		switch {
		case target == "" && len(chain) > 0:
			return chain, nil
		case target == "":
			return nil, fmt.Errorf("CNAME %s: %w", hostName(name), ErrNotFound)
		case len(chain) == maxAliases:
			return chain, fmt.Errorf("CNAME %s: %w", chain[0], ErrAliases)
		}
		chain = append(chain, target)
		name = target
	}
}

// find looks up records of a type, following aliases.
func (r *Resolver) find(ctx context.Context, name string, kind uint16) ([]dns.RR, error) {
	name = hostName(name)
	hops := 0
	for {
		reply, err := r.exchange(ctx, name, kind)
		if err != nil {
			return nil, err
		}
		asked := name
		for {
			var found []dns.RR
			for _, rr := range reply.Answer {
				if h := rr.Header(); h.Rrtype == kind && h.Class == dns.ClassINET && hostName(h.Name) == name {
					found = append(found, rr)
				}
			}
			if len(found) > 0 {
				return found, nil
			}
			target := alias(reply, name)
			if target == "" {
				break
			}
			if hops++; hops > maxAliases {
				return nil, fmt.Errorf("%s %s: %w", dns.TypeToString[kind], asked, ErrAliases)
			}
			name = target
		}
		if name == asked || reply.Rcode == dns.RcodeNameError {
			return nil, fmt.Errorf("%s %s: %w", dns.TypeToString[kind], name, ErrNotFound)
		}
	}
}

// alias is the target of name's CNAME in the answer, "" without.
func alias(reply *dns.Msg, name string) string {
	for _, rr := range reply.Answer {
		if c, ok := rr.(*dns.CNAME); ok && c.Hdr.Class == dns.ClassINET && hostName(c.Hdr.Name) == hostName(name) {
			return hostName(c.Target)
		}
	}
	return ""
}

// exchange asks the servers in turn until one knows: NOERROR or NXDOMAIN.
func (r *Resolver) exchange(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	question.SetEdns0(udpSize, false)
	var last error
	for range rounds {
		for _, server := range r.servers {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("%s %s: %w", dns.TypeToString[kind], name, err)
			}
			question.Id = dns.Id()
			reply, err := r.ask(ctx, server, question)
			if err == nil {
				return reply, nil
			}
			last = fmt.Errorf("%s %s: DNS server %s: %w", dns.TypeToString[kind], name, server, err)
		}
	}
	return nil, last
}

// ask puts one question to one server, over UDP and, when the answer does not
// fit, over TCP.
func (r *Resolver) ask(ctx context.Context, server string, question *dns.Msg) (*dns.Msg, error) {
	reply, err := r.transfer(ctx, "udp", server, question)
	if err == nil && reply.Truncated {
		reply, err = r.transfer(ctx, "tcp", server, question)
	}
	if err != nil {
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() {
			return nil, fmt.Errorf("no answer within %s", r.timeout)
		}
		return nil, err
	}
	if !answers(reply, question) {
		return nil, errors.New("the answer does not belong to the question")
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("it answered %s", cmp.Or(dns.RcodeToString[reply.Rcode], "an unknown code"))
	}
	return reply, nil
}

// transfer is one exchange on a connection of its own, hence from a random
// port; the end of ctx closes it.
func (r *Resolver) transfer(ctx context.Context, network, server string, question *dns.Msg) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: r.timeout, UDPSize: udpSize}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reply, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	return reply, err
}

// answers tells whether a reply repeats the question (RFC 5452, section 9.1).
func answers(reply, question *dns.Msg) bool {
	if reply == nil || !reply.Response || reply.Id != question.Id || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], question.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
}

// unescape turns the library's presentation form of a TXT string (\" \\ \DDD)
// into the octets that were sent.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			out = append(out, s[i])
		case i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]):
			out = append(out, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
			i += 3
		default:
			i++
			out = append(out, s[i])
		}
	}
	return string(out)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
