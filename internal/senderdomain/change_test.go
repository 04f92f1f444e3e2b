package senderdomain

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
)

func freshKey(t *testing.T) Fresh {
	t.Helper()
	key, err := dkim.GenerateEd25519() // quicker to make than RSA, and no different here
	if err != nil {
		t.Fatal(err)
	}
	return Fresh{Key: key, Sealed: waypost.Sealed(key.Record())}
}

func selectors(d *waypost.SenderDomain) string {
	var out []string
	for _, k := range d.SigningKeys() {
		out = append(out, k.Selector)
	}
	return strings.Join(out, " ")
}

// TestRotation follows a rotation from its start until the old key is
// forgotten: one key signs at every moment, and its record is asked for.
func TestRotation(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	d.Key = waypost.Sealed("old")
	checker := newTestChecker(t, c)
	check := func(now time.Time) {
		t.Helper()
		if err := checker.Check(t.Context(), d, now); err != nil {
			t.Fatal(err)
		}
	}
	z.set(t, right(d)...)
	now := testNow.Add(100 * 24 * time.Hour)
	check(now)
	if err := CancelRotation(d); !errors.Is(err, ErrNotRotating) {
		t.Error(err)
	}
	next := freshKey(t)
	if err := StartRotation(d, next, now); err != nil {
		t.Fatal(err)
	}
	if err := StartRotation(d, freshKey(t), now); !errors.Is(err, ErrRotating) {
		t.Error(err)
	}
	if selectors(d) != "sp-dkim" || !d.NextCheck.Equal(now) {
		t.Errorf("%s signs, next check %v", selectors(d), d.NextCheck)
	}
	check(now) // the zone has not changed
	r := d.Record(waypost.RecordDKIMNext)
	if r == nil || r.Verified || r.Value != next.Key.Record() || selectors(d) != "sp-dkim" || !d.NextCheck.Equal(now.Add(5*time.Minute)) {
		t.Fatalf("%+v, %s signs, next check %v", r, selectors(d), d.NextCheck)
	}
	selector := d.KeyOf(waypost.DKIMNext).Selector
	if r.Host != selector+"._domainkey.shop.example" || selector == "sp-dkim" {
		t.Errorf("%q at %q", selector, r.Host)
	}
	check(now.Add(48 * time.Hour))
	if !d.NextCheck.Equal(now.Add(49 * time.Hour)) {
		t.Errorf("an old domain waits for its key: %v", d.NextCheck)
	}

	z.set(t, right(d)...) // the old record and the new one
	taken := now.Add(50 * time.Hour)
	check(taken)
	old := d.KeyOf(waypost.DKIMRetired)
	if selectors(d) != selector || string(d.Key) != string(next.Sealed) || d.Record(waypost.RecordDKIMNext) != nil {
		t.Fatalf("%s signs; %+v", selectors(d), d.Records)
	}
	if r := d.Record(waypost.RecordDKIM); !r.Verified || r.Value != next.Key.Record() || !strings.HasPrefix(r.Host, selector) {
		t.Errorf("%+v", r)
	}
	if old == nil || old.Selector != "sp-dkim" || string(old.Key) != "old" || !old.Until.Equal(taken.Add(14*24*time.Hour)) {
		t.Fatalf("retired: %+v", old)
	}
	check(old.Until.Add(-time.Millisecond))
	if d.KeyOf(waypost.DKIMRetired) == nil {
		t.Error("forgotten too early")
	}
	check(taken.Add(14 * 24 * time.Hour))
	if len(d.Keys) != 0 {
		t.Errorf("not forgotten: %+v", d.Keys)
	}
}

func TestRotationCancelled(t *testing.T) {
	d := testDomain(t, testConfig(""))
	before := fmt.Sprint(d.Records)
	for range 3 {
		if err := StartRotation(d, freshKey(t), testNow); err != nil {
			t.Fatal(err)
		}
		if err := CancelRotation(d); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.Keys) != 0 || fmt.Sprint(d.Records) != before || selectors(d) != "sp-dkim" {
		t.Errorf("%+v", d)
	}
	for i := range maxKeys {
		d.Keys = append(d.Keys, waypost.DKIMKey{Role: waypost.DKIMRetired, Selector: fmt.Sprint(i)})
	}
	if err := StartRotation(d, freshKey(t), testNow); !errors.Is(err, ErrManyKeys) {
		t.Error(err)
	}
}

