package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// What the released clients declare of the objects that the example programs
// read (sendpost.md, a.3 and g). They are decoded as those clients do: ids and
// counters in 32 bits, and nothing that is not declared, which Java's refuses
// everywhere and Go's in an IP.
type (
	wireSubAccount struct {
		ID                   int32             `json:"id"`
		APIKey               string            `json:"apiKey"`
		Name                 string            `json:"name"`
		Labels               []json.RawMessage `json:"labels"`
		SMTPAuths            []json.RawMessage `json:"smtpAuths"`
		Type                 int32             `json:"type"`
		IsPlus               bool              `json:"isPlus"`
		Created              int64             `json:"created"`
		CreatedBy            *struct{}         `json:"created_by"`
		UpdatedBy            *struct{}         `json:"updated_by"`
		Blocked              bool              `json:"blocked"`
		BlockedAt            int32             `json:"blocked_at"`
		BlockReason          string            `json:"block_reason"`
		HBExempt             bool              `json:"hb_exempt"`
		GenerateWeeklyReport bool              `json:"generate_weekly_report"`
		Handlers             []string          `json:"handlers"`
	}
	wireRecord struct{ Host, Type, TextValue string }
	wireDomain struct {
		ID                      int32      `json:"id"`
		Name                    string     `json:"name"`
		DKIM                    wireRecord `json:"dkim"`
		SPF                     wireRecord `json:"spf"`
		ReturnPath              wireRecord `json:"returnPath"`
		Track                   wireRecord `json:"track"`
		DMARC                   wireRecord `json:"dmarc"`
		GPT                     wireRecord `json:"gpt"`
		DKIMConfig              string     `json:"dkimConfig"`
		DKIMVerified            bool       `json:"dkimVerified"`
		SPFVerified             bool       `json:"spfVerified"`
		MailboxVerified         bool       `json:"mailboxVerified"`
		DMARCVerified           bool       `json:"dmarcVerified"`
		ReturnPathVerified      bool       `json:"returnPathVerified"`
		TrackVerified           bool       `json:"trackVerified"`
		GPTVerified             bool       `json:"gptVerified"`
		Verified                bool       `json:"verified"`
		DomainRegisteredDate    string     `json:"domainRegisteredDate"`
		Created                 int64      `json:"created"`
		DMARCFailureReason      string     `json:"dmarcFailureReason"`
		DKIMFailureReason       string     `json:"dkimFailureReason"`
		TrackFailureReason      string     `json:"trackFailureReason"`
		ReturnPathFailureReason string     `json:"returnPathFailureReason"`
	}
	wireIP struct {
		ID                  *int32            `json:"id"`
		PublicIP            *string           `json:"publicIP"`
		Created             *int64            `json:"created"`
		SystemDomain        *wireDomain       `json:"systemDomain"`
		ReverseDNSHostname  string            `json:"reverseDNSHostname"`
		Type                int32             `json:"type"`
		InfraClassification string            `json:"infraClassification"`
		Labels              []json.RawMessage `json:"labels"`
	}
	wireTPSP struct {
		ID         int32  `json:"id"`
		Name       string `json:"name"`
		Type       int32  `json:"type"`
		Domain     string `json:"domain"`
		Endpoint   string `json:"endpoint"`
		Key        string `json:"key"`
		Secret     string `json:"secret"`
		Port       int32  `json:"port"`
		OAuthToken string `json:"oauthToken"`
		RetryTime  int32  `json:"retryTime"`
		Created    int64  `json:"created"`
	}
	wirePool struct {
		ID                         int32      `json:"id"`
		Name                       string     `json:"name"`
		Type                       int32      `json:"type"`
		Created                    int64      `json:"created"`
		IPs                        []wireIP   `json:"ips"`
		ThirdPartySendingProviders []wireTPSP `json:"thirdPartySendingProviders"`
		ToAccountIPPools           []wirePool `json:"toAccountIPPools"`
		RoutingStrategy            int32      `json:"routingStrategy"`
		RoutingMetaData            string     `json:"routingMetaData"`
		AutoWarmupEnabled          bool       `json:"autoWarmupEnabled"`
		InfraMonitor               bool       `json:"infraMonitor"`
		IPDomainWarmupStatus       *struct{}  `json:"ipDomainWarmupStatus"`
		ShouldOverflow             bool       `json:"shouldOverflow"`
		OverflowPoolName           string     `json:"overflowPoolName"`
		WarmupInterval             int32      `json:"warmupInterval"`
	}
	wireWebhook struct {
		ID           int32     `json:"id"`
		Enabled      bool      `json:"enabled"`
		URL          string    `json:"url"`
		Processed    bool      `json:"processed"`
		Delivered    bool      `json:"delivered"`
		Dropped      bool      `json:"dropped"`
		SoftBounced  bool      `json:"softBounced"`
		HardBounced  bool      `json:"hardBounced"`
		Opened       bool      `json:"opened"`
		Clicked      bool      `json:"clicked"`
		Unsubscribed bool      `json:"unsubscribed"`
		Spam         bool      `json:"spam"`
		Sent         bool      `json:"sent"`
		SMTPDropped  bool      `json:"smtpDropped"`
		UniqueOpen   bool      `json:"uniqueOpen"`
		UniqueClick  bool      `json:"uniqueClick"`
		Created      int64     `json:"created"`
		CreatedBy    *struct{} `json:"created_by"`
		UpdatedBy    *struct{} `json:"updated_by"`
	}
	wireResponse struct {
		To          string `json:"to"`
		SubmittedAt int64  `json:"submittedAt"`
		MessageID   string `json:"messageId"`
		ErrorCode   int32  `json:"errorCode"`
		Message     string `json:"message"`
	}
	wireCounters struct {
		Processed    int32 `json:"processed"`
		Sent         int32 `json:"sent"`
		Delivered    int32 `json:"delivered"`
		Dropped      int32 `json:"dropped"`
		SMTPDropped  int32 `json:"smtpDropped"`
		HardBounced  int32 `json:"hardBounced"`
		SoftBounced  int32 `json:"softBounced"`
		Opened       int32 `json:"opened"`
		Clicked      int32 `json:"clicked"`
		Unsubscribed int32 `json:"unsubscribed"`
		Spam         int32 `json:"spam"`
	}
	wireStat struct {
		Date string       `json:"date"`
		Stat wireCounters `json:"stat"`
	}
	wireAddress struct{ Name, Email string }
	wireTo      struct {
		Name         string            `json:"name"`
		Email        string            `json:"email"`
		Cc           []string          `json:"cc"`
		Bcc          []string          `json:"bcc"`
		CustomFields map[string]string `json:"customFields"`
	}
	wireMessage struct {
		MessageID       string            `json:"messageID"`
		AccountID       int32             `json:"accountID"`
		SubAccountID    int32             `json:"subAccountID"`
		IPID            int32             `json:"ipID"`
		AccountIPPoolID int32             `json:"accountIPPoolID"`
		PublicIP        string            `json:"publicIP"`
		LocalIP         string            `json:"localIP"`
		EmailType       string            `json:"emailType"`
		SubmittedAt     int64             `json:"submittedAt"`
		From            wireAddress       `json:"from"`
		ReplyTo         wireAddress       `json:"replyTo"`
		To              wireTo            `json:"to"`
		HeaderTo        wireTo            `json:"headerTo"`
		HeaderCc        []string          `json:"headerCc"`
		HeaderBcc       []string          `json:"headerBcc"`
		Attachments     []string          `json:"attachments"`
		Groups          []string          `json:"groups"`
		IPPool          string            `json:"ipPool"`
		Headers         map[string]string `json:"headers"`
		CustomFields    map[string]string `json:"customFields"`
		Subject         string            `json:"subject"`
		PreText         string            `json:"preText"`
		HTMLBody        string            `json:"htmlBody"`
		TextBody        string            `json:"textBody"`
		AMPBody         string            `json:"ampBody"`
		TrackOpens      bool              `json:"trackOpens"`
		TrackClicks     bool              `json:"trackClicks"`
		Attempt         int32             `json:"attempt"`
		WebhookEndpoint string            `json:"webhookEndpoint"`
		MXRecords       []string          `json:"mxRecords"`
	}
)

