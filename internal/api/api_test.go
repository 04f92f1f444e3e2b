package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// world is an API over a real store; nothing relays.
type world struct {
	*testing.T
	store   store.Store
	handler http.Handler
	queue   *queue.Queue
	box     *secret.Box
	log     *bytes.Buffer
	account waypost.Account
	sub     waypost.SubAccount
	keys    map[waypost.KeyKind]string
	headers map[waypost.KeyKind]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, testDomains)
}

// testDomains ask a DNS server that is not there.
var testDomains = senderdomain.Config{BounceHost: "bounce.example", TrackHost: "track.example", Resolver: "127.0.0.1:1"}

// newWorldWith asks DNS as domains says.
func newWorldWith(t *testing.T, domains senderdomain.Config) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return newWorldOn(t, domains, s)
}

// newWorldOn makes the world over an empty store.
func newWorldOn(t *testing.T, domains senderdomain.Config, s store.Store) *world {
	t.Helper()
	box, err := secret.OpenOrCreate(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, store: s, box: box, log: &bytes.Buffer{}, keys: map[waypost.KeyKind]string{}, headers: map[waypost.KeyKind]string{
		waypost.KeyAccount: "X-Account-ApiKey", waypost.KeySubAccount: "X-SubAccount-ApiKey", waypost.KeyIngestion: "X-SP-Event-ApiKey",
	}}
	log := w.logger()
	in := store.Installation{Account: waypost.Account{Name: "a", Created: time.Now()}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: time.Now()}}
	for _, kind := range []waypost.KeyKind{waypost.KeyAccount, waypost.KeySubAccount} {
		plain := secret.NewKey("wpt")
		w.keys[kind] = plain
		in.Keys = append(in.Keys, &waypost.APIKey{Kind: kind, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: time.Now()})
	}
	if err := s.Install(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	w.account, w.sub = in.Account, in.SubAccount
	door := ingest.New(s, judge)
	resolver, err := senderdomain.NewResolver(domains)
	if err != nil {
		t.Fatal(err)
	}
	w.queue = queue.New(queue.Config{Store: s, Door: door, Box: box, Log: log, AllowPrivate: true})
	w.handler = api.New(api.Config{
		Store: s, Door: door, Box: box, Log: log, Version: "test", AllowPrivate: true, PublicURL: "https://mail.example", Domains: domains,
		Queue:    w.queue,
		Checker:  senderdomain.NewChecker(s, resolver, domains, log),
		Greet:    smtp.Greet,
		Webhooks: webhook.NewSender(webhook.SenderConfig{AllowPrivate: true}),
		Probe: func(ctx context.Context, c smtp.Config, _, _ string) smtp.ProbeResult {
			return smtp.Probe(ctx, c, "test@bounce.example", "postmaster@bounce.example", []byte("Subject: test\r\n\r\ntest\r\n"))
		},
	})
	return w
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.log, nil)) }

