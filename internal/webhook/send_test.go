package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/track"
	"github.com/waypost-mail/waypost/internal/webhook"
)

type received struct {
	path   string
	header http.Header
	body   []byte
}

// keep is a handler that keeps requests by webhook-id.
func keep(into *sync.Map) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		into.Store(r.Header.Get("webhook-id"), received{r.URL.Path, r.Header, body})
	}
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func hexMAC(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func subject() webhook.Subject {
	id, _ := waypost.ParseUUID("0195912e-8f4a-7cc0-9d3f-5f2d1a6b7c8d")
	at := time.Date(2026, 3, 14, 9, 26, 53, 589e6, time.UTC)
	return webhook.Subject{
		Event: waypost.Event{
			ID: 904_625_697, Type: waypost.CSClick, Account: 1, SubAccount: 2, Provider: 3, Message: id, Recipient: "ann@example.org",
			At: at.Add(time.Minute), Source: waypost.SourceTrack,
			Visit: &waypost.Visit{
				URL: "https://example.com/?a=b&c=d", IP: "192.0.2.7", First: true,
				UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
			},
		},
		Message: waypost.Message{
			ID: id, Account: 1, SubAccount: 2, Recipient: "ann@example.org", To: waypost.Address{Name: "Ann", Email: "ann@example.org"},
			Provider: 3, Bcc: []waypost.Address{{Name: "Di", Email: "di@example.org"}},
			Cc: []waypost.Address{{Email: "bob@example.org"}}, Variables: []byte(`{"first":"Ann","n":5}`), Domain: 4, Pool: 5, SubmittedAt: at,
		},
		Content: waypost.Content{
			From: waypost.Address{Name: "Shop", Email: "news@example.com"}, ReplyTo: waypost.Address{Email: "help@example.com"}, Subject: "Hello {{first}} from {{shop}}",
			Variables: map[string]any{"shop": "us", "first": "you"},
			Groups:    []string{"welcome"}, Headers: []waypost.Header{{Name: "X-Order", Value: "17"}}, TrackOpens: true, Pool: "mine",
		},
		Place: &track.Place{CityID: 2643743, Continent: "EU", Country: "GB", Postal: "EC2V", TimeZone: "Europe/London"},
	}
}

var update = flag.Bool("update", false, "write the golden files")

// TestPayload holds the payloads of both contracts against golden files.
func TestPayload(t *testing.T) {
	for name, flags := range map[string]waypost.WebhookFlags{
		"legacy": 0, "v1": waypost.PayloadV1, "legacy-native": waypost.NativeTypes, "v1-native": waypost.PayloadV1 | waypost.NativeTypes,
	} {
		s := subject()
		got, err := webhook.Payload(&s, flags)
		if err != nil {
			t.Fatal(err)
		}
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, got, "", "  "); err != nil {
			t.Fatal(err)
		}
		pretty.WriteByte('\n')
		file := "testdata/payload-" + name + ".json"
		if *update {
			if err := os.WriteFile(file, pretty.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pretty.Bytes(), want) {
			t.Errorf("%s is\n%s\nwant\n%s", file, pretty.Bytes(), want)
		}
	}
}

// TestLegacyFields holds the names of the legacy payload against the list in
// the documents; every number of the event must fit into 32 bits.
func TestLegacyFields(t *testing.T) {
	s := subject()
	body, err := webhook.Payload(&s, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Event        map[string]any
		EmailMessage map[string]any
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	fields(t, "event", got.Event, `eventID groups ipID ipPoolID domainID tpspId messageType messageSubject accountID subAccountID messageID
		type from fromName to toName submittedAt smtpCode smtpDescription eventMetadata`)
	fields(t, "emailMessage", got.EmailMessage, `messageID accountID subAccountID ipID publicIP localIP emailType submittedAt from replyTo to
		groups ipPool headers customFields trackOpens trackClicks webhookEndpoint`)
	for name, v := range got.Event {
		if n, ok := v.(float64); ok && n >= 1<<31 {
			t.Errorf("event.%s = %.0f does not fit into 32 bits", name, n)
		}
	}
	if n := got.EmailMessage["submittedAt"].(float64); n >= 1<<31 {
		t.Errorf("emailMessage.submittedAt = %.0f does not fit into 32 bits", n)
	}
}

func fields(t *testing.T, what string, got map[string]any, want string) {
	t.Helper()
	names := strings.Fields(want)
	for _, n := range names {
		if _, ok := got[n]; !ok {
			t.Errorf("%s has no %s", what, n)
		}
	}
	if len(got) != len(names) {
		t.Errorf("%s has %d fields, want %d: %v", what, len(got), len(names), got)
	}
}

// TestPrunedMessage writes an event whose message is past its retention.
func TestPrunedMessage(t *testing.T) {
	s := webhook.Subject{Event: subject().Event}
	for _, flags := range []waypost.WebhookFlags{0, waypost.PayloadV1} {
		body, err := webhook.Payload(&s, flags)
		if err != nil || !bytes.Contains(body, []byte("0195912e-8f4a-7cc0-9d3f-5f2d1a6b7c8d")) || bytes.Contains(body, []byte("-62135596800")) {
			t.Errorf("%d: %v: %s", flags, err, body)
		}
	}
}

// TestSignatures checks both kinds of signature as receivers do: the hex one
// with crypto/hmac, the standard one with the library of Standard Webhooks.
func TestSignatures(t *testing.T) {
	var got sync.Map
	server := receiver(t, keep(&got))
	sender := webhook.NewSender(webhook.SenderConfig{AllowPrivate: true, Version: "test"})
	defer sender.Close()
	hook := waypost.NewUUID(time.Now())
	now := time.Now()
	accountKey := "an account key as it is"
	for i, secrets := range []webhook.Secrets{
		{Current: webhook.NewSecret()},
		{Current: strings.ReplaceAll(accountKey, " ", "_")},
		{Current: webhook.NewSecret(), Previous: ownKey, Until: now.Add(time.Hour)},
		{Current: webhook.NewSecret(), Previous: ownKey, Until: now.Add(-time.Hour)},
	} {
		s := subject()
		s.Event.ID += int64(i)
		a := sender.Send(t.Context(), &webhook.Target{URL: server.URL + "/in", Hook: hook, Secrets: secrets}, &s, 3, now)
		if !a.OK() || a.Status != 200 {
			t.Fatalf("the answer is %+v", a)
		}
		v, _ := got.Load("evt_" + itoa(s.Event.ID))
		r := v.(received)
		for name, want := range map[string]string{
			"X-SendPost-Signature": hexMAC(secrets.Current, r.body), "X-SendPost-Signature-Alg": "hmac-sha256",
			"X-SendPost-Webhook-Id": hook.String(), "X-SendPost-Webhook-Attempt": "3", "Content-Type": "application/json",
		} {
			if r.header.Get(name) != want {
				t.Errorf("%s: %q, want %q", name, r.header.Get(name), want)
			}
		}
		verify(t, secrets.Current, r, true)
		if secrets.Previous != "" {
			verify(t, secrets.Previous, r, now.Before(secrets.Until))
		}
		r.body = append(r.body, ' ')
		verify(t, secrets.Current, r, false)
	}
}

func itoa(n int64) string { b, _ := json.Marshal(n); return string(b) }

func verify(t *testing.T, key string, r received, want bool) {
	t.Helper()
	check, err := standardwebhooks.NewWebhook(key)
	if !strings.HasPrefix(key, "whsec_") {
		check, err = standardwebhooks.NewWebhookRaw([]byte(key))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := check.Verify(r.body, r.header); (err == nil) != want {
		t.Errorf("the standard signature verifies: %v, want %t", err, want)
	}
}

// TestSecret seals and checks secrets; none of them prints.
func TestSecret(t *testing.T) {
	h := newHouse(t, nil)
	s := webhook.Secrets{Current: webhook.NewSecret()}
	first := s.Current
	s.Change("another-secret-of-mine", time.Now())
	sealed, err := webhook.Seal(h.box, s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("another")) {
		t.Error("the secret is not sealed")
	}
	back, err := webhook.Open(h.box, sealed)
	if err != nil || back.Current != s.Current || back.Previous != first || !back.Until.Equal(s.Until) {
		t.Errorf("read back %q %q, %v", back.Current, back.Previous, err)
	}
	if text := strings.Join([]string{back.String(), back.GoString()}, ""); strings.Contains(text, "another") {
		t.Error("a secret prints")
	}
	for text, ok := range map[string]bool{
		webhook.NewSecret(): true, "0123456789abcdef": true, "whsec_?????????????": false, "short": false,
		strings.Repeat("a", 201): false, "a b c d e f g h i": false, "a\r\nb: 0123456789": false,
	} {
		if err := webhook.CheckSecret(text); (err == nil) != ok {
			t.Errorf("CheckSecret(%q) = %v", text, err)
		}
	}
}

// TestHardReceivers asks receivers that misbehave.
func TestHardReceivers(t *testing.T) {
	hold, reached := make(chan struct{}), make(chan struct{}, 1)
	defer close(hold)
	mux := http.NewServeMux()
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/hugehead", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 1<<20))
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/later", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7200")
		http.Error(w, "busy\x00\x1b[31m", http.StatusTooManyRequests)
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	server := receiver(t, mux.ServeHTTP)
	sender := webhook.NewSender(webhook.SenderConfig{AllowPrivate: true, Version: "test"})
	defer sender.Close()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	send := func(path string) webhook.Answer {
		s := subject()
		return sender.Send(ctx, &webhook.Target{URL: server.URL + path, Secrets: webhook.Secrets{Current: ownKey}}, &s, 1, time.Now())
	}
	if a := send("/huge"); !a.OK() || len(a.Excerpt) > 500 {
		t.Errorf("a huge answer: %t, excerpt of %d bytes", a.OK(), len(a.Excerpt))
	}
	if a := send("/hugehead"); a.OK() || len(a.Error) > 500 {
		t.Errorf("a huge head: %+v", a)
	}
	if a := send("/redirect"); a.OK() || a.Status != 307 || !strings.Contains(a.Error, "redirect") {
		t.Errorf("a redirect: %+v", a)
	}
	if a := send("/later"); a.OK() || a.Status != 429 || a.RetryAfter != 2*time.Hour || strings.ContainsAny(a.Excerpt, "\x00\x1b") {
		t.Errorf("a busy one: %+v", a)
	}
	go func() {
		<-reached
		giveUp()
	}()
	if a := send("/slow?token=secret"); a.OK() || a.Status != 0 || strings.Contains(a.Error, "secret") {
		t.Errorf("a slow one: %+v", a)
	}
}

// TestPrivateAddresses refuses them as URLs, and after the name was resolved.
func TestPrivateAddresses(t *testing.T) {
	var reached bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sender := webhook.NewSender(webhook.SenderConfig{Version: "test"})
	defer sender.Close()
	for url, word := range map[string]string{
		"https://127.0.0.1:" + port:                   "allow_private_networks",
		"https://[::1]:" + port:                       "allow_private_networks",
		"https://[::ffff:127.0.0.1]:" + port:          "allow_private_networks",
		"https://localhost:" + port:                   "allow_private_networks",
		"https://169.254.169.254/latest":              "allow_private_networks",
		"http://example.com/":                         "https",
		"https://example.com/#part":                   "fragment",
		"https://me:secret@example.com/":              "user name or password",
		"ftp://example.com/":                          "https",
		"https://":                                    "https",
		"https://e.com/" + strings.Repeat("a", 1<<12): "bytes",
	} {
		s := subject()
		a := sender.Send(t.Context(), &webhook.Target{URL: url, Secrets: webhook.Secrets{Current: ownKey}}, &s, 1, time.Now())
		if a.OK() || !strings.Contains(a.Error, word) {
			t.Errorf("%.60s: %+v, want an error with %q", url, a, word)
		}
	}
	if reached {
		t.Error("a request reached a private address")
	}
}