// strictClient calls over HTTP as the released clients do: the paths with the
// slashes that they use, no contract header, any status below 300 a success,
// JSON only.
type strictClient struct {
	t          *testing.T
	base       string
	headerName string
	key        string
}

func call[T any](c strictClient, method, path string, body any) T {
	c.t.Helper()
	var out T
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, sent)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set(c.headerName, c.key)
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	never := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect") }}
	res, err := never.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 || res.Header.Get("Content-Type") != "application/json" {
		c.t.Fatalf("%s %s: %d %s %v %s", method, path, res.StatusCode, res.Header.Get("Content-Type"), err, text)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		c.t.Fatalf("%s %s: a strict client cannot read the answer: %v: %s", method, path, err, text)
	}
	return out
}

// verify marks a domain's return path as found, as if its records were there.
func (w *world) verify(id int32) {
	w.Helper()
	_, err := w.store.ChangeDomain(w.Context(), w.sub.ID, int64(id), func(d *waypost.SenderDomain) error {
		for i := range d.Records {
			d.Records[i].Verified = true
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// relayed runs the queue until a mail server has so many messages.
func (w *world) relayed(server *smtptest.Server, n int) []smtptest.Message {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- w.queue.Run(ctx) }()
	for end := time.Now().Add(2 * time.Minute); len(server.Messages()) < n && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		w.Fatal(err)
	}
	return server.Messages()
}

// TestExamplePrograms makes the calls of the official example programs, in
// their order. Both mails reach the account's one mail server: the pool that
// the programs make of the first IP stands for it (D-8).
func TestExamplePrograms(t *testing.T) {
	w := newWorld(t)
	relay := smtptest.New(t, smtptest.Script{})
	w.want(200, "POST", "/api/v1/account/tpsp/", waypost.KeyAccount, map[string]any{
		"name": "mta1", "type": 3, "smtpHost": relay.Host(), "smtpPort": relay.Port(), "smtpSecurity": "none", "smtpAuth": "none", "burst": true,
	})
	probes := len(relay.Messages())
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	account := strictClient{t, server.URL + "/api/v1", "X-Account-ApiKey", w.keys[waypost.KeyAccount]}
	sub := strictClient{t, server.URL + "/api/v1", "X-SubAccount-ApiKey", w.keys[waypost.KeySubAccount]}

	subAccounts := call[[]wireSubAccount](account, "GET", "/account/subaccount/", nil)
	if len(subAccounts) != 1 || subAccounts[0].Type != 0 {
		t.Fatalf("sub-accounts %+v", subAccounts)
	}
	w.exampleWebhooks(account)

	domain := call[wireDomain](sub, "POST", "/subaccount/domain", map[string]any{"name": "example.com"})
	if all := call[[]wireDomain](sub, "GET", "/subaccount/domain", nil); len(all) != 1 || all[0].ID != domain.ID || all[0].DKIM.Type != "TXT" {
		t.Errorf("domains %+v", all)
	}

	w.verify(domain.ID)

	ips := call[[]wireIP](account, "GET", "/account/ip/", nil)
	if len(ips) == 0 || ips[0].ID == nil || ips[0].PublicIP == nil || ips[0].Created == nil {
		t.Fatalf("IPs %+v", ips)
	}
	pool := call[wirePool](account, "POST", "/account/ippool", map[string]any{
		"name": "Marketing Pool", "routingStrategy": 0, "ips": []any{map[string]any{"publicIP": *ips[0].PublicIP}},
		"warmupInterval": 24, "overflowStrategy": 0,
	})
	if len(pool.IPs) != 1 || pool.IPs[0].ID == nil || *pool.IPs[0].PublicIP != *ips[0].PublicIP {
		t.Errorf("the pool's IPs %+v", pool.IPs)
	}
	if pool.WarmupInterval != 24 {
		t.Errorf("the pool's warm-up interval is %d, was given as 24", pool.WarmupInterval)
	}
	if all := call[[]wirePool](account, "GET", "/account/ippool", nil); len(all) != 2 {
		t.Errorf("pools %+v", all)
	}

	var sent []wireResponse
	for _, m := range []map[string]any{
		{
			"subject": "Order", "htmlBody": "<h1>Order</h1>", "textBody": "Order", "ippool": "mta1", "trackOpens": true, "trackClicks": true,
			"headers": map[string]string{"X-Order-ID": "12345"}, "groups": []string{"transactional"},
			"to": []any{map[string]any{"email": "a@example.org", "name": "A", "customFields": map[string]any{"order_id": "12345", "total": 99.5}}},
		},
		{
			"subject": "Offer", "htmlBody": "<p>Hi {{first_name}}</p>", "textBody": "Hi {{first_name}}", "ippool": pool.Name,
			"groups": []string{"marketing", "summer"},
			"to": []any{
				map[string]any{"email": "b@example.org", "customFields": map[string]any{"first_name": "B"}},
				map[string]any{"email": "c@example.org", "customFields": map[string]any{"first_name": "C"}},
			},
		},
	} {
		m["from"] = map[string]any{"email": "hello@example.com", "name": "Example"}
		got := call[[]wireResponse](sub, "POST", "/subaccount/email/", m)
		if len(got) != len(m["to"].([]any)) {
			t.Errorf("%d answers: %+v", len(got), got)
		}
		sent = append(sent, got...)
	}
	for _, r := range sent {
		if r.ErrorCode != 0 || r.MessageID == "" {
			t.Errorf("answer %+v", r)
		}
	}

	recipients := map[string]bool{}
	for _, m := range w.relayed(relay, probes+3)[probes:] {
		recipients[strings.Join(m.To, ",")] = true
	}
	for _, want := range []string{"a@example.org", "b@example.org", "c@example.org"} {
		if !recipients[want] {
			t.Errorf("the mail server did not get the mail to %s, but %v", want, recipients)
		}
	}

	to := time.Now().UTC()
	days := fmt.Sprintf("?from=%s&to=%s", to.AddDate(0, 0, -6).Format(time.DateOnly), to.Format(time.DateOnly))
	stats := fmt.Sprintf("/account/subaccount/stat/%d", subAccounts[0].ID)
	if daily := call[[]wireStat](account, "GET", stats+days, nil); len(daily) != 7 || daily[6].Stat.Processed != 3 || daily[6].Date != to.Format(time.DateOnly) {
		t.Errorf("daily %+v", daily)
	}
	if sum := call[wireCounters](account, "GET", stats+"/aggregate"+days, nil); sum.Processed != 3 {
		t.Errorf("aggregate %+v", sum)
	}
	if daily := call[[]wireStat](account, "GET", "/account/stat"+days, nil); len(daily) != 7 || daily[6].Stat.Processed != 3 {
		t.Errorf("account %+v", daily)
	}
	m := call[wireMessage](account, "GET", "/account/message/"+sent[0].MessageID, nil)
	if m.To.Email != "a@example.org" || m.Headers["X-Order-ID"] != "12345" || m.To.CustomFields["total"] != "99.5" || m.IPPool != "mta1" {
		t.Errorf("message %+v", m)
	}
}

// exampleWebhooks creates a webhook and lists them.
func (w *world) exampleWebhooks(account strictClient) {
	w.Helper()
	hook := call[wireWebhook](account, "POST", "/account/webhook", map[string]any{
		"enabled": true, "url": "https://hooks.example.com/sendpost", "processed": true, "delivered": true, "dropped": true, "softBounced": true,
		"hardBounced": true, "opened": true, "clicked": true, "unsubscribed": true, "spam": true,
	})
	if all := call[[]wireWebhook](account, "GET", "/account/webhook", nil); len(all) != 1 || all[0].ID != hook.ID || !all[0].Opened || all[0].Sent {
		w.Errorf("webhooks %+v", all)
	}
}

// TestPoolOfTheIP: a pool of the pseudo IP alone stands for every provider of
// the account, and the explainer says so; a provider in the pool ends that.
func TestPoolOfTheIP(t *testing.T) {
	w := newWorld(t)
	w.verified("example.com")
	for _, name := range []string{"mta1", "mta2"} {
		w.provider(name, smtptest.Script{})
	}
	ip := []any{map[string]any{"publicIP": "192.0.2.1"}}
	pool := w.want(200, "POST", "/api/v1/account/ippool", waypost.KeyAccount, map[string]any{"name": "hosted", "ips": ip, "routingStrategy": 0, "warmupInterval": 48})
	w.want(200, "POST", "/api/v1/account/ippool", waypost.KeyAccount, map[string]any{"name": "by volume", "ips": ip, "routingStrategy": 2, "routingMetaData": `{"IP_1":"100"}`})
	for _, name := range []string{"hosted", "by volume"} {
		got := w.want(200, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "a@example.org", "ippool": name, "from": "x@example.com"})
		if candidates, _ := got["candidates"].([]any); len(candidates) != 2 || !strings.Contains(fmt.Sprint(got["why"]), "all providers of the account") {
			t.Errorf("pool %s: %v", name, got)
		}
	}
	path := fmt.Sprintf("/api/v1/account/ippool/%v", pool["id"])
	renamed := w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{"name": "hosted before"})
	if ips, _ := renamed["ips"].([]any); len(ips) != 1 || renamed["warmupInterval"] != 48.0 {
		t.Errorf("renamed: %v", renamed)
	}
	w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{"tpsps": []int{1}})
	got := w.want(200, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "a@example.org", "ippool": "hosted before", "from": "x@example.com"})
	if candidates, _ := got["candidates"].([]any); len(candidates) != 1 || strings.Contains(fmt.Sprint(got["why"]), "all providers of the account") {
		t.Errorf("with a provider of its own: %v", got)
	}
	if message, param := errorOf(w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"tpsps": []int{}, "ips": []any{}})); param != "tpsps" {
		t.Errorf("neither IP nor provider: %s %s", message, param)
	}
}