// call sends a request with the key of a kind; body is text, or anything that
// becomes JSON.
func (w *world) call(method, path string, kind waypost.KeyKind, body any) (int, http.Header, string) {
	w.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			w.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(w.Context(), method, path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(w.headers[kind], w.keys[kind])
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Code, rec.Header(), rec.Body.String()
}

// want calls and fails unless the status is as given; it decodes the answer.
func (w *world) want(status int, method, path string, kind waypost.KeyKind, body any) map[string]any {
	w.Helper()
	got, header, text := w.call(method, path, kind, body)
	if got != status {
		w.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	if ct := header.Get("Content-Type"); ct != "application/json" {
		w.Errorf("%s %s: content type %q", method, path, ct)
	}
	if header.Get("X-SendPost-Public-Contract") != "legacy" {
		w.Errorf("%s %s: the contract is not echoed", method, path)
	}
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	if list, ok := out.([]any); ok {
		return map[string]any{"list": list}
	}
	return out.(map[string]any)
}

func (w *world) provider(name string, script smtptest.Script) map[string]any {
	w.Helper()
	server := smtptest.New(w.T, script)
	p := w.want(200, "POST", "/api/v1/account/tpsp/", waypost.KeyAccount, map[string]any{
		"name": name, "type": 3, "smtpHost": server.Host(), "smtpPort": server.Port(), "smtpSecurity": "none", "smtpAuth": "none",
	})
	w.keys[waypost.KeyIngestion] = p["eventIngestionApiKey"].(string)
	return p
}

// verified makes a sender domain whose return path was found.
// verified makes a sender domain that can send.
func (w *world) verified(name string) {
	w.Helper()
	key, err := dkim.GenerateEd25519()
	if err != nil {
		w.Fatal(err)
	}
	w.domain(name, senderdomain.SealKey(w.box, key))
}

// domain makes a sender domain whose return path is verified.
func (w *world) domain(name string, key []byte) {
	w.Helper()
	d := waypost.SenderDomain{
		Account: w.account.ID, SubAccount: w.sub.ID, Name: name, Selector: waypost.DKIMSelector, Key: key, Created: time.Now(), NextCheck: time.Now().Add(time.Hour),
		Records: []waypost.DNSRecord{{Kind: waypost.RecordReturnPath, Verified: true}},
	}
	if err := w.store.CreateDomain(w.Context(), &d); err != nil {
		w.Fatal(err)
	}
}

func errorOf(m map[string]any) (message, param string) {
	e, _ := m["error"].(map[string]any)
	message, _ = e["message"].(string)
	param, _ = e["param"].(string)
	return message, param
}

func TestProviderCreation(t *testing.T) {
	w := newWorld(t)
	p := w.provider("mta1", smtptest.Script{})
	for field, want := range map[string]any{
		"type": 3.0, "secret": "", "maxRatePerHour": 100.0, "retryPermanent": true, "ippool": "mta1", "agentStatus": "never", "smtpSecurity": "none",
	} {
		if p[field] != want {
			t.Errorf("%s is %v, want %v", field, p[field], want)
		}
	}
	again := w.want(200, "GET", fmt.Sprintf("/api/v1/account/tpsp/%v", p["id"]), waypost.KeyAccount, nil)
	if _, shown := again["eventIngestionApiKey"]; shown {
		t.Error("the ingestion key is shown twice")
	}
	message, param := errorOf(w.want(403, "POST", "/api/v1/account/tpsp", waypost.KeyAccount, map[string]any{
		"name": "mta1", "smtpHost": "127.0.0.1", "smtpPort": 1, "smtpSecurity": "none",
	}))
	if param != "name" || !strings.Contains(message, "exists already") {
		t.Errorf("%s: %s", param, message)
	}
	pools := w.want(200, "GET", "/api/v1/account/ippool", waypost.KeyAccount, nil)["list"].([]any)
	pool := pools[0].(map[string]any)
	if len(pools) != 1 || pool["routingMetaData"] != fmt.Sprintf(`{"TPSP_%v":"100"}`, p["id"]) || pool["routingStrategy"] != 2.0 {
		t.Errorf("pools %v", pools)
	}
}

func TestProviderRefusedByTheConnectionTest(t *testing.T) {
	w := newWorld(t)
	server := smtptest.New(t, smtptest.Script{Username: "u", Password: "another"})
	body := map[string]any{
		"name": "mta", "smtpHost": server.Host(), "smtpPort": fmt.Sprint(server.Port()), "smtpSecurity": "none",
		"smtpUsername": "u", "smtpPassword": "hunter2-secret", "allowPlainAuth": true,
	}
	answer := w.want(422, "POST", "/api/v1/account/tpsp/", waypost.KeyAccount, body)
	message, param := errorOf(answer)
	test := answer // the test's own object stands in the 422
	if param != "smtpPassword" || test["failedStep"] != "auth" || test["errorClass"] != "auth_rejected" || test["smtpCode"] != 535.0 || test["hint"] == "" {
		t.Errorf("%s: %s; test %v", param, message, test)
	}
	if text := fmt.Sprint(answer) + w.log.String(); strings.Contains(text, "hunter2") {
		t.Error("the password is in the answer or in the log")
	}
	if list := w.want(200, "GET", "/api/v1/account/tpsp", waypost.KeyAccount, nil)["list"].([]any); len(list) != 0 {
		t.Errorf("a refused provider was stored: %v", list)
	}
	delete(body, "name")
	if r := w.want(200, "POST", "/api/v1/tpsp/test/custom-smtp", waypost.KeyAccount, body); r["success"] != false || r["failedStep"] != "auth" {
		t.Errorf("test alone: %v", r)
	}
}

func TestProviderFieldErrors(t *testing.T) {
	w := newWorld(t)
	f := func(field string, value any) {
		t.Helper()
		body := map[string]any{"name": "n", "smtpHost": "mta.example", "smtpPort": 587, field: value}
		if message, param := errorOf(w.want(422, "POST", "/api/v1/account/tpsp", waypost.KeyAccount, body)); param != field && !strings.HasPrefix(param, field+".") {
			t.Errorf("%s = %v: %s: %s", field, value, param, message)
		}
	}
	f("name", "")
	f("name", strings.Repeat("n", 101))
	f("name", 5)
	f("type", 4)
	f("smtpHost", "")
	f("smtpHost", "smtp://mta.example")
	f("smtpHost", "mta.example\r\nRCPT TO:<x@y>")
	f("smtpPort", 0)
	f("smtpPort", 70000)
	f("smtpPort", "many")
	f("smtpSecurity", "ssl")
	f("smtpAuth", "cram")
	f("smtpUsername", []string{"u"})
	f("tlsSkipVerify", "yes")
	f("maxRatePerHour", 0)
	f("maxRatePerHour", "often")
	f("heloName", "a b")
	f("providerSettings", map[string]any{"hotmial": map[string]any{"maxSendPerHour": 5}})
	f("providerSettings", map[string]any{"gmail": map[string]any{"maxSendPerHour": 100_001}})
	f("testTo", "nobody")
}

func TestEmailErrors(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	good := func() map[string]any {
		return map[string]any{
			"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}},
			"subject": "s", "textBody": "t", "ippool": "mta1",
		}
	}
	f := func(field string, value any, param string) {
		t.Helper()
		body := good()
		body[field] = value
		if value == nil {
			delete(body, field)
		}
		if message, got := errorOf(w.want(422, "POST", "/api/v1/subaccount/email/", waypost.KeySubAccount, body)); got != param {
			t.Errorf("%s = %.60s: param %q, want %q: %s", field, fmt.Sprint(value), got, param, message)
		}
	}
	f("from", nil, "from.email")
	f("from", map[string]any{"email": "nobody"}, "from.email")
	f("from", map[string]any{"email": "x@example.com", "name": "a\r\nBcc: b@c.d"}, "from.name")
	f("from", "x@example.com", "from")
	f("to", nil, "to")
	f("to", []any{}, "to")
	f("to", []any{map[string]any{"name": "no address"}}, "to[0].email")
	f("to", []any{map[string]any{"email": 5}}, "to[0].email")
	f("to", make([]map[string]any, 1001), "to")
	f("to", []any{map[string]any{"email": "a@example.org", "customFields": []any{1}}}, "to[0].customFields")
	f("to", []any{map[string]any{"email": "a@example.org", "customFields": map[string]any{"unsubscribe": "x"}}}, "to[0].customFields.unsubscribe")
	f("ippool", "nowhere", "ippool")
	f("subject", strings.Repeat("s", 999), "subject")
	f("subject", "{{#if x}}", "subject")
	f("textBody", nil, "htmlBody")
	f("textBody", "line one\n{{/each}}", "textBody")
	f("headers", map[string]any{"X-A": "b\r\nBcc: c@d.e"}, "headers")
	f("headers", map[string]any{"Subject": "mine"}, "headers")
	f("headers", map[string]any{"X-A": 5}, "headers")
	f("attachments", []any{map[string]any{"filename": "a.txt", "content": "no base64!"}}, "attachments[0].content")
	f("attachments", []any{map[string]any{"filename": "../a", "content": ""}}, "attachments[0].filename")
	f("webhookEndpoint", "javascript:alert(1)", "webhookEndpoint")
	f("template", "welcome", "template")

	for _, text := range []string{"", "{", `{"from":`, `{"from":{}}}`, "[]", `"x"`, "\xff", `{"a":1}{"b":2}`} {
		if status, _, answer := w.call("POST", "/api/v1/subaccount/email/", waypost.KeySubAccount, text); status != 422 || !strings.Contains(answer, `"param"`) {
			t.Errorf("%q: %d %s", text, status, answer)
		}
	}
}

func TestEmailWithoutVerifiedDomain(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	list := w.want(200, "POST", "/api/v1/subaccount/email/", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "x@example.com", "name": "X"}, "unknownField": true,
		"to":      []any{map[string]any{"email": "a@example.org", "customFields": map[string]any{"n": 5}}, map[string]any{"email": "broken@"}},
		"subject": "s", "htmlBody": "<p>t</p>", "ippool": "mta1", "groups": []string{"g"}, "headers": map[string]any{"X-A": "b"},
	})["list"].([]any)
	if len(list) != 2 {
		t.Fatalf("%d answers for 2 recipients", len(list))
	}
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	if first["to"] != "a@example.org" || first["errorCode"] != 0.0 || second["errorCode"] != 1.0 {
		t.Errorf("answers %v", list)
	}
	id := first["messageId"].(string)
	m := w.want(200, "GET", "/api/v1/account/message/"+id, waypost.KeyAccount, nil)
	to, _ := m["to"].(map[string]any)
	if m["messageID"] != id || to["email"] != "a@example.org" || fmt.Sprint(to["customFields"]) != "map[n:5]" || fmt.Sprint(m["headers"]) != "map[X-A:b]" {
		t.Errorf("message %v", m)
	}
	events := w.want(200, "GET", "/api/v1/account/message/"+id+"/events", waypost.KeyAccount, nil)["list"].([]any)
	if len(events) != 2 {
		t.Fatalf("events %v", events)
	}
	dropped := events[1].(map[string]any)
	if events[0].(map[string]any)["type"] != 58.0 || dropped["type"] != 62.0 || dropped["smtpDescription"] != waypost.TextNoReturnPath {
		t.Errorf("events %v", events)
	}
	if tl := w.want(200, "GET", "/api/v1/account/message/"+id+"/timeline", waypost.KeyAccount, nil); tl["state"] != "dropped" {
		t.Errorf("timeline %v", tl)
	}
}