// TestEd25519 lets the second key sign from its first good check until its
// record is withdrawn.
func TestEd25519(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	checker := newTestChecker(t, c)
	first := right(d)
	if err := RemoveEd25519(d); !errors.Is(err, ErrNoEd25519) {
		t.Error(err)
	}
	if err := AddEd25519(d, freshKey(t), testNow); err != nil {
		t.Fatal(err)
	}
	if err := AddEd25519(d, freshKey(t), testNow); !errors.Is(err, ErrHasEd25519) {
		t.Error(err)
	}
	selector := d.KeyOf(waypost.DKIMEd25519).Selector
	for i, step := range []struct {
		zone []string
		want string
	}{
		{first, "sp-dkim"},
		{right(d), "sp-dkim " + selector},
		{first, "sp-dkim " + selector},
		{first, "sp-dkim " + selector},
		{first, "sp-dkim"},
		{right(d), "sp-dkim " + selector},
	} {
		z.set(t, step.zone...)
		if err := checker.Check(t.Context(), d, testNow); err != nil {
			t.Fatal(err)
		}
		if got := selectors(d); got != step.want {
			t.Errorf("step %d: %s sign, want %s", i+1, got, step.want)
		}
	}
	// A rotation beside it leaves the second key alone.
	if err := StartRotation(d, freshKey(t), testNow.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	z.set(t, right(d)...)
	next := d.KeyOf(waypost.DKIMNext).Selector
	if err := checker.Check(t.Context(), d, testNow); err != nil {
		t.Fatal(err)
	}
	if got := selectors(d); got != next+" "+selector {
		t.Errorf("%s sign", got)
	}
	if err := RemoveEd25519(d); err != nil || selectors(d) != next || d.Record(waypost.RecordEd25519) != nil {
		t.Errorf("%v, %s sign", err, selectors(d))
	}
}

// TestDirectBounceWithoutAGap changes the variant of a domain that sends, in
// both orders of zone and switch: it can send all the time.
func TestDirectBounceWithoutAGap(t *testing.T) {
	const rp = "sp-bounce.shop.example. 60 IN "
	z := startZone(t)
	c := testConfig(z.addr)
	checker := newTestChecker(t, c)
	alias := []string{rp + "CNAME bounce.example.org."}
	own := []string{rp + "MX 10 bounce.example.org.", rp + `TXT "v=spf1 ip4:192.0.2.1 -all"`}
	kinds := func(d *waypost.SenderDomain) (out []waypost.RecordKind) {
		for _, r := range d.Records {
			if r.Host == "sp-bounce.shop.example" {
				out = append(out, r.Kind)
			}
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		steps []any // zones, and switches as booleans
	}{
		{"switch first", []any{alias, true, alias, own, false, own, alias}},
		{"zone first", []any{alias, own, true, own, alias, false, alias}},
		{"the MX before the SPF", []any{alias, true, own[:1], own[:1], own[:1], own[:1], own}},
	} {
		d := testDomain(t, c)
		for i, step := range tc.steps {
			switch step := step.(type) {
			case bool:
				SetDirectBounce(d, step, "a:mta.example", c, testNow)
			case []string:
				z.set(t, step...)
				if err := checker.Check(t.Context(), d, testNow); err != nil {
					t.Fatal(err)
				}
			}
			if !d.Verified(waypost.RecordReturnPath) {
				t.Errorf("%s: the domain cannot send after step %d: %+v", tc.name, i+1, d.Records)
			}
		}
		want := []waypost.RecordKind{waypost.RecordReturnPath}
		if d.DirectBounce {
			want = []waypost.RecordKind{waypost.RecordBounceMX, waypost.RecordBounceSPF}
		}
		if got := kinds(d); !slices.Equal(got, want) {
			t.Errorf("%s: asks for %v, want %v", tc.name, got, want)
		}
	}
	d := testDomain(t, c) // never verified: nothing to keep
	SetDirectBounce(d, true, "a:mta.example", c, testNow)
	if spfValue(" ") != "" {
		t.Error("an SPF record that covers nobody is asked for")
	}
	if got := kinds(d); len(got) != 2 || d.Record(waypost.RecordBounceSPF).Value != "v=spf1 a:mta.example ~all" {
		t.Errorf("%v", d.Records)
	}
	z.set(t, own[:1]...) // MX alone is not enough
	for range 4 {
		if err := checker.Check(t.Context(), d, testNow); err != nil {
			t.Fatal(err)
		}
	}
	if d.Verified(waypost.RecordReturnPath) {
		t.Error("verified without SPF")
	}
}

func TestRename(t *testing.T) {
	c := testConfig("")
	d := testDomain(t, c)
	d.CheckedAt, d.DNSProvider = testNow, "Cloudflare"
	for i := range d.Records {
		d.Records[i].Verified = true
	}
	SetDirectBounce(d, true, "", c, testNow)
	if err := StartRotation(d, freshKey(t), testNow); err != nil {
		t.Fatal(err)
	}
	key, later := freshKey(t), testNow.Add(90*24*time.Hour)
	Rename(d, "new.example", key, c, later)
	for _, r := range d.Records {
		if r.Verified || !strings.HasSuffix(r.Host, "new.example") || !r.Since.Equal(later) {
			t.Errorf("%+v", r)
		}
	}
	if d.ID != 1 || len(d.Keys) != 0 || string(d.Key) != string(key.Sealed) || !d.DirectBounce || d.Verified(waypost.RecordReturnPath) || d.DNSProvider != "" {
		t.Errorf("%+v", d)
	}
	d.CheckedAt = later
	if got := NextCheck(d, later); !got.Equal(later.Add(5 * time.Minute)) {
		t.Errorf("a renamed domain is young again: %v", got)
	}
}

// TestCheckAndSaveMeetsAChange changes a domain while its records are looked
// up: neither the change nor the findings are lost.
func TestCheckAndSaveMeetsAChange(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	d := testDomain(t, c)
	s := newShelf(d)
	r, err := NewResolver(c)
	if err != nil {
		t.Fatal(err)
	}
	checker := NewChecker(s, r, c, slog.New(slog.DiscardHandler))
	z.set(t, right(d)...)
	read := *d
	if _, err := s.ChangeDomain(t.Context(), d.SubAccount, d.ID, func(d *waypost.SenderDomain) error { return StartRotation(d, freshKey(t), testNow) }); err != nil {
		t.Fatal(err)
	}
	got, err := checker.CheckAndSave(t.Context(), &read, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Verified(waypost.RecordDKIM) || got.KeyOf(waypost.DKIMNext) == nil || got.Record(waypost.RecordDKIMNext) == nil {
		t.Errorf("%+v", got)
	}
	if !got.NextCheck.Equal(testNow) || !got.CheckedAt.IsZero() {
		t.Errorf("the new record was not looked at, but the domain counts as checked: %v, next %v", got.CheckedAt, got.NextCheck)
	}
	read = got
	if got, err = checker.CheckAndSave(t.Context(), &read, testNow.Add(time.Minute)); err != nil || got.Record(waypost.RecordDKIMNext).Failures != 1 {
		t.Errorf("%v, %+v", err, got)
	}
	// One that began as early and ends later counts no failure a second time.
	if got, err = checker.CheckAndSave(t.Context(), &read, testNow.Add(time.Minute)); err != nil || got.Record(waypost.RecordDKIMNext).Failures != 1 {
		t.Errorf("%v, %+v", err, got)
	}
	read.SubAccount++
	if _, err = checker.CheckAndSave(t.Context(), &read, testNow); err == nil {
		t.Error("another sub-account's domain was saved")
	}
}

func TestDNSProvider(t *testing.T) {
	z := startZone(t,
		"shop.example. 60 IN NS ada.ns.cloudflare.com.", "deep.news.shop.example. 60 IN A 192.0.2.1",
		"aws.example. 60 IN NS ns-1.awsdns-02.co.uk.", "own.example. 60 IN NS ns.own.example.", "fake.example. 60 IN NS notcloudflare.com.",
	)
	z.misbehave("down.example", "servfail")
	checker := newTestChecker(t, testConfig(z.addr))
	for name, want := range map[string]string{
		"shop.example": "Cloudflare", "deep.news.shop.example": "Cloudflare", "aws.example": "Amazon Route 53",
		"own.example": "", "fake.example": "", "none.example": "",
	} {
		if got, err := checker.provider(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := checker.provider(t.Context(), "down.example"); err == nil {
		t.Error("trouble is not told")
	}
}

func TestInstallation(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	for _, tc := range []struct {
		zone []string
		spf  string
		want [3]string // failures of MX, address, SPF
	}{
		{nil, "", [3]string{"has no MX record", "has no address", "DNS record not found"}},
		{[]string{"bounce.example.org. 60 IN MX 10 mail.example.org.", "mail.example.org. 60 IN AAAA 2001:db8::1", `bounce.example.org. 60 IN TXT "v=spf1 ip4:192.0.2.1 -all"`}, "ip4:192.0.2.1", [3]string{}},
		{[]string{"bounce.example.org. 60 IN MX 0 .", "bounce.example.org. 60 IN A 192.0.2.1", `bounce.example.org. 60 IN TXT "v=spf1 mx -all"`}, "ip4:192.0.2.1", [3]string{"null MX", "", "lacks ip4:192.0.2.1"}},
	} {
		z.set(t, tc.zone...)
		c.SPF = tc.spf
		checker := newTestChecker(t, c)
		got := checker.Installation(t.Context())
		if len(got) != 3 {
			t.Fatalf("%+v", got)
		}
		for i, r := range got {
			if r.Verified != (tc.want[i] == "") || !strings.Contains(r.Failure, tc.want[i]) {
				t.Errorf("%+v, want %q", r, tc.want[i])
			}
		}
		z.set(t)
		asked := z.count("udp", "bounce.example.org")
		checker.Installation(t.Context())
		if z.count("udp", "bounce.example.org") != asked {
			t.Error("asked again within a minute")
		}
	}
	c.BounceHost = ""
	if got := newTestChecker(t, c).Installation(t.Context()); got != nil {
		t.Errorf("%+v", got)
	}
}

// TestZoneFile reads the file back with a parser of others.
func TestZoneFile(t *testing.T) {
	c := testConfig("")
	key, err := dkim.GenerateRSA()
	if err != nil {
		t.Fatal(err)
	}
	d := &waypost.SenderDomain{Name: "news.shop.co.uk", Records: Records("news.shop.co.uk", "sp-dkim", key, c)}
	SetDirectBounce(d, true, `a:mta.example`, c, testNow)
	d.Records = append(d.Records, waypost.DNSRecord{Host: "shop.co.uk", Type: "TXT", Value: `quote " and \ back`}, waypost.DNSRecord{Host: "x.shop.co.uk", Type: "CNAME"})
	text := ZoneFile(Zone(d.Name), d.Records)
	found := map[string]string{}
	for p := dns.NewZoneParser(strings.NewReader(text), "", ""); ; {
		rr, ok := p.Next()
		if !ok {
			if p.Err() != nil {
				t.Fatalf("%v\n%s", p.Err(), text)
			}
			break
		}
		value := ""
		switch rr := rr.(type) {
		case *dns.TXT:
			for _, s := range rr.Txt {
				if len(s) > 255 {
					t.Errorf("a string of %d bytes", len(s))
				}
			}
			value = unescape(strings.Join(rr.Txt, ""))
		case *dns.CNAME:
			value = hostName(rr.Target)
		case *dns.MX:
			value = hostName(rr.Mx)
		}
		found[hostName(rr.Header().Name)+" "+dns.TypeToString[rr.Header().Rrtype]] = value
	}
	for _, r := range d.Records {
		if got := found[r.Host+" "+r.Type]; got != r.Value {
			t.Errorf("%s %s: %q, want %q", r.Host, r.Type, got, r.Value)
		}
	}
	if len(found) != len(d.Records)-1 || !strings.HasPrefix(text, "$ORIGIN shop.co.uk.\n") || !strings.Contains(text, "\nsp-bounce.news IN MX 10 bounce.example.org.\n") {
		t.Errorf("%s", text)
	}
}

func TestCheckSPF(t *testing.T) {
	for mechanisms, good := range map[string]bool{
		"": true, "ip4:192.0.2.1 ip6:2001:db8::/32 include:_spf.example.com": true, "a mx a:mail.example.com mx/24": true,
		"all": false, "+all": false, "ip4:": false, "192.0.2.1": false, "v=spf1": false, "ip4:1\"x": false, "ptr": false, "redirect=x": false,
		strings.Repeat("ip4:192.0.2.1 ", 50): false,
	} {
		if err := CheckSPF(mechanisms); (err == nil) != good {
			t.Errorf("%q: %v", mechanisms, err)
		}
	}
}

func FuzzJudgeSPF(f *testing.F) {
	f.Add("v=spf1 ip4:192.0.2.1 -all", "ip4:192.0.2.1")
	f.Add("v=spf1 +all", "")
	f.Fuzz(func(t *testing.T, found, required string) {
		if judgeSPF([]string{found}, required) != "" {
			return
		}
		terms := strings.Fields(strings.ToLower(found))
		if slices.Contains(terms, "+all") || slices.Contains(terms, "all") {
			t.Errorf("%q passed", found)
		}
		for m := range strings.FieldsSeq(strings.ToLower(required)) {
			if !slices.Contains(terms, m) && !slices.Contains(terms, "+"+m) {
				t.Errorf("%q passed without %q", found, m)
			}
		}
	})
}
