package simulator

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Record is one DNS record to answer with.
type Record struct {
	Host  string // fully qualified, with or without the final dot
	Type  string // TXT, CNAME, MX or A
	Value string // the text, the target, "10 mx.example", the address
}

// DNS answers for a list of records and for nothing else.
type DNS struct {
	packets net.PacketConn
	streams net.Listener
	mu      sync.RWMutex
	records map[string][]dns.RR // by name in canonical form
}

// ListenDNS takes a port of the address's host for UDP and TCP, a free one
// when the port is 0. Run answers on it.
func ListenDNS(ctx context.Context, addr string) (*DNS, error) {
	var listen net.ListenConfig
	var err error
	for range 20 { // the port that is free for one protocol may be taken for the other
		var streams net.Listener
		if streams, err = listen.Listen(ctx, "tcp", addr); err != nil {
			return nil, fmt.Errorf("listen for DNS on %s: %w", addr, err)
		}
		var packets net.PacketConn
		if packets, err = listen.ListenPacket(ctx, "udp", streams.Addr().String()); err == nil {
			return &DNS{packets: packets, streams: streams}, nil
		}
		_ = streams.Close()
	}
	return nil, fmt.Errorf("listen for DNS on %s: %w", addr, err)
}

// Addr is where it listens, "127.0.0.1:5353".
func (d *DNS) Addr() string { return d.streams.Addr().String() }

// Set replaces the records. The error names the record that is none.
func (d *DNS) Set(records []Record) error {
	all := map[string][]dns.RR{}
	for _, r := range records {
		rr, err := r.rr()
		if err != nil {
			return err
		}
		name := rr.Header().Name
		all[name] = append(all[name], rr)
	}
	d.mu.Lock()
	d.records = all
	d.mu.Unlock()
	return nil
}

func (r Record) rr() (dns.RR, error) {
	name := dns.CanonicalName(r.Host)
	if _, ok := dns.IsDomainName(name); !ok || r.Host == "" {
		return nil, fmt.Errorf("DNS record: %q is no name", r.Host)
	}
	head := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: 1}
	switch strings.ToUpper(r.Type) {
	case "TXT":
		head.Rrtype = dns.TypeTXT
		return &dns.TXT{Hdr: head, Txt: split(r.Value, 255)}, nil
	case "CNAME":
		head.Rrtype = dns.TypeCNAME
		return &dns.CNAME{Hdr: head, Target: dns.CanonicalName(r.Value)}, nil
	case "MX":
		head.Rrtype = dns.TypeMX
		mx := &dns.MX{Hdr: head}
		var host string
		if _, err := fmt.Sscanf(r.Value, "%d %s", &mx.Preference, &host); err != nil {
			return nil, fmt.Errorf("DNS record %s MX: %q is not of the form \"10 mx.example\"", r.Host, r.Value)
		}
		mx.Mx = dns.CanonicalName(host)
		return mx, nil
	case "A":
		head.Rrtype = dns.TypeA
		ip := net.ParseIP(r.Value).To4()
		if ip == nil {
			return nil, fmt.Errorf("DNS record %s A: %q is no IPv4 address", r.Host, r.Value)
		}
		return &dns.A{Hdr: head, A: ip}, nil
	}
	return nil, fmt.Errorf("DNS record %s: type %q is none of TXT, CNAME, MX, A", r.Host, r.Type)
}

// split cuts a text into strings of at most n bytes (RFC 1035, section 3.3).
func split(s string, n int) []string {
	var out []string
	for len(s) > n {
		out, s = append(out, s[:n]), s[n:]
	}
	return append(out, s)
}

// Run answers until ctx ends.
func (d *DNS) Run(ctx context.Context) error {
	handler := dns.HandlerFunc(d.answer)
	servers := []*dns.Server{
		{PacketConn: d.packets, Handler: handler},
		{Listener: d.streams, Handler: handler, MaxTCPQueries: 16},
	}
	running := make(chan struct{}, len(servers))
	ended := make(chan error, len(servers))
	for _, s := range servers {
		s.NotifyStartedFunc = func() { running <- struct{}{} } // Shutdown does nothing before
		go func() { ended <- s.ActivateAndServe() }()
	}
	var err error
	up, down := 0, 0
	for up+down < len(servers) {
		select {
		case <-running:
			up++
		case err = <-ended:
			down++
		}
	}
	if down == 0 {
		select {
		case <-ctx.Done():
		case err = <-ended:
			down++
		}
	}
	for _, s := range servers {
		_ = s.ShutdownContext(context.WithoutCancel(ctx))
	}
	for ; down < len(servers); down++ {
		if end := <-ended; err == nil {
			err = end
		}
	}
	d.Close()
	if ctx.Err() == nil {
		return fmt.Errorf("serve DNS on %s: %w", d.Addr(), err)
	}
	return nil
}

// Close frees the port. Only a server that never ran needs it.
func (d *DNS) Close() {
	_ = d.packets.Close()
	_ = d.streams.Close()
}

func (d *DNS) answer(w dns.ResponseWriter, q *dns.Msg) {
	a := new(dns.Msg)
	a.SetReply(q)
	a.Authoritative = true
	if len(q.Question) != 1 || q.Opcode != dns.OpcodeQuery {
		a.Rcode = dns.RcodeRefused
		_ = w.WriteMsg(a)
		return
	}
	a.Answer, a.Rcode = d.look(q.Question[0])
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		a.Truncate(size)
	}
	_ = w.WriteMsg(a) // the client asks again
}

// look finds what there is, following aliases as far as they lead within the
// records.
func (d *DNS) look(q dns.Question) ([]dns.RR, int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []dns.RR
	name := dns.CanonicalName(q.Name)
	for range 8 {
		all, known := d.records[name]
		if !known {
			if len(out) > 0 {
				return out, dns.RcodeSuccess
			}
			return nil, dns.RcodeNameError
		}
		var next string
		for _, rr := range all {
			if rr.Header().Rrtype == q.Qtype {
				out = append(out, rr)
			} else if alias, ok := rr.(*dns.CNAME); ok {
				out, next = append(out, rr), alias.Target
			}
		}
		if next == "" {
			return out, dns.RcodeSuccess
		}
		name = next
	}
	return out, dns.RcodeServerFailure
}