// TestLegacyFields holds the declared fields of the official clients: Java's
// refuses any other, so one too many breaks it.
func TestLegacyFields(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	f := func(answer map[string]any, fields string) {
		t.Helper()
		want := map[string]bool{}
		for name := range strings.FieldsSeq(fields) {
			want[name] = true
			if _, ok := answer[name]; !ok {
				t.Errorf("%s is missing", name)
			}
		}
		for name := range answer {
			if !want[name] {
				t.Errorf("%s is not a declared field", name)
			}
		}
	}
	sent := w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}}, "textBody": "t",
	})["list"].([]any)[0].(map[string]any)
	f(sent, "to submittedAt messageId errorCode message")
	f(w.want(200, "GET", "/api/v1/account/message/"+sent["messageId"].(string), waypost.KeyAccount, nil),
		`messageID accountID subAccountID ipID accountIPPoolID publicIP localIP emailType submittedAt from replyTo to headerTo
		headerCc headerBcc attachments groups ipPool headers customFields subject preText htmlBody textBody ampBody trackOpens
		trackClicks attempt webhookEndpoint mxRecords`)
	domain := w.want(200, "POST", "/api/v1/subaccount/domain", waypost.KeySubAccount, map[string]any{"name": "Example.COM"})
	f(domain, `id name dkim spf returnPath track dmarc gpt dkimConfig dkimVerified spfVerified mailboxVerified dmarcVerified
		returnPathVerified trackVerified gptVerified verified domainRegisteredDate created dmarcFailureReason dkimFailureReason
		trackFailureReason returnPathFailureReason`)
	if rp := fmt.Sprint(domain["returnPath"]); rp != "map[host:sp-bounce.example.com textValue:bounce.example type:CNAME]" {
		t.Errorf("return path %s", rp)
	}
	if key, _ := domain["dkim"].(map[string]any)["textValue"].(string); !strings.HasPrefix(key, "v=DKIM1;k=rsa;s=email;h=sha256;p=MIIB") {
		t.Errorf("DKIM record %q", key)
	}
	pool := w.want(200, "GET", "/api/v1/account/ippool/1", waypost.KeyAccount, nil)
	f(pool, `id name type created ips thirdPartySendingProviders toAccountIPPools routingStrategy routingMetaData
		autoWarmupEnabled shouldOverflow overflowPoolName warmupInterval`)
	f(pool["thirdPartySendingProviders"].([]any)[0].(map[string]any), "id name type domain endpoint key secret port oauthToken retryTime created")
	w.want(403, "POST", "/api/v1/subaccount/domain/", waypost.KeySubAccount, map[string]any{"name": "example.com"})
	w.want(406, "GET", "/api/v1/subaccount/domain/99", waypost.KeySubAccount, nil)
	w.want(406, "GET", "/api/v1/subaccount/domain/x", waypost.KeySubAccount, nil)
	deleted := w.want(200, "DELETE", "/api/v1/subaccount/domain/1", waypost.KeySubAccount, nil)
	if deleted["message"] != "Domain (example.com) has been deleted successfully" {
		t.Errorf("%v", deleted)
	}
}

