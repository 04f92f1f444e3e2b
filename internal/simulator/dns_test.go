package simulator

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDNS(t *testing.T) {
	d, err := ListenDNS(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	long := strings.Repeat("0123456789", 90) // more than a string, and than an answer by UDP may hold
	err = d.Set([]Record{
		{"key._domainkey.Sender.example", "TXT", long},
		{"sp-bounce.sender.example.", "CNAME", "bounce.house.example"},
		{"bounce.house.example", "MX", "10 mail.house.example"},
		{"bounce.house.example", "A", "192.0.2.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, d.Addr())
	}}
	txt, err := r.LookupTXT(t.Context(), "key._domainkey.sender.example.")
	if diff := cmp.Diff([]string{long}, txt); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if name, err := r.LookupCNAME(t.Context(), "sp-bounce.sender.example."); name != "bounce.house.example." || err != nil {
		t.Errorf("CNAME %q, %v", name, err)
	}
	if mx, err := r.LookupMX(t.Context(), "sp-bounce.sender.example."); err != nil || len(mx) != 1 || mx[0].Host != "mail.house.example." || mx[0].Pref != 10 {
		t.Errorf("MX %v, %v", mx, err)
	}
	var none *net.DNSError
	if _, err := r.LookupTXT(t.Context(), "other.example."); !errors.As(err, &none) || !none.IsNotFound {
		t.Errorf("a name without records: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRecordRefused(t *testing.T) {
	f := func(r Record, word string) {
		t.Helper()
		var d DNS
		if err := d.Set([]Record{r}); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v: %v; want a word of %q", r, err, word)
		}
	}
	f(Record{"", "TXT", "x"}, "no name")
	f(Record{"a.example", "SRV", "x"}, "SRV")
	f(Record{"a.example", "MX", "mail.example"}, "10 mx.example")
	f(Record{"a.example", "A", "::1"}, "IPv4")
}
