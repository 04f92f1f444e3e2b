package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// TestDomainLife publishes what the API asks for, as a zone file, and follows
// a domain through verification, a second key, a rotation and the change of
// its return path.
func TestDomainLife(t *testing.T) {
	n := startNames(t)
	w := newWorldWith(t, senderdomain.Config{BounceHost: "bounce.example", TrackHost: "track.example", Resolver: n.addr})
	w.provider("mta1", smtptest.Script{})
	one := w.addDomain("shop.example")
	const ns = "\nshop.example. IN NS ada.ns.cloudflare.com.\n"
	records := func() map[string]any { return w.want(200, "GET", one+"/records", waypost.KeySubAccount, nil) }
	record := func(kind string) map[string]any {
		t.Helper()
		for _, r := range records()["records"].([]any) {
			if r := r.(map[string]any); r["kind"] == kind {
				return r
			}
		}
		t.Fatalf("no record %s: %v", kind, records())
		return nil
	}
	verify := func() map[string]any { return w.want(200, "POST", one+"/verify", waypost.KeySubAccount, nil) }
	publish := func() { n.publish(records()["zoneFile"].(string) + ns) }

	if d := verify(); d["verified"] != false || !strings.HasPrefix(d["dkimFailureReason"].(string), "DNS record not found. Please add the TXT record to your DNS provider.") {
		t.Errorf("%v", d)
	}
	if r := record("dkim"); r["relativeHost"] != "sp-dkim._domainkey" || r["failuresInARow"] != 1.0 || r["required"] != true || !strings.Contains(r["todo"].(string), "Add this TXT record") {
		t.Errorf("%v", r)
	}
	publish()
	d := verify()
	for _, field := range []string{"verified", "dkimVerified", "returnPathVerified", "spfVerified", "trackVerified", "dmarcVerified"} {
		if d[field] != true {
			t.Errorf("%s: %v", field, d)
		}
	}
	if got := w.v1(200, "GET", one, waypost.KeySubAccount, ""); !strings.Contains(got, `"dnsProvider":"Cloudflare"`) {
		t.Error(got)
	}
	all := records()
	if all["canSend"] != true || all["dnsProvider"] != "Cloudflare" || all["checkedAt"] == nil || len(all["installation"].([]any)) != 3 || record("dkim")["todo"] != "" {
		t.Errorf("%v", all)
	}

	w.want(200, "POST", one+"/rotate-dkim", waypost.KeySubAccount, nil)
	if message, _ := errorOf(w.want(409, "POST", one+"/rotate-dkim", waypost.KeySubAccount, nil)); !strings.Contains(message, "under way") {
		t.Error(message)
	}
	w.want(200, "DELETE", one+"/rotate-dkim", waypost.KeySubAccount, nil)
	w.want(200, "POST", one+"/ed25519", waypost.KeySubAccount, nil)
	all = w.want(200, "POST", one+"/rotate-dkim", waypost.KeySubAccount, nil)
	if fmt.Sprint(all["signingSelectors"]) != "[sp-dkim]" {
		t.Errorf("signs before its record is found: %v", all["signingSelectors"])
	}
	next, second := record("dkimNext"), record("dkimEd25519")
	publish()
	verify()
	selector := func(r map[string]any) string { s, _, _ := strings.Cut(r["host"].(string), "."); return s }
	if got, want := fmt.Sprint(records()["signingSelectors"]), fmt.Sprintf("[%s %s]", selector(next), selector(second)); got != want {
		t.Errorf("%s sign, want %s", got, want)
	}
	if r := record("dkimRetired"); r["host"] != "sp-dkim._domainkey.shop.example" || r["keepUntil"] == nil || !strings.Contains(r["todo"].(string), "Keep this record until") {
		t.Errorf("%v", r)
	}
	w.want(200, "DELETE", one+"/ed25519", waypost.KeySubAccount, nil)

	w.want(200, "PUT", one+"/return-path", waypost.KeySubAccount, map[string]any{"direct": true})
	if r := record("bounceSPF"); r["expected"] != "" || !strings.Contains(r["todo"].(string), "cover every server") {
		t.Errorf("%v", r) // the one provider is on this machine, which tells nothing
	}
	if r := record("bounceMX"); r["type"] != "MX" || r["priority"] != 10.0 || r["expected"] != "bounce.example" {
		t.Errorf("%v", r)
	}
	if d := verify(); d["returnPathVerified"] != true { // the CNAME still stands
		t.Errorf("%v", d)
	}
	n.publish(records()["zoneFile"].(string) + "sp-bounce IN TXT \"v=spf1 ip4:192.0.2.1 ~all\"\n" + ns)
	d = verify()
	if rp := d["returnPath"].(map[string]any); d["returnPathVerified"] != true || rp["type"] != "MX" || d["spfVerified"] != true || d["spf"].(map[string]any)["type"] != "TXT" {
		t.Errorf("%v", d)
	}
	for _, r := range records()["records"].([]any) {
		if r.(map[string]any)["kind"] == "returnPath" {
			t.Error("the CNAME is still asked for")
		}
	}
	audit := fmt.Sprint(w.want(200, "GET", "/api/v1/account/audit", waypost.KeyAccount, nil))
	for _, action := range []string{"domain.create", "domain.rotate", "domain.ed25519", "domain.returnpath"} {
		if !strings.Contains(audit, action) {
			t.Errorf("no %s in the audit", action)
		}
	}
	if strings.Contains(w.log.String(), "ERROR") {
		t.Error(w.log.String())
	}
}