func TestReports(t *testing.T) {
	w := newWorld(t)
	p := w.provider("mta1", smtptest.Script{})
	const path = "/api/v1/tpsp/custom-smtp/events"
	beat := w.want(200, "POST", path, waypost.KeyIngestion, `{"agent":{"id":"a","version":"1","hostname":"h","mta":"postfix"},"events":[]}`)
	if fmt.Sprint(beat) != "map[accepted:0 rejected:0 results:[]]" {
		t.Errorf("heartbeat: %v", beat)
	}
	if got := w.want(200, "GET", fmt.Sprintf("/api/v1/account/tpsp/%v", p["id"]), waypost.KeyAccount, nil); got["agentStatus"] != "ok" || got["agentLastSeenAt"] == nil {
		t.Errorf("agent after its heartbeat: %v", got["agentStatus"])
	}
	agent := fmt.Sprintf("/api/v1/account/tpsp/%v/agent", p["id"])
	if got := w.want(200, "GET", agent, waypost.KeyAccount, nil); got["hostname"] != "h" || got["status"] != "" || got["lastLineAt"] != nil {
		t.Errorf("the agent's state before it told one: %v", got)
	}
	w.want(200, "POST", path, waypost.KeyIngestion, `{"agent":{"id":"a","status":"degraded","reasons":["the spool is nearly full","2","3","4","5","6"],
		"log":"/var/log/mail.log","position":4711,"lagBytes":-3,"lastLineAt":"2026-03-14T09:26:53.000000Z","buffered":7,"unknownQueueIds":2,
		"unknownSample":["4bXk2L\u0000","2","3","4","5","6"]},"events":[]}`)
	got := w.want(200, "GET", agent, waypost.KeyAccount, nil)
	delete(got, "agentLastSeenAt")
	if fmt.Sprint(got) != "map[agentStatus:ok buffered:7 hostname: id:a lagBytes:0 lastLineAt:1.773480413e+18 log:/var/log/mail.log mta: position:4711 "+
		"reasons:[the spool is nearly full 2 3 4 5] status:degraded unknownQueueIds:2 unknownSample:[4bXk2L 2 3 4 5] version:]" {
		t.Errorf("the agent's state: %v", got)
	}
	r := w.want(200, "POST", path+"/", waypost.KeyIngestion, `[{"message_id":"`+waypost.NewUUID(time.Now()).String()+`","event_type":"delivered"}]`)
	if r["rejected"] != 1.0 || !strings.Contains(fmt.Sprint(r["results"]), "no message of this provider") {
		t.Errorf("%v", r)
	}
	var many []string
	for range waypost.MaxReportItems + 1 {
		many = append(many, `{"message_id":"x","event_type":"delivered"}`)
	}
	w.want(413, "POST", path, waypost.KeyIngestion, "["+strings.Join(many, ",")+"]")
	w.want(413, "POST", path, waypost.KeyIngestion, `{"events":[],"x":"`+strings.Repeat("x", waypost.MaxReportBytes)+`"}`)
	w.want(422, "POST", path, waypost.KeyIngestion, `{"events":{}}`)
	w.want(422, "POST", path, waypost.KeyIngestion, `[{"message_id":"x","message_id":"y"}]`)
	w.want(422, "POST", path, waypost.KeyIngestion, `<html>`)

	zip := func(text string) (int, string) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		r := httptest.NewRequestWithContext(t.Context(), "POST", path, &b)
		r.Header.Set("X-SP-Event-ApiKey", w.keys[waypost.KeyIngestion])
		r.Header.Set("Content-Encoding", "gzip")
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	if status, answer := zip(`{"events":[]}`); status != 200 {
		t.Errorf("gzip: %d %s", status, answer)
	}
	if status, answer := zip(`{"events":[],"x":"` + strings.Repeat("x", 50<<20) + `"}`); status != 413 {
		t.Errorf("gzip bomb: %d %.200s", status, answer)
	}
}

