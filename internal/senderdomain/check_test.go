package senderdomain

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
)

var testNow = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func testConfig(addr string) Config {
	return Config{BounceHost: "Bounce.example.org.", TrackHost: "track.example.org", Resolver: addr, Timeout: 20 * time.Second}
}

func testDomain(t *testing.T, c Config) *waypost.SenderDomain {
	t.Helper()
	key, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	return &waypost.SenderDomain{
		ID: 1, SubAccount: 1, Name: "shop.example", Selector: "sp-dkim", Created: testNow,
		Records: Records("shop.example", "sp-dkim", key, c),
	}
}

func newTestChecker(t *testing.T, c Config) *Checker {
	t.Helper()
	r, err := NewResolver(c)
	if err != nil {
		t.Fatal(err)
	}
	return NewChecker(nil, r, c, slog.New(slog.DiscardHandler))
}

// right is the zone as asked for.
func right(d *waypost.SenderDomain) []string {
	var lines []string
	for _, r := range d.Records {
		value := r.Value + "."
		if r.Type == "TXT" { // in two strings, as long values are
			value = fmt.Sprintf("%q %q", r.Value[:10], r.Value[10:])
		}
		lines = append(lines, fmt.Sprintf("%s. 60 IN %s %s", r.Host, r.Type, value))
	}
	return lines
}

func TestCheckRight(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	z.set(t, right(d)...)
	if err := newTestChecker(t, c).Check(t.Context(), d, testNow); err != nil {
		t.Fatal(err)
	}
	for _, r := range d.Records {
		if !r.Verified || r.Failure != "" || r.Found == "" || r.Failures != 0 {
			t.Errorf("%+v", r)
		}
	}
	if !d.CheckedAt.Equal(testNow) || !d.NextCheck.Equal(testNow.Add(24*time.Hour)) {
		t.Errorf("checked %v, next %v", d.CheckedAt, d.NextCheck)
	}
}

