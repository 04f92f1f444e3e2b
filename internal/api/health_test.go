package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// healthOf gives the checks as lines "name status subject: message", and the
// whole status.
func (w *world) healthOf() (status string, lines []string) {
	w.Helper()
	h := w.want(200, "GET", "/api/v1/account/health", waypost.KeyAccount, nil)
	for _, c := range h["checks"].([]any) {
		c := c.(map[string]any)
		if remedy := c["remedy"].(string); (remedy == "") != (c["status"] == "ok" || c["status"] == "skip") {
			w.Errorf("remedy %q of %v", remedy, c)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", c["name"], c["status"], c["subject"], c["message"]))
	}
	return h["status"].(string), lines
}

// says looks for a line with all of the words.
func says(lines []string, words ...string) bool {
	for _, line := range lines {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			return true
		}
	}
	return false
}

func TestHealth(t *testing.T) {
	n := startNames(t)
	w := newWorldWith(t, senderdomain.Config{BounceHost: "bounce.example", TrackHost: "track.example", Resolver: n.addr, SPF: "ip4:192.0.2.1"})
	status, lines := w.healthOf()
	for _, want := range [][]string{
		{"storage ok"},
		{"provider warn", "no provider"},
		{"senderDomain warn", "no sender domain"},
		{"queue ok"},
		{"bounceHostMX fail", "no MX record"},
		{"bounceHostAddress fail"},
		{"bounceHostSPF warn"},
	} {
		if !says(lines, want...) {
			t.Errorf("no line with %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if status != "fail" {
		t.Error(status)
	}
	w.want(401, "GET", "/api/v1/account/health", waypost.KeySubAccount, nil)
}

func TestHealthGood(t *testing.T) {
	n := startNames(t)
	n.publish("bounce.example. IN MX 10 bounce.example.\nbounce.example. IN A 192.0.2.1\nbounce.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n")
	w := newWorldWith(t, senderdomain.Config{BounceHost: "bounce.example", TrackHost: "track.example", Resolver: n.addr, SPF: "ip4:192.0.2.1"})
	p := w.provider("mta1", smtptest.Script{})
	if err := w.store.AgentSeen(t.Context(), waypost.Agent{Provider: int64(p["id"].(float64)), Version: "1", Hostname: "h", LastSeen: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.verified("good.example")
	d, err := w.store.DomainByName(t.Context(), w.sub.ID, "good.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.ChangeDomain(t.Context(), w.sub.ID, d.ID, func(d *waypost.SenderDomain) error {
		d.CheckedAt = time.Now()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	status, lines := w.healthOf()
	if status != "ok" || !says(lines, "provider ok mta1", "scripted ESMTP") || !says(lines, "agent ok mta1") || !says(lines, "senderDomain ok", "1 sender domains") {
		t.Errorf("%s:\n%s", status, strings.Join(lines, "\n"))
	}
	for _, line := range lines {
		if strings.HasPrefix(line, "ptr ") {
			t.Errorf("a private address needs no name: %s", line)
		}
	}
}

func TestHealthTrouble(t *testing.T) {
	n := startNames(t)
	n.publish("bounce.example. IN MX 10 bounce.example.\nbounce.example. IN A 192.0.2.1\nbounce.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n" +
		"mta.example. IN A 9.9.9.9\nmta.example. IN A 8.8.4.4\n9.9.9.9.in-addr.arpa. IN PTR elsewhere.example.\n")
	w := newWorldWith(t, senderdomain.Config{BounceHost: "bounce.example", TrackHost: "track.example", Resolver: n.addr})
	now := time.Now().Truncate(time.Millisecond)
	// Stored as it is: a connection test would refuse it.
	bad := waypost.Provider{Account: w.account.ID, Name: "gone", Host: "mta.example", Port: 25, Security: "none", Auth: "none", MaxPerHour: 100, Created: now, Updated: now}
	key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: w.account.ID, Hash: [32]byte{7}, Created: now}
	if err := w.store.CreateProvider(t.Context(), &bad, &key, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.store.AgentSeen(t.Context(), waypost.Agent{Provider: bad.ID, LastSeen: now.Add(-2 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	signs, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	w.domain("keyless.example", nil)
	for i := range 60 {
		d := waypost.SenderDomain{
			Key:     senderdomain.SealKey(w.box, signs),
			Account: w.account.ID, SubAccount: w.sub.ID, Name: fmt.Sprintf("d%d.example", i), Created: now, CheckedAt: now, NextCheck: now,
			Records: []waypost.DNSRecord{{Kind: waypost.RecordDKIM, Host: "h.example", Failure: "not there"}, {Kind: waypost.RecordReturnPath, Verified: true}},
		}
		if err := w.store.CreateDomain(t.Context(), &d); err != nil {
			t.Fatal(err)
		}
	}
	status, lines := w.healthOf()
	for _, want := range [][]string{
		{"provider fail gone", `step "dns"`},
		{"agent fail gone"},
		{"ptr warn gone, 9.9.9.9", "elsewhere.example does not lead back"},
		{"ptr warn gone, 8.8.4.4", "no PTR record"},
		{"senderDomain fail d0.example (sub-account s)", "not there"},
		{"senderDomain fail keyless.example (sub-account s), selector sp-dkim", "its mail is refused"},
		{"senderDomain warn", "12 more domains"},
	} {
		if !says(lines, want...) {
			t.Errorf("no line with %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if status != "fail" {
		t.Error(status)
	}
	// A caller who goes away ends it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/account/health", nil)
	r.Header.Set(w.headers[waypost.KeyAccount], w.keys[waypost.KeyAccount])
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
}
