package smtp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func TestGuardAddr(t *testing.T) {
	refused := []string{
		"127.0.0.1", "127.255.0.9", "::1", "0.0.0.0", "0.1.2.3", "::", "10.1.2.3", "172.16.0.1", "172.31.255.255",
		"192.168.1.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "100.64.0.1",
		"100.100.100.200", "100.127.255.255", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "168.63.129.16",
		"192.0.0.192", "198.18.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
		"64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1", "2001:0:1::1", "fec0::1", "64:ff9b:1::1",
	}
	for _, s := range refused {
		err := GuardAddr(netip.MustParseAddr(s))
		if !errors.Is(err, ErrPrivateAddr) || !strings.Contains(err.Error(), "allow_private_networks") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if !errors.Is(GuardAddr(netip.Addr{}), ErrPrivateAddr) {
		t.Error("the zero address passes")
	}
	for _, s := range []string{
		"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "192.0.1.1", "2606:4700::1111",
		"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
	} {
		if err := GuardAddr(netip.MustParseAddr(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// resolverFor answers A questions from records.
func resolverFor(t *testing.T, records map[string][]string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	srv := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(started) }}
	srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name := q.Question[0].Name
		ips, known := records[strings.TrimSuffix(name, ".")]
		if !known {
			m.Rcode = dns.RcodeNameError
		}
		for _, ip := range ips {
			if q.Question[0].Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1},
					A:   net.ParseIP(ip),
				})
			}
		}
		_ = w.WriteMsg(m)
	})
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = srv.Shutdown(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

func TestResolvePublic(t *testing.T) {
	res := resolverFor(t, map[string][]string{
		"inside.example":  {"127.0.0.1"},
		"mixed.example":   {"10.0.0.1", "8.8.4.4"},
		"outside.example": {"8.8.8.8"},
	})
	f := func(host string, allow bool, want string) {
		t.Helper()
		addrs, err := ResolvePublic(t.Context(), res, host, allow)
		if want == "" {
			if err == nil {
				t.Errorf("%s: %v, want an error", host, addrs)
			}
			return
		}
		if err != nil || len(addrs) == 0 || addrs[0].String() != want {
			t.Errorf("%s: %v %v, want %s", host, addrs, err, want)
		}
	}
	f("outside.example", false, "8.8.8.8")
	f("inside.example", false, "")
	f("inside.example", true, "127.0.0.1")
	f("mixed.example", false, "8.8.4.4")
	f("mixed.example", true, "10.0.0.1")
	f("absent.example", true, "")
	f("127.0.0.1", false, "")
	f("[::1]", false, "")
	f("[::1]", true, "::1")
	f("::ffff:127.0.0.1", false, "")
}

// The address that was checked is the one that is dialled.
func TestDialPinsCheckedAddress(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	cfg := configFor(srv)
	cfg.Host = "outside.example"
	cfg.AllowPrivate = false
	cfg.Resolver = resolverFor(t, map[string][]string{"outside.example": {"8.8.8.8"}})
	var dialled string
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = addr
		var d net.Dialer
		return d.DialContext(ctx, network, srv.Addr())
	}
	c := mustDial(t, cfg)
	if _, err := c.Send(t.Context(), testEnv, testBody); err != nil {
		t.Fatal(err)
	}
	if host, _, _ := net.SplitHostPort(dialled); host != "8.8.8.8" {
		t.Errorf("dialled %s", dialled)
	}
}

func TestDialRefusesPrivate(t *testing.T) {
	srv := smtptest.New(t, smtptest.Script{})
	res := resolverFor(t, map[string][]string{"inside.example": {"127.0.0.1"}})
	for _, host := range []string{"127.0.0.1", "inside.example"} {
		cfg := configFor(srv)
		cfg.Host, cfg.AllowPrivate, cfg.Resolver = host, false, res
		_, err := Dial(t.Context(), cfg)
		e := asError(t, err)
		if e.Stage != StageConnect || !e.Session() || !errors.Is(err, ErrPrivateAddr) {
			t.Errorf("%s: %v", host, err)
		}
		if !strings.Contains(err.Error(), "allow_private_networks") {
			t.Errorf("%s: %v does not name the setting", host, err)
		}
	}
	if n := srv.Sessions(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}