// TestCheckRecord has one record at a time in many states.
func TestCheckRecord(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	checker := newTestChecker(t, c)
	value := d.Record(waypost.RecordDKIM).Value
	_, key, _ := strings.Cut(value, "p=")
	other, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	const dk, rp, tr, dm = "sp-dkim._domainkey.shop.example.", "sp-bounce.shop.example.", "track.shop.example.", "_dmarc.shop.example."
	txt := func(host string, values ...string) string {
		var lines []string
		for _, v := range values {
			lines = append(lines, host+` 60 IN TXT "`+v+`"`)
		}
		return strings.Join(lines, "\n")
	}
	for _, tc := range []struct {
		kind    waypost.RecordKind
		zone    string
		failure string // "" : verified
	}{
		{waypost.RecordDKIM, "", "DNS record not found. Please add the TXT record to your DNS provider."},
		{waypost.RecordDKIM, txt(dk, value), ""},
		{waypost.RecordDKIM, txt(dk, "k=ed25519; p="+key), ""},
		{waypost.RecordDKIM, dk + " 60 IN CNAME keys.example.\n" + txt("keys.example.", value), ""},
		{waypost.RecordDKIM, txt(dk, value, "v=spf1 -all"), "delete the others"},
		{waypost.RecordDKIM, txt(dk, "one", "two"), "none of them is the expected key"},
		{waypost.RecordDKIM, txt(dk, `\"`+value+`\"`), "quotation marks"},
		{waypost.RecordDKIM, txt(dk, "v=spf1 -all"), "v= must come first"},
		{waypost.RecordDKIM, txt(dk, "k=ed25519; v=DKIM1; p="+key), "v= must come first"},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; p="), "revoked"},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; p="+key), `k=\"rsa\", expected k=ed25519`},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; h=sha1; p="+key), "sha256"},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; s=web; p="+key), "does not allow email"},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; p="+key[:20]), "cut off after 20"},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; p=!"+key), "not base64"},
		{waypost.RecordDKIM, strings.ToUpper(dk) + ` 60 IN TXT "` + value + `"`, ""},
		{waypost.RecordDKIM, txt(dk, other.Record()), "differs from the expected key"},
		{waypost.RecordDKIM, txt("*.shop.example.", "v=spf1 -all"), "v= must come first"},
		{waypost.RecordDKIM, txt("*._domainkey.shop.example.", value), ""},
		{waypost.RecordDKIM, txt(dk, "v=DKIM1; k=ed25519; p=AAAA"), "holds 3 bytes"},

		{waypost.RecordReturnPath, "", "DNS record not found. Please add the CNAME record to your DNS provider."},
		{waypost.RecordReturnPath, rp + " 60 IN CNAME BOUNCE.example.ORG.", ""},
		{waypost.RecordReturnPath, rp + " 60 IN CNAME a.example.\na.example. 60 IN CNAME bounce.example.org.", ""},
		{waypost.RecordReturnPath, rp + " 60 IN CNAME wrong.example.", "is a CNAME to wrong.example, but must be one to bounce.example.org"},
		{waypost.RecordReturnPath, rp + " 60 IN MX 10 Bounce.Example.org.", ""},
		{waypost.RecordReturnPath, rp + " 60 IN MX 10 other.example.", "has an MX record for other.example"},
		{waypost.RecordReturnPath, rp + " 60 IN A 192.0.2.1", "answers with the address 192.0.2.1"},
		{waypost.RecordReturnPath, rp + " 60 IN CNAME " + rp, "more than 8 CNAME records in a row"},

		{waypost.RecordReturnPath, "*.shop.example. 60 IN CNAME bounce.example.org.", ""},
		{waypost.RecordReturnPath, "*.shop.example. 60 IN A 192.0.2.1", "answers with the address"},

		{waypost.RecordBounceMX, "", "DNS record not found. Please add the MX record to your DNS provider."},
		{waypost.RecordBounceMX, rp + " 60 IN MX 10 Bounce.example.ORG.", ""},
		{waypost.RecordBounceMX, rp + " 60 IN MX 10 other.example.", "must have one for bounce.example.org"},
		{waypost.RecordBounceMX, rp + " 60 IN CNAME " + rp, "more than 8 CNAME records in a row"},
		{waypost.RecordBounceSPF, "", "DNS record not found. Please add the TXT record to your DNS provider."},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1 ip4:192.0.2.1 -all"), ""},
		{waypost.RecordBounceSPF, txt(rp, "V=SPF1 include:a.example", "unrelated"), ""},
		{waypost.RecordBounceSPF, txt(rp, "v=spf10 ip4:192.0.2.1"), "no SPF policy"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1 mx -all", "v=spf1 a -all"), "There are 2 SPF policies"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1 +all"), "every server in the world"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1 mx all"), "every server in the world"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1 -all"), "covers no server"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1"+strings.Repeat(" a:a.example", 11)), "11 terms that ask DNS"},
		{waypost.RecordBounceSPF, txt(rp, "v=spf1"+strings.Repeat(" a:a.example", 10)), ""},

		{waypost.RecordTrack, tr + " 60 IN CNAME track.example.org.", ""},
		{waypost.RecordTrack, tr + " 60 IN MX 10 track.example.org.", "DNS record not found"},
		{waypost.RecordTrack, tr + " 60 IN A 192.0.2.1", "turn off proxying"},

		{waypost.RecordDMARC, "", "DNS record not found. Please add the TXT record to your DNS provider."},
		{waypost.RecordDMARC, txt(dm, "v=DMARC1; p=none;"), ""},
		{waypost.RecordDMARC, txt(dm, "v=DMARC1;p=reject; rua=mailto:a@shop.example", "unrelated"), ""},
		{waypost.RecordDMARC, txt(dm, "v=DMARC1; p=none", "v=DMARC1; p=reject"), "2 DMARC policies"},
		{waypost.RecordDMARC, txt(dm, "p=none; v=DMARC1"), "no DMARC policy"},
		{waypost.RecordDMARC, txt(dm, "v=DMARC1; rua=mailto:a@shop.example"), "no valid p= tag"},
	} {
		d.Records = Records(d.Name, d.Selector, dkim.Key{}, c)
		d.Record(waypost.RecordDKIM).Value = value
		d.DirectBounce = false
		if tc.kind == waypost.RecordBounceMX || tc.kind == waypost.RecordBounceSPF {
			SetDirectBounce(d, true, "", c, testNow)
		}
		if tc.zone == "" {
			z.set(t)
		} else {
			z.set(t, strings.Split(tc.zone, "\n")...)
		}
		if err := checker.Check(t.Context(), d, testNow); err != nil {
			t.Fatal(err)
		}
		r := d.Record(tc.kind)
		want := strings.ReplaceAll(tc.failure, `\"`, `"`)
		if r.Verified != (want == "") || !strings.Contains(r.Failure, want) || want == "" && r.Failure != "" || r.Verified == (r.Failures > 0) {
			t.Errorf("%s\n%+v\nwant %q", tc.zone, *r, want)
		}
	}
}

// TestWithdrawn follows a verified record through trouble: look-ups without a
// result do not count, three failures in a row do, a success starts again.
func TestWithdrawn(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	checker := newTestChecker(t, c)
	const host = "sp-bounce.shop.example"
	good := right(d)
	r := d.Record(waypost.RecordReturnPath)
	for i, step := range []struct {
		zone     []string
		behave   string
		verified bool
		failures int
	}{
		{good, "servfail", false, 0},
		{good, "", true, 0},
		{nil, "", true, 1},
		{nil, "", true, 2},
		{good, "", true, 0},
		{nil, "", true, 1},
		{nil, "servfail", true, 1},
		{nil, "liar", true, 1},
		{nil, "", true, 2},
		{nil, "", false, 3},
		{nil, "", false, 4},
		{nil, "servfail", false, 4},
		{good, "", true, 0},
	} {
		z.set(t, step.zone...)
		z.misbehave(host, step.behave)
		if err := checker.Check(t.Context(), d, testNow); err != nil {
			t.Fatal(err)
		}
		healthy := step.behave == "" && step.failures == 0
		if r.Verified != step.verified || r.Failures != step.failures || (r.Failure == "") != healthy {
			t.Fatalf("step %d: %+v, want verified %t, %d failures", i+1, *r, step.verified, step.failures)
		}
		if step.behave != "" && !strings.Contains(r.Failure, "could not be completed") {
			t.Errorf("step %d: %q", i+1, r.Failure)
		}
		if step.verified && step.failures > 0 && step.behave == "" && !strings.Contains(r.Failure, fmt.Sprintf("number %d", step.failures)) {
			t.Errorf("step %d: %q", i+1, r.Failure)
		}
	}
}

