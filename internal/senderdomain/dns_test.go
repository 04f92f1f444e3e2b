package senderdomain

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a DNS server on loopback, over UDP and TCP, whose records a test
// changes while it runs. It answers as an authority: an alias alone, without
// what lies behind it.
type zone struct {
	addr string

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case name
	behave  map[string]string   // by lower-case name: "servfail", "silent", "truncate", "liar"
	asked   map[string]int      // "udp name", "tcp name"
}

func startZone(t *testing.T, lines ...string) *zone {
	t.Helper()
	z := &zone{records: map[string][]dns.RR{}, behave: map[string]string{}, asked: map[string]int{}}
	z.set(t, lines...)
	packets, listener := listen(t)
	z.addr = packets.LocalAddr().String()
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: z.handler("udp")}, {Listener: listener, Handler: z.handler("tcp")},
	} {
		started, done := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(started) }
		go func() { done <- server.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-done:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.ShutdownContext(context.Background()); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	return z
}

// listen finds a port that is free for UDP and TCP.
func listen(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var config net.ListenConfig
	for range 50 {
		packets, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener, err := config.Listen(t.Context(), "tcp", packets.LocalAddr().String())
		if err == nil {
			return packets, listener
		}
		packets.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// set replaces the whole zone by records in the form of a zone file.
func (z *zone) set(t *testing.T, lines ...string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	clear(z.records)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		name := strings.ToLower(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
}

// under gives the records of a name, or those of the closest wildcard under
// that name (RFC 4592, as far as tests go).
func (z *zone) under(name string) []dns.RR {
	if found := z.records[name]; len(found) > 0 {
		return found
	}
	for rest := name; ; {
		_, parent, more := strings.Cut(rest, ".")
		if !more {
			return nil
		}
		if wild := z.records["*."+parent]; len(wild) > 0 {
			var out []dns.RR
			for _, rr := range wild {
				rr = dns.Copy(rr)
				rr.Header().Name = name
				out = append(out, rr)
			}
			return out
		}
		rest = parent
	}
}

func (z *zone) misbehave(name, how string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.behave[name+"."] = how
}

func (z *zone) count(network, name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[network+" "+name+"."]
}

func (z *zone) handler(network string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, question *dns.Msg) {
		z.mu.Lock()
		defer z.mu.Unlock()
		q := question.Question[0]
		name := strings.ToLower(q.Name)
		z.asked[network+" "+name]++
		reply := new(dns.Msg)
		reply.SetReply(question)
		found := z.under(name)
		for _, rr := range found {
			if rr.Header().Rrtype == q.Qtype || rr.Header().Rrtype == dns.TypeCNAME {
				reply.Answer = append(reply.Answer, rr)
			}
		}
		if len(found) == 0 {
			reply.Rcode = dns.RcodeNameError
		}
		switch z.behave[name] {
		case "servfail":
			reply.Rcode, reply.Answer = dns.RcodeServerFailure, nil
		case "silent":
			return
		case "truncate":
			if network == "udp" {
				reply.Truncated, reply.Answer = true, nil
			}
		case "liar":
			reply.Question[0].Name = "elsewhere.example."
		}
		_ = w.WriteMsg(reply)
	}
}