// TestForeignTenant makes a second account's objects by hand and asks for them
// with the first account's keys.
func TestForeignTenant(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	foreign := waypost.Provider{Account: w.account.ID + 1, Name: "theirs", Host: "h.example", Port: 25, Security: "none", Auth: "none", MaxPerHour: 1, Created: time.Now(), Updated: time.Now()}
	pool := waypost.Pool{Account: foreign.Account, Name: "theirs", Created: time.Now()}
	key := secret.NewKey("wpe")
	if err := w.store.CreateProvider(t.Context(), &foreign, &waypost.APIKey{Kind: waypost.KeyIngestion, Account: foreign.Account, Hash: secret.HashKey(key), Created: time.Now()}, &pool); err != nil {
		t.Fatal(err)
	}
	domain := waypost.SenderDomain{Account: foreign.Account, SubAccount: w.sub.ID + 1, Name: "theirs.example", Created: time.Now(), NextCheck: time.Now()}
	if err := w.store.CreateDomain(t.Context(), &domain); err != nil {
		t.Fatal(err)
	}
	w.want(404, "GET", fmt.Sprintf("/api/v1/account/tpsp/%d", foreign.ID), waypost.KeyAccount, nil)
	w.want(404, "GET", fmt.Sprintf("/api/v1/account/ippool/%d", pool.ID), waypost.KeyAccount, nil)
	for _, call := range []string{"GET ", "DELETE ", "POST /verify"} {
		method, tail, _ := strings.Cut(call, " ")
		w.want(406, method, fmt.Sprintf("/api/v1/subaccount/domain/%d%s", domain.ID, tail), waypost.KeySubAccount, nil)
	}
	sent := w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}}, "textBody": "t",
	})["list"].([]any)[0].(map[string]any)
	if _, param := errorOf(w.want(422, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}}, "textBody": "t", "ippool": "theirs",
	})); param != "ippool" {
		t.Errorf("another account's pool: %s", param)
	}
	w.keys[waypost.KeyIngestion] = key
	r := w.want(200, "POST", "/api/v1/tpsp/custom-smtp/events", waypost.KeyIngestion, fmt.Sprintf(`[{"message_id":%q,"event_type":"delivered"}]`, sent["messageId"]))
	if r["rejected"] != 1.0 {
		t.Errorf("another provider's key reported on our message: %v", r)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	w.want(404, "GET", "/api/v1/nothing", waypost.KeyAccount, nil)
	w.want(405, "PATCH", "/api/v1/account/ippool", waypost.KeyAccount, nil)
	w.want(404, "GET", "/api/v1/account/message/not-a-uuid", waypost.KeyAccount, nil)
	w.want(404, "GET", "/api/v1/account/message/"+waypost.NewUUID(time.Now()).String(), waypost.KeyAccount, nil)
	w.want(422, "GET", "/api/v1/account/ippool?limit=-1", waypost.KeyAccount, nil)
	w.want(422, "GET", "/api/v1/account/ippool?limit=x", waypost.KeyAccount, nil)
}

func TestStorageGone(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	status, _, answer := w.call("POST", "/api/v1/subaccount/email", waypost.KeySubAccount, `{"from":{"email":"a@example.com"},"to":[{"email":"b@example.org"}],"textBody":"t"}`)
	if status != 503 && status != 500 || strings.Contains(answer, "sql") {
		t.Errorf("%d %s", status, answer)
	}
}
