package senderdomain

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/test/ports"
)

// startDnsmasq runs a DNS server that others wrote, on loopback, until the
// test ends. It knows ready.example, and nothing of .example and .test that
// the arguments do not say.
func startDnsmasq(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("dnsmasq")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/dnsmasq"); err != nil {
			t.Skip("dnsmasq is not installed (Debian: dnsmasq-base)")
		}
	}
	number, err := ports.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(number)
	addr := net.JoinHostPort("127.0.0.1", port)
	ctx, cancel := context.WithCancel(context.Background())
	var log strings.Builder
	cmd := exec.CommandContext(ctx, program, append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=", "--log-facility=-",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--port=" + port, "--local=/example/", "--local=/test/", "--local=/org/",
		"--txt-record=ready.example,yes",
	}, args...)...)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cancel(); <-exited })
	r := &Resolver{servers: []string{addr}, timeout: time.Second}
	for {
		if _, err = r.TXT(t.Context(), "ready.example"); err == nil {
			return addr
		}
		select {
		case <-exited:
			t.Fatalf("dnsmasq does not run: %s", &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDnsmasqAnswers(t *testing.T) {
	long := strings.Repeat("k", 250)
	addr := startDnsmasq(t,
		"--txt-record=key.shop.example,"+long+","+long, "--cname=sp-bounce.shop.example,bounce.example",
		"--host-record=bounce.example,192.0.2.1,2001:db8::1", "--mx-host=mx.shop.example,bounce.example,10")
	r := &Resolver{servers: []string{addr}, timeout: 20 * time.Second}
	txt, err1 := r.TXT(t.Context(), "key.shop.example")
	chain, err2 := r.CNAME(t.Context(), "sp-bounce.shop.example")
	mail, err3 := r.MX(t.Context(), "mx.shop.example")
	a, err4 := r.A(t.Context(), "sp-bounce.shop.example")
	both, err5 := r.Addresses(t.Context(), "bounce.example")
	names, err6 := r.PTR(t.Context(), "192.0.2.1")
	got := [][]string{txt, chain, mail, a, both, names}
	want := [][]string{{long + long}, {"bounce.example"}, {"bounce.example"}, {"192.0.2.1"}, {"192.0.2.1", "2001:db8::1"}, {"bounce.example"}}
	if diff := cmp.Diff(want, got); diff != "" || errors.Join(err1, err2, err3, err4, err5, err6) != nil {
		t.Errorf("%v (-want +got):\n%s", errors.Join(err1, err2, err3, err4, err5, err6), diff)
	}
	if _, err := r.TXT(t.Context(), "none.shop.example"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestDnsmasqDomains checks whole domains, each with its own trouble, against
// a server that others wrote. Keys are RSA, whose records take two strings.
func TestDnsmasqDomains(t *testing.T) {
	key, err := dkim.GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	other, err := dkim.GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	txt := func(host string, value string) string {
		cut := min(len(value), 200)
		return "--txt-record=" + host + "," + value[:cut] + strings.TrimSuffix(","+value[cut:], ",")
	}
	idn, err := CheckName("Bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	addr := startDnsmasq(
		t, "--host-record=bounce.example.org,192.0.2.1", "--host-record=track.example.org,192.0.2.1", "--host-record=wrong.example.org,192.0.2.2",
		"--cname=hop.example.org,bounce.example.org",
		txt("sp-dkim._domainkey.good.example", key.Record()), "--cname=sp-bounce.good.example,bounce.example.org",
		"--cname=track.good.example,track.example.org", txt("_dmarc.good.example", dmarcPolicy),
		txt("SP-DKIM._DomainKey.LOUD.example", key.Record()), "--cname=SP-BOUNCE.loud.EXAMPLE,Bounce.Example.ORG",
		txt("sp-dkim._domainkey."+idn, key.Record()), "--cname=sp-bounce."+idn+",hop.example.org",
		txt("sp-dkim._domainkey.bad.example", other.Record()), "--cname=sp-bounce.bad.example,wrong.example.org",
		txt("sp-dkim._domainkey.many.example", key.Record()), txt("sp-dkim._domainkey.many.example", "v=spf1 -all"),
		"--address=/many.example/192.0.2.9",
		txt("sp-dkim._domainkey.own.example", key.Record()), "--mx-host=sp-bounce.own.example,bounce.example.org,10",
		txt("sp-bounce.own.example", "v=spf1 ip4:192.0.2.7 ~all"),
	)
	c := testConfig(addr)
	checker := newTestChecker(t, c)
	const dk, rp, tr, dm = waypost.RecordDKIM, waypost.RecordReturnPath, waypost.RecordTrack, waypost.RecordDMARC
	for _, tc := range []struct {
		name   string
		direct bool
		want   map[waypost.RecordKind]string // the failure of each record looked at, "": verified
	}{
		{"good.example", false, map[waypost.RecordKind]string{dk: "", rp: "", tr: "", dm: ""}},
		{"loud.example", false, map[waypost.RecordKind]string{dk: "", rp: ""}},
		{idn, false, map[waypost.RecordKind]string{dk: "", rp: "", tr: "DNS record not found"}},
		{"bad.example", false, map[waypost.RecordKind]string{dk: "differs from the expected key", rp: "is a CNAME to wrong.example.org"}},
		{"many.example", false, map[waypost.RecordKind]string{dk: "delete the others", rp: "answers with the address 192.0.2.9"}},
		{"none.example", false, map[waypost.RecordKind]string{dk: "DNS record not found", rp: "DNS record not found", dm: "DNS record not found"}},
		{"own.example", true, map[waypost.RecordKind]string{dk: "", waypost.RecordBounceMX: "", waypost.RecordBounceSPF: ""}},
		{"good.example", true, map[waypost.RecordKind]string{waypost.RecordBounceMX: "MX record", waypost.RecordBounceSPF: "DNS record not found"}},
	} {
		d := &waypost.SenderDomain{Name: tc.name, Selector: waypost.DKIMSelector, Created: testNow, Records: Records(tc.name, waypost.DKIMSelector, key, c)}
		SetDirectBounce(d, tc.direct, "", c, testNow)
		if err := checker.Check(t.Context(), d, testNow); err != nil {
			t.Fatal(err)
		}
		path := true
		for kind, want := range tc.want {
			r := d.Record(kind)
			if r == nil || r.Verified != (want == "") || !strings.Contains(r.Failure, want) {
				t.Errorf("%s, %s: %+v, want %q", tc.name, kind, r, want)
			}
			path = path && (want == "" || kind == tr || kind == dm || kind == dk)
		}
		if got := d.Verified(rp); got != path {
			t.Errorf("%s: return path verified %t", tc.name, got)
		}
	}
}
