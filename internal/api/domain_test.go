package api_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/waypost-mail/waypost"
)

// names is a DNS server on loopback whose records a test changes.
type names struct {
	*testing.T
	addr string
	mu   sync.Mutex
	zone string
}

func startNames(t *testing.T) *names {
	t.Helper()
	packets, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{T: t, addr: packets.LocalAddr().String()}
	started, done := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(n.answer), NotifyStartedFunc: func() { close(started) }}
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := server.ShutdownContext(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	})
	return n
}

// publish replaces the zone by the file's records.
func (n *names) publish(file string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zone = file
}

func (n *names) answer(w dns.ResponseWriter, question *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(question)
	reply.Compress = true
	for p := dns.NewZoneParser(strings.NewReader(n.zone), "", ""); ; {
		rr, ok := p.Next()
		if !ok {
			break
		}
		h, q := rr.Header(), question.Question[0]
		if strings.EqualFold(h.Name, q.Name) && (h.Rrtype == q.Qtype || h.Rrtype == dns.TypeCNAME) {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	_ = w.WriteMsg(reply)
}

// v1 calls in contract v1.
func (w *world) v1(status int, method, path string, kind waypost.KeyKind, body string) string {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-SendPost-Public-Contract", "v1")
	r.Header.Set(w.headers[kind], w.keys[kind])
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code != status {
		w.Fatalf("%s %s: status %d, want %d: %s", method, path, rec.Code, status, rec.Body)
	}
	return rec.Body.String()
}

const domainPath = "/api/v1/subaccount/domain/"

func (w *world) addDomain(name string) (path string) {
	w.Helper()
	d := w.want(200, "POST", domainPath, waypost.KeySubAccount, map[string]any{"name": name})
	return fmt.Sprintf("%s%.0f", domainPath, d["id"])
}

func TestDomainCalls(t *testing.T) {
	w := newWorld(t)
	one := w.addDomain("Shop.Example.")
	d := w.want(200, "GET", one+"/", waypost.KeySubAccount, nil)
	rp, dk := d["returnPath"].(map[string]any), d["dkim"].(map[string]any)
	if d["name"] != "shop.example" || d["verified"] != false || rp["textValue"] != "bounce.example" || rp["type"] != "CNAME" ||
		dk["host"] != "sp-dkim._domainkey.shop.example" || !strings.HasPrefix(dk["textValue"].(string), "v=DKIM1;k=rsa;s=email;h=sha256;p=") {
		t.Errorf("%v", d)
	}
	if _, has := d["dnsProvider"]; has {
		t.Error("the legacy contract has no dnsProvider")
	}
	w.addDomain("second.example")
	if list := w.want(200, "GET", domainPath+"?search=SECOND&limit=5", waypost.KeySubAccount, nil)["list"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if list := w.want(200, "GET", domainPath+"?limit=1&offset=1", waypost.KeySubAccount, nil)["list"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}

	renamed := w.want(200, "PUT", one, waypost.KeySubAccount, map[string]any{"name": "New.example"})
	if renamed["id"] != d["id"] || renamed["name"] != "new.example" || renamed["dkim"].(map[string]any)["textValue"] == dk["textValue"] ||
		renamed["dkim"].(map[string]any)["host"] != "sp-dkim._domainkey.new.example" {
		t.Errorf("%v", renamed)
	}
	same := w.want(200, "PUT", one, waypost.KeySubAccount, map[string]any{"name": "NEW.example"})
	if same["dkim"].(map[string]any)["textValue"] != renamed["dkim"].(map[string]any)["textValue"] {
		t.Error("the same name makes a new key")
	}
	gone := w.want(200, "DELETE", one, waypost.KeySubAccount, nil)
	if gone["message"] != "Domain (new.example) has been deleted successfully" {
		t.Errorf("%v", gone)
	}
	w.want(406, "GET", one, waypost.KeySubAccount, nil)
}

func TestDomainContractV1(t *testing.T) {
	w := newWorld(t)
	made := w.v1(201, "POST", domainPath, waypost.KeySubAccount, `{"name":"shop.example"}`)
	list := w.v1(200, "GET", domainPath, waypost.KeySubAccount, "")
	for _, text := range []string{made, list} {
		for field, want := range map[string]bool{
			"id": true, "name": true, "dkim": true, "returnPath": true, "track": true, "dmarc": true, "dkimVerified": true, "verified": true,
			"dnsProvider": true, "created": true, "dkimFailureReason": true, "spf": false, "gpt": false, "dkimConfig": false, "mailboxVerified": false,
		} {
			if strings.Contains(text, `"`+field+`":`) != want {
				t.Errorf("field %s in contract v1: %s", field, text)
			}
		}
	}
}

func TestDomainWrongUses(t *testing.T) {
	w := newWorld(t)
	one := w.addDomain("shop.example")
	w.addDomain("taken.example")
	for _, tc := range []struct {
		status       int
		method, path string
		body         any
		param, says  string
	}{
		{422, "POST", domainPath, map[string]any{"name": "https://shop.example"}, "name", "URL"},
		{422, "POST", domainPath, map[string]any{"name": ""}, "name", "empty"},
		{422, "POST", domainPath, map[string]any{"name": "a\r\nb.example"}, "name", "characters"},
		{422, "POST", domainPath, map[string]any{"name": 7}, "name", "a string"},
		{422, "POST", domainPath, map[string]any{"name": strings.Repeat("a.", 5000) + "example"}, "name", "longer"},
		{422, "POST", domainPath, "", "body", "body is required"},
		{422, "POST", domainPath, "{", "body", "ends"},
		{403, "POST", domainPath, map[string]any{"name": "TAKEN.example"}, "name", "exists already"},
		{403, "PUT", one, map[string]any{"name": "taken.example"}, "name", "exists already"},
		{422, "PUT", one, map[string]any{"name": "192.0.2.1"}, "name", "IP address"},
		{422, "PUT", one, "[]", "body", "an object"},
		{406, "PUT", domainPath + "999", map[string]any{"name": "x.example"}, "", "no domain 999"},
		{406, "GET", domainPath + "999", nil, "", "no domain 999"},
		{406, "DELETE", domainPath + "999", nil, "", "no domain 999"},
		{406, "POST", domainPath + "999/verify", nil, "", "no domain 999"},
		{406, "GET", domainPath + "999/records", nil, "", "no domain 999"},
		{406, "POST", domainPath + "999/rotate-dkim", nil, "", "no domain 999"},
		{406, "DELETE", domainPath + "999/ed25519", nil, "", "no domain 999"},
		{406, "PUT", domainPath + "999/return-path", map[string]any{"direct": true}, "", "no domain 999"},
		{406, "GET", domainPath + "abc", nil, "id", ""},
		{406, "GET", domainPath + "-1", nil, "id", ""},
		{406, "DELETE", domainPath + "99999999999999999999999", nil, "id", ""},
		{422, "GET", domainPath + "?limit=0", nil, "limit", ""},
		{422, "PUT", one + "/return-path", map[string]any{}, "direct", "missing"},
		{422, "PUT", one + "/return-path", map[string]any{"direct": "yes"}, "direct", "true or false"},
		{409, "DELETE", one + "/rotate-dkim", nil, "", "no DKIM rotation"},
		{409, "DELETE", one + "/ed25519", nil, "", "no Ed25519 key"},
	} {
		message, param := errorOf(w.want(tc.status, tc.method, tc.path, waypost.KeySubAccount, tc.body))
		if param != tc.param || !strings.Contains(message, tc.says) || strings.Contains(message, "\r") {
			t.Errorf("%s %s %v: %q: %s", tc.method, tc.path, tc.body, param, message)
		}
	}
	for _, path := range []string{"", "/records", "/verify", "/rotate-dkim", "/ed25519", "/return-path"} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			r := httptest.NewRequestWithContext(t.Context(), method, one+path, strings.NewReader(`{"name":"a.example","direct":true}`))
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code != http.StatusUnauthorized && rec.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s without a key: %d", method, path, rec.Code)
			}
		}
	}
}

// TestDomainOfAnother: a domain of another sub-account is as unknown as one
// that is not there, to every operation.
func TestDomainOfAnother(t *testing.T) {
	w := newWorld(t)
	other := waypost.SenderDomain{Account: w.account.ID, SubAccount: w.sub.ID + 1, Name: "other.example", Selector: "s", Created: time.Now(), NextCheck: time.Now().Add(time.Hour)}
	if err := w.store.CreateDomain(t.Context(), &other); err != nil {
		t.Fatal(err)
	}
	one := fmt.Sprintf("%s%d", domainPath, other.ID)
	for _, call := range []string{"GET ", "DELETE ", "PUT ", "POST /verify", "GET /records", "POST /rotate-dkim", "DELETE /rotate-dkim", "POST /ed25519", "DELETE /ed25519", "PUT /return-path"} {
		method, path, _ := strings.Cut(call, " ")
		w.want(406, method, one+path, waypost.KeySubAccount, map[string]any{"name": "mine.example", "direct": true})
	}
	if d, err := w.store.AnyDomain(t.Context(), other.ID); err != nil || d.Name != "other.example" || len(d.Keys) != 0 {
		t.Errorf("%v %+v", err, d)
	}
}
