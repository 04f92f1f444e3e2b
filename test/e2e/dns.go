package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// record is one DNS record; Value is the text of a TXT, the target of a CNAME,
// the address of an A or the host of an MX.
type record struct{ Host, Type, Value string }

// nameserver answers for the test's zone, e2e.example.
type nameserver interface {
	addr() string
	publish(t testing.TB, records []record)
}

// hostRecords make the bounce host and the tracking host exist.
var hostRecords = []record{
	{bounceHost, "A", "127.0.0.1"},
	{bounceHost, "MX", bounceHost},
	{publicHost, "A", "127.0.0.1"},
}

// dnsmasq runs Debian's dnsmasq; publishing starts it anew.
type dnsmasq struct {
	program, dir string
	port         int
	running      *process
}

func newDNSMasq(t testing.TB) *dnsmasq {
	t.Helper()
	d := &dnsmasq{program: need(t, "dnsmasq", "dnsmasq-base"), dir: openDir(t), port: freePort(t)}
	d.publish(t, nil)
	return d
}

func (d *dnsmasq) addr() string { return loopback(d.port) }

func (d *dnsmasq) publish(t testing.TB, records []record) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "port=%d\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\nlocal=/e2e.example/\npid-file=%s\n",
		d.port, filepath.Join(d.dir, "pid"))
	for _, r := range append(records, hostRecords...) {
		switch r.Type {
		case "TXT":
			fmt.Fprintf(&b, "txt-record=%s,\"%s\"\n", r.Host, r.Value)
		case "CNAME":
			fmt.Fprintf(&b, "cname=%s,%s\n", r.Host, r.Value)
		case "A":
			fmt.Fprintf(&b, "host-record=%s,%s\n", r.Host, r.Value)
		case "MX":
			fmt.Fprintf(&b, "mx-host=%s,%s,10\n", r.Host, r.Value)
		}
	}
	if d.running != nil {
		d.running.stop()
	}
	config := write(t, filepath.Join(d.dir, "dnsmasq.conf"), b.String())
	d.running = start(t, d.dir, "dnsmasq", command(d.program, "--keep-in-foreground", "--conf-file="+config, "--log-facility=-"))
	eventually(t, "dnsmasq to answer", waitStart, func() bool {
		if d.running.ended() {
			t.Fatalf("dnsmasq ended:\n%s", tail(d.running.log, 4<<10))
		}
		_, err := resolverAt(d.addr()).LookupHost(t.Context(), bounceHost)
		return err == nil
	})
}

// zone is a server inside the test.
type zone struct {
	server *dns.Server
	tcp    *dns.Server
	mu     sync.Mutex
	names  map[string][]dns.RR // by lower-case name with its final dot
}

func newZone(t testing.TB) *zone {
	t.Helper()
	var lc net.ListenConfig
	port := freePort(t)
	udp, err := lc.ListenPacket(t.Context(), "udp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := lc.Listen(t.Context(), "tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	z := &zone{}
	z.server = &dns.Server{PacketConn: udp, Handler: z}
	z.tcp = &dns.Server{Listener: tcp, Handler: z}
	var running sync.WaitGroup
	for _, s := range []*dns.Server{z.server, z.tcp} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		running.Go(func() { _ = s.ActivateAndServe() })
		<-up
	}
	t.Cleanup(func() {
		_ = z.server.Shutdown()
		_ = z.tcp.Shutdown()
		running.Wait()
	})
	z.publish(t, nil)
	return z
}

func (z *zone) addr() string { return z.server.PacketConn.LocalAddr().String() }

func (z *zone) publish(t testing.TB, records []record) {
	t.Helper()
	names := map[string][]dns.RR{}
	for _, r := range append(records, hostRecords...) {
		head := dns.RR_Header{Name: strings.ToLower(dns.Fqdn(r.Host)), Class: dns.ClassINET, Ttl: 1, Rrtype: dns.StringToType[r.Type]}
		var rr dns.RR
		switch r.Type {
		case "TXT":
			txt := &dns.TXT{Hdr: head}
			for rest := r.Value; rest != ""; {
				n := min(len(rest), 255)
				txt.Txt = append(txt.Txt, rest[:n])
				rest = rest[n:]
			}
			rr = txt
		case "CNAME":
			rr = &dns.CNAME{Hdr: head, Target: dns.Fqdn(r.Value)}
		case "A":
			rr = &dns.A{Hdr: head, A: net.ParseIP(r.Value)}
		case "MX":
			rr = &dns.MX{Hdr: head, Preference: 10, Mx: dns.Fqdn(r.Value)}
		default:
			t.Fatalf("a record of type %q", r.Type)
		}
		names[head.Name] = append(names[head.Name], rr)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.names = maps.Clone(names)
}

// ServeDNS answers one question, following aliases inside the zone.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative, m.RecursionAvailable = true, true
	m.Rcode = dns.RcodeNameError
	name := strings.ToLower(q.Question[0].Name)
	z.mu.Lock()
	for range 8 {
		next := ""
		for _, rr := range z.names[name] {
			m.Rcode = dns.RcodeSuccess
			alias, isAlias := rr.(*dns.CNAME)
			if isAlias || rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, rr)
			}
			if isAlias && q.Question[0].Qtype != dns.TypeCNAME {
				next = strings.ToLower(alias.Target)
			}
		}
		if name = next; name == "" {
			break
		}
	}
	z.mu.Unlock()
	_ = w.WriteMsg(m) // the asker may be gone
}

// resolverAt asks one server only.
func resolverAt(addr string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
}
