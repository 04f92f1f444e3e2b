package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// zone is a DNS server on loopback with the records that a sender domain is
// asked to have.
type zone struct {
	addr   string
	server *dns.Server

	mu      sync.Mutex
	records map[string]dnsRecord // by name, lower case with the final dot
}

func startZone(ctx context.Context) (*zone, error) {
	var c net.ListenConfig
	conn, err := c.ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	z := &zone{addr: conn.LocalAddr().String(), records: map[string]dnsRecord{}}
	started := make(chan struct{})
	z.server = &dns.Server{
		PacketConn: conn, Handler: dns.HandlerFunc(z.answer), UDPSize: dns.DefaultMsgSize,
		NotifyStartedFunc: func() { close(started) },
	}
	failed := make(chan error, 1)
	go func() { failed <- z.server.ActivateAndServe() }()
	select {
	case <-started:
		return z, nil
	case err := <-failed:
		_ = conn.Close()
		return nil, fmt.Errorf("serve DNS: %w", err)
	}
}

// set publishes a record in place of what its name had.
func (z *zone) set(r dnsRecord) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records[dns.CanonicalName(r.Host)] = r
}

// answer gives the record of a name, whatever type was asked for if it is an
// alias, and NXDOMAIN for names that have none.
func (z *zone) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	if len(q.Question) == 1 {
		z.mu.Lock()
		r, ok := z.records[dns.CanonicalName(q.Question[0].Name)]
		z.mu.Unlock()
		head := dns.RR_Header{Name: q.Question[0].Name, Class: dns.ClassINET, Ttl: 60}
		switch asked := q.Question[0].Qtype; {
		case !ok:
			m.Rcode = dns.RcodeNameError
		case r.Type == "CNAME":
			head.Rrtype = dns.TypeCNAME
			m.Answer = append(m.Answer, &dns.CNAME{Hdr: head, Target: dns.Fqdn(r.Value)})
		case r.Type == "TXT" && asked == dns.TypeTXT:
			head.Rrtype = dns.TypeTXT
			m.Answer = append(m.Answer, &dns.TXT{Hdr: head, Txt: parts(r.Value)})
		}
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	_ = w.WriteMsg(m) // who asked will ask again
}

// parts cuts a text into strings of at most 255 bytes, as TXT records hold.
func parts(s string) []string {
	var out []string
	for len(s) > 255 {
		out, s = append(out, strings.ReplaceAll(s[:255], `\`, `\\`)), s[255:]
	}
	return append(out, strings.ReplaceAll(s, `\`, `\\`))
}

func (z *zone) stop() {
	if z != nil {
		_ = z.server.Shutdown()
	}
}