func TestCheckFollowsConfiguration(t *testing.T) {
	z := startZone(t)
	d := testDomain(t, testConfig(z.addr))
	z.set(t, right(d)...)
	c := testConfig(z.addr)
	c.BounceHost = "new.example.org"
	if err := newTestChecker(t, c).Check(t.Context(), d, testNow); err != nil {
		t.Fatal(err)
	}
	if r := d.Record(waypost.RecordReturnPath); r.Verified || r.Value != "new.example.org" || !strings.Contains(r.Failure, "new.example.org") {
		t.Errorf("%+v", r)
	}
}

// TestFoundIsBounded: what DNS says is kept short and printable.
func TestFoundIsBounded(t *testing.T) {
	z := startZone(t, `_dmarc.shop.example. 60 IN TXT "v=spf\000\027[31m" "`+strings.Repeat("x", 250)+`" "`+strings.Repeat(`\255`, 250)+`" "`+strings.Repeat("y", 250)+`" "`+strings.Repeat("z", 250)+`" "`+strings.Repeat("z", 250)+`"`)
	z.misbehave("_dmarc.shop.example", "truncate")
	c := testConfig(z.addr)
	d := testDomain(t, c)
	if err := newTestChecker(t, c).Check(t.Context(), d, testNow); err != nil {
		t.Fatal(err)
	}
	r := d.Record(waypost.RecordDMARC)
	if len(r.Found) < 500 || len(r.Found) > 2*maxFound || strings.ContainsAny(r.Found, "\x00\x1b") {
		t.Errorf("%d bytes: %q", len(r.Found), r.Found)
	}
}

func TestCheckName(t *testing.T) {
	for in, want := range map[string]string{
		"shop.example":                    "shop.example",
		" Shop.EXAMPLE. ":                 "shop.example",
		"news.Bücher.example":             "news.xn--bcher-kva.example",
		"xn--bcher-kva.example":           "xn--bcher-kva.example",
		"例え。テスト":                          "xn--r8jz45g.xn--zckzah",
		"":                                "",
		"com":                             "",
		"localhost":                       "",
		"https://shop.example":            "",
		"shop.example/path":               "",
		"user@shop.example":               "",
		"shop.example:25":                 "",
		"192.0.2.1":                       "",
		"2001:db8::1":                     "",
		"[192.0.2.1]":                     "",
		"1.2.3":                           "",
		"*.shop.example":                  "",
		"a..example":                      "",
		"-a.example":                      "",
		"a b.example":                     "",
		"a_b.example":                     "",
		"xn--a.example":                   "",
		"a\r\nb.example":                  "",
		strings.Repeat("a.", 90) + "test": "a",
		strings.Repeat("a.", 95) + "test": "",
	} {
		got, err := CheckName(in)
		if want == "a" {
			want = in
		}
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
		if err == nil {
			e := waypost.ReturnPath{UUID: waypost.NewUUID(testNow), SubAccount: 1<<31 - 1, Domain: waypost.BounceLabel + "." + got}
			if err := waypost.CheckEmail(e.String()); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("shop.example")
	f.Add("Bücher.example.")
	f.Add("https://[::1]:25/@*")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := CheckName(s)
		if err != nil {
			return
		}
		again, err := CheckName(name)
		if err != nil || again != name {
			t.Errorf("%q became %q, which becomes %q, %v", s, name, again, err)
		}
	})
}

func FuzzJudge(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=AAAA", "v=DMARC1; p=none")
	f.Add("p=", ";;=;v")
	f.Fuzz(func(t *testing.T, a, b string) {
		want := "v=DKIM1;k=rsa;s=email;h=sha256;p=MIIBIjANBgkq"
		for _, found := range [][]string{{a}, {b}, {a, b}} {
			if judgeDKIM(found, want) == "" && !strings.Contains(strings.Join(strings.Fields(found[0]), ""), "MIIBIjANBgkq") {
				t.Errorf("%q passed for DKIM", found)
			}
			if judgeDMARC(found, dmarcPolicy) == "" && !strings.Contains(a+b, "DMARC1") {
				t.Errorf("%q passed for DMARC", found)
			}
		}
	})
}
