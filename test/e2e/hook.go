package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// hook is a receiver of webhooks.
type hook struct {
	secret string
	mu     sync.Mutex
	times  map[string]int // first attempts by event
	faults []string
}

// newHook starts a receiver and has the account's events sent to it.
func newHook(t testing.TB, s *server) *hook {
	t.Helper()
	h := &hook{times: map[string]int{}}
	at := httptest.NewServer(h)
	t.Cleanup(at.Close)
	var w struct{ ID int64 }
	s.get(t, s.asAccount("POST", "/api/v1/account/webhook", m{
		"url": at.URL + "/events", "processed": true, "sent": true, "delivered": true, "dropped": true, "smtpDropped": true, "hardBounced": true, "softBounced": true,
		"opened": true, "clicked": true, "unsubscribed": true, "spam": true,
	}), &w)
	var shown struct{ Secret string }
	s.get(t, s.asAccount("POST", "/api/v1/account/webhook/"+itoa(w.ID)+"/secret/show", nil), &shown)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secret = shown.Secret
	return h
}

// ServeHTTP takes one event.
func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	mac := hmac.New(sha256.New, []byte(h.secret))
	mac.Write(body)
	var got struct {
		Event        struct{ EventID, MessageID string }
		EmailMessage struct{ MessageID string }
	}
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if signed := r.Header.Get("X-SendPost-Signature"); err != nil || h.secret == "" || signed != hex.EncodeToString(mac.Sum(nil)) || got.Event.MessageID != got.EmailMessage.MessageID {
		h.faults = append(h.faults, fmt.Sprintf("%v, signature %q: %s", err, signed, body))
	}
	if r.Header.Get("X-SendPost-Webhook-Attempt") == "1" { // a second one follows an answer that came too late
		h.times[got.Event.EventID]++
	}
}

// check waits until the receiver was told of every event, and wants each once
// and well signed.
func (h *hook) check(t testing.TB, all []listed) {
	t.Helper()
	told := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.times)
	}
	if !within(t.Context(), waitMail, func() bool { return told() >= len(all) }) {
		t.Errorf("the webhook was told of %d events of %d", told(), len(all))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range all {
		if n := h.times[all[i].ID]; n != 1 {
			t.Errorf("the webhook was told %d times of %+v", n, all[i])
		}
	}
	if len(h.times) != len(all) {
		t.Errorf("the webhook was told of %d events, want %d", len(h.times), len(all))
	}
	for _, fault := range h.faults {
		t.Errorf("the webhook got %s", fault)
	}
}
